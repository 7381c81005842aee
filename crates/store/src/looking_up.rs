//! What written accounts change: their versions before, and the totals.
//!
//! 1. A batch is cut into as many parts as there are threads, unless it is small.
//! 2. In each part all keys are looked up along the fork, side by side (rule R22). What was found goes
//!    out of the totals, the new version goes in.
//!
//! Invariant: the parts' sums together are those of the batch, however it is cut: lattice hashes are
//! sums, and an account is in a batch once.
//!
//! What it does *not* do: lay out records (see `open_slot`).

use std::thread;

use icecore_types::{Account, AccountRef, LatticeHash, Pubkey, Slot};

use crate::{Error, bank::StateTotals, shared::Shared, sight::Sight};

/// Accounts for which it is worth to begin a thread: looking one up and hashing it takes 3 us.
const PART_ACCOUNTS_MIN: usize = 64;

/// An account that waits for its batch.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) pubkey: Pubkey,
    pub(crate) account: Account,
}

/// What a slot changes in the totals.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    added: LatticeHash,
    removed: LatticeHash,
    lamports_added: u128,
    lamports_removed: u128,
    accounts_added: u64,
    accounts_removed: u64,
    data_added: u64,
    data_removed: u64,
}

impl Sums {
    fn add(&mut self, account: &AccountRef<'_>) {
        if !account.is_tombstone() {
            self.lamports_added += u128::from(account.lamports);
            self.accounts_added += 1;
            self.data_added += account.data.len() as u64;
        }
    }

    fn remove(&mut self, account: &AccountRef<'_>) {
        if !account.is_tombstone() {
            self.lamports_removed += u128::from(account.lamports);
            self.accounts_removed += 1;
            self.data_removed += account.data.len() as u64;
        }
    }

    /// Adds what other accounts change.
    pub(crate) fn mix_in(&mut self, other: &Self) {
        self.added.mix_in(&other.added);
        self.removed.mix_in(&other.removed);
        self.lamports_added += other.lamports_added;
        self.lamports_removed += other.lamports_removed;
        self.accounts_added += other.accounts_added;
        self.accounts_removed += other.accounts_removed;
        self.data_added += other.data_added;
        self.data_removed += other.data_removed;
    }

    /// The totals behind the slot, with what is left out as it was; `None` when lamports leave the
    /// range of 64 bits.
    pub(crate) fn after(&self, before: &StateTotals) -> (StateTotals, Option<u64>) {
        let mut after = before.clone();
        after.lattice.mix_in(&self.added);
        after.lattice.mix_out(&self.removed);
        let lamports = (u128::from(before.capitalization) + self.lamports_added)
            .checked_sub(self.lamports_removed)
            .and_then(|lamports| u64::try_from(lamports).ok());
        after.capitalization = lamports.unwrap_or(0);
        after.num_accounts =
            (before.num_accounts + self.accounts_added).saturating_sub(self.accounts_removed);
        after.total_data_len =
            (before.total_data_len + self.data_added).saturating_sub(self.data_removed);
        (after, lamports)
    }
}

/// What a lookup says of the version before.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Previous {
    pub(crate) slot: Option<Slot>,
    /// Of a live version.
    pub(crate) owner: Option<Pubkey>,
}

/// Accounts that were looked up.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) accounts: &'a [Waiting],
    /// Of each account.
    pub(crate) previous: Vec<Previous>,
    pub(crate) sums: Sums,
}

/// Looks a batch up, in order.
pub(crate) fn look_up<'a>(
    shared: &Shared,
    sight: &Sight,
    batch: &'a [Waiting],
) -> Result<Vec<Part<'a>>, Error> {
    let part_accounts = batch.len().div_ceil(shared.options.threads.max(1));
    let mut parts = batch.chunks(part_accounts.max(PART_ACCOUNTS_MIN));
    let Some(first) = parts.next() else { return Ok(Vec::new()) };
    thread::scope(|scope| {
        let look_up_here = |part| look_up_part(shared, sight, part);
        // Where the system has no thread more, this one does the work.
        let begun = parts.map(|part| {
            let begun = thread::Builder::new().spawn_scoped(scope, move || look_up_here(part));
            (part, begun.ok())
        });
        let others: Vec<_> = begun.collect();
        let mut done = vec![look_up_here(first)?];
        for (part, other) in others {
            done.push(match other {
                Some(thread) => thread.join().expect("nobody panics while looking up")?,
                None => look_up_here(part)?,
            });
        }
        Ok(done)
    })
}

fn look_up_part<'a>(
    shared: &Shared,
    sight: &Sight,
    accounts: &'a [Waiting],
) -> Result<Part<'a>, Error> {
    let keys: Vec<Pubkey> = accounts.iter().map(|waiting| waiting.pubkey).collect();
    let mut previous = vec![Previous::default(); keys.len()];
    let mut sums = Sums::default();
    let mut removed = shared.summers.lend();
    sight.find_many(shared, &keys, |place, slot, _, version| {
        let account = &version.account;
        removed.add(std::slice::from_ref(account));
        sums.remove(account);
        let owner = (!account.is_tombstone()).then_some(*account.owner);
        previous[place] = Previous { slot: Some(slot), owner };
    })?;
    sums.removed.mix_in(&removed.finish());
    let mut added = removed;
    for (Waiting { pubkey, account }, previous) in accounts.iter().zip(&previous) {
        if let Some(account) = shared.kept(account.borrowed(pubkey), previous) {
            added.add(std::slice::from_ref(&account));
            sums.add(&account);
        }
    }
    sums.added.mix_in(&added.finish());
    shared.summers.give_back(added);
    Ok(Part { accounts, previous, sums })
}

impl Shared {
    /// The account as this store keeps it; `None` when it does not, and did not before.
    pub(crate) fn kept<'a>(
        &self,
        account: AccountRef<'a>,
        previous: &Previous,
    ) -> Option<AccountRef<'a>> {
        if self.kept_owners.is_empty() || self.kept_owners.contains(account.owner) {
            return Some(account);
        }
        // When it leaves what is kept, that is as good as closed for this store.
        previous.owner.is_some().then_some(AccountRef {
            lamports: 0,
            data: &[],
            executable: false,
            ..account
        })
    }
}
