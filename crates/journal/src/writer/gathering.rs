//! Waiting a moment before a sync, for those who are about to want one as well.
//!
//! What would happen without it: of sixteen threads that append and wait, eight are served by a sync
//! while the other eight have just been accepted. One of these begins the next sync at once; the eight
//! that were served come back a moment later and miss it. So two halves take turns for ever, and each
//! sync serves one.
//!
//! 1. When a sync ends, it is counted who waits: those who are served, and those who came meanwhile.
//!    As many are expected the next time.
//! 2. The next leader waits until so many have come since the last sync began (those who were served
//!    may still be about to leave, and do not count), a quarter of a sync's time at most, and lets
//!    others run meanwhile.
//!
//! One thread alone expects itself, and never waits. What is expected is a guess: it costs time, never
//! correctness.

use std::{thread, time::Duration};

use icecore_disk::Stopwatch;

use crate::primitives::atomic::{AtomicU64, AtomicUsize, Ordering};

/// However long syncs take, nobody waits longer than this for others.
const LONGEST: Duration = Duration::from_micros(500);

/// Who waits for a sync, and how many are expected to.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    waiting: AtomicUsize,
    /// How many have come, ever.
    come: AtomicUsize,
    /// How many had come when the last sync began.
    taken: AtomicUsize,
    expected: AtomicUsize,
    sync_nanoseconds: AtomicU64,
}

/// Somebody who waits; no longer when dropped.
pub(crate) struct Waiting<'a>(&'a Gathering);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gathering {
    /// The caller waits from now on.
    pub(crate) fn enter(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.come.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }

    /// As the leader, before a sync: waits for those who are expected.
    pub(crate) fn gather(&self) {
        // Random schedules know no time, and every schedule is tried anyway.
        if !cfg!(feature = "shuttle") {
            self.wait();
        }
        self.taken.store(self.come.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn wait(&self) {
        let taken = self.taken.load(Ordering::Relaxed);
        let expected = self.expected.load(Ordering::Relaxed);
        let quarter = Duration::from_nanos(self.sync_nanoseconds.load(Ordering::Relaxed) / 4);
        let watch = Stopwatch::start();
        while self.come.load(Ordering::Relaxed).wrapping_sub(taken) < expected
            && watch.elapsed() < quarter.min(LONGEST)
        {
            thread::yield_now();
        }
    }

    /// As the leader, after a sync that took so long.
    pub(crate) fn synced(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sync_nanoseconds.store(nanoseconds, Ordering::Relaxed);
        self.expected.store(self.waiting.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;

    #[test]
    fn one_alone_never_waits_and_others_are_waited_for_a_quarter_of_a_sync() {
        let gathering = Gathering::default();
        for _ in 0..3 {
            let alone = gathering.enter();
            gathering.gather();
            gathering.synced(Duration::from_secs(3600));
            drop(alone);
        }
        let three = [gathering.enter(), gathering.enter(), gathering.enter()];
        gathering.gather();
        gathering.synced(Duration::from_micros(400));
        assert_eq!(gathering.expected.load(Ordering::Relaxed), 3);
        // One comes back at once; the others have not even left.
        let back = gathering.enter();
        let watch = Stopwatch::start();
        gathering.gather();
        assert!(watch.elapsed() >= Duration::from_micros(100), "two are missing");
        drop(three);
        // They did not come: nobody waits for them again.
        gathering.synced(Duration::from_secs(3600));
        drop(back);
        let _again = gathering.enter();
        gathering.gather();
    }
}
