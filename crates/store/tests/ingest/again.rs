//! Feeds that are cut off, stopped, and given again.

use icecore_store::{
    SlotState,
    feed::FeedFault,
    ingest::{HELD_BYTES_MAX, IngestError, IngestOptions, Refusal},
};
use icecore_types::{Account, Pubkey};

use crate::{
    common::{
        messages::{Message, write},
        model::Model,
        story::{Story, key_of, small_base},
    },
    ingest, ingest_chunks, refused,
};

/// Two forks, slots side by side, a dead slot, a number that begins twice, roots.
fn story() -> Story {
    let mut story = Story::new(&small_base());
    story.whole(101, 100, &[(1, 5), (2, 0)]);
    story.begin(102, 101).begin(103, 101).write(102, key_of(1), Account::default());
    story.write(103, key_of(3), crate::common::story::account_of(9)).end(103).end(102);
    story.root(101).begin(104, 103).begin(105, 102).abandon(104).end(105);
    story.whole(106, 103, &[(4, 1)]).abandon(106).whole(106, 103, &[(4, 2)]);
    story.root(103).abandon(105).abandon(102).root(106).whole(107, 106, &[]);
    story
}

fn accounts(messages: &[Message]) -> u64 {
    messages.iter().filter(|message| matches!(message, Message::Account { .. })).count() as u64
}

#[test]
fn a_feed_that_is_cut_anywhere_goes_on_when_it_is_given_again() {
    let story = story();
    let bytes = write(&story.messages);
    let borders: Vec<_> =
        (0..=story.messages.len()).map(|count| write(&story.messages[..count]).len()).collect();
    let lengths = (0..bytes.len()).step_by(37).chain(borders.iter().copied());
    for length in lengths {
        let mut model = Model::new(&small_base());
        let options = IngestOptions::default();
        let cut = ingest_chunks(&mut model, &bytes[..length], 1000, options);
        match borders.contains(&length) {
            true => assert!(cut.is_ok(), "{length} bytes: {cut:?}"),
            false => match cut {
                Err(IngestError::Feed(error)) => {
                    assert_eq!((error.offset, error.fault), (length as u64, FeedFault::Cut));
                }
                other => panic!("{length} bytes: {other:?}"),
            },
        }
        let written: u64 = model
            .all_slots()
            .filter(|slot| slot.statement.is_some())
            .map(|slot| slot.written.len() as u64)
            .sum();
        let summary = ingest(&mut model, &story.messages).expect("sound");
        assert_eq!(model.differences(&story.model), [""; 0], "{length} bytes");
        // No account of a slot that was there is written again.
        let counters = summary.counters;
        assert_eq!(counters.accounts_written, accounts(&story.messages) - written);
        assert_eq!(counters.accounts_passed, written);
        assert_eq!(counters.bytes, bytes.len() as u64);
    }
}

#[test]
fn a_feed_that_is_given_again_changes_nothing() {
    let story = story();
    let mut model = Model::new(&small_base());
    let first = ingest(&mut model, &story.messages).expect("sound").counters;
    assert_eq!((first.slots_committed, first.slots_dead), (7, 1));
    // 105 and 102 were abandoned by roots before their messages came.
    assert_eq!((first.rooted, first.abandoned), (3, 1));
    let before = model.clone();
    let again = ingest(&mut model, &story.messages).expect("sound").counters;
    assert_eq!(model.outline(), before.outline());
    assert_eq!(model.writes, before.writes);
    assert_eq!((again.slots_there, again.slots_committed, again.slots_dead), (8, 0, 0));
    assert_eq!((again.rooted, again.abandoned, again.slots_passed), (0, 0, 0));
}

#[test]
fn it_stops_behind_the_end_of_a_slot_and_the_forks_are_alive() {
    let story = story();
    let bytes = write(&story.messages);
    for chunk_bytes in [1, 999, usize::MAX] {
        let mut model = Model::new(&small_base());
        let options = IngestOptions { until: Some(103), ..IngestOptions::default() };
        let summary = ingest_chunks(&mut model, &bytes, chunk_bytes, options).expect("sound");
        assert!(summary.is_stopped);
        let states: Vec<_> =
            model.all_slots().map(|slot| (slot.number, slot.state)).skip(1).collect();
        use SlotState::{Committed, Dead};
        // 102 was being written.
        assert_eq!(states, [(101, Committed), (102, Dead), (103, Committed)]);
        // The same again stops there again.
        let before = model.clone();
        let again = ingest_chunks(&mut model, &bytes, chunk_bytes, options).expect("sound");
        assert!(again.is_stopped);
        assert_eq!(model.outline(), before.outline());
        assert_eq!(again.counters.slots_there, 2);
        ingest_chunks(&mut model, &bytes, chunk_bytes, IngestOptions::default()).expect("sound");
        assert_eq!(model.differences(&story.model), [""; 0]);
    }
}

#[test]
fn a_number_that_dies_or_never_comes_does_not_stop_it() {
    let story = story();
    for until in [104, 99, 1000] {
        let mut model = Model::new(&small_base());
        let options = IngestOptions { until: Some(until), ..IngestOptions::default() };
        let bytes = write(&story.messages);
        let summary = ingest_chunks(&mut model, &bytes, 4096, options).expect("sound");
        assert!(!summary.is_stopped);
        assert_eq!(model.differences(&story.model), [""; 0]);
    }
    // A number that begins twice stops it at its first end.
    let mut model = Model::new(&small_base());
    let options = IngestOptions { until: Some(106), ..IngestOptions::default() };
    ingest_chunks(&mut model, &write(&story.messages), 4096, options).expect("sound");
    let states: Vec<_> = model.of_number(106).iter().map(|slot| slot.state).collect();
    assert_eq!(states, [SlotState::Committed]);
}

fn large(balance: u64) -> Story {
    let mut story = Story::new(&small_base());
    story.begin(101, 100);
    let bytes = 10 << 20;
    for key in 0..(HELD_BYTES_MAX / bytes + 2) as u8 {
        let account = Account {
            lamports: balance,
            data: vec![key; bytes],
            owner: Pubkey([7; 32]),
            ..Account::default()
        };
        story.write(101, key_of(key), account);
    }
    story.end(101);
    story
}

#[test]
fn a_slot_too_large_to_hold_is_taken_for_the_one_that_is_there() {
    let (story, other) = (large(5), large(6));
    let mut model = Model::new(&small_base());
    ingest(&mut model, &story.messages).expect("sound");
    let before = model.writes;
    let again = ingest(&mut model, &story.messages).expect("it is the same").counters;
    assert_eq!((again.slots_there, again.accounts_passed), (1, before));
    assert_eq!(model.writes, before);
    let (_, slot, refusal) = refused(ingest(&mut model, &other.messages));
    let bank_hash = other.model.of_number(101)[0].bank_hash.expect("complete");
    assert_eq!((slot, refusal), (101, Refusal::AnotherSlot { bank_hash }));
    assert_eq!(model.writes, before);
    // One that died is no reason to believe so.
    let mut model = Model::new(&small_base());
    let count = other.messages.len();
    ingest(&mut model, &other.messages[..count - 1]).expect("sound");
    ingest(&mut model, &story.messages).expect("sound");
    assert_eq!(model.differences(&story.model), [""; 0]);
}
