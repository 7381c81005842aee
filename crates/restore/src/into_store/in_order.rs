//! Work done side by side whose outcome must come one after the other.
//!
//! 1. Each piece of work has a number and takes a [`Turn`].
//! 2. What needs the target waits until all pieces with smaller numbers are done. The smallest one
//!    at work never waits, so that there is always one that gets on.
//! 3. A turn that is dropped before it is done has failed: all who wait hear of it.
//!
//! What it does *not* do: start threads, or hold what comes too early.

use std::sync::{Condvar, Mutex, MutexGuard};

use crate::Error;

/// A target that pieces of work get in the order of their numbers, from 0 on.
pub(crate) struct InOrder<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    target: T,
    /// The piece whose turn it is.
    next: usize,
    has_failed: bool,
}

/// The place of one piece in the order.
pub(crate) struct Turn<'a, T> {
    order: &'a InOrder<T>,
    number: usize,
    is_done: bool,
}

impl<T> InOrder<T> {
    pub(crate) fn new(target: T) -> Self {
        let state = State { target, next: 0, has_failed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The turn of a piece. Of each number there is one.
    pub(crate) fn turn(&self, number: usize) -> Turn<'_, T> {
        Turn { order: self, number, is_done: false }
    }

    /// The target, when all pieces are done.
    pub(crate) fn into_target(self) -> T {
        self.state.into_inner().expect("no holder of this lock panics").target
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

impl<T> Turn<'_, T> {
    fn wait(&self) -> Result<MutexGuard<'_, State<T>>, Error> {
        let mut state = self.order.lock();
        while state.next != self.number && !state.has_failed {
            state = self.order.changed.wait(state).expect("no holder of this lock panics");
        }
        // Who failed has an error of its own, which is told before this one.
        if state.has_failed { Err(Error::Interrupted) } else { Ok(state) }
    }

    /// Waits for the turn and works on the target.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when another piece failed, and what `work` says.
    pub(crate) fn with<R>(
        &self,
        work: impl FnOnce(&mut T) -> Result<R, Error>,
    ) -> Result<R, Error> {
        work(&mut self.wait()?.target)
    }

    /// Waits for the turn, works on the target a last time and gives the turn on.
    ///
    /// # Errors
    /// As [`Self::with`].
    pub(crate) fn done(
        mut self,
        work: impl FnOnce(&mut T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        {
            let mut state = self.wait()?;
            work(&mut state.target)?;
            state.next += 1;
        }
        self.is_done = true;
        self.order.changed.notify_all();
        Ok(())
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        if !self.is_done {
            // A panic in `work` has poisoned the lock; then waiters panic as well.
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

    #[test]
    fn pieces_come_in_order_whoever_is_first() {
        const PIECES: usize = 200;
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
                        for part in 0..number % 3 {
                            turn.with(|target| {
                                target.push((number, part));
                                Ok(())
                            })
                            .expect("nobody fails");
                        }
                        turn.done(|target| {
                            target.push((number, 3));
                            Ok(())
                        })
                        .expect("nobody fails");
                    }
                });
            }
        });
        let expected: Vec<_> = (0..PIECES)
            .flat_map(|number| (0..number % 3).chain([3]).map(move |part| (number, part)))
            .collect();
        assert_eq!(order.into_target(), expected);
    }

    #[test]
    fn who_waits_for_a_piece_that_fails_is_told() {
        let order = InOrder::new(());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| order.turn(1).done(|()| Ok(())));
            drop(order.turn(0));
            let told = waiting.join().expect("joined");
            assert!(matches!(told, Err(Error::Interrupted)), "{told:?}");
        });
        assert!(matches!(order.turn(2).with(|()| Ok(())), Err(Error::Interrupted)));
    }
}
