//! What a tile cannot do: system call filters (seccomp) and a closed file system (Landlock).
//!
//! What is a boundary and what is hardening:
//! - **A boundary** is a process of its own that has only its memory: [`enter_process`] leaves it
//!   futexes, its anonymous memory and its end, and any other system call kills it. Code that is
//!   taken over there can write the memory it shares and nothing else; whoever shares that memory
//!   must read it as hostile.
//! - **Hardening** is all the rest. A filter on one thread of several ([`enter_thread`]) does not
//!   hold code that is taken over: it can write the memory of threads that may do more. It makes
//!   mistakes loud, and it makes an attack harder. [`restrict_filesystem`] likewise: it closes
//!   what would be opened later, and leaves what is open.
//!
//! Invariants:
//! - Nothing here can be undone: filters and Landlock stay until the thread or process ends.
//! - A kernel without seccomp or Landlock is not an error; the answer says `absent`.
//! - [`SandboxMode::Off`] changes nothing at all.
//! - Privileges are not needed: `no_new_privs` is set instead, and stays.
//!
//! What it does *not* do: find out which calls a tile needs, or see into an `io_uring`.

mod allocator;
mod filesystem;
mod filter;
mod names;
mod policy;
mod violation;

use std::{fmt, io, str::FromStr};

use seccompiler::{BpfProgramRef, SeccompAction};

pub use filesystem::LandlockStatus;
pub(crate) use filesystem::restrict_filesystem;
pub use policy::{Grant, Policy, Right};
pub(crate) use violation::{Violation, ViolationReport};

use crate::Error;

/// What is done about forbidden system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SandboxMode {
    /// They are stopped: a thread's are refused and reported, a process is killed.
    #[default]
    On,
    /// Nothing is filtered.
    Off,
    /// They are let through; the kernel's audit log notes them.
    Log,
}

impl fmt::Display for SandboxMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Log => "log",
        })
    }
}

/// A word that is not a mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a sandbox mode; say on, off or log")]
pub struct UnknownMode(String);

impl FromStr for SandboxMode {
    type Err = UnknownMode;

    fn from_str(word: &str) -> Result<Self, UnknownMode> {
        match word {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            "log" => Ok(Self::Log),
            other => Err(UnknownMode(other.to_owned())),
        }
    }
}

/// What holds after entering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a kernel without seccomp enforces nothing"]
pub(crate) enum Entered {
    /// Forbidden calls are stopped.
    Enforced,
    /// Forbidden calls are noted in the kernel's audit log.
    Logged,
    /// The mode is `off`.
    Off,
    /// The kernel has no seccomp filters, or not the action that the mode needs.
    Absent,
}

impl fmt::Display for Entered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Enforced => "enforced",
            Self::Logged => "logged",
            Self::Off => "off",
            Self::Absent => "absent",
        })
    }
}

/// Filters the calling thread: the base for threads and what `policy` grants. In mode `on` a
/// forbidden call returns `EPERM` and is counted in `violation`; the start of a thread or process
/// is refused likewise, but not counted (see `filter.rs`).
///
/// Panics when called twice on one thread with a mode other than `off`.
pub(crate) fn enter_thread(
    mode: SandboxMode,
    policy: &Policy,
    violation: &Violation,
) -> Result<Entered, Error> {
    let (action, entered) = match mode {
        SandboxMode::Off => return Ok(Entered::Off),
        SandboxMode::On => (SeccompAction::Trap, Entered::Enforced),
        SandboxMode::Log => (SeccompAction::Log, Entered::Logged),
    };
    if !has_action(&action) {
        return Ok(Entered::Absent);
    }
    allocator::settle()?;
    violation::watch_this_thread(violation)?;
    if mode == SandboxMode::On {
        install(&filter::without_creation(), seccompiler::apply_filter)?;
    }
    let program = filter::for_thread(policy, action);
    install(&program, seccompiler::apply_filter)?;
    Ok(entered)
}

/// Filters all threads of this process, now and later: the base for processes and what `policy`
/// grants. In mode `on` a forbidden call kills the process by SIGSYS, without a word: there is
/// not even a `write` to say one.
///
/// To be called on the thread that goes on to work, with no other thread at work.
pub(crate) fn enter_process(mode: SandboxMode, policy: &Policy) -> Result<Entered, Error> {
    let (action, entered) = match mode {
        SandboxMode::Off => return Ok(Entered::Off),
        SandboxMode::On => (SeccompAction::KillProcess, Entered::Enforced),
        SandboxMode::Log => (SeccompAction::Log, Entered::Logged),
    };
    if !has_action(&action) {
        return Ok(Entered::Absent);
    }
    allocator::settle()?;
    // A thread's hash maps take their keys from the kernel once; later it could not be asked.
    let _keys = std::hash::RandomState::new();
    let program = filter::for_process(policy, action);
    install(&program, seccompiler::apply_filter_all_threads)?;
    Ok(entered)
}

/// What the kernel has to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Support {
    /// Filters on system calls, with the actions that mode `on` needs.
    pub seccomp: bool,
    /// The version of Landlock; 0 where there is none.
    pub landlock_abi: u32,
}

/// Asks the kernel; changes nothing.
pub fn probe() -> Support {
    Support {
        seccomp: has_action(&SeccompAction::Trap) && has_action(&SeccompAction::KillProcess),
        landlock_abi: filesystem::landlock_abi(),
    }
}

fn has_action(action: &SeccompAction) -> bool {
    let action = u32::from(action.clone());
    // SAFETY: the kernel reads the four bytes of `action` and changes nothing.
    let answer = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0u32, &raw const action)
    };
    answer == 0
}

fn install(
    program: BpfProgramRef<'_>,
    apply: fn(BpfProgramRef<'_>) -> seccompiler::Result<()>,
) -> Result<(), Error> {
    apply(program).map_err(|error| {
        let action = "filter system calls (seccomp; mode off does without)";
        match error {
            seccompiler::Error::Prctl(source) | seccompiler::Error::Seccomp(source) => {
                Error::system(action, source)
            }
            other => Error::system(action, io::Error::other(other)),
        }
    })
}

#[cfg(test)]
pub(crate) mod tests;
