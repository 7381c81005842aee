//! The writer's side of the control page.
//!
//! Whoever makes one holds the journal's lock: there is one at a time, and threads of the writing
//! process share it. What it finds on the page, from a writer that died in the middle or from
//! nobody at all, it writes over; the pins of living readers stay.
//!
//! Invariants:
//! - The frontier never goes back, and neither does the catalog's number. Of two threads that
//!   publish at a time the one that is ahead prevails.

use std::sync::Arc;

use icecore_disk::{ProcessIdentity, SharedPage};

use crate::layer::{Ordering, Page, Word};
use crate::primitives::{Mutex, MutexGuard};

use super::{
    CATALOG, ControlError, Frontier, GROUP_WORDS, HEARTBEAT, Pin, PinHandle, RESERVED, SEQUENCE,
    WriterIdentity, group, pack, pins,
};

/// Publishes how far the journal is durable, and lists what readers have pinned.
#[derive(Debug)]
pub(crate) struct ControlWriter<P = Arc<dyn SharedPage>> {
    page: P,
    writer: WriterIdentity,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    frontier: Frontier,
    catalog: u64,
    pins: pins::Table,
}

impl<P: Page> ControlWriter<P> {
    /// Takes the page over. `frontier` is what recovery found, `catalog` the manifest's number.
    pub(crate) fn initialise(
        page: P,
        writer: WriterIdentity,
        frontier: Frontier,
        catalog: u64,
        now: u64,
    ) -> Self {
        let words = page.words();
        for word in &words[RESERVED] {
            word.store(0, Ordering::Relaxed);
        }
        words[HEARTBEAT].store(now, Ordering::Relaxed);
        words[CATALOG].store(catalog, Ordering::Relaxed);
        let state = State { frontier, catalog, pins: pins::Table::new() };
        let writer = Self { page, writer, state: Mutex::new(state) };
        writer.write(&frontier);
        writer
    }

    /// Tells readers how far they may read, and that the writer is at work. A frontier that another
    /// thread has overtaken changes nothing.
    pub(crate) fn publish(&self, frontier: &Frontier, now: u64) {
        self.heartbeat(now);
        let mut state = self.state();
        if frontier.durable_end >= state.frontier.durable_end {
            state.frontier = *frontier;
            self.write(frontier);
        }
    }

    /// Tells readers the number of the manifest that holds now.
    pub(crate) fn set_catalog(&self, number: u64) {
        let mut state = self.state();
        assert!(number >= state.catalog, "catalog {number} is older than {}", state.catalog);
        state.catalog = number;
        self.page.words()[CATALOG].store(number, Ordering::Release);
    }

    /// Tells readers that the writer is at work, at this time in nanoseconds since 1970.
    pub(crate) fn heartbeat(&self, now: u64) {
        self.page.words()[HEARTBEAT].store(now, Ordering::Relaxed);
    }

    /// What readers hold: every pin that is not listed is taken back and lost for its owner. To be
    /// called after [`set_catalog`](Self::set_catalog) and before anything is dropped. An error
    /// means that a slot did not keep still; nothing may be dropped then.
    pub(crate) fn live_pins(
        &self,
        now: u64,
        is_alive: &dyn Fn(ProcessIdentity) -> bool,
    ) -> Result<Vec<Pin>, ControlError> {
        self.state().pins.live(self.page.words(), now, is_alive)
    }

    /// Pins in the writer's own process, as a reader does.
    pub(crate) fn pin(&self, value: u64, now: u64, lease: u64) -> Result<PinHandle<P>, ControlError>
    where
        P: Clone,
    {
        pins::pin(&self.page, self.writer.process, value, now, lease)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while changing it")
    }

    /// The caller holds the state: one change at a time.
    fn write(&self, frontier: &Frontier) {
        let words = self.page.words();
        let group = words.first_chunk::<GROUP_WORDS>().expect("the page begins with them");
        group::write(&words[SEQUENCE], group, &pack(&self.writer, frontier));
    }
}
