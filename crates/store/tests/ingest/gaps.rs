//! Feeds that do not begin where the store is.

use icecore_store::ingest::{IngestOptions, Refusal, Summary};
use icecore_types::Hash;

use crate::{
    common::{
        messages::write,
        model::{Base, Model},
        story::{Story, small_base},
    },
    ingest, ingest_chunks, refused,
};

const ALLOW_GAP: IngestOptions = IngestOptions { until: None, allow_gap: true };

fn with_gap(model: &mut Model, story: &Story) -> Summary {
    ingest_chunks(model, &write(&story.messages), 4096, ALLOW_GAP).expect("a gap is allowed")
}

/// Slots 101, 102, (a fork) 103, 104 on 102, 105; rooted up to 104.
fn story() -> Story {
    let mut story = Story::new(&small_base());
    story.whole(101, 100, &[(1, 1)]).whole(102, 101, &[(2, 2)]).whole(103, 101, &[(3, 3)]);
    story.root(101).whole(104, 102, &[(4, 4)]).root(102).whole(105, 104, &[(5, 5)]);
    story.root(104).abandon(103);
    story
}

fn at(story: &Story, number: u64) -> Base {
    let slot = story.model.of_number(number)[0];
    let accounts = story.model.scan(crate::common::model::At::Fork(slot.id));
    Base { slot: number, bank_hash: slot.bank_hash.expect("complete"), accounts }
}

#[test]
fn a_feed_that_begins_elsewhere_is_refused_by_name() {
    let story = story();
    let other = Base { bank_hash: Hash([1; 32]), ..small_base() };
    let older = Base { slot: 50, ..small_base() };
    let newer = at(&story, 104);
    for base in [&other, &older, &newer] {
        let mut model = Model::new(base);
        let (offset, slot, refusal) = refused(ingest(&mut model, &story.messages));
        let wrong_base = Refusal::WrongBase {
            parent_slot: 100,
            parent_bank_hash: small_base().bank_hash,
            root_slot: base.slot,
            root_bank_hash: base.bank_hash,
        };
        assert_eq!((offset, slot, refusal), (16, 101, wrong_base));
        assert_eq!(model.all_slots().count(), 1);
    }
    // A gap is no help when it is another chain.
    let mut model = Model::new(&other);
    let result = ingest_chunks(&mut model, &write(&story.messages), 4096, ALLOW_GAP);
    assert!(matches!(refused(result).2, Refusal::WrongBase { .. }));
}

#[test]
fn what_lies_before_a_gap_that_is_allowed_stays_and_the_gap_is_recorded() {
    let story = story();
    let mut model = Model::new(&Base { slot: 50, ..small_base() });
    let summary = with_gap(&mut model, &story);
    assert_eq!(summary.gap, Some((51, 104)));
    assert_eq!(model.gaps.iter().collect::<Vec<_>>(), [&(51, 104)]);
    let counters = summary.counters;
    assert_eq!((counters.slots_passed, counters.slots_committed), (5, 0));
    assert_eq!((counters.accounts_passed, counters.accounts_written), (5, 0));
    assert_eq!(model.all_slots().count(), 1);
    // With a state within the feed, it goes on from there; there is no more gap to record.
    model.restore(&at(&story, 102));
    let summary = with_gap(&mut model, &story);
    assert_eq!(summary.gap, None);
    assert_eq!(model.gaps.len(), 1);
    let numbers: Vec<_> = model.all_slots().map(|slot| slot.number).collect();
    assert_eq!(numbers, [50, 102, 104, 105]);
    assert_eq!(model.slot(model.root_id()).number, 104);
}

#[test]
fn a_feed_that_begins_before_the_store_joins_it_when_a_gap_is_allowed() {
    let story = story();
    let mut model = Model::new(&at(&story, 102));
    let summary = with_gap(&mut model, &story);
    assert_eq!(summary.gap, None);
    assert!(model.gaps.is_empty());
    let counters = summary.counters;
    assert_eq!((counters.slots_passed, counters.slots_committed, counters.rooted), (3, 2, 1));
    for number in [104, 105] {
        let (ours, theirs) = (model.of_number(number)[0], story.model.of_number(number)[0]);
        assert_eq!((ours.state, ours.bank_hash), (theirs.state, theirs.bank_hash));
        assert_eq!(ours.totals, theirs.totals);
    }
}
