//! Where a tar stream is cut into frames (decision 0031).
//!
//! A frame ends
//! - when it is full: frames have a fixed size, [`FRAME_BYTES_DEFAULT`] unless told otherwise;
//! - before a member that would straddle its end, if the frame is three quarters full. So most
//!   storages lie in one frame, at the price of frames that are a quarter smaller at worst.
//!
//! Invariant: where frames end follows from the sizes of the members and of a frame alone. It can
//! be computed before a byte is there, or while bytes come.

use std::ops::RangeInclusive;

/// Bytes of a frame's content, as the reference client from 4.3 on has them: 32 MiB.
pub const FRAME_BYTES_DEFAULT: u32 = 32 << 20;

/// Bytes that the content of a frame can be made to have. Whoever packs or unpacks a frame holds
/// all of it in memory, packed and unpacked.
pub const FRAME_BYTES: RangeInclusive<u32> = 4 << 10..=128 << 20;

/// Walks along a tar stream and says where frames end.
#[derive(Debug, Clone)]
pub struct FramePlan {
    frame_bytes: u64,
    /// Bytes of the frame at hand.
    held: u64,
}

impl FramePlan {
    /// Starts before the first byte. A size outside of [`FRAME_BYTES`] is a mistake of the program:
    /// it panics.
    pub fn new(frame_bytes: u32) -> Self {
        assert!(FRAME_BYTES.contains(&frame_bytes), "options are checked where they are given");
        Self { frame_bytes: frame_bytes.into(), held: 0 }
    }

    /// Says that here begins a member of so many bytes, header and padding included. Whether the
    /// frame at hand ends here, before it.
    pub fn member(&mut self, member_bytes: u64) -> bool {
        let straddles = member_bytes > self.room();
        let ends = straddles && self.held >= self.frame_bytes / 4 * 3;
        if ends {
            self.held = 0;
        }
        ends
    }

    /// Bytes that the frame at hand still takes, at least one.
    pub fn room(&self) -> u64 {
        self.frame_bytes - self.held
    }

    /// Bytes of the frame at hand so far. What is left of the stream's last frame counts: a stream
    /// ends with this frame if it is not zero.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Goes on by at most [`room`](Self::room) bytes. Whether the frame at hand is full and ends
    /// here.
    pub fn advance(&mut self, bytes: u64) -> bool {
        assert!(bytes <= self.room(), "no more than there is room for");
        self.held += bytes;
        let ends = self.held == self.frame_bytes;
        if ends {
            self.held = 0;
        }
        ends
    }
}
