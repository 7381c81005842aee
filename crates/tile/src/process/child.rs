//! A launched child, and what it died of.
//!
//! Invariant: the process is reaped exactly once, by a look at it or by `drop`.
//!
//! What it does *not* do: decide whether a death is an error; a tile that ends with code 0 did as
//! it was told.

use std::{
    fmt, io,
    os::unix::process::ExitStatusExt,
    process::{self, ExitStatus},
};

use crate::Error;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// By itself, with this code; 0 is in order.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

impl From<ExitStatus> for Death {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, Some(signal)) => Self::Signalled(signal),
            (None, None) => unreachable!("only ends are waited for: {status}"),
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(code) => write!(formatter, "ended with code {code}"),
            Self::Signalled(signal) => {
                write!(formatter, "was killed by signal {signal}")?;
                match meaning(signal) {
                    Some(meaning) => write!(formatter, " ({meaning})"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// What a signal tells about a tile.
fn meaning(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGABRT => "SIGABRT: it aborted",
        libc::SIGBUS => "SIGBUS: memory that could not be had",
        libc::SIGFPE => "SIGFPE: a forbidden calculation",
        libc::SIGILL => "SIGILL: an instruction this processor does not have",
        libc::SIGINT => "SIGINT: interrupted",
        libc::SIGKILL => "SIGKILL: by its parent, by someone else, or by the system for memory",
        libc::SIGSEGV => "SIGSEGV: memory that is not its own",
        libc::SIGSYS => "SIGSYS: a forbidden system call",
        libc::SIGTERM => "SIGTERM: asked to end",
        libc::SIGXCPU => "SIGXCPU: too much processor time",
        _ => return None,
    })
}

/// A launched process. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Child {
    inner: process::Child,
}

impl Child {
    pub(super) fn new(inner: process::Child) -> Self {
        Self { inner }
    }

    /// Its number; only meaningful while it is not reaped.
    pub(crate) fn pid(&self) -> u32 {
        self.inner.id()
    }

    /// How it ended, if it did; does not wait. Gives the same answer when asked again.
    pub(crate) fn poll(&mut self) -> Result<Option<Death>, Error> {
        match self.inner.try_wait() {
            Ok(status) => Ok(status.map(Death::from)),
            Err(error) => Err(self.failed("look at", error)),
        }
    }

    /// Kills it, if it lives; `poll` tells when it is gone.
    pub(crate) fn kill(&mut self) -> Result<(), Error> {
        self.inner.kill().map_err(|error| self.failed("kill", error))
    }

    fn failed(&self, what: &str, error: io::Error) -> Error {
        Error::system(format!("{what} the tile's process {}", self.pid()), error)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Who cannot be killed is not waited for, or this would never end.
        if self.inner.kill().is_ok() {
            let _reaped = self.inner.wait();
        }
    }
}
