//! When which archive is due: a pure function of the roots that come and of what was made.
//!
//! Rules:
//! 1. An archive is due at the first possible root at or past each multiple of its interval. A root is
//!    possible when an archive of it can be made, the node is not far behind, and it is not the first
//!    root of an epoch.
//! 2. One archive of a kind is due at most: the newest. So nothing piles up while one is being made,
//!    and no multiple is forgotten over skipped slots.
//! 3. A full archive goes first. An incremental one that is due at its slot or before falls away.
//! 4. An incremental archive needs a full one of an earlier slot, or one that is due.
//! 5. What failed is due again at the next possible root, [`RETRIES_MAX`] times; after that at the next
//!    multiple.
//! 6. What was asked for at a slot to come is due at the first possible root at or past it, besides all
//!    that.
//!
//! What it does *not* do: read stores or clocks, or know files.

use std::num::NonZeroU64;

use icecore_types::Slot;

/// Times that a failed archive is tried again before its next multiple.
pub const RETRIES_MAX: u32 = 2;

/// Which archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// All accounts of a slot.
    Full,
    /// Those that were written since a full archive.
    Incremental,
}

/// Slots between two archives of a kind; `None`: there are none but those that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Intervals {
    /// Full archives.
    pub full: Option<NonZeroU64>,
    /// Incremental archives.
    pub incremental: Option<NonZeroU64>,
}

/// A kind of archive with its interval.
#[derive(Debug, Clone, Copy)]
struct Line {
    interval: Option<NonZeroU64>,
    /// Multiples up to the last one that was taken care of.
    passed: u64,
    due: Option<Slot>,
    retries: u32,
}

/// Which archives are due.
#[derive(Debug, Clone)]
pub struct Schedule {
    full: Line,
    incremental: Line,
    /// The slot of the newest full archive.
    base: Option<Slot>,
    /// What was asked for, at the first possible root at or past a slot.
    asked: Option<(Kind, Slot)>,
    /// The root that it was waiting for has come.
    asked_due: Option<(Kind, Slot)>,
}

impl Line {
    fn new(interval: Option<NonZeroU64>, from: Slot) -> Self {
        let mut line = Self { interval, passed: 0, due: None, retries: 0 };
        line.passed = line.multiples(from);
        line
    }

    /// Multiples of the interval at or below a slot, beyond zero.
    fn multiples(&self, slot: Slot) -> u64 {
        self.interval.map_or(0, |interval| slot / interval)
    }

    fn root(&mut self, slot: Slot) {
        let multiples = self.multiples(slot);
        if multiples > self.passed {
            self.passed = multiples;
            self.due = Some(slot);
        }
    }

    /// It is due again at the next possible root, if it may be tried again.
    fn again(&mut self) {
        match self.retries < RETRIES_MAX {
            true => {
                self.retries += 1;
                self.passed = self.passed.saturating_sub(1);
            }
            false => self.retries = 0,
        }
    }
}

impl Schedule {
    /// Nothing is due. Multiples behind `from` are taken care of at the next possible root: the newest
    /// slot for which the journal says an archive was made, or with which the store begins.
    pub fn new(intervals: Intervals, base: Option<Slot>, from: Slot) -> Self {
        let newest_full = base.unwrap_or(from);
        Self {
            full: Line::new(intervals.full, newest_full),
            incremental: Line::new(intervals.incremental, from.max(newest_full)),
            base,
            asked: None,
            asked_due: None,
        }
    }

    /// A root that is possible.
    pub fn root(&mut self, slot: Slot) {
        self.full.root(slot);
        if self.full.due == Some(slot) {
            self.incremental.passed = self.incremental.passed.max(self.incremental.multiples(slot));
        }
        // One that is due will be there first.
        if [self.base, self.full.due].into_iter().flatten().any(|base| base < slot) {
            self.incremental.root(slot);
        }
        if let Some((kind, _)) = self.asked.filter(|(_, from)| *from <= slot) {
            self.asked = None;
            self.asked_due = Some((kind, slot));
        }
    }

    /// Asks for an archive at a root to come. False: another one was asked for and is not made yet.
    pub fn ask(&mut self, kind: Kind, from: Slot) -> bool {
        let is_free = self.asked.is_none() && self.asked_due.is_none();
        if is_free {
            self.asked = Some((kind, from));
        }
        is_free
    }

    /// Nothing is asked for any more.
    pub fn withdraw(&mut self) {
        (self.asked, self.asked_due) = (None, None);
    }

    /// What was asked for and its root has come.
    pub fn take_asked(&mut self) -> Option<(Kind, Slot)> {
        self.asked_due.take()
    }

    /// The archive to make now. It counts as taken: [`Self::made`], [`Self::failed`] or
    /// [`Self::put_back`] follows.
    pub fn take(&mut self) -> Option<(Kind, Slot)> {
        if let Some(slot) = self.full.due.take() {
            self.incremental.due = self.incremental.due.filter(|due| *due > slot);
            return Some((Kind::Full, slot));
        }
        self.take_incremental()
    }

    /// The incremental archive to make now, when the full one that is due has to wait: otherwise who
    /// reads full archives would keep all others from being made. As [`Self::take`].
    pub fn take_incremental(&mut self) -> Option<(Kind, Slot)> {
        let slot = self.incremental.due.take()?;
        match self.base.is_some_and(|base| base < slot) {
            true => Some((Kind::Incremental, slot)),
            // The full archive that was due has failed.
            false => {
                self.incremental.passed = self.incremental.passed.saturating_sub(1);
                None
            }
        }
    }

    /// What is due, in the order in which it would be taken.
    pub fn due(&self) -> impl Iterator<Item = (Kind, Slot)> {
        let full = self.full.due.map(|slot| (Kind::Full, slot));
        full.into_iter().chain(self.incremental.due.map(|slot| (Kind::Incremental, slot)))
    }

    /// The slot at or past which the next archive of a kind is due; `None`: without an interval.
    pub fn next(&self, kind: Kind) -> Option<Slot> {
        let line = self.line(kind);
        line.interval.map(|interval| (line.passed + 1).saturating_mul(interval.get()))
    }

    /// It could not be begun, for a reason that will pass: it stays due, unless a newer one is.
    pub fn put_back(&mut self, kind: Kind, slot: Slot) {
        let line = self.line_mut(kind);
        line.due = Some(line.due.unwrap_or(slot).max(slot));
    }

    /// It was made.
    pub fn made(&mut self, kind: Kind, slot: Slot) {
        self.line_mut(kind).retries = 0;
        if kind == Kind::Full {
            self.base = self.base.max(Some(slot));
            let multiples = self.full.multiples(slot);
            self.full.passed = self.full.passed.max(multiples);
            self.full.due = self.full.due.filter(|due| *due > slot);
        }
        // The next incremental archive comes an interval after either.
        let multiples = self.incremental.multiples(slot);
        self.incremental.passed = self.incremental.passed.max(multiples);
        self.incremental.due = self.incremental.due.filter(|due| *due > slot);
    }

    /// It could not be made.
    pub fn failed(&mut self, kind: Kind) {
        let line = self.line_mut(kind);
        if line.due.is_none() {
            line.again();
        }
    }

    /// The newest full archive that is there is of this slot now.
    pub fn set_base(&mut self, base: Option<Slot>) {
        self.base = base;
    }

    fn line(&self, kind: Kind) -> &Line {
        match kind {
            Kind::Full => &self.full,
            Kind::Incremental => &self.incremental,
        }
    }

    fn line_mut(&mut self, kind: Kind) -> &mut Line {
        match kind {
            Kind::Full => &mut self.full,
            Kind::Incremental => &mut self.incremental,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Kind::{Full, Incremental};

    fn intervals(full: u64, incremental: u64) -> Intervals {
        Intervals { full: NonZeroU64::new(full), incremental: NonZeroU64::new(incremental) }
    }

    fn take_all(schedule: &mut Schedule) -> Vec<(Kind, Slot)> {
        std::iter::from_fn(|| {
            let (kind, slot) = schedule.take()?;
            schedule.made(kind, slot);
            Some((kind, slot))
        })
        .collect()
    }

    #[test]
    fn the_first_root_at_or_past_a_multiple_is_taken() {
        let mut schedule = Schedule::new(intervals(100, 10), None, 95);
        assert_eq!((schedule.next(Full), schedule.next(Incremental)), (Some(100), Some(100)));
        let mut made = Vec::new();
        for slot in [96, 99, 103, 104, 109, 110, 119, 131, 132, 140, 199, 200, 205, 211] {
            schedule.root(slot);
            made.extend(take_all(&mut schedule));
        }
        let incremental = [110, 131, 140, 199, 211].map(|slot| (Incremental, slot));
        let mut expected = vec![(Full, 103), (Full, 200)];
        expected.extend(incremental);
        expected.sort_by_key(|(_, slot)| *slot);
        assert_eq!(made, expected);
    }

    #[test]
    fn while_one_is_made_the_newest_of_what_comes_is_kept() {
        let mut schedule = Schedule::new(intervals(100, 10), None, 95);
        schedule.root(100);
        assert_eq!(schedule.take(), Some((Full, 100)));
        // The full archive takes long.
        schedule.root(101);
        assert_eq!(schedule.due().next(), None, "the full one is as new");
        for slot in 102..=250 {
            schedule.root(slot);
        }
        schedule.made(Full, 100);
        assert_eq!(schedule.due().collect::<Vec<_>>(), [(Full, 200), (Incremental, 250)]);
        assert_eq!(take_all(&mut schedule), [(Full, 200), (Incremental, 250)]);
        assert_eq!(schedule.next(Full), Some(300));
    }

    #[test]
    fn a_full_archive_at_the_same_slot_wins_and_an_incremental_one_needs_one() {
        let mut schedule = Schedule::new(intervals(0, 10), None, 0);
        (1..100).for_each(|slot| schedule.root(slot));
        assert_eq!(take_all(&mut schedule), []);
        assert!(schedule.ask(Full, 105));
        assert!(!schedule.ask(Incremental, 106), "one is asked for already");
        schedule.root(104);
        assert_eq!(schedule.take_asked(), None);
        schedule.root(107);
        assert!(!schedule.ask(Full, 200), "and is not made yet");
        assert_eq!(schedule.take_asked(), Some((Full, 107)));
        assert!(schedule.ask(Full, 108));
        schedule.withdraw();
        schedule.root(108);
        assert_eq!(schedule.take_asked(), None);
        schedule.made(Full, 107);
        schedule.root(109);
        assert_eq!(take_all(&mut schedule), []);
        schedule.root(112);
        assert_eq!(take_all(&mut schedule), [(Incremental, 112)]);
        // It is gone, as somebody has removed it.
        schedule.set_base(None);
        (113..200).for_each(|slot| schedule.root(slot));
        assert_eq!(take_all(&mut schedule), []);
    }

    #[test]
    fn what_failed_is_tried_again_a_few_times_and_then_at_the_next_multiple() {
        let mut schedule = Schedule::new(intervals(100, 0), None, 0);
        let mut tried = Vec::new();
        for slot in 90..210 {
            schedule.root(slot);
            while let Some((kind, slot)) = schedule.take() {
                tried.push(slot);
                schedule.failed(kind);
            }
        }
        assert_eq!(tried, [100, 101, 102, 200, 201, 202]);
        schedule.root(300);
        assert_eq!(schedule.take(), Some((Full, 300)));
        // There is no room for it right now.
        schedule.put_back(Full, 300);
        assert_eq!(schedule.take(), Some((Full, 300)));
        schedule.put_back(Full, 300);
        schedule.root(400);
        assert_eq!(take_all(&mut schedule), [(Full, 400)]);
    }

    #[test]
    fn a_full_archive_that_has_to_wait_lets_incremental_ones_by() {
        let mut schedule = Schedule::new(intervals(100, 10), Some(100), 100);
        [200, 205, 210].into_iter().for_each(|slot| schedule.root(slot));
        for slot in [210, 220] {
            schedule.root(slot);
            assert_eq!(schedule.take(), Some((Full, 200)));
            schedule.put_back(Full, 200);
            assert_eq!(schedule.take_incremental(), Some((Incremental, slot)));
            schedule.made(Incremental, slot);
            assert_eq!(schedule.take_incremental(), None);
        }
        assert_eq!(take_all(&mut schedule), [(Full, 200)]);
    }

    #[test]
    fn what_was_due_before_an_end_is_due_after_it() {
        // The journal says that a full archive was made at 100; the process ended before the next one.
        let mut schedule = Schedule::new(intervals(100, 10), Some(100), 230);
        schedule.root(237);
        assert_eq!(take_all(&mut schedule), [(Full, 237)]);
        let mut schedule = Schedule::new(intervals(100, 10), Some(200), 230);
        schedule.root(237);
        assert_eq!(take_all(&mut schedule), []);
        schedule.root(240);
        assert_eq!(take_all(&mut schedule), [(Incremental, 240)]);
    }

    /// What is due of a kind, from all that has happened: the newest of the first possible roots at or
    /// past each multiple behind the last that was taken.
    fn oracle(interval: u64, from: Slot, roots: &[Slot], since: Slot) -> Option<Slot> {
        let last = *roots.last()?;
        let multiples = (0..=last / interval).map(|number| number * interval);
        multiples
            .filter(|multiple| *multiple > from)
            .filter_map(|multiple| roots.iter().find(|root| **root >= multiple))
            .filter(|root| **root > since)
            .max()
            .copied()
    }

    proptest! {
        #[test]
        fn full_archives_are_due_as_all_that_has_happened_says(
            interval in 1u64..40,
            from in 0u64..100,
            steps in prop::collection::vec((1u64..30, 0u32..3), 1..120),
        ) {
            let mut schedule = Schedule::new(intervals(interval, 0), None, from);
            let (mut roots, mut slot, mut taken) = (Vec::new(), from, from);
            let mut under_way = None;
            for (distance, action) in steps {
                slot += distance;
                schedule.root(slot);
                roots.push(slot);
                // Nothing is taken while one is made, for a while or for long.
                match (action, under_way.take()) {
                    (0, Some(made)) => schedule.made(Full, made),
                    (_, Some(made)) => under_way = Some(made),
                    (_, None) => {
                        let expected = oracle(interval, from, &roots, taken);
                        prop_assert_eq!(schedule.take(), expected.map(|slot| (Full, slot)));
                        taken = expected.unwrap_or(taken);
                        under_way = expected;
                    }
                }
            }
        }

        #[test]
        fn incremental_archives_follow_full_ones_and_none_is_lost(
            full in 20u64..80,
            incremental in 1u64..20,
            distances in prop::collection::vec(1u64..15, 1..200),
        ) {
            let mut schedule = Schedule::new(intervals(full, incremental), None, 0);
            let (mut slot, mut base, mut last) = (0, None, 0);
            for distance in distances {
                slot += distance;
                schedule.root(slot);
                let is_full = slot / full > base.unwrap_or(0) / full;
                let is_incremental = base.is_some() && slot / incremental > last / incremental;
                let expected = match (is_full, is_incremental) {
                    (true, _) => vec![(Full, slot)],
                    (false, true) => vec![(Incremental, slot)],
                    (false, false) => vec![],
                };
                prop_assert_eq!(take_all(&mut schedule), expected.clone());
                if !expected.is_empty() {
                    last = slot;
                }
                if is_full {
                    base = Some(slot);
                }
            }
        }
    }
}
