//! Every schedule of small cases: `RUSTFLAGS="--cfg loom" cargo test -p icecore-journal --release
//! --lib loom`.

use std::sync::Arc;

use ::loom::{model::Builder, sync::atomic::AtomicU64, thread};
use icecore_disk::ProcessIdentity;

use super::*;
use crate::layer::{Ordering, Page, WORDS};

/// Switches between threads at points of no need, per schedule. Two are enough to break any of the
/// orders that the page relies on.
const PREEMPTIONS_MAX: usize = 2;

const READER: ProcessIdentity = ProcessIdentity { id: 1, start_time: 2 };

fn every_schedule(case: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS_MAX);
    builder.check(case);
}

#[derive(Clone)]
struct ModelPage(Arc<[AtomicU64; WORDS]>);

impl ModelPage {
    fn new() -> Self {
        Self(Arc::new(std::array::from_fn(|_| AtomicU64::new(0))))
    }

    fn reader(&self) -> ControlReader<Self> {
        ControlReader::new(self.clone(), StoreId([0; 16]))
    }
}

impl Page for ModelPage {
    type Word = AtomicU64;

    fn words(&self) -> &[AtomicU64; WORDS] {
        &self.0
    }
}

#[test]
fn a_reader_never_sees_a_mixed_group() {
    every_schedule(|| {
        let sequence = Arc::new(AtomicU64::new(0));
        let words = Arc::new([const { 0 }; 3].map(AtomicU64::new));
        let writer = thread::spawn({
            let (sequence, words) = (sequence.clone(), words.clone());
            move || {
                group::write(&*sequence, &*words, &[1; 3]);
                group::write(&*sequence, &*words, &[2; 3]);
            }
        });
        if let Ok(values) = group::read(&*sequence, &*words) {
            assert!([[0; 3], [1; 3], [2; 3]].contains(&values), "{values:?}");
        }
        writer.join().expect("it ends well");
        assert_eq!(group::read(&*sequence, &*words), Ok([2; 3]));
    });
}

#[test]
fn a_pin_is_seen_by_the_writer_or_the_pinner_sees_the_new_catalog() {
    every_schedule(|| {
        let page = ModelPage::new();
        let pinner = thread::spawn({
            let reader = page.reader();
            move || {
                let handle = reader.pin(READER, 7, 0, 10).expect("all are free");
                (reader.catalog() == 0).then_some(handle)
            }
        });
        page.words()[CATALOG].store(1, Ordering::Release);
        let mut table = pins::Table::new();
        let pins = table.live(page.words(), 5, &|process| process == READER);
        let pins = pins.expect("a slot changes twice at most");
        let handle = pinner.join().expect("it ends well");
        if handle.is_some() {
            assert_eq!(pins, [Pin { owner: READER, value: 7, until: 10 }]);
        }
        std::mem::drop(handle);
    });
}

#[test]
fn a_pin_at_its_end_is_renewed_or_lost_and_both_sides_agree() {
    every_schedule(|| {
        let page = ModelPage::new();
        let mut handle = page.reader().pin(READER, 7, 0, 10).expect("all are free");
        let owner = thread::spawn(move || {
            let is_renewed = handle.renew(9, 20).is_ok();
            (is_renewed, handle)
        });
        let mut table = pins::Table::new();
        let pins = table.live(page.words(), 11, &|_| true).expect("it changes once at most");
        let (is_renewed, handle) = owner.join().expect("it ends well");
        assert_eq!(is_renewed, !pins.is_empty());
        assert_eq!(is_renewed, handle.is_held(11));
    });
}

#[test]
fn two_pinners_never_share_a_slot() {
    every_schedule(|| {
        let page = ModelPage::new();
        let other = thread::spawn({
            let reader = page.reader();
            move || reader.pin(READER, 1, 0, 10)
        });
        let one = page.reader().pin(READER, 2, 0, 10).expect("there are two");
        let other = other.join().expect("it ends well").expect("there are two");
        assert!(one.is_held(5) && other.is_held(5));
        let mut table = pins::Table::new();
        assert_eq!(table.live(page.words(), 5, &|_| true).map(|pins| pins.len()), Ok(2));
    });
}

#[test]
fn a_slot_that_changes_hands_is_never_listed_mixed() {
    every_schedule(|| {
        let page = ModelPage::new();
        let first = page.reader().pin(READER, 7, 0, 10).expect("all are free");
        let owner = thread::spawn({
            let reader = page.reader();
            move || {
                drop(first);
                reader.pin(READER, 8, 0, 20).expect("all are free")
            }
        });
        let mut table = pins::Table::new();
        // Changing hands takes three changes of the state: that can be too many to look through.
        for pin in table.live(page.words(), 5, &|_| true).unwrap_or_default() {
            assert!([(7, 10), (8, 20)].contains(&(pin.value, pin.until)), "{pin:?}");
        }
        assert!(owner.join().expect("it ends well").is_held(5));
    });
}
