//! The accounts that differ between two states, each read from a full archive or a pair, within a
//! bound of memory.
//!
//! Steps:
//! 1. Of every live account of each side two digests of 16 bytes are sorted, one of its address,
//!    one of its content, with its place. They are keyed with a number that the system draws anew
//!    for every run, so that nobody can make archives whose digests collide.
//! 2. Both lists are merged; what is in one only, or differs, is wanted: its places are sorted, for
//!    each side. Places, not addresses: so the second reading walks along with a list in its own
//!    order, and never has to look anything up.
//! 3. Each side is read again at the wanted places, and these accounts are sorted by address.
//! 4. Both sides are merged while they are given out.
//!
//! Memory, in sixteenths of the limit; what is more than a share goes to scratch files:
//!
//! | share | for | lives |
//! |---|---|---|
//! | 2 + 2 | what the sides hold themselves, opened within the same limit | always |
//! | 3 | walking along with what a side holds | step 1 |
//! | 4 + 4 | digests | steps 1 and 2 |
//! | 2 + 2 | wanted places | steps 2 and 3 |
//! | 4 + 4 | accounts that differ | steps 3 and 4 |
//!
//! Where an account lies, and in which slot it was written, is no difference of state.
//!
//! What it does *not* do: compare what is in no account (see [`StateSummary`] for what it does
//! compare of the banks), or demand a good verdict: it is for finding the culprit, too.

mod account;
mod digest;
mod row;
mod state;

use std::{ops::ControlFlow, sync::Arc};

pub use self::{
    account::{AccountDiff, AccountState, Change},
    state::{BankDifference, StateSummary},
};
use self::{
    digest::{Digester, merge},
    row::{Row, join},
};
use crate::{
    Error, LiveAccounts, Progress,
    pass::batch::Place,
    spill::{
        SpillFile, SpillSpace,
        item::Item,
        sorted::{Sorted, SortedReader},
        sorter::Sorter,
    },
};

const SHARES: u64 = 16;
const DIGESTS: u64 = 4;
const PLACES: u64 = 2;
const ROWS: u64 = 4;

/// What differs between two states, the accounts themselves apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// Accounts that only the state after has.
    pub added: u64,
    /// Accounts that only the state before has.
    pub closed: u64,
    /// Accounts that both have, with different content.
    pub changed: u64,
    /// The side before.
    pub before: StateSummary,
    /// The side after.
    pub after: StateSummary,
    /// Bytes written to scratch files for want of memory while comparing.
    pub bytes_spilled: u64,
}

impl Diff {
    /// How many accounts were added, closed or changed.
    pub fn count(&self, change: Change) -> u64 {
        match change {
            Change::Added => self.added,
            Change::Closed => self.closed,
            Change::Changed => self.changed,
        }
    }

    /// Whether nothing differs, neither accounts nor what is compared of the banks.
    pub fn is_same(&self) -> bool {
        self.added + self.closed + self.changed == 0
            && self.before.differing(&self.after).is_empty()
    }
}

/// Compares two states that were opened with [`LiveAccounts::open`], and gives the accounts that
/// differ to `visit`, by address, until it breaks; those that were not given are counted, too.
///
/// Memory stays within `memory_bytes_max` when both sides were opened with no more than that. Then
/// each of them holds up to an eighth of its own limit on top of it.
///
/// # Errors
/// [`Error::Spill`] when what is more than that cannot be kept on disk, and what reading can give.
pub fn diff<F>(
    before: &mut LiveAccounts,
    after: &mut LiveAccounts,
    memory_bytes_max: u64,
    progress: &Progress,
    mut visit: F,
) -> Result<Diff, Error>
where
    F: FnMut(AccountDiff) -> ControlFlow<()>,
{
    let space = SpillSpace::new(after.scratch());
    // A file for each step, so that disk space is given back with it.
    let [digests, places, rows] = [DIGESTS, PLACES, ROWS].map(|sixteenths| {
        let bytes = memory_bytes_max / SHARES * sixteenths;
        Share { bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX), file: space.file() }
    });
    let counted = |accounts: &LiveAccounts| accounts.report().last().num_accounts.unwrap_or(0);
    let (count_before, count_after) = (counted(before), counted(after));
    progress.begin(format!("compare {count_before} with {count_after} accounts"));
    let digester = Digester::new();
    let digests_before = digester.all(before, digests.sorter(), progress)?;
    let digests_after = digester.all(after, digests.sorter(), progress)?;

    let mut wanted_before = places.sorter();
    let mut wanted_after = places.sorter();
    let mut diff = Diff {
        added: 0,
        closed: 0,
        changed: 0,
        before: StateSummary::of(before),
        after: StateSummary::of(after),
        bytes_spilled: 0,
    };
    let (mut left, mut right) = (digests.reader(&digests_before)?, digests.reader(&digests_after)?);
    merge(&mut left, &mut right, |before: Option<Place>, after: Option<Place>| {
        *match (before, after) {
            (Some(_), Some(_)) => &mut diff.changed,
            (Some(_), None) => &mut diff.closed,
            (None, _) => &mut diff.added,
        } += 1;
        before.map_or(Ok(()), |place| wanted_before.push(place))?;
        after.map_or(Ok(()), |place| wanted_after.push(place))
    })?;
    diff.bytes_spilled += digests.file.bytes();
    drop((left, right, digests_before, digests_after, digests));

    let count = diff.added + diff.closed + diff.changed;
    progress.begin(format!("{count} accounts differ"));
    let (wanted_before, wanted_after) = (wanted_before.finish()?, wanted_after.finish()?);
    let rows_before = at(before, &wanted_before, &places, &rows, progress)?;
    let rows_after = at(after, &wanted_after, &places, &rows, progress)?;
    diff.bytes_spilled += places.file.bytes() + rows.file.bytes();
    drop((wanted_before, wanted_after, places));

    join(&mut rows.reader(&rows_before)?, &mut rows.reader(&rows_after)?, &mut visit)?;
    Ok(diff)
}

/// A share of the memory, and where goes what does not fit.
struct Share {
    /// For the list of one side.
    bytes_max: usize,
    file: Arc<SpillFile>,
}

impl Share {
    fn sorter<T: Item>(&self) -> Sorter<T> {
        Sorter::new(self.bytes_max, Arc::clone(&self.file))
    }

    fn reader<T: Item>(&self, list: &Sorted<T>) -> Result<SortedReader<T>, Error> {
        Ok(list.reader(self.bytes_max)?)
    }
}

/// A side's accounts at the wanted places, by address.
fn at(
    accounts: &mut LiveAccounts,
    wanted: &Sorted<Place>,
    places: &Share,
    rows: &Share,
    progress: &Progress,
) -> Result<Sorted<Row>, Error> {
    let mut sorter = rows.sorter();
    if !wanted.is_empty() {
        accounts.for_each_at(wanted, &places.file, places.bytes_max, progress, |live| {
            sorter.push(Row::of(&live))?;
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(sorter.finish()?)
}
