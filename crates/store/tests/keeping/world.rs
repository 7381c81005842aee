//! A store beside a plain model of it: every final slot's accounts, every fork that is still alive.

use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
    path::Path,
    sync::Arc,
};

use icecore_disk::{Disk, SimulatedDisk};
use icecore_store::{
    At, Error, HistoryVersion, Options, OwnerFilter, Retention, SlotId, Store, View,
};
use icecore_types::{Pubkey, Slot};

use crate::kit::{
    Accounts, FOLDER, account, closed, key,
    places::{live, written_after},
    quiet, reopen, restore, store_on,
    world::Random,
    write_slot,
};

/// Accounts that are written, and owners that they have.
pub(crate) const KEYS: u64 = 60;
pub(crate) const OWNERS: u64 = 4;

/// Options of small files, so that there are many of them.
pub(crate) fn small(retention: Retention) -> Options {
    let mut options = quiet();
    options.journal.segment_bytes_max = 64 << 10;
    options.journal.data_segment_bytes_max = 64 << 10;
    options.retention = retention;
    options.keep_abandoned_slots = 3;
    options
}

/// A store and what it should answer.
pub(crate) struct World {
    pub(crate) disk: SimulatedDisk,
    pub(crate) store: Store,
    pub(crate) options: Options,
    pub(crate) random: Random,
    /// What final slots end with.
    pub(crate) finals: BTreeMap<Slot, Accounts>,
    pub(crate) root: (SlotId, Slot),
    /// Slots off the final chain: number and accounts.
    pub(crate) forks: BTreeMap<SlotId, (Slot, Accounts)>,
}

impl World {
    /// A store with a base point at slot 100.
    pub(crate) fn new(seed: u64, retention: Retention) -> Self {
        let disk = SimulatedDisk::new(seed);
        let options = small(retention);
        let store = store_on(&disk, options.clone()).expect("made");
        let mut random = Random(seed);
        let accounts: Accounts = (0..KEYS / 2)
            .map(|number| (key(number), some_account(&mut random)))
            .filter(|(_, account)| account.lamports > 0)
            .collect();
        let base = restore(&store, 100, &accounts).expect("restored");
        let finals = BTreeMap::from([(100, accounts)]);
        Self { disk, store, options, random, finals, root: (base, 100), forks: BTreeMap::new() }
    }

    /// Restores another base point above the root.
    pub(crate) fn restore_base(&mut self) {
        let slot = self.root.1 + 10 + self.random.below(5);
        let keys = KEYS / 2 + self.random.below(10);
        let accounts: Accounts = (0..keys)
            .map(|number| (key(number * 2 % KEYS), some_account(&mut self.random)))
            .filter(|(_, account)| account.lamports > 0)
            .collect();
        let base = restore(&self.store, slot, &accounts).expect("restored");
        self.finals.insert(slot, accounts);
        self.root = (base, slot);
    }

    /// Writes some accounts in a slot on a parent; gives the slot.
    pub(crate) fn write(&mut self, parent: SlotId, number: Slot, writes: usize) -> SlotId {
        let mut accounts = match self.forks.get(&parent) {
            Some((_, accounts)) => accounts.clone(),
            None => self.finals[&self.root.1].clone(),
        };
        let writes: Accounts = (0..writes)
            .map(|_| (key(self.random.below(KEYS)), some_account(&mut self.random)))
            .collect();
        let pending = write_slot(&self.store, number, parent, &mut accounts, &writes);
        let id = pending.expect("committed").id();
        self.forks.insert(id, (number, accounts));
        id
    }

    /// Makes a slot final that was built on the root.
    pub(crate) fn root(&mut self, id: SlotId) {
        self.store.root(id).expect("rooted").wait().expect("durable");
        let (number, accounts) = self.forks.remove(&id).expect("known");
        self.finals.insert(number, accounts);
        self.root = (id, number);
    }

    /// A slot on the root that becomes final.
    pub(crate) fn grow(&mut self, writes: usize) {
        let number = self.root.1 + 1 + self.random.below(2);
        let id = self.write(self.root.0, number, writes);
        self.root(id);
    }

    /// Ends the process cleanly or not, and opens the store again.
    pub(crate) fn reopen(self) -> Self {
        let Self { disk, store, options, random, finals, root, .. } = self;
        store.sync().expect("durable");
        drop(store);
        let disk = disk.power_loss(random.0);
        let store = reopen(&disk, options.clone()).expect("opened");
        Self { disk, store, options, random, finals, root, forks: BTreeMap::new() }
    }

    /// Final versions of all accounts.
    pub(crate) fn histories(&self) -> Vec<Vec<HistoryVersion>> {
        let history = |number| {
            let mut history = self.store.history_of(&key(number), 0..=Slot::MAX).expect("read");
            history.retain(|version| version.is_rooted);
            history
        };
        (0..KEYS).map(history).collect()
    }

    /// Loses all runs, has them made anew, and opens the store again.
    pub(crate) fn rebuild(self) -> Self {
        let before = self.histories();
        let coverage = self.store.coverage();
        let Self { disk, store, options, random, finals, root, .. } = self;
        store.sync().expect("durable");
        drop(store);
        let disk = disk.power_loss(random.0);
        for file in disk.list(Path::new("/store/runs")).expect("listed") {
            disk.remove(&Path::new("/store/runs").join(&file.name)).expect("removed");
        }
        let arc: Arc<dyn Disk> = Arc::new(disk.clone());
        assert!(Store::open_on(Arc::clone(&arc), FOLDER, options.clone()).is_err());
        let go_on = &mut |_: &icecore_store::RebuildStep| ControlFlow::Continue(());
        let rebuilt = Store::rebuild_index_on(arc, FOLDER, options.clone(), go_on);
        let rebuilt = rebuilt.expect("rebuilt");
        assert_eq!((rebuilt.first, rebuilt.last), (coverage.first, Some(root.1)));
        let store = reopen(&disk, options.clone()).expect("opened");
        assert_eq!(store.opened().replayed_events, 0);
        assert_eq!(store.coverage().gaps, coverage.gaps);
        let world = Self { disk, store, options, random, finals, root, forks: BTreeMap::new() };
        assert!(world.histories() == before, "histories are what they were");
        world
    }

    /// What data segments take.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.store.history().data_segments().iter().map(|info| info.bytes).sum()
    }

    /// What was written between final slots leads from one state to the other, and is known as far
    /// back as nothing was restored or dropped.
    fn check_changes(&self) {
        let windows = self.store.coverage().windows;
        let slots: Vec<Slot> = self.finals.keys().copied().collect();
        for (place, slot) in slots.iter().enumerate() {
            let Ok(view) = self.store.view(At::Slot(*slot)) else { continue };
            let mut window =
                windows.iter().rposition(|window| window.first <= *slot).expect("kept");
            while window > 0
                && windows[window].base.is_none()
                && windows[window - 1].last == windows[window].first
            {
                window -= 1;
            }
            let near = slots[..place].iter().rev().take(3);
            for base in near.chain(slots.iter().take(place).step_by(7)) {
                let changes = written_after(&view, *base).expect("readable");
                assert_eq!(changes.is_some(), *base >= windows[window].first, "{base} to {slot}");
                let Some(changes) = changes else { continue };
                let mut accounts = self.finals[base].clone();
                for (pubkey, (written, account)) in changes {
                    assert!((base + 1..=*slot).contains(&written));
                    match account.lamports {
                        0 => drop(accounts.remove(&pubkey)),
                        _ => drop(accounts.insert(pubkey, account)),
                    }
                }
                assert!(accounts == self.finals[slot], "{base} to {slot}");
            }
        }
    }

    /// Everything that the store says it keeps is what it was.
    pub(crate) fn check(&self) {
        let coverage = self.store.coverage();
        assert_eq!(coverage.last, Some(self.root.1));
        let mut answered = 0;
        for (slot, accounts) in &self.finals {
            match self.store.view(At::Slot(*slot)) {
                Ok(view) => {
                    assert_eq!(view.slot().number, *slot);
                    assert_view(&view, accounts);
                    answered += 1;
                }
                Err(Error::NotCovered { first, .. }) => {
                    assert!(*slot < first, "slot {slot} is kept from {first} on");
                }
                Err(Error::InGap { first, last, .. }) => {
                    assert!((first..=last).contains(slot), "slot {slot} is in {first} to {last}");
                }
                Err(error) => panic!("slot {slot}: {error}"),
            }
        }
        assert!(answered > 0, "the root is always kept");
        self.check_changes();
        match self.options.retention {
            Retention::Everything => assert_eq!(answered, self.finals.len()),
            Retention::Slots(slots) => {
                let first = coverage.first.expect("there is a state");
                let wanted = self.root.1.saturating_sub(slots);
                let lost = self.finals.range(wanted..first.max(wanted)).next();
                assert!(lost.is_none(), "{first} is the first, {wanted} is wanted");
            }
            Retention::BasePoints => {}
        }
        for (id, (number, accounts)) in &self.forks {
            match self.store.view(At::Fork(*id)) {
                Ok(view) => assert_view(&view, accounts),
                Err(Error::NoSuchSlot { .. } | Error::SlotRefused { .. }) => {
                    assert!(*number + self.options.keep_abandoned_slots < self.root.1);
                }
                Err(error) => panic!("fork {number}: {error}"),
            }
        }
    }
}

/// A closed account, or one with some content.
fn some_account(random: &mut Random) -> icecore_types::Account {
    match random.below(5) {
        0 => closed(),
        _ => account(1 + random.below(1 << 30), random.below(OWNERS), random.below(3000) as usize),
    }
}

/// What a view holds, by one scan.
pub(crate) fn all(view: &View) -> Accounts {
    let mut found = Accounts::new();
    view.scan(Bound::Unbounded, Bound::Unbounded, |visited| {
        let (pubkey, account) = visited.account.to_owned();
        assert!(found.insert(pubkey, account).is_none(), "each account once");
        ControlFlow::Continue(())
    })
    .expect("scanned");
    found
}

/// Whether a view answers so, whatever it is asked.
pub(crate) fn assert_view(view: &View, expected: &Accounts) {
    assert!(&all(view) == expected, "slot {}: a scan gives other accounts", view.slot().number);
    let places = live(view).expect("readable").into_iter();
    assert!(
        &places.map(|(pubkey, (_, account))| (pubkey, account)).collect::<Accounts>() == expected
    );
    for number in 0..KEYS {
        let found = view.get(&key(number)).expect("read").map(|found| found.account);
        assert_eq!(found.as_ref(), expected.get(&key(number)));
    }
    for owner in 0..OWNERS {
        let owner = account(1, owner, 0).owner;
        let mut found = Accounts::new();
        view.scan_owner(&owner, &OwnerFilter::default(), |visited| {
            let (pubkey, account) = visited.account.to_owned();
            assert!(found.insert(pubkey, account).is_none(), "each account once");
            ControlFlow::Continue(())
        })
        .expect("scanned");
        let of_owner = |(_, account): &(&Pubkey, &icecore_types::Account)| account.owner == owner;
        let wanted = expected.iter().filter(of_owner);
        assert!(wanted.eq(found.iter()), "slot {}: owner {owner}", view.slot().number);
    }
}
