//! Which records an archive is made of, and in which order.
//!
//! Steps:
//! 1. Rows of the view say where records lie: each thread walks its part of the keys. The places are
//!    sorted, so that the disk is read in order.
//! 2. Threads read the heads of the records in that order: when each was last written, and how long it
//!    is.
//! 3. That is sorted by slot and place. Records of one slot become one storage, whose size is added up.
//!
//! Memory: the options' bound, shared out among the two sorts ([`PLACES_SHARE`], the rest); what is
//! more goes to scratch files. And one entry for each storage.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex},
    thread,
};

use icecore_archive::{
    members::MEMBERS_MAX, storage::STORAGE_BYTES_MAX, writing::storage::StorageSize,
};
use icecore_restore::{
    Item, Options, Progress, Sorted, SortedReader, Sorter, SpillFile, SpillSpace,
    TILES_OF_A_KIND_MAX,
};
use icecore_store::{KeyPart, Locator, SizeClass, View};
use icecore_types::Slot;

use super::Extent;
use crate::{Error, PACKED_BYTES_MAX};

/// The part of the bound that sorting places takes: a quarter; a place has 8 bytes, what the head of
/// its record adds makes it 24.
const PLACES_SHARE: u64 = 4;

/// Records that are asked for from the disk while as many before them are looked at.
pub(super) const AHEAD_RECORDS: usize = 4096;

/// Members of an archive that are no storages.
const OTHER_MEMBERS: u64 = 5;

/// Storages of an archive, at most.
const STORAGES_MAX: u64 = MEMBERS_MAX - OTHER_MEMBERS;

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place(u64);

impl Item for Place {
    const BYTES: usize = 8;

    fn write(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        Self(u64_at(bytes, 0))
    }
}

/// A record on its way to a storage: by the slot in which it was last written, and by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Planned {
    pub(super) written: Slot,
    place: u64,
    data_bytes: u32,
}

impl Planned {
    pub(super) fn locator(&self) -> Locator {
        Locator::from_bits(self.place)
    }

    fn is_tombstone(&self) -> bool {
        self.locator().class() == SizeClass::TOMBSTONE
    }
}

impl Item for Planned {
    const BYTES: usize = 20;

    fn write(&self, bytes: &mut [u8]) {
        bytes[..8].copy_from_slice(&self.written.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.place.to_le_bytes());
        bytes[16..].copy_from_slice(&self.data_bytes.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        let data_bytes = u32::from_le_bytes(*bytes[16..].first_chunk().expect("four bytes"));
        Self { written: u64_at(bytes, 0), place: u64_at(bytes, 8), data_bytes }
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("eight bytes from there"))
}

/// A storage of the archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlannedStorage {
    /// The slot in which its accounts were last written, or if it is packed the last such slot.
    pub(super) slot: Slot,
    /// The first such slot.
    pub(super) first_slot: Slot,
    pub(super) size: StorageSize,
    pub(super) records: u64,
}

/// What an archive is made of.
pub(super) struct Plan {
    records: Sorted<Planned>,
    reader_bytes: usize,
    /// By slot.
    pub(super) storages: Vec<PlannedStorage>,
    /// Live accounts.
    pub(super) accounts: u64,
    pub(super) tombstones: u64,
    /// Of all accounts.
    pub(super) lamports: u128,
}

/// Counts of what heads say.
#[derive(Default)]
struct Counts {
    accounts: u64,
    tombstones: u64,
    lamports: u128,
}

impl Plan {
    /// Looks at the rows of a view and the heads of their records.
    pub(super) fn make(
        view: &View,
        extent: Extent,
        pack: bool,
        options: &Options,
        progress: &Progress,
    ) -> Result<Self, Error> {
        // A limit that is more than the address space is none.
        let bytes_max = usize::try_from(options.memory_bytes_max).unwrap_or(usize::MAX);
        let places_bytes = bytes_max / PLACES_SHARE as usize;
        let records_bytes = bytes_max - places_bytes;
        let space = SpillSpace::new(options.scratch.as_deref());
        let threads = options.cores.clamp(1, TILES_OF_A_KIND_MAX);
        let file = space.file();
        let parts = KeyPart::parts(threads);
        let lists = on_threads(threads, |number| {
            let sorter = Sorter::new(places_bytes / threads, Arc::clone(&file));
            sort_places(view, extent, parts[number], sorter, progress)
        })?;
        let places = Sorted::merged(lists, &file, places_bytes).map_err(spilled)?;
        let (file, share) = (space.file(), records_bytes / threads);
        let reader = Mutex::new(places.reader(places_bytes).map_err(spilled)?);
        let outcomes =
            on_threads(threads, |_| look_at_heads(view, &reader, share, &file, progress))?;
        drop((reader, places));
        let mut lists = Vec::with_capacity(threads);
        let mut all = Counts::default();
        for (list, counts) in outcomes {
            lists.push(list);
            all.accounts += counts.accounts;
            all.tombstones += counts.tombstones;
            all.lamports += counts.lamports;
        }
        let records = Sorted::merged(lists, &file, records_bytes).map_err(spilled)?;
        let Counts { accounts, tombstones, lamports } = all;
        let reader_bytes = records_bytes;
        let storages = Vec::new();
        let mut plan = Self { records, reader_bytes, storages, accounts, tombstones, lamports };
        plan.storages = plan.add_up(view, extent, pack)?;
        if pack {
            plan.storages = packed(&plan.storages);
        }
        Ok(plan)
    }

    /// The records in the order in which they are written.
    pub(super) fn records(&self) -> Result<SortedReader<Planned>, Error> {
        self.records.reader(self.reader_bytes).map_err(spilled)
    }

    /// The sizes of the storages.
    fn add_up(
        &self,
        view: &View,
        extent: Extent,
        pack: bool,
    ) -> Result<Vec<PlannedStorage>, Error> {
        let slot = view.slot().number;
        let unsound = |what: String| Error::Unsound { slot, what };
        let mut storages: Vec<PlannedStorage> = Vec::new();
        let mut reader = self.records()?;
        while let Some(record) = reader.next().map_err(spilled)? {
            if storages.last().is_none_or(|last| last.slot != record.written) {
                if pack && storages.len() as u64 == STORAGES_MAX {
                    storages = packed(&storages);
                }
                if storages.len() as u64 == STORAGES_MAX {
                    return Err(unsound("its accounts were written in too many slots".to_string()));
                }
                let size = StorageSize::new();
                let slot = record.written;
                storages.push(PlannedStorage { slot, first_slot: slot, size, records: 0 });
            }
            let storage = storages.last_mut().expect("just pushed, if there was none");
            let lamports = u64::from(!record.is_tombstone());
            storage.size.add(lamports, u64::from(record.data_bytes));
            storage.records += 1;
            if storage.size.bytes() > STORAGE_BYTES_MAX {
                let what =
                    format!("more than 16 GiB of accounts were written in slot {}", record.written);
                return Err(unsound(what));
            }
        }
        let after = match extent {
            Extent::Full => None,
            Extent::Incremental { base } => Some(base),
        };
        let is_outside = |storage: &&PlannedStorage| {
            storage.slot > slot || after.is_some_and(|after| storage.slot <= after)
        };
        match storages.iter().find(is_outside) {
            Some(storage) => {
                Err(unsound(format!("it has accounts that were written in slot {}", storage.slot)))
            }
            None => Ok(storages),
        }
    }
}

/// Puts storages that follow each other together, as decision 0039 says.
fn packed(storages: &[PlannedStorage]) -> Vec<PlannedStorage> {
    let mut packed: Vec<PlannedStorage> = Vec::new();
    for storage in storages {
        let joined = packed.last().map(|last| {
            let mut size = last.size;
            size.append(storage.size);
            size
        });
        match (packed.last_mut(), joined) {
            (Some(last), Some(size)) if size.bytes() <= PACKED_BYTES_MAX => {
                last.slot = storage.slot;
                last.size = size;
                last.records += storage.records;
            }
            _ => packed.push(*storage),
        }
    }
    packed
}

/// What each of so many threads comes to, by their numbers.
fn on_threads<T: Send>(
    threads: usize,
    work: impl Fn(usize) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            (0..threads).map(|number| scope.spawn(move || work(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    })
}

/// The places of the records of these keys that the archive is made of, in order.
fn sort_places(
    view: &View,
    extent: Extent,
    part: KeyPart,
    mut sorter: Sorter<Place>,
    progress: &Progress,
) -> Result<Sorted<Place>, Error> {
    let mut outcome: Result<(), Error> = Ok(());
    let mut take = |locator: Locator| {
        outcome = sorter.push(Place(locator.to_bits())).map_err(spilled);
        match outcome.is_err() || progress.is_interrupted() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    match extent {
        Extent::Full => view.for_each_live(part, &mut take)?,
        Extent::Incremental { base } => view.for_each_written_after(base, part, &mut take)?,
    }
    outcome?;
    progress.check()?;
    sorter.finish().map_err(spilled)
}

/// Looks at the heads of records, as long as there are some.
fn look_at_heads(
    view: &View,
    places: &Mutex<SortedReader<Place>>,
    bytes_max: usize,
    file: &Arc<SpillFile>,
    progress: &Progress,
) -> Result<(Sorted<Planned>, Counts), Error> {
    let mut sorter = Sorter::new(bytes_max, Arc::clone(file));
    let mut counts = Counts::default();
    let next = || -> Result<Vec<Locator>, Error> {
        progress.check()?;
        let mut places = places.lock().expect("nobody panics while holding it");
        let mut batch = Vec::with_capacity(AHEAD_RECORDS);
        while batch.len() < AHEAD_RECORDS
            && let Some(Place(bits)) = places.next().map_err(spilled)?
        {
            batch.push(Locator::from_bits(bits));
        }
        drop(places);
        view.fetch(&batch)?;
        Ok(batch)
    };
    let mut ahead = next()?;
    while !ahead.is_empty() {
        let batch = std::mem::replace(&mut ahead, next()?);
        let mut outcome = Ok(());
        view.record_heads(&batch, |locator, head| {
            let data_bytes = u32::try_from(head.data_bytes).expect("10 MiB at most");
            let record = Planned { written: head.written, place: locator.to_bits(), data_bytes };
            match record.is_tombstone() {
                true => counts.tombstones += 1,
                false => counts.accounts += 1,
            }
            counts.lamports += u128::from(head.lamports);
            if outcome.is_ok() {
                outcome = sorter.push(record);
            }
        })?;
        outcome.map_err(spilled)?;
    }
    Ok((sorter.finish().map_err(spilled)?, counts))
}

/// The scratch folder refused.
pub(super) fn spilled(error: icecore_restore::SpillError) -> Error {
    icecore_restore::Error::from(error).into()
}
