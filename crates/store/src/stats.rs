//! What a store consists of, in figures.

use icecore_journal::Progress;
use icecore_types::Slot;

use crate::{
    Coverage, Error, LeaseInfo, SegmentUse, SlotState, Store, run_set::SpilledPair, shared::Chain,
};

/// Slots that are known by identity, by what has become of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotCounts {
    /// Being written.
    pub open: u64,
    /// Complete, and not final.
    pub committed: u64,
    /// Final.
    pub rooted: u64,
    /// Complete, and never to be final.
    pub abandoned: u64,
    /// Never completed.
    pub dead: u64,
}

/// Figures of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// The last final slot.
    pub root: Option<Slot>,
    /// Live accounts there.
    pub accounts: u64,
    /// Slots that are known by identity.
    pub slots: SlotCounts,
    /// Windows and gaps.
    pub coverage: Coverage,
    /// Run files.
    pub runs: u64,
    /// Rows of all of them.
    pub run_rows: u64,
    /// Their bytes.
    pub run_bytes: u64,
    /// Data segments, in the order of their numbers.
    pub segments: Vec<SegmentUse>,
    /// Versions in runs of slots that are not final, or were not when these were made.
    pub spilled_versions: u64,
    /// Versions that no run holds.
    pub tail_versions: u64,
    /// Memory that they take, about.
    pub tail_bytes: u64,
    /// Who keeps what readable.
    pub leases: Vec<LeaseInfo>,
    /// How far the journal is; `None` in a store that is only read.
    pub progress: Option<Progress>,
}

impl Stats {
    /// Bytes of all data segments.
    pub fn data_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Bytes in them that nobody needs, about.
    pub fn garbage_bytes(&self) -> u64 {
        self.segments.iter().map(SegmentUse::garbage_bytes).sum()
    }
}

impl Store {
    /// Figures of the store. All rows of all runs are looked at.
    ///
    /// # Errors
    /// What reading said.
    pub fn stats(&self) -> Result<Stats, Error> {
        let shared = &self.shared;
        let segments = shared.survey()?;
        let (root, accounts, slots, state) = {
            let mirror = shared.listed_mirror();
            let mut slots = SlotCounts::default();
            for node in mirror.tree.nodes() {
                *match node.state {
                    SlotState::Open => &mut slots.open,
                    SlotState::Committed => &mut slots.committed,
                    SlotState::Rooted => &mut slots.rooted,
                    SlotState::Abandoned => &mut slots.abandoned,
                    SlotState::Dead => &mut slots.dead,
                } += 1;
            }
            let root = mirror.tree.root();
            let accounts = root.map_or(0, |root| root.totals.num_accounts);
            (root.map(|root| root.number), accounts, slots, shared.state())
        };
        let mut stats = Stats {
            root,
            accounts,
            slots,
            coverage: self.coverage(),
            runs: 0,
            run_rows: 0,
            run_bytes: 0,
            segments,
            spilled_versions: state.runs.spilled.iter().map(SpilledPair::versions).sum(),
            tail_versions: state.tail.len() as u64,
            tail_bytes: self.shared.tail_bytes(),
            leases: self.leases(),
            progress: match &*shared.chain() {
                Chain::Writer(journal) => Some(journal.progress()),
                Chain::Reader(_) | Chain::Closed => None,
            },
        };
        for pair in state.runs.pairs() {
            let by_owner = pair.by_owner.as_ref().map(|run| *run.info());
            for info in [*pair.by_pubkey.info()].into_iter().chain(by_owner) {
                stats.runs += 1;
                stats.run_rows += info.rows;
                stats.run_bytes += info.bytes;
            }
        }
        Ok(stats)
    }
}
