//! Against a plain map, with an index that knows published events only.

use proptest::prelude::*;

use super::*;

/// The id of a numbered stream: looks random, as a keyed hash does.
fn id(stream: u64) -> [u8; 16] {
    *blake3::hash(&stream.to_le_bytes()).as_bytes().first_chunk().expect("a hash is longer")
}

/// What the writer does, with a cache and without.
struct Model {
    heads: StreamHeads,
    /// The truth.
    next_versions: HashMap<u64, u64>,
    /// What the index knows.
    published: HashMap<u64, u64>,
    /// Streams of the events not yet published.
    unpublished: VecDeque<u64>,
    end_sequence: u64,
}

impl Model {
    fn new(entries: usize) -> Self {
        Self {
            heads: StreamHeads::new(entries),
            next_versions: HashMap::new(),
            published: HashMap::new(),
            unpublished: VecDeque::new(),
            end_sequence: 0,
        }
    }

    /// As the writer finds it: from the cache, else from the index.
    fn check(&self, stream: u64) -> u64 {
        let truth = self.next_versions.get(&stream).copied().unwrap_or(0);
        match self.heads.get(&id(stream)) {
            Some(found) => assert_eq!(found, truth, "the cache is never stale"),
            None => {
                let indexed = self.published.get(&stream).copied().unwrap_or(0);
                assert_eq!(indexed, truth, "what is not found is published");
            }
        }
        truth
    }

    fn append(&mut self, stream: u64) {
        let next_version = self.check(stream) + 1;
        self.next_versions.insert(stream, next_version);
        self.unpublished.push_back(stream);
        self.end_sequence += 1;
        self.heads.insert(&id(stream), next_version, self.end_sequence);
    }

    /// Keeps what was read from the index, as a writer may.
    fn remember(&mut self, stream: u64) {
        let next_version = self.check(stream);
        self.heads.insert(&id(stream), next_version, self.end_sequence);
    }

    fn publish(&mut self, count: usize) {
        for stream in self.unpublished.drain(..count.min(self.unpublished.len())) {
            *self.published.entry(stream).or_default() += 1;
        }
        self.heads.published(self.end_sequence - self.unpublished.len() as u64);
        assert!(self.heads.overflow.len() <= self.heads.leaving.len());
    }

    /// A failed write: what was accepted and not published is void.
    fn fail(&mut self) {
        self.next_versions.clone_from(&self.published);
        self.end_sequence -= self.unpublished.len() as u64;
        self.unpublished.clear();
        self.heads.clear();
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Remember(u64),
    Publish(usize),
    Fail,
}

proptest! {
    #[test]
    fn no_version_is_stale_and_what_is_not_found_is_published(
        steps in prop::collection::vec(
            prop_oneof![
                30 => (0..60_u64).prop_map(Step::Append),
                5 => (0..60_u64).prop_map(Step::Remember),
                2 => (0..60_usize).prop_map(Step::Publish),
                1 => Just(Step::Fail),
            ],
            0..1000,
        ),
        ways in 0..3_u32,
    ) {
        let mut model = Model::new(WAYS << ways);
        for step in steps {
            match step {
                Step::Append(stream) => model.append(stream),
                Step::Remember(stream) => model.remember(stream),
                Step::Publish(count) => model.publish(count),
                Step::Fail => model.fail(),
            }
        }
        for stream in 0..60 {
            model.check(stream);
        }
        model.publish(usize::MAX);
        prop_assert!(model.heads.overflow.is_empty() && model.heads.leaving.is_empty());
        for stream in 0..60 {
            model.check(stream);
        }
    }
}

#[test]
fn the_streams_used_last_stay_when_others_leave() {
    let mut heads = StreamHeads::new(WAYS);
    for stream in 0..8 {
        heads.insert(&id(stream), stream + 1, 0);
    }
    heads.insert(&id(0), 100, 0);
    heads.insert(&id(8), 9, 0);
    assert_eq!(heads.get(&id(0)), Some(100), "it was used again");
    assert_eq!(heads.get(&id(1)), None, "it was the oldest, and no event waited");
    for stream in 2..9 {
        assert_eq!(heads.get(&id(stream)), Some(stream + 1));
    }
}

#[test]
fn a_version_waits_in_the_overflow_until_its_events_are_published() {
    let mut heads = StreamHeads::new(WAYS);
    for stream in 0..9 {
        heads.insert(&id(stream), 7, stream + 1);
    }
    heads.published(8);
    assert_eq!(heads.get(&id(0)), Some(7), "nine events were accepted when it left");
    heads.published(9);
    assert_eq!(heads.get(&id(0)), None);
}

#[test]
fn versions_of_any_size_are_kept_until_published() {
    let mut heads = StreamHeads::new(WAYS);
    let versions = [0, 1, VERSION_MASK - 1, VERSION_MASK, VERSION_MASK + 1, u64::MAX, 5];
    for (end_sequence, version) in (1..).zip(versions) {
        heads.insert(&id(3), version, end_sequence);
        assert_eq!(heads.get(&id(3)), Some(version));
    }
    heads.insert(&id(3), u64::MAX, 100);
    heads.published(100);
    assert_eq!(heads.get(&id(3)), None, "an older version must not come back");
}

#[test]
fn an_id_of_zeros_is_not_an_empty_entry() {
    let mut heads = StreamHeads::new(WAYS);
    assert_eq!(heads.get(&[0; 16]), None);
    heads.insert(&[0; 16], 0, 1);
    assert_eq!(heads.get(&[0; 16]), Some(0));
}

#[test]
fn ids_that_differ_in_a_compared_bit_are_told_apart() {
    let mut heads = StreamHeads::new(WAYS);
    heads.insert(&[0; 16], 1, 1);
    let compared_bytes = (0..8).chain(14..16);
    for byte in compared_bytes {
        for bit in 0..8 {
            let mut other = [0; 16];
            other[byte] = 1 << bit;
            assert_eq!(heads.get(&other), None, "byte {byte}, bit {bit}");
        }
    }
}
