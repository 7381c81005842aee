//! The last block of an index file: what the file was made from, and where its sections lie.
//!
//! Invariants:
//! - A trailer that decodes describes sections that lie within the file and have exactly the pages
//!   that their entries need; where the number of entries follows from what is covered, it is
//!   right.
//! - Sections and index kinds with unknown numbers are passed over (a later version may add some);
//!   an unknown version is an error.
//!
//! What it does *not* do: look at pages, or decide whether the file fits its segments: its user
//! compares [`Covers`] with the chain.

use super::{
    IndexKind, filter, marks,
    page::{PAGE_BYTES, entries_per_page, u32_at, u64_at},
};
use crate::error::Malformed;

/// "ICEX" as it stands in the file.
const MAGIC: [u8; 4] = *b"ICEX";

/// The only version there is.
const VERSION: u16 = 1;

const CHECK_AT: usize = 4;
const VERSION_AT: usize = 8;
const SECTIONS_AT: usize = 12;
const STORE_AT: usize = 16;
const FIRST_SEGMENT_AT: usize = STORE_AT + 16;
const LAST_SEGMENT_AT: usize = FIRST_SEGMENT_AT + 4;
const FIRST_SEQUENCE_AT: usize = LAST_SEGMENT_AT + 4;
const END_SEQUENCE_AT: usize = FIRST_SEQUENCE_AT + 8;
const FIRST_FRAME_AT: usize = END_SEQUENCE_AT + 8;
const END_FRAME_AT: usize = FIRST_FRAME_AT + 8;
const LAST_DIGEST_AT: usize = END_FRAME_AT + 8;
const FIRST_TIME_AT: usize = LAST_DIGEST_AT + 32;
const LAST_TIME_AT: usize = FIRST_TIME_AT + 8;
const TABLE_AT: usize = 128;
const DIGEST_AT: usize = PAGE_BYTES - 32;

/// Sequences and frame numbers are below this: reached after centuries at a thousand million a
/// second.
const NUMBERS_END_MAX: u64 = 1 << 63;

/// Bytes of one entry of the table of sections.
const SECTION_BYTES: usize = 40;

/// As many as fit between the head and the digest.
const SECTIONS_MAX: usize = (DIGEST_AT - TABLE_AT) / SECTION_BYTES;

const _: () = {
    assert!(LAST_TIME_AT + 8 <= TABLE_AT);
    assert!(SECTIONS_MAX >= 4 + 3 * IndexKind::COUNT);
};

/// What an index file was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Covers {
    /// Id of the store.
    pub(crate) store_id: [u8; 16],
    /// Id of the first chain segment.
    pub(crate) first_segment: u32,
    /// Id of the last chain segment, which may be the first.
    pub(crate) last_segment: u32,
    /// The first event.
    pub(crate) first_sequence: u64,
    /// Past the last event.
    pub(crate) end_sequence: u64,
    /// Number of the first frame.
    pub(crate) first_frame: u64,
    /// Past the number of the last frame.
    pub(crate) end_frame: u64,
    /// Digest of the last frame.
    pub(crate) last_digest: [u8; 32],
    /// Time of the first frame, nanoseconds since 1970.
    pub(crate) first_time: u64,
    /// Time of the last frame, nanoseconds since 1970.
    pub(crate) last_time: u64,
}

impl Covers {
    /// How many events. Only for ranges that are in order.
    pub(crate) fn events(&self) -> u64 {
        self.end_sequence - self.first_sequence
    }

    /// What is wrong with the ranges, if anything is. Entries hold differences in 32 bits, and no
    /// number comes so near to its maximum that adding one would overflow.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let in_32_bits = |first: u64, end: u64| {
            let count = end.checked_sub(first);
            count.is_some_and(|count| count <= u64::from(u32::MAX)) && end <= NUMBERS_END_MAX
        };
        if self.first_segment > self.last_segment {
            Some("the segments of an index file are not in order")
        } else if !in_32_bits(self.first_sequence, self.end_sequence) {
            Some("the events of an index file are not in order, or too many")
        } else if !in_32_bits(self.first_frame, self.end_frame) {
            Some("the frames of an index file are not in order, or too many")
        } else if self.first_time > self.last_time {
            Some("the times of an index file are not in order")
        } else {
            None
        }
    }
}

/// What a section holds. The number is the one in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum SectionKind {
    /// Where each event's record lies in the one segment covered.
    Offsets = 1,
    /// The time of some events.
    Times = 2,
    /// The place of some frames.
    Frames = 3,
    /// Nodes of the mountain range.
    Mountain = 4,
    /// Entries of one index, sorted.
    Postings = 5,
    /// The first entry of each page of postings.
    Fences = 6,
    /// Which keys the postings may have.
    Filter = 7,
}

impl SectionKind {
    const ALL: [Self; 7] = [
        Self::Offsets,
        Self::Times,
        Self::Frames,
        Self::Mountain,
        Self::Postings,
        Self::Fences,
        Self::Filter,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&kind| kind as u8 == byte)
    }

    /// Bytes of one entry.
    pub(crate) const fn entry_bytes(self) -> usize {
        match self {
            Self::Offsets => 4,
            Self::Times | Self::Frames | Self::Postings | Self::Fences => 12,
            Self::Mountain | Self::Filter => 32,
        }
    }

    /// Entries of one page.
    pub(crate) const fn per_page(self) -> u64 {
        entries_per_page(self.entry_bytes())
    }
}

/// Where entries of one sort lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Section {
    /// What the entries are.
    pub(crate) kind: SectionKind,
    /// How many.
    pub(crate) entries: u64,
    /// Number of the first page.
    pub(crate) first_page: u64,
    /// How many pages.
    pub(crate) pages: u64,
}

/// The three sections of one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexSections {
    pub(crate) postings: Section,
    pub(crate) fences: Section,
    pub(crate) filter: Section,
    /// How many different keys the postings have.
    pub(crate) distinct: u64,
}

/// A trailer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) covers: Covers,
    /// Absent in merged files.
    pub(crate) offsets: Option<Section>,
    pub(crate) times: Section,
    pub(crate) frames: Section,
    pub(crate) mountain: Section,
    /// By the number of the index kind; `None` for what is not indexed.
    pub(crate) indexes: [Option<IndexSections>; IndexKind::COUNT],
}

impl Trailer {
    pub(crate) fn encode(&self) -> [u8; PAGE_BYTES] {
        let covers = &self.covers;
        let mut bytes = [0; PAGE_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &MAGIC);
        put(VERSION_AT, &VERSION.to_le_bytes());
        put(STORE_AT, &covers.store_id);
        put(FIRST_SEGMENT_AT, &covers.first_segment.to_le_bytes());
        put(LAST_SEGMENT_AT, &covers.last_segment.to_le_bytes());
        put(FIRST_SEQUENCE_AT, &covers.first_sequence.to_le_bytes());
        put(END_SEQUENCE_AT, &covers.end_sequence.to_le_bytes());
        put(FIRST_FRAME_AT, &covers.first_frame.to_le_bytes());
        put(END_FRAME_AT, &covers.end_frame.to_le_bytes());
        put(LAST_DIGEST_AT, &covers.last_digest);
        put(FIRST_TIME_AT, &covers.first_time.to_le_bytes());
        put(LAST_TIME_AT, &covers.last_time.to_le_bytes());

        let mut sections = 0;
        let mut put_section = |section: Section, index_kind: u8, extra: u64| {
            let at = TABLE_AT + SECTION_BYTES * sections;
            put(at, &[section.kind as u8, index_kind]);
            put(at + 8, &section.entries.to_le_bytes());
            put(at + 16, &section.first_page.to_le_bytes());
            put(at + 24, &section.pages.to_le_bytes());
            put(at + 32, &extra.to_le_bytes());
            sections += 1;
        };
        for section in self.offsets.into_iter().chain([self.times, self.frames, self.mountain]) {
            put_section(section, 0, 0);
        }
        for (number, index) in (0..).zip(self.indexes) {
            let Some(index) = index else { continue };
            put_section(index.postings, number, index.distinct);
            put_section(index.fences, number, 0);
            put_section(index.filter, number, 0);
        }
        let sections = u32::try_from(sections).expect("at most SECTIONS_MAX");
        bytes[SECTIONS_AT..SECTIONS_AT + 4].copy_from_slice(&sections.to_le_bytes());
        seal(&mut bytes);
        bytes
    }

    /// Decodes the last block of a file of `file_bytes`.
    pub(crate) fn decode(bytes: &[u8; PAGE_BYTES], file_bytes: u64) -> Result<Self, Malformed> {
        let start = file_bytes - PAGE_BYTES as u64;
        let bad = |at: usize, what| Err(Malformed::new(start + at as u64, what));
        if bytes[..CHECK_AT] != MAGIC {
            return bad(0, "an index file does not end in a trailer");
        }
        if u32_at(bytes, CHECK_AT) != crc32fast::hash(&bytes[VERSION_AT..DIGEST_AT])
            || bytes[DIGEST_AT..] != blake3::hash(&bytes[..DIGEST_AT]).as_bytes()[..]
        {
            return bad(CHECK_AT, "the trailer of an index file does not match its checks");
        }
        if bytes[VERSION_AT..VERSION_AT + 2] != VERSION.to_le_bytes() {
            return bad(VERSION_AT, "the version of an index file is not known");
        }
        let covers = Covers {
            store_id: bytes[STORE_AT..FIRST_SEGMENT_AT].try_into().expect("16 bytes"),
            first_segment: u32_at(bytes, FIRST_SEGMENT_AT),
            last_segment: u32_at(bytes, LAST_SEGMENT_AT),
            first_sequence: u64_at(bytes, FIRST_SEQUENCE_AT),
            end_sequence: u64_at(bytes, END_SEQUENCE_AT),
            first_frame: u64_at(bytes, FIRST_FRAME_AT),
            end_frame: u64_at(bytes, END_FRAME_AT),
            last_digest: bytes[LAST_DIGEST_AT..FIRST_TIME_AT].try_into().expect("32 bytes"),
            first_time: u64_at(bytes, FIRST_TIME_AT),
            last_time: u64_at(bytes, LAST_TIME_AT),
        };
        if let Some(what) = covers.problem() {
            return bad(FIRST_SEGMENT_AT, what);
        }
        let count = u32_at(bytes, SECTIONS_AT);
        let count = usize::try_from(count).ok().filter(|&count| count <= SECTIONS_MAX);
        let Some(count) = count else {
            return bad(SECTIONS_AT, "an index file has too many sections");
        };

        let pages = start / PAGE_BYTES as u64;
        let mut table = Table::default();
        for number in 0..count {
            let at = TABLE_AT + SECTION_BYTES * number;
            let entry = &bytes[at..at + SECTION_BYTES];
            if let Err(what) = table.add(entry, pages) {
                return bad(at, what);
            }
        }
        table.finish(covers).or_else(|what| bad(TABLE_AT, what))
    }
}

/// Writes the check, over all after itself up to the digest, and the digest, over all before
/// itself.
pub(super) fn seal(bytes: &mut [u8; PAGE_BYTES]) {
    let check = crc32fast::hash(&bytes[VERSION_AT..DIGEST_AT]);
    bytes[CHECK_AT..VERSION_AT].copy_from_slice(&check.to_le_bytes());
    let digest = blake3::hash(&bytes[..DIGEST_AT]);
    bytes[DIGEST_AT..].copy_from_slice(digest.as_bytes());
}

/// The sections that were found so far, each at most once.
#[derive(Default)]
struct Table {
    offsets: Option<Section>,
    times: Option<Section>,
    frames: Option<Section>,
    mountain: Option<Section>,
    postings: [Option<(Section, u64)>; IndexKind::COUNT],
    fences: [Option<Section>; IndexKind::COUNT],
    filters: [Option<Section>; IndexKind::COUNT],
}

impl Table {
    /// Takes one entry of the table. The file has `pages_max` pages.
    fn add(&mut self, entry: &[u8], pages_max: u64) -> Result<(), &'static str> {
        let Some(kind) = SectionKind::from_byte(entry[0]) else { return Ok(()) };
        let section = Section {
            kind,
            entries: u64_at(entry, 8),
            first_page: u64_at(entry, 16),
            pages: u64_at(entry, 24),
        };
        let end = section.first_page.checked_add(section.pages);
        if end.is_none_or(|end| end > pages_max) {
            return Err("a section of an index file lies outside the file");
        }
        if section.pages != section.entries.div_ceil(kind.per_page()) {
            return Err("a section of an index file has not the pages that its entries need");
        }
        let number = usize::from(entry[1]);
        let twice = match kind {
            SectionKind::Offsets => self.offsets.replace(section).is_some(),
            SectionKind::Times => self.times.replace(section).is_some(),
            SectionKind::Frames => self.frames.replace(section).is_some(),
            SectionKind::Mountain => self.mountain.replace(section).is_some(),
            _ if number >= IndexKind::COUNT => return Ok(()),
            SectionKind::Postings => {
                self.postings[number].replace((section, u64_at(entry, 32))).is_some()
            }
            SectionKind::Fences => self.fences[number].replace(section).is_some(),
            SectionKind::Filter => self.filters[number].replace(section).is_some(),
        };
        if twice { Err("an index file has a section twice") } else { Ok(()) }
    }

    fn finish(self, covers: Covers) -> Result<Trailer, &'static str> {
        let (Some(times), Some(frames), Some(mountain)) = (self.times, self.frames, self.mountain)
        else {
            return Err("an index file lacks a section that every one has");
        };
        let (first, end) = (covers.first_frame, covers.end_frame);
        let due = |section: Section, entries: u64| section.entries == entries;
        if !self.offsets.is_none_or(|offsets| due(offsets, covers.events()))
            || !due(times, marks::times_between(covers.first_sequence, covers.end_sequence))
            || !due(frames, marks::frames_between(first, end))
            || !due(mountain, marks::nodes_between(first, end))
        {
            return Err("a section of an index file has not the entries that its range needs");
        }
        let mut indexes = [None; IndexKind::COUNT];
        for (number, index) in indexes.iter_mut().enumerate() {
            *index = match (self.postings[number], self.fences[number], self.filters[number]) {
                (None, None, None) => None,
                (Some((postings, distinct)), Some(fences), Some(filter)) => {
                    if fences.entries != postings.pages
                        || distinct > postings.entries
                        || (distinct == 0) != (postings.entries == 0)
                        || filter.entries != filter::blocks_for(distinct)
                    {
                        return Err("the sections of an index do not fit each other");
                    }
                    Some(IndexSections { postings, fences, filter, distinct })
                }
                _ => return Err("an index lacks its postings, fences or filter"),
            };
        }
        Ok(Trailer { covers, offsets: self.offsets, times, frames, mountain, indexes })
    }
}
