//! The child's side of the launch: take the descriptors, close the rest, give up what is not
//! needed.
//!
//! Invariants: afterwards 0, 1, 2 and the given descriptors are open and nothing else; no core
//! file is written; a panic says nothing (its thread's sandbox could not let it).
//!
//! What it does *not* do: filter system calls or close the file system; that is the sandbox, and
//! comes after the memory has been mapped.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    panic,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use super::{DESCRIPTOR_FIRST, launch::told_descriptors};
use crate::Error;

/// Descriptors that can still be opened afterwards: the one that Landlock's ruleset needs for a
/// moment.
const DESCRIPTORS_SPARE: u64 = 1;

/// Settles this process, which was launched with `count` descriptors: they are given back in
/// order, with the numbers 3, 4, 5, ... With `address_space_bytes_max` no more memory than that
/// can be mapped by this process, what is mapped now included.
///
/// To be called once, on the main thread, before other threads start and before anything is
/// opened: what else is open is closed. Fails when the process was launched with another count.
pub(crate) fn settle_in(
    count: usize,
    address_space_bytes_max: Option<u64>,
) -> Result<Vec<OwnedFd>, Error> {
    static SETTLED: AtomicBool = AtomicBool::new(false);
    assert!(!SETTLED.swap(true, Ordering::AcqRel), "a process settles in once");
    panic::set_hook(Box::new(|_| {}));
    let given = told_descriptors().filter(|given| given.len() == count).ok_or_else(|| {
        let told = format!("this process was not launched with {count} descriptors");
        Error::system("settle in", io::Error::new(io::ErrorKind::InvalidInput, told))
    })?;
    let settled = move_down(given).map_err(|error| failed("take its descriptors", error))?;
    let open_max = DESCRIPTOR_FIRST as u64 + count as u64;
    close_from(open_max).map_err(|error| failed("close what else is open", error))?;
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, open_max + DESCRIPTORS_SPARE)?;
    if let Some(bytes) = address_space_bytes_max {
        limit(Resource::As, bytes)?;
    }
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| failed("hide its memory from other processes", error.into()))?;
    Ok(settled)
}

/// Moves descriptors, which lie above all targets, to 3, 4, 5, ...
fn move_down(given: Vec<OwnedFd>) -> io::Result<Vec<OwnedFd>> {
    let moved = (DESCRIPTOR_FIRST..).zip(given).map(|(target, source)| {
        let raw = source.as_raw_fd();
        // SAFETY: no memory is involved. The target is nobody's: this process has just begun, and
        // only what it was given is open.
        if unsafe { libc::dup3(raw, target, libc::O_CLOEXEC) } == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: made by the line above, so nobody else's.
        Ok(unsafe { OwnedFd::from_raw_fd(target) })
    });
    moved.collect()
}

/// Closes all descriptors from this number on (Linux 5.9).
fn close_from(first: u64) -> io::Result<()> {
    let first = libc::c_uint::try_from(first).expect("at most 64 descriptors are given");
    // SAFETY: this process owns what it was given, which lies below, and has opened nothing else.
    match unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn limit(resource: Resource, maximum: u64) -> Result<(), Error> {
    setrlimit(resource, Rlimit { current: Some(maximum), maximum: Some(maximum) })
        .map_err(|error| failed(&format!("limit its {resource:?} to {maximum}"), error.into()))
}

fn failed(what: &str, error: io::Error) -> Error {
    Error::system(format!("settle in as a tile's process: {what}"), error)
}
