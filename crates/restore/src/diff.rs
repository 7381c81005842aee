//! The accounts that differ between two states, each read from a full archive or a pair.
//!
//! Steps:
//! 1. Of every live account of each side two digests of 16 bytes are kept, one of its address, one
//!    of its content: [`DIGEST_BYTES_PER_ACCOUNT`]. They are keyed with a number that the system
//!    draws anew for every run, so that nobody can make archives whose digests collide.
//! 2. Both lists are sorted and merged; what is in one only, or differs, is wanted.
//! 3. Each side is read again, and the wanted accounts are kept: [`ROW_BYTES`] for each of them on
//!    each side that has it.
//!
//! Where an account lies, and in which slot it was written, is no difference of state.
//!
//! What it does *not* do: compare what is in no account (see [`StateSummary`] for what it does
//! compare of the banks), or demand a good verdict: it is for finding the culprit, too.

mod account;
mod digest;
mod state;

use std::thread;

use icecore_types::Pubkey;

use self::digest::{Budget, Digest, Digester, merge};
pub use self::{
    account::{AccountDiff, AccountState, Change},
    state::{BankDifference, StateSummary},
};
use crate::{Error, LiveAccounts, Progress};

/// Memory for each live account of each side while it is compared.
pub const DIGEST_BYTES_PER_ACCOUNT: u64 = size_of::<Digest>() as u64;

const _: () = assert!(DIGEST_BYTES_PER_ACCOUNT == 32);

/// Memory for each account that differs, on each side that has it.
pub const ROW_BYTES: u64 = size_of::<Row>() as u64;

const _: () = assert!(ROW_BYTES <= 150);

type Row = (Pubkey, AccountState);

/// What differs between two states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// The accounts that differ, by address.
    pub accounts: Vec<AccountDiff>,
    /// The side before.
    pub before: StateSummary,
    /// The side after.
    pub after: StateSummary,
}

impl Diff {
    /// How many accounts were added, closed or changed.
    pub fn count(&self, change: Change) -> u64 {
        self.accounts.iter().filter(|account| account.change == change).count() as u64
    }

    /// Whether nothing differs, neither accounts nor what is compared of the banks.
    pub fn is_same(&self) -> bool {
        self.accounts.is_empty() && self.before.differing(&self.after).is_empty()
    }
}

/// Compares two states that were opened with [`LiveAccounts::open`].
///
/// # Errors
/// [`Error::Memory`] when digests or rows need more than `memory_bytes_max`, and what reading can
/// give.
pub fn diff(
    before: &mut LiveAccounts,
    after: &mut LiveAccounts,
    memory_bytes_max: u64,
    progress: &Progress,
) -> Result<Diff, Error> {
    let digester = Digester::new();
    let counted = |accounts: &LiveAccounts| accounts.report().last().num_accounts.unwrap_or(0);
    let (count_before, count_after) = (counted(before), counted(after));
    let budget = Budget { bytes_max: memory_bytes_max };
    let bytes = budget.check(count_before + count_after, DIGEST_BYTES_PER_ACCOUNT)?;
    progress.begin(format!(
        "compare {count_before} with {count_after} accounts in {bytes} bytes of memory \
         ({DIGEST_BYTES_PER_ACCOUNT} for each), and up to {} for each account that differs",
        2 * ROW_BYTES,
    ));
    let mut digests_before = digester.all(before, count_before, &budget, progress)?;
    let budget_after = budget.without(digests_before.len() as u64 * DIGEST_BYTES_PER_ACCOUNT);
    let mut digests_after = digester.all(after, count_after, &budget_after, progress)?;
    progress.begin("sort");
    thread::scope(|scope| {
        scope.spawn(|| digests_before.sort_unstable());
        digests_after.sort_unstable();
    });
    let (wanted, rows) = merge(&digests_before, &digests_after);
    drop((digests_before, digests_after));

    let bytes = budget.check(rows, ROW_BYTES)?;
    progress.begin(format!("{} accounts differ: {bytes} bytes of memory", wanted.len()));
    let (rows_before, rows_after) = match wanted.is_empty() {
        true => (Vec::new(), Vec::new()),
        false => {
            (digester.rows(before, &wanted, progress)?, digester.rows(after, &wanted, progress)?)
        }
    };
    Ok(Diff {
        accounts: join(rows_before, rows_after),
        before: StateSummary::of(before),
        after: StateSummary::of(after),
    })
}

/// Puts the rows of both sides together, by address.
fn join(before: Vec<Row>, after: Vec<Row>) -> Vec<AccountDiff> {
    let mut accounts = Vec::with_capacity(before.len().max(after.len()));
    let (mut before, mut after) = (before.into_iter().peekable(), after.into_iter().peekable());
    loop {
        let pubkey = match (before.peek(), after.peek()) {
            (None, None) => return accounts,
            (Some((one, _)), None) | (None, Some((one, _))) => *one,
            (Some((one, _)), Some((other, _))) => *one.min(other),
        };
        let left = before.next_if(|(key, _)| *key == pubkey).map(|(_, state)| state);
        let right = after.next_if(|(key, _)| *key == pubkey).map(|(_, state)| state);
        accounts.push(AccountDiff::new(pubkey, left, right));
    }
}
