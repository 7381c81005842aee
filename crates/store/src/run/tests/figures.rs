//! What a row costs, and what a lookup touches.

use super::*;

const KEYS: u64 = 1_000_000;

/// Locators as restoring makes them: some dozens of segments.
fn place(number: u64) -> Locator {
    Locator::new((scattered(number) % 60) as u32, 8 * number, SizeClass::of(165))
}

fn million<const K: usize>(slot: impl Fn(u64) -> Slot) -> Vec<Row<K>> {
    let row = |number| Row { key: uniform(number), slot: slot(number), locator: place(number) };
    let mut rows: Vec<Row<K>> = (0..KEYS).map(row).collect();
    rows.sort_unstable_by_key(|row| row.key);
    rows
}

fn bytes_per_row<const K: usize>(header: RunHeader, rows: &[Row<K>]) -> f64 {
    let folder = Folder::new();
    let path = folder.path(1);
    let mut writer = RunWriter::create(&RealDisk, &path, STORE, header, KEYS).expect("a new file");
    rows.iter().for_each(|row| writer.push(row).expect("written"));
    let info = writer.finish([]).expect("written");
    info.bytes as f64 / KEYS as f64
}

#[test]
fn a_row_of_a_complete_run_costs_at_most_17_bytes() {
    let by_pubkey = bytes_per_row::<32>(header(1, RunKind::Complete, 9), &million(|_| 9));
    assert!(by_pubkey < 17.0, "{by_pubkey} bytes");
    let by_owner = bytes_per_row::<64>(header(1, RunKind::Complete, 9), &million(|_| 9));
    assert!(by_owner < 17.0, "{by_owner} bytes");
}

#[test]
fn a_row_of_a_delta_run_costs_at_most_21_bytes() {
    let kind = RunKind::Delta { after: 9 };
    // An epoch has 432,000 slots.
    let rows = million(|number| 10 + scattered(number) % 432_000);
    let by_pubkey = bytes_per_row::<32>(header(1, kind, 500_000), &rows);
    assert!(by_pubkey < 21.0, "{by_pubkey} bytes");
}

#[test]
fn a_lookup_touches_one_page_and_nothing_for_most_absent_keys() {
    let folder = Folder::new();
    let rows = million::<32>(|_| 20);
    let path = folder.path(1);
    let stated = delta(1);
    let mut writer = RunWriter::create(&RealDisk, &path, STORE, stated, KEYS).expect("a new file");
    rows.iter().for_each(|row| writer.push(row).expect("written"));
    let info = writer.finish([]).expect("written");
    for row in rows.iter().step_by(99_991) {
        let run = Run::<32>::open(&RealDisk, &path, &STORE, &info).expect("a sound run");
        let found = run.newest_at(&STORE.seek(&row.key), 20).expect("a sound run");
        assert_eq!(found.map(|found| found.locator), Some(row.locator));
        let last_page = layout::FIRST_PAGE + run.counts.pages;
        assert_eq!(run.checked_blocks(layout::FIRST_PAGE..last_page), 1, "pages of rows");
        let levels = run.layout.levels.len() as u64;
        assert_eq!(run.checked_blocks(last_page..run.layout.first_slots), levels, "of fences");
        assert_eq!(run.checked_blocks(run.layout.first_filter..run.layout.footer), 1);
    }
    let run = Run::<32>::open(&RealDisk, &path, &STORE, &info).expect("a sound run");
    let mut passed = 0;
    for number in KEYS..2 * KEYS {
        let key = uniform(number);
        let sought = STORE.seek(&key);
        passed += u64::from(run.may_have(&sought).expect("a sound run"));
        assert_eq!(run.newest_at(&sought, 20).expect("a sound run"), None);
    }
    assert!(passed < KEYS / 50, "{passed} of a million absent keys pass the filter");
}
