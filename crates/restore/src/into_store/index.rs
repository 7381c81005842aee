//! Rows of an index, made by several threads and put together in order.
//!
//! A thread makes *parts* of [`PART_ROWS`] rows by itself, about a mebibyte each; only putting them
//! behind each other goes by turns. Rows that are too few for a part are put behind the others one
//! by one, so that an index of few rows is not made of pages that are hardly filled.

use icecore_store::Locator;

use super::in_order::Turn;
use crate::Error;

/// Rows of a part.
const PART_ROWS: usize = 1 << 16;

/// Rows that are too few for a part: some pages.
const FEW_ROWS: usize = 1 << 11;

/// An index by keys of `K` bytes, of accounts that all count for one slot.
pub(crate) trait Index<const K: usize>: Sync {
    /// Rows that follow each other.
    type Part;
    /// The same, when all are there.
    type Finished: Send;
    /// All rows.
    type Run: Send;

    /// A part without rows.
    fn part(&self) -> Self::Part;

    /// Adds a row to a part, behind those that are there.
    fn push(&self, part: &mut Self::Part, key: &[u8; K], locator: Locator);

    /// All rows of the part are there.
    fn finish(&self, part: Self::Part) -> Self::Finished;

    /// Adds a part, behind what is there.
    fn append(&self, run: &mut Self::Run, part: Self::Finished) -> Result<(), Error>;

    /// Adds a row, behind what is there.
    fn add(&self, run: &mut Self::Run, key: &[u8; K], locator: Locator) -> Result<(), Error>;
}

/// Rows of one piece of work, in order.
pub(super) struct PartRows<'t, 'a, I: Index<K>, const K: usize> {
    index: &'a I,
    turn: Turn<'t, I::Run, Outcome<I, K>>,
    /// The first rows, as long as they are few.
    few: Vec<([u8; K], Locator)>,
    part: Option<I::Part>,
    /// Rows of the part.
    rows: usize,
}

impl<'t, 'a, I: Index<K>, const K: usize> PartRows<'t, 'a, I, K> {
    pub(super) fn new(index: &'a I, turn: Turn<'t, I::Run, Outcome<I, K>>) -> Self {
        Self { index, turn, few: Vec::new(), part: None, rows: 0 }
    }

    /// The next row.
    pub(super) fn push(&mut self, key: &[u8; K], locator: Locator) -> Result<(), Error> {
        let Some(part) = &mut self.part else {
            self.few.push((*key, locator));
            if self.few.len() == FEW_ROWS {
                self.begin_part();
            }
            return Ok(());
        };
        self.index.push(part, key, locator);
        self.rows += 1;
        if self.rows == PART_ROWS {
            let part = self.index.finish(self.part.take().expect("just seen"));
            self.rows = 0;
            let outcome = Outcome { part: Some(part), few: Vec::new() };
            self.turn.give(outcome, |run, outcome| outcome.add_to(run, self.index))?;
        }
        Ok(())
    }

    /// The rows are many after all.
    fn begin_part(&mut self) {
        let mut part = self.index.part();
        for (key, locator) in self.few.drain(..) {
            self.index.push(&mut part, &key, locator);
            self.rows += 1;
        }
        self.part = Some(part);
    }

    /// There are no more rows.
    pub(super) fn finish(self) -> Result<(), Error> {
        let Self { index, turn, few, part, .. } = self;
        let outcome = Outcome { part: part.map(|part| index.finish(part)), few };
        turn.finish(outcome, |run, outcome| outcome.add_to(run, index))
    }
}

/// Rows that are to be put behind others.
pub(crate) struct Outcome<I: Index<K>, const K: usize> {
    part: Option<I::Finished>,
    few: Vec<([u8; K], Locator)>,
}

impl<I: Index<K>, const K: usize> Outcome<I, K> {
    fn add_to(self, run: &mut I::Run, index: &I) -> Result<(), Error> {
        if let Some(part) = self.part {
            index.append(run, part)?;
        }
        self.few.iter().try_for_each(|(key, locator)| index.add(run, key, *locator))
    }
}
