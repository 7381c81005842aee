//! Merges, parts and relocation give the bytes that the rows give.

use proptest::prelude::*;

use super::*;

/// Few keys and slots, so that inputs have keys in common, and equal rows; some keys are told apart
/// only by their ends.
fn inputs() -> impl Strategy<Value = Vec<Vec<([u8; 32], Slot)>>> {
    let hostile = (0..20u8, 0..250u8).prop_map(|(middle, last)| {
        let mut key = [middle / 10; 32];
        key[20] = middle;
        key[31] = last;
        key
    });
    let key = prop_oneof![(0..300u64).prop_map(uniform), hostile];
    let rows = prop::collection::vec((key, 10..60u64), 0..800);
    prop::collection::vec(rows, 1..6)
}

/// A model of each input, and of all: the first input has the say over a row that several have.
fn models(inputs: Vec<Vec<([u8; 32], Slot)>>) -> (Vec<Model<32>>, Model<32>, Records<32>) {
    let mut records = Records::default();
    let mut models = Vec::new();
    for rows in inputs {
        let mut model = Model::new();
        for (key, slot) in rows {
            model.insert((key, std::cmp::Reverse(slot)), records.add(key, SizeClass::of(slot)));
        }
        models.push(model);
    }
    let mut all = Model::new();
    models.iter().rev().for_each(|model| all.extend(model.clone()));
    (models, all, records)
}

fn runs(folder: &Folder, models: &[Model<32>]) -> Vec<Arc<Run<32>>> {
    models.iter().zip(10..).map(|(model, id)| folder.run(&delta(id), rows(model))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_merge_writes_the_bytes_that_its_rows_give(inputs in inputs()) {
        let folder = Folder::new();
        let (models, all, records) = models(inputs);
        let runs = runs(&folder, &models);
        let direct = folder.run(&delta(1), rows(&all));

        let found = merged(&runs, Bound::Unbounded, &records);
        let (path, stated) = (folder.path(1), delta(1));
        let expected = bytes_of(&path);
        RealDisk.remove(&path).expect("removed");
        let mut writer =
            RunWriter::create(&RealDisk, &path, STORE, stated, 100).expect("a new file");
        prop_assert_eq!(found.len(), all.len());
        let all_rows: Vec<Row<32>> = rows(&all).collect();
        for (index, (row, expected)) in found.iter().zip(&all_rows).enumerate() {
            prop_assert_eq!((row.slot, row.locator), (expected.slot, expected.locator));
            let neighbour = |index: usize| {
                all_rows.get(index).filter(|row| row.key == expected.key).map(|row| row.slot)
            };
            prop_assert_eq!(row.newer, index.checked_sub(1).and_then(neighbour));
            prop_assert_eq!(row.older, neighbour(index + 1));
            writer.push_merged(row, row.locator, &records).expect("written");
        }
        let info = writer.finish_merged([], &records).expect("written");
        prop_assert_eq!(&info, direct.info());
        prop_assert!(bytes_of(&path) == expected);
    }

    #[test]
    fn the_newest_of_each_key_make_a_complete_run(inputs in inputs()) {
        let folder = Folder::new();
        let (models, all, records) = models(inputs);
        let runs = runs(&folder, &models);
        let stated = header(1, RunKind::Complete, 1 << 40);
        let path = folder.path(1);
        let mut writer =
            RunWriter::create(&RealDisk, &path, STORE, stated, 0).expect("a new file");
        for row in merged(&runs, Bound::Unbounded, &records) {
            if row.newer.is_none() {
                writer.push_merged(&row, row.locator, &records).expect("written");
            }
        }
        let info = writer.finish_merged([], &records).expect("written");
        let complete = folder.checked::<32>(&info, &stated);
        let mut newest = Vec::<Row<32>>::new();
        for row in rows(&all) {
            if newest.last().is_none_or(|last| last.key != row.key) {
                newest.push(row);
            }
        }
        prop_assert_eq!(complete.rows() as usize, newest.len());
        for row in newest {
            let sought = STORE.seek(&row.key);
            let found = complete.newest_at_certain(&sought, Slot::MAX, &records);
            let found = found.expect("a sound run").map(|found| (found.slot, found.locator));
            prop_assert_eq!(found, Some((row.slot, row.locator)));
        }
    }

    #[test]
    fn relocation_keeps_rows_and_drops_what_has_no_place(inputs in inputs(), dropped in 0..5u64) {
        let folder = Folder::new();
        let (_, all, records) = models(inputs);
        let run = folder.run(&delta(1), rows(&all));
        let moved = |locator: Locator| {
            let is_kept = locator.offset() / 8 % 5 != dropped;
            let segment = 900 + locator.segment() % 2 * 70_000;
            is_kept.then(|| Locator::new(segment, locator.offset() + 64, locator.class()))
        };
        let (path, stated) = (folder.path(2), delta(2));
        let info =
            rewrite_locators(&run, &RealDisk, &path, STORE, stated, &records, &moved).expect("sound");
        let expected = rows(&all).filter_map(|row| {
            moved(row.locator).map(|locator| Row { locator, ..row })
        });
        let bytes = bytes_of(&path);
        RealDisk.remove(&path).expect("removed");
        let mut writer =
            RunWriter::create(&RealDisk, &path, STORE, stated, run.rows()).expect("a new file");
        expected.for_each(|row| writer.push(&row).expect("written"));
        prop_assert_eq!(writer.finish([]).expect("written"), info);
        prop_assert!(bytes_of(&path) == bytes);
    }

    #[test]
    fn parts_give_the_rows_that_they_were_given(inputs in inputs(), parts in 1..9u64) {
        let folder = Folder::new();
        let (_, all, records) = models(inputs);
        let header = delta(1);
        let path = folder.path(1);
        let mut writer =
            RunWriter::create(&RealDisk, &path, STORE, header, 1000).expect("a new file");
        let mut part = RunPart::new(STORE);
        let mut last = None;
        for row in rows(&all) {
            let ends = last != Some(row.key) && scattered(row.slot).is_multiple_of(parts);
            if ends {
                let done = std::mem::replace(&mut part, RunPart::new(STORE)).finish();
                writer.append(done).expect("written");
            }
            last = Some(row.key);
            part.push(&row);
        }
        writer.append(part.finish()).expect("written");
        let info = writer.finish([]).expect("written");
        let run = folder.checked::<32>(&info, &header);
        prop_assert_eq!(run.rows() as usize, all.len());
        for row in rows(&all) {
            let found = run.newest_at_certain(&STORE.seek(&row.key), row.slot, &records);
            let found = found.expect("a sound run").map(|found| (found.slot, found.locator));
            prop_assert_eq!(found, Some((row.slot, row.locator)));
        }
    }
}

#[test]
fn a_merge_of_different_uniform_keys_reads_no_record() {
    let folder = Folder::new();
    let mut records = Records::default();
    let mut models = [Model::new(), Model::new()];
    for number in 0..40_000u64 {
        let key = uniform(number);
        let locator = records.add(key, SizeClass::of(165));
        models[(number % 2) as usize].insert((key, std::cmp::Reverse(10)), locator);
    }
    let runs = runs(&folder, &models);
    assert_eq!(merged(&runs, Bound::Unbounded, &records).len(), 40_000);
    assert_eq!(records.reads(), 0);
}
