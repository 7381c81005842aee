//! Sorting more than fits memory.
//!
//! 1. Items gather in memory. A full gathering is sorted and written as a run of level 0.
//! 2. As many runs of a level as can be merged at once become one of the next level, so that the
//!    number of runs grows with the logarithm of the items.
//! 3. In the end the rest is sorted: in memory if nothing was written, as the last run otherwise.
//!    Runs are merged until a reader of the same bound can read all of them at once.
//!
//! Memory: a gathering and the buffer to write it through, or the buffers of a merge, never both.
//! The gathering's address space is taken at once and its pages as they fill, so that nothing is
//! copied while it grows.

use std::sync::Arc;

use super::{
    Held, SpillError, SpillFile,
    item::Item,
    run::{write_buffer_bytes, write_run},
    sorted::{Block, Part, Sorted, fan_in, merge_runs},
};

/// A gathering, at most: larger ones are hardly merged faster.
const GATHERING_BYTES_MAX: usize = 256 << 20;

/// Sorts within a bound of memory.
pub struct Sorter<T> {
    bytes_max: usize,
    file: Arc<SpillFile>,
    items: Vec<T>,
    items_max: usize,
    held: Option<Held>,
    /// By level.
    runs: Vec<Vec<Part<T>>>,
}

impl<T: Item> Sorter<T> {
    /// Takes up to `bytes_max` of memory (at least two items), from the first item on.
    pub fn new(bytes_max: usize, file: Arc<SpillFile>) -> Self {
        let gathering = (bytes_max - write_buffer_bytes(bytes_max)).min(GATHERING_BYTES_MAX);
        let items_max = (gathering / size_of::<T>()).max(2);
        Self { bytes_max, file, items: Vec::new(), items_max, held: None, runs: Vec::new() }
    }

    /// Takes an item.
    ///
    /// # Errors
    /// When the scratch folder refuses.
    pub fn push(&mut self, item: T) -> Result<(), SpillError> {
        if self.items.len() == self.items.capacity() {
            self.make_room()?;
        }
        self.items.push(item);
        Ok(())
    }

    /// Whether something was written to the file.
    pub(crate) fn has_spilled(&self) -> bool {
        !self.runs.is_empty()
    }

    #[cold]
    fn make_room(&mut self) -> Result<(), SpillError> {
        if !self.items.is_empty() {
            self.spill()?;
        }
        if self.items.capacity() == 0 {
            self.held = Some(self.file.hold(self.items_max * size_of::<T>()));
            self.items.reserve_exact(self.items_max);
        }
        Ok(())
    }

    /// Writes what was gathered as a run, and merges what there is too much of.
    fn spill(&mut self) -> Result<(), SpillError> {
        T::sort(&mut self.items);
        let mut items = self.items.iter();
        let buffer_bytes = write_buffer_bytes(self.bytes_max);
        let run = write_run(&self.file, self.items.len() as u64, buffer_bytes, || {
            Ok(items.next().copied())
        })?;
        self.items.clear();
        let mut part = Part::File(Arc::clone(&self.file), run);
        for level in 0.. {
            if level == self.runs.len() {
                self.runs.push(Vec::new());
            }
            self.runs[level].push(part);
            if self.runs[level].len() < fan_in(self.bytes_max) {
                break;
            }
            self.release();
            let parts = std::mem::take(&mut self.runs[level]);
            part = merge_runs(parts, &self.file, self.bytes_max)?;
        }
        Ok(())
    }

    /// Gives the gathering's memory back.
    fn release(&mut self) {
        self.items = Vec::new();
        self.held = None;
    }

    /// The items in order.
    ///
    /// # Errors
    /// When the scratch folder refuses.
    pub fn finish(mut self) -> Result<Sorted<T>, SpillError> {
        if self.has_spilled() {
            if !self.items.is_empty() {
                self.spill()?;
            }
            self.release();
            let parts = self.runs.into_iter().flatten().collect();
            return Sorted::merged([Sorted::new(parts)], &self.file, self.bytes_max);
        }
        let Some(held) = self.held else {
            return Ok(Sorted::default());
        };
        T::sort(&mut self.items);
        let block = Block { items: self.items, _held: held };
        Ok(Sorted::new(vec![Part::Memory(Arc::new(block))]))
    }
}
