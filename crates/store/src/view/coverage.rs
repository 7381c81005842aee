//! What is kept: stretches of slots, base points, gaps; leases.

use icecore_types::Slot;

use crate::{LeaseInfo, Store, shared::Chain};

/// A stretch of slots without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowInfo {
    /// Its first slot.
    pub first: Slot,
    /// Its last slot.
    pub last: Slot,
    /// The slot of the base point that it begins with; `None`: it goes on from the one before.
    pub base: Option<Slot>,
    /// Delta runs.
    pub deltas: usize,
    /// Rows of all its runs by pubkey.
    pub rows: u64,
}

/// Slots of which nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapInfo {
    /// The first.
    pub first: Slot,
    /// The last.
    pub last: Slot,
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// The first slot that can be read.
    pub first: Option<Slot>,
    /// The last: the root.
    pub last: Option<Slot>,
    /// Stretches, oldest first.
    pub windows: Vec<WindowInfo>,
    /// Gaps, oldest first.
    pub gaps: Vec<GapInfo>,
}

impl Store {
    /// What is kept.
    pub fn coverage(&self) -> Coverage {
        let (root, recorded, state) = {
            let mirror = self.shared.listed_mirror();
            let root = self.shared.durable_root(&mirror).ok().map(|root| root.number);
            (root, mirror.gaps.clone(), self.shared.state())
        };
        let windows: Vec<WindowInfo> = state
            .runs
            .windows
            .iter()
            .map(|window| WindowInfo {
                first: window.first(),
                last: window.last.or(root).unwrap_or(window.first()),
                base: window.base.map(|_| window.first()),
                deltas: window.deltas.len(),
                rows: window.pairs().map(|pair| pair.by_pubkey.info().rows).sum(),
            })
            .collect();
        let gaps = recorded.into_iter().map(|(first, last)| GapInfo { first, last }).collect();
        Coverage { first: windows.first().map(|window| window.first), last: root, windows, gaps }
    }

    /// Who keeps what readable: views and pins of this process, and pins of others.
    pub fn leases(&self) -> Vec<LeaseInfo> {
        let mut leases = self.shared.leases.list();
        if let Chain::Writer(journal) = &*self.shared.chain() {
            let pins = journal.pins().unwrap_or_default();
            leases.extend(pins.into_iter().map(|pin| LeaseInfo {
                slot: pin.value,
                purpose: "pin of another process".to_string(),
                until: pin.until,
                process: Some(pin.process.id),
            }));
        }
        leases
    }
}
