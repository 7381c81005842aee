//! The highest anonymous and shared memory of this process, its tiles' processes included, while
//! something runs; sampled by a thread.
//!
//! What it does *not* do: take away what this process held before, which in a process for one run is
//! next to nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use icecore_disk::memory_use_of_family;

/// Time between two samples.
const PERIOD: Duration = Duration::from_millis(5);

/// Samples until it is stopped.
pub(crate) struct Sampler {
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Sampler {
    pub(crate) fn start() -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = stopped.clone();
        let thread = thread::spawn(move || {
            let mut peak = 0;
            while !seen.load(Ordering::Relaxed) {
                peak = peak.max(memory_use_of_family().unwrap_or(0));
                thread::sleep(PERIOD);
            }
            peak
        });
        Self { stopped, thread }
    }

    /// The highest sample, in bytes; 0 where the kernel tells nothing.
    pub(crate) fn stop(self) -> u64 {
        self.stopped.store(true, Ordering::Relaxed);
        self.thread.join().expect("the sampler does not panic")
    }
}
