//! Runs against maps, with keys of every kind, and with damaged files.

mod damage;
mod figures;
mod hostile;
mod merging;
mod model;

use std::{
    cell::Cell,
    collections::BTreeMap,
    ops::Bound,
    path::{Path, PathBuf},
    sync::Arc,
};

use icecore_disk::{Access, Disk, RealDisk};
use icecore_journal::{Digest, StoreId};
use icecore_types::Slot;

pub(super) use super::*;
pub(super) use crate::SizeClass;

pub(super) const STORE: RunStore = RunStore { id: StoreId([7; 16]), seed: RecordSeed(0xfeed) };

/// What rows are in the order of a run: key, and the slot so that newer comes first.
pub(super) type Model<const K: usize> = BTreeMap<([u8; K], std::cmp::Reverse<Slot>), Locator>;

/// The keys of records, by the bits of their locators; counts what is read.
#[derive(Debug, Default)]
pub(super) struct Records<const K: usize> {
    keys: BTreeMap<u64, [u8; K]>,
    reads: Cell<u64>,
}

impl<const K: usize> Records<K> {
    /// A new record of this key; its locator.
    pub(super) fn add(&mut self, key: [u8; K], class: SizeClass) -> Locator {
        let number = self.keys.len() as u64;
        let locator = Locator::new((number % 5) as u32 + 3, 8 * number, class);
        self.keys.insert(locator.to_bits(), key);
        locator
    }

    pub(super) fn reads(&self) -> u64 {
        self.reads.replace(0)
    }
}

impl<const K: usize> KeySource<K> for Records<K> {
    fn key(&self, locator: Locator) -> Result<[u8; K], Error> {
        self.reads.set(self.reads.get() + 1);
        Ok(*self.keys.get(&locator.to_bits()).expect("only records that are there are read"))
    }
}

/// A folder with runs.
pub(super) struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("temporary folder") }
    }

    pub(super) fn path(&self, id: u32) -> PathBuf {
        self.folder.path().join(format!("{id:08x}.run"))
    }

    /// Writes, checks and opens a run of these rows.
    pub(super) fn run<const K: usize>(
        &self,
        header: &RunHeader,
        rows: impl IntoIterator<Item = Row<K>>,
    ) -> Arc<Run<K>> {
        let path = self.path(header.id);
        let mut writer =
            RunWriter::create(&RealDisk, &path, STORE, *header, 100).expect("a new file");
        rows.into_iter().for_each(|row| writer.push(&row).expect("written"));
        let info = writer.finish([]).expect("written");
        self.checked(&info, header)
    }

    pub(super) fn checked<const K: usize>(
        &self,
        info: &RunInfo,
        header: &RunHeader,
    ) -> Arc<Run<K>> {
        let path = self.path(info.id);
        let found = check::<K>(&RealDisk, &path, &STORE).expect("a sound run");
        assert_eq!(found, (*info, *header));
        Run::open(&RealDisk, &path, &STORE, info).expect("a sound run")
    }
}

pub(super) fn header(id: u32, kind: RunKind, to: Slot) -> RunHeader {
    RunHeader { id, kind, to, sequence: 42, digest: Digest([9; 32]) }
}

pub(super) fn delta(id: u32) -> RunHeader {
    header(id, RunKind::Delta { after: 9 }, 1 << 40)
}

pub(super) fn rows<const K: usize>(model: &Model<K>) -> impl Iterator<Item = Row<K>> + '_ {
    model.iter().map(|((key, slot), locator)| Row { key: *key, slot: slot.0, locator: *locator })
}

/// The rows of a cursor or a merge, with whole keys.
pub(super) fn merged<const K: usize>(
    runs: &[Arc<Run<K>>],
    from: Bound<&[u8; K]>,
    records: &Records<K>,
) -> Vec<MergedRow<K>> {
    let mut merge = Merge::new(runs, from, records).expect("sound runs");
    let mut rows = Vec::new();
    while let Some(row) = merge.next_row().expect("sound runs") {
        rows.push(row);
    }
    rows
}

/// A number that looks random, the same each time.
pub(super) fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// A uniform key.
pub(super) fn uniform<const K: usize>(number: u64) -> [u8; K] {
    let mut key = [0; K];
    for (index, word) in key.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *word = scattered(number.wrapping_mul(8) + index as u64).to_le_bytes();
    }
    key
}

pub(super) fn bytes_of(path: &Path) -> Vec<u8> {
    let file = RealDisk.open(path, Access::Read).expect("there");
    let mut bytes = vec![0; file.bytes().expect("known") as usize];
    file.read_at(0, &mut bytes).expect("read");
    bytes
}
