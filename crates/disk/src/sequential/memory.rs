//! Memory for reads and direct writes: one anonymous mapping, in huge pages where the kernel has them.
//!
//! A request to a disk names a bounded number of stretches of memory. A chunk in pages of 4 KiB is
//! hundreds of stretches and may be cut into several requests; in a huge page it is one. Direct
//! reads are up to twice as fast for it.
//!
//! Invariants:
//! - The mapping lives as long as the value; nobody else has its address but those it is told.
//! - Children of the process do not get it: the kernel may write into it while a child is made.

use std::{io, ptr::NonNull, slice};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// The huge pages of x86-64, and of aarch64 with pages of 4 KiB.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Zeroed memory of this process alone, aligned to a page, from 1 MiB on to a huge page.
#[derive(Debug)]
pub(crate) struct Memory {
    mapping: NonNull<u8>,
    mapped_bytes: usize,
    /// Where the memory starts in the mapping.
    start: usize,
    bytes: usize,
}

// SAFETY: the mapping belongs to this value alone and is not tied to a thread.
unsafe impl Send for Memory {}

impl Memory {
    /// Maps `bytes` bytes, at least one.
    pub(crate) fn map(bytes: usize) -> io::Result<Self> {
        let huge = bytes >= HUGE_PAGE_BYTES / 2;
        // A huge page more than needed, so that one can start at an aligned address. What is not
        // touched costs nothing.
        let mapped_bytes =
            if huge { bytes.next_multiple_of(HUGE_PAGE_BYTES) + HUGE_PAGE_BYTES } else { bytes };
        // SAFETY: a new private mapping at an address of the kernel's choice touches no other.
        let mapping = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                mapped_bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }?;
        let mapping = NonNull::new(mapping.cast::<u8>()).expect("nothing is mapped at zero");
        let start = if huge { mapping.as_ptr().align_offset(HUGE_PAGE_BYTES) } else { 0 };
        let memory = Self { mapping, mapped_bytes, start, bytes };
        memory.advise(Advice::LinuxDontFork)?;
        if huge {
            // A wish: without huge pages reads are slower, that is all.
            let _ = memory.advise(Advice::LinuxHugepage);
        }
        Ok(memory)
    }

    fn advise(&self, advice: Advice) -> io::Result<()> {
        // SAFETY: the whole mapping of this value; neither advice given changes its content.
        Ok(unsafe { madvise(self.mapping.as_ptr().cast(), self.mapped_bytes, advice) }?)
    }

    /// All of it.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: mapped, initialised (zeroed by the kernel), and borrowed as long as the slice.
        unsafe { slice::from_raw_parts_mut(self.address(0, self.bytes), self.bytes) }
    }

    /// `count` bytes at `start`.
    ///
    /// # Safety
    ///
    /// Nobody, the kernel included, writes there as long as the slice lives.
    pub(crate) unsafe fn part(&self, start: usize, count: usize) -> &[u8] {
        let address = self.address(start, count);
        // SAFETY: inside the mapping, initialised, and by the caller's word not written.
        unsafe { slice::from_raw_parts(address, count) }
    }

    /// The address of `count` bytes at `start`, for the kernel.
    pub(super) fn address(&self, start: usize, count: usize) -> *mut u8 {
        assert!(start <= self.bytes && count <= self.bytes - start, "outside the memory");
        // SAFETY: inside the mapping, as just asserted: `self.start + self.bytes` is.
        unsafe { self.mapping.as_ptr().add(self.start + start) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: this is the whole mapping and no slice of it outlives the value.
        let unmapped = unsafe { munmap(self.mapping.as_ptr().cast(), self.mapped_bytes) };
        debug_assert!(unmapped.is_ok(), "a mapping made by map can be unmapped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zeroed_writable_to_its_last_byte_and_aligned() {
        for bytes in [1, 4096, 1 << 20, (1 << 20) + 4096, 2 << 20, 5 << 20] {
            let mut memory = Memory::map(bytes).expect("mapped");
            let alignment = if bytes < 1 << 20 { 4096 } else { HUGE_PAGE_BYTES };
            assert_eq!(memory.address(0, bytes).align_offset(alignment), 0);
            assert_eq!(memory.bytes_mut().len(), bytes);
            assert!(memory.bytes_mut().iter().all(|byte| *byte == 0));
            memory.bytes_mut().fill(1);
            assert!(memory.bytes_mut().iter().all(|byte| *byte == 1));
        }
    }
}
