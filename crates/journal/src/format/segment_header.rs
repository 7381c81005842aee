//! The header of a segment: its first block. It says whose file this is and, for a chain segment,
//! where in the chain it begins, so that its frames can be judged without the files before it.
//!
//! Invariants:
//! - One block, one way to write it: every byte that is not told is zero.
//! - A mountain range over n frames has as many peaks as n has bits that are one; other counts are
//!   refused.
//!
//! What it does *not* do: know the segment's end, which only the manifest and the frames tell.

use crate::{
    Digest, Malformed, StoreId,
    format::{
        BLOCK_BYTES,
        fields::{array_at, digest_at, put, u16_at, u32_at, u64_at},
    },
};

const MAGIC: [u8; 4] = *b"ICES";
const FORMAT: u16 = 1;

const CHECK: usize = 4;
const COVERED: usize = 8;
const VERSION: usize = 8;
const CONTENT: usize = 10;
const ZERO: usize = 11;
const SEGMENT: usize = 12;
const STORE_ID: usize = 16;
const EPOCH: usize = 32;
const CREATED: usize = 40;
const SESSION: usize = 48;
const PREVIOUS_SEGMENT: usize = 56;
const PEAK_COUNT: usize = 60;
const FIRST_SEQUENCE: usize = 64;
const FIRST_FRAME: usize = 72;
const PREVIOUS: usize = 80;
const PEAKS: usize = 112;

const CHAIN: u8 = 1;
const DATA: u8 = 2;
const REDUCED_CHAIN: u8 = 3;

/// Bytes of a segment header: the whole first block.
pub(crate) const SEGMENT_HEADER_BYTES: usize = BLOCK_BYTES as usize;

/// Segment ids are below this: a locator has 24 bits for them (rule R12).
pub(crate) const SEGMENT_ID_END: u32 = 1 << 24;

/// Peaks of a mountain range at most: as many as a frame number has bits.
pub(crate) const PEAKS_MAX: usize = u64::BITS as usize;

const DIGEST_BYTES: usize = 32;
const PEAKS_END: usize = PEAKS + PEAKS_MAX * DIGEST_BYTES;
const _: () = assert!(PEAKS_END <= SEGMENT_HEADER_BYTES);

/// What the first block of a segment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) store_id: StoreId,
    /// Of the writer that made the file.
    pub(crate) epoch: u64,
    /// The segment's own id.
    pub(crate) segment: u32,
    /// Nanoseconds since 1970.
    pub(crate) created: u64,
    pub(crate) content: Content,
}

/// What a segment holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// Frames, all that were ever written there.
    Chain(ChainStart),
    /// Frames of which some were dropped.
    ReducedChain(ChainStart),
    /// Extents.
    Data {
        /// The bulk session that it is part of; 0: none.
        session: u64,
    },
}

/// Where in the chain a segment begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChainStart {
    /// The chain segment before it; 0: none.
    pub(crate) previous_segment: u32,
    /// Of its first event; nothing is said of whether those before were durable.
    pub(crate) first_sequence: u64,
    pub(crate) first_frame: u64,
    /// Digest of the last frame before; genesis where there is none.
    pub(crate) previous: Digest,
    /// Peaks of the mountain range over all frames before, from high to low.
    pub(crate) peaks: Vec<Digest>,
}

impl SegmentHeader {
    /// The block. A header that could not be read again is the caller's error.
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        self.check().expect("a header is made of what the writer knows to be right");
        let mut block = [0; SEGMENT_HEADER_BYTES];
        put(&mut block, 0, MAGIC);
        put(&mut block, VERSION, FORMAT.to_le_bytes());
        put(&mut block, SEGMENT, self.segment.to_le_bytes());
        put(&mut block, STORE_ID, self.store_id.0);
        put(&mut block, EPOCH, self.epoch.to_le_bytes());
        put(&mut block, CREATED, self.created.to_le_bytes());
        match &self.content {
            Content::Chain(start) => start.put(CHAIN, &mut block),
            Content::ReducedChain(start) => start.put(REDUCED_CHAIN, &mut block),
            Content::Data { session } => {
                put(&mut block, CONTENT, [DATA]);
                put(&mut block, SESSION, session.to_le_bytes());
            }
        }
        let check = crc32fast::hash(&block[COVERED..]);
        put(&mut block, CHECK, check.to_le_bytes());
        block
    }

    /// Reads the first block of a segment; takes any bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some(block) = bytes.first_chunk::<SEGMENT_HEADER_BYTES>() else {
            return Err(Malformed::new(bytes.len() as u64, "a segment ends within its header"));
        };
        if block[..4] != MAGIC {
            return Err(malformed(0, "no segment begins here"));
        }
        if u32_at(block, CHECK) != crc32fast::hash(&block[COVERED..]) {
            return Err(malformed(CHECK, "the header of a segment does not check"));
        }
        if u16_at(block, VERSION) != FORMAT {
            return Err(malformed(
                VERSION,
                "a segment of a version that this program does not know; use the program that wrote it",
            ));
        }
        let header = Self {
            store_id: StoreId(array_at(block, STORE_ID)),
            epoch: u64_at(block, EPOCH),
            segment: u32_at(block, SEGMENT),
            created: u64_at(block, CREATED),
            content: match block[CONTENT] {
                CHAIN => Content::Chain(ChainStart::take(block)?),
                REDUCED_CHAIN => Content::ReducedChain(ChainStart::take(block)?),
                DATA => Content::Data { session: u64_at(block, SESSION) },
                _ => return Err(malformed(CONTENT, "a segment of unknown content")),
            },
        };
        header.check()?;
        // Whatever was not read has to be zero, or there would be two ways to write one header.
        if header.encode() != *block {
            return Err(malformed(
                ZERO,
                "bytes that have to be zero in a segment's header are not",
            ));
        }
        Ok(header)
    }

    fn check(&self) -> Result<(), Malformed> {
        if !(1..SEGMENT_ID_END).contains(&self.segment) {
            return Err(malformed(SEGMENT, "a segment's id is out of range"));
        }
        let (Content::Chain(start) | Content::ReducedChain(start)) = &self.content else {
            return Ok(());
        };
        if start.previous_segment >= SEGMENT_ID_END || start.previous_segment == self.segment {
            return Err(malformed(PREVIOUS_SEGMENT, "the segment before cannot be that"));
        }
        if start.first_frame > start.first_sequence {
            return Err(malformed(FIRST_FRAME, "more frames than events come before a segment"));
        }
        if start.peaks.len() != start.first_frame.count_ones() as usize {
            return Err(malformed(
                PEAK_COUNT,
                "a mountain range has other peaks than its frames ask",
            ));
        }
        Ok(())
    }
}

impl ChainStart {
    fn put(&self, content: u8, block: &mut [u8; SEGMENT_HEADER_BYTES]) {
        let peak_count = u32::try_from(self.peaks.len()).expect("checked: 64 at most");
        put(block, CONTENT, [content]);
        put(block, PREVIOUS_SEGMENT, self.previous_segment.to_le_bytes());
        put(block, PEAK_COUNT, peak_count.to_le_bytes());
        put(block, FIRST_SEQUENCE, self.first_sequence.to_le_bytes());
        put(block, FIRST_FRAME, self.first_frame.to_le_bytes());
        put(block, PREVIOUS, self.previous.0);
        for (at, peak) in (PEAKS..).step_by(DIGEST_BYTES).zip(&self.peaks) {
            put(block, at, peak.0);
        }
    }

    fn take(block: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Self, Malformed> {
        let peak_count = u32_at(block, PEAK_COUNT) as usize;
        if peak_count > PEAKS_MAX {
            return Err(malformed(PEAK_COUNT, "a mountain range has more than 64 peaks"));
        }
        let peaks = (PEAKS..PEAKS_END).step_by(DIGEST_BYTES).take(peak_count);
        Ok(Self {
            previous_segment: u32_at(block, PREVIOUS_SEGMENT),
            first_sequence: u64_at(block, FIRST_SEQUENCE),
            first_frame: u64_at(block, FIRST_FRAME),
            previous: digest_at(block, PREVIOUS),
            peaks: peaks.map(|at| digest_at(block, at)).collect(),
        })
    }
}

fn malformed(at: usize, what: &'static str) -> Malformed {
    Malformed::new(at as u64, what)
}

/// For the fuzz target only.
pub(crate) mod fuzzing {
    use super::*;

    /// Any bytes, as they are and with a right magic, version and CRC: no panic, and what is read
    /// is written again byte for byte.
    pub fn segment_header(bytes: &[u8]) {
        let mut block = [0; SEGMENT_HEADER_BYTES];
        let count = bytes.len().min(SEGMENT_HEADER_BYTES);
        block[..count].copy_from_slice(&bytes[..count]);
        put(&mut block, 0, MAGIC);
        put(&mut block, VERSION, FORMAT.to_le_bytes());
        let check = crc32fast::hash(&block[COVERED..]);
        put(&mut block, CHECK, check.to_le_bytes());
        for bytes in [bytes, &block] {
            if let Ok(header) = SegmentHeader::decode(bytes) {
                assert!(bytes.starts_with(&header.encode()), "it is written as it was read");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start() -> impl Strategy<Value = ChainStart> {
        let numbers = (0..SEGMENT_ID_END - 1, any::<u64>(), any::<u64>());
        (numbers, any::<[u8; 32]>()).prop_map(|((previous_segment, one, other), seed)| ChainStart {
            previous_segment,
            first_sequence: one.max(other),
            first_frame: one.min(other),
            previous: Digest(seed),
            peaks: (0..one.min(other).count_ones())
                .map(|peak| Digest(*blake3::keyed_hash(&seed, &peak.to_le_bytes()).as_bytes()))
                .collect(),
        })
    }

    prop_compose! {
        fn header()(
            store_id: [u8; 16],
            epoch: u64,
            created: u64,
            content in prop_oneof![
                start().prop_map(Content::Chain),
                start().prop_map(Content::ReducedChain),
                any::<u64>().prop_map(|session| Content::Data { session }),
            ],
        ) -> SegmentHeader {
            let segment = SEGMENT_ID_END - 1;
            SegmentHeader { store_id: StoreId(store_id), epoch, segment, created, content }
        }
    }

    fn mended(mut block: [u8; SEGMENT_HEADER_BYTES]) -> [u8; SEGMENT_HEADER_BYTES] {
        let check = crc32fast::hash(&block[COVERED..]);
        put(&mut block, CHECK, check.to_le_bytes());
        block
    }

    fn first() -> SegmentHeader {
        SegmentHeader {
            store_id: StoreId(*b"a store's own id"),
            epoch: 1,
            segment: 1,
            created: 1_700_000_000_000_000_000,
            content: Content::Chain(ChainStart {
                previous_segment: 0,
                first_sequence: 9,
                first_frame: 5,
                previous: Digest([7; 32]),
                peaks: vec![Digest([8; 32]), Digest([9; 32])],
            }),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(header in header()) {
            prop_assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
        }

        #[test]
        fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
            fuzzing::segment_header(&bytes);
        }

        #[test]
        fn any_change_of_a_valid_one_is_judged(
            header in header(),
            at in COVERED..PEAKS_END + 8,
            byte: u8,
        ) {
            let mut block = header.encode();
            block[at] = byte;
            fuzzing::segment_header(&block);
        }
    }

    #[test]
    fn each_flipped_bit_and_each_cut_is_refused() {
        let block = first().encode();
        for bit in 0..block.len() * 8 {
            let mut damaged = block;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&damaged).is_err(), "bit {bit}");
        }
        for bytes in 0..block.len() {
            assert!(SegmentHeader::decode(&block[..bytes]).is_err(), "{bytes} bytes");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_even_with_a_right_check() {
        let block = first().encode();
        let places: [(usize, &[u8], usize); 9] = [
            (VERSION, &[2], VERSION),
            (CONTENT, &[0], CONTENT),
            (CONTENT, &[4], CONTENT),
            (SEGMENT, &[0; 4], SEGMENT),
            (SEGMENT, &[0, 0, 0, 1], SEGMENT),
            (PREVIOUS_SEGMENT, &[1], PREVIOUS_SEGMENT),
            (FIRST_FRAME, &[10], FIRST_FRAME),
            (PEAK_COUNT, &[65], PEAK_COUNT),
            (PEAK_COUNT, &[3], PEAK_COUNT),
        ];
        for (at, bytes, found) in places {
            let mut wrong = block;
            wrong[at..at + bytes.len()].copy_from_slice(bytes);
            let error = SegmentHeader::decode(&mended(wrong)).expect_err("it cannot be");
            assert_eq!(error.at, found as u64, "{bytes:?} at {at}");
        }
    }

    #[test]
    fn what_a_header_has_no_use_for_is_zero() {
        let block = first().encode();
        for at in [ZERO, SESSION, PEAKS + 2 * DIGEST_BYTES, PEAKS_END, SEGMENT_HEADER_BYTES - 1] {
            let mut other = block;
            other[at] = 1;
            assert!(SegmentHeader::decode(&mended(other)).is_err(), "byte {at}");
        }
        let data = SegmentHeader { content: Content::Data { session: 7 }, ..first() }.encode();
        for at in [PREVIOUS_SEGMENT, FIRST_SEQUENCE, FIRST_FRAME, PREVIOUS, PEAKS] {
            let mut other = data;
            other[at] = 1;
            assert!(SegmentHeader::decode(&mended(other)).is_err(), "byte {at}");
        }
    }

    #[test]
    fn the_bytes_of_a_known_header_stay_the_same() {
        let digest = blake3::hash(&first().encode()).to_hex();
        assert_eq!(
            digest.as_str(),
            "33485aedbc7dc988ed83ba26b2025b1f9872990d188a0a50ce4db0ea148c14fa"
        );
    }
}
