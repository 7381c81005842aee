//! An index file, opened: the trailer is read, pages are read as they are asked for.
//!
//! What it does *not* do: fall back. On [`Malformed`] the caller scans the segments that the file
//! covers, and has the file made again.

use std::ops::{Deref, Range};

use icecore_disk::Mapping;

use super::{
    IndexKind,
    filter::{BLOCK_BYTES, Probe},
    lookup::{Entries, KeySequences, SORTED_BYTES, lower_bound, order_of},
    marks,
    page::{PAGE_BYTES, Pages, u32_at},
    trailer::{Covers, IndexSections, Section, Trailer},
};
use crate::error::Malformed;

/// Where a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameMark {
    /// Its number.
    pub(crate) number: u64,
    /// Its first event.
    pub(crate) first_sequence: u64,
    /// Its offset in the segment, in bytes; merged files do not know it.
    pub(crate) offset: Option<u32>,
}

/// An index file over its bytes, which must not change: a mapping, or a slice in tests.
#[derive(Debug)]
pub(crate) struct IndexFile<B = Mapping> {
    pub(super) pages: Pages<B>,
    pub(super) trailer: Trailer,
}

impl<B: Deref<Target = [u8]>> IndexFile<B> {
    /// Reads and checks the trailer, and nothing else.
    pub(crate) fn open(bytes: B) -> Result<Self, Malformed> {
        let file_bytes = bytes.len() as u64;
        let last = bytes.last_chunk::<PAGE_BYTES>();
        let Some(last) = last.filter(|_| file_bytes.is_multiple_of(PAGE_BYTES as u64)) else {
            return Err(Malformed::new(file_bytes, "an index file is cut short"));
        };
        let trailer = Trailer::decode(last, file_bytes)?;
        let pages = file_bytes / PAGE_BYTES as u64 - 1;
        let pages = Pages::new(bytes, pages, &trailer.covers);
        Ok(Self { pages, trailer })
    }

    /// What the file was made from.
    pub(crate) fn covers(&self) -> &Covers {
        &self.trailer.covers
    }

    /// Whether the page that holds a byte of the file checks, so that readers believe it.
    pub(crate) fn is_believed(&self, at: u64) -> bool {
        let (page, count) = (at / PAGE_BYTES as u64, self.pages.count());
        // The last page is the trailer, which was checked when the file was opened.
        page == count || (page < count && self.pages.content(page).is_ok())
    }

    /// How many times a page was touched since the file was opened.
    #[cfg(test)]
    pub(crate) fn pages_touched(&self) -> u64 {
        self.pages.touched()
    }

    /// Whether the index is there. If not, only scanning can answer.
    pub(crate) fn has(&self, kind: IndexKind) -> bool {
        self.trailer.indexes[kind as usize].is_some()
    }

    /// How many different keys an index has; `None` if it is not there.
    #[cfg(test)]
    pub(crate) fn distinct(&self, kind: IndexKind) -> Option<u64> {
        self.trailer.indexes[kind as usize].map(|index| index.distinct)
    }

    /// Offset of an event's record in the segment. `None` for events that are not covered, and from
    /// merged files.
    pub(crate) fn offset(&self, sequence: u64) -> Result<Option<u32>, Malformed> {
        let covers = self.covers();
        let Some(section) = self.trailer.offsets else { return Ok(None) };
        if !(covers.first_sequence..covers.end_sequence).contains(&sequence) {
            return Ok(None);
        }
        let offset: &[u8; 4] = self.entry(section, sequence - covers.first_sequence)?;
        Ok(Some(u32_at(offset, 0)))
    }

    /// Where to begin looking for the first event of `time` or later: an event that is not past it,
    /// and at most 256 before it.
    ///
    /// It is the last marked event before that time, or the first event of all.
    pub(crate) fn sequence_at_time(&self, time: u64) -> Result<u64, Malformed> {
        let section = self.trailer.times;
        let below = lower_bound(&self.pages, section, (time, 0))?;
        let Some(number) = below.checked_sub(1) else { return Ok(self.covers().first_sequence) };
        let entry: &[u8; SORTED_BYTES] = self.entry(section, number)?;
        self.time_mark(number, entry).map(|(sequence, _)| sequence)
    }

    /// The last marked frame that is not past `number`: at most 63 before it. `None` if there is
    /// none; then begin with the first frame covered.
    pub(crate) fn frame_at_or_before(&self, number: u64) -> Result<Option<FrameMark>, Malformed> {
        let covers = self.covers();
        let Some(last) = covers.end_frame.checked_sub(1) else { return Ok(None) };
        let number = number.min(last);
        if number < covers.first_frame {
            return Ok(None);
        }
        let marks = marks::frames_between(covers.first_frame, number + 1);
        let Some(mark) = marks.checked_sub(1) else { return Ok(None) };
        let entry: &[u8; SORTED_BYTES] = self.entry(self.trailer.frames, mark)?;
        self.frame_mark(mark, entry).map(Some)
    }

    /// The last marked frame that begins at an event or before it. `None` if there is none.
    pub(crate) fn frame_mark_before(&self, sequence: u64) -> Result<Option<FrameMark>, Malformed> {
        let mark_at = |number: u64| {
            let entry: &[u8; SORTED_BYTES] = self.entry(self.trailer.frames, number)?;
            self.frame_mark(number, entry)
        };
        let (mut start, mut end) = (0, self.trailer.frames.entries);
        while start < end {
            let middle = start.midpoint(end);
            if mark_at(middle)?.first_sequence <= sequence {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        start.checked_sub(1).map(mark_at).transpose()
    }

    /// The digest of a node of the mountain range. `None` if the node covers less than 64 frames,
    /// or was not completed by the frames covered.
    pub(crate) fn mountain_node(
        &self,
        level: u8,
        index: u64,
    ) -> Result<Option<[u8; 32]>, Malformed> {
        let covers = self.covers();
        match marks::node_place(level, index, covers.first_frame, covers.end_frame) {
            None => Ok(None),
            Some(place) => self.entry(self.trailer.mountain, place).copied().map(Some),
        }
    }

    /// Whether an index may have a key: `false` is sure, `true` is wrong about once in a hundred.
    /// `true` if the index is not there.
    pub(crate) fn may_contain(&self, kind: IndexKind, key: u64) -> Result<bool, Malformed> {
        let Some(index) = &self.trailer.indexes[kind as usize] else { return Ok(true) };
        if index.filter.entries == 0 {
            return Ok(false);
        }
        let probe = Probe::new(key, index.filter.entries);
        let block: &[u8; BLOCK_BYTES] = self.entry(index.filter, probe.block)?;
        Ok(probe.is_in(block))
    }

    /// The events within `range` that have a key, ascending, from both ends.
    ///
    /// The index must be there.
    pub(crate) fn postings(
        &self,
        kind: IndexKind,
        key: u64,
        range: Range<u64>,
    ) -> Result<KeySequences<'_, B>, Malformed> {
        let index = self.trailer.indexes[kind as usize].as_ref().expect("the caller asked has()");
        let covers = self.covers();
        let delta = |sequence: u64| {
            let within = sequence.clamp(covers.first_sequence, covers.end_sequence);
            u32::try_from(within - covers.first_sequence).expect("checked with the trailer")
        };
        let deltas = delta(range.start)..delta(range.end);
        KeySequences::new(&self.pages, index, key, deltas, covers.first_sequence)
    }

    /// A time mark, and whether it is the one that belongs there: event and time.
    pub(super) fn time_mark(&self, number: u64, entry: &[u8]) -> Result<(u64, u64), Malformed> {
        let (time, delta) = order_of(entry);
        let sequence = self.covers().first_sequence + u64::from(delta);
        if marks::time_mark(self.covers().first_sequence, number) != Some(sequence) {
            return Err(self.misplaced(self.trailer.times, "a time mark is of another event"));
        }
        Ok((sequence, time))
    }

    /// A frame mark, and whether it is the one that belongs there.
    pub(super) fn frame_mark(&self, number: u64, entry: &[u8]) -> Result<FrameMark, Malformed> {
        let covers = self.covers();
        let mark = FrameMark {
            number: covers.first_frame + u64::from(u32_at(entry, 0)),
            first_sequence: covers.first_sequence + u64::from(u32_at(entry, 4)),
            offset: self.trailer.offsets.map(|_| u32_at(entry, 8)),
        };
        if marks::frame_mark(covers.first_frame, number) != Some(mark.number)
            || mark.first_sequence >= covers.end_sequence
        {
            return Err(self.misplaced(self.trailer.frames, "a frame mark is of another frame"));
        }
        Ok(mark)
    }

    fn misplaced(&self, section: Section, what: &'static str) -> Malformed {
        Malformed::new(section.first_page * PAGE_BYTES as u64, what)
    }

    /// All entries of a section.
    pub(super) fn entries<const BYTES: usize>(&self, section: Section) -> Entries<'_, B, BYTES> {
        Entries::all(&self.pages, section)
    }

    /// The sections of an index.
    pub(super) fn index(&self, kind: IndexKind) -> Option<&IndexSections> {
        self.trailer.indexes[kind as usize].as_ref()
    }

    fn entry<const BYTES: usize>(
        &self,
        section: Section,
        position: u64,
    ) -> Result<&[u8; BYTES], Malformed> {
        let mut entries = Entries::at(&self.pages, section, position..position + 1);
        entries.next().expect("one position")
    }
}
