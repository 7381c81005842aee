//! The shape of a link in memory: its sizes, its descriptors and their marks.
//!
//! The ring: a line with the count of fragments published, then `depth` descriptors. A descriptor is
//! four words: the sequence; the stream offset of its first byte; where the bytes lie, from the
//! start of the workspace; and from the low bits up the size (32 bits), the flags (8 bits), 8 bits
//! unused and the origin (16 bits). Progress: a line for each consumer with the lowest sequence that
//! it has not released, and the stream offset of that fragment's first byte.
//!
//! What it does *not* do: check what another side wrote; the two sides do.

use std::sync::atomic::Ordering;

use crate::layer::Words;

/// Words of a cache line: 64 bytes on x86-64 and most arm64.
pub(super) const LINE_WORDS: usize = 8;
/// Words of a descriptor.
const DESCRIPTOR_WORDS: usize = 4;
/// Fragments in flight on one link, at most: keeps the private tables of both sides small.
pub(crate) const DEPTH_MAX: u32 = 65_536;
/// Consumers of one link, at most: the producer looks at every one of them.
pub(crate) const CONSUMERS_MAX: usize = 64;

/// Where the words of a progress line are.
pub(super) const PROGRESS_SEQUENCE: usize = 0;
pub(super) const PROGRESS_STREAM: usize = 1;

/// The sizes of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkShape {
    /// Fragments that can be in flight: a power of two, at most 65,536.
    pub(crate) depth: u32,
    /// Bytes of the producer's own data region; 0 if it only passes on what other links hold.
    pub(crate) data_bytes: usize,
    /// Consumers, 1 to 64. Every one of them sees every fragment.
    pub(crate) consumers: usize,
}

impl LinkShape {
    /// Words that the producer writes.
    pub(crate) fn ring_words(&self) -> usize {
        LINE_WORDS + self.depth as usize * DESCRIPTOR_WORDS
    }

    /// Words that the consumers write.
    pub(crate) fn progress_words(&self) -> usize {
        self.consumers * LINE_WORDS
    }

    pub(super) fn check(&self, ring: &Words, progress: &Words) {
        let depth = self.depth;
        assert!(
            depth.is_power_of_two() && depth <= DEPTH_MAX,
            "a link's depth is a power of two up to {DEPTH_MAX}, not {depth}"
        );
        assert!(
            (1..=CONSUMERS_MAX).contains(&self.consumers),
            "a link has 1 to {CONSUMERS_MAX} consumers, not {}",
            self.consumers
        );
        assert_eq!(ring.len(), self.ring_words(), "words of the ring");
        assert_eq!(progress.len(), self.progress_words(), "words of progress");
    }
}

/// What a producer says of a fragment beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// Of [`Mark::START`], [`Mark::END`] and [`Mark::ERROR`]; the other bits are the tiles' own.
    pub flags: u8,
    /// Whatever the producer wants: usually which of several inputs the bytes belong to.
    pub origin: u16,
}

impl Mark {
    /// The first fragment of a unit (a file, a frame).
    pub const START: u8 = 1;
    /// The last fragment of a unit.
    pub const END: u8 = 2;
    /// The unit is broken; the bytes, if any, say why.
    pub const ERROR: u8 = 4;

    /// No flags, from `origin`.
    pub fn from_origin(origin: u16) -> Self {
        Self { flags: 0, origin }
    }

    /// With these flags too.
    #[must_use]
    pub fn with(self, flags: u8) -> Self {
        Self { flags: self.flags | flags, ..self }
    }

    /// Whether a unit starts here.
    pub fn is_start(self) -> bool {
        self.flags & Self::START != 0
    }

    /// Whether a unit ends here.
    pub fn is_end(self) -> bool {
        self.flags & Self::END != 0
    }

    /// Whether the unit is broken.
    pub fn is_error(self) -> bool {
        self.flags & Self::ERROR != 0
    }
}

/// What the ring says of one fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) sequence: u64,
    pub(super) stream_offset: u64,
    pub(super) place: u64,
    pub(super) bytes: u32,
    pub(super) mark: Mark,
}

/// The producer's words.
#[derive(Debug)]
pub(super) struct Ring {
    words: Words,
    mask: u64,
}

impl Ring {
    pub(super) fn new(words: Words, depth: u32) -> Self {
        Self { words, mask: u64::from(depth - 1) }
    }

    /// The slot of a sequence, in the ring and in the private tables of both sides.
    #[inline]
    pub(super) fn slot(&self, sequence: u64) -> usize {
        (sequence & self.mask) as usize
    }

    #[inline]
    pub(super) fn published(&self) -> u64 {
        self.words.load(0, Ordering::Acquire)
    }

    #[inline]
    pub(super) fn publish(&self, descriptor: &Descriptor) {
        let Descriptor { sequence, stream_offset, place, bytes, mark } = *descriptor;
        let marked = u64::from(bytes) | u64::from(mark.flags) << 32 | u64::from(mark.origin) << 48;
        let first = self.first_word(sequence);
        for (index, word) in [sequence, stream_offset, place, marked].into_iter().enumerate() {
            self.words.store(first + index, word, Ordering::Relaxed);
        }
        self.words.store(0, sequence + 1, Ordering::Release);
    }

    /// Reads each word once.
    #[inline]
    pub(super) fn descriptor(&self, sequence: u64) -> Descriptor {
        let first = self.first_word(sequence);
        let [sequence, stream_offset, place, marked] =
            [0, 1, 2, 3].map(|index| self.words.load(first + index, Ordering::Relaxed));
        let mark = Mark { flags: (marked >> 32) as u8, origin: (marked >> 48) as u16 };
        Descriptor { sequence, stream_offset, place, bytes: marked as u32, mark }
    }

    fn first_word(&self, sequence: u64) -> usize {
        LINE_WORDS + self.slot(sequence) * DESCRIPTOR_WORDS
    }
}
