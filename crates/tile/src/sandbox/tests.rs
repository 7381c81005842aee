//! What the sandbox stops, and what it does not.
//!
//! Threads are restricted inside the test binary; processes are launched from it, with a part to
//! play (see the tests of processes).

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Seek, Write},
    os::fd::AsRawFd,
    os::unix::fs::FileExt,
    process::Command,
    ptr, thread,
    time::Duration,
};

use super::*;
use crate::process::{
    Death,
    tests::{death_of, start},
};

/// Does `work` on a thread of its own in the sandbox; what it gave and what was reported.
fn in_sandbox<T: Send + 'static>(
    mode: SandboxMode,
    policy: Policy,
    work: impl FnOnce(&Violation) -> T + Send + 'static,
) -> (T, Option<ViolationReport>) {
    let violation = Violation::new();
    let seen = violation.clone();
    let result = thread::spawn(move || {
        let entered = enter_thread(mode, &policy, &violation).expect("possible");
        let expected = match mode {
            SandboxMode::On => Entered::Enforced,
            SandboxMode::Log => Entered::Logged,
            SandboxMode::Off => Entered::Off,
        };
        assert_eq!(entered, expected);
        assert_eq!(entered == Entered::Enforced, mode == SandboxMode::On);
        work(&violation)
    });
    (result.join().expect("the thread ends in order"), seen.taken())
}

/// The error of a raw system call, if it gave one.
fn call(number: i64, arguments: [usize; 4]) -> Option<i32> {
    let [first, second, third, fourth] = arguments;
    // SAFETY: each use below passes what is valid for the call, or what it refuses.
    let answer = unsafe { libc::syscall(number, first, second, third, fourth, usize::MAX, 0) };
    if answer == -1 { io::Error::last_os_error().raw_os_error() } else { None }
}

fn opened() -> io::Result<File> {
    File::open("/dev/null")
}

fn file_with(text: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a scratch file");
    file.write_all(text).expect("room");
    file.rewind().expect("a file");
    file
}

#[test]
fn a_forbidden_call_is_refused_and_reported_and_the_thread_goes_on() {
    const PAGE: usize = 4096;
    let own = std::process::id() as usize;
    let executable = (libc::PROT_READ | libc::PROT_EXEC) as usize;
    let anonymous = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
    let file = file_with(&[0; PAGE]);
    let path = c"/bin/true".as_ptr() as usize;
    let forbidden: Vec<(i64, [usize; 4])> = vec![
        (libc::SYS_openat, [libc::AT_FDCWD as usize, path, 0, 0]),
        (libc::SYS_socket, [libc::AF_INET as usize, libc::SOCK_STREAM as usize, 0, 0]),
        (libc::SYS_kill, [own, 0, 0, 0]),
        (libc::SYS_tgkill, [own, own, libc::SIGTERM as usize, 0]),
        (libc::SYS_tgkill, [1, 1, libc::SIGABRT as usize, 0]),
        (libc::SYS_execve, [path, 0, 0, 0]),
        (libc::SYS_mmap, [0, PAGE, executable, anonymous]),
        (libc::SYS_mmap, [0, PAGE, libc::PROT_READ as usize, libc::MAP_PRIVATE as usize]),
        (libc::SYS_mprotect, [0, PAGE, executable, 0]),
        (libc::SYS_madvise, [0, PAGE, libc::MADV_HWPOISON as usize, 0]),
        (libc::SYS_madvise, [0, PAGE, libc::MADV_SOFT_OFFLINE as usize, 0]),
        (libc::SYS_ftruncate, [file.as_raw_fd() as usize, 0, 0, 0]),
        (libc::SYS_write, [1, 0, 0, 0]),
        (libc::SYS_ptrace, [0, 0, 0, 0]),
        (libc::SYS_prctl, [libc::PR_GET_DUMPABLE as usize, 0, 0, 0]),
        (libc::SYS_rt_sigaction, [libc::SIGSYS as usize, 0, 0, 8]),
        (libc::SYS_io_uring_setup, [1, 0, 0, 0]),
        (libc::SYS_exit_group, [3, 0, 0, 0]),
    ];
    let calls = forbidden.clone();
    let (answers, last) = in_sandbox(SandboxMode::On, Policy::none(), move |violation| {
        let ask = |(number, arguments)| (call(number, arguments), violation.taken());
        let answers: Vec<_> = calls.into_iter().map(ask).collect();
        assert_eq!(violation.taken(), None, "a report is given once");
        answers
    });
    assert_eq!(last, None);
    for ((number, _), (answer, report)) in forbidden.into_iter().zip(answers) {
        let report =
            report.unwrap_or_else(|| panic!("{:?} is not reported", names::name_of(number)));
        assert_eq!(answer, Some(libc::EPERM), "{report}");
        assert_eq!((report.number, report.count), (number, 1), "{report}");
        assert_eq!(report.name, names::name_of(number));
    }
    opened().expect("other threads are untouched");
    assert!(Command::new("/bin/true").status().expect("other threads are untouched").success());
    assert_eq!(file.metadata().expect("open").len(), PAGE as u64);
}

#[test]
fn a_report_tells_the_first_call_and_how_many_there_were() {
    let ((), report) = in_sandbox(SandboxMode::On, Policy::none(), |_| {
        assert!(opened().is_err() && call(libc::SYS_getppid, [0; 4]).is_some());
    });
    let expected = ViolationReport { number: libc::SYS_openat, name: Some("openat"), count: 2 };
    assert_eq!(report, Some(expected));
    let told =
        |number, count| ViolationReport { number, name: names::name_of(number), count }.to_string();
    assert_eq!(told(libc::SYS_openat, 1), "forbidden system call openat");
    assert_eq!(told(libc::SYS_openat, 3), "forbidden system call openat and 2 more");
    assert_eq!(told(9999, 1), "forbidden system call number 9999");
}

#[test]
fn no_thread_or_process_can_be_started() {
    let (errors, report) = in_sandbox(SandboxMode::On, Policy::none(), |_| {
        let thread = thread::Builder::new().spawn(|| ()).expect_err("forbidden");
        // SAFETY: there is no child: it is refused.
        assert_eq!(unsafe { libc::fork() }, -1);
        [thread.raw_os_error(), io::Error::last_os_error().raw_os_error()]
    });
    assert_eq!(errors, [Some(libc::EPERM); 2]);
    assert_eq!(report, None);
    thread::spawn(|| ()).join().expect("other threads are untouched");
}

#[test]
fn a_grant_is_for_its_calls_on_its_descriptor_only() {
    let (mut read, mut other) = (file_with(b"granted"), file_with(b"not"));
    let written = file_with(b"......");
    let policy = Policy::none().read_at(read.as_raw_fd()).write_at(written.as_raw_fd());
    let (written, report) = in_sandbox(SandboxMode::On, policy, move |violation| {
        let mut bytes = [0; 7];
        read.read_exact_at(&mut bytes, 0).expect("granted");
        assert_eq!(&bytes, b"granted");
        written.write_all_at(b"ab", 1).expect("granted");
        assert_eq!(violation.taken(), None);

        let name_of_refusal = |refused: io::Result<usize>| {
            assert_eq!(refused.expect_err("forbidden").raw_os_error(), Some(libc::EPERM));
            violation.taken().expect("reported").name
        };
        let refusals = [
            name_of_refusal(other.read_at(&mut bytes, 0)),
            name_of_refusal(written.read_at(&mut bytes, 0)),
            name_of_refusal(read.write_at(b"x", 0)),
            name_of_refusal(read.read(&mut bytes)),
            name_of_refusal(other.write(b"x")),
        ];
        let expected = ["pread64", "pread64", "pwrite64", "read", "write"];
        assert_eq!(refusals, expected.map(Some));
        // Descriptors cannot be closed in the sandbox either; they are handed out to be.
        (written, read, other)
    });
    assert_eq!(report, None);
    let mut text = String::new();
    (&written.0).read_to_string(&mut text).expect("text");
    assert_eq!(text, ".ab...");
}

#[test]
fn granted_streams_can_be_read_and_written() {
    let (mut from, mut to) = (file_with(b"stream"), file_with(b""));
    let policy = Policy::none().read(from.as_raw_fd()).write(to.as_raw_fd());
    let ((mut to, _from), report) = in_sandbox(SandboxMode::On, policy, move |_| {
        let mut bytes = [0; 6];
        from.read_exact(&mut bytes).expect("granted");
        to.write_all(&bytes).expect("granted");
        (to, from)
    });
    assert_eq!(report, None);
    let mut text = String::new();
    to.rewind().expect("a file");
    to.read_to_string(&mut text).expect("text");
    assert_eq!(text, "stream");
}

/// Large blocks, many small ones on the thread's own heap, a hash map, sleep and time.
fn use_memory_and_sleep() {
    let large = std::hint::black_box(vec![1u8; 100 << 20]);
    assert_eq!(large[large.len() / 2], 1);
    drop(large);
    let small: Vec<_> = (0..20_000u32).map(|index| vec![index; 256]).collect();
    let by_key: HashMap<_, _> = small.iter().map(|block| (block[0], block.len())).collect();
    assert_eq!(by_key.len(), 20_000);
    drop(small);
    thread::sleep(Duration::from_millis(1));
    thread::park_timeout(Duration::from_millis(1));
    thread::yield_now();
}

#[test]
fn memory_and_sleep_are_no_violation_and_threads_end_in_order() {
    for _ in 0..3 {
        let ((), report) = in_sandbox(SandboxMode::On, Policy::none(), |_| use_memory_and_sleep());
        assert_eq!(report, None);
    }
}

#[test]
fn the_first_memory_a_process_gives_back_is_no_violation() {
    assert_eq!(death_in("use memory on a thread"), IN_ORDER);
}

#[test]
fn a_panic_can_unwind_and_be_caught() {
    let (caught, report) = in_sandbox(SandboxMode::On, Policy::none(), |_| {
        std::panic::catch_unwind(|| panic!("in the sandbox")).is_err()
    });
    assert!(caught);
    // A backtrace would be read from files, if one is asked for.
    assert!(report.is_none() || std::env::var_os("RUST_BACKTRACE").is_some(), "{report:?}");
}

#[test]
fn log_lets_through_and_off_does_nothing() {
    for mode in [SandboxMode::Log, SandboxMode::Off] {
        let (file, report) = in_sandbox(mode, Policy::none(), |_| opened());
        file.expect("not stopped");
        assert_eq!(report, None);
        let ((landlock, file), _) = in_sandbox(SandboxMode::Off, Policy::none(), move |_| {
            (restrict_filesystem(mode, &Policy::none()).expect("possible"), opened())
        });
        assert_eq!(landlock.status, LandlockStatus::Off);
        file.expect("not stopped");
    }
}

#[test]
fn a_thread_enters_once() {
    let twice = thread::spawn(|| {
        let enter = || enter_thread(SandboxMode::Log, &Policy::none(), &Violation::new());
        assert_eq!(enter().expect("possible"), Entered::Logged);
        let _never = enter();
    });
    let message = twice.join().expect_err("it panics");
    let message = message.downcast_ref::<&str>().expect("a sentence");
    assert!(message.contains("enters the sandbox once"), "{message}");
}

#[test]
fn a_landlocked_thread_cannot_open_but_can_use_what_is_open() {
    let file = file_with(b"open before");
    let support = probe();
    let landlocked = thread::spawn(move || {
        let landlock = restrict_filesystem(SandboxMode::On, &Policy::none()).expect("possible");
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, 0).expect("open before");
        let child = thread::spawn(|| opened().is_ok()).join().expect("ends");
        let bound = std::net::TcpListener::bind("127.0.0.1:0").is_ok();
        (landlock, opened().is_ok(), child, bound)
    });
    let (landlock, itself, child, bound) = landlocked.join().expect("ends");
    assert_eq!(landlock.abi, support.landlock_abi);
    let expected = match landlock.abi {
        0 => LandlockStatus::Absent,
        1..=5 => LandlockStatus::Partial,
        _ => LandlockStatus::Full,
    };
    assert_eq!(landlock.status, expected);
    assert_eq!((itself, child), (landlock.abi == 0, landlock.abi == 0));
    assert_eq!(bound, landlock.abi < 4);
    opened().expect("other threads are untouched");
}

#[test]
fn a_thread_with_a_folder_and_a_file_can_publish_and_do_nothing_else() {
    let at = tempfile::tempdir().expect("a temporary folder");
    let other = tempfile::tempdir().expect("a temporary folder");
    let open = |path| icecore_disk::HeldFolder::open(path).expect("opened").expect("free");
    let (folder, elsewhere) = (open(at.path()), open(other.path()));
    let file = folder.create(".partial").expect("created");
    let foreign = elsewhere.create("foreign").expect("created");
    file.write_at(0, b"whole").expect("written");
    let (descriptor, of_file) = (folder.raw_fd(), file.raw_fd());
    let policy = Policy::none()
        .rename(descriptor)
        .sync(descriptor)
        .sync(of_file)
        .truncate(of_file)
        .lease(of_file);
    let ((forbidden, opened), report) = in_sandbox(SandboxMode::Off, Policy::none(), move |_| {
        let _landlock = restrict_filesystem(SandboxMode::On, &policy).expect("possible");
        let violation = Violation::new();
        let _entered = enter_thread(SandboxMode::On, &policy, &violation).expect("possible");
        file.sync().expect("allowed");
        folder.rename(".partial", "final").expect("allowed");
        folder.sync().expect("allowed");
        assert!(file.try_lease().expect("allowed"));
        folder.rename("final", ".partial").expect("allowed");
        assert!(!file.is_waited_for().expect("allowed"));
        file.truncate(0).expect("allowed");
        file.end_lease().expect("allowed");
        assert_eq!(violation.taken(), None);
        let name = c"foreign".as_ptr() as usize;
        let [here, there] = [folder.raw_fd(), elsewhere.raw_fd()].map(|fd| fd as usize);
        let calls = [
            (libc::SYS_renameat2, [there, name, there, c"x".as_ptr() as usize]),
            (libc::SYS_renameat2, [there, name, here, c"x".as_ptr() as usize]),
            (libc::SYS_renameat2, [here, c".partial".as_ptr() as usize, there, name]),
            (libc::SYS_unlinkat, [here, c".partial".as_ptr() as usize, 0, 0]),
            (libc::SYS_ftruncate, [foreign.raw_fd() as usize, 0, 0, 0]),
            (libc::SYS_fsync, [foreign.raw_fd() as usize, 0, 0, 0]),
            (libc::SYS_fcntl, [of_file as usize, libc::F_SETFL as usize, 0, 0]),
            (libc::SYS_fcntl, [of_file as usize, libc::F_DUPFD as usize, 0, 0]),
            (libc::SYS_pwrite64, [of_file as usize, name, 1, 0]),
            (libc::SYS_openat, [here, c".partial".as_ptr() as usize, 0, 0]),
        ];
        let refused = |(number, arguments): &(i64, [usize; 4])| {
            let answer = call(*number, *arguments);
            (answer, violation.taken().is_some())
        };
        let forbidden: Vec<_> = calls.iter().map(refused).collect();
        // What is open stays open: closing is not among what is allowed.
        std::mem::forget((folder, file, elsewhere, foreign));
        (forbidden, opened().is_ok())
    });
    assert_eq!(report, None);
    assert!(forbidden.iter().all(|answer| *answer == (Some(libc::EPERM), true)), "{forbidden:?}");
    assert!(!opened);
    let content = std::fs::read(at.path().join(".partial")).expect("there");
    assert_eq!(content, b"");
}

#[test]
fn landlock_alone_lets_names_change_in_the_folder_that_is_granted() {
    let at = tempfile::tempdir().expect("a temporary folder");
    let other = tempfile::tempdir().expect("a temporary folder");
    let open = |path| icecore_disk::HeldFolder::open(path).expect("opened").expect("free");
    let (folder, elsewhere) = (open(at.path()), open(other.path()));
    for folder in [&folder, &elsewhere] {
        drop(folder.create("a").expect("created"));
    }
    let (abi, renamed, foreign) = thread::spawn(move || {
        let policy = Policy::none().rename(folder.raw_fd());
        let landlock = restrict_filesystem(SandboxMode::On, &policy).expect("possible");
        let opened = folder.take("a");
        assert_eq!(opened.is_ok(), landlock.abi == 0);
        (landlock.abi, folder.rename("a", "b"), elsewhere.rename("a", "b"))
    })
    .join()
    .expect("ends");
    renamed.expect("granted");
    assert_eq!(foreign.is_ok(), abi == 0);
}

#[test]
fn modes_are_read_as_they_are_written() {
    for mode in [SandboxMode::On, SandboxMode::Off, SandboxMode::Log] {
        assert_eq!(mode.to_string().parse(), Ok(mode));
    }
    assert_eq!(SandboxMode::default(), SandboxMode::On);
    let refused = "yes".parse::<SandboxMode>().expect_err("not a mode");
    assert_eq!(refused.to_string(), "\"yes\" is not a sandbox mode; say on, off or log");
}

/// Parts of processes, launched by the tests below.
pub(crate) fn play(part: &str) -> i32 {
    let enter = |mode, policy| enter_process(mode, &policy).expect("possible");
    match part {
        "print a panic" => print_a_panic(),
        "keep a handler" => keep_a_handler(),
        "have none" => {
            let report = in_sandbox(SandboxMode::On, Policy::none(), |_| opened().is_ok()).1;
            assert_eq!(report.expect("forbidden").name, Some("openat"));
            // SAFETY: this process's signal to itself, on a thread that is not in the sandbox.
            unsafe { libc::raise(libc::SIGSYS) };
        }
        "log" => {
            assert_eq!(enter(SandboxMode::Log, Policy::none()), Entered::Logged);
            assert!(opened().is_ok());
        }
        "use memory" => {
            assert_eq!(enter(SandboxMode::On, Policy::none()), Entered::Enforced);
            use_memory_and_sleep();
        }
        "catch a panic and end" => {
            std::panic::set_hook(Box::new(|_| {}));
            assert_eq!(enter(SandboxMode::On, Policy::none()), Entered::Enforced);
            let caught = std::panic::catch_unwind(|| panic!("in the sandbox"));
            // What the end of `main` does: the signal stack goes, the C library ends in order.
            let kept = call(libc::SYS_sigaltstack, [0; 4]);
            // SAFETY: this is the only thread.
            unsafe { libc::exit(if caught.is_err() && kept.is_none() { 9 } else { 0 }) }
        }
        "use memory on a thread" => {
            // Raises glibc's thresholds for giving memory back to about 40 MB.
            drop(std::hint::black_box(vec![1u8; 20 << 20]));
            let used = |_: &Violation| {
                // More than that in blocks that lie on the thread's own heap.
                drop(std::hint::black_box(vec![vec![1u8; 50 << 10]; 1000]));
                use_memory_and_sleep();
            };
            assert_eq!(in_sandbox(SandboxMode::On, Policy::none(), used).1, None);
        }
        "read what is granted" => {
            let file = file_with(b"granted");
            let policy = Policy::none().read_at(file.as_raw_fd());
            assert_eq!(enter(SandboxMode::On, policy), Entered::Enforced);
            let mut bytes = [0; 7];
            file.read_exact_at(&mut bytes, 0).expect("granted");
            std::mem::forget(file);
            return i32::from(&bytes != b"granted");
        }
        "let another thread open" => {
            let (go, wait) = std::sync::mpsc::channel();
            let other = thread::spawn(move || wait.recv().map(|()| opened().is_ok()));
            assert_eq!(enter(SandboxMode::On, Policy::none()), Entered::Enforced);
            go.send(()).expect("it waits");
            let _never = other.join();
        }
        number => {
            let number: i64 = number.parse().expect("a call's number");
            assert_eq!(enter(SandboxMode::On, Policy::none()), Entered::Enforced);
            // Executable memory, where the arguments matter.
            let executable = (libc::PROT_READ | libc::PROT_EXEC) as usize;
            let anonymous = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
            call(number, [0, 4096, executable, anonymous]);
        }
    }
    0
}

/// Standard error is a pipe; what a panic in the sandbox says must come out at its other end.
fn print_a_panic() {
    // SAFETY: no other thread runs yet.
    unsafe { std::env::remove_var("RUST_BACKTRACE") };
    let (mut said, end) = io::pipe().expect("a pipe");
    // SAFETY: no memory is involved; the old standard error is of no use here.
    assert_ne!(unsafe { libc::dup2(end.as_raw_fd(), 2) }, -1);
    let violation = Violation::new();
    let seen = violation.clone();
    let panicking = thread::spawn(move || {
        let entered = enter_thread(SandboxMode::On, &Policy::none(), &violation);
        assert_eq!(entered.expect("possible"), Entered::Enforced);
        panic!("said in the sandbox");
    });
    assert!(panicking.join().is_err());
    assert_eq!(seen.taken(), None);
    let mut bytes = [0; 1024];
    let length = said.read(&mut bytes).expect("something was said");
    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
    assert!(text.contains("said in the sandbox"), "{text}");
}

/// A SIGSYS handler that was there before goes on serving the other threads.
fn keep_a_handler() {
    use std::sync::atomic::{AtomicI32, Ordering};
    static HANDLED: AtomicI32 = AtomicI32::new(0);
    extern "C" fn handle(signal: libc::c_int) {
        HANDLED.fetch_add(signal, Ordering::SeqCst);
    }
    // SAFETY: the handler only adds.
    unsafe { libc::signal(libc::SIGSYS, handle as extern "C" fn(i32) as libc::sighandler_t) };
    let report = in_sandbox(SandboxMode::On, Policy::none(), |_| opened().is_ok()).1;
    assert_eq!(report.expect("forbidden").name, Some("openat"));
    assert_eq!(HANDLED.load(Ordering::SeqCst), 0);
    // SAFETY: this process's signal to itself, on a thread that is not in the sandbox.
    unsafe { libc::raise(libc::SIGSYS) };
    assert_eq!(HANDLED.load(Ordering::SeqCst), libc::SIGSYS);
}

fn death_in(part: &str) -> Death {
    death_of(&mut start(&format!("sandbox {part}"), &[]))
}

const IN_ORDER: Death = Death::Exited(0);
const STOPPED: Death = Death::Signalled(libc::SIGSYS);

#[test]
fn a_process_is_killed_for_a_forbidden_call() {
    for number in [
        libc::SYS_openat,
        libc::SYS_socket,
        libc::SYS_kill,
        libc::SYS_execve,
        libc::SYS_mmap,
        libc::SYS_mprotect,
        libc::SYS_write,
        libc::SYS_read,
        libc::SYS_getpid,
        libc::SYS_io_uring_enter,
    ] {
        let name = names::name_of(number).expect("known");
        assert_eq!(death_in(&number.to_string()), STOPPED, "{name}");
    }
}

#[test]
fn a_process_has_memory_and_sleep_and_what_is_granted() {
    assert_eq!(death_in("use memory"), IN_ORDER);
    assert_eq!(death_in("read what is granted"), IN_ORDER);
}

#[test]
fn a_process_can_catch_a_panic_and_end_in_order() {
    assert_eq!(death_in("catch a panic and end"), Death::Exited(9));
}

#[test]
fn all_threads_of_a_process_are_in_its_sandbox() {
    assert_eq!(death_in("let another thread open"), STOPPED);
}

#[test]
fn a_process_that_is_logged_goes_on() {
    assert_eq!(death_in("log"), IN_ORDER);
}

#[test]
fn a_panic_in_the_sandbox_can_be_read() {
    assert_eq!(death_in("print a panic"), IN_ORDER);
}

#[test]
fn a_signal_of_another_thread_is_handled_as_before() {
    assert_eq!(death_in("keep a handler"), IN_ORDER);
    assert_eq!(death_in("have none"), STOPPED);
}

#[test]
fn the_kernel_can_be_asked_for_its_support() {
    let support = probe();
    // SAFETY: with a null pointer the kernel only says whether it knows filters.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, ptr::null::<u8>(), 0, 0)
    };
    assert_eq!(refused, -1);
    let knows = io::Error::last_os_error().raw_os_error() != Some(libc::EINVAL);
    assert_eq!(support.seccomp, knows);
}
