//! Keys that somebody chose to be hard (rule R14), and pages with flipped bits (rule R13).

use super::{damage::Damaged, *};

/// 2^12 clusters of 2^8 keys; those of a cluster share 31 bytes, and clusters differ far from where
/// a page looks for its keys.
fn clustered(number: u64) -> [u8; 32] {
    let mut key = [0x5a; 32];
    key[9] = (number >> 14) as u8;
    key[21] = (number >> 8) as u8 & 0x3f;
    key[31] = number as u8;
    key
}

const KEYS: u64 = 1 << 20;

#[test]
fn hostile_keys_and_flipped_pages() {
    let folder = Folder::new();
    let mut records = Records::default();
    let rows: Vec<Row<32>> = (0..KEYS)
        .map(|number| {
            let key = clustered(number);
            Row { key, slot: 20, locator: records.add(key, SizeClass::of(165)) }
        })
        .collect();
    let run = folder.run(&header(1, RunKind::Complete, 20), rows.iter().copied());
    assert!(run.info().bytes < 24 * KEYS, "{} bytes", run.info().bytes);

    for row in rows.iter().step_by(97) {
        let sought = STORE.seek(&row.key);
        let found = run.newest_at(&sought, 20).expect("a sound run").expect("it is there");
        assert_eq!((found.slot, found.locator), (row.slot, row.locator));
        assert_eq!(run.newest_at(&sought, 19).expect("a sound run"), None);
        let certain = run.newest_at_certain(&sought, 20, &records).expect("a sound run");
        assert_eq!(certain.map(|found| found.locator), Some(row.locator));
        assert!(records.reads() <= 1, "the record itself at most");
        let mut absent = row.key;
        absent[30] ^= 1;
        assert_eq!(run.newest_at(&STORE.seek(&absent), 20).expect("a sound run"), None);
        assert_eq!(
            run.newest_at_certain(&STORE.seek(&absent), 20, &records).expect("a sound run"),
            None
        );
        assert_eq!(records.reads(), 0, "what is not there");
    }
    for row in rows.iter().step_by(9973) {
        let cursor = run.cursor(Bound::Included(&row.key), &records).expect("a sound run");
        assert_eq!(cursor.version(), Some((row.slot, row.locator)));
        let reads = records.reads();
        assert!(reads <= 10, "{reads} records read to find a row of a page");
    }

    let mut damaged = Damaged::of(&run);
    for page in [0, 1, run.counts.pages / 2, run.counts.pages - 1] {
        let number = layout::FIRST_PAGE + page;
        let first = number * block::BLOCK_BYTES as u64 * 8;
        for bit in (0..block::BLOCK_BYTES as u64 * 8).step_by(61) {
            damaged.with_flipped(first + bit, |folder| {
                let run = folder.expect("header and footer are sound");
                let error = run.page(page).expect_err("a flipped bit");
                assert!(matches!(error, Error::Corrupt { .. }), "{error}");
                assert!(run.page((page + 1) % run.counts.pages).is_ok(), "another page");
            });
        }
    }
}

#[test]
fn a_million_keys_sharing_sixty_bytes_are_found_for_certain() {
    let folder = Folder::new();
    let mut records = Records::default();
    let rows: Vec<Row<64>> = (0..KEYS as u32)
        .map(|number| {
            let mut key = [0xee; 64];
            key[60..].copy_from_slice(&number.swap_bytes().to_le_bytes());
            Row { key, slot: 20, locator: records.add(key, SizeClass::of(165)) }
        })
        .collect();
    let run = folder.run(&header(1, RunKind::Complete, 20), rows.iter().copied());
    assert!(run.info().bytes < 16 * KEYS, "{} bytes", run.info().bytes);
    for row in rows.iter().step_by(97) {
        let found = run.newest_at(&STORE.seek(&row.key), 20).expect("a sound run");
        let Row { slot, locator, .. } = *row;
        assert_eq!(found, Some(Found { slot, locator, is_certain: true }));
    }
    assert_eq!(records.reads(), 0);
}

#[test]
fn a_key_with_a_million_versions_goes_over_many_pages() {
    let folder = Folder::new();
    let mut records = Records::default();
    let (key, before, behind) = ([7; 32], [6; 32], [8; 32]);
    let mut model = Model::new();
    for (key, slots) in [(before, 1), (key, KEYS), (behind, 3)] {
        for slot in 0..slots {
            let slot = 100 + 3 * slot;
            model.insert((key, std::cmp::Reverse(slot)), records.add(key, SizeClass::of(0)));
        }
    }
    let run = folder.run(&delta(1), rows(&model));
    for number in (0..KEYS).step_by(1009) {
        for slot in [100 + 3 * number, 101 + 3 * number] {
            let found = run.newest_at(&STORE.seek(&key), slot).expect("a sound run");
            assert_eq!(found.map(|found| found.slot), Some(100 + 3 * number));
        }
    }
    assert_eq!(run.newest_at(&STORE.seek(&key), 99).expect("a sound run"), None);
    let versions = run.versions(STORE.seek(&key), 0..=Slot::MAX, &records).expect("a sound run");
    assert_eq!(versions.count() as u64, KEYS);
    let cursor = run.cursor(Bound::Excluded(&key), &records).expect("a sound run");
    assert_eq!(cursor.key().map(|key| key.known()[0]), Some(8));
    let cursor = run.cursor(Bound::Included(&key), &records).expect("a sound run");
    assert_eq!(cursor.version().map(|(slot, _)| slot), Some(100 + 3 * (KEYS - 1)));
    assert!(records.reads() < 40, "no record for each version");
}

#[test]
fn a_key_with_the_suffix_and_hash_of_another_is_told_apart_by_its_record() {
    // Keys whose hashes are made equal: in a page that cannot tell them apart.
    let folder = Folder::new();
    let mut records = Records::default();
    let keys: Vec<[u8; 32]> = (0..300u64).map(|number| clustered(number * 16)).collect();
    let mut stream = part::PageStream::new(None);
    let mut done = part::FinishedPart::default();
    let mut locators = Vec::new();
    for key in &keys {
        let locator = records.add(*key, SizeClass::of(0));
        locators.push(locator);
        let mut draft = page::Draft::of(&STORE, &Row { key: *key, slot: 20, locator });
        draft.hash = key::KeyHash::from_bits(1234);
        stream.push(draft, &records, &mut done).expect("memory");
    }
    stream.end_page(&records, &mut done).expect("memory");
    let ends = [0, keys.len() - 1].map(|index| {
        let row = Row { key: keys[index], slot: 20, locator: locators[index] };
        page::Draft::of(&STORE, &row)
    });
    (done.rows, done.keys, done.ends) = (stream.rows, stream.keys, Some((ends[0], ends[1])));
    let path = folder.path(1);
    let stated = header(1, RunKind::Complete, 20);
    let mut writer = RunWriter::create(&RealDisk, &path, STORE, stated, 0).expect("a new file");
    writer.append(done).expect("written");
    let run = folder.checked::<32>(&writer.finish([]).expect("written"), &stated);
    let mut other = 0;
    for (key, locator) in keys.iter().zip(locators) {
        let sought = Sought { key, hash: key::KeyHash::from_bits(1234) };
        let found = run.newest_at(&sought, 20).expect("a sound run").expect("some key");
        assert!(!found.is_certain);
        other += u64::from(found.locator != locator);
        let certain = run.newest_at_certain(&sought, 20, &records).expect("a sound run");
        assert_eq!(certain, Some(Found { slot: 20, locator, is_certain: true }));
    }
    assert!(other > 100, "{other} keys were taken for others");
}
