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

use std::{
    hash::{BuildHasher, RandomState},
    ops::ControlFlow,
    thread,
};

use icecore_types::{AccountRef, Epoch, Hash, Pubkey, Slot};
use serde::{Serialize, Serializer};

use crate::{Answer, Error, LiveAccounts, Progress, Stated, Verdict};

/// Memory for each live account of each side while it is compared.
pub const DIGEST_BYTES_PER_ACCOUNT: u64 = size_of::<Digest>() as u64;

const _: () = assert!(DIGEST_BYTES_PER_ACCOUNT == 32);

/// Memory for each account that differs, on each side that has it.
pub const ROW_BYTES: u64 = size_of::<Row>() as u64;

const _: () = assert!(ROW_BYTES <= 150);

type Row = (Pubkey, AccountState);

/// An account's content, its data as a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AccountState {
    /// Balance.
    pub lamports: u64,
    /// The program that may change it.
    pub owner: Pubkey,
    /// Whether it holds a program.
    pub executable: bool,
    /// Obsolete, in no hash.
    pub rent_epoch: u64,
    /// The slot in which this version was written; not part of the state.
    pub slot: Slot,
    /// Bytes of data.
    pub data_len: u64,
    /// BLAKE3 of the data; hexadecimal digits in JSON.
    #[serde(serialize_with = "hex")]
    pub data_blake3: blake3::Hash,
}

fn hex<S: Serializer>(hash: &blake3::Hash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hash.to_hex())
}

/// What happened to an account between the two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Only the state after has it.
    Added,
    /// Only the state before has it.
    Closed,
    /// Both have it, with different content.
    Changed,
}

impl Change {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Closed => "closed",
            Self::Changed => "changed",
        }
    }
}

/// An account that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountDiff {
    /// Its address.
    pub pubkey: Pubkey,
    /// What happened to it.
    pub change: Change,
    /// The fields of [`AccountState`] that differ, by name; none unless it has changed.
    pub fields: Vec<&'static str>,
    /// What it was.
    pub before: Option<AccountState>,
    /// What it is.
    pub after: Option<AccountState>,
}

impl AccountDiff {
    fn new(pubkey: Pubkey, before: Option<AccountState>, after: Option<AccountState>) -> Self {
        let (change, fields) = match (&before, &after) {
            (Some(before), Some(after)) => (Change::Changed, changed_fields(before, after)),
            (Some(_), None) => (Change::Closed, Vec::new()),
            (None, _) => (Change::Added, Vec::new()),
        };
        Self { pubkey, change, fields, before, after }
    }
}

fn changed_fields(before: &AccountState, after: &AccountState) -> Vec<&'static str> {
    let fields = [
        ("lamports", before.lamports != after.lamports),
        ("owner", before.owner != after.owner),
        ("executable", before.executable != after.executable),
        ("rent_epoch", before.rent_epoch != after.rent_epoch),
        ("data_len", before.data_len != after.data_len),
        ("data_blake3", before.data_blake3 != after.data_blake3),
    ];
    fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// What is compared of a side besides its accounts: from the verdict on its last archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateSummary {
    /// The last archive's file name.
    pub archive: String,
    /// The slot.
    pub slot: Slot,
    /// The parent's slot.
    pub parent_slot: Option<Slot>,
    /// The epoch of the slot.
    pub epoch: Option<Epoch>,
    /// Blocks since genesis.
    pub block_height: Option<u64>,
    /// The bank hash, as stated.
    pub bank_hash: Option<Hash>,
    /// Recomputed from the accounts.
    pub accounts_lt_hash_checksum: Option<Hash>,
    /// Recomputed from the accounts, in lamports.
    pub capitalization: Option<u128>,
    /// Live accounts.
    pub num_accounts: Option<u64>,
    /// Bytes of their data.
    pub total_data_len: Option<u64>,
    /// The verdict on the archives of this side.
    pub verdict: Answer,
    /// What the archive states of itself.
    pub stated: Stated,
}

impl StateSummary {
    fn of(accounts: &LiveAccounts) -> Self {
        let Verdict {
            archive,
            slot,
            parent_slot,
            epoch,
            block_height,
            bank_hash,
            accounts_lt_hash_checksum,
            capitalization,
            num_accounts,
            total_data_len,
            stated,
            ..
        } = accounts.report().last().clone();
        Self {
            archive,
            slot,
            parent_slot,
            epoch,
            block_height,
            bank_hash,
            accounts_lt_hash_checksum,
            capitalization,
            num_accounts,
            total_data_len,
            verdict: accounts.report().answer(),
            stated,
        }
    }

    /// The names of the fields of the bank that differ, and the two values as text. The names of
    /// the files, the verdicts and the counts are not of the bank.
    pub fn differing<'a>(&'a self, other: &'a Self) -> Vec<BankDifference> {
        type Text = fn(&StateSummary) -> String;
        fn text<T: ToString>(value: &Option<T>) -> String {
            value.as_ref().map_or_else(|| "none".into(), T::to_string)
        }
        let fields: [(&'static str, Text); 10] = [
            ("slot", |side| side.slot.to_string()),
            ("parent_slot", |side| text(&side.parent_slot)),
            ("epoch", |side| text(&side.epoch)),
            ("block_height", |side| text(&side.block_height)),
            ("bank_hash", |side| text(&side.bank_hash)),
            ("accounts_lt_hash_checksum", |side| text(&side.accounts_lt_hash_checksum)),
            ("capitalization", |side| text(&side.capitalization)),
            ("stated.accounts_lt_hash_checksum", |side| {
                text(&side.stated.accounts_lt_hash_checksum)
            }),
            ("stated.accounts_hash", |side| text(&side.stated.accounts_hash)),
            ("stated.capitalization", |side| text(&side.stated.capitalization)),
        ];
        let sides = fields.map(|(field, value)| BankDifference {
            field,
            before: value(self),
            after: value(other),
        });
        sides.into_iter().filter(|side| side.before != side.after).collect()
    }
}

/// A field of the bank in which two states differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankDifference {
    /// Its name.
    pub field: &'static str,
    /// Its value before, as text.
    pub before: String,
    /// Its value after, as text.
    pub after: String,
}

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
        false => (
            digester.rows(before, &wanted, progress)?,
            digester.rows(after, &wanted, progress)?,
        ),
    };
    Ok(Diff {
        accounts: join(rows_before, rows_after),
        before: StateSummary::of(before),
        after: StateSummary::of(after),
    })
}

/// The memory that may be used.
struct Budget {
    bytes_max: u64,
}

impl Budget {
    fn check(&self, records: u64, bytes_each: u64) -> Result<u64, Error> {
        let needed = records.saturating_mul(bytes_each);
        match needed > self.bytes_max {
            true => Err(Error::Memory { records, needed, limit: self.bytes_max }),
            false => Ok(needed),
        }
    }

    fn without(&self, bytes: u64) -> Self {
        Self { bytes_max: self.bytes_max.saturating_sub(bytes) }
    }
}

type KeyDigest = [u8; 16];

/// An account in 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Digest {
    key: KeyDigest,
    content: [u8; 16],
}

/// Digests with a key that nobody knows.
struct Digester {
    key: [u8; blake3::KEY_LEN],
}

impl Digester {
    fn new() -> Self {
        // The system draws what a `RandomState` is keyed with: 128 bits that are never shown.
        let state = RandomState::new();
        let mut key = [0; blake3::KEY_LEN];
        for (number, bytes) in key.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *bytes = state.hash_one(number).to_le_bytes();
        }
        Self { key }
    }

    fn digest(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in parts {
            hasher.update(part);
        }
        *hasher.finalize().as_bytes().first_chunk().expect("a hash is 32 bytes")
    }

    fn of_key(&self, pubkey: &Pubkey) -> KeyDigest {
        self.digest(&[pubkey.as_bytes()])
    }

    /// Fixed fields first, so that no two contents give the same bytes.
    fn of_content(&self, account: &AccountRef<'_>) -> [u8; 16] {
        self.digest(&[
            &account.lamports.to_le_bytes(),
            account.owner.as_bytes(),
            &[u8::from(account.executable)],
            &account.rent_epoch.to_le_bytes(),
            account.data,
        ])
    }

    /// Of all accounts of a side; `count` is how many there should be.
    fn all(
        &self,
        accounts: &mut LiveAccounts,
        count: u64,
        budget: &Budget,
        progress: &Progress,
    ) -> Result<Vec<Digest>, Error> {
        let mut digests = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        let mut failure = None;
        accounts.for_each(progress, |live| {
            let account = &live.account;
            if digests.len() == digests.capacity()
                && let Err(error) =
                    budget.check(digests.len() as u64 * 2, DIGEST_BYTES_PER_ACCOUNT)
            {
                failure = Some(error);
                return ControlFlow::Break(());
            }
            let key = self.of_key(account.pubkey);
            digests.push(Digest { key, content: self.of_content(account) });
            ControlFlow::Continue(())
        })?;
        match failure {
            Some(error) => Err(error),
            None => Ok(digests),
        }
    }

    /// The wanted accounts of a side, by address.
    fn rows(
        &self,
        accounts: &mut LiveAccounts,
        wanted: &[KeyDigest],
        progress: &Progress,
    ) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        accounts.for_each(progress, |live| {
            let account = &live.account;
            if wanted.binary_search(&self.of_key(account.pubkey)).is_ok() {
                let state = AccountState {
                    lamports: account.lamports,
                    owner: *account.owner,
                    executable: account.executable,
                    rent_epoch: account.rent_epoch,
                    slot: live.slot,
                    data_len: account.data.len() as u64,
                    data_blake3: blake3::hash(account.data),
                };
                rows.push((*account.pubkey, state));
            }
            ControlFlow::Continue(())
        })?;
        rows.sort_unstable_by_key(|(pubkey, _)| *pubkey);
        Ok(rows)
    }
}

/// The keys of the accounts that differ, and how many rows they have on both sides together. Both
/// lists are sorted; a side holds a key once.
fn merge(before: &[Digest], after: &[Digest]) -> (Vec<KeyDigest>, u64) {
    let mut wanted = Vec::new();
    let mut rows = 0;
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let key = match (before.peek(), after.peek()) {
            (None, None) => return (wanted, rows),
            (Some(one), None) | (None, Some(one)) => one.key,
            (Some(one), Some(other)) => one.key.min(other.key),
        };
        let left = before.next_if(|digest| digest.key == key);
        let right = after.next_if(|digest| digest.key == key);
        if left != right {
            wanted.push(key);
            rows += u64::from(left.is_some()) + u64::from(right.is_some());
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(key: u8, content: u8) -> Digest {
        Digest { key: [key; 16], content: [content; 16] }
    }

    #[test]
    fn merging_finds_what_one_side_has_alone_or_otherwise() {
        let before = [digest(1, 1), digest(2, 1), digest(4, 1), digest(5, 1)];
        let after = [digest(0, 1), digest(1, 1), digest(2, 2), digest(5, 1), digest(6, 1)];
        let (wanted, rows) = merge(&before, &after);
        assert_eq!(wanted.iter().map(|key| key[0]).collect::<Vec<_>>(), [0, 2, 4, 6]);
        assert_eq!(rows, 5);
        assert_eq!(merge(&before, &before), (Vec::new(), 0));
        assert_eq!(merge(&[], &before).1, 4);
    }

    #[test]
    fn every_field_counts_and_digests_of_two_runs_differ() {
        let (pubkey, owner, other) = (Pubkey([1; 32]), Pubkey([2; 32]), Pubkey([3; 32]));
        let account = AccountRef {
            pubkey: &pubkey,
            lamports: 5,
            owner: &owner,
            executable: false,
            rent_epoch: 7,
            data: &[1, 2, 3],
        };
        let digester = Digester::new();
        let content = digester.of_content(&account);
        for changed in [
            AccountRef { lamports: 6, ..account },
            AccountRef { owner: &other, ..account },
            AccountRef { executable: true, ..account },
            AccountRef { rent_epoch: 8, ..account },
            AccountRef { data: &[1, 2, 3, 0], ..account },
            AccountRef { data: &[1, 2, 4], ..account },
        ] {
            assert_ne!(digester.of_content(&changed), content, "{changed:?}");
        }
        assert_eq!(digester.of_content(&AccountRef { pubkey: &other, ..account }), content);
        assert_ne!(digester.of_key(&other), digester.of_key(&pubkey));
        assert_ne!(Digester::new().of_key(&pubkey), digester.of_key(&pubkey));
    }

    #[test]
    fn memory_is_refused_before_it_is_taken() {
        let budget = Budget { bytes_max: 100 };
        assert_eq!(budget.check(3, 32).expect("96 bytes"), 96);
        assert!(budget.check(4, 32).is_err());
        assert!(budget.check(u64::MAX, 32).is_err());
        assert!(budget.without(50).check(2, 32).is_err());
    }
}
