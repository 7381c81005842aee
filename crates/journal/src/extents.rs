//! Large content beside the chain: data segments and the extents in them (rule R5).
//!
//! A data segment is a header block and then extents, each followed by the digests of its chunks.
//! Extents are written first, by many threads at once; an event then adopts them by their digest.
//! What no event adopts is garbage until data segments are rewritten.
//!
//! - [`room`]: who writes where. Room is given out under a lock, and written to without one.
//! - [`stream`]: the bytes of one extent and the list of its digests, in any pieces.
//! - [`writer`]: what callers use.
//! - [`adopt`]: whether an event may adopt an extent; payloads too large for the chain.
//! - [`files`], [`read`], [`segment_bytes`]: the readable side.
//! - [`recovery`]: what an open makes of data segments that a writer left behind.

pub(crate) mod adopt;
pub(crate) mod files;
pub(crate) mod read;
pub(crate) mod recovery;
pub(crate) mod room;
pub(crate) mod segment_bytes;
pub(crate) mod stream;
pub(crate) mod writer;

pub(crate) use recovery::is_sound;

use crate::{
    extent_digest::CHUNK_BYTES,
    format::{BLOCK_BYTES, FRAME_ALIGNMENT, walk::align},
};

/// Where a data segment ends at the latest: a locator has 32 bits for an offset in units of 8 bytes
/// (rule R12).
pub const DATA_SEGMENT_BYTES_END: u64 = 32 << 30;

/// Extents start, and lists of digests start, at multiples of this.
pub(crate) const EXTENT_ALIGNMENT: u64 = FRAME_ALIGNMENT;

/// Bytes of a digest in the list of an extent.
pub(crate) const DIGEST_BYTES: usize = 32;

/// Where the parts of an extent lie in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Where the bytes begin.
    pub(crate) start: u64,
    /// How many bytes it has.
    pub(crate) bytes: u64,
    /// Where the digests of its chunks begin.
    pub(crate) digests: u64,
    /// Where the digests end.
    pub(crate) end: u64,
}

impl Layout {
    /// The layout of an extent; `None` when none can lie there.
    pub(crate) fn of(start: u64, bytes: u64) -> Option<Self> {
        if start < BLOCK_BYTES
            || !start.is_multiple_of(EXTENT_ALIGNMENT)
            || start >= DATA_SEGMENT_BYTES_END
            || bytes >= DATA_SEGMENT_BYTES_END
        {
            return None;
        }
        let digests = align(start + bytes, EXTENT_ALIGNMENT);
        let end = digests + bytes.div_ceil(CHUNK_BYTES as u64) * DIGEST_BYTES as u64;
        (end <= DATA_SEGMENT_BYTES_END).then_some(Self { start, bytes, digests, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_extent_lie_behind_one_another() {
        let layout = |start, digests, end, bytes| Some(Layout { start, bytes, digests, end });
        assert_eq!(Layout::of(4096, 0), layout(4096, 4096, 4096, 0));
        assert_eq!(Layout::of(4096, 1), layout(4096, 4104, 4136, 1));
        let chunk = CHUNK_BYTES as u64;
        assert_eq!(Layout::of(8192, chunk), layout(8192, 8192 + chunk, 8224 + chunk, chunk));
        let more = layout(8192, 8200 + chunk, 8264 + chunk, chunk + 1);
        assert_eq!(Layout::of(8192, chunk + 1), more);
    }

    #[test]
    fn what_cannot_be_has_no_layout() {
        for (start, bytes) in [
            (0, 1),
            (4095, 1),
            (4100, 1),
            (u64::MAX - 7, 1),
            (4096, u64::MAX),
            (DATA_SEGMENT_BYTES_END, 0),
            (4096, DATA_SEGMENT_BYTES_END - 4096),
        ] {
            assert_eq!(Layout::of(start, bytes), None, "{bytes} bytes at {start}");
        }
    }
}
