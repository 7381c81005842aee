//! A store that is open for reading, beside a node or not, at a point of its history.
//!
//! What the answer is of is told on stderr, and in JSON by each row: the slot that was asked for need
//! not be one that has a block.
//!
//! A store that keeps some owners' accounts only says so: of the others it knows nothing.

use std::{
    ops::{Bound, ControlFlow},
    path::Path,
};

use icecore_store::{Options, Store, View, VisitedAccount};
use icecore_types::{Pubkey, Slot};

use crate::{exit::Failure, filters::Filter, interrupt::Interrupt, moment::Moment, rows::Live};

/// A store, and where it is read.
pub(crate) struct Reading {
    pub(crate) store: Store,
    pub(crate) view: View,
    interrupt: Interrupt,
}

/// Opens a store for reading.
pub(crate) fn open(folder: &Path) -> Result<Store, Failure> {
    let store = Store::read(folder, Options::default())?;
    tell_kept(&store);
    Ok(store)
}

/// Says which accounts a store keeps, unless it keeps all of them.
pub(crate) fn tell_kept(store: &Store) {
    let kept = store.kept_owners();
    if !kept.is_empty() {
        eprintln!(
            "only accounts of {} are kept in this store; all others are taken on trust",
            names(kept)
        );
    }
}

fn names(owners: &[Pubkey]) -> String {
    owners.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Reading {
    /// Opens a store at a point of its history, and says which slot that is.
    pub(crate) fn open(folder: &Path, moment: Moment) -> Result<Self, Failure> {
        let interrupt = Interrupt::listen()?;
        let store = open(folder)?;
        let view = store.view(moment.find(&store)?)?;
        let slot = view.slot();
        eprintln!("{}", moment.told(slot.number, slot.bank.bank_hash));
        Ok(Self { store, view, interrupt })
    }

    /// The slot whose state is read.
    pub(crate) fn slot(&self) -> Slot {
        self.view.slot().number
    }

    /// Whether every account is in the store.
    pub(crate) fn is_whole(&self) -> bool {
        self.store.kept_owners().is_empty()
    }

    /// Refuses to answer for an owner whose accounts are not kept.
    pub(crate) fn check_kept(&self, owners: &[Pubkey]) -> Result<(), Failure> {
        let kept = self.store.kept_owners();
        match owners.iter().find(|owner| !kept.is_empty() && !kept.contains(owner)) {
            None => Ok(()),
            Some(owner) => Err(Failure::Incomplete(format!(
                "accounts of {owner} are not kept in this store; it keeps those of {}",
                names(kept)
            ))),
        }
    }

    /// Accounts by their address, in the order asked.
    pub(crate) fn get_many(
        &self,
        pubkeys: &[Pubkey],
    ) -> Result<Vec<Option<icecore_store::AccountVersion>>, Failure> {
        Ok(self.view.get_many(pubkeys)?)
    }

    /// Gives every account that passes to `visit`, until it breaks or fails: in the order of addresses,
    /// those of certain owners in no order.
    pub(crate) fn for_each(
        &self,
        filter: &Filter<'_>,
        visit: &mut dyn FnMut(Live<'_>) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<(), Failure> {
        let owners = filter.owners();
        if owners.is_empty() {
            return self.scan(None, filter, visit).map(drop);
        }
        for owner in &owners {
            if self.scan(Some(owner), filter, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn scan(
        &self,
        owner: Option<&Pubkey>,
        filter: &Filter<'_>,
        visit: &mut dyn FnMut(Live<'_>) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<ControlFlow<()>, Failure> {
        let at_slot = Some(self.slot());
        let mut outcome = Ok(ControlFlow::Continue(()));
        let each = |found: VisitedAccount<'_>| {
            if self.interrupt.is_wanted() {
                outcome = Err(Failure::Interrupted);
            } else if filter.matches(&found.account) {
                outcome = visit(Live { account: found.account, slot: found.written, at_slot });
            }
            match outcome {
                Ok(flow) => flow,
                Err(_) => ControlFlow::Break(()),
            }
        };
        let scanned = match owner {
            None => self.view.scan(Bound::Unbounded, Bound::Unbounded, each),
            Some(owner) => self.view.scan_owner(owner, &filter.of_owner(), each),
        };
        let flow = outcome?;
        scanned?;
        Ok(flow)
    }
}
