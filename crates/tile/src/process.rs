//! A tile as a process: this binary once more, with inherited descriptors and nothing else.
//!
//! The parent calls [`launch()`]; the child finds out what it is by [`is_tile_process`], takes its
//! descriptors by [`settle_in`], maps its memory and then enters the sandbox.
//!
//! Invariants:
//! - A child has standard input and output on `/dev/null`, the parent's standard error, the
//!   descriptors it was given, and no other.
//! - A child does not outlive its parent: the kernel kills it when the *thread* that launched it
//!   ends (`PR_SET_PDEATHSIG`). So launch from a thread that lives as long as the run, and before
//!   that thread is restricted: who cannot open files cannot execute any.
//! - A [`Child`] that is dropped is dead and reaped; no zombie is left.
//! - Ctrl-C reaches the parent only (a child has a session of its own); the parent ends children
//!   in order.
//!
//! How descriptors get to their numbers: in the child, before it is this binary again, the
//! standard library needs a descriptor of its own that can have any number. So the child is
//! started with its descriptors at high numbers, told in its arguments, and [`settle_in`] moves
//! them to 3, 4, 5, ...
//!
//! What it does *not* do: know what a tile is, speak with the child, or start it again.

mod child;
mod launch;
mod settle;

use std::os::fd::RawFd;

pub(crate) use child::Child;
pub use child::Death;
pub(crate) use launch::{Launch, launch};
pub(crate) use settle::settle_in;

/// The first argument of a tile's process; the tile's own argument follows it.
pub(crate) const MARKER: &str = "--icecore-tile";

/// The number of a child's first descriptor: after standard input, output and error.
const DESCRIPTOR_FIRST: RawFd = 3;

/// Descriptors that a child can be given, at most; far from where limits usually are.
const DESCRIPTORS_MAX: usize = 64;

/// What this process was launched as: the argument of [`Launch`], or `None` when it was started
/// by anyone else.
pub(crate) fn is_tile_process() -> Option<String> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != MARKER {
        return None;
    }
    arguments.next()?.into_string().ok()
}

#[cfg(test)]
pub(crate) mod tests;
