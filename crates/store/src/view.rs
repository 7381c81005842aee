//! Views: what can be read at one point of the history (design section 5).
//!
//! A view is a snapshot: it never changes, and never blocks a writer. It holds a lease on its slot; see
//! [`Store::leases`].
//!
//! What it does *not* do: give tombstones. An account that is closed is absent; its history says when.

mod coverage;
mod history;
mod owner;
mod range;
mod records;
mod rows;

use std::{sync::Arc, time::Duration};

use icecore_journal::ReaderPin;
use icecore_types::{Account, AccountRef, Hash, Pubkey, Slot};

pub use self::{
    coverage::{Coverage, GapInfo, WindowInfo},
    history::{AccountChange, HistoryVersion},
    owner::OwnerFilter,
    records::RecordHead,
    rows::KeyPart,
};
use crate::{
    At, Error, Origin, SlotId, SlotState, Store,
    bank::{BankFields, StateTotals},
    leases::{Holder, Lease, Leases},
    record::Version,
    shared::{Chain, Mirror, Shared},
    sight::{Sight, window_of},
    tail::Visible,
};

/// A slot that a view was opened at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewSlot {
    /// The slot whose state is read: the one asked for, or the last final one before it.
    pub number: Slot,
    /// Its bank.
    pub bank: BankFields,
    /// Its event in the journal: the commit, or the base point.
    pub event: u64,
}

/// A point of the history that can be read.
#[derive(Debug)]
pub struct View {
    pub(crate) shared: Arc<Shared>,
    pub(crate) sight: Sight,
    slot: ViewSlot,
    lease: Lease,
    /// Beside a writer in another process: what it asks that one to keep.
    pin: Option<ReaderPin>,
    /// And the files that it asks that one to leave.
    _files: Option<ReaderPin>,
}

/// A version of an account, as a reader gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountVersion {
    /// The slot that it counts from.
    pub slot: Slot,
    /// The slot in which it was last written, as far as that is known: for a version that was restored
    /// the one that the archive says.
    pub written: Slot,
    /// The content.
    pub account: Account,
}

/// What a visitor of many accounts is given.
#[derive(Debug, Clone, Copy)]
pub struct VisitedAccount<'a> {
    /// The slot that the version counts from.
    pub slot: Slot,
    /// The slot in which it was last written (see [`AccountVersion::written`]).
    pub written: Slot,
    /// The content.
    pub account: AccountRef<'a>,
}

impl<'a> VisitedAccount<'a> {
    pub(crate) fn of(slot: Slot, version: &Version<'a>) -> Self {
        let written = match version.origin {
            Origin::Restored { written } => written,
            Origin::First | Origin::Replaces { .. } => slot,
        };
        Self { slot, written, account: version.account }
    }

    fn to_owned(self) -> AccountVersion {
        let account = self.account.to_owned().1;
        AccountVersion { slot: self.slot, written: self.written, account }
    }
}

impl Holder for Shared {
    fn leases(&self) -> &Leases {
        &self.leases
    }
}

impl Store {
    /// Opens a view, with the lease that the options give.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotCovered`], [`Error::InGap`], [`Error::NoSuchSlot`].
    pub fn view(&self, at: At) -> Result<View, Error> {
        self.view_for(at, "view", self.shared.options.lease)
    }

    /// Opens a view for a purpose that listings show, and a time for which it is sure to be readable.
    ///
    /// # Errors
    /// As [`Self::view`].
    pub fn view_for(&self, at: At, purpose: &str, lease: Duration) -> Result<View, Error> {
        let shared = &self.shared;
        let lease_nanoseconds = u64::try_from(lease.as_nanos()).unwrap_or(u64::MAX);
        // Beside a writer in another process: its files stay from here on.
        let files = shared.pin_files(lease_nanoseconds)?;
        let (mut slot, mut sight) = shared.resolve(at)?;
        let pin = match &*shared.chain() {
            Chain::Reader(reader) => reader.pin(sight.final_slot, lease_nanoseconds).ok(),
            Chain::Writer(_) | Chain::Closed => None,
        };
        if pin.is_some() && !matches!(at, At::Fork(_)) {
            // What was dropped before the pin was seen is missed here, not later.
            shared.refresh()?;
            (slot, sight) = shared.resolve(At::Slot(slot.number))?;
        }
        let until = shared.disk.now().saturating_add(lease_nanoseconds);
        let holder: Arc<dyn Holder> = Arc::clone(shared) as _;
        let lease = Leases::take(&holder, sight.final_slot, purpose, until);
        Ok(View { shared: Arc::clone(shared), sight, slot, lease, pin, _files: files })
    }

    /// The identity of the one slot of this number that is kept by identity; with a bank hash of the
    /// one that has it.
    ///
    /// # Errors
    /// [`Error::NoFork`]; [`Error::SeveralForks`] lists their bank hashes.
    pub fn find_fork(&self, number: Slot, bank_hash: Option<Hash>) -> Result<SlotId, Error> {
        self.shared.current_mirror()?.tree.find_fork(number, bank_hash).map(|node| node.id)
    }

    /// Sees what another process has written since, in a store that is open for reading.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when what is durable does not check.
    pub fn refresh(&self) -> Result<(), Error> {
        self.shared.refresh()
    }
}

impl Shared {
    /// The slot that is meant, and what can be seen from there.
    fn resolve(&self, at: At) -> Result<(ViewSlot, Sight), Error> {
        let mirror = self.current_mirror()?;
        Ok(match at {
            At::Root => {
                let root = self.durable_root(&mirror)?.number;
                self.final_sight(&mirror, root, root)?
            }
            At::Slot(number) => {
                let root = self.durable_root(&mirror)?.number;
                self.final_sight(&mirror, number, root)?
            }
            At::Fork(id) => {
                let node = mirror.tree.get(id).ok_or(Error::NoSuchSlot { slot: id })?;
                let event = node.event.ok_or(Error::SlotRefused {
                    slot: node.number,
                    why: "it is not complete, so it cannot be read yet",
                })?;
                if event >= mirror.durable_end {
                    let why = "it is not durable yet, so it cannot be read";
                    return Err(Error::SlotRefused { slot: node.number, why });
                }
                let slot = ViewSlot { number: node.number, bank: node.bank, event };
                (slot, self.sight_of(&mirror, id)?)
            }
        })
    }

    /// In a process that only reads: asks the writer to leave the files that are known, and then
    /// knows of what it has replaced before. Where there is no page to pin on there is no writer, or
    /// none that can be asked.
    fn pin_files(&self, lease_nanoseconds: u64) -> Result<Option<ReaderPin>, Error> {
        let pin = match &*self.chain() {
            Chain::Reader(reader) => reader.pin_files(lease_nanoseconds).ok(),
            Chain::Writer(_) | Chain::Closed => None,
        };
        if pin.is_some() {
            self.refresh()?;
        }
        Ok(pin)
    }

    /// The last final slot that is durable.
    pub(crate) fn durable_root<'a>(
        &self,
        mirror: &'a Mirror,
    ) -> Result<&'a crate::tree::Node, Error> {
        let root = mirror.tree.root().ok_or(Error::Empty)?;
        let is_durable = |node: &&crate::tree::Node| {
            node.rooted_by.is_some_and(|event| event < mirror.durable_end)
        };
        mirror.tree.upward(root.id).find(is_durable).ok_or(Error::Empty)
    }

    /// The first slot that is kept.
    pub(crate) fn first_slot(&self) -> Option<Slot> {
        self.state().runs.windows.first().map(crate::run_set::Window::first)
    }

    /// The last final slot at or before a number.
    pub(crate) fn final_slot_at(&self, number: Slot) -> Result<ViewSlot, Error> {
        let mirror = self.current_mirror()?;
        self.final_slot_in(&mirror, number)
    }

    pub(crate) fn final_slot_in(&self, mirror: &Mirror, number: Slot) -> Result<ViewSlot, Error> {
        let root = mirror.tree.root().ok_or(Error::Empty)?.number;
        self.final_sight(mirror, number, root).map(|(slot, _)| slot)
    }

    /// The state at a slot of the final chain, which ends with `last`.
    fn final_sight(
        &self,
        mirror: &Mirror,
        number: Slot,
        last: Slot,
    ) -> Result<(ViewSlot, Sight), Error> {
        let state = self.state();
        let first = self.first_slot().ok_or(Error::Empty)?;
        let outside = Error::NotCovered { slot: number, first, last };
        if number > last {
            return Err(outside);
        }
        let Some(window_place) = window_of(&state, number) else { return Err(outside) };
        let window = &state.runs.windows[window_place];
        if let Some(last) = window.last
            && number > last
            && let Some(next) = state.runs.windows.get(window_place + 1)
        {
            return Err(Error::InGap { slot: number, first: last + 1, last: next.first() - 1 });
        }
        // The newest is in the tail, spilled, in a delta, or it is where the window begins.
        let unflushed = mirror
            .tree
            .nodes()
            .filter(|node| node.state == SlotState::Rooted && !node.is_flushed)
            .filter(|node| node.number <= number && node.number > window.first())
            .max_by_key(|node| node.number);
        let visible = mirror
            .tree
            .rooted_sight(number)
            .into_iter()
            .filter(|slot| slot.number > window.first());
        let visible = Visible::of(visible);
        let slot = match unflushed {
            Some(node) => ViewSlot {
                number: node.number,
                bank: node.bank,
                event: node.event.expect("a final slot is complete"),
            },
            None => self.flushed_slot_at(window, number)?,
        };
        let final_slot = slot.number;
        // What is final within a gap is known all the same: an archive was restored there.
        let hides = |(first, last): &&(Slot, Slot)| {
            (*first..=*last).contains(&number) && final_slot < *first
        };
        if let Some((first, last)) = mirror.gaps.iter().find(hides) {
            return Err(Error::InGap { slot: number, first: *first, last: *last });
        }
        Ok((slot, Sight { state: Arc::clone(&state), visible, final_slot, window: window_place }))
    }

    /// The last slot at or before a number that runs know.
    pub(crate) fn flushed_slot_at(
        &self,
        window: &crate::run_set::Window,
        number: Slot,
    ) -> Result<ViewSlot, Error> {
        for pair in window.pairs_down_from(number) {
            let run = &pair.by_pubkey;
            if let Some(index) = run.slots_at_or_before(number)?.checked_sub(1) {
                let commit = run.slot(index)?;
                let (bank, _) = self.bank_at(commit.sequence)?;
                return Ok(ViewSlot { number: commit.slot, bank, event: commit.sequence });
            }
        }
        // A complete run that was restored names its slot by the event of its base point.
        let event = window.base.ok_or(Error::NoFork { slot: number })?;
        let (bank, _) = self.bank_at(event)?;
        Ok(ViewSlot { number: window.first(), bank, event })
    }
}

impl View {
    /// The slot whose state it reads.
    pub fn slot(&self) -> &ViewSlot {
        &self.slot
    }

    /// The last final slot at or before a number, and the totals of its state, as the store knows them
    /// by now.
    ///
    /// # Errors
    /// [`Error::NotCovered`], [`Error::InGap`]; what reading the journal said.
    pub fn final_slot(&self, number: Slot) -> Result<(ViewSlot, StateTotals), Error> {
        let slot = self.shared.final_slot_at(number)?;
        let (_, totals) = self.shared.bank_at(slot.event)?;
        Ok((slot, totals))
    }

    /// Owners whose accounts are kept; empty: all are.
    pub fn kept_owners(&self) -> &[Pubkey] {
        &self.shared.kept_owners
    }

    fn check_lease(&self) -> Result<(), Error> {
        let is_lost = self.pin.as_ref().is_some_and(|pin| !pin.is_held());
        match self.lease.has_expired() || is_lost {
            false => Ok(()),
            true => Err(Error::Expired { slot: self.slot.number }),
        }
    }

    /// The totals of the state: lattice hash, capitalization, counts.
    ///
    /// # Errors
    /// What reading the journal said.
    pub fn totals(&self) -> Result<StateTotals, Error> {
        self.shared.bank_at(self.slot.event).map(|(_, totals)| totals)
    }

    /// An account; `None` when there is none, or it is closed.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when what lies there is not what was written; [`Error::Expired`].
    pub fn get(&self, pubkey: &Pubkey) -> Result<Option<AccountVersion>, Error> {
        self.get_with(pubkey, |found| found.to_owned())
    }

    /// The same, without a copy: `read` is given the account where it lies.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn get_with<R>(
        &self,
        pubkey: &Pubkey,
        read: impl FnOnce(VisitedAccount<'_>) -> R,
    ) -> Result<Option<R>, Error> {
        let found = self.sight.find(&self.shared, pubkey, |slot, _, version| {
            let is_live = !version.account.is_tombstone();
            is_live.then(|| read(VisitedAccount::of(slot, version)))
        })?;
        self.check_lease()?;
        Ok(found.flatten())
    }

    /// Many accounts, in the order asked; they are looked up side by side.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn get_many(&self, pubkeys: &[Pubkey]) -> Result<Vec<Option<AccountVersion>>, Error> {
        let mut found = vec![None; pubkeys.len()];
        self.sight.find_many(&self.shared, pubkeys, |place, slot, _, version| {
            if !version.account.is_tombstone() {
                found[place] = Some(VisitedAccount::of(slot, version).to_owned());
            }
        })?;
        self.check_lease()?;
        Ok(found)
    }
}
