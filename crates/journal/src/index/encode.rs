//! Writing index files.
//!
//! The order of sections: offsets, times, frames, mountain; then for each index its postings,
//! fences and filter. Fences and filter of an index are known only after its postings have gone by,
//! which is why they follow them; what is kept in memory for that is 12 bytes per page of postings,
//! and one slab of the filter.
//!
//! What it does *not* do: name, sync or publish files. The sink is given one page at a time.

use super::{
    IndexKind, Marks, Posting, SortedPostings, filter,
    lookup::{Order, order_bytes},
    marks,
    page::PageWriter,
    trailer::{Covers, IndexSections, Section, SectionKind, Trailer},
};

/// Writes the index file of a range of segments, from what was collected while writing or scanning.
///
/// Offsets are written if one segment is covered. `indexes` are those that the store has declared.
///
/// # Errors
///
/// The sink's.
pub(crate) fn encode<E>(
    covers: &Covers,
    marks: &Marks,
    indexes: &[(IndexKind, SortedPostings)],
    sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut file = FileWriter::new(*covers, sink);
    let one_segment = covers.first_segment == covers.last_segment;
    if one_segment {
        file.offsets(&marks.offsets)?;
    }
    file.times(marks.times.iter().map(|&mark| Ok(mark)))?;
    file.frames(marks.frames.iter().map(|&(number, sequence, offset)| {
        Ok((number, sequence, if one_segment { offset } else { 0 }))
    }))?;
    file.mountain(marks.nodes.iter().map(|&node| Ok(node)))?;
    for (kind, postings) in indexes {
        file.index(*kind, postings.iter().map(Ok), |take| {
            postings.iter().for_each(|posting| take(posting.key));
            Ok(())
        })?;
    }
    file.finish()
}

/// An index file that is being written: each section once, in the order of the methods.
pub(super) struct FileWriter<'a, E> {
    pages: PageWriter<'a, E>,
    covers: Covers,
    offsets: Option<Section>,
    /// Times, frames, mountain.
    sections: Vec<Section>,
    indexes: [Option<IndexSections>; IndexKind::COUNT],
}

impl<'a, E> FileWriter<'a, E> {
    pub(super) fn new(covers: Covers, sink: &'a mut dyn FnMut(&[u8]) -> Result<(), E>) -> Self {
        if let Some(problem) = covers.problem() {
            panic!("the caller's ranges: {problem}");
        }
        let pages = PageWriter::new(&covers, sink);
        let indexes = [None; IndexKind::COUNT];
        Self { pages, covers, offsets: None, sections: Vec::new(), indexes }
    }

    fn offsets(&mut self, offsets: &[u32]) -> Result<(), E> {
        assert!(offsets.len() as u64 == self.covers.events(), "an offset for every event");
        let entries = offsets.iter().map(|offset| Ok(offset.to_le_bytes()));
        self.offsets = Some(self.section(SectionKind::Offsets, entries)?);
        Ok(())
    }

    /// Event and time of every time mark.
    pub(super) fn times(
        &mut self,
        marks: impl Iterator<Item = Result<(u64, u64), E>>,
    ) -> Result<(), E> {
        let covers = self.covers;
        let entries = marks.map(|mark| {
            let (sequence, time) = mark?;
            Ok(order_bytes((time, delta(covers.first_sequence, sequence))))
        });
        let section = self.section(SectionKind::Times, entries)?;
        self.sections.push(section);
        Ok(())
    }

    /// Number, first event and offset of every frame mark.
    pub(super) fn frames(
        &mut self,
        marks: impl Iterator<Item = Result<(u64, u64, u32), E>>,
    ) -> Result<(), E> {
        let covers = self.covers;
        let entries = marks.map(|mark| {
            let (number, sequence, offset) = mark?;
            let mut bytes = [0; 12];
            bytes[..4].copy_from_slice(&delta(covers.first_frame, number).to_le_bytes());
            bytes[4..8].copy_from_slice(&delta(covers.first_sequence, sequence).to_le_bytes());
            bytes[8..].copy_from_slice(&offset.to_le_bytes());
            Ok(bytes)
        });
        let section = self.section(SectionKind::Frames, entries)?;
        self.sections.push(section);
        Ok(())
    }

    /// The digests of nodes.
    pub(super) fn mountain(
        &mut self,
        nodes: impl Iterator<Item = Result<[u8; 32], E>>,
    ) -> Result<(), E> {
        let section = self.section(SectionKind::Mountain, nodes)?;
        self.sections.push(section);
        Ok(())
    }

    /// An index: its postings, sorted, and its keys once more for each slab of the filter.
    pub(super) fn index(
        &mut self,
        kind: IndexKind,
        postings: impl Iterator<Item = Result<Posting, E>>,
        visit_keys: impl FnMut(&mut dyn FnMut(u64)) -> Result<(), E>,
    ) -> Result<(), E> {
        let covers = self.covers;
        let per_page = SectionKind::Postings.per_page();
        let mut fences: Vec<Order> = Vec::new();
        let (mut count, mut distinct, mut last) = (0_u64, 0, None);
        let entries = postings.map(|posting| {
            let posting = posting?;
            assert!(last <= Some(posting) && posting.sequence < covers.end_sequence, "sorted");
            let order = (posting.key, delta(covers.first_sequence, posting.sequence));
            distinct += u64::from(last.is_none_or(|last: Posting| last.key != posting.key));
            last = Some(posting);
            if count.is_multiple_of(per_page) {
                fences.push(order);
            }
            count += 1;
            Ok(order_bytes(order))
        });
        let postings = self.section(SectionKind::Postings, entries)?;
        let fences = fences.into_iter().map(|fence| Ok(order_bytes(fence)));
        let fences = self.section(SectionKind::Fences, fences)?;
        let first_page = self.pages.pages();
        filter::write(&mut self.pages, distinct, filter::SLAB_BLOCKS, visit_keys)?;
        let filter = self.ended(SectionKind::Filter, filter::blocks_for(distinct), first_page)?;
        self.indexes[kind as usize] = Some(IndexSections { postings, fences, filter, distinct });
        Ok(())
    }

    /// Writes the trailer.
    pub(super) fn finish(self) -> Result<(), E> {
        let [times, frames, mountain] = self.sections[..] else { panic!("each section once") };
        let Self { covers, offsets, indexes, .. } = self;
        let (first, end) = (covers.first_frame, covers.end_frame);
        let marked = marks::times_between(covers.first_sequence, covers.end_sequence);
        assert!(times.entries == marked, "a mark for every 256th event");
        assert!(frames.entries == marks::frames_between(first, end), "a mark for every 64th frame");
        assert!(mountain.entries == marks::nodes_between(first, end), "every large node");
        let trailer = Trailer { covers, offsets, times, frames, mountain, indexes };
        self.pages.end_file(&trailer.encode())
    }

    fn section<const BYTES: usize>(
        &mut self,
        kind: SectionKind,
        entries: impl Iterator<Item = Result<[u8; BYTES], E>>,
    ) -> Result<Section, E> {
        assert!(BYTES == kind.entry_bytes(), "entries of that section");
        let first_page = self.pages.pages();
        let mut count = 0;
        for entry in entries {
            self.pages.put(&entry?)?;
            count += 1;
        }
        self.ended(kind, count, first_page)
    }

    fn ended(&mut self, kind: SectionKind, entries: u64, first_page: u64) -> Result<Section, E> {
        self.pages.end_section()?;
        let pages = self.pages.pages() - first_page;
        Ok(Section { kind, entries, first_page, pages })
    }
}

/// A number as its difference from the first one.
fn delta(first: u64, number: u64) -> u32 {
    let delta = number.checked_sub(first).and_then(|delta| u32::try_from(delta).ok());
    delta.expect("the ranges are in order and fit in 32 bits")
}
