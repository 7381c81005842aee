//! The shared feeds against the truth that comes with them.

use std::path::Path;

use icecore_hash::lattice_checksum;
use icecore_store::{SlotState, ingest::IngestOptions};

use crate::{
    common::{
        data,
        messages::{read, write},
        model::{At, Base, Model},
        story::Story,
        truth::{self, Row, TruthVersion},
    },
    ingest_chunks,
};

fn base(set: &Path) -> Base {
    Base { bank_hash: truth::slots(set).base_bank_hash, ..data::base(set) }
}

fn ingested(set: &Path) -> Model {
    let mut model = Model::new(&base(set));
    let feed = data::feed(set);
    let summary = ingest_chunks(&mut model, &feed, 100_003, IngestOptions::default())
        .expect("the feed is sound");
    let slots = truth::slots(set);
    let rooted = slots.slots.iter().filter(|slot| slot.is_rooted).count() as u64;
    let counters = summary.counters;
    assert_eq!(counters.bytes, feed.len() as u64);
    assert_eq!(counters.slots_committed, slots.slots.len() as u64);
    assert_eq!(counters.accounts_written, slots.account_writes);
    assert_eq!(counters.rooted, rooted);
    assert_eq!((counters.slots_dead, counters.slots_there, counters.slots_passed), (0, 0, 0));
    model
}

#[test]
fn every_slot_of_the_shared_feeds_is_what_its_truth_says() {
    for set in data::feed_sets() {
        let model = ingested(&set);
        let truth = truth::slots(&set);
        let base = model.totals(At::Slot(truth.base_slot)).expect("the base");
        assert_eq!(lattice_checksum(&base.lattice), truth.base_checksum);
        assert_eq!(base.capitalization, truth.base_capitalization);
        assert_eq!(model.slot(model.root_id()).number, truth.last_root);
        for expected in &truth.slots {
            let slot = model.find(expected.slot, expected.bank_hash).expect("it was committed");
            let state = if expected.is_rooted { SlotState::Rooted } else { SlotState::Abandoned };
            assert_eq!(slot.state, state, "slot {}", slot.number);
            let stated = slot.statement.as_ref().expect("it was committed");
            assert_eq!(lattice_checksum(&slot.totals.lattice), expected.checksum);
            assert_eq!(slot.totals.capitalization, expected.capitalization);
            assert_eq!(
                (stated.bank.parent_slot, stated.bank.block_height, stated.accounts_written),
                (expected.parent, expected.block_height, expected.accounts_written)
            );
            assert_eq!(
                (stated.bank.signature_count, stated.bank.transaction_count),
                (expected.signature_count, expected.transaction_count)
            );
            assert_eq!(stated.bank.last_blockhash, expected.last_blockhash);
            assert_eq!(slot.bank.len() as u64, expected.bank_bytes);
            assert_eq!(slot.bank.is_empty(), slot.status_cache.is_empty());
        }
    }
}

#[test]
fn the_states_of_the_shared_feeds_are_what_their_truth_says() {
    for set in data::feed_sets() {
        let model = ingested(&set);
        for truth in truth::states(&set) {
            let at = match truth.is_final() {
                true => At::Slot(truth.slot),
                false => At::Fork(model.find(truth.slot, truth.bank_hash).expect("a fork").id),
            };
            let slot = model.slot(model.at(at).expect("there is a state"));
            assert_eq!(slot.number, truth.effective_slot, "{} {}", truth.slot, truth.kind);
            assert_eq!(slot.bank_hash, Some(truth.bank_hash));
            let totals = model.totals(at).expect("there is a state");
            assert_eq!(lattice_checksum(&totals.lattice), truth.checksum);
            assert_eq!(
                (totals.capitalization, totals.num_accounts, totals.total_data_len),
                (truth.capitalization, truth.num_accounts, truth.total_data_len)
            );
            let rows = |(key, (slot, account))| (key, (slot, Row::of(&account)));
            let scanned = model.scan(at).into_iter().map(rows).collect();
            assert_eq!(truth.accounts, scanned, "{} {}", truth.slot, truth.kind);
            for key in &truth.absent {
                assert_eq!(model.get(at, key), None, "{key}");
            }
            // Owner by owner it is the same.
            let mut left = truth.accounts.clone();
            while let Some((_, (_, Row { owner, .. }))) = left.first_key_value() {
                let owner = *owner;
                for (key, (slot, account)) in model.scan_owner(at, &owner) {
                    assert_eq!(left.remove(&key), Some((slot, Row::of(&account))), "{key}");
                }
                assert!(left.values().all(|(_, row)| row.owner != owner), "{owner}");
            }
        }
    }
}

#[test]
fn the_histories_of_the_shared_feeds_are_what_their_truth_says() {
    for set in data::feed_sets() {
        let model = ingested(&set);
        for truth in truth::histories(&set) {
            let versions = model.history(&truth.pubkey);
            let of = |state: SlotState, is_base: bool| {
                let mut found: Vec<_> = versions
                    .iter()
                    .filter(|version| version.state == state)
                    .filter(|version| model.slot(version.slot).parent.is_none() == is_base)
                    .map(|version| TruthVersion {
                        slot: version.number,
                        rent_epoch: version.account.rent_epoch,
                        row: Row::of(&version.account),
                    })
                    .collect();
                found.sort_by_key(|version| version.slot);
                found
            };
            let what = format!("{} ({})", truth.pubkey, truth.category);
            assert_eq!(of(SlotState::Rooted, true), truth.base.into_iter().collect::<Vec<_>>());
            assert_eq!(of(SlotState::Rooted, false), truth.rooted, "{what}");
            let mut abandoned = truth.abandoned;
            abandoned.sort_by_key(|version| version.slot);
            assert_eq!(of(SlotState::Abandoned, false), abandoned, "{what}");
        }
    }
}

#[test]
fn the_shared_feeds_told_again_are_the_same_bytes() {
    for set in data::feed_sets() {
        let bytes = data::feed(&set);
        let messages = read(&bytes).expect("sound");
        assert!(write(&messages) == bytes, "what was read is what stood there");
        let story = Story::retold(&base(&set), &messages);
        assert!(story.messages == messages, "every hash and every sum comes out as stated");
        assert_eq!(story.model.differences(&ingested(&set)), [""; 0]);
    }
}
