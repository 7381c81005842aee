//! Mapped memory, the processor's atomics and the system's futex.
//!
//! What it does *not* do: create or check files; a workspace does.

use std::{
    ffi::c_void,
    io,
    os::fd::BorrowedFd,
    ptr::{self, NonNull},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::{
    mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap},
    thread::{Timespec, futex},
};

pub(crate) use std::sync::atomic::fence;

// The futex looks at the low half of a word, where the word's address points.
const _: () = assert!(cfg!(target_endian = "little"));

/// Bytes of an atomic word.
const WORD_BYTES: usize = size_of::<AtomicU64>();

/// One mapping, unmapped with its last view.
#[derive(Debug)]
pub(crate) struct Memory {
    base: NonNull<u8>,
    bytes: usize,
    writable: bool,
}

// SAFETY: the mapping belongs to nobody's thread; it is only reached through atomics, and through
// pointers whose users answer for them.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Zeroed memory of this process alone.
    pub(crate) fn private(bytes: usize) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the system's choice touches no other memory.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), bytes, access, MapFlags::PRIVATE) }?;
        Ok(Self::new(base, bytes, true))
    }

    /// The first bytes of a file that cannot shrink, shared with whoever maps it too.
    pub(crate) fn shared(file: BorrowedFd<'_>, bytes: usize, writable: bool) -> io::Result<Self> {
        let mut access = ProtFlags::READ;
        access.set(ProtFlags::WRITE, writable);
        // SAFETY: as in `private`.
        let base = unsafe { mmap(ptr::null_mut(), bytes, access, MapFlags::SHARED, file, 0) }?;
        Ok(Self::new(base, bytes, writable))
    }

    fn new(base: *mut c_void, bytes: usize, writable: bool) -> Self {
        // SAFETY: the whole mapping is ours. Huge pages are a wish: a refusal costs speed only.
        let _ = unsafe { madvise(base, bytes, Advice::LinuxHugepage) };
        let base = NonNull::new(base.cast()).expect("the system maps nothing at address zero");
        Self { base, bytes, writable }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn readable(&self, at: usize, _: usize) -> *const u8 {
        self.base.as_ptr().wrapping_add(at)
    }

    pub(super) fn writable(&self, at: usize, _: usize) -> *mut u8 {
        assert!(self.writable, "this workspace is mapped for reading only");
        self.base.as_ptr().wrapping_add(at)
    }

    /// Copies by atomic loads: whole words where the source is aligned, single bytes around them.
    pub(super) fn copy_shared(&self, at: usize, into: &mut [u8]) {
        let edge = (at.next_multiple_of(WORD_BYTES) - at).min(into.len());
        let (head, rest) = into.split_at_mut(edge);
        self.copy_bytes(at, head);
        let (words, tail) = rest.as_chunks_mut::<WORD_BYTES>();
        let mut source = at + edge;
        for word in words {
            // SAFETY: the caller checked the bounds; the mapping starts on a page and `source` is a
            // multiple of the word size; every bit pattern is a word.
            let load = unsafe { &*self.base.as_ptr().add(source).cast::<AtomicU64>() };
            *word = load.load(Ordering::Relaxed).to_le_bytes();
            source += WORD_BYTES;
        }
        self.copy_bytes(source, tail);
    }

    fn copy_bytes(&self, at: usize, into: &mut [u8]) {
        for (index, byte) in into.iter_mut().enumerate() {
            // SAFETY: the caller checked the bounds; every bit pattern is a byte.
            let load = unsafe { &*self.base.as_ptr().add(at + index).cast::<AtomicU8>() };
            *byte = load.load(Ordering::Relaxed);
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped by us with this length, and the last view of it is gone.
        unsafe { munmap(self.base.as_ptr().cast(), self.bytes) }
            .expect("what was mapped can be unmapped");
    }
}

/// A view of atomic words inside a workspace.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    memory: Arc<Memory>,
    first: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: atomics inside a mapping that the view keeps alive.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    /// `count` words from byte `start` on, which is a multiple of 8; panics if they do not fit.
    pub(crate) fn new(memory: Arc<Memory>, start: usize, count: usize) -> Self {
        assert!(start.is_multiple_of(WORD_BYTES), "words start at a multiple of 8, not at {start}");
        let room = memory.bytes.checked_sub(start).expect("words start inside the workspace");
        assert!(count <= room / WORD_BYTES, "{count} words at {start} of {} bytes", memory.bytes);
        // SAFETY: `start` is inside the mapping.
        let first = unsafe { memory.base.add(start) }.cast();
        Self { memory, first, count }
    }

    /// Words in the view.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// A view of `count` of these words.
    pub(crate) fn at(&self, start: usize, count: usize) -> Self {
        let end = start.checked_add(count).expect("a view ends within the address space");
        assert!(end <= self.count, "words {start}..{end} of {}", self.count);
        // SAFETY: `start` is inside the view, and so inside the mapping.
        let first = unsafe { self.first.add(start) };
        Self { memory: self.memory.clone(), first, count }
    }

    /// Reads word `index`.
    #[inline]
    pub(crate) fn load(&self, index: usize, order: Ordering) -> u64 {
        self.word(index).load(order)
    }

    /// Writes word `index`.
    #[inline]
    pub(crate) fn store(&self, index: usize, value: u64, order: Ordering) {
        self.writable_word(index).store(value, order);
    }

    /// Replaces word `index` and returns what it was.
    #[inline]
    pub(crate) fn swap(&self, index: usize, value: u64, order: Ordering) -> u64 {
        self.writable_word(index).swap(value, order)
    }

    /// Sleeps while the low half of word `index` is `expected`, until woken or for `timeout`. May
    /// return early.
    pub(crate) fn wait(&self, index: usize, expected: u32, timeout: Duration) {
        let timeout = Timespec::try_from(timeout).expect("a timeout is far below 2^63 seconds");
        let flags = futex::Flags::empty();
        match futex::wait(self.low_half(index), flags, expected, Some(&timeout)) {
            Ok(()) => {}
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::TIMEDOUT) => {}
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("a futex in mapped memory can be waited for: {error}"),
        }
    }

    /// Wakes whoever waits for word `index`.
    pub(crate) fn wake(&self, index: usize) {
        futex::wake(self.low_half(index), futex::Flags::empty(), i32::MAX as u32)
            .expect("a futex in mapped memory can be woken");
    }

    #[inline]
    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.count, "word {index} of {}", self.count);
        // SAFETY: inside the view, whose words lie in a mapping kept alive by `memory` and aligned
        // to 8 since `new`; every bit pattern is a word.
        unsafe { self.first.add(index).as_ref() }
    }

    #[inline]
    fn writable_word(&self, index: usize) -> &AtomicU64 {
        assert!(self.memory.writable, "this workspace is mapped for reading only");
        self.word(index)
    }

    fn low_half(&self, index: usize) -> &AtomicU32 {
        // SAFETY: the low half of a word, which only the system reads through this reference.
        unsafe { &*ptr::from_ref(self.word(index)).cast::<AtomicU32>() }
    }
}
