//! A store on a simulated disk, and a model that is told what the store is told.
//!
//! What was accepted and is not known to be durable is a list. After a crash, or after the journal has
//! taken something back, the store must be what the durable part and some beginning of the list come
//! to: nothing that was acknowledged is missing, and nothing is half there.

mod again;

use std::ops::Range;

use icecore_disk::{Fault, FaultKind, FaultPoint, SimulatedDisk};
use icecore_store::{Error, OpenSlot, Options, Pending, SlotId, SlotState, Store};
use icecore_types::{Account, Hash, Pubkey, Slot};

use super::{
    Accounts, account,
    checks::HeldView,
    closed, key,
    model::{Act, Model, contents},
    quiet, restore, statement_of, store_on, totals,
};

/// Accounts that are written.
pub(crate) const KEYS: u64 = 40;
/// Owners that they have.
pub(crate) const OWNERS: u64 = 4;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// One of the accounts; some have long beginnings in common.
pub(crate) fn some_key(number: u64) -> Pubkey {
    let mut pubkey = key(number % 7);
    match number % 3 {
        0 => key(number),
        rest => {
            pubkey.0[31 - rest as usize * 4] ^= number as u8;
            pubkey.0[31] = number as u8;
            pubkey
        }
    }
}

/// One of the owners.
pub(crate) fn owner(number: u64) -> Pubkey {
    account(1, number, 0).owner
}

/// Random numbers: a test says which.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        (!items.is_empty()).then(|| &items[self.below(items.len() as u64) as usize])
    }
}

/// The seeds to run: a few, or those that the environment variable `ICECORE_SEEDS` asks for (`0..200`).
pub(crate) fn seeds(few: Range<u64>) -> Range<u64> {
    let Ok(asked) = std::env::var("ICECORE_SEEDS") else { return few };
    let parsed = asked.split_once("..").map(|(first, end)| (first.parse(), end.parse()));
    match parsed {
        Some((Ok(first), Ok(end))) => first..end,
        _ => panic!("ICECORE_SEEDS is two numbers, as in 0..200, not {asked}"),
    }
}

/// Something that can be done with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Begin a slot and write to it; most often it ends at once.
    Write,
    /// End a slot that was left open: commit it, give it up, or state what is not true.
    End,
    Root,
    Abandon,
    Sync,
    Flush,
    Tend,
    Restore,
    Gap,
    Compact,
    Close,
    Kill,
    LosePower,
    HoldViews,
    CheckHeldViews,
    Check,
}

/// A slot that is being written.
#[derive(Debug)]
struct Writing {
    open: OpenSlot,
    parent: SlotId,
    writes: Accounts,
}

pub(crate) struct World {
    pub(crate) disk: SimulatedDisk,
    store: Option<Store>,
    options: Options,
    pub(crate) random: Random,
    /// What is known to be durable.
    pub(crate) durable: Model,
    /// What was accepted since.
    pub(crate) pending: Vec<(Act, Option<Pending>)>,
    /// What comes of both.
    pub(crate) accepted: Model,
    writing: Vec<Writing>,
    views: Vec<HeldView>,
    /// A base point that may have been adopted or not.
    half_done: Option<(Slot, Accounts)>,
    /// Whether the disk fails now and then.
    has_faults: bool,
    /// What has happened how often.
    pub(crate) told: std::collections::BTreeMap<&'static str, u64>,
}

/// Options with small files and frequent flushes.
pub(crate) fn small(keep_abandoned_slots: u64) -> Options {
    let mut options = quiet();
    options.journal.segment_bytes_max = 64 << 10;
    options.journal.data_segment_bytes_max = 64 << 10;
    options.keep_abandoned_slots = keep_abandoned_slots;
    options.flush_versions = 20;
    options
}

impl World {
    /// An empty store.
    pub(crate) fn new(seed: u64, options: Options) -> Self {
        let disk = SimulatedDisk::new(seed);
        let store = store_on(&disk, options.clone()).expect("made");
        Self {
            disk,
            store: Some(store),
            options,
            random: Random(seed),
            durable: Model::default(),
            pending: Vec::new(),
            accepted: Model::default(),
            writing: Vec::new(),
            views: Vec::new(),
            half_done: None,
            has_faults: false,
            told: std::collections::BTreeMap::new(),
        }
    }

    /// The same on a disk that fails now and then.
    pub(crate) fn with_faults(seed: u64, options: Options) -> Self {
        Self { has_faults: true, ..Self::new(seed, options) }
    }

    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open between steps")
    }

    pub(crate) fn is_known(&self, id: SlotId) -> bool {
        self.store().slot(id).is_some()
    }

    fn tell(&mut self, what: &'static str) {
        *self.told.entry(what).or_default() += 1;
    }

    fn accept(&mut self, act: Act, pending: Option<Pending>) {
        self.accepted.apply(&act);
        self.pending.push((act, pending));
    }

    /// So much of what was accepted is durable.
    fn settle(&mut self, count: usize) {
        for (act, _) in self.pending.drain(..count) {
            self.durable.apply(&act);
        }
    }

    /// Does something; whatever the disk does, the store is open and right behind it.
    pub(crate) fn step(&mut self) {
        if self.has_faults && self.random.below(8) == 0 {
            self.add_fault();
        }
        let what = self.some_act();
        self.try_act(what);
    }

    /// Does one thing; whatever the disk does, the store is open and right behind it.
    pub(crate) fn try_act(&mut self, what: What) {
        if let Err(error) = self.act(what) {
            assert!(self.may_fail(), "nothing fails here: {error}");
            assert!(
                matches!(error, Error::Disk(_) | Error::Journal(_)),
                "not an error of the disk: {error}"
            );
            self.recover();
        }
    }

    fn may_fail(&self) -> bool {
        self.has_faults || self.disk.is_simulated_crash()
    }

    /// The disk fails at an operation from now on.
    pub(crate) fn fail_at(&mut self, operation: u64, kind: FaultKind) {
        self.has_faults = true;
        self.disk.add_fault(Fault { point: FaultPoint::Operation(operation), kind });
    }

    fn add_fault(&mut self) {
        let kinds = [
            FaultKind::WriteFails { errno: ENOSPC },
            FaultKind::WriteFails { errno: EIO },
            FaultKind::ChangeFails { errno: ENOSPC },
            FaultKind::RenameFails,
            FaultKind::SyncFails,
            FaultKind::SyncFolderFails,
        ];
        let kind = *self.random.of(&kinds).expect("there are some");
        let operation = self.disk.operations() + self.random.below(10);
        self.disk.add_fault(Fault { point: FaultPoint::Operation(operation), kind });
    }

    fn some_act(&mut self) -> What {
        if self.accepted.root.is_none() {
            return What::Restore;
        }
        match self.random.below(100) {
            0..=34 => What::Write,
            35..=39 => What::End,
            40..=49 => What::Root,
            50..=52 => What::Abandon,
            53..=60 => What::Sync,
            61..=64 => What::Flush,
            65..=70 => What::Tend,
            71 => What::Restore,
            72 => What::Gap,
            73 => What::Compact,
            74..=76 => What::Close,
            77..=78 => What::Kill,
            79..=80 => What::LosePower,
            81..=85 => What::HoldViews,
            86..=90 => What::CheckHeldViews,
            _ => What::Check,
        }
    }

    fn act(&mut self, what: What) -> Result<(), Error> {
        match what {
            What::Write => self.begin(),
            What::End => self.end_one(),
            What::Root => self.root(),
            What::Abandon => self.abandon(),
            What::Sync => self.sync(),
            What::Flush => {
                self.tell("flush");
                self.store().flush()
            }
            What::Tend => {
                self.tell("tend");
                self.store().tend()
            }
            What::Restore => self.restore_base(),
            What::Gap => self.record_gap(),
            What::Compact => {
                self.tell("compact");
                self.store().compact().map(drop)
            }
            What::Close => self.close(),
            What::Kill => {
                self.tell("kill");
                let disk = self.disk.kill();
                self.go_on(disk);
                Ok(())
            }
            What::LosePower => {
                self.tell("power loss");
                let disk = self.disk.power_loss(self.random.next());
                self.go_on(disk);
                Ok(())
            }
            What::HoldViews => self.hold_views(),
            What::CheckHeldViews => self.check_held_views(),
            What::Check => {
                self.find_durable()?;
                self.check()
            }
        }
    }

    /// What others have made durable by the way.
    fn find_durable(&mut self) -> Result<(), Error> {
        for place in (0..self.pending.len()).rev() {
            if let Some(pending) = &self.pending[place].1
                && pending.is_durable()?
            {
                self.settle(place + 1);
                break;
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Error> {
        let can_carry: Vec<SlotId> = self
            .accepted
            .slots
            .iter()
            .filter(|(id, slot)| slot.is_complete() && self.is_known(**id))
            .map(|(id, _)| *id)
            .collect();
        if can_carry.is_empty() {
            return Ok(());
        }
        // Most often the newest.
        let back = self.random.below(4) * self.random.below(4);
        let parent = can_carry[can_carry.len().saturating_sub(1 + back as usize)];
        let number = self.accepted.slot(parent).number + 1 + self.random.below(3);
        let is_twin =
            |writing: &Writing| writing.parent == parent && writing.open.number() == number;
        let mut open = match self.store().begin_slot(number, parent) {
            Ok(open) => open,
            Err(Error::SlotRefused { .. }) if self.writing.iter().any(is_twin) => return Ok(()),
            Err(error) => return Err(error),
        };
        assert!(!self.writing.iter().any(is_twin), "its twin is being written");
        self.accept(Act::Begin { id: open.id(), number, parent }, None);
        let mut writes = Accounts::new();
        let state = contents(&self.accepted.slot(parent).ends);
        for _ in 0..self.random.below(12) {
            let pubkey = some_key(self.random.below(KEYS));
            let account = self.some_account(state.get(&pubkey));
            match open.write(&account.borrowed(&pubkey)) {
                Ok(()) => assert!(writes.insert(pubkey, account).is_none(), "written twice"),
                Err(Error::WrittenTwice { .. }) => assert!(writes.contains_key(&pubkey)),
                Err(error) => return Err(error),
            }
        }
        for _ in 0..3 {
            let pubkey = some_key(self.random.below(KEYS));
            let seen = writes.get(&pubkey).or_else(|| state.get(&pubkey));
            let seen = seen.filter(|account| account.lamports > 0);
            let found = open.get(&pubkey)?;
            assert_eq!(found.as_ref(), seen, "inside slot {number} on {parent:?}");
        }
        self.writing.push(Writing { open, parent, writes });
        match self.random.below(8) {
            0 => Ok(()),
            _ => self.end_at(self.writing.len() - 1),
        }
    }

    fn some_account(&mut self, before: Option<&Account>) -> Account {
        match (self.random.below(10), before) {
            (0..=1, _) => closed(),
            // Written again without a change.
            (2, Some(before)) => before.clone(),
            // Only the owner changes.
            (3, Some(before)) => {
                Account { owner: owner(self.random.below(OWNERS)), ..before.clone() }
            }
            _ => {
                let data_len = match self.random.below(40) {
                    0 => 20_000,
                    _ => self.random.below(300),
                };
                let lamports = 1 + self.random.below(1000);
                account(lamports, self.random.below(OWNERS), data_len as usize)
            }
        }
    }

    /// A slot that was left open ends.
    fn end_one(&mut self) -> Result<(), Error> {
        if self.writing.is_empty() {
            return Ok(());
        }
        let place = self.random.below(self.writing.len() as u64) as usize;
        self.end_at(place)
    }

    fn end_at(&mut self, place: usize) -> Result<(), Error> {
        let Writing { mut open, parent, writes } = self.writing.swap_remove(place);
        let id = open.id();
        match self.random.below(20) {
            0 => drop(open),
            1 => open.abandon()?,
            choice => {
                let mut state = contents(&self.accepted.slot(parent).ends);
                for (pubkey, account) in &writes {
                    match account.lamports {
                        0 => drop(state.remove(pubkey)),
                        _ => drop(state.insert(*pubkey, account.clone())),
                    }
                }
                let mut totals = totals(&state);
                assert_eq!(open.totals()?, totals);
                if choice == 2 {
                    totals.capitalization += 1;
                }
                // Slots with one content and one bank hash, or each with its own.
                let last_blockhash = Hash([(id.0 * self.random.below(2)) as u8; 32]);
                let count = writes.len() as u64;
                let stated =
                    statement_of(self.store(), &open, parent, &totals, count, last_blockhash);
                match open.commit(&stated) {
                    Ok(pending) => {
                        assert_ne!(choice, 2, "it states what is not true");
                        assert_eq!(pending.id(), id);
                        let bank_hash = stated.bank.bank_hash;
                        self.accept(Act::Commit { id, writes, bank_hash }, Some(pending));
                        self.tell("commit");
                        return Ok(());
                    }
                    Err(error) if error.denial().is_some() => assert_eq!(choice, 2, "{error}"),
                    Err(error) => return Err(error),
                }
            }
        }
        self.accept(Act::Abandon(id), None);
        self.tell("dead");
        Ok(())
    }

    fn root(&mut self) -> Result<(), Error> {
        let is_committed = |id: &&SlotId| self.accepted.slot(**id).state == SlotState::Committed;
        let committed: Vec<_> = self.accepted.slots.keys().filter(is_committed).copied().collect();
        let Some(id) = self.random.of(&committed).copied() else { return Ok(()) };
        let pending = self.store().root(id)?;
        self.accept(Act::Root(id), Some(pending));
        self.tell("root");
        let rooted = self.accepted.chain_to(id);
        assert!(rooted.is_empty(), "it is the root");
        assert!(matches!(self.store().root(id), Err(Error::SlotRefused { .. })));
        Ok(())
    }

    fn abandon(&mut self) -> Result<(), Error> {
        let ids: Vec<_> = self.accepted.slots.keys().copied().collect();
        let Some(id) = self.random.of(&ids).copied() else { return Ok(()) };
        let state = self.accepted.slot(id).state;
        if state == SlotState::Open || !self.is_known(id) {
            return Ok(());
        }
        match self.store().abandon(id) {
            Ok(()) => assert_ne!(state, SlotState::Rooted),
            Err(Error::SlotRefused { .. }) => {
                assert_eq!(state, SlotState::Rooted, "what is final cannot be abandoned");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        self.accept(Act::Abandon(id), None);
        self.tell("abandon");
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Error> {
        self.tell("sync");
        let handles: Vec<usize> =
            (0..self.pending.len()).filter(|place| self.pending[*place].1.is_some()).collect();
        match self.random.of(&handles) {
            Some(place) if self.random.clone().below(2) == 0 => {
                let place = *place;
                self.pending[place].1.as_ref().expect("chosen so").wait()?;
                self.settle(place + 1);
            }
            _ => {
                self.store().sync()?;
                self.settle(self.pending.len());
            }
        }
        Ok(())
    }

    fn restore_base(&mut self) -> Result<(), Error> {
        let slot = match self.accepted.root_number() {
            None => 20,
            Some(root) => root + 1 + self.random.below(6),
        };
        let mut accounts = Accounts::new();
        for number in 0..KEYS {
            if self.random.below(3) > 0 {
                let account = self.some_account(None);
                if account.lamports > 0 {
                    accounts.insert(some_key(number), account);
                }
            }
        }
        let bank_hash = super::base_bank_hash(slot);
        match restore(self.store(), slot, &accounts) {
            Ok(id) => {
                self.accept(Act::Base { id, slot, accounts, bank_hash }, None);
                self.settle(self.pending.len());
                let again = self.store().check_base(slot, &bank_hash)?;
                assert_eq!(again, icecore_store::BaseFit::Held);
                self.tell("base point");
                Ok(())
            }
            Err(error) => {
                // It may be there all the same, when the journal could not find out.
                self.half_done = Some((slot, accounts));
                Err(error)
            }
        }
    }

    fn record_gap(&mut self) -> Result<(), Error> {
        let highest = self.accepted.slots.values().map(|slot| slot.number).max();
        let Some(first) = highest.map(|highest| highest + 1) else { return Ok(()) };
        let last = first + self.random.below(3);
        self.store().record_gap(first, last)?;
        self.accept(Act::Gap(first, last), None);
        self.tell("gap");
        Ok(())
    }

    fn hold_views(&mut self) -> Result<(), Error> {
        self.find_durable()?;
        let views = self.some_views()?;
        self.views.extend(views);
        while self.views.len() > 12 {
            let place = self.random.below(self.views.len() as u64) as usize;
            self.views.swap_remove(place);
        }
        Ok(())
    }

    fn check_held_views(&mut self) -> Result<(), Error> {
        self.tell("held views");
        for view in &self.views {
            view.check(&mut self.random)?;
        }
        if let (Some(from), Some(to)) = (self.views.first(), self.views.last()) {
            from.check_diff(to)?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        self.tell("close");
        for writing in std::mem::take(&mut self.writing) {
            let id = writing.open.id();
            writing.open.abandon()?;
            self.accept(Act::Abandon(id), None);
        }
        let closed = self.store.take().expect("it is open").close();
        if self.disk.is_simulated_crash() {
            return closed;
        }
        if closed.is_ok() {
            self.settle(self.pending.len());
            // What is held can be read on.
            self.check_held_views()?;
        }
        self.go_on(self.disk.clone());
        Ok(())
    }
}
