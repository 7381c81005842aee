//! Every schedule of small cases: `RUSTFLAGS="--cfg loom" cargo test -p icecore-tile --release --lib
//! loom`.
//!
//! Loom reports bytes that are read while they are written, a sleep that nobody ends (a deadlock),
//! and values that the memory model allows and the assertions do not.

use std::{sync::Arc, time::Duration};

use loom::{
    model::Builder,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::{
    Consumer, Fragment, Mark, Producer,
    wiring::{Wiring, stream_byte},
};
use crate::bell::Bell;

/// Switches between threads at points of no need, per schedule. Two are enough to break any of the
/// orders that the links rely on; without a bound the cases take hours.
const PREEMPTIONS_MAX: usize = 2;

/// A model has no time.
const FOREVER: Duration = Duration::ZERO;

fn every_schedule(case: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS_MAX);
    builder.check(case);
}

/// Publishes fragments of these sizes, then waits until all are released.
fn produce(mut producer: Producer, bell: &Bell, sizes: &[usize]) {
    for bytes in sizes {
        let start = producer.published_bytes();
        loop {
            if let Some(space) = producer.space(*bytes).expect("honest consumers") {
                for (position, byte) in (start..).zip(&mut space[..*bytes]) {
                    *byte = stream_byte(position);
                }
                producer.publish(*bytes, Mark::default());
                break;
            }
            bell.sleep(FOREVER, || producer.has_news());
        }
    }
    while !producer.is_drained() {
        bell.sleep(FOREVER, || producer.is_drained());
    }
}

fn take(consumer: &mut Consumer, bell: &Bell) -> Fragment {
    loop {
        if let Some(fragment) = consumer.next().expect("an honest producer") {
            return fragment;
        }
        bell.sleep(FOREVER, || consumer.ready());
    }
}

fn check_payload(fragment: &Fragment) {
    let positions = fragment.stream_offset()..;
    assert!(positions.zip(fragment.bytes()).all(|(position, byte)| stream_byte(position) == *byte));
}

#[test]
fn two_consumers_see_whole_fragments_and_nobody_sleeps_forever() {
    every_schedule(|| {
        let link = Arc::new(Wiring::new(1, 2, 2));
        let others: Vec<_> = (0..2)
            .map(|index| {
                let link = link.clone();
                thread::spawn(move || {
                    let (mut consumer, bell) = (link.consumer(index), link.consumer_bell(index));
                    for bytes in [2, 1] {
                        let fragment = take(&mut consumer, &bell);
                        assert_eq!(fragment.len(), bytes);
                        check_payload(&fragment);
                    }
                })
            })
            .collect();
        produce(link.producer(), &link.producer_bell(), &[2, 1]);
        others.into_iter().for_each(|other| other.join().expect("it ends well"));
    });
}

#[test]
fn bytes_are_reused_only_after_a_release_out_of_order() {
    every_schedule(|| {
        let link = Arc::new(Wiring::new(2, 3, 1));
        let other = thread::spawn({
            let link = link.clone();
            move || {
                let (mut consumer, bell) = (link.consumer(0), link.consumer_bell(0));
                let first = take(&mut consumer, &bell);
                let second = take(&mut consumer, &bell);
                check_payload(&second);
                drop(second);
                check_payload(&first);
                drop(first);
                check_payload(&take(&mut consumer, &bell));
            }
        });
        produce(link.producer(), &link.producer_bell(), &[1, 2, 2]);
        other.join().expect("it ends well");
    });
}

#[test]
fn bytes_held_through_a_middle_tile_are_reused_only_after_its_consumer_released_them() {
    every_schedule(|| {
        let first = Arc::new(Wiring::new(1, 2, 1));
        let memory = first.memory().clone();
        let second = Arc::new(Wiring::over(1, memory.clone(), memory, 1));
        let middle = thread::spawn({
            let (first, second) = (first.clone(), second.clone());
            move || {
                let bell = first.consumer_bell(0);
                let (mut consumer, mut producer) = (first.consumer(0), second.producer());
                for _ in 0..2 {
                    let fragment = take(&mut consumer, &bell);
                    let range = 0..fragment.len();
                    let mark = Mark::default();
                    assert!(producer.publish_held(&fragment, range, mark).expect("honest"));
                    drop(fragment);
                    while !producer.is_drained() {
                        bell.sleep(FOREVER, || producer.is_drained());
                    }
                    producer.credits().expect("an honest consumer");
                }
            }
        });
        let last = thread::spawn({
            let (first, second) = (first.clone(), second.clone());
            move || {
                let bell = second.consumer_bell(0);
                let mut consumer = second.consumer_ringing(0, false, first.consumer_bell(0));
                for _ in 0..2 {
                    check_payload(&take(&mut consumer, &bell));
                }
            }
        });
        produce(first.producer(), &first.producer_bell(), &[2, 2]);
        middle.join().expect("it ends well");
        last.join().expect("it ends well");
    });
}

#[test]
fn a_ring_from_either_of_two_ends_the_sleep() {
    every_schedule(|| {
        let link = Arc::new(Wiring::new(1, 1, 1));
        let flags = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let ringers: Vec<_> = (0..2)
            .map(|index| {
                let (bell, flags) = (link.consumer_bell(0), flags.clone());
                thread::spawn(move || {
                    flags[index].store(true, Ordering::Relaxed);
                    bell.ring();
                })
            })
            .collect();
        let bell = link.consumer_bell(0);
        for flag in flags.iter() {
            while !flag.load(Ordering::Relaxed) {
                bell.sleep(FOREVER, || flag.load(Ordering::Relaxed));
            }
        }
        ringers.into_iter().for_each(|ringer| ringer.join().expect("it ends well"));
    });
}

#[test]
fn a_consumer_told_to_end_wakes_up_and_lets_the_producer_end_too() {
    every_schedule(|| {
        let link = Arc::new(Wiring::new(1, 1, 1));
        let end = Arc::new(AtomicBool::new(false));
        let other = thread::spawn({
            let (link, end) = (link.clone(), end.clone());
            move || {
                let (mut consumer, bell) = (link.consumer(0), link.consumer_bell(0));
                while !end.load(Ordering::Acquire) {
                    bell.sleep(FOREVER, || end.load(Ordering::Relaxed));
                }
                consumer.skip_all().expect("an honest producer");
                assert_eq!(consumer.taken(), 1);
            }
        });
        let (mut producer, bell) = (link.producer(), link.producer_bell());
        producer.space(1).expect("honest").expect("credit")[0] = 1;
        producer.publish(1, Mark::default());
        end.store(true, Ordering::Release);
        link.consumer_bell(0).ring();
        while !producer.is_drained() {
            bell.sleep(FOREVER, || producer.is_drained());
        }
        producer.reset().expect("an honest consumer");
        assert_eq!(producer.credits().expect("an honest consumer").bytes, 1);
        other.join().expect("it ends well");
    });
}
