//! A chain of slots of which everybody knows what it holds, without being told: account `k` is written
//! in every slot that leaves the rest `k` when divided by some number, and what is written comes of
//! the two. Beside the chain there are forks with other content.

use std::{
    ops::{Bound, ControlFlow},
    path::Path,
    time::Duration,
};

use icecore_store::{
    At, CreateOptions, Error, Options, OwnerFilter, Pending, SlotId, SlotState, Store, View,
};
use icecore_types::{Account, Pubkey, Slot};

use crate::kit::{Accounts, account, closed, key, restore, statement, totals};

/// The slot of the base point.
pub(crate) const BASE: Slot = 100;

const KEYS: u64 = 150;
const OWNERS: u64 = 3;

/// Options with small files, so that flushes, merges and seals are frequent.
pub(crate) fn options() -> Options {
    let mut options = Options {
        flush_versions: 60,
        keep_abandoned_slots: 20,
        lease: Duration::from_secs(60),
        tail_bytes_max: 5_000,
        ..Options::default()
    };
    options.journal.segment_bytes_max = 1 << 20;
    options.journal.data_segment_bytes_max = 256 << 10;
    options.journal.reserve_bytes = 0;
    options.journal.stream_heads_max = 1 << 10;
    options
}

/// Makes the store, with its base point.
pub(crate) fn create(folder: &Path) -> Store {
    let store = Store::create(folder, &CreateOptions::default(), options()).expect("made");
    restore(&store, BASE, &state(BASE)).expect("restored");
    store
}

fn content(number: u64, slot: Slot) -> Account {
    let mixed = (number * 7919 + slot).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    match mixed % 6 {
        0 => closed(),
        _ => account(1 + mixed % 1000, mixed / 1000 % OWNERS, (mixed % 251) as usize),
    }
}

fn period(number: u64) -> u64 {
    3 + number % 23
}

/// What a slot of the chain writes.
fn writes(slot: Slot) -> Accounts {
    let is_written = |number: &u64| slot % period(*number) == *number % period(*number);
    (0..KEYS).filter(is_written).map(|number| (key(number), content(number, slot))).collect()
}

/// What a slot of the chain ends with.
pub(crate) fn state(slot: Slot) -> Accounts {
    let last_written = |number: u64| {
        let behind = (slot + period(number) - number % period(number)) % period(number);
        (slot - behind).max(BASE)
    };
    (0..KEYS)
        .map(|number| (key(number), content(number, last_written(number))))
        .filter(|(_, account)| account.lamports > 0)
        .collect()
}

/// Writes the next slot of the chain; now and then a fork beside it.
pub(crate) fn extend(store: &Store, parent: SlotId) -> Result<Pending, Error> {
    let number = store.slot(parent).expect("known").number + 1;
    if number.is_multiple_of(7) {
        let mut open = store.begin_slot(number, parent)?;
        for at in 0..5 {
            open.write(&content(at, number * 3).borrowed(&key(at)))?;
        }
        let (totals, count) = (open.totals()?, open.accounts_written());
        let stated = statement(store, &open, parent, &totals, count);
        let _ = open.commit(&stated)?;
    }
    if number.is_multiple_of(11) {
        // A slot that dies.
        store.begin_slot(number, parent)?.write(&closed().borrowed(&key(1)))?;
    }
    let mut open = store.begin_slot(number, parent)?;
    let writes = writes(number);
    for (pubkey, account) in &writes {
        open.write(&account.borrowed(pubkey))?;
    }
    let totals = open.totals()?;
    let stated = statement(store, &open, parent, &totals, writes.len() as u64);
    open.commit(&stated)
}

/// The slot of the chain to go on from: the highest that is committed on the root, and holds what the
/// chain says.
pub(crate) fn tip(store: &Store) -> SlotId {
    let root = store.root_slot().expect("it has a base point");
    let mut tip = root.id;
    loop {
        let is_next = |info: &icecore_store::SlotInfo| {
            info.parent == Some(tip) && info.state == SlotState::Committed
        };
        let known = store.slots();
        let of_chain = known.iter().filter(|info| is_next(info)).find(|info| {
            let stated = store.slot_totals(info.id).expect("complete");
            stated == totals(&state(info.number))
        });
        match of_chain {
            Some(info) => tip = info.id,
            None => return tip,
        }
    }
}

/// Holds everything that a view shows against the chain.
pub(crate) fn check(view: &View) -> Result<(), Error> {
    let number = view.slot().number;
    let expected = state(number);
    let mut found = Accounts::new();
    view.scan(Bound::Unbounded, Bound::Unbounded, |visited| {
        let (pubkey, account) = visited.account.to_owned();
        assert!(found.insert(pubkey, account).is_none(), "each account comes once");
        ControlFlow::Continue(())
    })?;
    assert_eq!(found, expected, "slot {number}");
    let keys: Vec<Pubkey> = (0..KEYS).map(key).collect();
    for (pubkey, found) in keys.iter().zip(view.get_many(&keys)?) {
        assert_eq!(
            found.map(|found| found.account).as_ref(),
            expected.get(pubkey),
            "slot {number}"
        );
    }
    let owner = account(1, number % OWNERS, 0).owner;
    let mut found = Accounts::new();
    view.scan_owner(&owner, &OwnerFilter::default(), |visited| {
        let (pubkey, account) = visited.account.to_owned();
        assert!(found.insert(pubkey, account).is_none(), "each account comes once");
        ControlFlow::Continue(())
    })?;
    let of_owner: Accounts = expected
        .iter()
        .filter(|(_, account)| account.owner == owner)
        .map(|(pubkey, account)| (*pubkey, account.clone()))
        .collect();
    assert_eq!(found, of_owner, "slot {number}");
    assert_eq!(view.totals()?, totals(&expected), "slot {number}");
    Ok(())
}

/// Looks at the root and at some slot before it; gives the root's number.
pub(crate) fn check_some(store: &Store, round: u64) -> Result<Slot, Error> {
    let view = store.view(At::Root)?;
    check(&view)?;
    let root = view.slot().number;
    let earlier = BASE + round * 31 % (root - BASE + 1);
    let before = store.view(At::Slot(earlier))?;
    assert_eq!(before.slot().number, earlier);
    check(&before)?;
    check(&view)?;
    Ok(root)
}
