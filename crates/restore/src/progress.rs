//! How far a run is, for whoever watches it, and the request to stop it.
//!
//! Counters are relaxed atomics: a watcher sees each of them move forward, not a consistent cut.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use icecore_tile::MetricsReader;

/// Shared between a run and its watcher.
#[derive(Default)]
pub struct Progress {
    bytes_total: AtomicU64,
    bytes_read: AtomicU64,
    bytes_unpacked: AtomicU64,
    records: AtomicU64,
    stop: AtomicBool,
    phases: Mutex<Vec<String>>,
    metrics: Mutex<Option<Arc<MetricsReader>>>,
}

impl Progress {
    /// Compressed bytes that the run will read, 0 while unknown (standard input).
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total.load(Ordering::Relaxed)
    }

    /// Compressed bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Decompressed bytes so far.
    pub fn bytes_unpacked(&self) -> u64 {
        self.bytes_unpacked.load(Ordering::Relaxed)
    }

    /// Account records seen so far.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// The phases begun so far, in order; the last one runs.
    pub fn phases(&self) -> Vec<String> {
        self.phases.lock().expect("no holder of this lock panics").clone()
    }

    /// Asks the run to end with [`Error::Interrupted`].
    pub fn interrupt(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Says that another phase begins.
    pub fn begin(&self, phase: impl Into<String>) {
        self.phases.lock().expect("no holder of this lock panics").push(phase.into());
    }

    /// Says that so many more bytes will be read.
    pub fn expect_bytes(&self, bytes: u64) {
        self.bytes_total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that were read.
    pub fn add_read(&self, bytes: usize) {
        self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_unpacked(&self, bytes: usize) {
        self.bytes_unpacked.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts account records.
    pub fn add_records(&self, records: usize) {
        self.records.fetch_add(records as u64, Ordering::Relaxed);
    }

    /// Whether it was asked to end.
    pub fn is_interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The counters of the tiles of the last pipeline that was started, if any was.
    pub fn metrics(&self) -> Option<Arc<MetricsReader>> {
        self.metrics.lock().expect("no holder of this lock panics").clone()
    }

    pub(crate) fn set_metrics(&self, metrics: Arc<MetricsReader>) {
        *self.metrics.lock().expect("no holder of this lock panics") = Some(metrics);
    }

    /// An error if it was asked to end.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn check(&self) -> Result<(), crate::Error> {
        if self.is_interrupted() { Err(crate::Error::Interrupted) } else { Ok(()) }
    }
}
