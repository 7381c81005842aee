//! How much of each data segment is alive, and which segments are worth rewriting.
//!
//! What runs and the tail lead to is alive. A row says about how long its record is (its size class),
//! so no record is read. A complete run that was merged out of the window before it repeats that
//! window's records, and is not counted. One that was built on the run of another base point repeats
//! many of that one's: as long as that one is kept, only the others are counted.
//!
//! What it does *not* do: decide when to look.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use super::{GARBAGE_PERCENT_MIN, INPUTS_MAX, MOVED_BYTES_MAX};
use crate::{
    Error, Locator, SizeClass,
    record::HEADER_BYTES,
    run::{BY_PUBKEY, Merge, Run},
    run_set::{RunPair, Window},
    shared::{Chain, RecordKeys, Shared, State},
};

/// Bytes of a data segment before its first extent, and of the longest list of digests for each 64
/// KiB of content: what is neither alive nor garbage.
const SEGMENT_HEAD_BYTES: u64 = 4096;

/// What a rewrite may write beside records: heads and digests of one segment of moved records and of
/// one of what else is kept. To give back less is not worth it, or would go on forever.
const REWRITE_OVERHEAD_BYTES: u64 = 2 * (SEGMENT_HEAD_BYTES + 64);

/// A data segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SegmentUse {
    /// Its number.
    pub segment: u32,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of records that are alive and of what goes with slots and base points, about.
    pub live_bytes: u64,
    /// Whether it can be rewritten: it is sealed, and nothing in it is of slots that are
    /// neither flushed nor forgotten.
    pub is_free: bool,
}

impl SegmentUse {
    /// Bytes that nobody needs, about.
    pub fn garbage_bytes(&self) -> u64 {
        self.bytes.saturating_sub(SEGMENT_HEAD_BYTES).saturating_sub(self.live_bytes)
    }

    fn garbage_percent(&self) -> u64 {
        let content = self.bytes.saturating_sub(SEGMENT_HEAD_BYTES).max(1);
        self.garbage_bytes().saturating_mul(100) / content
    }
}

/// Bytes of a record of this class, about: in the middle of the class.
fn record_bytes(class: SizeClass) -> u64 {
    let longest = class.data_len_max().unwrap_or(0);
    HEADER_BYTES as u64 + longest - longest / 32
}

impl Shared {
    /// How much of each data segment is alive.
    pub(crate) fn survey(&self) -> Result<Vec<SegmentUse>, Error> {
        self.renew_facts()?;
        // In this order: what a slot has written is with the slots under way, then in the tail.
        let segments = match &*self.chain() {
            Chain::Writer(journal) => journal.data_segments(),
            Chain::Reader(_) | Chain::Closed => self.history.data_segments(),
        };
        let mut busy = self.underway.segments();
        let state = self.state();
        let mut live: BTreeMap<u32, u64> = BTreeMap::new();
        let mut count = |locator: Locator| {
            *live.entry(locator.segment()).or_default() += record_bytes(locator.class());
        };
        state.tail.for_each(|version| {
            busy.insert(version.locator.segment());
            count(version.locator);
        });
        for spilled in &state.runs.spilled {
            self.for_each_row(&state, &spilled.runs.by_pubkey, &mut |locator| {
                busy.insert(locator.segment());
                count(locator);
            })?;
        }
        for (place, window) in state.runs.windows.iter().enumerate() {
            for pair in window.pairs() {
                let is_repetition = pair.after.is_none() && window.base.is_none() && place > 0;
                let built_on = match pair.after {
                    None => self.built_on(&state, window)?,
                    Some(_) => None,
                };
                match built_on {
                    Some(base) => self.for_each_own_row(&state, pair, base, &mut count)?,
                    None if !is_repetition => {
                        self.for_each_row(&state, &pair.by_pubkey, &mut count)?;
                    }
                    None => {}
                }
            }
        }
        let facts = self.facts.lock().expect("nobody panics while holding it");
        let used = segments.into_iter().map(|info| {
            let facts = facts.of(info.id);
            let live_bytes = live.get(&info.id).copied().unwrap_or(0) + facts.kept_bytes;
            let is_free = info.is_sealed && !facts.is_kept_whole && !busy.contains(&info.id);
            let live_bytes = match facts.is_kept_whole {
                true => info.bytes,
                false => live_bytes.min(info.bytes),
            };
            SegmentUse { segment: info.id, bytes: info.bytes, live_bytes, is_free }
        });
        Ok(used.collect())
    }

    /// Shows where the records of a run lie.
    pub(crate) fn for_each_row(
        &self,
        state: &State,
        run: &Arc<Run<BY_PUBKEY>>,
        visit: &mut dyn FnMut(Locator),
    ) -> Result<(), Error> {
        let keys = RecordKeys { shared: self, segments: &state.runs.segments };
        let mut cursor = run.cursor(Bound::Unbounded, &keys)?;
        while let Some((_, locator)) = cursor.version() {
            visit(locator);
            cursor.advance()?;
        }
        Ok(())
    }

    /// The complete run that the one of a window was built on, if it is still there.
    fn built_on<'a>(
        &self,
        state: &'a State,
        window: &Window,
    ) -> Result<Option<&'a RunPair>, Error> {
        let base = self.base_of(window)?.and_then(|(_, point)| point.built_on);
        let windows = &state.runs.windows;
        let found = windows.iter().find(|other| other.base.is_some() && other.base == base);
        Ok(found.map(|base| &base.complete))
    }

    /// Shows where the records of a run lie that the one it was built on does not lead to.
    fn for_each_own_row(
        &self,
        state: &State,
        pair: &RunPair,
        base: &RunPair,
        visit: &mut dyn FnMut(Locator),
    ) -> Result<(), Error> {
        let keys = RecordKeys { shared: self, segments: &state.runs.segments };
        let runs = [pair, base].map(|pair| Arc::clone(&pair.by_pubkey));
        let mut merge = Merge::new(&runs, Bound::Unbounded, &keys)?;
        let mut own: Option<(u64, Locator)> = None;
        while let Some(row) = merge.next_row()? {
            // Of a key the row of the newer run comes first.
            let is_of_base = row.slot <= base.to;
            if let Some((number, locator)) = own.take()
                && !(is_of_base && number == row.key_number && locator == row.locator)
            {
                visit(locator);
            }
            own = (!is_of_base).then_some((row.key_number, row.locator));
        }
        if let Some((_, locator)) = own {
            visit(locator);
        }
        Ok(())
    }

    /// Where in these segments runs have records, sorted; and the runs that have.
    pub(crate) fn live_in(
        &self,
        state: &State,
        inputs: &BTreeSet<u32>,
    ) -> Result<LiveRecords, Error> {
        let mut places = Vec::new();
        let mut pairs = BTreeSet::new();
        for pair in state.runs.windows.iter().flat_map(|window| window.pairs()) {
            let before = places.len();
            self.for_each_row(state, &pair.by_pubkey, &mut |locator| {
                if inputs.contains(&locator.segment()) {
                    places.push(place_of(locator));
                }
            })?;
            if places.len() > before {
                pairs.insert(pair_id(pair));
            }
            // A run that repeats others does not make it longer for long.
            places.sort_unstable();
            places.dedup();
        }
        Ok(LiveRecords { places, pairs })
    }
}

/// Records of some segments that runs lead to.
#[derive(Debug)]
pub(crate) struct LiveRecords {
    /// As [`place_of`] has them, sorted.
    pub(crate) places: Vec<u64>,
    /// The pairs of runs that lead to them, as [`pair_id`] has them.
    pairs: BTreeSet<u32>,
}

impl LiveRecords {
    /// Whether a pair of runs leads to them.
    pub(crate) fn leads(&self, pair: &RunPair) -> bool {
        self.pairs.contains(&pair_id(pair))
    }
}

/// A locator without its class.
pub(crate) fn place_of(locator: Locator) -> u64 {
    locator.to_bits() >> 8
}

/// The number of a pair's first run stands for both.
fn pair_id(pair: &RunPair) -> u32 {
    pair.by_pubkey.info().id
}

/// The segments that are worth it, those with most garbage first.
pub(crate) fn choose(segments: &[SegmentUse]) -> BTreeSet<u32> {
    let mut worth: Vec<&SegmentUse> = segments
        .iter()
        .filter(|segment| segment.is_free && segment.garbage_percent() >= GARBAGE_PERCENT_MIN)
        .collect();
    worth.sort_by_key(|segment| (u64::MAX - segment.garbage_percent(), segment.segment));
    let mut chosen = BTreeSet::new();
    let (mut bytes, mut moved_bytes) = (0, 0);
    for segment in worth.into_iter().take(INPUTS_MAX) {
        // What does not fit is left for the next time.
        if chosen.is_empty() || moved_bytes + segment.live_bytes <= MOVED_BYTES_MAX {
            bytes += segment.bytes;
            moved_bytes += segment.live_bytes;
            chosen.insert(segment.segment);
        }
    }
    if bytes <= moved_bytes + REWRITE_OVERHEAD_BYTES { BTreeSet::new() } else { chosen }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_with_much_garbage_are_chosen_first_and_busy_ones_never() {
        let used = |segment, live_bytes, is_free| SegmentUse {
            segment,
            bytes: SEGMENT_HEAD_BYTES + 100_000,
            live_bytes,
            is_free,
        };
        let segments =
            [(1, 100_000, true), (2, 10_000, false), (3, 80_000, true), (4, 74_000, true)]
                .map(|(segment, live_bytes, is_free)| used(segment, live_bytes, is_free));
        assert_eq!(choose(&segments), BTreeSet::from([4]), "a quarter is garbage, or more");
        let large =
            |segment, live_bytes| SegmentUse { segment, bytes: 1 << 31, live_bytes, is_free: true };
        let segments = [large(1, MOVED_BYTES_MAX), large(2, 100), large(3, MOVED_BYTES_MAX - 200)];
        assert_eq!(choose(&segments), BTreeSet::from([2, 3]), "more is left for the next time");
    }

    #[test]
    fn segments_whose_rewriting_gives_nothing_back_are_left() {
        let small = |segment| SegmentUse {
            segment,
            bytes: SEGMENT_HEAD_BYTES + 176,
            live_bytes: 112,
            is_free: true,
        };
        assert!(small(1).garbage_percent() >= GARBAGE_PERCENT_MIN);
        assert_eq!(choose(&[small(1), small(2)]), BTreeSet::new());
        assert_eq!(choose(&[1, 2, 3].map(small)), BTreeSet::from([1, 2, 3]), "two heads are saved");
    }
}
