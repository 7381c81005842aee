//! The control page: what is published is read whole, pins are listed or lost, and no content of a
//! page makes anybody panic or hang.

use std::{sync::atomic::AtomicBool, thread};

use proptest::prelude::*;

use super::{fuzzing::page, *};
use crate::layer::{Ordering, WORDS};

const STORE: StoreId = StoreId(*b"a store's own id");
const PROCESS: ProcessIdentity = ProcessIdentity { id: 77, start_time: 1234 };
const NOW: u64 = 1_700_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;

const IDENTITY: WriterIdentity = WriterIdentity { store_id: STORE, process: PROCESS, epoch: 3 };

fn frontier(number: u64) -> Frontier {
    Frontier {
        durable_end: number * 3,
        frame_count: number,
        active_segment: (number % 1000) as u32 + 1,
        active_bytes: number % 4096,
        last: Digest(bytes_of([number, number * 5, number * 7, number * 11])),
        last_time: NOW + number,
    }
}

type Shared = std::sync::Arc<dyn icecore_disk::SharedPage>;

fn opened() -> (Shared, ControlWriter<Shared>, ControlReader<Shared>) {
    let page = page(&[]);
    let writer = ControlWriter::initialise(page.clone(), IDENTITY, frontier(1), 1, NOW);
    (page.clone(), writer, ControlReader::new(page, STORE))
}

fn everybody(_: ProcessIdentity) -> bool {
    true
}

#[test]
fn what_is_published_is_read() {
    let (_, writer, reader) = opened();
    assert_eq!((reader.frontier(), reader.writer()), (Ok(frontier(1)), Ok(IDENTITY)));
    writer.publish(&frontier(2), NOW);
    writer.set_catalog(9);
    writer.heartbeat(NOW + 5);
    assert_eq!(reader.frontier(), Ok(frontier(2)));
    writer.publish(&frontier(1), NOW + 5);
    assert_eq!(reader.frontier(), Ok(frontier(2)), "a frontier that was overtaken");
    assert_eq!((reader.catalog(), reader.heartbeat()), (9, NOW + 5));
}

#[test]
fn readers_in_threads_see_frontiers_whole_and_in_order() {
    let (_, writer, reader) = opened();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (reader, is_over) = (&reader, &is_over);
        for _ in 0..2 {
            scope.spawn(move || {
                let mut last = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let seen = reader.frontier().expect("the writer lives");
                    assert_eq!(seen, frontier(seen.frame_count));
                    assert!(seen.frame_count >= last);
                    last = seen.frame_count;
                }
            });
        }
        (2..200_000).for_each(|number| writer.publish(&frontier(number), NOW));
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_writer_that_died_in_the_middle_hangs_nobody_and_the_next_one_repairs() {
    let (page, writer, reader) = opened();
    drop(writer);
    page.words()[SEQUENCE].fetch_add(1, Ordering::Relaxed);
    page.words()[6].store(u64::MAX, Ordering::Relaxed);
    assert_eq!(reader.frontier(), Err(ControlError::Unsettled));
    let next = WriterIdentity { epoch: 4, ..IDENTITY };
    let writer = ControlWriter::initialise(page, next, frontier(5), 2, NOW);
    assert_eq!((reader.frontier(), reader.writer()), (Ok(frontier(5)), Ok(next)));
    writer.publish(&frontier(6), NOW);
    assert_eq!(reader.frontier(), Ok(frontier(6)));
}

#[test]
fn pages_of_nobody_of_others_and_of_other_versions_are_refused() {
    let unset = ControlReader::new(page(&[]), STORE);
    assert_eq!(unset.frontier(), Err(ControlError::Unset));
    let (page, _, _) = opened();
    let other = ControlReader::new(page.clone(), StoreId([9; 16]));
    assert_eq!(other.frontier(), Err(ControlError::OtherStore));
    page.words()[0].fetch_add(1 << 32, Ordering::Relaxed);
    let reader = ControlReader::new(page, STORE);
    assert_eq!(reader.frontier(), Err(ControlError::Version { found: 2, known: 1 }));
}

#[test]
fn values_out_of_bounds_are_never_returned() {
    let cases = [(0, 1), (3, 1 << 32), (6, 0), (7, 4), (8, 1 << 24), (9, 1 << 32), (8, 0)];
    for (index, value) in cases {
        let (page, writer, reader) = opened();
        writer.publish(&Frontier { active_bytes: 8, ..frontier(1) }, NOW);
        page.words()[index].store(value, Ordering::Relaxed);
        let found = reader.frontier();
        assert!(matches!(found, Err(ControlError::Damaged { .. })), "word {index}: {found:?}");
    }
}

#[test]
fn pins_are_listed_renewed_and_released() {
    let (_, writer, reader) = opened();
    let mut one = reader.pin(PROCESS, 5, NOW, SECOND).expect("all are free");
    let two = reader.pin(PROCESS, 6, NOW, 2 * SECOND).expect("there are more");
    assert_eq!(writer.live_pins(NOW, &everybody), Ok(vec![one.pin(), two.pin()]));
    one.renew(NOW + SECOND / 2, SECOND).expect("its lease goes on");
    assert_eq!(one.pin().until, NOW + SECOND * 3 / 2);
    drop(two);
    assert_eq!(writer.live_pins(NOW + SECOND, &everybody), Ok(vec![one.pin()]));
    drop(one);
    assert_eq!(writer.live_pins(NOW, &everybody), Ok(vec![]));
}

#[test]
fn a_pin_past_its_lease_is_taken_back_and_its_owner_learns_it() {
    let (_, writer, reader) = opened();
    let mut pin = reader.pin(PROCESS, 5, NOW, SECOND).expect("all are free");
    assert!(pin.is_held(NOW + SECOND - 1) && !pin.is_held(NOW + SECOND));
    assert_eq!(writer.live_pins(NOW + SECOND, &everybody), Ok(vec![]));
    assert!(!pin.is_held(NOW));
    assert_eq!(pin.renew(NOW, SECOND), Err(ControlError::PinLost));
    // The slot is another's now; the first owner neither prolongs nor frees that.
    let other = reader.pin(PROCESS, 5, NOW, SECOND).expect("it was given back");
    assert_eq!(pin.renew(NOW, SECOND), Err(ControlError::PinLost));
    drop(pin);
    assert!(other.is_held(NOW));
    assert_eq!(writer.live_pins(NOW, &everybody), Ok(vec![other.pin()]));
}

#[test]
fn pins_of_the_dead_are_taken_back_and_those_of_the_living_outlive_the_writer() {
    let (page, _, reader) = opened();
    let dead = ProcessIdentity { id: 78, start_time: 1 };
    let held = reader.pin(PROCESS, 5, NOW, SECOND).expect("all are free");
    std::mem::forget(reader.pin(dead, 6, NOW, SECOND).expect("there are more"));
    let next = ControlWriter::initialise(page, IDENTITY, frontier(1), 2, NOW);
    assert_eq!(next.live_pins(NOW, &|process| process != dead), Ok(vec![held.pin()]));
    assert_eq!(next.live_pins(NOW, &everybody), Ok(vec![held.pin()]));
}

#[test]
fn leases_are_bounded() {
    let (page, writer, reader) = opened();
    let pin = reader.pin(PROCESS, 5, NOW, u64::MAX).expect("all are free");
    assert_eq!(pin.pin().until, NOW + pins::LEASE_NANOSECONDS_MAX);
    assert_eq!(writer.live_pins(NOW, &everybody), Ok(vec![pin.pin()]));
    page.words()[pins::PINS + 3].store(NOW + pins::LEASE_NANOSECONDS_MAX + 1, Ordering::Relaxed);
    assert_eq!(writer.live_pins(NOW, &everybody), Ok(vec![]));
}

#[test]
fn all_slots_can_be_taken_and_then_no_more() {
    let (_, writer, reader) = opened();
    let take = |value| reader.pin(PROCESS, value, NOW, SECOND);
    let mut held: Vec<_> = (0..PINS_MAX as u64).map(|value| take(value).expect("free")).collect();
    let full = ControlError::PinsFull { max: 100 };
    assert_eq!(take(1000).map(|_| ()), Err(full));
    assert_eq!(writer.live_pins(NOW, &everybody).map(|pins| pins.len()), Ok(100));
    held.swap_remove(50);
    assert!(take(1000).is_ok());
}

#[test]
fn an_interrupted_claim_is_taken_back_after_a_while() {
    let (page, writer, reader) = opened();
    let state = &page.words()[pins::PINS];
    let claimed = u64::from(PROCESS.id) << 32 | 1 << 2 | 1;
    state.store(claimed, Ordering::Relaxed);
    assert_eq!(writer.live_pins(NOW, &everybody), Ok(vec![]));
    assert_eq!(writer.live_pins(NOW + 10 * SECOND - 1, &everybody), Ok(vec![]));
    assert_eq!(state.load(Ordering::Relaxed), claimed);
    assert_eq!(writer.live_pins(NOW + 10 * SECOND, &everybody), Ok(vec![]));
    assert_eq!(state.load(Ordering::Relaxed), 2 << 2);
    let pin = reader.pin(PROCESS, 5, NOW, SECOND).expect("the slot is free again");
    assert_eq!(writer.live_pins(NOW, &everybody), Ok(vec![pin.pin()]));
}

#[test]
fn pinners_in_threads_never_lose_a_pin_within_its_lease() {
    let (_, writer, reader) = opened();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (reader, is_over) = (&reader, &is_over);
        for value in 0..3 {
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let mut pin = reader.pin(PROCESS, value, NOW, SECOND).expect("few pin");
                    pin.renew(NOW, SECOND).expect("its lease goes on");
                    assert!(pin.is_held(NOW));
                }
            });
        }
        for _ in 0..20_000 {
            let pins = writer.live_pins(NOW, &everybody).expect("slots keep still in between");
            assert!(pins.iter().all(|pin| pin.owner == PROCESS && pin.value < 3), "{pins:?}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

proptest! {
    #[test]
    fn any_page_is_judged(bytes in proptest::collection::vec(any::<u8>(), 0..=8 * WORDS)) {
        fuzzing::control(&bytes);
    }

    #[test]
    fn any_change_of_a_good_page_is_judged(
        changes in proptest::collection::vec((0..WORDS, any::<u64>()), 1..4),
    ) {
        let (page, _, reader) = opened();
        drop(reader.pin(PROCESS, 5, NOW, SECOND));
        for (index, value) in changes {
            page.words()[index].store(value, Ordering::Relaxed);
        }
        let load = |word: &std::sync::atomic::AtomicU64| word.load(Ordering::Relaxed).to_le_bytes();
        let bytes: Vec<u8> = page.words().iter().flat_map(load).collect();
        fuzzing::control(&bytes);
    }
}
