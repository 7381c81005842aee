//! Merging the index files of consecutive ranges into one, without their segments.
//!
//! 1. What the inputs cover must join without a gap.
//! 2. Marks and nodes are copied, input by input: their multiples are absolute.
//! 3. The postings of each index that all inputs have are merged, the smallest entry of all inputs
//!    first; for the filter the keys are read once more.
//! 4. Offsets of events and frames are left out: they are of one segment each.
//!
//! Memory: a page and an entry per input, the fences (12 bytes per page of postings), a slab of the
//! filter. The result is byte for byte what building from all entries gives.
//!
//! What it does *not* do: choose what to merge, or remove the inputs.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    iter,
    ops::Deref,
};

use super::{
    IndexFile, IndexKind, Posting,
    encode::FileWriter,
    lookup::{Entries, SORTED_BYTES, order_of},
    page::PAGE_BYTES,
    trailer::{Covers, Section},
};
use crate::error::Malformed;

/// Why files were not merged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MergeError<E> {
    /// An input is not what its format says, or does not continue the one before it.
    Malformed {
        /// Its place among the inputs.
        input: usize,
        /// Where in it, and what.
        malformed: Malformed,
    },
    /// The sink refused.
    Sink(E),
}

/// Merges at least one file, in the order of their events.
///
/// # Errors
///
/// A malformed input, or the sink's error; what was given to the sink so far is of no use then.
pub(crate) fn merge<B: Deref<Target = [u8]>, E>(
    inputs: &[&IndexFile<B>],
    sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), MergeError<E>> {
    let covers = covers_of_all(inputs)?;
    let sink = &mut |page: &[u8]| sink(page).map_err(MergeError::Sink);
    let mut file = FileWriter::new(covers, sink);

    file.times(inputs.iter().enumerate().flat_map(|(number, input)| {
        let entries = input.entries::<SORTED_BYTES>(input.trailer.times);
        (0..).zip(entries).map(move |(mark, entry)| {
            entry.and_then(|entry| input.time_mark(mark, entry)).map_err(of_input(number))
        })
    }))?;
    file.frames(inputs.iter().enumerate().flat_map(|(number, input)| {
        let entries = input.entries::<SORTED_BYTES>(input.trailer.frames);
        (0..).zip(entries).map(move |(mark, entry)| {
            let mark = entry.and_then(|entry| input.frame_mark(mark, entry));
            mark.map(|mark| (mark.number, mark.first_sequence, 0)).map_err(of_input(number))
        })
    }))?;
    file.mountain(inputs.iter().enumerate().flat_map(|(number, input)| {
        let entries = input.entries::<32>(input.trailer.mountain);
        entries.map(move |node| node.copied().map_err(of_input(number)))
    }))?;
    for kind in IndexKind::ALL {
        let sections: Option<Vec<Section>> =
            inputs.iter().map(|input| input.index(kind).map(|index| index.postings)).collect();
        let Some(sections) = sections else { continue };
        let sorted = || -> Vec<SortedInput<'_, B>> {
            let inputs = inputs.iter().zip(&sections).enumerate();
            inputs
                .map(|(number, (input, &section))| SortedInput::new(number, input, section))
                .collect()
        };
        let mut merged = Merged::new(sorted())?;
        let postings = iter::from_fn(|| merged.take().transpose());
        file.index(kind, postings, |take| {
            for mut input in sorted() {
                while let Some(posting) = input.next_posting()? {
                    take(posting.key);
                }
            }
            Ok(())
        })?;
    }
    file.finish()
}

/// Says which input was malformed.
fn of_input<E>(input: usize) -> impl Fn(Malformed) -> MergeError<E> {
    move |malformed| MergeError::Malformed { input, malformed }
}

/// What all inputs cover together.
fn covers_of_all<B: Deref<Target = [u8]>, E>(
    inputs: &[&IndexFile<B>],
) -> Result<Covers, MergeError<E>> {
    let mut covers = *inputs.first().expect("something to merge").covers();
    for (number, input) in inputs.iter().enumerate().skip(1) {
        let next = input.covers();
        let (no_frames, none_yet) =
            (next.first_frame == next.end_frame, covers.first_frame == covers.end_frame);
        // Ids may be left out: data segments have theirs from the same numbers.
        let joins = next.store_id == covers.store_id
            && next.first_segment > covers.last_segment
            && next.first_sequence == covers.end_sequence
            && next.first_frame == covers.end_frame
            && (no_frames || none_yet || next.first_time >= covers.last_time);
        if !joins {
            let what = "an index file does not continue the one before it";
            return Err(of_input(number)(Malformed::new(0, what)));
        }
        covers.last_segment = next.last_segment;
        covers.end_sequence = next.end_sequence;
        covers.end_frame = next.end_frame;
        covers.last_digest = next.last_digest;
        if !no_frames {
            covers.last_time = next.last_time;
            if none_yet {
                covers.first_time = next.first_time;
            }
        }
        if let Some(what) = covers.problem() {
            return Err(of_input(number)(Malformed::new(0, what)));
        }
    }
    Ok(covers)
}

/// The postings of one input, in order, each checked against the one before it.
struct SortedInput<'a, B> {
    number: usize,
    entries: Entries<'a, B, SORTED_BYTES>,
    covers: &'a Covers,
    section: Section,
    last: Option<Posting>,
}

impl<'a, B: Deref<Target = [u8]>> SortedInput<'a, B> {
    fn new(number: usize, input: &'a IndexFile<B>, section: Section) -> Self {
        let entries = input.entries(section);
        Self { number, entries, covers: input.covers(), section, last: None }
    }

    fn next_posting<E>(&mut self) -> Result<Option<Posting>, MergeError<E>> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        let (key, delta) = order_of(entry.map_err(of_input(self.number))?);
        let posting = Posting { key, sequence: self.covers.first_sequence + u64::from(delta) };
        if Some(posting) < self.last || posting.sequence >= self.covers.end_sequence {
            let at = self.section.first_page * PAGE_BYTES as u64;
            let what = "the postings of an index file are not sorted";
            return Err(of_input(self.number)(Malformed::new(at, what)));
        }
        self.last = Some(posting);
        Ok(Some(posting))
    }
}

/// The postings of all inputs, in order.
struct Merged<'a, B> {
    inputs: Vec<SortedInput<'a, B>>,
    /// The next posting of each input that is not at its end.
    next: BinaryHeap<Reverse<(Posting, usize)>>,
}

impl<'a, B: Deref<Target = [u8]>> Merged<'a, B> {
    fn new<E>(mut inputs: Vec<SortedInput<'a, B>>) -> Result<Self, MergeError<E>> {
        let mut next = BinaryHeap::with_capacity(inputs.len());
        for input in &mut inputs {
            if let Some(posting) = input.next_posting()? {
                next.push(Reverse((posting, input.number)));
            }
        }
        Ok(Self { inputs, next })
    }

    fn take<E>(&mut self) -> Result<Option<Posting>, MergeError<E>> {
        let Some(mut smallest) = self.next.peek_mut() else { return Ok(None) };
        let Reverse((posting, number)) = *smallest;
        match self.inputs[number].next_posting()? {
            Some(following) => *smallest = Reverse((following, number)),
            None => {
                PeekMut::pop(smallest);
            }
        }
        Ok(Some(posting))
    }
}
