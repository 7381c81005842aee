//! Random stories: the feed that tells them makes the same store, however it is cut, and however
//! often it is given.

use icecore_store::{SlotState, ingest::IngestOptions};

use crate::{
    common::{
        messages::write,
        model::Model,
        story::{Random, Story, small_base},
    },
    ingest_chunks,
};

const STORIES: u64 = 60;

#[test]
fn a_random_story_makes_the_store_that_it_tells_of() {
    let mut slots = 0;
    for seed in 0..STORIES {
        let story = Story::random(seed, 600);
        let mut model = Model::new(&small_base());
        let chunk_bytes = 1 + Random(seed).below(5000) as usize;
        let bytes = write(&story.messages);
        let summary = ingest_chunks(&mut model, &bytes, chunk_bytes, IngestOptions::default());
        summary.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let mut told = story.model.clone();
        told.crash();
        assert_eq!(model.differences(&told), [""; 0], "seed {seed}");
        assert_eq!(model.outline().dead, told.outline().dead, "seed {seed}");
        slots += told.all_slots().count();
    }
    assert!(slots > 60 * STORIES as usize, "{slots}");
}

/// The feed is cut three times, each time the process dies; then it is given whole, twice.
#[test]
fn a_random_story_that_is_cut_and_given_again_makes_the_same_store() {
    for seed in 0..STORIES {
        let story = Story::random(seed, 400);
        let bytes = write(&story.messages);
        let mut random = Random(seed ^ 0xabcd);
        let mut model = Model::new(&small_base());
        for _ in 0..3 {
            let length = random.below(bytes.len() as u64) as usize;
            // A cut within a message is an error, and what came before is applied all the same.
            let _ = ingest_chunks(&mut model, &bytes[..length], 512, IngestOptions::default());
            model.crash();
        }
        let options = IngestOptions::default();
        ingest_chunks(&mut model, &bytes, 4096, options).expect("sound");
        let mut told = story.model.clone();
        told.crash();
        assert_eq!(model.differences(&told), [""; 0], "seed {seed}");
        // A slot that was cut may be dead once more.
        for (number, count) in told.outline().dead {
            assert!(model.outline().dead[&number] >= count, "seed {seed}, slot {number}");
        }
        let before = model.clone();
        let summary = ingest_chunks(&mut model, &bytes, 4096, options).expect("sound");
        assert_eq!(model.differences(&before), [""; 0], "seed {seed}");
        let counters = summary.counters;
        assert_eq!((counters.slots_committed, counters.rooted, counters.abandoned), (0, 0, 0));
        // Slots that are open at the end of the feed are begun again, and die again.
        assert_eq!(counters.accounts_written, model.writes - before.writes, "seed {seed}");
    }
}

/// Stores forget forks behind the root; they are not written again.
#[test]
fn forks_that_were_forgotten_are_passed_over() {
    let mut passed = 0;
    for seed in 0..STORIES {
        let story = Story::random(seed, 400);
        let bytes = write(&story.messages);
        let mut model = Model::new(&small_base());
        let options = IngestOptions::default();
        ingest_chunks(&mut model, &bytes, 4096, options).expect("sound");
        let root = model.slot(model.root_id()).number;
        let is_forgotten = |state| matches!(state, SlotState::Abandoned | SlotState::Dead);
        let forgotten: Vec<_> = model
            .all_slots()
            .filter(|slot| slot.number <= root && is_forgotten(slot.state))
            .map(|slot| slot.id)
            .collect();
        // Only what nothing is built on that is kept.
        for id in forgotten.into_iter().rev() {
            if model.all_slots().all(|slot| slot.parent != Some(id)) {
                model.forget(id);
            }
        }
        let before = model.clone();
        let summary = ingest_chunks(&mut model, &bytes, 4096, options)
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(model.differences(&before), [""; 0], "seed {seed}");
        passed += summary.counters.slots_passed;
    }
    assert!(passed > STORIES, "{passed}");
}
