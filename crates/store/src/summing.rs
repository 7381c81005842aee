//! Lattice sums that are lent out: one is 300 KiB, and slots that are being written can be many.

use std::sync::Mutex;

use icecore_hash::{Kernel, LatticeSum};

/// Sums that are kept for the next one who asks.
const KEPT_MAX: usize = 8;

/// A pool of sums.
pub(crate) struct Summers {
    kernel: Kernel,
    idle: Mutex<Vec<LatticeSum>>,
}

impl std::fmt::Debug for Summers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Summers").field("kernel", &self.kernel).finish_non_exhaustive()
    }
}

impl Summers {
    pub(crate) fn new(kernel: Kernel) -> Self {
        Self { kernel, idle: Mutex::default() }
    }

    /// Lends an empty sum.
    pub(crate) fn lend(&self) -> LatticeSum {
        let idle = self.idle.lock().expect("nobody panics while holding it").pop();
        idle.unwrap_or_else(|| LatticeSum::new(self.kernel))
    }

    /// Takes a sum back, which was finished.
    pub(crate) fn give_back(&self, sum: LatticeSum) {
        let mut idle = self.idle.lock().expect("nobody panics while holding it");
        if idle.len() < KEPT_MAX {
            idle.push(sum);
        }
    }
}
