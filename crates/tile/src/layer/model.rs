//! The same layer for loom and shuttle: their atomics, and a futex made of their mutex.
//!
//! Words and bytes of a workspace are separate memories here, whatever their positions. Under loom
//! every byte has a cell beside it that is touched when the byte's address is handed out: loom then
//! reports any write that some read does not happen before or after. That is enough, because the
//! borrows of a link end before what publishes or releases the bytes.
//!
//! What it does *not* do: share memory with other processes, or let a sleep time out. A lost
//! wake-up is a deadlock here, and both tools report those.

#[cfg(loom)]
use loom::sync;
#[cfg(not(loom))]
use shuttle::sync;

use std::{cell::UnsafeCell, io, os::fd::BorrowedFd, sync::Arc, time::Duration};

use sync::{
    Condvar, Mutex,
    atomic::{AtomicU64, Ordering},
};

pub(crate) use sync::atomic::fence;

/// One block of memory.
pub(crate) struct Memory {
    words: Box<[AtomicU64]>,
    bytes: Box<[UnsafeCell<u8>]>,
    #[cfg(loom)]
    cells: Box<[loom::cell::UnsafeCell<()>]>,
    futex: Mutex<()>,
    woken: Condvar,
}

// SAFETY: the bytes are only reached through pointers whose users answer for them.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl std::fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Memory({} bytes)", self.bytes.len())
    }
}

impl Memory {
    /// Zeroed memory.
    pub(crate) fn private(bytes: usize) -> io::Result<Self> {
        Ok(Self {
            words: (0..bytes / size_of::<u64>()).map(|_| AtomicU64::new(0)).collect(),
            bytes: (0..bytes).map(|_| UnsafeCell::new(0)).collect(),
            #[cfg(loom)]
            cells: (0..bytes).map(|_| loom::cell::UnsafeCell::new(())).collect(),
            futex: Mutex::new(()),
            woken: Condvar::new(),
        })
    }

    /// There are no other processes in a model.
    pub(crate) fn shared(_: BorrowedFd<'_>, _: usize, _: bool) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a model shares no memory"))
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn readable(&self, at: usize, bytes: usize) -> *const u8 {
        #[cfg(loom)]
        self.cells[at..at + bytes].iter().for_each(|cell| cell.with(|_| ()));
        self.bytes[at..at + bytes].as_ptr().cast()
    }

    pub(super) fn writable(&self, at: usize, bytes: usize) -> *mut u8 {
        #[cfg(loom)]
        self.cells[at..at + bytes].iter().for_each(|cell| cell.with_mut(|_| ()));
        UnsafeCell::raw_get(self.bytes[at..at + bytes].as_ptr())
    }

    pub(super) fn copy_shared(&self, at: usize, into: &mut [u8]) {
        let source = self.readable(at, into.len());
        // SAFETY: in bounds, as the slice above has shown; one thread runs at a time in a model.
        unsafe { source.copy_to_nonoverlapping(into.as_mut_ptr(), into.len()) };
    }
}

/// A view of atomic words inside a workspace.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    memory: Arc<Memory>,
    first: usize,
    count: usize,
}

impl Words {
    /// `count` words from byte `start` on; panics if they do not fit.
    pub(crate) fn new(memory: Arc<Memory>, start: usize, count: usize) -> Self {
        assert!(start.is_multiple_of(size_of::<u64>()), "words start at a multiple of 8");
        let first = start / size_of::<u64>();
        assert!(first + count <= memory.words.len(), "{count} words do not fit at {start}");
        Self { memory, first, count }
    }

    /// Words in the view.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// A view of `count` of these words.
    pub(crate) fn at(&self, start: usize, count: usize) -> Self {
        assert!(start + count <= self.count, "words {start}.. of {}", self.count);
        Self { memory: self.memory.clone(), first: self.first + start, count }
    }

    /// Reads word `index`.
    pub(crate) fn load(&self, index: usize, order: Ordering) -> u64 {
        self.word(index).load(order)
    }

    /// Writes word `index`.
    pub(crate) fn store(&self, index: usize, value: u64, order: Ordering) {
        self.word(index).store(value, order);
    }

    /// Replaces word `index` and returns what it was.
    pub(crate) fn swap(&self, index: usize, value: u64, order: Ordering) -> u64 {
        self.word(index).swap(value, order)
    }

    /// Sleeps while the low half of word `index` is `expected`, until woken.
    pub(crate) fn wait(&self, index: usize, expected: u32, _: Duration) {
        let awake = self.memory.futex.lock().expect("no model thread panics under this lock");
        if self.load(index, Ordering::Relaxed) as u32 == expected {
            drop(self.memory.woken.wait(awake).expect("as above"));
        }
    }

    /// Wakes whoever waits.
    pub(crate) fn wake(&self, _: usize) {
        drop(self.memory.futex.lock().expect("no model thread panics under this lock"));
        self.memory.woken.notify_all();
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.count, "word {index} of {}", self.count);
        &self.memory.words[self.first + index]
    }
}
