//! A bell: what a host sleeps on, and what its neighbours ring when there is something to do.
//!
//! One sleeper, many ringers, one word that says whether the host sleeps.
//!
//! The sleeper: 1. says that it sleeps; 2. fence; 3. looks once more whether there is something to
//! do; 4. waits while the word still says so, at most for the timeout; 5. says that it is awake.
//! A ringer: 1. has published what there is to do; 2. fence; 3. looks whether the host sleeps; 4. if
//! so, says that it is awake and wakes it.
//!
//! Invariants:
//! - Of the two looks at least one sees the other side, because each side writes, fences, and then
//!   looks. So no ring that follows the announcement is missed.
//! - Ringing a host that is awake costs a fence and a load.
//! - Whoever can write the word can cost the host a wake-up or a nap of one timeout, nothing else.
//!
//! What it does *not* do: count rings, or carry what they are about.

use std::{sync::atomic::Ordering, time::Duration};

use crate::layer::{Words, fence};

const AWAKE: u32 = 0;
const SLEEPING: u32 = 1;

/// A view of a bell; all views of the same words are the same bell.
#[derive(Debug, Clone)]
pub(crate) struct Bell {
    words: Words,
}

impl Bell {
    /// Words of a bell: a cache line of its own, of which the first is used.
    pub(crate) const WORDS: usize = 8;

    /// The bell in these words.
    pub(crate) fn new(words: Words) -> Self {
        assert!(words.len() >= Self::WORDS, "a bell has {} words", Self::WORDS);
        Self { words }
    }

    /// Wakes the host if it sleeps. What was written before is seen by its next look.
    #[inline]
    pub(crate) fn ring(&self) {
        fence(Ordering::SeqCst);
        self.ring_after_fence();
    }

    /// Rings several bells at the cost of one fence.
    #[inline]
    pub(crate) fn ring_all(bells: &[Self]) {
        fence(Ordering::SeqCst);
        bells.iter().for_each(Self::ring_after_fence);
    }

    /// Sleeps until rung, or for `timeout`, unless `ready` finds something to do after the
    /// announcement. May return early. Only the host whose bell it is may call this.
    pub(crate) fn sleep(&self, timeout: Duration, mut ready: impl FnMut() -> bool) {
        self.tell(SLEEPING);
        fence(Ordering::SeqCst);
        if !ready() {
            self.words.wait(0, SLEEPING, timeout);
        }
        self.tell(AWAKE);
    }

    #[inline]
    fn ring_after_fence(&self) {
        if self.words.load(0, Ordering::Relaxed) == u64::from(SLEEPING)
            && self.tell(AWAKE) == u64::from(SLEEPING)
        {
            self.words.wake(0);
        }
    }

    /// Both sides exchange instead of storing, so that every change of the word takes up the one
    /// before: no late change of a ringer can hide a newer announcement.
    #[inline]
    fn tell(&self, state: u32) -> u64 {
        self.words.swap(0, u64::from(state), Ordering::Relaxed)
    }
}

#[cfg(all(test, not(any(loom, feature = "shuttle"))))]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, AtomicU64},
        thread,
    };

    use super::*;
    use crate::workspace::{Backing, Workspace};

    /// So long that a test which misses a ring does not end.
    const FOREVER: Duration = Duration::from_secs(3600);

    fn words() -> Words {
        let workspace = Workspace::create("bell", Bell::WORDS * 8, Backing::Private);
        workspace.expect("memory").words(0, Bell::WORDS)
    }

    #[test]
    fn a_ring_ends_a_sleep_whenever_it_comes() {
        const ROUNDS: u64 = 20_000;
        let (there, back) = (Bell::new(words()), Bell::new(words()));
        let round = AtomicU64::new(0);
        let play = |own: &Bell, other: &Bell, turn: u64| {
            for number in (turn..ROUNDS).step_by(2) {
                while round.load(Ordering::Acquire) != number {
                    own.sleep(FOREVER, || round.load(Ordering::Acquire) == number);
                }
                round.store(number + 1, Ordering::Release);
                other.ring();
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| play(&there, &back, 0));
            scope.spawn(|| play(&back, &there, 1));
        });
        assert_eq!(round.into_inner(), ROUNDS);
    }

    #[test]
    fn a_host_with_something_to_do_does_not_sleep() {
        let words = words();
        Bell::new(words.clone()).sleep(FOREVER, || true);
        assert_eq!(words.load(0, Ordering::Relaxed), u64::from(AWAKE));
    }

    #[test]
    fn a_sleep_without_a_ring_ends_with_its_timeout() {
        let asked = AtomicBool::new(false);
        Bell::new(words()).sleep(Duration::from_millis(5), || asked.swap(true, Ordering::Relaxed));
        assert!(asked.into_inner());
    }

    #[test]
    fn all_bells_of_a_list_are_rung() {
        let words = [words(), words()];
        for word in &words {
            word.store(0, u64::from(SLEEPING), Ordering::Relaxed);
        }
        Bell::ring_all(&words.clone().map(Bell::new));
        assert!(words.iter().all(|word| word.load(0, Ordering::Relaxed) == u64::from(AWAKE)));
    }

    #[test]
    fn whatever_another_process_writes_costs_at_most_one_nap() {
        let words = words();
        let bell = Bell::new(words.clone());
        for value in [2, u64::from(SLEEPING), u64::MAX, 1 << 32] {
            words.store(0, value, Ordering::Relaxed);
            bell.ring();
            bell.sleep(Duration::from_millis(1), || {
                words.store(0, value, Ordering::Relaxed);
                false
            });
            assert_eq!(words.load(0, Ordering::Relaxed), u64::from(AWAKE));
        }
    }
}
