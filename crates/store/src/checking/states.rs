//! Whole states against what the chain states of them.

use std::{
    collections::BTreeSet,
    ops::{Bound, ControlFlow},
};

use icecore_types::Slot;

use super::{CheckPhase, Work};
use crate::{At, Error, Store, View, bank::StateTotals};

/// Accounts between two reports.
const REPORTED_ACCOUNTS: u64 = 1 << 16;

impl Work<'_, '_> {
    pub(super) fn states(&mut self, store: &Store) -> Result<(), Error> {
        let coverage = store.coverage();
        let first = coverage.windows.iter().map(|window| window.first);
        let slots: BTreeSet<Slot> = first.chain(coverage.last).collect();
        for slot in slots {
            let summed = store.view(At::Slot(slot)).and_then(|view| self.state(store, &view));
            if let Some((found, stated)) = self.noted(summed)?
                && found != stated
            {
                let folder = self.folder.clone();
                let what = format!(
                    "slot {slot}: the accounts are not those of the state: {} of {}, {} lamports of {}, {} bytes of {}, the lattice hash {}",
                    found.num_accounts,
                    stated.num_accounts,
                    found.capitalization,
                    stated.capitalization,
                    found.total_data_len,
                    stated.total_data_len,
                    if found.lattice == stated.lattice { "agrees" } else { "differs" }
                );
                self.damage(&folder, 0, what);
            }
            self.found.states.push(slot);
        }
        Ok(())
    }

    /// What the accounts of a view add up to, and what the chain states. What a filtered store left
    /// out is taken on trust.
    fn state(&mut self, store: &Store, view: &View) -> Result<(StateTotals, StateTotals), Error> {
        let stated = view.totals()?;
        let mut found = StateTotals {
            lattice: stated.lattice_left_out.clone(),
            lattice_left_out: stated.lattice_left_out.clone(),
            capitalization: stated.capitalization_left_out,
            capitalization_left_out: stated.capitalization_left_out,
            ..StateTotals::default()
        };
        let summers = &store.shared.summers;
        let mut sum = summers.lend();
        let mut told = Ok(());
        view.scan(Bound::Unbounded, Bound::Unbounded, |visited| {
            let account = &visited.account;
            sum.add(std::slice::from_ref(account));
            found.capitalization = found.capitalization.wrapping_add(account.lamports);
            found.num_accounts += 1;
            found.total_data_len += account.data.len() as u64;
            if found.num_accounts.is_multiple_of(REPORTED_ACCOUNTS) {
                let (done, total) = (found.num_accounts, stated.num_accounts);
                told = self.tell(CheckPhase::States, done, total);
            }
            match told {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })?;
        told?;
        found.lattice.mix_in(&sum.finish());
        summers.give_back(sum);
        Ok((found, stated))
    }
}
