//! Random steps of both sides against a plain model, with a second link that passes fragments on.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::super::{
    Consumer, Fragment, Mark, Producer,
    wiring::{Wiring, stream_byte},
};

#[derive(Debug, Clone)]
enum Step {
    /// Ask for space, write all of it, and publish a part.
    Send { bytes: usize, part: usize, origin: u16 },
    /// The consumer with this index takes.
    Take { consumer: usize, clone: bool },
    /// Drop one of the fragments held.
    Drop { index: usize },
    /// Pass a part of one of the middle's fragments on.
    PassOn { index: usize, start: usize, end: usize },
    /// The producers look.
    Look,
}

/// What was published and must arrive.
#[derive(Debug, Clone, PartialEq)]
struct Expected {
    stream_offset: u64,
    mark: Mark,
    bytes: Vec<u8>,
}

/// One consumer with what it must still get.
struct Reader {
    consumer: Consumer,
    coming: VecDeque<Expected>,
}

struct World {
    capacity: usize,
    depth: u64,
    source: Producer,
    passing: Producer,
    /// An end of the first link, its middle, and the end of the second link.
    readers: [Reader; 3],
    /// Fragments in hand, with the reader that took each and what it must be for as long as held.
    held: Vec<(usize, Fragment, Expected)>,
}

const MIDDLE: usize = 1;
const LAST: usize = 2;

impl World {
    fn new(depth: u32, capacity: usize) -> Self {
        let first = Wiring::new(depth, capacity, 2);
        let second = Wiring::over(depth, first.memory().clone(), first.memory().clone(), 1);
        let consumers = [first.consumer(0), first.consumer(1), second.consumer(0)];
        Self {
            capacity,
            depth: u64::from(depth),
            source: first.producer(),
            passing: second.producer(),
            readers: consumers.map(|consumer| Reader { consumer, coming: VecDeque::new() }),
            held: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send { bytes, part, origin } => {
                self.send(bytes % (self.capacity + 1), part, origin)
            }
            Step::Take { consumer, clone } => self.take(consumer % 3, clone),
            Step::Drop { index } => {
                if !self.held.is_empty() {
                    self.held.swap_remove(index % self.held.len());
                }
            }
            Step::PassOn { index, start, end } => self.pass_on(index, start, end),
            Step::Look => {
                self.source.credits().expect("honest");
                self.passing.credits().expect("honest");
            }
        }
        self.check();
    }

    fn send(&mut self, bytes: usize, part: usize, origin: u16) {
        let start = self.source.published_bytes();
        let refused_before = self.source.held_back();
        let Some(space) = self.source.space(bytes).expect("honest") else {
            assert_eq!(self.source.held_back(), refused_before + 1);
            let credits = self.source.credits().expect("honest");
            assert!(credits.fragments == 0 || credits.bytes < bytes, "{credits:?} for {bytes}");
            return;
        };
        assert!(space.len() >= bytes);
        let size = part % (space.len() + 1);
        // All of the space is written: none of it may belong to a fragment in flight.
        for (position, byte) in (start..).zip(space.iter_mut()) {
            *byte = stream_byte(position);
        }
        let mark = Mark::from_origin(origin);
        self.source.publish(size, mark);
        let bytes = (start..start + size as u64).map(stream_byte).collect();
        let expected = Expected { stream_offset: start, mark, bytes };
        for reader in &mut self.readers[..=MIDDLE] {
            reader.coming.push_back(expected.clone());
        }
    }

    fn take(&mut self, number: usize, clone: bool) {
        let reader = &mut self.readers[number];
        let sequence = reader.consumer.taken();
        assert_eq!(reader.consumer.ready(), !reader.coming.is_empty());
        let fragment = reader.consumer.next().expect("honest");
        let Some(expected) = reader.coming.pop_front() else {
            assert!(fragment.is_none());
            return;
        };
        let fragment = fragment.expect("it was published");
        assert_eq!(fragment.sequence(), sequence);
        if clone {
            self.held.push((number, fragment.clone(), expected.clone()));
        }
        self.held.push((number, fragment, expected));
    }

    fn pass_on(&mut self, index: usize, start: usize, end: usize) {
        let middles = self.held.iter().filter(|(reader, ..)| *reader == MIDDLE);
        let Some((_, fragment, whole)) = middles.clone().nth(index % middles.count().max(1)) else {
            return;
        };
        let end = end % (fragment.len() + 1);
        let range = start % (end + 1)..end;
        let (stream_offset, mark) = (self.passing.published_bytes(), whole.mark.with(Mark::END));
        let bytes = whole.bytes[range.clone()].to_vec();
        if self.passing.publish_held(fragment, range, mark).expect("honest") {
            let expected = Expected { stream_offset, mark, bytes };
            self.readers[LAST].coming.push_back(expected);
        } else {
            assert_eq!(self.passing.in_flight().0, self.depth);
        }
    }

    fn check(&self) {
        for (_, fragment, expected) in &self.held {
            assert_eq!(fragment.bytes(), expected.bytes);
            assert_eq!(fragment.stream_offset(), expected.stream_offset);
            assert_eq!(fragment.mark(), expected.mark);
        }
        for producer in [&self.source, &self.passing] {
            assert!(producer.in_flight().0 <= self.depth);
        }
        assert!(self.source.in_flight().1 <= self.capacity as u64);
    }

    /// Everything that was published arrives, and everything comes back.
    fn drain(mut self) {
        for number in 0..self.readers.len() {
            while !self.readers[number].coming.is_empty() {
                self.take(number, false);
                self.check();
            }
        }
        self.held.clear();
        self.passing.credits().expect("honest");
        assert!(self.passing.is_drained());
        assert!(self.source.is_drained());
        let credits = self.source.credits().expect("honest");
        assert_eq!((u64::from(credits.fragments), credits.bytes), (self.depth, self.capacity));
        assert!(self.source.space(self.capacity).expect("honest").is_some());
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any::<usize>(), any::<usize>(), any::<u16>())
            .prop_map(|(bytes, part, origin)| Step::Send { bytes, part, origin }),
        3 => (0..12_usize, any::<usize>(), any::<u16>())
            .prop_map(|(bytes, part, origin)| Step::Send { bytes, part, origin }),
        6 => (any::<usize>(), any::<bool>())
            .prop_map(|(consumer, clone)| Step::Take { consumer, clone }),
        8 => any::<usize>().prop_map(|index| Step::Drop { index }),
        3 => (any::<usize>(), any::<usize>(), any::<usize>())
            .prop_map(|(index, start, end)| Step::PassOn { index, start, end }),
        1 => Just(Step::Look),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn whatever_the_order_fragments_stay_whole_and_credits_hold(
        depth_log in 0..5_u32,
        capacity in 0..80_usize,
        steps in steps(),
    ) {
        let mut world = World::new(1 << depth_log, capacity);
        for step in steps {
            world.step(step);
        }
        world.drain();
    }
}
