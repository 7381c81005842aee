//! Going through a run in order.
//!
//! Pages are read by position, a few at first and more the longer one reads, and checked each time. So
//! a disk that fails is an error here, and reading on from a cold disk is fast.
//!
//! 1. To begin at a key, fences lead to its page. Rows that the page cannot tell from the key are told
//!    by their records, halving: few reads, and only for such rows.
//! 2. From row to row; the key is known as far as the page knows it, or to the end once it was read.
//!
//! What it does *not* do: stop at a key. The caller compares.

use std::{cmp::Ordering, ops::Bound, sync::Arc};

use icecore_types::Slot;

use super::{
    KeySource, PartialKey, Run,
    block::{BLOCK_BYTES, Block},
    key::KeyHash,
    layout::FIRST_PAGE,
    page::{Entry, Fields, PageView},
};
use crate::{Error, Locator};

/// Pages that are read at once, at most: 256 KiB.
const PAGES_AT_ONCE_MAX: u64 = 64;

/// A place between the rows of a run. It keeps the run open.
#[derive(Debug)]
pub struct RunCursor<const K: usize> {
    run: Arc<Run<K>>,
    /// Consecutive pages.
    buffer: Vec<u8>,
    /// The page at the start of the buffer.
    first: u64,
    page: u64,
    /// Of the page.
    fields: Fields,
    row: usize,
    key: PartialKey<K>,
    /// The row; `None` behind the last.
    entry: Option<Entry>,
}

impl<const K: usize> Run<K> {
    /// A cursor whose first row is the first at or behind a key, or behind all rows of it.
    ///
    /// # Errors
    /// When the run is damaged there, or a record cannot be read.
    pub fn cursor(
        self: &Arc<Self>,
        from: Bound<&[u8; K]>,
        keys: &dyn KeySource<K>,
    ) -> Result<RunCursor<K>, Error> {
        let mut cursor = RunCursor {
            run: Arc::clone(self),
            buffer: Vec::new(),
            first: 0,
            page: 0,
            fields: Fields::default(),
            row: 0,
            key: PartialKey { bytes: [0; K], known: 0 },
            entry: None,
        };
        match from {
            Bound::Unbounded => {}
            Bound::Included(key) => cursor.seek(key, Slot::MAX, Ordering::Less, keys)?,
            Bound::Excluded(key) => cursor.seek(key, 0, Ordering::Equal, keys)?,
        }
        cursor.enter()?;
        Ok(cursor)
    }
}

impl<const K: usize> RunCursor<K> {
    /// The key of the row that the cursor is at, as far as it is known; `None` behind the last.
    pub fn key(&self) -> Option<&PartialKey<K>> {
        self.entry.map(|_| &self.key)
    }

    /// Slot and place of the row that the cursor is at.
    pub fn version(&self) -> Option<(Slot, Locator)> {
        self.entry.map(|entry| (entry.slot, entry.locator))
    }

    /// Whether the row has the key of the row before it in the run.
    pub fn continues(&self) -> bool {
        self.entry.is_some_and(|entry| entry.continues)
    }

    pub(crate) fn hash(&self) -> Option<KeyHash> {
        self.entry.map(|entry| entry.hash)
    }

    /// The whole key of the row, from its record if the run does not know it. It stays known for the
    /// rows of this key that follow.
    ///
    /// # Panics
    /// Behind the last row.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn whole_key(&mut self, keys: &dyn KeySource<K>) -> Result<[u8; K], Error> {
        let entry = self.entry.expect("the cursor is at a row");
        if self.key.as_whole().is_none() {
            self.key = PartialKey::whole(keys.key(entry.locator)?);
        }
        Ok(self.key.bytes)
    }

    /// Goes to the next row.
    ///
    /// # Errors
    /// When the run is damaged there, or cannot be read.
    pub fn advance(&mut self) -> Result<(), Error> {
        if self.entry.is_none() {
            return Ok(());
        }
        self.row += 1;
        if self.row >= self.fields.rows() {
            return self.enter();
        }
        let view = PageView::<K>::with_fields(self.block(), self.fields);
        let (mut key, entry) = (self.key, view.entry(self.row));
        if !entry.continues {
            match key.known == self.fields.known() {
                true => view.put_suffix(self.row, &mut key),
                false => key = view.key(self.row),
            }
        }
        (self.key, self.entry) = (key, Some(entry));
        Ok(())
    }

    /// Comes to a row of a page whose fields are not known yet, or to the first of the next page.
    fn enter(&mut self) -> Result<(), Error> {
        let before = self.entry.take().map(|_| self.key);
        while self.page < self.run.counts.pages {
            let row = self.row;
            let view = self.view()?;
            let fields = view.fields();
            if row < fields.rows() {
                let (key, entry) = (view.key(row), view.entry(row));
                let is_known = before.filter(|before| entry.continues && before.known > key.known);
                (self.key, self.entry) = (is_known.unwrap_or(key), Some(entry));
                self.fields = fields;
                break;
            }
            (self.page, self.row) = (self.page + 1, 0);
        }
        Ok(())
    }

    /// Goes to the first row that compares with `key` above `until`.
    fn seek(
        &mut self,
        key: &[u8; K],
        slot: Slot,
        until: Ordering,
        keys: &dyn KeySource<K>,
    ) -> Result<(), Error> {
        let Some(page) = self.run.page_of(key, slot)? else { return Ok(()) };
        self.page = page;
        let view = self.view()?;
        let mut low = view.first_at_or_above(key).from;
        let mut high = low;
        while high < view.rows() && view.is_tied(high, key) {
            high += 1;
        }
        while low < high {
            let middle = low.midpoint(high);
            let order = match view.knows_whole_keys() {
                true => Ordering::Equal,
                false => keys.key(view.entry(middle).locator)?.cmp(key),
            };
            match order <= until {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        self.row = low;
        Ok(())
    }

    /// The page that the cursor is in, read if it is not in the buffer.
    fn view(&mut self) -> Result<PageView<'_, K>, Error> {
        let held = (self.buffer.len() / BLOCK_BYTES) as u64;
        if !(self.first..self.first + held).contains(&self.page) {
            let count = (2 * held).clamp(1, PAGES_AT_ONCE_MAX);
            self.fill(count.min(self.run.counts.pages - self.page))?;
        }
        PageView::new(self.block()).map_err(|what| self.run.corrupt(FIRST_PAGE + self.page, what))
    }

    /// The page that the cursor is in, which is in the buffer.
    fn block(&self) -> &Block {
        let at = (self.page - self.first) as usize * BLOCK_BYTES;
        self.buffer[at..at + BLOCK_BYTES].try_into().expect("a block's length")
    }

    fn fill(&mut self, count: u64) -> Result<(), Error> {
        let number = FIRST_PAGE + self.page;
        self.first = self.page;
        self.buffer.resize(count as usize * BLOCK_BYTES, 0);
        let read = self.run.file.read_at(number * BLOCK_BYTES as u64, &mut self.buffer);
        let what = match read {
            Ok(read) if read == self.buffer.len() => {
                let blocks = self.buffer.as_chunks().0.iter().zip(number..);
                let damaged = blocks
                    .into_iter()
                    .find(|(block, number)| !self.run.seed().checks(*number, block));
                damaged.map(|(_, number)| {
                    self.run.corrupt(number, "the checksum of a block of the run does not match")
                })
            }
            Ok(_) => Some(self.run.corrupt(number, "the run ends too early")),
            Err(error) => Some(error.into()),
        };
        match what {
            None => Ok(()),
            Some(error) => {
                self.buffer.clear();
                Err(error)
            }
        }
    }
}
