//! All accounts of an owner (rule R16).
//!
//! 1. The owner's rows of the second order are merged. Of each account the newest row at or below the
//!    view's slot counts: a departure says that the account is the owner's no more.
//! 2. Rows whose size class cannot pass the filter are left out unread. The others are gathered,
//!    [`GATHERED_MAX`] at a time, and their records are read in the order in which they lie.
//! 3. Spilled runs are gone through in the same way; then the tail. An account that the view sees in
//!    spilled runs or in the tail is left out before, and looked at there.
//!
//! Accounts come in no order. A store without the second order reads all accounts.

use std::{
    ops::{Bound, ControlFlow},
    sync::Arc,
};

use icecore_types::{DATA_BYTES_MAX, Pubkey, Slot};

use super::{View, VisitedAccount};
use crate::{
    Error,
    locator::{Locator, SizeClass},
    record::Version,
    run::{BY_OWNER, Merge, MergedRow},
    run_set::SpilledPair,
    shared::owner_key,
};

/// Rows that are gathered before their records are read: 24 MiB.
const GATHERED_MAX: usize = 1 << 20;

/// Records that are asked for from the disk while as many before them are read.
const AHEAD_RECORDS: usize = 4096;

/// Which accounts of an owner are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnerFilter {
    /// Those with exactly so many bytes of data.
    pub data_size: Option<u64>,
    /// Those whose data has these bytes at these offsets.
    pub memcmp: Vec<(u64, Vec<u8>)>,
}

/// What is looked at behind the rows at hand, and has newer versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// The tail.
    Tail,
    /// Spilled runs and the tail.
    Spilled,
}

impl OwnerFilter {
    /// Whether data passes.
    pub fn passes(&self, data: &[u8]) -> bool {
        self.data_size.is_none_or(|bytes| bytes == data.len() as u64)
            && self.memcmp.iter().all(|(offset, bytes)| {
                let rest = usize::try_from(*offset).ok().and_then(|offset| data.get(offset..));
                rest.is_some_and(|rest| rest.starts_with(bytes))
            })
    }

    /// Whether data of this class can pass.
    fn can_pass(&self, class: SizeClass) -> bool {
        let Some(longest) = class.data_len_max() else { return false };
        let fits =
            |(offset, bytes): &(u64, Vec<u8>)| offset.saturating_add(bytes.len() as u64) <= longest;
        self.memcmp.iter().all(fits)
            && self
                .data_size
                .is_none_or(|bytes| bytes <= DATA_BYTES_MAX && SizeClass::of(bytes) == class)
    }
}

impl View {
    /// Calls `visit` for every account of an owner that passes the filter, in no order, until it
    /// breaks off.
    ///
    /// # Errors
    /// As [`View::get`].
    pub fn scan_owner(
        &self,
        owner: &Pubkey,
        filter: &OwnerFilter,
        mut visit: impl FnMut(VisitedAccount<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut wanted = |slot: Slot, version: &Version<'_>| match version.account.owner == owner
            && filter.passes(version.account.data)
        {
            true => visit(VisitedAccount::of(slot, version)),
            false => ControlFlow::Continue(()),
        };
        if !self.shared.owner_order {
            return self.scan(Bound::Unbounded, Bound::Unbounded, |found| {
                match found.account.owner == owner && filter.passes(found.account.data) {
                    true => visit(found),
                    false => ControlFlow::Continue(()),
                }
            });
        }
        if self.scan_owner_runs(owner, filter, &mut wanted)?.is_break()
            || self.scan_owner_spilled(owner, filter, &mut wanted)?.is_break()
        {
            return Ok(());
        }
        let sight = &self.sight;
        for (slot, version) in sight.state.tail.newest_of_all(&sight.visible, |_| true) {
            let class = version.locator.class();
            if version.owner != *owner || !filter.can_pass(class) {
                continue;
            }
            let segments = &sight.state.runs.segments;
            let flow =
                self.shared.record(segments, version.locator, |version| wanted(slot, version))?;
            if flow.is_break() {
                break;
            }
        }
        self.check_lease()
    }

    fn scan_owner_runs(
        &self,
        owner: &Pubkey,
        filter: &OwnerFilter,
        wanted: &mut dyn FnMut(Slot, &Version<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let sight = &self.sight;
        let keys = sight.keys(&self.shared);
        let runs: Option<Vec<_>> =
            sight.pairs().map(|pair| pair.by_owner.as_ref().map(Arc::clone)).collect();
        let runs = runs.expect("a store that keeps the second order has it of all runs");
        let from = owner_key(owner, &Pubkey([0; 32]));
        let mut merge = Merge::new(&runs, Bound::Included(&from), &keys)?;
        let mut gathered: Vec<(Locator, Slot)> = Vec::new();
        while let Some(row) = merge.next_row()? {
            if !self.is_of(&row, owner)? {
                break;
            }
            let slot_max = sight.final_slot;
            let counts = row.slot <= slot_max && row.newer.is_none_or(|newer| newer > slot_max);
            if counts && filter.can_pass(row.locator.class()) {
                gathered.push((row.locator, row.slot));
            }
            if gathered.len() == GATHERED_MAX
                && self.read_gathered(&mut gathered, Behind::Spilled, wanted)?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.read_gathered(&mut gathered, Behind::Spilled, wanted)
    }

    fn scan_owner_spilled(
        &self,
        owner: &Pubkey,
        filter: &OwnerFilter,
        wanted: &mut dyn FnMut(Slot, &Version<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let keys = self.sight.keys(&self.shared);
        let from = owner_key(owner, &Pubkey([0; 32]));
        let by_owner = |spilled: &SpilledPair| {
            let run = spilled.runs.by_owner.as_ref().map(Arc::clone);
            run.expect("a store that keeps the second order has it of all runs")
        };
        let mut rows = self.sight.spilled_rows(by_owner, Bound::Included(&from), &keys)?;
        let mut gathered: Vec<(Locator, Slot)> = Vec::new();
        while let Some((row, slot)) = rows.next()? {
            if !self.is_of(&row, owner)? {
                break;
            }
            if filter.can_pass(row.locator.class()) {
                gathered.push((row.locator, slot));
            }
            if gathered.len() == GATHERED_MAX
                && self.read_gathered(&mut gathered, Behind::Tail, wanted)?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.read_gathered(&mut gathered, Behind::Tail, wanted)
    }

    /// Whether a row is the owner's. Rows are in order: the first that is not is the end.
    fn is_of(&self, row: &MergedRow<BY_OWNER>, owner: &Pubkey) -> Result<bool, Error> {
        let known = row.key.known();
        let shared_bytes = known.len().min(32);
        if known[..shared_bytes] != owner.0[..shared_bytes] {
            return Ok(false);
        }
        if shared_bytes == 32 {
            return Ok(true);
        }
        let is_departure = row.locator.class() == SizeClass::DEPARTURE;
        let segments = &self.sight.state.runs.segments;
        self.shared.record(segments, row.locator, |version| match is_departure {
            true => version.previous_owner == Some(owner),
            false => version.account.owner == owner,
        })
    }

    fn read_gathered(
        &self,
        gathered: &mut Vec<(Locator, Slot)>,
        behind: Behind,
        wanted: &mut dyn FnMut(Slot, &Version<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let sight = &self.sight;
        let segments = &sight.state.runs.segments;
        gathered.sort_unstable();
        let locators: Vec<Locator> = gathered.iter().map(|(locator, _)| *locator).collect();
        let mut ahead = locators.chunks(AHEAD_RECORDS);
        let mut fetch_ahead = || match ahead.next() {
            Some(next) if !segments.seem_resident(&self.shared.history, next)? => {
                segments.fetch(&self.shared.history, next)
            }
            _ => Ok(()),
        };
        fetch_ahead()?;
        for (index, (locator, slot)) in gathered.drain(..).enumerate() {
            if index % AHEAD_RECORDS == 0 {
                fetch_ahead()?;
            }
            let flow = self.shared.record(segments, locator, |version| {
                match self.is_newer_elsewhere(version.account.pubkey, behind)? {
                    true => Ok(ControlFlow::Continue(())),
                    false => Ok::<_, Error>(wanted(slot, version)),
                }
            })??;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        self.check_lease()?;
        Ok(ControlFlow::Continue(()))
    }

    /// Whether the view sees a newer version of an account than one that was found.
    fn is_newer_elsewhere(&self, pubkey: &Pubkey, behind: Behind) -> Result<bool, Error> {
        let sight = &self.sight;
        if sight.state.tail.newest(pubkey, &sight.visible).is_some() {
            return Ok(true);
        }
        if behind == Behind::Tail {
            return Ok(false);
        }
        let sought = self.shared.identity.seek(&pubkey.0);
        Ok(sight.spilled_newest(&self.shared, &sought)?.is_some())
    }
}
