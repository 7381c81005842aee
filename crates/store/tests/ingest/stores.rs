//! Feeds applied to a real store, on a simulated disk: what it then holds, at every slot and on every
//! fork, is what the model holds.

use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
    path::Path,
};

use icecore_disk::SimulatedDisk;
use icecore_store::{
    Adopted, At, BankFields, BaseFacts, Error, OwnerFilter, SlotId, StateTotals, Store, View,
    ingest::{Ingest, IngestError, IngestOptions, SlotFacts, SlotSink, Summary},
    run::{BY_OWNER, BY_PUBKEY, Row},
};
use icecore_types::{Account, EpochSchedule, Pubkey, Slot};

use crate::{
    common::{
        data,
        messages::write,
        model::{self, Base, Model, Totals},
        story::{Random, Story, account_of, key_of, small_base},
        truth,
    },
    kit::{quiet, reopen, store_on},
};

/// Restores a state as a base point.
fn restore(store: &Store, base: &Base) -> SlotId {
    let restored = || -> Result<SlotId, Error> {
        let mut restoring = store.begin_restore(base.slot)?;
        let mut writer = restoring.writers(1, 0)?.remove(0);
        let mut rows = BTreeMap::new();
        let mut by_pubkey = restoring.run::<BY_PUBKEY>()?;
        for (pubkey, (written, account)) in &base.accounts {
            let locator = writer.write(&account.borrowed(pubkey), *written)?;
            by_pubkey.push(&Row { key: pubkey.0, slot: base.slot, locator })?;
            rows.insert((account.owner, *pubkey), locator);
        }
        let mut by_owner = restoring.run::<BY_OWNER>()?;
        for ((owner, pubkey), locator) in rows {
            let key = [owner.0, pubkey.0].concat().try_into().expect("64 bytes");
            by_owner.push(&Row { key, slot: base.slot, locator })?;
        }
        let records = vec![writer.finish()?];
        let content = || restoring.content()?.finish();
        let (manifest, status_cache) = (content()?, content()?);
        let bank =
            BankFields { slot: base.slot, bank_hash: base.bank_hash, ..BankFields::default() };
        let facts = BaseFacts {
            bank,
            totals: totals_of(Model::new(base).totals(model::At::Root).expect("its base")),
            epoch_schedule: EpochSchedule {
                slots_per_epoch: 432_000,
                leader_schedule_slot_offset: 432_000,
                warmup: false,
                first_normal_epoch: 0,
                first_normal_slot: 0,
            },
            hard_forks: Vec::new(),
            archives: Vec::new(),
            is_anchored: false,
        };
        restoring.adopt(Adopted {
            facts,
            records,
            manifest,
            status_cache,
            verdict: Vec::new(),
            by_pubkey: by_pubkey.finish([])?,
            by_owner: Some(by_owner.finish([])?),
        })
    };
    restored().expect("restored")
}

fn totals_of(totals: &Totals) -> StateTotals {
    StateTotals {
        lattice: totals.lattice.clone(),
        capitalization: totals.capitalization,
        num_accounts: totals.num_accounts,
        total_data_len: totals.total_data_len,
        ..StateTotals::default()
    }
}

/// Applies a feed; between chunks the store does what its keeper would do.
fn ingest(
    store: &Store,
    bytes: &[u8],
    chunk_bytes: usize,
    flush_every: usize,
) -> Result<Summary, IngestError<Error>> {
    let mut ingest = Ingest::new(store, IngestOptions::default()).expect("it has a base");
    for (index, chunk) in bytes.chunks(chunk_bytes).enumerate() {
        let _ = ingest.push(chunk)?;
        if index % flush_every == flush_every - 1 {
            store.sync().expect("synced");
            store.flush().expect("flushed");
        }
    }
    ingest.finish()
}

/// What a view shows: the slot in which each account was last written, and the account.
fn shown(view: &View) -> BTreeMap<Pubkey, (Slot, Account)> {
    let mut found = BTreeMap::new();
    view.scan(Bound::Unbounded, Bound::Unbounded, |visited| {
        let (pubkey, account) = visited.account.to_owned();
        found.insert(pubkey, (visited.written, account));
        ControlFlow::Continue(())
    })
    .expect("scanned");
    found
}

fn check_view(view: &View, model: &Model, at: model::At) {
    let expected = model.scan(at);
    assert_eq!(shown(view), expected, "{at:?}");
    assert_eq!(
        view.totals().expect("read"),
        totals_of(model.totals(at).expect("there is a state"))
    );
    for (pubkey, (written, account)) in &expected {
        let found = view.get(pubkey).expect("read").expect("it is there");
        assert_eq!((found.written, &found.account), (*written, account), "{pubkey}");
    }
    let mut owners: Vec<_> = expected.values().map(|(_, account)| account.owner).collect();
    owners.extend((0..10).map(|lamports| account_of(lamports).owner));
    owners.sort_unstable();
    owners.dedup();
    for owner in owners {
        let mut found = BTreeMap::new();
        view.scan_owner(&owner, &OwnerFilter::default(), |visited| {
            let (pubkey, account) = visited.account.to_owned();
            found.insert(pubkey, (visited.written, account));
            ControlFlow::Continue(())
        })
        .expect("scanned");
        assert_eq!(found, model.scan_owner(at, &owner), "{at:?}, {owner}");
    }
}

/// The complete slots of a number, by bank hash.
fn complete(mut slots: Vec<SlotFacts>) -> Vec<SlotFacts> {
    slots.retain(|facts| facts.bank_hash.is_some());
    slots.sort_by_key(|facts| (facts.bank_hash, facts.id));
    slots
}

/// Every slot, every state and some histories. Gives how many states were compared.
fn check_store(store: &Store, mut model: Model) -> usize {
    store.sync().expect("synced");
    let root = model.slot(model.root_id()).number;
    assert_eq!(store.root_slot().expect("it has a base").number, root);
    let mut numbers: Vec<_> = model.all_slots().map(|slot| slot.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut states = 0;
    for number in numbers {
        let ours = complete(store.slots_of(number));
        let sink = &mut model;
        let theirs = complete(sink.slots(number).expect("the model knows"));
        let what = |facts: &SlotFacts| (facts.bank_hash, facts.state);
        let (ours_told, theirs_told): (Vec<_>, Vec<_>) =
            (ours.iter().map(what).collect(), theirs.iter().map(what).collect());
        assert_eq!(ours_told, theirs_told, "slot {number}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            if store.slot(ours.id).is_some() {
                let view = store.view(At::Fork(ours.id)).expect("it is kept");
                check_view(&view, &model, model::At::Fork(theirs.id));
                states += 1;
            }
        }
        if number <= root {
            let view = store.view(At::Slot(number)).expect("it is kept");
            check_view(&view, &model, model::At::Slot(number));
            states += 1;
        }
    }
    states
}

trait SlotsOf {
    fn slots_of(&self, number: Slot) -> Vec<SlotFacts>;
}

impl SlotsOf for Store {
    fn slots_of(&self, number: Slot) -> Vec<SlotFacts> {
        SlotSink::slots(&self, number).expect("read")
    }
}

fn check_histories(store: &Store, model: &Model, keys: impl IntoIterator<Item = Pubkey>) {
    for key in keys {
        let found = store.history_of(&key, 0..=Slot::MAX).expect("read");
        let mut found: Vec<_> = found
            .into_iter()
            .map(|version| (version.written, version.is_rooted, version.account))
            .collect();
        let mut expected: Vec<_> = model
            .history(&key)
            .into_iter()
            .map(|version| {
                let is_rooted = version.state == icecore_store::SlotState::Rooted;
                (version.number, is_rooted, version.account)
            })
            .collect();
        let order = |a: &(Slot, bool, Account), b: &(Slot, bool, Account)| {
            (a.0, a.1, a.2.lamports).cmp(&(b.0, b.1, b.2.lamports))
        };
        found.sort_by(order);
        expected.sort_by(order);
        assert_eq!(found, expected, "{key}");
    }
}

fn base_of(set: &Path) -> Base {
    Base { bank_hash: truth::slots(set).base_bank_hash, ..data::base(set) }
}

#[test]
fn a_store_holds_what_the_shared_feeds_tell() {
    for set in data::feed_sets() {
        let base = base_of(&set);
        let feed = data::feed(&set);
        let mut model = Model::new(&base);
        crate::ingest_chunks(&mut model, &feed, 1 << 20, IngestOptions::default()).expect("sound");
        let disk = SimulatedDisk::new(1);
        let store = store_on(&disk, quiet()).expect("created");
        restore(&store, &base);
        let summary = ingest(&store, &feed, 1 << 20, 4).expect("sound");
        assert_eq!(summary.counters.accounts_written, truth::slots(&set).account_writes);
        assert!(check_store(&store, model.clone()) > 100);
        let histories = truth::histories(&set);
        check_histories(&store, &model, histories.iter().map(|history| history.pubkey));
        // The same after everything is in runs, and in another process.
        store.close().expect("closed");
        let store = reopen(&disk, quiet()).expect("opened");
        check_store(&store, model.clone());
        let again = ingest(&store, &feed, 1 << 20, usize::MAX).expect("sound").counters;
        assert_eq!((again.accounts_written, again.slots_committed), (0, 0));
        assert_eq!((again.rooted, again.abandoned), (0, 0));
    }
}

#[test]
fn a_store_holds_what_random_stories_tell_across_crashes() {
    let mut states = 0;
    for seed in 0..24 {
        let mut random = Random(seed);
        let story = Story::random(seed, 350);
        let bytes = write(&story.messages);
        let mut disk = SimulatedDisk::new(seed);
        let mut store = store_on(&disk, quiet()).expect("created");
        restore(&store, &small_base());
        for _ in 0..2 {
            let length = random.below(bytes.len() as u64) as usize;
            // A cut within a message is an error, and what came before is applied all the same.
            let _ = ingest(&store, &bytes[..length], 3000, 1 + random.below(5) as usize);
            if random.below(2) == 0 {
                store.sync().expect("synced");
            }
            // What was not synced is lost, or not.
            disk = disk.power_loss(random.next());
            drop(store);
            store = reopen(&disk, quiet()).expect("opened");
        }
        ingest(&store, &bytes, 3000, 4).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let mut told = story.model.clone();
        told.crash();
        states += check_store(&store, told.clone());
        check_histories(&store, &told, (0..40).map(key_of));
    }
    assert!(states > 600, "{states}");
}
