//! Work done side by side whose outcome must come one after the other.
//!
//! 1. Each piece of work has a number and takes a [`Turn`].
//! 2. An outcome that comes too early is held, as long as few are; whoever brings the one before it
//!    takes it along. Beyond that, and for all but the last outcome of a piece, its thread waits
//!    until the pieces with smaller numbers are done. The smallest one at work never waits, so that
//!    there is always one that gets on.
//! 3. A turn that is dropped before it is done has failed: all who wait hear of it.
//!
//! What it does *not* do: start threads.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard},
};

use crate::Error;

/// Outcomes that are held because they came too early.
const EARLY_MAX: usize = 8;

/// A target that gets outcomes in the order of the pieces of work, from 0 on.
pub(crate) struct InOrder<T, O> {
    state: Mutex<State<T, O>>,
    changed: Condvar,
}

struct State<T, O> {
    target: T,
    /// The piece whose turn it is.
    next: usize,
    /// Last outcomes of later pieces.
    early: BTreeMap<usize, O>,
    has_failed: bool,
}

/// The place of one piece in the order.
pub(crate) struct Turn<'a, T, O> {
    order: &'a InOrder<T, O>,
    number: usize,
    is_done: bool,
}

impl<T, O> InOrder<T, O> {
    pub(crate) fn new(target: T) -> Self {
        let state = State { target, next: 0, early: BTreeMap::new(), has_failed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The turn of a piece. Of each number there is one.
    pub(crate) fn turn(&self, number: usize) -> Turn<'_, T, O> {
        Turn { order: self, number, is_done: false }
    }

    /// The target, when all pieces are done.
    pub(crate) fn into_target(self) -> T {
        let state = self.state.into_inner().expect("no holder of this lock panics");
        assert!(state.early.is_empty(), "all pieces are done");
        state.target
    }

    fn lock(&self) -> MutexGuard<'_, State<T, O>> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

impl<'a, T, O> Turn<'a, T, O> {
    fn wait(
        &self,
        is_enough: impl Fn(&State<T, O>) -> bool,
    ) -> Result<MutexGuard<'a, State<T, O>>, Error> {
        let mut state = self.order.lock();
        while state.next != self.number && !is_enough(&state) && !state.has_failed {
            state = self.order.changed.wait(state).expect("no holder of this lock panics");
        }
        // Who failed has an error of its own, which is told before this one.
        if state.has_failed { Err(Error::Interrupted) } else { Ok(state) }
    }

    /// Waits for the turn and gives the target an outcome; more will follow.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when another piece failed, and what `take` says.
    pub(crate) fn give(
        &self,
        outcome: O,
        take: impl Fn(&mut T, O) -> Result<(), Error>,
    ) -> Result<(), Error> {
        take(&mut self.wait(|_| false)?.target, outcome)
    }

    /// Gives the target the last outcome, now or when its turn comes.
    ///
    /// # Errors
    /// As [`Self::give`].
    pub(crate) fn finish(
        mut self,
        outcome: O,
        take: impl Fn(&mut T, O) -> Result<(), Error>,
    ) -> Result<(), Error> {
        {
            let mut state = self.wait(|state| state.early.len() < EARLY_MAX)?;
            let state = &mut *state;
            state.early.insert(self.number, outcome);
            while let Some(outcome) = state.early.remove(&state.next) {
                take(&mut state.target, outcome)?;
                state.next += 1;
            }
        }
        self.is_done = true;
        self.order.changed.notify_all();
        Ok(())
    }
}

impl<T, O> Drop for Turn<'_, T, O> {
    fn drop(&mut self) {
        if !self.is_done {
            // A panic in `take` has poisoned the lock; then waiters panic as well.
            if let Ok(mut state) = self.order.state.lock() {
                state.has_failed = true;
            }
            self.order.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    use super::*;

    fn push(target: &mut Vec<(usize, usize)>, outcome: (usize, usize)) -> Result<(), Error> {
        target.push(outcome);
        Ok(())
    }

    #[test]
    fn outcomes_come_in_order_whoever_is_first() {
        const PIECES: usize = 400;
        let order = InOrder::new(Vec::new());
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= PIECES {
                            return;
                        }
                        let turn = order.turn(number);
                        if number % 50 == 7 {
                            thread::yield_now();
                        }
                        for part in 0..(number % 5).saturating_sub(2) {
                            turn.give((number, part), push).expect("nobody fails");
                        }
                        turn.finish((number, 9), push).expect("nobody fails");
                    }
                });
            }
        });
        let expected: Vec<_> = (0..PIECES)
            .flat_map(|number| {
                let parts = 0..(number % 5).saturating_sub(2);
                parts.chain([9]).map(move |part| (number, part))
            })
            .collect();
        assert_eq!(order.into_target(), expected);
    }

    #[test]
    fn few_outcomes_are_held_and_then_threads_wait() {
        let order = InOrder::new(Vec::new());
        for number in (1..=EARLY_MAX).rev() {
            order.turn(number).finish((number, 0), push).expect("held");
        }
        thread::scope(|scope| {
            let waiting =
                scope.spawn(|| order.turn(EARLY_MAX + 1).finish((EARLY_MAX + 1, 0), push));
            order.turn(0).finish((0, 0), push).expect("its turn");
            waiting.join().expect("joined").expect("its turn came");
        });
        let expected: Vec<_> = (0..=EARLY_MAX + 1).map(|number| (number, 0)).collect();
        assert_eq!(order.into_target(), expected);
    }

    #[test]
    fn who_waits_for_a_piece_that_fails_is_told() {
        let order = InOrder::new(Vec::new());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| order.turn(1).give((1, 0), push));
            drop(order.turn(0));
            let told = waiting.join().expect("joined");
            assert!(matches!(told, Err(Error::Interrupted)), "{told:?}");
        });
        let told = order.turn(2).finish((2, 0), push);
        assert!(matches!(told, Err(Error::Interrupted)), "{told:?}");
    }
}
