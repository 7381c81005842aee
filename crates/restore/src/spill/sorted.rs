//! A sorted list, partly or wholly in spill files, that can be read several times.
//!
//! It has sources, each sorted by itself: lists in memory and runs in files. A reader merges them
//! with a heap of their next items. Its buffers together stay within what it is given: when there
//! are more runs than buffers of [`BUFFER_BYTES_MIN`], runs are first merged into longer ones, a
//! fan-in at a time. (A bound below three such buffers gives three smaller ones: two to read and
//! one to write. One item per buffer is the least.)

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    sync::Arc,
};

use super::{
    Held, SpillError, SpillFile,
    item::Item,
    run::{BUFFER_BYTES_MAX, BUFFER_BYTES_MIN, Run, RunReader, write_run},
};

/// Runs merged at once, at most: what a heap does well.
const FAN_IN_MAX: usize = 1024;

/// Runs merged at once within `bytes_max`, which also pays for a buffer to write through.
pub(crate) fn fan_in(bytes_max: usize) -> usize {
    (bytes_max / BUFFER_BYTES_MIN).saturating_sub(1).clamp(2, FAN_IN_MAX)
}

/// Items in memory, counted as held.
#[derive(Debug)]
pub(crate) struct Block<T> {
    pub(crate) items: Vec<T>,
    pub(crate) _held: Held,
}

#[derive(Debug)]
pub(crate) enum Part<T> {
    Memory(Arc<Block<T>>),
    File(Arc<SpillFile>, Run),
}

impl<T> Clone for Part<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Memory(block) => Self::Memory(Arc::clone(block)),
            Self::File(file, run) => Self::File(Arc::clone(file), *run),
        }
    }
}

/// A sorted list.
#[derive(Debug)]
pub struct Sorted<T> {
    parts: Vec<Part<T>>,
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self { parts: Vec::new() }
    }
}

impl<T> Clone for Sorted<T> {
    fn clone(&self) -> Self {
        Self { parts: self.parts.clone() }
    }
}

impl<T: Item> Sorted<T> {
    /// Of parts that are sorted each.
    pub(crate) fn new(parts: Vec<Part<T>>) -> Self {
        Self { parts }
    }

    /// One list of several, without copying those in memory. Runs are merged until a reader of
    /// `bytes_max` can read them all at once; that takes `bytes_max` itself, and `file`.
    ///
    /// # Errors
    /// When the scratch folder refuses.
    pub fn merged(
        lists: impl IntoIterator<Item = Self>,
        file: &Arc<SpillFile>,
        bytes_max: usize,
    ) -> Result<Self, SpillError> {
        let parts = lists.into_iter().flat_map(|list| list.parts);
        let (mut runs, memory): (Vec<_>, Vec<_>) =
            parts.partition(|part| matches!(part, Part::File(..)));
        let fan_in = fan_in(bytes_max);
        // The shortest first, so that items are copied as seldom as can be.
        runs.sort_by_key(|part| Reverse(part.len()));
        while runs.len() > fan_in {
            let count = fan_in.min(runs.len() - fan_in + 1);
            let merged = merge_runs(runs.split_off(runs.len() - count), file, bytes_max)?;
            let at = runs.partition_point(|part| part.len() >= merged.len());
            runs.insert(at, merged);
        }
        runs.extend(memory);
        Ok(Self { parts: runs })
    }

    /// Items.
    pub fn len(&self) -> u64 {
        self.parts.iter().map(Part::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads from the first item on; buffers for runs take `bytes_max` together. A list that was
    /// merged for a smaller bound than the reader's, or for the same, never takes more.
    ///
    /// # Errors
    /// When the scratch folder refuses.
    pub fn reader(&self, bytes_max: usize) -> Result<SortedReader<T>, SpillError> {
        let runs = self.parts.iter().filter(|part| matches!(part, Part::File(..))).count();
        let buffer_bytes = (bytes_max / runs.max(1)).min(BUFFER_BYTES_MAX);
        let mut reader = SortedReader { sources: Vec::new(), heads: BinaryHeap::new() };
        for part in &self.parts {
            let mut source = match part {
                Part::Memory(block) => Source::Memory(Arc::clone(block), 0),
                Part::File(file, run) => Source::File(RunReader::new(file, *run, buffer_bytes)),
            };
            if let Some(item) = source.next()? {
                reader.heads.push(Reverse((item, reader.sources.len())));
                reader.sources.push(source);
            }
        }
        Ok(reader)
    }
}

impl<T> Part<T> {
    fn len(&self) -> u64 {
        match self {
            Self::Memory(block) => block.items.len() as u64,
            Self::File(_, run) => run.count,
        }
    }
}

/// Merges runs into one.
pub(crate) fn merge_runs<T: Item>(
    parts: Vec<Part<T>>,
    file: &Arc<SpillFile>,
    bytes_max: usize,
) -> Result<Part<T>, SpillError> {
    let buffer_bytes = (bytes_max / (parts.len() + 1)).min(BUFFER_BYTES_MAX);
    let list = Sorted { parts };
    let mut reader = list.reader(buffer_bytes * list.parts.len())?;
    let run = write_run(file, list.len(), buffer_bytes, || reader.next())?;
    Ok(Part::File(Arc::clone(file), run))
}

#[derive(Debug)]
enum Source<T> {
    Memory(Arc<Block<T>>, usize),
    File(RunReader<T>),
}

impl<T: Item> Source<T> {
    fn next(&mut self) -> Result<Option<T>, SpillError> {
        match self {
            Self::Memory(block, at) => {
                let item = block.items.get(*at).copied();
                *at += 1;
                Ok(item)
            }
            Self::File(reader) => reader.next(),
        }
    }
}

/// Gives the items of a [`Sorted`] list in order.
#[derive(Debug)]
pub struct SortedReader<T> {
    sources: Vec<Source<T>>,
    /// The next item of each source that has one, and the source.
    heads: BinaryHeap<Reverse<(T, usize)>>,
}

impl<T: Item> SortedReader<T> {
    /// The next item, which stays.
    pub(crate) fn peek(&self) -> Option<&T> {
        self.heads.peek().map(|Reverse((item, _))| item)
    }

    /// The next item.
    ///
    /// # Errors
    /// When the scratch folder refuses.
    #[expect(clippy::should_implement_trait, reason = "errors come before items")]
    pub fn next(&mut self) -> Result<Option<T>, SpillError> {
        let Some(mut head) = self.heads.peek_mut() else {
            return Ok(None);
        };
        let Reverse((item, source)) = *head;
        match self.sources[source].next()? {
            Some(next) => *head = Reverse((next, source)),
            None => {
                PeekMut::pop(head);
            }
        }
        Ok(Some(item))
    }

    /// Passes over the items for which `is_before` holds; gives the first other one, which stays.
    pub(crate) fn skip_while(
        &mut self,
        is_before: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, SpillError> {
        while self.peek().is_some_and(&is_before) {
            self.next()?;
        }
        Ok(self.peek().copied())
    }
}
