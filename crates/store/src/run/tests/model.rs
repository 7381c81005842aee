//! A run against a map: every question, keys of every kind.

use proptest::prelude::*;

use super::*;

/// Keys that are uniform, share long prefixes, or differ only at their ends; often the same.
fn keys<const K: usize>() -> impl Strategy<Value = [u8; K]> {
    let shared = (0..K, 0..3u8, prop::collection::vec(any::<u8>(), K), 0..3u64);
    let shared = shared.prop_map(|(prefix, cluster, tail, _)| {
        let mut key = [cluster; K];
        key[prefix..].copy_from_slice(&tail[prefix..]);
        key
    });
    let last = (0..4u8, any::<u8>()).prop_map(|(cluster, last)| {
        let mut key = [cluster * 80; K];
        key[K - 1] = last;
        key
    });
    let two = (0..40u8, 0..40u8).prop_map(|(middle, last)| {
        let mut key = [3; K];
        key[K / 2] = middle;
        key[K - 1] = last;
        key
    });
    prop_oneof![any::<u64>().prop_map(uniform), shared, last, two]
}

fn models<const K: usize>() -> impl Strategy<Value = (Model<K>, Records<K>)> {
    let slots = prop_oneof![10..2000u64, 10..1u64 << 40, Just(10u64)];
    let few = (keys::<K>(), prop::collection::vec(slots.clone(), 1..4));
    let many = (keys::<K>(), prop::collection::vec(10..3000u64, 1..1200));
    let of_key = prop_oneof![20 => few, 1 => many];
    prop::collection::vec(of_key, 0..400).prop_map(|keys| {
        let (mut model, mut records) = (Model::new(), Records::default());
        for (key, slots) in keys {
            for slot in slots {
                let class =
                    if slot % 7 == 0 { SizeClass::TOMBSTONE } else { SizeClass::of(slot % 999) };
                model.insert((key, std::cmp::Reverse(slot)), records.add(key, class));
            }
        }
        (model, records)
    })
}

/// The newest version at or below a slot, as the map says.
fn newest<const K: usize>(model: &Model<K>, key: &[u8; K], slot: Slot) -> Option<(Slot, Locator)> {
    let (found, locator) = model.range((*key, std::cmp::Reverse(slot))..).next()?;
    (found.0 == *key).then_some((found.1.0, *locator))
}

fn answers_are_the_map_s<const K: usize>(
    model: &Model<K>,
    records: &Records<K>,
    asked: &[[u8; K]],
) -> Result<(), TestCaseError> {
    let folder = Folder::new();
    let run = folder.run(&delta(5), rows(model));
    prop_assert_eq!(run.rows(), model.len() as u64);
    let known = model.keys().map(|(key, _)| *key).step_by(model.len() / 50 + 1);
    let asked: Vec<[u8; K]> = known.chain(asked.iter().copied()).collect();
    for slot in [0, 10, 500, 2999, 1 << 39, Slot::MAX] {
        let sought: Vec<Sought<'_, K>> = asked.iter().map(|key| STORE.seek(key)).collect();
        let mut many = vec![None; asked.len()];
        run.newest_at_many(&sought, slot, &mut many).expect("a sound run");
        for (sought, many) in sought.iter().zip(many) {
            let expected = newest(model, sought.key, slot);
            let certain = run.newest_at_certain(sought, slot, records).expect("a sound run");
            prop_assert_eq!(certain.map(|found| (found.slot, found.locator)), expected);
            let found = run.newest_at(sought, slot).expect("a sound run");
            prop_assert_eq!(found.map(|found| (found.slot, found.locator)), expected);
            prop_assert_eq!(many, found);
        }
    }
    for key in asked.iter().step_by(13) {
        for slots in [0..=Slot::MAX, 100..=1500, 11..=11] {
            let versions = run.versions(STORE.seek(key), slots.clone(), records);
            let versions: Result<Vec<_>, Error> = versions.expect("a sound run").collect();
            let expected: Vec<(Slot, Locator)> = rows(model)
                .filter(|row| row.key == *key && slots.contains(&row.slot))
                .map(|row| (row.slot, row.locator))
                .collect();
            prop_assert_eq!(versions.expect("a sound run"), expected);
        }
        for from in [Bound::Included(key), Bound::Excluded(key), Bound::Unbounded] {
            let found = merged(std::slice::from_ref(&run), from, records);
            let expected = rows(model).filter(|row| match from {
                Bound::Included(from) => row.key >= *from,
                Bound::Excluded(from) => row.key > *from,
                Bound::Unbounded => true,
            });
            let expected: Vec<Row<K>> = expected.collect();
            prop_assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                prop_assert_eq!((found.slot, found.locator), (expected.slot, expected.locator));
                prop_assert!(expected.key.starts_with(found.key.known()));
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_run_by_pubkey_answers_as_a_map_does(
        (model, records) in models::<BY_PUBKEY>(), asked in prop::collection::vec(keys(), 1..30),
    ) {
        answers_are_the_map_s(&model, &records, &asked)?;
    }

    #[test]
    fn a_run_by_owner_answers_as_a_map_does(
        (model, records) in models::<BY_OWNER>(), asked in prop::collection::vec(keys(), 1..30),
    ) {
        answers_are_the_map_s(&model, &records, &asked)?;
    }

    #[test]
    fn rooted_slots_are_found_and_merged(
        first in prop::collection::btree_map(10u64..5000, any::<u64>(), 0..900),
        second in prop::collection::btree_map(10u64..5000, any::<u64>(), 0..300),
        asked: u16,
    ) {
        let folder = Folder::new();
        let runs: Vec<Arc<Run<32>>> = [&first, &second].into_iter().zip(1..).map(|(slots, id)| {
            let commits = slots.iter().map(|(slot, sequence)| {
                Ok(SlotCommit { slot: *slot, sequence: *sequence })
            });
            let header = delta(id);
            let path = folder.path(id);
            let writer = RunWriter::<32>::create(&RealDisk, &path, STORE, header, 0);
            let info = writer.expect("a new file").finish(commits).expect("written");
            folder.checked(&info, &header)
        }).collect();
        let asked = u64::from(asked) % 6000;
        let before = runs[0].slots_at_or_before(asked).expect("a sound run");
        prop_assert_eq!(before as usize, first.range(..=asked).count());
        prop_assert_eq!(runs[0].slots() as usize, first.len());
        let mut expected = second;
        expected.extend(first);
        let merged: Result<Vec<SlotCommit>, Error> = merged_slots(runs).collect();
        let merged = merged.expect("sound runs").into_iter();
        let merged: BTreeMap<u64, u64> = merged.map(|commit| (commit.slot, commit.sequence)).collect();
        prop_assert_eq!(merged, expected);
    }
}

#[test]
fn an_empty_run_has_nothing() {
    let folder = Folder::new();
    let run = folder.run::<32>(&header(1, RunKind::Complete, 100), []);
    let found = run.newest_at(&STORE.seek(&[1; 32]), 100).expect("a sound run");
    assert_eq!((found, run.rows(), run.slots()), (None, 0, 0));
    assert!(merged(&[run], Bound::Included(&[1; 32]), &Records::default()).is_empty());
}

#[test]
fn a_complete_run_says_what_it_was_made_from() {
    let folder = Folder::new();
    let mut records = Records::default();
    let rows: Vec<Row<32>> = (0..1000u32)
        .map(|number| {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&(number * 4_000_000).swap_bytes().to_le_bytes());
            Row { key, slot: 100, locator: records.add(key, SizeClass::of(0)) }
        })
        .collect();
    let stated = header(77, RunKind::Complete, 100);
    let run = folder.run(&stated, rows.iter().copied());
    assert_eq!((*run.header(), run.keys()), (stated, 1000));
    for row in rows {
        let found = run.newest_at(&STORE.seek(&row.key), 100).expect("a sound run");
        assert_eq!(found.map(|found| found.locator), Some(row.locator));
        assert_eq!(run.newest_at(&STORE.seek(&row.key), 99).expect("a sound run"), None);
    }
}

#[test]
fn the_format_does_not_change_unnoticed() {
    let folder = Folder::new();
    let mut model = Model::new();
    for number in 0..2_000u64 {
        let class = SizeClass::of(number);
        let locator = Locator::new((number % 300) as u32, 8 * number, class);
        model.insert((uniform::<64>(number % 700), std::cmp::Reverse(10 + number)), locator);
    }
    let (path, stated) = (folder.path(1), delta(1));
    let mut writer = RunWriter::create(&RealDisk, &path, STORE, stated, 2_000).expect("a new file");
    rows(&model).for_each(|row| writer.push(&row).expect("written"));
    let commits = (10..2_010).map(|slot| Ok(SlotCommit { slot, sequence: slot - 5 }));
    let info = writer.finish(commits).expect("written");
    // Who changes the format changes docs/formats/runs.md and the version.
    assert_eq!(info.bytes, 22 * 4096);
    assert_eq!(
        Digest(info.digest).to_string(),
        "a540bf85f6f70af3e2fe51c84cd433584fa7c6c38e6e7d929ed2428b09aeb811"
    );
}
