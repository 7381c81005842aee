//! From rows in order to pages; and parts of a run, which are made side by side.
//!
//! 1. Each row is compared with the one before it: where their keys begin to differ decides what the
//!    page must know of them. Where too little is known of the two, their records are read.
//! 2. A row that does not fit ends the page. A new page has a fence.
//! 3. A part keeps its pages in memory, without checksums; the writer of the run sets these when the
//!    part is appended, since they depend on the place.
//!
//! What it does *not* do: sort.

use super::{
    KeySource, Row, RunStore,
    block::{BLOCK_BYTES, Block},
    key::{Difference, Fence, KeyHash, PartialKey},
    page::{Draft, PageBuilder},
};
use crate::{Error, Locator};

/// Takes pages without checksums.
pub(crate) trait PageSink<const K: usize> {
    fn page(&mut self, page: &mut Block, fence: Fence<K>) -> Result<(), Error>;
}

/// The last row that was pushed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Last<const K: usize> {
    pub(crate) key: PartialKey<K>,
    source: Locator,
    slot: u64,
    /// The number of its key in the merge that it came from.
    number: Option<u64>,
}

/// Makes pages of rows.
#[derive(Debug)]
pub(crate) struct PageStream<const K: usize> {
    open: PageBuilder<K>,
    fence: Fence<K>,
    last: Option<Last<K>>,
    pub(crate) rows: u64,
    pub(crate) keys: u64,
}

/// For rows whose keys are known to the end.
pub(crate) struct NothingToRead;

impl<const K: usize> KeySource<K> for NothingToRead {
    fn key(&self, _: Locator) -> Result<[u8; K], Error> {
        unreachable!("rows with whole keys follow rows with whole keys")
    }
}

impl<const K: usize> PageStream<K> {
    /// Of rows behind this one, if there is one already.
    pub(crate) fn new(last: Option<Last<K>>) -> Self {
        let fence = Fence::within([0; K], 0);
        Self { open: PageBuilder::new(), fence, last, rows: 0, keys: 0 }
    }

    pub(crate) fn last(&self) -> Option<Last<K>> {
        self.last
    }

    /// Takes the next row; `continues` is decided here, `number` tells rows with one key in a merge.
    ///
    /// # Panics
    /// When the row does not belong behind the one before.
    pub(crate) fn push(
        &mut self,
        mut row: Draft<K>,
        number: Option<u64>,
        keys: &dyn KeySource<K>,
        sink: &mut dyn PageSink<K>,
    ) -> Result<(), Error> {
        let difference = match self.last {
            None => Difference::At(0),
            Some(last) if number.is_some() && number == last.number => Difference::None,
            Some(last) => self.told_apart(last, &mut row, keys)?,
        };
        row.continues = difference == Difference::None;
        if let Some(last) = self.last.filter(|_| row.continues) {
            assert!(row.slot < last.slot, "rows of a key go from newer to older slots");
        }
        let fits = !self.open.is_empty() && self.open.push(&row, difference);
        if !fits {
            self.end_page(keys, sink)?;
            if row.continues && row.key.known < K {
                row.key = PartialKey::whole(keys.key(row.source)?);
            }
            self.fence = match difference {
                Difference::At(at) => Fence::between(&row.key, at),
                _ => Fence::within(row.key.bytes, row.slot),
            };
            assert!(self.open.push(&row, difference), "one row fits");
        }
        self.rows += 1;
        self.keys += u64::from(!row.continues);
        let Draft { key, source, slot, .. } = row;
        self.last = Some(Last { key, source, slot, number });
        Ok(())
    }

    /// Where a row's key begins to differ from the last one.
    fn told_apart(
        &mut self,
        mut last: Last<K>,
        row: &mut Draft<K>,
        keys: &dyn KeySource<K>,
    ) -> Result<Difference, Error> {
        if last.key.difference(&row.key) == Difference::Unknown {
            for (key, source) in [(&mut last.key, last.source), (&mut row.key, row.source)] {
                if key.known < K {
                    *key = PartialKey::whole(keys.key(source)?);
                }
            }
            if let Some(before) = self.open.last_mut() {
                before.key = last.key;
            }
        }
        let difference = last.key.difference(&row.key);
        if let Difference::At(at) = difference {
            assert!(last.key.bytes[at] < row.key.bytes[at], "keys go upward");
        }
        Ok(difference)
    }

    /// Ends the open page, if it has rows.
    pub(crate) fn end_page(
        &mut self,
        keys: &dyn KeySource<K>,
        sink: &mut dyn PageSink<K>,
    ) -> Result<(), Error> {
        if self.open.is_empty() {
            return Ok(());
        }
        let mut block = [0; BLOCK_BYTES];
        self.open.encode(&mut block, |row| keys.key(row.source))?;
        sink.page(&mut block, self.fence)
    }
}

impl<const K: usize> Draft<K> {
    pub(crate) fn of(store: &RunStore, row: &Row<K>) -> Self {
        Self {
            key: PartialKey::whole(row.key),
            hash: KeyHash::of(store, &row.key),
            slot: row.slot,
            locator: row.locator,
            source: row.locator,
            continues: false,
        }
    }
}

/// A part of a run, made in memory: several threads make parts, then they are appended in order.
///
/// Memory: the rows' pages (14 bytes or so for each row) and a fence of `K` + 8 bytes for each page.
#[derive(Debug)]
pub struct RunPart<const K: usize> {
    store: RunStore,
    stream: PageStream<K>,
    done: FinishedPart<K>,
}

/// A part whose rows are all there.
#[derive(Debug, Default)]
pub struct FinishedPart<const K: usize> {
    pub(crate) pages: Vec<u8>,
    pub(crate) fences: Vec<Fence<K>>,
    pub(crate) ends: Option<(PartialKey<K>, Last<K>)>,
    pub(crate) rows: u64,
    pub(crate) keys: u64,
}

impl<const K: usize> PageSink<K> for FinishedPart<K> {
    fn page(&mut self, page: &mut Block, fence: Fence<K>) -> Result<(), Error> {
        self.pages.extend_from_slice(page);
        self.fences.push(fence);
        Ok(())
    }
}

impl<const K: usize> FinishedPart<K> {
    /// Its rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

impl<const K: usize> RunPart<K> {
    /// An empty part.
    pub fn new(store: RunStore) -> Self {
        let done =
            FinishedPart { pages: Vec::new(), fences: Vec::new(), ends: None, rows: 0, keys: 0 };
        Self { store, stream: PageStream::new(None), done }
    }

    /// Takes the next row: keys go upward, slots of one key downward.
    ///
    /// # Panics
    /// When the row does not belong behind the one before.
    pub fn push(&mut self, row: &Row<K>) {
        let draft = Draft::of(&self.store, row);
        self.done.ends.get_or_insert_with(|| {
            (draft.key, Last { key: draft.key, source: row.locator, slot: 0, number: None })
        });
        self.stream
            .push(draft, None, &NothingToRead, &mut self.done)
            .expect("memory takes pages, and no key is read");
    }

    /// All rows are there.
    pub fn finish(mut self) -> FinishedPart<K> {
        self.stream
            .end_page(&NothingToRead, &mut self.done)
            .expect("memory takes pages, and no key is read");
        let mut done = self.done;
        done.ends = done.ends.zip(self.stream.last()).map(|((first, _), last)| (first, last));
        (done.rows, done.keys) = (self.stream.rows, self.stream.keys);
        done
    }
}
