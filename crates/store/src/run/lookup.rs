//! Finding the newest version of a key in a run.
//!
//! 1. The filter of a delta run passes over most keys that are not in it: one cache line.
//! 2. Fences lead to the one page in which the key can be: the last that begins at or before key and
//!    slot. They also tell about where in it, so that these bytes can be on their way. Only if the next page goes on with the key, the answer can be its first row.
//! 3. In the page the suffix is searched from a guess. Of the rows with this suffix those with the
//!    key's hash are the answer, or a key with the same suffix and hash.
//!
//! So a lookup touches one page of rows and reads no record; what it finds is certain only where a
//! page knows its keys to the end. The caller, who reads the record anyway, sees in it whether it is
//! the key's. For what is not there no record is read either.
//!
//! What it does *not* do: read records ([`super::versions`] does).

use std::cmp::Ordering;

use icecore_disk::{is_resident, prefetch, will_need};
use icecore_types::Slot;

use super::{
    Run, Sought,
    block::BLOCK_BYTES,
    fences::{FenceView, fences_per_block},
    filter::{BUCKET_BYTES, Spot, place_of},
    key::Fence,
    layout::{FIRST_PAGE, Level},
    page::{PageView, suffix_number},
    search::{first_not_before, interpolated},
};
use crate::{Error, Locator};

/// What a lookup found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The slot of the version.
    pub slot: Slot,
    /// Where its record lies.
    pub locator: Locator,
    /// Whether it is the key's for certain. If not, and the record has another key (once in 2^47
    /// lookups, and more seldom where keys are uniform), [`Run::newest_at_certain`] has the answer.
    pub is_certain: bool,
}

/// Keys that are looked up side by side.
const GROUP: usize = 32;

/// Of blocks that are wanted together so many are looked at to know whether they are in memory.
const SAMPLES: usize = 2;

/// Bytes before and behind a guess that are fetched with it: the standard deviation of the guess is
/// half the root of a page's rows, which are up to 16 bytes wide.
const NEAR_BYTES: usize = 128;

const CACHE_LINE_BYTES: usize = 64;

/// Where rows with the suffix of a key lie in a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tied {
    pub(crate) from: usize,
    pub(crate) suffix: u64,
}

impl<'a, const K: usize> PageView<'a, K> {
    /// The first row whose known bytes are not below those of a key.
    pub(crate) fn first_at_or_above(&self, key: &[u8; K]) -> Tied {
        let suffix = suffix_number(key, self.prefix().len(), self.suffix_bytes());
        let from = match key[..self.prefix().len()].cmp(self.prefix()) {
            Ordering::Less => 0,
            Ordering::Greater => self.rows(),
            Ordering::Equal => {
                let guess = interpolated(suffix, self.suffix(0), self.last_suffix(), self.rows());
                first_not_before(guess, self.rows(), |index| self.suffix(index) < suffix)
            }
        };
        Tied { from, suffix }
    }

    /// The rows that can be a key's, as far as the page knows: all of its rows here are among them.
    fn tied(&self, key: &[u8; K]) -> impl Iterator<Item = usize> + use<'a, K> {
        let (page, found) = (*self, self.first_at_or_above(key));
        let has_prefix = key.starts_with(page.prefix());
        (found.from..page.rows())
            .take_while(move |index| has_prefix && page.suffix(*index) == found.suffix)
    }

    /// Whether a row can be a key's, as far as the page knows.
    pub(crate) fn is_tied(&self, index: usize, key: &[u8; K]) -> bool {
        let (prefix, suffix) = (self.prefix().len(), self.suffix_bytes());
        key.starts_with(self.prefix()) && self.suffix(index) == suffix_number(key, prefix, suffix)
    }
}

/// Asks the disk for bytes that are wanted together, if it seems that they are not in memory.
fn fetch_absent<'a>(wanted: impl Iterator<Item = &'a [u8]> + Clone) {
    if !wanted.clone().step_by(GROUP / SAMPLES).all(is_resident) {
        wanted.for_each(will_need);
    }
}

impl<const K: usize> Run<K> {
    /// The newest version of a key at or below a slot, tombstones and departures included.
    ///
    /// # Errors
    /// When the run is damaged where it is looked at.
    pub fn newest_at(
        &self,
        sought: &Sought<'_, K>,
        slot_max: Slot,
    ) -> Result<Option<Found>, Error> {
        if !self.may_have(sought)? {
            return Ok(None);
        }
        match self.page_of(sought.key, slot_max)? {
            Some(page) => self.newest_in(page, sought, slot_max),
            None => Ok(None),
        }
    }

    /// The same for many keys at once, whose bytes are fetched side by side. Only where `found` has
    /// nothing yet it is filled, so that one run can be asked after the other, newest first.
    ///
    /// # Errors
    /// When the run is damaged where it is looked at.
    ///
    /// # Panics
    /// When there are not as many places as keys.
    pub fn newest_at_many(
        &self,
        sought: &[Sought<'_, K>],
        slot_max: Slot,
        found: &mut [Option<Found>],
    ) -> Result<(), Error> {
        assert_eq!(sought.len(), found.len(), "a place for each key");
        for (sought, found) in sought.chunks(GROUP).zip(found.chunks_mut(GROUP)) {
            let mut pages = [None; GROUP];
            fetch_absent(sought.iter().map(|sought| self.filter_bucket(sought)));
            sought.iter().for_each(|sought| self.prefetch_filter(sought));
            for ((sought, found), page) in sought.iter().zip(&*found).zip(&mut pages) {
                *page = (found.is_none() && self.may_have(sought)?).then_some(0);
            }
            // Level by level, so that the bytes that one key needs come while others are looked at.
            for level in (0..self.layout.levels.len()).rev() {
                for (sought, page) in sought.iter().zip(&mut pages) {
                    if let Some(block) = *page {
                        *page = self.step_down(level, block, sought.key, slot_max)?;
                    }
                }
                let first = self.first_below(level);
                fetch_absent(pages.iter().flatten().map(|page| &self.unchecked(first + page)[..]));
            }
            for ((sought, found), page) in sought.iter().zip(found).zip(pages) {
                if let Some(page) = page {
                    *found = self.newest_in(page, sought, slot_max)?;
                }
            }
        }
        Ok(())
    }

    /// Whether the key can be in the run, as the filter says.
    pub(crate) fn may_have(&self, sought: &Sought<'_, K>) -> Result<bool, Error> {
        if self.counts.buckets == 0 {
            return Ok(self.counts.rows > 0);
        }
        let spot = Spot::of(sought.hash, self.counts.buckets);
        let (block, at) = place_of(spot.bucket);
        Ok(spot.is_in(&self.block(self.layout.first_filter + block)?[at..]))
    }

    pub(crate) fn prefetch_filter(&self, sought: &Sought<'_, K>) {
        prefetch(self.filter_bucket(sought));
    }

    /// Where the filter says whether a key can be there; nothing if there is no filter.
    fn filter_bucket(&self, sought: &Sought<'_, K>) -> &[u8] {
        if self.counts.buckets == 0 {
            return &[];
        }
        let (block, at) = place_of(Spot::of(sought.hash, self.counts.buckets).bucket);
        &self.unchecked(self.layout.first_filter + block)[at..at + BUCKET_BYTES]
    }

    /// The page in which rows of the key at or below the slot begin, if there are any; `None` when
    /// all pages begin above.
    pub(crate) fn page_of(&self, key: &[u8; K], slot: Slot) -> Result<Option<u64>, Error> {
        let mut block = 0;
        for level in (0..self.layout.levels.len()).rev() {
            match self.step_down(level, block, key, slot)? {
                Some(below) => block = below,
                None => return Ok(None),
            }
        }
        Ok((!self.layout.levels.is_empty()).then_some(block))
    }

    /// From a block of fences to the one of the level below, or the page, that it leads to; `None`
    /// when all of the run begins above. What is there is fetched.
    fn step_down(
        &self,
        level: usize,
        block: u64,
        key: &[u8; K],
        slot: Slot,
    ) -> Result<Option<u64>, Error> {
        let per_block = fences_per_block(K) as u64;
        let Level { first_block, fences } = self.layout.levels[level];
        let number = first_block + block;
        let count = (fences - block * per_block).min(per_block) as usize;
        let view = FenceView::<K>::new(self.block(number)?, count)
            .map_err(|what| self.corrupt(number, what))?;
        let Some(index) = view.count_at_or_before(key, slot).checked_sub(1) else {
            return match block {
                0 => Ok(None),
                _ => Err(self.corrupt(number, "a block of fences begins too late")),
            };
        };
        let below = block * per_block + index as u64;
        self.prefetch_near(
            self.first_below(level) + below,
            view.place_behind(index, key, BLOCK_BYTES),
        );
        Ok(Some(below))
    }

    /// The first block of the level below, or the first page.
    fn first_below(&self, level: usize) -> u64 {
        match level.checked_sub(1) {
            Some(level) => self.layout.levels[level].first_block,
            None => FIRST_PAGE,
        }
    }

    /// Fetches the header of a block, and the bytes around those at `near`: all at once, since memory
    /// takes as long for one as for all.
    fn prefetch_near(&self, number: u64, near: usize) {
        let block = self.unchecked(number);
        prefetch(block);
        let first = near.saturating_sub(NEAR_BYTES);
        let lines = (first..BLOCK_BYTES.min(near + NEAR_BYTES)).step_by(CACHE_LINE_BYTES);
        lines.for_each(|at| prefetch(&block[at..]));
    }

    /// A page of rows.
    pub(crate) fn page(&self, page: u64) -> Result<PageView<'_, K>, Error> {
        let number = FIRST_PAGE + page;
        PageView::new(self.block(number)?).map_err(|what| self.corrupt(number, what))
    }

    /// Where a page begins.
    fn fence(&self, page: u64) -> Result<Fence<K>, Error> {
        let per_block = fences_per_block(K) as u64;
        let level = self.layout.levels[0];
        let (block, index) = (page / per_block, (page % per_block) as usize);
        let number = level.first_block + block;
        let count = (level.fences - block * per_block).min(per_block) as usize;
        let view = FenceView::<K>::new(self.block(number)?, count)
            .map_err(|what| self.corrupt(number, what))?;
        Ok(view.fence(index))
    }

    /// The page behind one, if it goes on with the key.
    pub(crate) fn continued(&self, page: u64, key: &[u8; K]) -> Result<Option<u64>, Error> {
        let next = page + 1;
        if next >= self.counts.pages || !self.fence(next)?.continues(key) {
            return Ok(None);
        }
        Ok(Some(next))
    }

    fn newest_in(
        &self,
        page: u64,
        sought: &Sought<'_, K>,
        slot_max: Slot,
    ) -> Result<Option<Found>, Error> {
        let view = self.page(page)?;
        for index in view.tied(sought.key) {
            if view.hash(index) != sought.hash {
                continue;
            }
            let entry = view.entry(index);
            if entry.slot <= slot_max {
                return Ok(Some(Found {
                    slot: entry.slot,
                    locator: entry.locator,
                    is_certain: view.knows_whole_keys(),
                }));
            }
        }
        // What a page goes on with is known to the end: its fence says it.
        let Some(next) = self.continued(page, sought.key)? else { return Ok(None) };
        let entry = self.page(next)?.entry(0);
        Ok((entry.slot <= slot_max).then_some(Found {
            slot: entry.slot,
            locator: entry.locator,
            is_certain: true,
        }))
    }
}
