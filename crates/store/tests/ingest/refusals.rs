//! Hostile feeds: what each is refused for, and where.

use icecore_store::{
    SlotState,
    feed::{FeedFault, SlotBegin},
    ingest::{IngestError, IngestOptions, OPEN_SLOTS_MAX, Refusal},
};
use icecore_types::{Hash, Slot};

use crate::{
    common::{
        data,
        messages::{Message, read, write},
        model::{Base, Model, ModelError},
        story::{Random, Story, account_of, key_of, small_base},
        truth,
    },
    ingest, ingest_chunks,
    mutator::{changed, damaged, doubled, moved, offset, place, without},
    refused, store_said,
};

/// 101 with two accounts, 102 on it, 103 on it too and abandoned, 104 on 102; rooted up to 102.
fn story() -> Story {
    let mut story = Story::new(&small_base());
    story.whole(101, 100, &[(1, 1), (2, 2)]).whole(102, 101, &[(3, 3)]);
    story.whole(103, 101, &[(4, 4)]).root(101).root(102).abandon(103);
    story.whole(104, 102, &[(5, 5), (6, 6)]);
    story
}

/// What the feed is refused for: its message begins at `at`.
fn check(messages: &[Message], at: usize, slot: Slot, refusal: Refusal) {
    let mut model = Model::new(&small_base());
    let result = ingest(&mut model, messages);
    assert_eq!(refused(result), (offset(messages, at), slot, refusal));
}

fn check_store(messages: &[Message], at: usize, slot: Slot, said: ModelError) {
    let mut model = Model::new(&small_base());
    let result = ingest(&mut model, messages);
    assert_eq!(store_said(result), (offset(messages, at), slot, said));
    assert!(model.all_slots().all(|other| other.number != slot || other.bank_hash.is_none()));
}

#[test]
fn parents_that_do_not_fit_are_refused() {
    let messages = story().messages;
    let begin = place(&messages, |message| message.is_begin_of(102));
    let with = |change: fn(&mut SlotBegin)| {
        changed(&messages, begin, |message| match message {
            Message::Begin(begin) => change(begin),
            other => panic!("{other:?}"),
        })
    };
    let Message::Begin(SlotBegin { parent_bank_hash, .. }) = messages[begin] else {
        panic!("a begin");
    };
    let other = with(|begin| begin.parent_bank_hash.0[0] ^= 1);
    let mut stated = parent_bank_hash;
    stated.0[0] ^= 1;
    let known = vec![parent_bank_hash];
    check(&other, begin, 102, Refusal::ParentBankHash { parent_slot: 101, stated, known });
    let unknown = with(|begin| begin.parent_slot = 60);
    check(&unknown, begin, 102, Refusal::UnknownParent { parent_slot: 60, parent_bank_hash });
    let itself = with(|begin| begin.parent_slot = 102);
    check(&itself, begin, 102, Refusal::ParentNumber { parent_slot: 102 });
    // The parent's end comes too late, or never.
    let end = place(&messages, |message| message.is_end_of(101));
    let late = moved(&messages, end, begin);
    check(&late, begin - 1, 102, Refusal::ParentOpen { parent_slot: 101 });
    let never = without(&messages, end);
    check(&never, begin - 1, 102, Refusal::ParentOpen { parent_slot: 101 });
}

#[test]
fn missing_doubled_and_misplaced_messages_are_refused() {
    let messages = story().messages;
    let begin = place(&messages, |message| message.is_begin_of(104));
    let end = place(&messages, |message| message.is_end_of(104));
    let account = begin + 1;
    check(&doubled(&messages, begin), begin + 1, 104, Refusal::BegunTwice);
    check(&without(&messages, begin), begin, 104, Refusal::NotOpen);
    check(&doubled(&messages, end), end + 1, 104, Refusal::NotOpen);
    let gap = Refusal::WriteIndex { expected: 0, found: 1 };
    check(&moved(&messages, account, end), account, 104, gap);
}

#[test]
fn accounts_that_are_not_all_there_are_refused() {
    let messages = story().messages;
    let begin = place(&messages, |message| message.is_begin_of(104));
    let end = place(&messages, |message| message.is_end_of(104));
    let gap = Refusal::WriteIndex { expected: 0, found: 1 };
    check(&without(&messages, begin + 1), begin + 1, 104, gap);
    let twice = Refusal::WriteIndex { expected: 1, found: 0 };
    check(&doubled(&messages, begin + 1), begin + 2, 104, twice);
    let short = Refusal::AccountCount { stated: 2, there: 1 };
    check(&without(&messages, end - 1), end - 1, 104, short);
    let behind = moved(&messages, end - 1, end);
    check(&behind, end - 1, 104, Refusal::AccountCount { stated: 2, there: 1 });
    // The same key twice, properly counted.
    let mut story = Story::new(&small_base());
    story.begin(101, 100).write(101, key_of(1), account_of(1)).write(101, key_of(2), account_of(1));
    story.end(101);
    let messages = changed(&story.messages, 2, |message| match message {
        Message::Account { pubkey, .. } => *pubkey = key_of(1),
        other => panic!("{other:?}"),
    });
    check_store(&messages, 2, 101, ModelError::WrittenTwice(key_of(1), 101));
}

#[test]
fn what_does_not_come_out_as_stated_is_refused() {
    let messages = story().messages;
    let begin = place(&messages, |message| message.is_begin_of(104));
    let end = place(&messages, |message| message.is_end_of(104));
    type Change = fn(&mut Message);
    let changes: [(usize, &str, Change); 7] = [
        (begin + 1, "lattice hash", |message| match message {
            Message::Account { account, .. } => account.lamports += 1,
            other => panic!("{other:?}"),
        }),
        (begin + 1, "lattice hash", |message| match message {
            Message::Account { account, .. } => account.data[0] ^= 1,
            other => panic!("{other:?}"),
        }),
        (end, "lattice hash", |message| match message {
            Message::End { end, .. } => end.lattice.lanes[1023] ^= 1,
            other => panic!("{other:?}"),
        }),
        (end, "capitalization", |message| match message {
            Message::End { end, .. } => end.capitalization -= 1,
            other => panic!("{other:?}"),
        }),
        (end, "bank hash", |message| match message {
            Message::End { end, .. } => end.bank_hash = Hash([9; 32]),
            other => panic!("{other:?}"),
        }),
        (end, "bank hash", |message| match message {
            Message::End { end, .. } => end.signature_count += 1,
            other => panic!("{other:?}"),
        }),
        (end, "bank hash", |message| match message {
            Message::End { end, .. } => end.last_blockhash.0[31] ^= 1,
            other => panic!("{other:?}"),
        }),
    ];
    for (at, gate, change) in changes {
        let feed = changed(&messages, at, change);
        check_store(&feed, end, 104, ModelError::Gate(gate, 104));
    }
}

#[test]
fn roots_and_abandonments_that_do_not_fit_are_refused() {
    let messages = story().messages;
    let root = place(&messages, |message| matches!(message, Message::Rooted(101)));
    let next = root + 1;
    let out_of_order = Refusal::RootedOutOfOrder { root_slot: 100 };
    check(&moved(&messages, next, root), root, 102, out_of_order.clone());
    check(&without(&messages, root), root, 102, out_of_order);
    let with = |message: Message| {
        let mut messages = messages.clone();
        messages.push(message);
        (messages.len() - 1, messages)
    };
    let (at, feed) = with(Message::Rooted(103));
    check(&feed, at, 103, Refusal::RootedAbandoned);
    let (at, feed) = with(Message::Abandoned(102));
    check(&feed, at, 102, Refusal::AbandonedRooted);
    for message in [Message::Rooted(999), Message::Abandoned(999)] {
        let (at, feed) = with(message);
        check(&feed, at, 999, Refusal::UnknownSlot);
    }
    // A slot that is still open cannot be final.
    let end = place(&messages, |message| message.is_end_of(101));
    check(&moved(&messages, root, end), end, 101, Refusal::RootedOpen);
    // A number that has ended is in use until it is abandoned.
    let again = messages[place(&messages, |message| message.is_begin_of(104))].clone();
    let (at, feed) = with(again);
    check(&feed, at, 104, Refusal::NotAbandoned);
}

#[test]
fn a_root_that_could_be_several_slots_is_refused() {
    let mut model = Model::new(&small_base());
    let mut hashes = Vec::new();
    for balance in [1, 2] {
        let mut story = Story::new(&small_base());
        story.whole(101, 100, &[(1, balance)]);
        ingest(&mut model, &story.messages).expect("sound");
        hashes.push(story.model.of_number(101)[0].bank_hash.expect("complete"));
    }
    let result = ingest(&mut model, &[Message::Rooted(101)]);
    assert_eq!(refused(result), (16, 101, Refusal::SeveralSlots { bank_hashes: hashes }));
}

#[test]
fn more_slots_than_are_ever_open_are_refused() {
    let begin = |slot| {
        let parent_bank_hash = small_base().bank_hash;
        Message::Begin(SlotBegin { slot, parent_slot: 100, parent_bank_hash })
    };
    let messages: Vec<_> = (101..).take(OPEN_SLOTS_MAX + 1).map(begin).collect();
    let slot = 100 + messages.len() as u64;
    check(&messages, OPEN_SLOTS_MAX, slot, Refusal::TooManyOpen);
    let mut model = Model::new(&small_base());
    ingest(&mut model, &messages[..OPEN_SLOTS_MAX]).expect("as many are allowed");
}

#[test]
fn a_fault_of_bytes_leaves_what_came_before() {
    let messages = story().messages;
    let mut bytes = write(&messages);
    let at = offset(&messages, place(&messages, |message| message.is_begin_of(104)));
    bytes[at as usize] = 17;
    let mut model = Model::new(&small_base());
    let result = ingest_chunks(&mut model, &bytes, 100, IngestOptions::default());
    match result {
        Err(IngestError::Feed(error)) => {
            assert_eq!((error.offset, error.fault), (at, FeedFault::Kind { kind: 17 }));
        }
        other => panic!("{other:?}"),
    }
    let states: Vec<_> = model.all_slots().map(|slot| slot.state).collect();
    use SlotState::{Abandoned, Rooted};
    assert_eq!(states, [Rooted, Rooted, Rooted, Abandoned]);
}

/// Whatever is wrong with a feed: nothing comes into the store that the sound feed does not say.
fn nothing_else_gets_in(base: &Base, messages: &[Message], seeds: u64) {
    let sound = Story::retold(base, messages).model;
    let is_said = |model: &Model| {
        model.all_slots().filter(|slot| slot.bank_hash.is_some()).all(|slot| {
            let hash = slot.bank_hash.expect("complete");
            let parent = |model: &Model, slot: Option<icecore_store::SlotId>| {
                slot.and_then(|slot| model.slot(slot).bank_hash)
            };
            sound.find(slot.number, hash).is_some_and(|said| {
                said.totals == slot.totals
                    && parent(&sound, said.parent) == parent(model, slot.parent)
            })
        })
    };
    let mut refusals = 0;
    for seed in 0..seeds {
        let feed = damaged(messages, &mut Random(seed));
        let mut model = Model::new(base);
        refusals += u64::from(ingest(&mut model, &feed).is_err());
        assert!(is_said(&model), "seed {seed}");
    }
    assert!(refusals > seeds / 2, "{refusals} of {seeds}");
}

#[test]
fn nothing_gets_in_that_a_sound_feed_does_not_say() {
    for seed in 0..4 {
        nothing_else_gets_in(&small_base(), &Story::random(seed, 300).messages, 100);
    }
}

#[test]
fn nothing_gets_in_that_a_real_feed_does_not_say() {
    for set in data::feed_sets() {
        let base = Base { bank_hash: truth::slots(&set).base_bank_hash, ..data::base(&set) };
        let messages = read(&data::feed(&set)).expect("sound");
        nothing_else_gets_in(&base, &messages[..600], 20);
    }
}
