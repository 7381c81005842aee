//! How far the journal has come: accepted, written, durable.
//!
//! - accepted >= written >= durable; what is written can be read in this process; cursors and other
//!   processes stop at what is durable.
//! - A write that fails takes back everything accepted and not written. Their sequences are given
//!   out again, so a waiter must not take the new events for its own: every failure begins a new
//!   *generation*, and notes down to where it took back (the floor).
//! - A failed sync ends all writing for good (rule R3): the kernel may have dropped what it could not
//!   write and call it clean.

use std::time::Duration;

use crate::{
    Error,
    primitives::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// How far the journal has come; each is a number of events, all of which have come so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Have a place in the chain.
    pub accepted: u64,
    /// Were given to the operating system, and can be read in this process.
    pub written: u64,
    /// Survive a loss of power.
    pub durable: u64,
}

/// A stage that one can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// See [`Progress::accepted`].
    Accepted,
    /// See [`Progress::written`].
    Written,
    /// See [`Progress::durable`].
    Durable,
}

/// The figures, and those who wait for them.
#[derive(Debug)]
pub(crate) struct Watermarks {
    accepted: AtomicU64,
    written: AtomicU64,
    durable: AtomicU64,
    generation: AtomicU64,
    waiting: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Why nothing is written any more.
    poisoned: Option<String>,
    is_closed: bool,
    failures: Vec<Failure>,
}

/// Failures that are remembered, as tickets may ask for any of them; those in a row without a good
/// write between them count as one.
const FAILURES_MAX: usize = 4096;

/// A write that failed.
#[derive(Debug)]
struct Failure {
    /// The generation that it began.
    generation: u64,
    /// How many events it left.
    floor: u64,
    why: String,
}

impl Watermarks {
    /// For a journal that holds this many events, all of them durable.
    pub(crate) fn new(end: u64) -> Self {
        Self {
            accepted: AtomicU64::new(end),
            written: AtomicU64::new(end),
            durable: AtomicU64::new(end),
            generation: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    pub(crate) fn progress(&self) -> Progress {
        // From the last to the first, so that no figure exceeds the one before it.
        let durable = self.durable.load(Ordering::Acquire);
        let written = self.written.load(Ordering::Acquire);
        Progress { accepted: self.accepted.load(Ordering::Acquire), written, durable }
    }

    pub(crate) fn at(&self, stage: Stage) -> u64 {
        self.figure(stage).load(Ordering::Acquire)
    }

    fn figure(&self, stage: Stage) -> &AtomicU64 {
        match stage {
            Stage::Accepted => &self.accepted,
            Stage::Written => &self.written,
            Stage::Durable => &self.durable,
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn advance(&self, stage: Stage, end: u64) {
        self.figure(stage).store(end, Ordering::SeqCst);
        self.wake();
    }

    /// A write failed: everything from `floor` on is taken back.
    pub(crate) fn take_back(&self, floor: u64, why: &Error) {
        let mut state = self.state();
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        // An earlier failure with a higher floor says nothing that this one does not say.
        state.failures.retain(|earlier| earlier.floor < floor);
        state.failures.push(Failure { generation, floor, why: why.to_string() });
        if state.failures.len() > FAILURES_MAX {
            state.poisoned.get_or_insert_with(|| {
                format!("writing failed {FAILURES_MAX} times, and went on in between; last: {why}")
            });
        }
        self.generation.store(generation, Ordering::Release);
        self.accepted.store(floor, Ordering::Release);
        drop(state);
        self.changed.notify_all();
    }

    /// Why events up to `end`, accepted in this generation, were taken back, if they were.
    pub(crate) fn taken_back(&self, generation: u64, end: u64) -> Option<String> {
        if self.generation() == generation {
            return None;
        }
        let state = self.state();
        let mut failures = state.failures.iter();
        let failure =
            failures.find(|failure| failure.generation > generation && failure.floor < end)?;
        Some(failure.why.clone())
    }

    pub(crate) fn poison(&self, why: &Error) -> Error {
        let why = self.state().poisoned.get_or_insert_with(|| why.to_string()).clone();
        self.changed.notify_all();
        Error::Poisoned { why }
    }

    pub(crate) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }

    /// Whether writing goes on.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let state = self.state();
        match &state.poisoned {
            Some(why) => Err(Error::Poisoned { why: why.clone() }),
            None if state.is_closed => Err(Error::Closed),
            None => Ok(()),
        }
    }

    fn wake(&self) {
        // A waiter counts itself before it looks at the figures: either it sees the new one, or it
        // is counted here.
        if self.waiting.load(Ordering::SeqCst) > 0 {
            drop(self.state());
            self.changed.notify_all();
        }
    }

    /// Waits until `end` events have come to the stage, the time is over, or nothing is written any
    /// more; says whether they have.
    pub(crate) fn wait(&self, stage: Stage, end: u64, longest: Duration) -> bool {
        if self.at(stage) >= end {
            return true;
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let has_come = || self.figure(stage).load(Ordering::SeqCst) >= end;
        let state = self.state();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, longest, |state| {
                !has_come() && state.poisoned.is_none() && !state.is_closed
            })
            .expect("nobody panics while holding it");
        drop(state);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.at(stage) >= end
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_taken_back_hears_why_and_nobody_else_does() {
        let watermarks = Watermarks::new(10);
        let full = Error::Unfit { what: "full" };
        let before = watermarks.generation();
        watermarks.take_back(15, &full);
        let between = watermarks.generation();
        watermarks.advance(Stage::Written, 20);
        watermarks.take_back(20, &full);
        assert_eq!(watermarks.taken_back(before, 15), None, "written before the failure");
        assert_eq!(watermarks.taken_back(before, 16).as_deref(), Some("full"));
        assert_eq!(watermarks.taken_back(between, 20), None);
        assert_eq!(watermarks.taken_back(between, 21).as_deref(), Some("full"));
        assert_eq!(watermarks.taken_back(watermarks.generation(), 99), None);
    }

    #[test]
    fn failures_in_a_row_are_one_and_too_many_with_writes_between_end_writing() {
        let watermarks = Watermarks::new(0);
        let full = Error::Unfit { what: "full" };
        for _ in 0..3 * FAILURES_MAX {
            watermarks.take_back(7, &full);
        }
        assert_eq!(watermarks.state().failures.len(), 1);
        assert!(watermarks.check().is_ok());
        for floor in 8..8 + FAILURES_MAX as u64 {
            watermarks.take_back(floor, &full);
        }
        assert!(matches!(watermarks.check(), Err(Error::Poisoned { .. })));
    }
}
