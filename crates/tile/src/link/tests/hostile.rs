//! The other side writes whatever it likes: faults at most, never a panic, bytes from elsewhere or
//! a loop without end.

use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::{
    super::{Fragment, LinkFault, Mark, wiring::Wiring},
    foreign_consumer, send, take,
};

const DEPTH: u32 = 4;
const CAPACITY: usize = 64;

/// Words of a descriptor in the ring, after the line with the count.
const FIRST_DESCRIPTOR: usize = 8;

#[derive(Debug, Clone)]
enum Step {
    ScribbleRing { word: usize, value: u64 },
    ScribbleProgress { word: usize, value: u64 },
    Send { bytes: usize },
    Take,
    PassOn,
    Drop { index: usize },
    Look,
    Skip,
}

/// Values near what is right, and values that are far from it.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0..20_u64,
        1 => (0..4_u64).prop_map(|distance| u64::MAX - distance),
        1 => (0..64_u32).prop_map(|bit| 1 << bit),
        1 => any::<u64>(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (any::<usize>(), value())
            .prop_map(|(word, value)| Step::ScribbleRing { word, value }),
        3 => (any::<usize>(), value())
            .prop_map(|(word, value)| Step::ScribbleProgress { word, value }),
        // The words that decide most: the count, and both words of a progress line.
        2 => value().prop_map(|value| Step::ScribbleRing { word: 0, value }),
        2 => (0..2_usize, value())
            .prop_map(|(word, value)| Step::ScribbleProgress { word, value }),
        8 => (0..=CAPACITY).prop_map(|bytes| Step::Send { bytes }),
        8 => Just(Step::Take),
        2 => Just(Step::PassOn),
        4 => any::<usize>().prop_map(|index| Step::Drop { index }),
        1 => Just(Step::Look),
        1 => Just(Step::Skip),
    ]
}

proptest! {
    #[test]
    fn random_scribbles_cost_a_fault_at_most(steps in prop::collection::vec(step(), 0..120)) {
        let link = Wiring::new(DEPTH, CAPACITY, 1);
        let second = Wiring::over(DEPTH, link.memory().clone(), link.memory().clone(), 1);
        let (mut producer, mut consumer) = (link.producer(), foreign_consumer(&link));
        let mut passing = second.producer();
        let (ring, progress) = (link.ring(), link.progress());
        let mut held: Vec<Fragment> = Vec::new();
        for step in steps {
            match step {
                Step::ScribbleRing { word, value } => {
                    ring.store(word % ring.len(), value, Ordering::Relaxed);
                }
                Step::ScribbleProgress { word, value } => {
                    progress.store(word % progress.len(), value, Ordering::Relaxed);
                    second.progress().store(word % progress.len(), value, Ordering::Relaxed);
                }
                Step::Send { bytes } => {
                    if let Ok(Some(space)) = producer.space(bytes) {
                        space.fill(1);
                        producer.publish(bytes, Mark::default());
                    }
                }
                Step::Take => {
                    if let Ok(Some(fragment)) = consumer.next() {
                        prop_assert!(fragment.len() <= CAPACITY);
                        let mut bytes = vec![2; fragment.len()];
                        fragment.copy_to(0, &mut bytes);
                        prop_assert!(bytes.iter().all(|byte| *byte <= 1));
                        held.push(fragment);
                    }
                }
                Step::PassOn => {
                    if let Some(fragment) = held.last() {
                        let _ = passing.publish_held(fragment, 0..fragment.len(), fragment.mark());
                    }
                }
                Step::Drop { index } => {
                    if !held.is_empty() {
                        held.swap_remove(index % held.len());
                    }
                }
                Step::Look => {
                    let credits = producer.credits();
                    prop_assert!(credits.is_ok_and(|credits| credits.bytes <= CAPACITY)
                        || producer.in_flight().0 <= u64::from(DEPTH));
                    let _ = passing.credits();
                    let _ = (producer.is_drained(), producer.has_news(), producer.reset());
                }
                Step::Skip => {
                    held.clear();
                    let _ = passing.reset();
                    // What it still holds is the caller's: skipping would rightly panic.
                    if passing.in_flight().0 == 0 {
                        let _ = consumer.skip_all();
                    }
                }
            }
        }
    }
}

#[test]
fn progress_beyond_what_is_published_is_a_fault() {
    let link = Wiring::new(DEPTH, CAPACITY, 2);
    let mut producer = link.producer();
    assert!(send(&mut producer, b"a"));
    link.progress().store(8, 2, Ordering::Relaxed);
    let fault = LinkFault::Progress { consumer: 1, low: 0, high: 1, found: 2 };
    assert_eq!(producer.credits(), Err(fault));
    assert_eq!(fault.to_string(), "consumer 1 says it released 2 fragments, not 0 to 1");
}

#[test]
fn progress_that_goes_backwards_is_a_fault() {
    let link = Wiring::new(DEPTH, CAPACITY, 1);
    let (mut producer, mut consumer) = (link.producer(), link.consumer(0));
    assert!(send(&mut producer, b"a"));
    drop(take(&mut consumer));
    producer.credits().expect("honest so far");
    link.progress().store(0, 0, Ordering::Relaxed);
    let fault = LinkFault::Progress { consumer: 0, low: 1, high: 1, found: 0 };
    assert_eq!(producer.credits(), Err(fault));
}

#[test]
fn released_bytes_that_do_not_go_with_the_fragments_are_a_fault() {
    for (found, is_sound) in [(1, false), (2, true), (5, true), (6, false)] {
        let link = Wiring::new(DEPTH, CAPACITY, 1);
        let mut producer = link.producer();
        assert!(send(&mut producer, b"ab") && send(&mut producer, b"cde"));
        link.progress().store(1, found, Ordering::Relaxed);
        link.progress().store(0, 1, Ordering::Relaxed);
        let fault = LinkFault::ProgressBytes { consumer: 0, low: 2, high: 5, found };
        assert_eq!(producer.credits().err(), (!is_sound).then_some(fault));
    }
}

#[test]
fn a_count_beyond_the_ring_or_backwards_is_a_fault() {
    let link = Wiring::new(DEPTH, CAPACITY, 1);
    let (mut producer, mut consumer) = (link.producer(), link.consumer(0));
    assert!(send(&mut producer, b"a"));
    let held = take(&mut consumer);
    for (found, is_sound) in [(0, false), (5, false), (u64::MAX, false), (1, true)] {
        link.ring().store(0, found, Ordering::Relaxed);
        let fault = LinkFault::Published { low: 1, high: 4, found };
        assert_eq!(consumer.next().err(), (!is_sound).then_some(fault));
    }
    drop(held);
    assert!(send(&mut producer, b"b"));
    assert_eq!(take(&mut consumer).bytes(), b"b");
}

#[test]
fn a_descriptor_that_does_not_go_on_or_points_outside_is_a_fault() {
    let end = CAPACITY as u64;
    let cases = [
        (0, 4, LinkFault::Sequence { expected: 0, found: 4 }),
        (1, 9, LinkFault::StreamOffset { sequence: 0, expected: 0, found: 9 }),
        (2, end, LinkFault::Place { sequence: 0, place: end, bytes: 1 }),
        (2, u64::MAX, LinkFault::Place { sequence: 0, place: u64::MAX, bytes: 1 }),
        (3, 65, LinkFault::Place { sequence: 0, place: 0, bytes: 65 }),
    ];
    for (word, value, fault) in cases {
        let link = Wiring::new(DEPTH, CAPACITY, 1);
        assert!(send(&mut link.producer(), b"a"));
        link.ring().store(FIRST_DESCRIPTOR + word, value, Ordering::Relaxed);
        assert_eq!(foreign_consumer(&link).next().err(), Some(fault));
    }
}
