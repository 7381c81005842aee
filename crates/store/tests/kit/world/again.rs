//! What becomes of a world when it is opened again, or the disk has refused something.

use icecore_disk::SimulatedDisk;
use icecore_store::{Error, SlotId, SlotInfo, SlotState, Store};
use icecore_types::Hash;

use super::{World, Writing};
use crate::kit::{
    base_bank_hash,
    model::{Act, Model},
    reopen, statement_of,
};

impl World {
    /// Opens the store on a disk; what was open is dead.
    pub(crate) fn go_on(&mut self, disk: SimulatedDisk) {
        self.writing.clear();
        self.views.clear();
        self.store = None;
        self.disk = disk;
        let mut errors = Vec::new();
        for attempt in 0..30 {
            if attempt == 20 {
                // It may be too full to be opened.
                self.disk.set_space(u64::MAX / 2);
            }
            match reopen(&self.disk, self.options.clone()) {
                Ok(store) => {
                    self.store = Some(store);
                    break;
                }
                // Whoever crashed it says how it goes on.
                Err(_) if self.disk.is_simulated_crash() => return,
                Err(error @ (Error::Disk(_) | Error::Journal(_))) if self.may_fail() => {
                    errors.push(error.to_string());
                }
                Err(error) => panic!("it cannot be opened: {error}"),
            }
        }
        assert!(self.store.is_some(), "faults strike once: {errors:?}");
        self.fit();
        self.settle(self.pending.len());
        self.durable.end();
        self.accepted.end();
    }

    /// Opens the store on a disk that will crash.
    pub(crate) fn try_open(&mut self, disk: &SimulatedDisk) {
        self.writing.clear();
        self.views.clear();
        self.store = None;
        let opened = reopen(disk, self.options.clone());
        if let Err(error) = opened {
            assert!(disk.is_simulated_crash(), "it cannot be opened: {error}");
        }
    }

    /// Holds what a damaged copy answers against what is true.
    pub(crate) fn look_at(&mut self, damaged: &SimulatedDisk) -> Result<(), Error> {
        let ours = self.store.take();
        let looked = reopen(damaged, self.options.clone()).and_then(|store| {
            self.store = Some(store);
            self.check()
        });
        self.store = ours;
        looked
    }

    /// The disk has refused something: finds out what is left.
    pub(super) fn recover(&mut self) {
        self.tell("trouble");
        if self.disk.is_simulated_crash() {
            // Whoever crashed it says how it goes on.
            return;
        }
        let is_over = |error: &Error| {
            use icecore_journal::Error::{Closed, Fenced, Poisoned};
            matches!(error, Error::Journal(Poisoned { .. } | Closed | Fenced { .. }))
        };
        let synced = self.store.as_ref().map(Store::sync);
        match synced {
            Some(Err(error)) if !is_over(&error) => self.fit(),
            Some(Ok(())) => self.fit(),
            None | Some(Err(_)) => match self.random.below(3) {
                0 => self.go_on(self.disk.kill()),
                1 => self.go_on(self.disk.power_loss(self.random.clone().next())),
                _ => self.go_on(self.disk.clone()),
            },
        }
    }

    /// Finds how much of what was accepted the store has, and forgets the rest.
    fn fit(&mut self) {
        if let Some((slot, accounts)) = self.half_done.take() {
            let is_it = |info: &&SlotInfo| info.parent.is_none() && info.number == slot;
            let known = self.store().slots();
            if let Some(info) = known.iter().find(is_it)
                && !self.accepted.slots.contains_key(&info.id)
            {
                let (id, bank_hash) = (info.id, base_bank_hash(slot));
                self.pending.push((Act::Base { id, slot, accounts, bank_hash }, None));
            }
        }
        let mut fitting = None;
        let mut model = self.durable.clone();
        let mut misfits = Vec::new();
        for count in 0..=self.pending.len() {
            if let Some(last) = count.checked_sub(1) {
                model.apply(&self.pending[last].0);
            }
            match self.misfit(&model) {
                None => fitting = Some((count, model.clone())),
                Some(why) => misfits.push(why),
            }
        }
        let Some((count, model)) = fitting else {
            panic!("the store is nothing that it ever was:\n{}", misfits.join("\n"));
        };
        if count < self.pending.len() {
            self.tell("taken back");
        }
        self.pending.truncate(count);
        self.accepted = model;
        for (_, handle) in &mut self.pending {
            if handle.as_ref().is_some_and(|pending| pending.is_durable().is_err()) {
                *handle = None;
            }
        }
        let is_gone = |writing: &Writing| !self.accepted.slots.contains_key(&writing.open.id());
        let (gone, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.writing).into_iter().partition(is_gone);
        self.writing = left;
        for Writing { open, .. } in gone {
            let stated = statement_of(
                self.store(),
                &open,
                self.accepted.root.unwrap_or(SlotId(0)),
                &Default::default(),
                0,
                Hash::default(),
            );
            assert!(open.commit(&stated).is_err(), "its beginning was taken back");
        }
    }

    /// Why a model is not what the store is.
    fn misfit(&self, model: &Model) -> Option<String> {
        let store = self.store();
        let ended = |state| if state == SlotState::Open { SlotState::Dead } else { state };
        let root = store.root_slot();
        if root.as_ref().map(|root| root.id) != model.root {
            return Some(format!("root {root:?}, not {:?}", model.root));
        }
        let known = store.slots();
        for info in &known {
            let Some(slot) = model.slots.get(&info.id) else {
                return Some(format!("{info:?} is unheard of"));
            };
            let is_same = slot.number == info.number
                && slot.parent == info.parent
                && ended(slot.state) == ended(info.state)
                && (!slot.is_complete() || slot.bank_hash == info.bank.bank_hash);
            if !is_same {
                return Some(format!("{info:?} is not {:?} {:?}", slot.number, slot.state));
            }
        }
        // One that is forgotten was there.
        let end = store.history().end();
        if let Some(id) = model.slots.keys().find(|id| id.0 >= end) {
            return Some(format!("{id:?} is not in the chain, which ends at {end}"));
        }
        let behind = model.root_number().unwrap_or(0);
        for (id, slot) in &model.slots {
            let is_old = slot.number + self.options.keep_abandoned_slots < behind;
            if !is_old && !known.iter().any(|info| info.id == *id) {
                return Some(format!("slot {} ({id:?}) is missing", slot.number));
            }
        }
        let gaps: Vec<_> = store.coverage().gaps.iter().map(|gap| (gap.first, gap.last)).collect();
        (gaps != model.gaps).then(|| format!("gaps {gaps:?}, not {:?}", model.gaps))
    }

    /// Brings everything to its end and looks at it once more.
    pub(crate) fn finish(&mut self) {
        let disk = self.disk.clone();
        self.has_faults |= !disk.faults().is_empty();
        self.go_on(disk);
        self.has_faults = false;
        for _ in 0..4 {
            self.check().expect("nothing is wrong any more");
        }
    }
}
