//! Memory that a disk can be written from without a copy by the kernel.
//!
//! [`DiskFile::write_direct_at`](crate::DiskFile::write_direct_at) takes whole blocks: the memory, the
//! length and the offset are multiples of [`DIRECT_BYTES`]. An [`AlignedBuffer`] begins at such an
//! address, so its parts that begin and end at multiples of the block are good for it.
//!
//! What it does *not* do: grow, or know where its bytes go.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use crate::{Error, sequential::Memory};

/// Bytes of a block of direct writes: a page, and the largest sector of disks that are in use.
pub const DIRECT_BYTES: usize = 4096;

/// Memory of a fixed size that begins at a multiple of [`DIRECT_BYTES`], of zeros at first. Pages
/// that are not touched cost nothing.
pub struct AlignedBuffer {
    memory: Memory,
    bytes: usize,
}

impl AlignedBuffer {
    /// Takes `bytes` bytes from the system.
    ///
    /// # Errors
    /// The system has no memory.
    ///
    /// # Panics
    /// Without bytes.
    pub fn new(bytes: usize) -> Result<Self, Error> {
        assert!(bytes > 0, "a buffer has bytes");
        let memory = Memory::map(bytes)
            .map_err(|source| Error::new("memory", "take a buffer of", source))?;
        Ok(Self { memory, bytes })
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: nobody but this value knows the address, and who changes the bytes borrows it
        // mutably.
        unsafe { self.memory.part(0, self.bytes) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.memory.bytes_mut()
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AlignedBuffer").field("bytes", &self.bytes).finish()
    }
}

/// Whether these bytes can be written directly to this place.
pub(crate) fn assert_direct(offset: u64, bytes: &[u8]) {
    assert!(
        offset.is_multiple_of(DIRECT_BYTES as u64)
            && bytes.len().is_multiple_of(DIRECT_BYTES)
            && bytes.as_ptr().addr().is_multiple_of(DIRECT_BYTES),
        "direct writes are of whole blocks: {} bytes at {:p} to offset {offset}",
        bytes.len(),
        bytes.as_ptr(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_aligned_zeroed_and_as_long_as_was_asked_for() {
        for bytes in [1, 4096, 10_000, 2 << 20] {
            let mut buffer = AlignedBuffer::new(bytes).expect("memory");
            assert_eq!(buffer.len(), bytes);
            assert!(buffer.iter().all(|byte| *byte == 0));
            assert_direct(0, &buffer[..0]);
            buffer.fill(7);
            assert!(buffer.iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn parts_that_are_no_blocks_are_refused() {
        let buffer = AlignedBuffer::new(3 * DIRECT_BYTES).expect("memory");
        assert_direct(8192, &buffer[DIRECT_BYTES..]);
        for (offset, start, end) in [(1, 0, 4096), (512, 0, 4096), (0, 0, 4095), (0, 512, 4608)] {
            let caught = std::panic::catch_unwind(|| assert_direct(offset, &buffer[start..end]));
            assert!(caught.is_err(), "{offset} {start}..{end}");
        }
    }
}
