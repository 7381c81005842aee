//! The highest anonymous and shared memory of this process, alone and with its tiles' processes, while
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

use icecore_disk::{memory_use, memory_use_of_family};

/// Time between two samples.
const PERIOD: Duration = Duration::from_millis(5);

/// Samples until it is stopped.
pub(crate) struct Sampler {
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<Peak>,
}

/// The highest samples, in bytes; 0 where the kernel tells nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Peak {
    /// Of this process.
    pub(crate) own_bytes: u64,
    /// With the processes that it started.
    pub(crate) family_bytes: u64,
}

impl Sampler {
    pub(crate) fn start() -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = stopped.clone();
        let thread = thread::spawn(move || {
            let mut peak = Peak::default();
            while !seen.load(Ordering::Relaxed) {
                let own_bytes = memory_use().map_or(0, |memory| memory.resident);
                peak.own_bytes = peak.own_bytes.max(own_bytes);
                peak.family_bytes = peak.family_bytes.max(memory_use_of_family().unwrap_or(0));
                thread::sleep(PERIOD);
            }
            peak
        });
        Self { stopped, thread }
    }

    /// The highest samples.
    pub(crate) fn stop(self) -> Peak {
        self.stopped.store(true, Ordering::Relaxed);
        self.thread.join().expect("the sampler does not panic")
    }
}
