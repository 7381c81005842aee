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

/// Makes pages of rows.
#[derive(Debug)]
pub(crate) struct PageStream<const K: usize> {
    open: PageBuilder<K>,
    fence: Fence<K>,
    /// The last row of the page before the open one.
    ended: Option<Draft<K>>,
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
    pub(crate) fn new(last: Option<Draft<K>>) -> Self {
        let fence = Fence::within([0; K], 0);
        Self { open: PageBuilder::new(), fence, ended: last, rows: 0, keys: 0 }
    }

    /// The row that was pushed last.
    pub(crate) fn last(&self) -> Option<&Draft<K>> {
        self.open.last().or(self.ended.as_ref())
    }

    /// Takes the next row; whether it has the key of the row before is decided here.
    ///
    /// # Panics
    /// When the row does not belong behind the one before.
    pub(crate) fn push(
        &mut self,
        mut row: Draft<K>,
        keys: &dyn KeySource<K>,
        sink: &mut dyn PageSink<K>,
    ) -> Result<(), Error> {
        let mut difference = Difference::At(0);
        if let Some(last) = self.open.last_mut().or(self.ended.as_mut()) {
            difference = told_apart(last, &mut row, keys)?;
            if difference == Difference::None {
                assert!(row.slot < last.slot, "rows of a key go from newer to older slots");
                row.continues = true;
            }
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
        Ok(())
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
        self.ended = self.open.last().copied();
        let mut block = [0; BLOCK_BYTES];
        self.open.encode(&mut block, |row| keys.key(row.source))?;
        sink.page(&mut block, self.fence)
    }
}

/// Where a row's key begins to differ from the one of the row before.
fn told_apart<const K: usize>(
    last: &mut Draft<K>,
    row: &mut Draft<K>,
    keys: &dyn KeySource<K>,
) -> Result<Difference, Error> {
    if row.number.is_some() && row.number == last.number {
        return Ok(Difference::None);
    }
    let mut difference = last.key.difference(&row.key);
    if difference == Difference::Unknown {
        for row in [&mut *last, &mut *row] {
            if row.key.known < K {
                row.key = PartialKey::whole(keys.key(row.source)?);
            }
        }
        difference = last.key.difference(&row.key);
    }
    if let Difference::At(at) = difference {
        assert!(last.key.bytes[at] < row.key.bytes[at], "keys go upward");
    }
    Ok(difference)
}

impl<const K: usize> Draft<K> {
    pub(crate) fn of(store: &RunStore, row: &Row<K>) -> Self {
        Self {
            key: PartialKey::whole(row.key),
            hash: KeyHash::of(store, &row.key),
            slot: row.slot,
            locator: row.locator,
            source: row.locator,
            number: None,
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
    /// The first row and the last.
    pub(crate) ends: Option<(Draft<K>, Draft<K>)>,
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
        if self.done.ends.is_none() {
            self.done.ends = Some((draft, draft));
        }
        self.stream
            .push(draft, &NothingToRead, &mut self.done)
            .expect("memory takes pages, and no key is read");
    }

    /// All rows are there.
    pub fn finish(mut self) -> FinishedPart<K> {
        self.stream
            .end_page(&NothingToRead, &mut self.done)
            .expect("memory takes pages, and no key is read");
        let mut done = self.done;
        done.ends = done.ends.zip(self.stream.last()).map(|((first, _), last)| (first, *last));
        (done.rows, done.keys) = (self.stream.rows, self.stream.keys);
        done
    }
}
