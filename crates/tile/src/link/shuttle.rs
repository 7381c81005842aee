//! Random schedules of larger cases: `cargo test -p icecore-tile --features shuttle --lib shuttle`.
//!
//! What it does *not* show: orders of memory that the processor alone can make; loom does.

use std::{sync::Arc, time::Duration};

use shuttle::{check_random, thread};

use super::{
    Consumer, Fragment, Mark, Producer,
    wiring::{Wiring, stream_byte},
};
use crate::bell::Bell;

/// Schedules tried for each case.
const SCHEDULES: usize = 300;
/// Fragments in each.
const COUNT: u64 = 40;

/// A model has no time.
const FOREVER: Duration = Duration::ZERO;

fn produce(mut producer: Producer, bell: &Bell) {
    while producer.published() < COUNT {
        let bytes = (producer.published() % 11) as usize;
        let start = producer.published_bytes();
        match producer.space(bytes).expect("honest consumers") {
            None => bell.sleep(FOREVER, || producer.has_news()),
            Some(space) => {
                for (position, byte) in (start..).zip(space.iter_mut()) {
                    *byte = stream_byte(position);
                }
                producer.publish(bytes, Mark::default());
            }
        }
    }
    while !producer.is_drained() {
        bell.sleep(FOREVER, || producer.is_drained());
    }
}

/// Keeps up to two fragments, and releases the younger first.
fn consume(mut consumer: Consumer, bell: &Bell, count: u64) {
    let mut kept: Vec<Fragment> = Vec::new();
    while consumer.taken() < count {
        match consumer.next().expect("an honest producer") {
            Some(fragment) => kept.push(fragment),
            None if kept.is_empty() => bell.sleep(FOREVER, || consumer.ready()),
            None => release(&mut kept),
        }
        if kept.len() > 2 {
            release(&mut kept);
        }
    }
    release(&mut kept);
}

fn release(kept: &mut Vec<Fragment>) {
    kept.iter().for_each(check_payload);
    while kept.pop().is_some() {}
}

fn check_payload(fragment: &Fragment) {
    let positions = fragment.stream_offset()..;
    assert!(positions.zip(fragment.bytes()).all(|(position, byte)| stream_byte(position) == *byte));
}

/// Passes every fragment on in two parts, and holds what is not yet released.
fn pass_on(mut consumer: Consumer, mut producer: Producer, bell: &Bell) {
    while consumer.taken() < COUNT {
        let Some(fragment) = consumer.next().expect("an honest producer") else {
            producer.credits().expect("honest consumers");
            bell.sleep(FOREVER, || consumer.ready() || producer.has_news());
            continue;
        };
        let middle = fragment.len() / 3;
        for range in [0..middle, middle..fragment.len()] {
            let mark = Mark::default();
            while !producer.publish_held(&fragment, range.clone(), mark).expect("honest consumers")
            {
                bell.sleep(FOREVER, || producer.has_news());
            }
        }
    }
    while !producer.is_drained() {
        bell.sleep(FOREVER, || producer.is_drained());
    }
    producer.credits().expect("honest consumers");
}

#[test]
fn fragments_stay_whole_for_three_consumers_on_a_small_ring() {
    check_random(
        || {
            let link = Arc::new(Wiring::new(4, 25, 3));
            let others: Vec<_> = (0..3)
                .map(|index| {
                    let link = link.clone();
                    thread::spawn(move || {
                        consume(link.consumer(index), &link.consumer_bell(index), COUNT);
                    })
                })
                .collect();
            produce(link.producer(), &link.producer_bell());
            others.into_iter().for_each(|other| other.join().expect("it ends well"));
        },
        SCHEDULES,
    );
}

#[test]
fn fragments_stay_whole_through_a_middle_tile_that_holds_them() {
    check_random(
        || {
            let first = Arc::new(Wiring::new(4, 25, 2));
            let memory = first.memory().clone();
            let second = Arc::new(Wiring::over(2, memory.clone(), memory, 1));
            let aside = thread::spawn({
                let first = first.clone();
                move || consume(first.consumer(0), &first.consumer_bell(0), COUNT)
            });
            let middle = thread::spawn({
                let (first, second) = (first.clone(), second.clone());
                move || pass_on(first.consumer(1), second.producer(), &first.consumer_bell(1))
            });
            let last = thread::spawn({
                let (first, second) = (first.clone(), second.clone());
                move || {
                    let consumer = second.consumer_ringing(0, false, first.consumer_bell(1));
                    consume(consumer, &second.consumer_bell(0), 2 * COUNT);
                }
            });
            produce(first.producer(), &first.producer_bell());
            for other in [aside, middle, last] {
                other.join().expect("it ends well");
            }
        },
        SCHEDULES,
    );
}
