//! Children of the test binary: what they get, what they cannot, and how they end.
//!
//! The test binary is launched like any other. A function that runs before `main`, and so before
//! the test harness reads the arguments, plays the part that the argument names.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use super::*;
use crate::sandbox::{self, Entered, LandlockStatus, Policy, SandboxMode};

/// Looks at a child, 5 ms apart, at most: 20 s.
const LOOKS_MAX: u32 = 4000;

#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static BEFORE_MAIN: extern "C" fn() = play_the_part;

extern "C" fn play_the_part() {
    let Some(part) = is_tile_process() else { return };
    let code = match part.strip_prefix("sandbox ") {
        Some(part) => sandbox::tests::play(part),
        None => play(&part),
    };
    // SAFETY: ends this process; nothing has to be put in order.
    unsafe { libc::_exit(code) }
}

/// The parts of a child. What goes wrong is an abort: no panic can leave the function above.
fn play(part: &str) -> i32 {
    match part {
        "leave with 7" => return 7,
        "die" => {
            // SAFETY: this process's signal to itself.
            unsafe { libc::raise(libc::SIGSEGV) };
        }
        "own exactly three" => {
            assert_eq!(open_descriptors().len(), 6);
            let given = settle_in(3, None).expect("launched with three");
            let numbers: Vec<_> = given.iter().map(AsRawFd::as_raw_fd).collect();
            assert_eq!(numbers, [3, 4, 5]);
            assert_eq!(open_descriptors(), [0, 1, 2, 3, 4, 5]);
            // The third is the first once more, the second another.
            let (first, second, third) = (
                Word::of(given[0].as_fd()),
                Word::of(given[1].as_fd()),
                Word::of(given[2].as_fd()),
            );
            assert_eq!([first.get(), second.get(), third.get()], [11, 22, 11]);
        }
        "expect two" => {
            let refused = settle_in(2, None).expect_err("launched with one");
            assert!(refused.to_string().contains("2 descriptors"), "{refused}");
        }
        "be limited" => be_limited(),
        "answer" => {
            let given = settle_in(1, None).expect("launched with one");
            let word = Word::of(given[0].as_fd());
            until("asked", || word.get() == 1);
            word.set(2);
        }
        "know nothing" => {
            let kept: Vec<_> = std::env::vars().map(|(name, _)| name).collect();
            assert!(kept.is_empty() || kept == ["RUST_BACKTRACE"], "{kept:?}");
        }
        "be a parent" => be_a_parent(),
        "tell and wait" => {
            let given = settle_in(1, None).expect("launched with one");
            let word = Word::of(given[0].as_fd());
            let landlock = sandbox::restrict_filesystem(SandboxMode::On, &Policy::none());
            let landlock = landlock.expect("possible");
            assert_eq!(landlock.status == LandlockStatus::Absent, landlock.abi == 0);
            let pid = u64::from(std::process::id());
            let entered = sandbox::enter_process(SandboxMode::On, &Policy::none());
            assert_eq!(entered.expect("possible"), Entered::Enforced);
            word.set(pid);
            thread::sleep(Duration::from_secs(60));
        }
        "wait" => thread::sleep(Duration::from_secs(60)),
        other => panic!("no such part: {other}"),
    }
    0
}

fn be_limited() {
    let given = settle_in(0, Some(1 << 30)).expect("launched with none");
    assert!(given.is_empty());
    // One is left for Landlock, and no more.
    let one = std::fs::File::open("/dev/null").expect("one can be opened");
    let two = std::fs::File::open("/dev/null").expect_err("two cannot");
    assert_eq!(two.raw_os_error(), Some(libc::EMFILE));
    drop(one);
    let mut memory: Vec<u8> = Vec::new();
    assert!(memory.try_reserve_exact(2 << 30).is_err(), "more than the bound");
    assert!(memory.try_reserve_exact(1 << 20).is_ok(), "less than the bound");
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::prctl(libc::PR_GET_DUMPABLE) }, 0);
    let core = rustix::process::getrlimit(rustix::process::Resource::Core);
    assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
}

/// Launches a child of its own, gives up opening files, and waits to be killed.
fn be_a_parent() {
    let given = launch::told_descriptors().expect("launched with descriptors");
    let _child = start("tell and wait", &[given[0].as_fd()]);
    sandbox::restrict_filesystem(SandboxMode::On, &Policy::none()).expect("possible");
    thread::sleep(Duration::from_secs(60));
}

fn open_descriptors() -> Vec<RawFd> {
    // SAFETY: asks for a flag; no memory is involved.
    (0..1024).filter(|number| unsafe { libc::fcntl(*number, libc::F_GETFD) } != -1).collect()
}

/// One word of memory that processes share.
struct Word {
    _descriptor: Option<OwnedFd>,
    mapped: *const AtomicU64,
}

impl Word {
    const BYTES: usize = 4096;

    fn create(value: u64) -> Self {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let descriptor = rustix::fs::memfd_create("word", flags).expect("memory");
        rustix::fs::ftruncate(&descriptor, Self::BYTES as u64).expect("memory");
        let word = Self::of(descriptor.as_fd());
        word.set(value);
        Self { _descriptor: Some(descriptor), ..word }
    }

    fn of(descriptor: BorrowedFd<'_>) -> Self {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let raw = descriptor.as_raw_fd();
        // SAFETY: a new mapping; it is never unmapped.
        let mapped =
            unsafe { libc::mmap(ptr::null_mut(), Self::BYTES, access, libc::MAP_SHARED, raw, 0) };
        assert_ne!(mapped, libc::MAP_FAILED);
        Self { _descriptor: None, mapped: mapped.cast() }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self._descriptor.as_ref().expect("made here").as_fd()
    }

    fn get(&self) -> u64 {
        // SAFETY: mapped for the life of the process, aligned to a page.
        unsafe { &*self.mapped }.load(Ordering::SeqCst)
    }

    fn set(&self, value: u64) {
        // SAFETY: as above.
        unsafe { &*self.mapped }.store(value, Ordering::SeqCst);
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..LOOKS_MAX {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("not {what} in time");
}

fn plan<'a>(part: &str, descriptors: &[BorrowedFd<'a>]) -> Launch<'a> {
    Launch {
        executable: "/proc/self/exe".into(),
        argument: part.to_owned(),
        descriptors: descriptors.to_vec(),
        name: "tile-of-a-test".to_owned(),
        core: None,
    }
}

/// Launches the test binary for a part.
pub(crate) fn start(part: &str, descriptors: &[BorrowedFd<'_>]) -> Child {
    launch(plan(part, descriptors)).expect("it can be launched")
}

/// Waits for a child's end, not for ever.
pub(crate) fn death_of(child: &mut Child) -> Death {
    let mut death = None;
    until("ended", || {
        death = child.poll().expect("it is ours");
        death.is_some()
    });
    death.expect("seen above")
}

const IN_ORDER: Death = Death::Exited(0);

#[test]
fn this_process_is_no_tile() {
    assert_eq!(is_tile_process(), None);
    assert!(launch::told_descriptors().is_none());
}

#[test]
fn a_child_gets_exactly_its_descriptors_in_order() {
    let (first, second) = (Word::create(11), Word::create(22));
    let descriptors = [first.descriptor(), second.descriptor(), first.descriptor()];
    assert_eq!(death_of(&mut start("own exactly three", &descriptors)), IN_ORDER);
}

#[test]
fn a_child_that_expects_another_count_is_told() {
    let word = Word::create(0);
    assert_eq!(death_of(&mut start("expect two", &[word.descriptor()])), IN_ORDER);
}

#[test]
fn a_child_shares_memory_with_its_parent() {
    let word = Word::create(0);
    let mut child = start("answer", &[word.descriptor()]);
    word.set(1);
    until("answered", || word.get() == 2);
    assert_eq!(death_of(&mut child), IN_ORDER);
}

#[test]
fn a_settled_child_is_limited() {
    assert_eq!(death_of(&mut start("be limited", &[])), IN_ORDER);
}

#[test]
fn a_child_knows_nothing_of_the_environment() {
    assert_eq!(death_of(&mut start("know nothing", &[])), IN_ORDER);
}

#[test]
fn a_death_is_told_with_its_cause() {
    let left = death_of(&mut start("leave with 7", &[]));
    assert_eq!((left, left.to_string()), (Death::Exited(7), "ended with code 7".to_owned()));
    let died = death_of(&mut start("die", &[]));
    assert_eq!(died, Death::Signalled(libc::SIGSEGV));
    assert!(died.to_string().starts_with("was killed by signal 11 (SIGSEGV: "), "{died}");
    let stopped = Death::Signalled(libc::SIGSYS).to_string();
    assert_eq!(stopped, "was killed by signal 31 (SIGSYS: a forbidden system call)");
    assert_eq!(Death::Signalled(64).to_string(), "was killed by signal 64");
}

#[test]
fn a_child_can_be_killed_and_asked_again() {
    let mut child = start("wait", &[]);
    assert_eq!(child.poll().expect("it is ours"), None);
    child.kill().expect("it is ours");
    let death = death_of(&mut child);
    assert_eq!(death, Death::Signalled(libc::SIGKILL));
    assert_eq!(child.poll().expect("it is ours"), Some(death));
    child.kill().expect("killing the dead does nothing");
}

#[test]
fn no_zombie_remains_of_a_dropped_child() {
    let child = start("wait", &[]);
    let pid = i32::try_from(child.pid()).expect("small");
    // SAFETY: signal 0 only asks whether there is such a process.
    let exists = || unsafe { libc::kill(pid, 0) } == 0;
    assert!(exists());
    drop(child);
    assert!(!exists());
    assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::ESRCH));
}

#[test]
fn a_child_dies_with_its_parent_even_when_both_are_restricted() {
    let word = Word::create(0);
    let mut parent = start("be a parent", &[word.descriptor()]);
    until("launched", || word.get() != 0);
    let pid = rustix::process::Pid::from_raw(i32::try_from(word.get()).expect("small"));
    let flags = rustix::process::PidfdFlags::empty();
    let child = rustix::process::pidfd_open(pid.expect("not 0"), flags).expect("it lives");
    let is_dead = || {
        let mut asked = libc::pollfd { fd: child.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid entry; asks without waiting.
        unsafe { libc::poll(&mut asked, 1, 0) == 1 }
    };
    // Time for the parent to restrict itself.
    thread::sleep(Duration::from_millis(100));
    assert!(!is_dead());
    parent.kill().expect("it is ours");
    assert_eq!(death_of(&mut parent), Death::Signalled(libc::SIGKILL));
    until("dead", is_dead);
}

#[test]
fn a_child_has_its_name_and_a_session_of_its_own() {
    let child = start("wait", &[]);
    let path = format!("/proc/{}/cmdline", child.pid());
    let command = std::fs::read_to_string(path).expect("it lives");
    let words: Vec<_> = command.split('\0').collect();
    assert_eq!(words, ["tile-of-a-test", MARKER, "wait", "", ""]);
    let pid = i32::try_from(child.pid()).expect("small");
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::getsid(pid) }, pid);
}

#[test]
fn a_child_runs_on_the_core_it_was_given() {
    let allowed = rustix::thread::sched_getaffinity(None).expect("it can be asked");
    let core = (0..1024).find(|core| allowed.is_set(*core)).expect("one at least");
    let child = launch(Launch { core: Some(core), ..plan("wait", &[]) }).expect("possible");
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.pid()).expect("small"));
    let cores = rustix::thread::sched_getaffinity(pid).expect("it lives");
    assert_eq!(cores.count(), 1);
    assert!(cores.is_set(core));
    for missing in [1023, 1024] {
        let refused = launch(Launch { core: Some(missing), ..plan("wait", &[]) });
        let refused = refused.expect_err("no machine has it").to_string();
        assert!(refused.contains("start tile tile-of-a-test"), "{refused}");
    }
}

#[test]
fn a_program_that_is_not_there_is_an_error_with_its_name() {
    let executable = "/nowhere/icecore".into();
    let refused = launch(Launch { executable, ..plan("wait", &[]) }).expect_err("not there");
    assert!(refused.to_string().contains("/nowhere/icecore"), "{refused}");
}
