//! Every question to any file: what a fuzzer runs, and what a test builds upon.
//!
//! The input is edits of a sound run, or a file. Checksums and digests can be made to match again, so
//! that what lies behind them is reached. Then nothing panics or hangs, and a run that `check` takes
//! answers every question.
//!
//! What it does *not* do: write runs from such rows. Who writes a run owes it rows in order.

use std::{ops::Bound, path::Path, sync::OnceLock};

use icecore_disk::{Disk, SimulatedDisk};
use icecore_journal::{Digest, StoreId};
use icecore_types::Slot;

use super::{
    BY_PUBKEY, KeySource, Merge, Row, Run, RunHeader, RunInfo, RunKind, RunStore, RunWriter,
    SlotCommit,
    block::{BLOCK_BYTES, Block, BlockSeed, read_u64},
    check,
    header::{ChecksumsDigest, stated_id},
};
use crate::{Error, Locator, RecordSeed, SizeClass};

/// The first byte of the input: a whole file follows, not edits.
const WHOLE_FILE: u8 = 1;

/// The first byte of the input: checksums and digests are made to match.
const MAKE_CHECKS_MATCH: u8 = 2;

/// Bytes of an edit: place (4), and what is added to the byte there.
const EDIT_BYTES: usize = 5;

/// Blocks of a file that is looked at.
const BLOCKS_MAX: usize = 64;

/// Answers that are looked at, of each question.
const ANSWERS_MAX: usize = 10_000;

const STORE: RunStore = RunStore { id: StoreId([3; 16]), seed: RecordSeed(3) };

/// The key of a sample's row; those of a cluster are told apart by the last byte.
fn sample_key(number: u64) -> [u8; BY_PUBKEY] {
    let mut key = [(number / 100) as u8; BY_PUBKEY];
    key[BY_PUBKEY - 1] = (number % 100) as u8;
    key
}

/// Records whose keys are those of the sample.
struct Records;

impl KeySource<BY_PUBKEY> for Records {
    fn key(&self, locator: Locator) -> Result<[u8; BY_PUBKEY], Error> {
        Ok(sample_key(locator.offset() / 8 % 10_000))
    }
}

/// A sound run, with a key that goes over pages.
fn sample() -> &'static [u8] {
    static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let (disk, path) = (SimulatedDisk::new(1), Path::new("/sample"));
        let kind = RunKind::Delta { after: 4 };
        let header = RunHeader { id: 9, kind, to: 999, sequence: 7, digest: Digest([1; 32]) };
        let mut writer =
            RunWriter::create(&disk, path, STORE, header, 900).expect("a new file is made");
        for number in 0..500 {
            let oldest = if number == 250 { 10 } else { 899 };
            for slot in (oldest..=900).rev() {
                let locator = Locator::new(1, 8 * number, SizeClass::of(slot));
                let row = Row { key: sample_key(number), slot, locator };
                writer.push(&row).expect("memory takes it");
            }
        }
        let commits = (5..400).map(|slot| Ok(SlotCommit { slot, sequence: slot }));
        let info = writer.finish(commits).expect("memory takes it");
        let file = disk.open(path, icecore_disk::Access::Read).expect("it was written");
        let mut bytes = vec![0; usize::try_from(info.bytes).expect("small")];
        file.read_at(0, &mut bytes).expect("it was written");
        bytes
    })
}

/// The file that an input means.
fn file_of(flags: u8, input: &[u8]) -> Vec<u8> {
    let mut file = match flags & WHOLE_FILE != 0 {
        true => input.iter().copied().take(BLOCKS_MAX * BLOCK_BYTES).collect(),
        false => sample().to_vec(),
    };
    if flags & WHOLE_FILE == 0 {
        for edit in input.as_chunks::<EDIT_BYTES>().0 {
            let at = u32::from_le_bytes([edit[0], edit[1], edit[2], edit[3]]) as usize;
            let length = file.len();
            file[at % length] = file[at % length].wrapping_add(edit[4]);
        }
    }
    file.resize(file.len().next_multiple_of(BLOCK_BYTES).max(2 * BLOCK_BYTES), 0);
    if flags & MAKE_CHECKS_MATCH != 0 {
        make_checks_match(file.as_chunks_mut().0);
    }
    file
}

fn make_checks_match(blocks: &mut [Block]) {
    let seed = BlockSeed::new(&STORE.id, BY_PUBKEY, stated_id(&blocks[0]));
    let mut digest = ChecksumsDigest::default();
    let (last, before) = blocks.split_last_mut().expect("two blocks at least");
    for (block, number) in before.iter_mut().zip(0..) {
        digest.add(&seed.seal(number, block));
    }
    last[64..96].copy_from_slice(&digest.value());
    seed.seal(before.len() as u64, last);
}

/// Any bytes as a run. What `check` takes, every question must take.
pub fn run(input: &[u8]) {
    let Some((flags, input)) = input.split_first() else { return };
    let bytes = file_of(*flags, input);
    let (disk, path) = (SimulatedDisk::new(1), Path::new("/run"));
    let file = disk.create(path).expect("a new file is made");
    file.write_at(0, &bytes).expect("memory takes it");
    let blocks = bytes.as_chunks::<BLOCK_BYTES>().0;
    let last = blocks.last().expect("two blocks at least");
    let info = RunInfo {
        id: stated_id(&blocks[0]),
        bytes: bytes.len() as u64,
        rows: read_u64(last, 16),
        digest: *blake3::hash(last).as_bytes(),
    };
    let checked = check::<BY_PUBKEY>(&disk, path, &STORE);
    let asked = Run::open(&disk, path, &STORE, &info).and_then(|run| ask(&run));
    if let Ok((found, _)) = checked {
        assert_eq!(found, info, "a check tells what the file is");
        asked.expect("what was checked can be asked");
    }
}

/// Asks a run everything.
fn ask(run: &std::sync::Arc<Run<BY_PUBKEY>>) -> Result<(), Error> {
    let keys: Vec<[u8; BY_PUBKEY]> =
        [0, 1, 99, 249, 250, 251, 499, 500, 25_599].map(sample_key).to_vec();
    let sought: Vec<_> = keys.iter().map(|key| STORE.seek(key)).collect();
    let mut answers: Vec<Result<(), Error>> = Vec::new();
    for slot in [0, 500, Slot::MAX] {
        let mut many = vec![None; keys.len()];
        answers.push(run.newest_at_many(&sought, slot, &mut many));
        for (sought, many) in sought.iter().zip(many) {
            match run.newest_at(sought, slot) {
                Ok(found) => assert!(answers.iter().any(Result::is_err) || found == many),
                Err(error) => answers.push(Err(error)),
            }
            answers.push(run.newest_at_certain(sought, slot, &Records).map(drop));
        }
    }
    for sought in &sought {
        answers.push(run.versions(*sought, 0..=Slot::MAX, &Records).and_then(|versions| {
            versions.take(ANSWERS_MAX).try_for_each(|version| version.map(drop))
        }));
        for from in [Bound::Included(sought.key), Bound::Excluded(sought.key)] {
            answers.push(run.cursor(from, &Records).map(drop));
        }
    }
    let twice = [run.clone(), run.clone()];
    answers.push(Merge::new(&twice, Bound::Unbounded, &Records).and_then(|mut merge| {
        let mut left = ANSWERS_MAX;
        while left > 0 && merge.next_row()?.is_some() {
            left -= 1;
        }
        Ok(())
    }));
    answers.push(run.slots_at_or_before(100).map(drop));
    (0..run.slots().min(10)).for_each(|index| answers.push(run.slot(index).map(drop)));
    answers.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealed(edits: &[(u32, u8)]) -> Vec<u8> {
        let edits = edits.iter().flat_map(|(at, added)| {
            let at = at.to_le_bytes();
            [at[0], at[1], at[2], at[3], *added]
        });
        [MAKE_CHECKS_MATCH].into_iter().chain(edits).collect()
    }

    #[test]
    fn the_sample_is_sound_and_its_whole_file_too() {
        assert_eq!(file_of(MAKE_CHECKS_MATCH, &[]), sample());
        run(&[MAKE_CHECKS_MATCH]);
        run(&[&[WHOLE_FILE], sample()].concat());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn edits_of_a_run_are_refused_or_answered(
            edits in prop::collection::vec((any::<u32>(), 1u8..), 0..4),
            fields in prop::collection::vec((0..8u32, 0..110u32, 1u8..), 0..4),
        ) {
            let fields = fields.into_iter().map(|(block, at, added)| (block * 4096 + at, added));
            let edits: Vec<_> = edits.into_iter().chain(fields).collect();
            run(&sealed(&edits));
        }

        #[test]
        fn any_bytes_are_refused_or_answered(
            flags in 0..4u8, bytes in prop::collection::vec(any::<u8>(), 0..9000),
        ) {
            run(&[&[flags], &bytes[..]].concat());
        }
    }
}
