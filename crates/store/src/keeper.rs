//! The thread that keeps a store: it flushes, merges, compacts when there is reason to.
//!
//! It is woken when work may be due and looks for itself. What it cannot do (a full disk) it tries
//! again when it is woken next, and at the latest after [`RETRY_INTERVAL`]; the error is kept for
//! whoever asks ([`Store::keeping_error`](crate::Store::keeping_error)).
//!
//! What it does *not* do: anything that a writer or a reader waits for.

use std::{
    sync::{Arc, Condvar, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use crate::{Error, shared::Shared, tail::VERSION_BYTES};

/// How long the keeper sleeps unless it is woken.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How the keeper is woken and ended.
#[derive(Debug, Default)]
pub(crate) struct Wakeup {
    state: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Wanted {
    work: bool,
    end: bool,
    error: Option<String>,
}

impl Wakeup {
    /// Something has happened after which there may be work.
    pub(crate) fn work_may_be_due(&self) {
        self.state.lock().expect("nobody panics while holding it").work = true;
        self.changed.notify_one();
    }

    /// The keeper is to end.
    pub(crate) fn end(&self) {
        self.state.lock().expect("nobody panics while holding it").end = true;
        self.changed.notify_all();
    }

    /// What kept the keeper from its work last.
    pub(crate) fn error(&self) -> Option<String> {
        self.state.lock().expect("nobody panics while holding it").error.clone()
    }

    /// Whether the keeper is to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.state.lock().expect("nobody panics while holding it").end
    }

    fn note(&self, result: Result<(), Error>) {
        let error = result.err().map(|error| error.to_string());
        self.state.lock().expect("nobody panics while holding it").error = error;
    }

    /// Waits for work; false: it is time to end.
    fn wait(&self) -> bool {
        let mut state = self.state.lock().expect("nobody panics while holding it");
        if !state.work && !state.end {
            let waited = self.changed.wait_timeout(state, RETRY_INTERVAL);
            state = waited.expect("nobody panics while holding it").0;
        }
        state.work = false;
        !state.end
    }
}

/// Starts the keeper of a store that is open for writing, if it wants one.
pub(crate) fn start(shared: &Arc<Shared>) -> Vec<JoinHandle<()>> {
    if !shared.options.background || shared.chain().writer().is_err() {
        return Vec::new();
    }
    let shared = Arc::clone(shared);
    let keep = move || {
        while shared.wakeup.wait() {
            shared.wakeup.note(shared.tend());
        }
    };
    let thread = std::thread::Builder::new().name("icecore-keeper".to_string()).spawn(keep);
    vec![thread.expect("the system has room for one thread more")]
}

impl Shared {
    /// Does what is due.
    pub(crate) fn tend(&self) -> Result<(), Error> {
        if self.is_flush_due() {
            self.flush()?;
        }
        self.make_room(self.spilled_from())?;
        self.merge_runs()?;
        self.retain()?;
        self.compact_if_due()
    }

    /// Holds a writer up that is faster than the keeper.
    pub(crate) fn make_room_in_tail(&self) -> Result<(), Error> {
        let max = self.options.tail_bytes_max;
        self.make_room(max - max / 4)
    }

    /// Memory that the tail takes, about.
    pub(crate) fn tail_bytes(&self) -> u64 {
        (self.state().tail.len() * VERSION_BYTES) as u64
    }

    fn is_flush_due(&self) -> bool {
        let mirror = self.mirror();
        let is_due =
            |node: &&crate::tree::Node| node.state == crate::SlotState::Rooted && !node.is_flushed;
        let versions: u64 = mirror.tree.nodes().filter(is_due).map(|node| node.versions).sum();
        versions >= self.options.flush_versions
    }
}
