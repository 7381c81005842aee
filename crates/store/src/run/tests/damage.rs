//! Whatever bit is flipped and wherever a file ends: `check` finds it, and no answer is wrong.

use icecore_disk::DiskFile;

use super::*;

/// A run's file in which bits are flipped, one after the other.
pub(super) struct Damaged<const K: usize> {
    path: PathBuf,
    info: RunInfo,
    file: Arc<dyn DiskFile>,
}

impl<const K: usize> Damaged<K> {
    pub(super) fn of(run: &Run<K>) -> Self {
        let path = run.path().to_path_buf();
        let file = RealDisk.open(&path, Access::ReadWrite).expect("there");
        Self { path, info: *run.info(), file }
    }

    fn flip(&self, bit: u64) {
        let mut byte = [0];
        self.file.read_at(bit / 8, &mut byte).expect("read");
        self.file.write_at(bit / 8, &[byte[0] ^ 1 << (bit % 8)]).expect("written");
    }

    pub(super) fn with_flipped(&mut self, bit: u64, ask: impl FnOnce(Result<Arc<Run<K>>, Error>)) {
        self.flip(bit);
        ask(Run::open(&RealDisk, &self.path, &STORE, &self.info));
        self.flip(bit);
    }
}

/// A run with every kind of block, and with two levels of fences.
fn sample(folder: &Folder) -> (Arc<Run<64>>, Model<64>, Records<64>) {
    let (mut model, mut records) = (Model::new(), Records::default());
    for number in 0..4_000u64 {
        let key = uniform(number % 3_000);
        let slot = std::cmp::Reverse(10 + scattered(number) % 5_000_000_000);
        model.insert((key, slot), records.add(key, SizeClass::of(165)));
    }
    // Each of these fills a page with the versions of the one before.
    for cluster in 0..60u8 {
        for slot in 0..330u64 {
            let key = [cluster; 64];
            let slot = std::cmp::Reverse(10 + slot);
            model.insert((key, slot), records.add(key, SizeClass::of(165)));
        }
    }
    let (path, stated) = (folder.path(1), delta(1));
    let mut writer = RunWriter::create(&RealDisk, &path, STORE, stated, 200).expect("a new file");
    rows(&model).for_each(|row| writer.push(&row).expect("written"));
    let commits = (10..400).map(|slot| Ok(SlotCommit { slot, sequence: 2 * slot }));
    let run = folder.checked(&writer.finish(commits).expect("written"), &stated);
    assert!(run.layout.levels.len() > 1, "{:?}", run.layout);
    (run, model, records)
}

#[test]
fn any_flipped_bit_is_found_by_a_check() {
    let folder = Folder::new();
    let (run, _, _) = sample(&folder);
    let mut damaged = Damaged::of(&run);
    let bits = run.info().bytes * 8;
    let path = run.path().to_path_buf();
    // All bits of the fields at the start of two blocks, and some of everything.
    let first = (0..100 * 8).chain(4096 * 8..4146 * 8);
    for bit in first.chain((0..bits).step_by(3_001)) {
        damaged.with_flipped(bit, |_| {
            let error = check::<64>(&RealDisk, &path, &STORE).expect_err("a flipped bit");
            assert!(matches!(error, Error::Corrupt { .. }), "bit {bit}: {error}");
        });
    }
    assert!(check::<64>(&RealDisk, &path, &STORE).is_ok());
}

#[test]
fn a_flipped_bit_is_an_error_and_never_another_answer() {
    let folder = Folder::new();
    let (run, model, records) = sample(&folder);
    let mut damaged = Damaged::of(&run);
    let asked: Vec<Row<64>> = rows(&model).step_by(23).collect();
    let mut errors = 0;
    for bit in (0..run.info().bytes * 8).step_by(16_411) {
        damaged.with_flipped(bit, |opened| {
            let Ok(run) = opened else { return };
            for row in &asked {
                match run.newest_at(&STORE.seek(&row.key), row.slot) {
                    Err(Error::Corrupt { .. }) => errors += 1,
                    found => {
                        let found = found.expect("damage is the only error").expect("it is there");
                        assert_eq!((found.slot, found.locator), (row.slot, row.locator));
                    }
                }
            }
            let mut seen = 0;
            let mut rows = rows(&model);
            let cursor = run.cursor(Bound::Unbounded, &records);
            let mut cursor = cursor.ok().filter(|cursor| cursor.key().is_some());
            while let Some(at) = &mut cursor {
                let expected = rows.next().expect("no more rows than there are");
                assert_eq!(at.version(), Some((expected.slot, expected.locator)));
                seen += 1;
                if at.advance().is_err() || at.key().is_none() {
                    break;
                }
            }
            assert!(seen <= model.len());
        });
    }
    assert!(errors > 100, "{errors} lookups met the damage");
}

#[test]
fn a_run_that_ends_early_or_goes_on_is_refused() {
    let folder = Folder::new();
    let (run, _, _) = sample(&folder);
    let (path, info) = (run.path().to_path_buf(), *run.info());
    let bytes = bytes_of(&path);
    let file = RealDisk.open(&path, Access::ReadWrite).expect("there");
    let lengths = (0..bytes.len()).step_by(1021).chain([bytes.len() - 4096, bytes.len() + 4096]);
    for length in lengths {
        file.truncate(length as u64).expect("truncated");
        assert!(check::<64>(&RealDisk, &path, &STORE).is_err(), "{length} bytes");
        assert!(Run::<64>::open(&RealDisk, &path, &STORE, &info).is_err(), "{length} bytes");
        file.truncate(0).expect("truncated");
        file.write_at(0, &bytes).expect("written");
    }
    assert!(Run::<64>::open(&RealDisk, &path, &STORE, &info).is_ok());
}

#[test]
fn a_run_of_another_store_seed_order_or_number_is_refused() {
    let folder = Folder::new();
    let (run, _, _) = sample(&folder);
    let (path, info) = (run.path(), *run.info());
    let refused = |store: RunStore, info: RunInfo| {
        let error = Run::<64>::open(&RealDisk, path, &store, &info).expect_err("another run");
        error.to_string()
    };
    let other = RunStore { id: StoreId([8; 16]), ..STORE };
    assert!(refused(other, info).contains("belongs to another store"));
    let other = RunStore { seed: RecordSeed(1), ..STORE };
    assert!(refused(other, info).contains("was made with another seed"));
    assert!(refused(STORE, RunInfo { id: 2, ..info }).contains("of another run"));
    assert!(refused(STORE, RunInfo { digest: [0; 32], ..info }).contains("of another run"));
    assert!(refused(STORE, RunInfo { rows: 1, ..info }).contains("counts what is not there"));
    let error = Run::<32>::open(&RealDisk, path, &STORE, &info).expect_err("another order");
    assert!(error.to_string().contains("another order of keys"), "{error}");
    assert!(check::<32>(&RealDisk, path, &STORE).is_err());
}

#[test]
fn a_page_in_another_place_is_damage() {
    let folder = Folder::new();
    let (run, _, _) = sample(&folder);
    let file = RealDisk.open(run.path(), Access::ReadWrite).expect("there");
    let mut page = [0; 4096];
    file.read_at(4096, &mut page).expect("read");
    file.write_at(8192, &page).expect("written");
    let run = Run::<64>::open(&RealDisk, run.path(), &STORE, run.info()).expect("sound ends");
    assert!(run.page(0).is_ok());
    assert!(run.page(1).is_err());
}
