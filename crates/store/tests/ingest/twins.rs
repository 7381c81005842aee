//! Numbers that begin more than once: dead slots, duplicate blocks, other feeds.

use icecore_store::SlotState;
use icecore_types::{Account, Pubkey};

use crate::{
    common::{
        data,
        messages::read,
        model::{At, Base, Model},
        story::{Story, account_of, key_of, small_base},
        truth,
    },
    ingest,
    mutator::{dying, with_duplicate},
};

fn ingested(story: &Story) -> Model {
    let mut model = Model::new(&small_base());
    ingest(&mut model, &story.messages).expect("the story is sound");
    assert_eq!(model.differences(&story.model), [""; 0]);
    model
}

fn states(model: &Model, number: u64) -> Vec<SlotState> {
    model.of_number(number).iter().map(|slot| slot.state).collect()
}

#[test]
fn a_number_that_died_begins_again_and_is_rooted() {
    let mut story = Story::new(&small_base());
    story.begin(101, 100).write(101, key_of(1), account_of(5)).abandon(101);
    story.whole(101, 100, &[(1, 6)]).whole(102, 101, &[(2, 7)]).root(101).root(102);
    let mut model = ingested(&story);
    assert_eq!(states(&model, 101), [SlotState::Dead, SlotState::Rooted]);
    let (slot, account) = model.get(At::Root, &key_of(1)).expect("written");
    assert_eq!((*slot, account.lamports), (101, 6));
    let before = model.clone();
    let again = ingest(&mut model, &story.messages).expect("sound").counters;
    assert_eq!(model.outline(), before.outline());
    assert_eq!((again.slots_there, again.accounts_written, again.slots_dead), (3, 0, 0));
}

#[test]
fn a_duplicate_block_is_another_slot() {
    let mut story = Story::new(&small_base());
    story.whole(101, 100, &[(1, 5)]).whole(102, 101, &[(2, 5)]);
    story.abandon(101).abandon(102);
    story.whole(101, 100, &[(1, 6)]).whole(102, 101, &[(2, 6), (3, 0)]);
    story.root(101).root(102);
    let mut model = ingested(&story);
    use SlotState::{Abandoned, Rooted};
    assert_eq!(states(&model, 101), [Abandoned, Rooted]);
    assert_eq!(states(&model, 102), [Abandoned, Rooted]);
    let first = model.of_number(102)[0].id;
    let balance =
        |model: &Model, at, key| model.get(at, &key_of(key)).map(|(_, account)| account.lamports);
    assert_eq!([1, 2, 3].map(|key| balance(&model, At::Fork(first), key)), [5, 5, 1003].map(Some));
    assert_eq!([1, 2, 3].map(|key| balance(&model, At::Root, key)), [Some(6), Some(6), None]);
    // Both are found again, each for its own.
    let before = model.clone();
    let again = ingest(&mut model, &story.messages).expect("sound").counters;
    assert_eq!(model.outline(), before.outline());
    assert_eq!((again.slots_there, again.accounts_passed, again.accounts_written), (4, 5, 0));
    // So they are when only the first was there.
    let mut model = Model::new(&small_base());
    ingest(&mut model, &story.messages[..8]).expect("sound");
    assert_eq!((states(&model, 101).len(), states(&model, 102).len()), (1, 1));
    ingest(&mut model, &story.messages).expect("sound");
    assert_eq!(model.outline(), before.outline());
}

#[test]
fn the_same_content_that_begins_again_is_another_slot() {
    let mut story = Story::new(&small_base());
    story.whole(101, 100, &[(1, 5)]).abandon(101);
    story.whole(101, 100, &[(1, 5)]).root(101);
    let mut model = ingested(&story);
    assert_eq!(states(&model, 101), [SlotState::Abandoned, SlotState::Rooted]);
    let before = model.clone();
    ingest(&mut model, &story.messages).expect("sound");
    assert_eq!(model.outline(), before.outline());
}

#[test]
fn a_number_that_begins_again_on_another_parent_is_another_slot() {
    let mut story = Story::new(&small_base());
    story.whole(101, 100, &[(1, 5)]).whole(105, 101, &[(2, 5)]).abandon(105);
    story.whole(105, 100, &[(2, 5)]).root(105);
    let model = ingested(&story);
    assert_eq!(states(&model, 105), [SlotState::Abandoned, SlotState::Rooted]);
}

/// Two validators saw other blocks of one number: their feeds can be given one after the other.
#[test]
fn another_feed_brings_another_block_of_a_number() {
    let mut first = Story::new(&small_base());
    first.whole(101, 100, &[(1, 5), (2, 5)]);
    let mut second = Story::new(&small_base());
    second.whole(101, 100, &[(1, 6), (2, 6)]).whole(102, 101, &[(1, 7)]);
    let mut model = ingested(&first);
    let counters = ingest(&mut model, &second.messages).expect("sound").counters;
    assert_eq!((counters.slots_committed, counters.accounts_written), (2, 3));
    assert_eq!(states(&model, 101), [SlotState::Committed, SlotState::Committed]);
    // A number alone does not say which of them is rooted, a feed that knows does.
    second.root(101).root(102);
    ingest(&mut model, &second.messages).expect("sound");
    assert_eq!(states(&model, 101), [SlotState::Abandoned, SlotState::Rooted]);
}

/// What dies for one feed ends for another.
#[test]
fn a_slot_that_died_in_one_feed_ends_in_another() {
    let mut first = Story::new(&small_base());
    first.begin(101, 100).write(101, key_of(1), account_of(5)).abandon(101);
    let mut second = Story::new(&small_base());
    second.whole(101, 100, &[(1, 5)]).root(101);
    let mut model = ingested(&first);
    ingest(&mut model, &second.messages).expect("sound");
    assert_eq!(states(&model, 101), [SlotState::Dead, SlotState::Rooted]);
    // And the other way round it is recorded, too.
    let mut model = ingested(&second);
    ingest(&mut model, &first.messages[..1]).expect("sound");
    assert_eq!(states(&model, 101), [SlotState::Rooted], "held until it is known");
}

#[test]
fn real_feeds_with_dead_slots_and_duplicate_blocks_are_recorded_rightly() {
    for set in data::feed_sets() {
        let truth = truth::slots(&set);
        let base = Base { bank_hash: truth.base_bank_hash, ..data::base(&set) };
        let mut messages = read(&data::feed(&set)).expect("sound");
        let has_child = |slot| truth.slots.iter().any(|child| child.parent == slot);
        let leaf = truth.slots.iter().find(|slot| !slot.is_rooted && !has_child(slot.slot));
        let leaf = leaf.expect("forks end").slot;
        messages = dying(&messages, leaf);
        let doubled: Vec<_> = truth
            .slots
            .iter()
            .filter(|slot| slot.is_rooted && slot.accounts_written > 0)
            .map(|slot| slot.slot)
            .step_by(9)
            .collect();
        for slot in &doubled {
            messages = with_duplicate(&base, &messages, *slot, |account: &mut Account| {
                if account.lamports > 0 && account.owner == Pubkey::default() {
                    account.lamports += 1;
                }
            });
        }
        let story = Story::retold(&base, &messages);
        assert!(story.messages == messages);
        let mut model = Model::new(&base);
        ingest(&mut model, &messages).expect("sound");
        assert_eq!(model.differences(&story.model), [""; 0]);
        assert_eq!(states(&model, leaf), [SlotState::Dead]);
        for slot in doubled {
            assert_eq!(states(&model, slot), [SlotState::Abandoned, SlotState::Rooted]);
        }
        // What is final is what it was.
        let root = &model.slot(model.root_id());
        let last = truth.slots.iter().find(|slot| slot.slot == truth.last_root).expect("there");
        assert_eq!(root.bank_hash, Some(last.bank_hash));
    }
}
