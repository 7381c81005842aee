//! The thin layer under bell and link: atomic words, bytes and a futex in one block of memory.
//!
//! It exists twice with the same interface. `real` is mapped memory and the system's futex. `model`
//! is what loom (`--cfg loom`) and shuttle (feature `shuttle`) can follow: their atomics, and a
//! futex made of their mutex and condition variable. Bell and link run unchanged on both.
//!
//! Invariants:
//! - All memory starts zeroed and lives as long as the last view of it.
//! - Bounds are asserted: a view never reaches outside the block it was made from.
//! - Bytes are handed out as pointers; who may turn one into a slice is the link's business.
//!
//! What it does *not* do: know links or bells, order accesses by itself, or allocate after start.

#[cfg(any(loom, feature = "shuttle"))]
mod model;
#[cfg(not(any(loom, feature = "shuttle")))]
mod real;

#[cfg(any(loom, feature = "shuttle"))]
pub(crate) use model::{Memory, Words, fence};
#[cfg(not(any(loom, feature = "shuttle")))]
pub(crate) use real::{Memory, Words, fence};

use std::sync::Arc;

/// A view of bytes inside a workspace. Positions count from the start of the workspace.
#[derive(Debug, Clone)]
pub(crate) struct Region {
    memory: Arc<Memory>,
    start: usize,
    bytes: usize,
}

impl Region {
    /// The bytes from `start` on; panics if they are not all inside `memory`.
    pub(crate) fn new(memory: Arc<Memory>, start: usize, bytes: usize) -> Self {
        let end = start.checked_add(bytes).expect("a region ends within the address space");
        assert!(end <= memory.bytes(), "region {start}..{end} of {} bytes", memory.bytes());
        Self { memory, start, bytes }
    }

    /// Where it starts in its workspace.
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// Bytes in it.
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    /// Whether both lie in the same mapping of the same workspace.
    pub(crate) fn shares_workspace(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.memory, &other.memory)
    }

    /// Whether `bytes` bytes at workspace position `at` lie in it. Takes any values.
    pub(crate) fn holds(&self, at: u64, bytes: u64) -> bool {
        let (start, end) = (self.start as u64, (self.start + self.bytes) as u64);
        at >= start && at.checked_add(bytes).is_some_and(|last| last <= end)
    }

    /// Address of `bytes` bytes at workspace position `at`, to be read now.
    pub(crate) fn readable(&self, at: usize, bytes: usize) -> *const u8 {
        assert!(self.holds(at as u64, bytes as u64), "bytes outside the region");
        self.memory.readable(at, bytes)
    }

    /// Address of `bytes` bytes at workspace position `at`, to be written now.
    pub(crate) fn writable(&self, at: usize, bytes: usize) -> *mut u8 {
        assert!(self.holds(at as u64, bytes as u64), "bytes outside the region");
        self.memory.writable(at, bytes)
    }

    /// Copies bytes at workspace position `at` that another process may be writing meanwhile: what
    /// arrives can be torn, but it arrives once and stays as it is.
    pub(crate) fn copy_shared(&self, at: usize, into: &mut [u8]) {
        assert!(self.holds(at as u64, into.len() as u64), "bytes outside the region");
        self.memory.copy_shared(at, into);
    }
}
