//! What has to be done beside appending: the manifest, sealing, merging indexes, and the threads
//! that see to it.

pub(crate) mod manifest_file;
pub(crate) mod merge;
pub(crate) mod retire;
pub(crate) mod seal;
pub(crate) mod threads;

use std::time::Duration;

use crate::primitives::{Condvar, Mutex};

/// Wakes the threads in the background, and ends them.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    state: Mutex<State>,
    changed: Condvar,
    /// One at a time seals and merges.
    pub(crate) sealing: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    is_ending: bool,
    /// Somebody wants what was accepted written.
    is_writing_wanted: bool,
    /// A segment is full.
    is_sealing_wanted: bool,
}

/// What a thread in the background was woken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    Work,
    TimeOver,
    End,
}

impl Keeper {
    pub(crate) fn want_writing(&self) {
        let mut state = self.state.lock().expect("nobody panics while holding it");
        if !state.is_writing_wanted {
            state.is_writing_wanted = true;
            self.changed.notify_all();
        }
    }

    pub(crate) fn want_sealing(&self) {
        self.state.lock().expect("nobody panics while holding it").is_sealing_wanted = true;
        self.changed.notify_all();
    }

    pub(crate) fn end(&self) {
        self.state.lock().expect("nobody panics while holding it").is_ending = true;
        self.changed.notify_all();
    }

    fn wait(&self, longest: Duration, take: impl Fn(&mut State) -> bool) -> Wake {
        let state = self.state.lock().expect("nobody panics while holding it");
        let mut woken = Wake::TimeOver;
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, longest, |state| {
                if state.is_ending {
                    woken = Wake::End;
                } else if take(state) {
                    woken = Wake::Work;
                }
                woken == Wake::TimeOver
            })
            .expect("nobody panics while holding it");
        if state.is_ending {
            woken = Wake::End;
        }
        take(&mut state);
        woken
    }

    pub(crate) fn wait_for_writing(&self, longest: Duration) -> Wake {
        self.wait(longest, |state| std::mem::take(&mut state.is_writing_wanted))
    }

    pub(crate) fn wait_for_sealing(&self, longest: Duration) -> Wake {
        self.wait(longest, |state| std::mem::take(&mut state.is_sealing_wanted))
    }
}
