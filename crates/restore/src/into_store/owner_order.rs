//! The accounts by owner and pubkey, from accounts that come by pubkey, within a bound of memory.
//!
//! 1. When all records are seen, their owners are sorted: a *rank* for each. Ranks are put into
//!    *groups* of about as many records; an owner with many has a group of its own.
//! 2. Threads that settle keys give the accounts of their bins here, by key. A full gathering is
//!    dealt out by groups, which keeps that order, and written to a scratch file as a *piece*.
//! 3. Group by group the pieces are read again, in the order of bins: so what comes is in the order
//!    of keys. That is all there is to do for an owner with a group of its own, however many
//!    accounts he has; in other groups rows are sorted by rank, stably. Groups, and parts of those
//!    of one owner, are read side by side and written in order.
//! 4. Owners without a number (see [`owners`](super::owners)) are sorted by themselves and merged
//!    in, on one thread.
//!
//! Nothing is compared byte by byte where owners have numbers, and nothing depends on how keys or
//! owners are distributed but the number of threads that have something to do.
//!
//! What it does *not* do: know what a run is; see [`Index`].

mod ranks;
mod scatter;

use std::{
    ops::Range,
    panic::resume_unwind,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use icecore_store::Locator;
use icecore_types::Pubkey;

use self::scatter::PieceReader;
pub(super) use self::{ranks::Ranks, scatter::BinAccounts};
use super::{
    in_order::InOrder,
    index::{Index, Outcome, PartRows},
};
use crate::{
    Error,
    progress::Progress,
    spill::{
        SpillFile,
        item::{Item, read_u64},
        run::BUFFER_BYTES_MIN,
        sorted::SortedReader,
        sorter::Sorter,
    },
};

/// An account of an owner with a rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    rank: u32,
    key: Pubkey,
    locator: Locator,
}

impl Item for Ranked {
    const BYTES: usize = 44;

    fn write(&self, bytes: &mut [u8]) {
        bytes[..4].copy_from_slice(&self.rank.to_le_bytes());
        bytes[4..36].copy_from_slice(&self.key.0);
        bytes[36..44].copy_from_slice(&self.locator.to_bits().to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        let rank = u32::from_le_bytes(*bytes.first_chunk().expect("44 bytes"));
        let key = Pubkey(*bytes[4..].first_chunk().expect("44 bytes"));
        Self { rank, key, locator: Locator::from_bits(read_u64(bytes, 36)) }
    }

    /// They come by key, so that only ranks are to be sorted, and stably.
    fn sort(items: &mut [Self]) {
        items.sort_by_key(|item| item.rank);
    }
}

/// An account of an owner without a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct OfOther {
    owner: Pubkey,
    key: Pubkey,
    locator: Locator,
}

impl Item for OfOther {
    const BYTES: usize = 72;

    fn write(&self, bytes: &mut [u8]) {
        bytes[..32].copy_from_slice(&self.owner.0);
        bytes[32..64].copy_from_slice(&self.key.0);
        bytes[64..72].copy_from_slice(&self.locator.to_bits().to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        let key = |at: usize| Pubkey(*bytes[at..].first_chunk().expect("72 bytes"));
        Self { owner: key(0), key: key(32), locator: Locator::from_bits(read_u64(bytes, 64)) }
    }
}

/// Accounts that are written to the scratch file together.
#[derive(Debug, Clone, Copy)]
struct Piece {
    bin: usize,
    /// Within the bin.
    number: usize,
    offset: u64,
}

/// What may be held in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct OrderMemory {
    /// For the gathering of each thread that settles.
    pub(super) gather_bytes: usize,
    /// For sorting on each thread that writes.
    pub(super) sort_bytes: usize,
    /// For sorting accounts of owners without a number.
    pub(super) others_bytes: usize,
}

/// Takes accounts by pubkey and gives them by owner.
pub(super) struct OwnerOrder {
    ranks: Ranks,
    memory: OrderMemory,
    file: Arc<SpillFile>,
    pieces: Mutex<Vec<Piece>>,
    others: Mutex<Sorter<OfOther>>,
}

/// Something to do for one thread: accounts of a group in some pieces, in order.
struct Task {
    group: usize,
    pieces: Range<usize>,
}

impl OwnerOrder {
    pub(super) fn new(ranks: Ranks, memory: OrderMemory, file: Arc<SpillFile>) -> Self {
        let others = Mutex::new(Sorter::new(memory.others_bytes, Arc::clone(&file)));
        Self { ranks, memory, file, pieces: Mutex::default(), others }
    }

    /// Takes the accounts of a bin.
    pub(super) fn begin(&self, bin: usize) -> BinAccounts<'_> {
        BinAccounts::new(self, bin)
    }

    /// Gives all accounts in order to `run`, on so many threads.
    pub(super) fn write<I: Index<64>>(
        self,
        index: &I,
        run: I::Run,
        threads: usize,
        progress: &Progress,
    ) -> Result<I::Run, Error> {
        let Self { ranks, memory, file, pieces, others } = self;
        let mut pieces = pieces.into_inner().expect("no holder of this lock panics");
        pieces.sort_unstable_by_key(|piece| (piece.bin, piece.number));
        let others = others.into_inner().expect("no holder of this lock panics").finish()?;
        // Others come between the owners that have ranks: one thread walks along with them.
        let threads = if others.is_empty() { threads } else { 1 };
        let writing = Writing {
            others: Mutex::new(others.reader(memory.others_bytes)?),
            tasks: ranks.tasks(pieces.len()),
            ranks,
            pieces,
            memory,
            file,
            index,
            run: InOrder::new(run),
            next: AtomicUsize::new(0),
            progress,
        };
        let outcomes: Vec<Result<(), Error>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| writing.run())).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        Error::first(outcomes)?;
        Ok(writing.run.into_target())
    }
}

/// What the threads that write share.
struct Writing<'a, I: Index<64>> {
    ranks: Ranks,
    pieces: Vec<Piece>,
    memory: OrderMemory,
    file: Arc<SpillFile>,
    /// In order.
    tasks: Vec<Task>,
    next: AtomicUsize,
    others: Mutex<SortedReader<OfOther>>,
    index: &'a I,
    run: InOrder<I::Run, Outcome<I, 64>>,
    progress: &'a Progress,
}

impl<'a, I: Index<64>> Writing<'a, I> {
    fn run(&self) -> Result<(), Error> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            // Behind the tasks one more piece of work: the others that are left.
            if number > self.tasks.len() {
                return Ok(());
            }
            let mut rows = PartRows::new(self.index, self.run.turn(number));
            self.progress.check()?;
            match self.tasks.get(number) {
                Some(task) => self.task(task, &mut rows)?,
                None => self.others_before(None, &mut self.others(), &mut rows)?,
            }
            rows.finish()?;
        }
    }

    fn others(&self) -> MutexGuard<'_, SortedReader<OfOther>> {
        self.others.lock().expect("no holder of this lock panics")
    }

    fn task(&self, task: &Task, rows: &mut PartRows<'_, 'a, I, 64>) -> Result<(), Error> {
        let group = &self.ranks.groups()[task.group];
        let pieces = &self.pieces[task.pieces.clone()];
        let mut reader = {
            let groups = (task.group, self.ranks.groups().len());
            PieceReader::new(&self.file, pieces, groups, BUFFER_BYTES_MIN)
        };
        if group.len() == 1 {
            return self.in_order(|| reader.next(), rows);
        }
        let mut sorter = Sorter::new(self.memory.sort_bytes, Arc::clone(&self.file));
        while let Some(account) = reader.next()? {
            sorter.push(account)?;
        }
        let mut sorted = sorter.finish()?.reader(self.memory.sort_bytes)?;
        self.in_order(|| Ok(sorted.next()?), rows)
    }

    /// Gives accounts that come in order.
    fn in_order(
        &self,
        mut next: impl FnMut() -> Result<Option<Ranked>, Error>,
        rows: &mut PartRows<'_, 'a, I, 64>,
    ) -> Result<(), Error> {
        let mut rank = None;
        let mut key = [0; 64];
        while let Some(account) = next()? {
            if rank != Some(account.rank) {
                rank = Some(account.rank);
                let owner = self.ranks.owner(account.rank);
                self.others_before(Some(owner), &mut self.others(), rows)?;
                key[..32].copy_from_slice(&owner.0);
            }
            key[32..].copy_from_slice(&account.key.0);
            rows.push(&key, account.locator)?;
        }
        Ok(())
    }

    /// Gives the accounts of owners without a number that come before an owner, or all.
    fn others_before(
        &self,
        owner: Option<&Pubkey>,
        others: &mut SortedReader<OfOther>,
        rows: &mut PartRows<'_, 'a, I, 64>,
    ) -> Result<(), Error> {
        let is_before = |other: &OfOther| owner.is_none_or(|owner| other.owner < *owner);
        while others.peek().is_some_and(is_before) {
            let other = others.next()?.expect("just seen");
            let mut key = [0; 64];
            key[..32].copy_from_slice(&other.owner.0);
            key[32..].copy_from_slice(&other.key.0);
            rows.push(&key, other.locator)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
