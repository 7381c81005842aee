//! Single steps, both sides on one thread, and real threads.

mod hostile;
mod model;

use std::{thread, time::Duration};

use super::{
    Consumer, Fragment, LinkShape, Mark, Producer,
    wiring::{Wiring, stream_byte},
};
use crate::{
    bell::Bell,
    workspace::{Backing, Workspace},
};

/// So long that a test which misses a ring does not end.
const FOREVER: Duration = Duration::from_secs(3600);

fn send(producer: &mut Producer, bytes: &[u8]) -> bool {
    let space = producer.space(bytes.len()).expect("honest consumers");
    let Some(space) = space else { return false };
    space[..bytes.len()].copy_from_slice(bytes);
    producer.publish(bytes.len(), Mark::default());
    true
}

fn take(consumer: &mut Consumer) -> Fragment {
    consumer.next().expect("an honest producer").expect("something was published")
}

fn foreign_consumer(link: &Wiring) -> Consumer {
    link.consumer_ringing(0, true, link.producer_bell())
}

#[test]
fn fragments_arrive_with_their_bytes_marks_and_places_in_the_stream() {
    let link = Wiring::new(4, 100, 1);
    let (mut producer, mut consumer) = (link.producer(), link.consumer(0));
    assert!(!consumer.ready());
    assert!(consumer.next().expect("honest").is_none());
    let marks = [Mark::from_origin(7).with(Mark::START), Mark { flags: 0xFA, origin: 0xFFFF }];
    for (bytes, mark) in [b"abcdefgh".as_slice(), b""].into_iter().zip(marks) {
        let space = producer.space(bytes.len()).expect("honest").expect("credit");
        space[..bytes.len()].copy_from_slice(bytes);
        producer.publish(bytes.len(), mark);
    }
    assert!(consumer.ready());
    let (first, second) = (take(&mut consumer), take(&mut consumer));
    assert_eq!((first.sequence(), first.stream_offset(), first.bytes()), (0, 0, &b"abcdefgh"[..]));
    assert_eq!((second.sequence(), second.stream_offset(), second.bytes()), (1, 8, &b""[..]));
    assert_eq!([first.mark(), second.mark()], marks);
    assert!(second.is_empty() && first.mark().is_start() && second.mark().is_end());
    let mut part = [0; 3];
    first.copy_to(4, &mut part);
    assert_eq!(&part, b"efg");
    assert_eq!((consumer.taken(), consumer.ready()), (2, false));
    assert_eq!((producer.published(), producer.published_bytes()), (2, 8));
}

#[test]
fn the_slowest_consumer_decides_and_a_refusal_is_counted() {
    let link = Wiring::new(2, 100, 2);
    let (mut producer, mut quick, mut slow) = (link.producer(), link.consumer(0), link.consumer(1));
    assert!(send(&mut producer, b"a") && send(&mut producer, b"b"));
    drop((take(&mut quick), take(&mut quick)));
    assert!(!send(&mut producer, b"c"));
    assert_eq!(producer.held_back(), 1);
    assert_eq!(producer.in_flight(), (2, 2));
    assert!(!producer.is_drained() && !producer.has_news());
    drop(take(&mut slow));
    assert!(producer.has_news());
    assert!(send(&mut producer, b"c"));
    assert!(!send(&mut producer, b"d"));
    drop((take(&mut slow), take(&mut slow), take(&mut quick)));
    assert!(producer.is_drained());
    let credits = producer.credits().expect("honest");
    assert_eq!((credits.fragments, credits.bytes), (2, 100));
    assert_eq!(producer.in_flight(), (0, 0));
}

#[test]
fn progress_is_the_lowest_that_is_not_released_and_clones_count() {
    let link = Wiring::new(4, 100, 1);
    let (mut producer, mut consumer) = (link.producer(), link.consumer(0));
    for bytes in [b"a".as_slice(), b"bb", b"ccc"] {
        assert!(send(&mut producer, bytes));
    }
    let [first, second, third] = [(); 3].map(|()| take(&mut consumer));
    let again = first.clone();
    drop((third, first));
    assert_eq!(producer.credits().expect("honest").fragments, 1);
    drop(again);
    assert_eq!(producer.credits().expect("honest").fragments, 2);
    assert_eq!(producer.in_flight(), (2, 5));
    drop(second);
    assert_eq!(producer.credits().expect("honest").fragments, 4);
}

#[test]
fn space_stays_where_it_is_until_it_is_published() {
    let link = Wiring::new(8, 10, 1);
    let (mut producer, mut consumer) = (link.producer(), link.consumer(0));
    assert!(send(&mut producer, b"0123"));
    let space = producer.space(1).expect("honest").expect("credit");
    assert_eq!(space.len(), 6);
    space.copy_from_slice(b"456789");
    assert_eq!(producer.space(3).expect("honest").expect("credit"), b"456789");
    producer.publish(3, Mark::default());
    drop(take(&mut consumer));
    // Three bytes remain up to the end, four are free at the start: five fit nowhere.
    assert!(producer.space(5).expect("honest").is_none());
    assert_eq!(producer.space(4).expect("honest").expect("credit").len(), 4);
    assert_eq!(producer.space(0).expect("honest").expect("credit").len(), 4);
    drop(take(&mut consumer));
    assert_eq!(producer.space(8).expect("honest").expect("credit").len(), 10);
}

#[test]
fn a_held_fragment_is_released_when_those_it_was_passed_on_to_have_released_it() {
    let first = Wiring::new(2, 16, 1);
    let second = Wiring::over(4, first.memory().clone(), first.memory().clone(), 1);
    let (mut source, mut middle) = (first.producer(), first.consumer(0));
    let (mut passing, mut last) = (second.producer(), second.consumer(0));
    assert!(send(&mut source, b"0123456789"));
    let fragment = take(&mut middle);
    for range in [2..5, 7..7, 5..10] {
        assert!(passing.publish_held(&fragment, range, Mark::default()).expect("honest"));
    }
    drop(fragment);
    let parts = [(); 3].map(|()| take(&mut last));
    let bytes: [&[u8]; 3] = parts.each_ref().map(Fragment::bytes);
    assert_eq!(bytes, [b"234".as_slice(), b"", b"56789"]);
    assert_eq!(parts.each_ref().map(Fragment::stream_offset), [0, 3, 3]);
    drop(parts);
    assert!(!source.is_drained());
    passing.credits().expect("honest");
    assert!(source.is_drained());
}

#[test]
fn a_reset_link_goes_on_at_the_same_numbers_with_all_its_room() {
    let link = Wiring::new(4, 10, 2);
    let mut producer = link.producer();
    let mut consumers = [link.consumer(0), link.consumer(1)];
    for bytes in [b"0123".as_slice(), b"456"] {
        assert!(send(&mut producer, bytes));
    }
    assert!(producer.space(2).expect("honest").is_some());
    drop(take(&mut consumers[0]));
    consumers.iter_mut().try_for_each(Consumer::skip_all).expect("honest");
    producer.reset().expect("honest");
    assert!(producer.is_drained());
    assert!(send(&mut producer, b"abcdefghij"));
    for consumer in &mut consumers {
        let fragment = take(consumer);
        assert_eq!((fragment.sequence(), fragment.stream_offset()), (2, 7));
        assert_eq!(fragment.bytes(), b"abcdefghij");
    }
}

#[test]
fn fragments_outlive_their_consumer() {
    let link = Wiring::new(2, 8, 1);
    let (mut producer, mut consumer) = (link.producer(), link.consumer(0));
    assert!(send(&mut producer, b"kept"));
    let fragment = take(&mut consumer);
    drop(consumer);
    assert_eq!(fragment.bytes(), b"kept");
    assert!(!producer.is_drained());
    drop(fragment);
    assert!(producer.is_drained());
}

#[test]
#[should_panic(expected = "copy them first")]
fn bytes_that_another_process_can_write_are_not_lent() {
    let link = Wiring::new(2, 8, 1);
    assert!(send(&mut link.producer(), b"any"));
    let _ = take(&mut foreign_consumer(&link)).bytes();
}

#[test]
#[should_panic(expected = "never fit")]
fn more_than_the_region_has_is_a_mistake_of_the_caller() {
    let _ = Wiring::new(2, 8, 1).producer().space(9);
}

#[test]
#[should_panic(expected = "space is asked for")]
fn nothing_is_published_without_space() {
    Wiring::new(2, 8, 1).producer().publish(0, Mark::default());
}

#[test]
#[should_panic(expected = "before the rest is skipped")]
fn skipping_with_a_fragment_in_hand_is_a_mistake_of_the_caller() {
    let link = Wiring::new(2, 8, 1);
    let (mut producer, mut consumer) = (link.producer(), link.consumer(0));
    assert!(send(&mut producer, b"a"));
    let _held = take(&mut consumer);
    let _ = consumer.skip_all();
}

#[test]
fn a_consumer_that_has_taken_does_not_change_threads() {
    let link = Wiring::new(2, 8, 1);
    let (mut producer, mut consumer) = (link.producer(), link.consumer(0));
    assert!(send(&mut producer, b"a"));
    drop(take(&mut consumer));
    assert!(thread::spawn(move || consumer.next().is_ok()).join().is_err());
    let mut unused = Wiring::new(2, 8, 1).consumer(0);
    assert!(thread::spawn(move || unused.next().is_ok()).join().expect("the thread ends well"));
}

#[test]
fn a_process_that_joins_takes_and_releases_through_mappings_of_its_own() {
    let shape = LinkShape { depth: 4, data_bytes: 3 << 20, consumers: 1 };
    let sizes = [shape.ring_words() * 8 + shape.data_bytes, shape.progress_words() * 8 + 64];
    let [here, back] =
        sizes.map(|bytes| Workspace::create("link", bytes, Backing::Shared).expect("memory"));
    let join = |workspace: &Workspace, writable| {
        let file = workspace.fd().expect("shared").try_clone_to_owned().expect("descriptors");
        Workspace::join("link", file, workspace.bytes(), writable).expect("the same size")
    };
    let (there, back_there) = (join(&here, false), join(&back, true));
    let data = shape.ring_words() * 8;
    let bell = |back: &Workspace| Bell::new(back.words(shape.progress_words() * 8, Bell::WORDS));
    let mut producer = Producer::new(
        shape,
        here.words(0, shape.ring_words()),
        back.words(0, shape.progress_words()),
        here.region(data, shape.data_bytes),
        vec![],
    );
    let mut consumer = Consumer::new(
        shape,
        there.words(0, shape.ring_words()),
        back_there.words(0, shape.progress_words()),
        0,
        there.region(data, shape.data_bytes),
        true,
        bell(&back_there),
    );
    let payload: Vec<u8> = (0..2 << 20).map(stream_byte).collect();
    for _ in 0..3 {
        assert!(send(&mut producer, &payload));
        assert!(!send(&mut producer, &payload));
        let fragment = take(&mut consumer);
        let mut arrived = vec![0; payload.len() - 3];
        fragment.copy_to(3, &mut arrived);
        assert!(arrived == payload[3..]);
    }
    assert!(producer.is_drained());
}

/// Publishes `count` fragments of sizes from 0 to 36, sleeping for want of credit.
fn produce(mut producer: Producer, bell: &Bell, count: u64) {
    while producer.published() < count {
        let bytes = (producer.published() % 37) as usize;
        let start = producer.published_bytes();
        match producer.space(bytes).expect("honest consumers") {
            None => bell.sleep(FOREVER, || producer.has_news()),
            Some(space) => {
                for (position, byte) in (start..).zip(&mut space[..bytes]) {
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

fn check_payload(fragment: &Fragment) {
    let positions = fragment.stream_offset()..;
    assert!(positions.zip(fragment.bytes()).all(|(position, byte)| stream_byte(position) == *byte));
}

fn consume(mut consumer: Consumer, bell: &Bell, count: u64) {
    while consumer.taken() < count {
        match consumer.next().expect("an honest producer") {
            Some(fragment) => check_payload(&fragment),
            None => bell.sleep(FOREVER, || consumer.ready()),
        }
    }
}

/// Passes every fragment on in two halves.
fn pass_on(mut consumer: Consumer, mut producer: Producer, bell: &Bell, count: u64) {
    while consumer.taken() < count {
        let Some(fragment) = consumer.next().expect("an honest producer") else {
            producer.credits().expect("honest consumers");
            bell.sleep(FOREVER, || consumer.ready() || producer.has_news());
            continue;
        };
        let middle = fragment.len() / 2;
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
fn threads_that_sleep_when_they_must_wait_pass_everything_on() {
    const COUNT: u64 = 50_000;
    let first = Wiring::new(8, 97, 2);
    let second = Wiring::over(8, first.memory().clone(), first.memory().clone(), 1);
    // The middle tile has one bell: that of the first link's second consumer.
    let source = first.producer();
    let aside = first.consumer(0);
    let middle_takes = first.consumer(1);
    let middle_gives = second.producer();
    let last = second.consumer_ringing(0, false, first.consumer_bell(1));
    thread::scope(|scope| {
        scope.spawn(|| produce(source, &first.producer_bell(), COUNT));
        scope.spawn(|| consume(aside, &first.consumer_bell(0), COUNT));
        scope.spawn(|| pass_on(middle_takes, middle_gives, &first.consumer_bell(1), COUNT));
        scope.spawn(|| consume(last, &second.consumer_bell(0), 2 * COUNT));
    });
}
