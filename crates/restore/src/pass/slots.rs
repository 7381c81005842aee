//! What a pass brings to its tiles and takes home again.
//!
//! Tiles live as long as the pipeline; what they work on is another thing in each pass. Before a
//! pass is started its parts are laid here, each tile takes its own when it is told to start, and
//! lays it back when the pass is finished.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use icecore_tile::Frame;

use super::{batch::Batch, feed::Feed, walk::Walk};
use crate::Error;

/// Looks at the records of batches.
pub(crate) trait Worker: Send {
    /// Looks at a batch; lists of its own are made in the frame. A break or an error ends the pass.
    fn batch(&mut self, batch: &Batch<'_>, frame: &Frame<'_>) -> Result<ControlFlow<()>, Error>;
}

/// A worker that knows its way home.
pub(crate) trait Hand: Send {
    fn batch(&mut self, batch: &Batch<'_>, frame: &Frame<'_>) -> Result<ControlFlow<()>, Error>;

    /// Goes home.
    fn retire(self: Box<Self>);
}

/// The parts of one pass.
pub(crate) struct Slots<'env> {
    pub(crate) feed: Mutex<Option<Feed>>,
    /// Of each frame whether it is wanted; without this all are.
    pub(crate) frames: Mutex<Option<Arc<[bool]>>>,
    pub(crate) walk: Mutex<Option<Box<dyn Walk + 'env>>>,
    pub(crate) hands: Vec<Mutex<Option<Box<dyn Hand + 'env>>>>,
    /// Whether the rest of the archive need not be read.
    enough: AtomicBool,
    /// Whether what was read and not looked at is not wanted either.
    stop: AtomicBool,
}

impl<'env> Slots<'env> {
    pub(crate) fn new(hands: usize) -> Self {
        Self {
            feed: Mutex::new(None),
            frames: Mutex::new(None),
            walk: Mutex::new(None),
            hands: (0..hands).map(|_| Mutex::new(None)).collect(),
            enough: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        }
    }

    /// Takes what lies in a slot.
    pub(crate) fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
        slot.lock().expect("no holder of this lock panics").take()
    }

    /// Lays something into a slot.
    pub(crate) fn lay<T>(slot: &Mutex<Option<T>>, part: T) {
        *slot.lock().expect("no holder of this lock panics") = Some(part);
    }

    pub(crate) fn begin(&self) {
        self.enough.store(false, Ordering::Relaxed);
        self.stop.store(false, Ordering::Relaxed);
    }

    /// Says that the rest of the archive need not be read.
    pub(crate) fn enough(&self) {
        self.enough.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_enough(&self) -> bool {
        self.enough.load(Ordering::Relaxed)
    }

    /// Says that nothing more is wanted at all.
    pub(crate) fn stop(&self) {
        self.enough();
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
