//! Reading sorted entries: one after another from both ends, by binary search, and by key.
//!
//! A key is found in three steps: the fence page by its first entries, the page of postings by its
//! fence, the entry within the page. A fence that is not the first entry of its page is damage.
//!
//! Invariant: only entries of the key and the range that were asked for are returned; anything else
//! where they should be is an error, after which the iterator is at its end.
//!
//! What it does *not* do: ask filters first. That is the caller's choice.

use std::{
    fmt,
    ops::{Deref, Range},
};

use super::{
    page::{PAGE_BYTES, Pages, entries_per_page, u32_at, u64_at},
    trailer::{IndexSections, Section},
};
use crate::error::Malformed;

/// Bytes of a sorted entry: 64 bits that are sorted by, and the difference of a sequence.
pub(crate) const SORTED_BYTES: usize = 12;

/// What sorted entries are ordered by: key and difference, or time and difference.
pub(crate) type Order = (u64, u32);

/// A sorted entry.
pub(crate) fn order_of(entry: &[u8]) -> Order {
    (u64_at(entry, 0), u32_at(entry, 8))
}

/// The bytes of a sorted entry.
pub(crate) fn order_bytes(order: Order) -> [u8; SORTED_BYTES] {
    let mut bytes = [0; SORTED_BYTES];
    bytes[..8].copy_from_slice(&order.0.to_le_bytes());
    bytes[8..].copy_from_slice(&order.1.to_le_bytes());
    bytes
}

/// Entries of a section at some positions, from both ends, a page fetched once for each end.
pub(crate) struct Entries<'a, B, const BYTES: usize> {
    pages: &'a Pages<B>,
    section: Section,
    positions: Range<u64>,
    front: Fetched<'a>,
    back: Fetched<'a>,
}

/// A page and its number in the section.
type Fetched<'a> = Option<(u64, &'a [u8])>;

impl<'a, B: Deref<Target = [u8]>, const BYTES: usize> Entries<'a, B, BYTES> {
    /// All entries of a section.
    pub(crate) fn all(pages: &'a Pages<B>, section: Section) -> Self {
        Self::at(pages, section, 0..section.entries)
    }

    /// The entries at `positions`, which lie within the section.
    pub(crate) fn at(pages: &'a Pages<B>, section: Section, positions: Range<u64>) -> Self {
        assert!(BYTES == section.kind.entry_bytes(), "entries of that section");
        assert!(positions.end <= section.entries, "positions of that section");
        Self { pages, section, positions, front: None, back: None }
    }

    /// How many are left.
    pub(crate) fn left(&self) -> u64 {
        self.positions.end.saturating_sub(self.positions.start)
    }

    /// Leaves nothing.
    fn end(&mut self) {
        self.positions.end = self.positions.start;
    }

    fn fetch(
        pages: &'a Pages<B>,
        section: Section,
        position: u64,
        fetched: &mut Fetched<'a>,
    ) -> Result<&'a [u8; BYTES], Malformed> {
        let page = position / entries_per_page(BYTES);
        let content = match *fetched {
            Some((number, content)) if number == page => content,
            _ => {
                let content = pages.content(section.first_page + page)?;
                *fetched = Some((page, content));
                content
            }
        };
        let at = (position % entries_per_page(BYTES)) as usize * BYTES;
        Ok(content[at..].first_chunk().expect("a page holds entries_per_page"))
    }
}

impl<'a, B: Deref<Target = [u8]>, const BYTES: usize> Iterator for Entries<'a, B, BYTES> {
    type Item = Result<&'a [u8; BYTES], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let position = self.positions.next()?;
        Some(Self::fetch(self.pages, self.section, position, &mut self.front))
    }
}

impl<B: Deref<Target = [u8]>, const BYTES: usize> DoubleEndedIterator for Entries<'_, B, BYTES> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let position = self.positions.next_back()?;
        Some(Self::fetch(self.pages, self.section, position, &mut self.back))
    }
}

/// How many entries of page `number` of a section there are.
fn entries_of_page(section: Section, number: u64) -> u64 {
    let per_page = section.kind.per_page();
    per_page.min(section.entries - number * per_page)
}

/// How many of the first `count` sorted entries of a page are below `target`.
fn count_below(content: &[u8], count: u64, target: Order) -> u64 {
    let (mut start, mut end) = (0, count);
    while start < end {
        let middle = start.midpoint(end);
        if order_of(&content[middle as usize * SORTED_BYTES..]) < target {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    start
}

/// How many entries of a sorted section are below `target`, by the first entries of its pages.
pub(crate) fn lower_bound<B: Deref<Target = [u8]>>(
    pages: &Pages<B>,
    section: Section,
    target: Order,
) -> Result<u64, Malformed> {
    let (mut start, mut end) = (0, section.pages);
    while start < end {
        let middle = start.midpoint(end);
        if order_of(pages.content(section.first_page + middle)?) < target {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    // The first entry of page `start` is not below the target, so the last that is lies before.
    let Some(page) = start.checked_sub(1) else { return Ok(0) };
    let content = pages.content(section.first_page + page)?;
    let below = count_below(content, entries_of_page(section, page), target);
    Ok(page * section.kind.per_page() + below)
}

/// How many postings are below `target`, by the fences.
fn postings_below<B: Deref<Target = [u8]>>(
    pages: &Pages<B>,
    index: &IndexSections,
    target: Order,
) -> Result<u64, Malformed> {
    let fences_below = lower_bound(pages, index.fences, target)?;
    let Some(page) = fences_below.checked_sub(1) else { return Ok(0) };
    let content = fenced_page(pages, index, page)?;
    let below = count_below(content, entries_of_page(index.postings, page), target);
    Ok(page * index.postings.kind.per_page() + below)
}

/// A page of postings, compared with its fence.
fn fenced_page<'a, B: Deref<Target = [u8]>>(
    pages: &'a Pages<B>,
    index: &IndexSections,
    page: u64,
) -> Result<&'a [u8], Malformed> {
    let mut fence = Entries::<_, SORTED_BYTES>::at(pages, index.fences, page..page + 1);
    let fence = fence.next().expect("a fence for each page")?;
    let number = index.postings.first_page + page;
    let content = pages.content(number)?;
    if content[..SORTED_BYTES] != fence[..] {
        let at = number * PAGE_BYTES as u64;
        return Err(Malformed::new(at, "a page of postings does not begin as its fence says"));
    }
    Ok(content)
}

/// Where the entries from `first` up to `end` are among the postings.
fn positions_between<B: Deref<Target = [u8]>>(
    pages: &Pages<B>,
    index: &IndexSections,
    first: Order,
    end: Order,
) -> Result<Range<u64>, Malformed> {
    if first >= end {
        return Ok(0..0);
    }
    let start = postings_below(pages, index, first)?;
    if start == index.postings.entries {
        return Ok(start..start);
    }
    // Most keys have few events: look on the same page before searching again.
    let page = start / index.postings.kind.per_page();
    let content = pages.content(index.postings.first_page + page)?;
    let count = entries_of_page(index.postings, page);
    let below = count_below(content, count, end);
    let end = if below < count {
        page * index.postings.kind.per_page() + below
    } else {
        postings_below(pages, index, end)?
    };
    Ok(start..end.max(start))
}

/// The events of a key within a range, ascending, from both ends.
pub(crate) struct KeySequences<'a, B> {
    entries: Entries<'a, B, SORTED_BYTES>,
    key: u64,
    deltas: Range<u32>,
    first_sequence: u64,
}

impl<'a, B: Deref<Target = [u8]>> KeySequences<'a, B> {
    pub(super) fn new(
        pages: &'a Pages<B>,
        index: &IndexSections,
        key: u64,
        deltas: Range<u32>,
        first_sequence: u64,
    ) -> Result<Self, Malformed> {
        let (first, end) = ((key, deltas.start), (key, deltas.end));
        let positions = positions_between(pages, index, first, end)?;
        let entries = Entries::at(pages, index.postings, positions);
        Ok(Self { entries, key, deltas, first_sequence })
    }

    /// How many are left: known without reading them.
    pub(crate) fn left(&self) -> u64 {
        self.entries.left()
    }

    fn take(
        &mut self,
        entry: Option<Result<&'a [u8; SORTED_BYTES], Malformed>>,
    ) -> Option<Result<u64, Malformed>> {
        let found = entry?.and_then(|entry| {
            let (key, delta) = order_of(entry);
            if key == self.key && self.deltas.contains(&delta) {
                Ok(self.first_sequence + u64::from(delta))
            } else {
                let at = self.entries.section.first_page * PAGE_BYTES as u64;
                Err(Malformed::new(at, "the postings of an index file are not sorted"))
            }
        });
        if found.is_err() {
            self.entries.end();
        }
        Some(found)
    }
}

impl<B: Deref<Target = [u8]>> Iterator for KeySequences<'_, B> {
    type Item = Result<u64, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next();
        self.take(entry)
    }
}

impl<B: Deref<Target = [u8]>> DoubleEndedIterator for KeySequences<'_, B> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next_back();
        self.take(entry)
    }
}

impl<B> fmt::Debug for KeySequences<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySequences")
            .field("key", &self.key)
            .field("deltas", &self.deltas)
            .field("positions", &self.entries.positions)
            .finish()
    }
}
