//! The thread that works: follows roots, keeps the pool in order, does one job after another.

mod windows;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    sync::Arc,
    time::Duration,
};

use icecore_archive::names::ArchiveName;
use icecore_disk::{HeldFolder, Stopwatch};
use icecore_hash::lattice_checksum;
use icecore_restore::Progress;
use icecore_store::{
    AccountsHashed, At, Error as StoreError, FileName, SlotState, SnapshotIntent, SnapshotMade,
    Store, View,
};
use icecore_tile::Controller;
use icecore_types::Slot;

use super::{
    FAR_BEHIND_SLOTS, Kind, Schedule, Service, ServiceError, Told,
    desk::{Job, Outcome},
    hashing::hash_accounts,
    output::PoolOutput,
    pool::{FILES_MAX, Pool},
    publish::{Done, Publishing, Step},
};
use crate::{Composed, Error, Extent, create::LEASE};

/// How long the thread rests when there is nothing to do.
const REST: Duration = Duration::from_millis(100);

/// How often it looks whether all archives are still there.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Slots that became final, of one look.
const ROOTS_MAX: usize = 4096;

/// What of the journal is looked through for accounts hashes of windows.
const MADE_MAX: usize = 16 * FILES_MAX;

/// What is said when an incremental archive has nothing to build on.
const NO_BASE: &str = "there is no full archive that it could build on: the store does not keep all that was written since; the next full one ends that";

/// Why an archive was not made.
enum NotMade {
    /// No file is free.
    NoFile,
    /// There is no full archive to build on.
    NoBase,
    Because(String),
}

/// The service at work.
pub(super) struct Work<'a, 'm> {
    service: &'a Service<'m>,
    store: &'a Store,
    folder: Arc<HeldFolder>,
    /// Made when the pool is open for the first time.
    schedule: Option<Schedule>,
    /// The archives of the pool that are published, by their names: which files they are, and what the
    /// journal says of them.
    own: BTreeMap<String, SnapshotIntent>,
    /// Those of them that got their names just before an end, and were not recorded.
    unrecorded: BTreeSet<String>,
    /// Events from here on were not looked at.
    next_event: u64,
    /// The last slot whose accounts were hashed as those of a window, or are to be.
    window_done: Option<Slot>,
    window_due: Option<View>,
    /// What was told and is still so.
    trouble: Option<String>,
    in_use: BTreeSet<String>,
    /// Kinds of which it was told that no file is free.
    no_file: BTreeSet<Kind>,
    /// The state of the newest full archive, and since when it is held.
    held_base: Option<(View, Stopwatch)>,
    /// The full archive of which it was told that nothing can be built on it.
    no_base: Option<Slot>,
}

/// The pool, and who does what is to be done to it.
struct Hands<'p, 'c, 'k> {
    pool: Pool,
    publishing: &'p Publishing,
    controller: &'c mut Controller<'k>,
}

impl<'a, 'm> Work<'a, 'm> {
    pub(super) fn begin(
        service: &'a Service<'m>,
        store: &'a Store,
        folder: Arc<HeldFolder>,
    ) -> Result<Self, ServiceError> {
        let there = folder.list()?.into_iter().map(|entry| entry.name).collect();
        let recorded = store.snapshots_named(&there)?;
        let mut own = BTreeMap::new();
        for intent in store.snapshot_intents(&there)? {
            // The last first: a name may have been given to one file after the other.
            own.entry(intent.made.name.0.clone()).or_insert(intent);
        }
        let unrecorded = own.keys().filter(|name| !recorded.contains(*name)).cloned().collect();
        let windows = store.accounts_hashes(MADE_MAX)?;
        let window = windows.iter().find(|hashed| hashed.is_of_window).map(|hashed| hashed.slot);
        service.desk.update(|status| status.last_accounts_hash = windows.first().cloned());
        let mut work = Self {
            service,
            store,
            folder,
            schedule: None,
            own,
            unrecorded,
            next_event: store.last_rooting().unwrap_or(0),
            window_done: window,
            window_due: None,
            trouble: None,
            in_use: BTreeSet::new(),
            no_file: BTreeSet::new(),
            held_base: None,
            no_base: None,
        };
        if service.options.epoch_accounts_hash {
            work.look_for_missed_window()?;
        }
        Ok(work)
    }

    /// With how many bytes this service has published an archive of the folder; `None`: the file is not
    /// the one to which it gave that name. What got its name just before an end is recorded now.
    pub(super) fn published_bytes(
        &mut self,
        name: &ArchiveName,
        inode: u64,
    ) -> Result<Option<u64>, ServiceError> {
        let file = name.to_string();
        let Some(own) = self.own.get(&file).filter(|own| own.inode == inode) else {
            return Ok(None);
        };
        if self.unrecorded.contains(&file) {
            match self.store.view(At::Slot(name.slot())) {
                Ok(view) if view.slot().number == name.slot() => {
                    self.store.record_snapshot(&view, &own.made)?;
                    self.service.tell(&Told::Found { made: own.made.clone() });
                }
                // Its slot is not kept any more: what it was made of cannot be said.
                Ok(_) => {}
                Err(error) if windows::is_not_kept(&error) => {}
                Err(error) => return Err(error.into()),
            }
            self.unrecorded.remove(&file);
        }
        Ok(Some(own.made.bytes))
    }

    /// Whether the pool was open once.
    pub(super) fn has_begun(&self) -> bool {
        self.schedule.is_some()
    }

    /// Works until the service is stopped, or the pool has to be opened anew.
    pub(super) fn run(
        &mut self,
        pool: Pool,
        publishing: &Publishing,
        controller: &mut Controller<'_>,
    ) -> Result<(), ServiceError> {
        let mut hands = Hands { pool, publishing, controller };
        let names = hands.pool.names();
        self.own.retain(|name, _| names.contains(name));
        self.schedule(&hands.pool);
        self.look_at_pool(&hands.pool);
        self.service.desk.update(|status| status.is_running = true);
        let (mut looked, mut unseen) = (Stopwatch::start(), None);
        loop {
            let followed = self.follow();
            let tidied = self.tidy(&mut hands)?;
            let unfollowed = followed.err().map(|error| error.to_string());
            self.note_trouble(unfollowed.or(tidied).or_else(|| unseen.clone()));
            if self.service.desk.is_stopping() {
                return Ok(());
            }
            if looked.elapsed() > LOOK_EVERY {
                unseen = match hands.pool.is_whole(&self.folder) {
                    Ok(true) => None,
                    Ok(false) => return Ok(()),
                    Err(error) => Some(error.to_string()),
                };
                self.hold_base(newest(&hands.pool, Kind::Full));
                looked = Stopwatch::start();
            }
            if !self.work(&mut hands)? {
                self.service.desk.rest(REST);
            }
        }
    }

    /// Makes the schedule when there is none, and says on what is built now.
    fn schedule(&mut self, pool: &Pool) {
        let base = newest(pool, Kind::Full);
        match &mut self.schedule {
            Some(schedule) => schedule.set_base(base),
            None => {
                let last = base.max(newest(pool, Kind::Incremental));
                let from = last.or(self.store.coverage().first).unwrap_or(0);
                let intervals = self.service.options.intervals;
                self.schedule = Some(Schedule::new(intervals, base, from));
            }
        }
    }

    fn scheduled(&mut self) -> &mut Schedule {
        self.schedule.as_mut().expect("made when the pool was opened")
    }

    /// Says what is there.
    fn look_at_pool(&mut self, pool: &Pool) {
        let fulls: Vec<Slot> =
            pool.published(Kind::Full).iter().map(|(_, name)| name.slot()).collect();
        let last = |kind| {
            let published = pool.published(kind);
            published.first().and_then(|(_, name)| self.made(name))
        };
        let (last_full, last_incremental) = (last(Kind::Full), last(Kind::Incremental));
        self.scheduled().set_base(fulls.first().copied());
        self.hold_base(fulls.first().copied());
        let [next_full, next_incremental] =
            [Kind::Full, Kind::Incremental].map(|kind| self.scheduled().next(kind));
        let in_use = self.in_use.len() as u64;
        let incrementals = pool.published(Kind::Incremental).into_iter().map(|(_, name)| name);
        self.service.desk.set_there(fulls, incrementals.collect());
        self.service.desk.update(|status| {
            status.last_full = last_full;
            status.last_incremental = last_incremental;
            status.next_full = next_full;
            status.next_incremental = next_incremental;
            status.in_use = in_use;
        });
    }

    /// Holds the state of the newest full archive, so that what was written since stays known, however
    /// little of the past the store keeps: incremental archives are built of it.
    fn hold_base(&mut self, base: Option<Slot>) {
        let Some(base) = base.filter(|_| self.service.options.intervals.incremental.is_some())
        else {
            self.held_base = None;
            return;
        };
        let is_held = self
            .held_base
            .as_ref()
            .is_some_and(|(view, since)| view.slot().number == base && since.elapsed() < LEASE / 2);
        if !is_held {
            // One that is gone is told when an archive should build on it.
            let view = self.store.view_for(At::Slot(base), "base of incremental snapshots", LEASE);
            let view = view.ok().filter(|view| view.slot().number == base);
            self.held_base = view.map(|view| (view, Stopwatch::start()));
        }
    }

    /// Takes in the slots that became final.
    fn follow(&mut self) -> Result<(), StoreError> {
        let (slots, next) = self.store.rooted_since(self.next_event, ROOTS_MAX)?;
        let Some(root) = slots.last().map(|slot| slot.number) else {
            self.next_event = next;
            return Ok(());
        };
        let is_far_behind = self.newest_slot().saturating_sub(root) > FAR_BEHIND_SLOTS;
        let epochs = self.store.base().map(|base| base.epoch_schedule);
        for slot in &slots {
            let epoch = |slot| epochs.map(|epochs| epochs.epoch_of(slot));
            let is_border = epoch(slot.number) != epoch(slot.bank.parent_slot);
            if slot.has_bank && !is_border && !is_far_behind {
                self.scheduled().root(slot.number);
            }
            if self.service.options.epoch_accounts_hash
                && let Some(epochs) = epochs
            {
                self.look_for_window(slot.number, slot.bank.parent_slot, &epochs)?;
            }
        }
        self.next_event = next;
        self.service.desk.update(|status| status.is_far_behind = is_far_behind);
        Ok(())
    }

    /// The newest slot that the store has heard of, and that is not given up.
    fn newest_slot(&self) -> Slot {
        let is_alive =
            |state| matches!(state, SlotState::Open | SlotState::Committed | SlotState::Rooted);
        let slots = self.store.slots().into_iter().filter(|slot| is_alive(slot.state));
        slots.map(|slot| slot.number).max().unwrap_or(0)
    }

    /// Retires what is beyond retention, and clears what has rested. What does not work is told.
    fn tidy(&mut self, hands: &mut Hands<'_, '_, '_>) -> Result<Option<String>, ServiceError> {
        let (mut trouble, mut in_use) = (None, BTreeSet::new());
        let mut has_changed = false;
        for step in hands.pool.tidying() {
            match hands.pool.let_go_if_shared(&step, &self.folder) {
                Ok(false) => {}
                Ok(true) => {
                    if let Step::Retire { from, .. } = step {
                        self.has_gone(from);
                    }
                    has_changed = true;
                    continue;
                }
                Err(error) => {
                    trouble = Some(error.to_string());
                    continue;
                }
            }
            match hands.ask(step.clone())? {
                Ok(done) => {
                    hands.pool.tidied(&step, done);
                    has_changed |= done == Done::Yes;
                    match (step, done) {
                        (Step::Retire { from, .. }, Done::Yes) => {
                            self.has_gone(from);
                        }
                        (Step::Retire { from, .. }, Done::InUse) => {
                            if !self.in_use.contains(&from) {
                                self.service.tell(&Told::InUse { name: from.clone() });
                            }
                            in_use.insert(from);
                        }
                        _ => {}
                    }
                }
                Err(error) => trouble = Some(error.to_string()),
            }
        }
        assert!(self.own.len() <= FILES_MAX, "what has gone is forgotten");
        has_changed |= in_use != self.in_use;
        self.in_use = in_use;
        if has_changed {
            self.look_at_pool(&hands.pool);
        }
        Ok(trouble)
    }

    fn has_gone(&mut self, name: String) {
        self.own.remove(&name);
        self.service.tell(&Told::Retired { name });
    }

    /// What the journal says of an archive of the pool.
    fn made(&self, name: &ArchiveName) -> Option<SnapshotMade> {
        self.own.get(&name.to_string()).map(|own| own.made.clone())
    }

    /// Tells what does not work, once while it is so.
    pub(super) fn note_trouble(&mut self, trouble: Option<String>) {
        if let Some(what) = trouble.clone().filter(|what| self.trouble.as_ref() != Some(what)) {
            self.service.tell(&Told::Trouble { what });
        }
        self.trouble = trouble;
    }

    /// Does the next job; false: there is none, or none that can be done now.
    fn work(&mut self, hands: &mut Hands<'_, '_, '_>) -> Result<bool, ServiceError> {
        let request = self.service.desk.take_request();
        if request.is_some() {
            // The one before was replaced while it waited for its slot.
            self.scheduled().withdraw();
        }
        match request {
            Some(Job::Archive(kind, slot)) => return self.asked_archive(kind, slot, hands),
            Some(Job::ArchiveFrom(kind, slot)) => {
                let is_taken = self.scheduled().ask(kind, slot);
                assert!(is_taken, "there is one request at a time");
            }
            Some(Job::Hash(slot)) => {
                let hashed = match self.store.view_for(At::Slot(slot), "accounts hash", LEASE) {
                    Ok(view) => self.hash(&view, false),
                    Err(error) => Err(error.to_string()),
                };
                self.service.desk.answer(match hashed {
                    Ok(hashed) => Outcome::AccountsHash(hashed),
                    Err(why) => Outcome::Failed(why),
                });
                return Ok(true);
            }
            None => {}
        }
        if let Some((kind, slot)) = self.scheduled().take_asked() {
            if !self.service.desk.has_come() {
                return Ok(true);
            }
            return self.asked_archive(kind, slot, hands);
        }
        if let Some(view) = self.window_due.take() {
            // A failure is told; the window does not come again.
            let _ = self.hash(&view, true);
            return Ok(true);
        }
        let Some((kind, slot)) = self.scheduled().take() else { return Ok(false) };
        let is_done = self.due_archive(kind, slot, hands)?;
        if is_done || kind == Kind::Incremental {
            return Ok(is_done);
        }
        // A full one that has to wait does not keep the incremental ones waiting.
        match self.scheduled().take_incremental() {
            Some((kind, slot)) => self.due_archive(kind, slot, hands),
            None => Ok(false),
        }
    }

    /// Makes an archive that is due; false: it has to wait for a file.
    fn due_archive(
        &mut self,
        kind: Kind,
        slot: Slot,
        hands: &mut Hands<'_, '_, '_>,
    ) -> Result<bool, ServiceError> {
        let made = self.archive(kind, slot, hands)?;
        match made {
            Ok(_) => {}
            Err(NotMade::NoFile) => {
                let is_one_coming = hands.pool.is_one_coming(kind);
                if !is_one_coming && self.no_file.insert(kind) {
                    self.service.tell(&Told::NoFile { kind, slot });
                }
                self.scheduled().put_back(kind, slot);
                return Ok(false);
            }
            Err(NotMade::NoBase | NotMade::Because(_)) => self.scheduled().failed(kind),
        }
        self.no_file.remove(&kind);
        Ok(true)
    }

    /// Makes an archive that was asked for; false: it has to wait for a file that will be free.
    fn asked_archive(
        &mut self,
        kind: Kind,
        slot: Slot,
        hands: &mut Hands<'_, '_, '_>,
    ) -> Result<bool, ServiceError> {
        let made = self.archive(kind, slot, hands)?;
        if matches!(made, Err(NotMade::NoFile)) && hands.pool.is_one_coming(kind) {
            self.service.desk.put_back(Job::Archive(kind, slot));
            return Ok(false);
        }
        self.answer(made);
        Ok(true)
    }

    fn answer(&self, made: Result<SnapshotMade, NotMade>) {
        self.service.desk.answer(match made {
            Ok(made) => Outcome::Snapshot(made),
            Err(NotMade::NoFile) => {
                Outcome::Failed("all archives that are there are being read; ask later".into())
            }
            Err(NotMade::NoBase) => Outcome::Failed(NO_BASE.into()),
            Err(NotMade::Because(why)) => Outcome::Failed(why),
        });
    }

    /// Makes an archive. The outer error is of the publish tile.
    fn archive(
        &mut self,
        kind: Kind,
        slot: Slot,
        hands: &mut Hands<'_, '_, '_>,
    ) -> Result<Result<SnapshotMade, NotMade>, ServiceError> {
        let made = self.try_archive(kind, slot, hands)?;
        let time = self.service.desk.end();
        match &made {
            Ok((made, true)) => {
                self.scheduled().made(kind, slot);
                self.service.tell(&Told::Made { made: made.clone(), time });
            }
            Ok((_, false)) => self.scheduled().made(kind, slot),
            Err(NotMade::Because(why)) => self.tell_failed(kind, slot, why.clone()),
            Err(NotMade::NoBase) => {
                // Once for each full archive, not for each interval.
                let base = newest(&hands.pool, Kind::Full);
                if self.no_base != base {
                    self.no_base = base;
                    self.tell_failed(kind, slot, NO_BASE.into());
                }
            }
            Err(NotMade::NoFile) => {}
        }
        self.look_at_pool(&hands.pool);
        Ok(made.map(|(made, _)| made))
    }

    fn tell_failed(&self, kind: Kind, slot: Slot, why: String) {
        if self.service.desk.is_stopping() {
            return;
        }
        self.service.desk.update(|status| {
            status.failures += 1;
            status.last_failure = Some(why.clone());
        });
        self.service.tell(&Told::Failed { kind, slot, why });
    }

    /// The archive, and whether it is a new one.
    fn try_archive(
        &mut self,
        kind: Kind,
        slot: Slot,
        hands: &mut Hands<'_, '_, '_>,
    ) -> Result<Result<(SnapshotMade, bool), NotMade>, ServiceError> {
        macro_rules! or_not_made {
            ($result:expr) => {
                match $result {
                    Ok(value) => value,
                    Err(error) => return Ok(Err(NotMade::Because(error.to_string()))),
                }
            };
        }
        let view = or_not_made!(self.store.view_for(At::Slot(slot), "snapshot", LEASE));
        let extent = match kind {
            Kind::Full => Extent::Full,
            Kind::Incremental => {
                let fulls = hands.pool.published(Kind::Full);
                let mut bases = fulls.iter().map(|(_, name)| name.slot());
                let Some(base) = bases.find(|base| *base < slot && view.knows_since(*base)) else {
                    return Ok(Err(NotMade::NoBase));
                };
                Extent::Incremental { base }
            }
        };
        let base = match extent {
            Extent::Full => None,
            Extent::Incremental { base } => Some(base),
        };
        let there = hands.pool.published(kind).into_iter().map(|(_, name)| name);
        let same = there.filter(|name| name.slot() == slot && name.base() == base);
        if let Some(made) = same.filter_map(|name| self.made(&name)).next() {
            return Ok(Ok((made, false)));
        }
        let Some((number, placeholder)) = hands.pool.take(kind) else {
            return Ok(Err(NotMade::NoFile));
        };
        self.service.tell(&Told::Begun { kind, slot, base });
        let what = match kind {
            Kind::Full => "full snapshot",
            Kind::Incremental => "incremental snapshot",
        };
        let progress = self.service.desk.begin(what, slot, base);
        let (composed, bytes) =
            or_not_made!(self.write(&view, extent, number, &placeholder, hands, &progress));
        progress.begin("publish");
        let file = composed.name.to_string();
        let made = SnapshotMade {
            slot,
            base,
            snapshot_hash: *composed.name.hash(),
            bank_hash: composed.bank_hash,
            capitalization: composed.capitalization,
            num_accounts: composed.num_accounts,
            num_tombstones: composed.num_tombstones,
            bytes,
            name: FileName(file.clone()),
        };
        // From here on the file is known as ours under that name, also after an end.
        let inode = or_not_made!(hands.pool.held()[number].inode());
        let intent = SnapshotIntent { inode, made: made.clone() };
        or_not_made!(self.store.record_snapshot_intent(&view, &intent));
        let step = hands.pool.publish(number, &composed.name);
        if or_not_made!(hands.ask(step)?) == Done::Named {
            let what = format!("{file} is there, and its folder could not be synced");
            self.service.tell(&Told::Trouble { what });
        }
        hands.pool.is_published(number, composed.name);
        if let Err(error) = self.store.record_snapshot(&view, &made) {
            // The next start records it.
            let what = format!("{file} is there, and the journal does not know it yet: {error}");
            self.service.tell(&Told::Trouble { what });
        }
        self.own.insert(file, intent);
        // While the view is there, nothing of what came since has gone.
        self.hold_base(newest(&hands.pool, Kind::Full));
        Ok(Ok((made, true)))
    }

    /// Writes an archive into a file of the pool and looks at it.
    fn write(
        &self,
        view: &View,
        extent: Extent,
        number: usize,
        placeholder: &str,
        hands: &Hands<'_, '_, '_>,
        progress: &Progress,
    ) -> Result<(Composed, u64), Error> {
        let make = self.service.make;
        let mut output = PoolOutput::new(&hands.pool.held()[number], progress)?;
        let composed = make.write(view, extent, &mut output, progress)?;
        output.flush()?;
        let bytes = output.finish()?;
        make.prove(&self.folder.path().join(placeholder), &composed, progress)?;
        match progress.is_interrupted() {
            true => Err(icecore_restore::Error::Interrupted.into()),
            false => Ok((composed, bytes)),
        }
    }

    /// Hashes the accounts of a view, and records what came of it.
    fn hash(&mut self, view: &View, is_of_window: bool) -> Result<AccountsHashed, String> {
        let slot = view.slot().number;
        let progress = self.service.desk.begin("accounts hash", slot, None);
        let hashed = self.try_hash(view, is_of_window, &progress);
        let time = self.service.desk.end();
        match hashed {
            Ok(hashed) => {
                let last = Some(hashed.clone());
                self.service.desk.update(|status| status.last_accounts_hash = last);
                self.service.tell(&Told::Hashed { hashed: hashed.clone(), time });
                Ok(hashed)
            }
            Err(error) => {
                let why = error.to_string();
                if !self.service.desk.is_stopping() {
                    self.service.tell(&Told::NotHashed { slot, why: why.clone() });
                }
                Err(why)
            }
        }
    }

    fn try_hash(
        &self,
        view: &View,
        is_of_window: bool,
        progress: &Progress,
    ) -> Result<AccountsHashed, Error> {
        if !self.store.kept_owners().is_empty() {
            return Err(Error::Filtered);
        }
        let stated = view.totals()?;
        let found = hash_accounts(view, &self.service.options.options, progress)?;
        let hashed = AccountsHashed {
            slot: view.slot().number,
            is_of_window,
            lattice_checksum: lattice_checksum(&found.lattice),
            stated_lattice_checksum: lattice_checksum(&stated.lattice),
            merkle: found.merkle,
            capitalization: found.capitalization,
            stated_capitalization: stated.capitalization,
            num_accounts: found.num_accounts,
        };
        self.store.record_accounts_hash(view, &hashed)?;
        Ok(hashed)
    }
}

impl Hands<'_, '_, '_> {
    fn ask(&mut self, step: Step) -> Result<Result<Done, icecore_disk::Error>, ServiceError> {
        Ok(self.publishing.ask(step, self.controller)?)
    }
}

fn newest(pool: &Pool, kind: Kind) -> Option<Slot> {
    pool.published(kind).first().map(|(_, name)| name.slot())
}
