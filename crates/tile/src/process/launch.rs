//! Starting a child.
//!
//! Steps: copy the descriptors to numbers that [`settle_in`](super::settle_in) will not write to;
//! fork; in the child pin it, give it a session, tie its life to the parent's, let only its
//! descriptors through; execute.
//!
//! Invariant: between fork and execution only async-signal-safe calls are made, and nothing is
//! allocated.
//!
//! What it does *not* do: wait for the child to be ready.

use std::{
    collections::BTreeSet,
    env, io, mem,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    path::PathBuf,
    process::{Command, Stdio},
};

use super::{Child, DESCRIPTOR_FIRST, DESCRIPTORS_MAX, MARKER, is_tile_process};
use crate::Error;

/// The only variable that a child inherits.
const VARIABLE_KEPT: &str = "RUST_BACKTRACE";

/// What to start.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// The program; `/proc/self/exe` is the running one, even if its file was replaced meanwhile.
    pub executable: PathBuf,
    /// What the child is to be; opaque here, [`is_tile_process`] gives it.
    pub argument: String,
    /// What becomes 3, 4, 5, ... in the child; 64 at most.
    pub descriptors: Vec<BorrowedFd<'a>>,
    /// Shown by `ps`.
    pub name: String,
    /// The core to run on; any if none is named.
    pub core: Option<usize>,
}

/// Starts a child that dies with the calling thread.
///
/// Fails when the system refuses to start it or `core` cannot be had. Panics with more than
/// 64 descriptors.
pub(crate) fn launch(launch: Launch<'_>) -> Result<Child, Error> {
    let Launch { executable, argument, descriptors, name, core } = launch;
    assert!(descriptors.len() <= DESCRIPTORS_MAX, "{name}: {} descriptors", descriptors.len());
    let failed = |error: io::Error| {
        let program = executable.display();
        Error::system(format!("start tile {name} as a process of its own ({program})"), error)
    };
    let copies = copy_above(&descriptors).map_err(failed)?;
    let numbers: Vec<RawFd> = copies.iter().map(AsRawFd::as_raw_fd).collect();
    let told: Vec<String> = numbers.iter().map(RawFd::to_string).collect();
    let cores = core.map(core_set).transpose().map_err(failed)?;
    let parent = rustix::process::getpid().as_raw_pid();

    let mut command = Command::new(&executable);
    command.arg0(&name).args([MARKER, &argument, &told.join(",")]);
    command.env_clear();
    if let Some(value) = env::var_os(VARIABLE_KEPT) {
        command.env(VARIABLE_KEPT, value);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
    // SAFETY: `become_child` makes system calls only; it neither allocates nor takes locks.
    unsafe { command.pre_exec(move || become_child(parent, cores.as_ref(), &numbers)) };
    let child = command.spawn().map_err(failed)?;
    drop(copies);
    Ok(Child::new(child))
}

/// Copies that lie above all numbers that descriptors will have in the child; closed on execution
/// until the child says otherwise, so that no other child gets them.
fn copy_above(descriptors: &[BorrowedFd<'_>]) -> io::Result<Vec<OwnedFd>> {
    let count = RawFd::try_from(descriptors.len()).expect("at most 64");
    let copy = |descriptor: &BorrowedFd<'_>| {
        Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, DESCRIPTOR_FIRST + count)?)
    };
    descriptors.iter().map(copy).collect()
}

fn core_set(core: usize) -> io::Result<libc::cpu_set_t> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("there is no core {core}"),
        ));
    }
    // SAFETY: all bits zero is the empty set.
    let mut cores: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the core is below the set's size.
    unsafe { libc::CPU_SET(core, &mut cores) };
    Ok(cores)
}

/// Runs in the child, between fork and execution.
fn become_child(
    parent: libc::pid_t,
    cores: Option<&libc::cpu_set_t>,
    numbers: &[RawFd],
) -> io::Result<()> {
    if let Some(cores) = cores {
        // SAFETY: the set is valid and of the size told; 0 is the calling thread.
        checked(unsafe { libc::sched_setaffinity(0, mem::size_of_val(cores), cores) })?;
    }
    // SAFETY: no memory is involved; a fresh child leads no group, so it may lead a session.
    checked(unsafe { libc::setsid() })?;
    // SAFETY: no memory is involved.
    checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
    // SAFETY: no memory is involved.
    if unsafe { libc::getppid() } != parent {
        // It died before the line above: there is no one left who would be told.
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    let first = DESCRIPTOR_FIRST as libc::c_uint;
    let flag = libc::CLOSE_RANGE_CLOEXEC as libc::c_int;
    // SAFETY: marks descriptors to be closed on execution; none is closed now. A kernel that
    // cannot do it (before 5.11) leaves it to `settle_in`.
    unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flag) };
    for number in numbers {
        // SAFETY: changes a flag of a descriptor that the parent made for this child.
        checked(unsafe { libc::fcntl(*number, libc::F_SETFD, 0) })?;
    }
    Ok(())
}

fn checked(answer: libc::c_int) -> io::Result<()> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The descriptors a child was started with, from its third argument.
pub(super) fn told_descriptors() -> Option<Vec<OwnedFd>> {
    is_tile_process()?;
    let told = env::args_os().nth(3)?.into_string().ok()?;
    let numbers = told.split(',').filter(|number| !number.is_empty());
    let numbers: Vec<RawFd> = numbers.map(str::parse).collect::<Result<_, _>>().ok()?;
    let first_free = DESCRIPTOR_FIRST + RawFd::try_from(numbers.len()).ok()?;
    let distinct: BTreeSet<_> = numbers.iter().collect();
    // SAFETY: asks for a flag; no memory is involved.
    let is_open = |number: RawFd| unsafe { libc::fcntl(number, libc::F_GETFD) } != -1;
    let is_sound = |number: &RawFd| *number >= first_free && is_open(*number);
    if distinct.len() != numbers.len() || !numbers.iter().all(is_sound) {
        return None;
    }
    // SAFETY: open, each named once, and inherited for whoever calls this: `settle_in`, once.
    Some(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect())
}
