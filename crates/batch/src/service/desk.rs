//! Where the service is asked, and says what it does: shared by the thread that works and those that ask.
//!
//! One request at a time: it holds the desk from when it is accepted until its outcome is told. One that
//! only waits for its slot gives way to the next one.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use icecore_archive::names::ArchiveName;
use icecore_disk::Stopwatch;
use icecore_restore::Progress;
use icecore_store::{AccountsHashed, At, Error, SnapshotMade, Store};
use icecore_types::Slot;

use super::{Answer, Kind};
use crate::{CreatableSlots, Retention};

/// Slots that an archive can be asked for ahead of the root, at most: about eleven hours.
pub const AHEAD_SLOTS_MAX: u64 = 100_000;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// An archive.
    Snapshot {
        /// Which.
        kind: Kind,
        /// Of which slot; `None`: of the newest one of which an archive can be made.
        slot: Option<Slot>,
    },
    /// The accounts of a slot, hashed.
    AccountsHash {
        /// Of which slot, or the last final one before it; `None`: of the root.
        slot: Option<Slot>,
    },
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An archive.
    Snapshot(SnapshotMade),
    /// Accounts that were hashed, whether or not they are those that the slot states.
    AccountsHash(AccountsHashed),
    /// Nothing, and why.
    Failed(String),
    /// The service has ended before.
    Ended,
}

/// A request that was accepted.
#[derive(Debug)]
pub struct Waiting(Receiver<Outcome>);

impl Waiting {
    /// Waits until it is done.
    pub fn wait(self) -> Outcome {
        self.0.recv().unwrap_or(Outcome::Ended)
    }
}

/// A request, as the service works on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// An archive of this slot.
    Archive(Kind, Slot),
    /// An archive of the first possible root at or past this slot.
    ArchiveFrom(Kind, Slot),
    /// The accounts of this slot.
    Hash(Slot),
}

/// What is being done.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    /// `full snapshot`, `incremental snapshot` or `accounts hash`.
    pub what: &'static str,
    /// Of which slot.
    pub slot: Slot,
    /// The slot of the full archive that an incremental one builds on.
    pub base: Option<Slot>,
    /// What part of it.
    pub phase: String,
    /// For how long.
    pub seconds: f64,
}

/// What goes on, and what was made last.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Status {
    /// Whether the service runs.
    pub is_running: bool,
    /// What is being done.
    pub running: Option<Running>,
    /// The newest full archive that is there.
    pub last_full: Option<SnapshotMade>,
    /// The newest incremental archive that is there.
    pub last_incremental: Option<SnapshotMade>,
    /// The last accounts hash.
    pub last_accounts_hash: Option<AccountsHashed>,
    /// The slot at or past which the next full archive is due.
    pub next_full: Option<Slot>,
    /// The slot at or past which the next incremental archive is due.
    pub next_incremental: Option<Slot>,
    /// Whether the node is too far behind for anything to become due.
    pub is_far_behind: bool,
    /// Archives that were not made since the service began.
    pub failures: u64,
    /// What went wrong last.
    pub last_failure: Option<String>,
    /// Archives that should go and are being read.
    pub in_use: u64,
}

struct Current {
    what: &'static str,
    slot: Slot,
    base: Option<Slot>,
    since: Stopwatch,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct State {
    status: Status,
    current: Option<Current>,
    /// A request that was not begun.
    new: Option<Job>,
    /// Whoever waits for the outcome of the request.
    asker: Option<SyncSender<Outcome>>,
    /// The slot that the request waits for: nothing of it is begun.
    awaited: Option<Slot>,
    there: There,
    is_stopping: bool,
}

/// Archives of the service that are there, the newest first.
#[derive(Debug, Clone, Default)]
struct There {
    fulls: Vec<Slot>,
    incrementals: Vec<ArchiveName>,
}

#[derive(Default)]
pub(super) struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.is_stopping = true;
        if let Some(current) = &state.current {
            current.progress.interrupt();
        }
        self.changed.notify_all();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.state().is_stopping
    }

    /// Nothing is done any more.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.status.is_running = false;
        state.new = None;
        // Whoever waits sees that nobody is there.
        state.asker = None;
        state.awaited = None;
    }

    /// Takes a request, or says why not.
    pub(super) fn request(
        &self,
        store: &Store,
        wanted: Wanted,
        retention: Retention,
    ) -> Result<Answer, Error> {
        let there = {
            let state = self.state();
            if let Some(busy) = state.busy() {
                return Ok(Answer::Busy(busy));
            }
            state.there.clone()
        };
        let goes_on = || !self.is_stopping();
        let job = match resolve(store, wanted, &there, retention, &goes_on)? {
            Ok(job) => job,
            Err(answer) => return Ok(answer),
        };
        let mut state = self.state();
        // Another one may have been quicker.
        if let Some(busy) = state.busy() {
            return Ok(Answer::Busy(busy));
        }
        let (asker, waiting) = sync_channel(1);
        let before = state.asker.replace(asker);
        if let (Some(before), Some(slot)) = (before, state.awaited) {
            let why = format!("another request came before slot {slot} was final");
            // There is room for one; the asker may have gone.
            let _ = before.try_send(Outcome::Failed(why));
        }
        state.awaited = match job {
            Job::ArchiveFrom(_, slot) => Some(slot),
            Job::Archive(..) | Job::Hash(_) => None,
        };
        state.new = Some(job);
        self.changed.notify_all();
        Ok(Answer::Accepted(Waiting(waiting)))
    }

    /// The request that was not begun.
    pub(super) fn take_request(&self) -> Option<Job> {
        self.state().new.take()
    }

    /// The slot that the request waited for is final; false: another one has replaced it.
    pub(super) fn has_come(&self) -> bool {
        let mut state = self.state();
        if state.new.is_some() {
            return false;
        }
        state.awaited = None;
        true
    }

    /// Gives the request back: it is begun later.
    pub(super) fn put_back(&self, job: Job) {
        self.state().new = Some(job);
    }

    /// Tells whoever waits what came of the request.
    pub(super) fn answer(&self, outcome: Outcome) {
        let mut state = self.state();
        if let Some(asker) = state.asker.take() {
            state.awaited = None;
            // There is room for one; the asker may have gone.
            let _ = asker.try_send(outcome);
        }
    }

    /// Waits for a request, or for the end, or for so long.
    pub(super) fn rest(&self, time: Duration) {
        let state = self.state();
        // One that was put back is no news.
        if !state.is_stopping {
            let waited = self.changed.wait_timeout(state, time);
            drop(waited.expect("nobody panics while holding it"));
        }
    }

    /// A job is begun; gives its progress.
    pub(super) fn begin(
        &self,
        what: &'static str,
        slot: Slot,
        base: Option<Slot>,
    ) -> Arc<Progress> {
        let progress = Arc::new(Progress::default());
        let mut state = self.state();
        if state.is_stopping {
            progress.interrupt();
        }
        let since = Stopwatch::start();
        state.current = Some(Current { what, slot, base, since, progress: Arc::clone(&progress) });
        progress
    }

    /// The job has ended; says how long it took.
    pub(super) fn end(&self) -> Duration {
        self.state().current.take().map_or(Duration::ZERO, |current| current.since.elapsed())
    }

    /// Changes what is told of the service.
    pub(super) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.state().status);
    }

    pub(super) fn set_there(&self, fulls: Vec<Slot>, incrementals: Vec<ArchiveName>) {
        self.state().there = There { fulls, incrementals };
    }

    pub(super) fn status(&self) -> Status {
        let state = self.state();
        let mut status = state.status.clone();
        status.running = state.current.as_ref().map(|current| Running {
            what: current.what,
            slot: current.slot,
            base: current.base,
            phase: current.progress.phases().pop().unwrap_or_default(),
            seconds: current.since.elapsed().as_secs_f64(),
        });
        status
    }
}

impl State {
    /// Why no request is taken.
    fn busy(&self) -> Option<String> {
        if !self.status.is_running || self.is_stopping {
            let failure = self.status.last_failure.clone();
            return Some(match failure {
                Some(why) if !self.is_stopping => format!("no snapshots are made: {why}"),
                _ => "the node begins or ends".to_string(),
            });
        }
        if self.awaited.is_some() {
            return None;
        }
        self.asker.as_ref().map(|_| match &self.current {
            Some(current) => {
                format!("another request is not done: {} of slot {}", current.what, current.slot)
            }
            None => "another request is not done: it is to begin".to_string(),
        })
    }
}

/// What a request means for this store.
fn resolve(
    store: &Store,
    wanted: Wanted,
    there: &There,
    retention: Retention,
    goes_on: &dyn Fn() -> bool,
) -> Result<Result<Job, Answer>, Error> {
    let creatable = |slot| CreatableSlots::nearest(store, slot, goes_on);
    let not_available =
        |why: &str, slots| Ok(Err(Answer::NotAvailable { why: why.to_string(), slots }));
    let coverage = store.coverage();
    let (Some(first), Some(root)) = (coverage.first, coverage.last) else {
        return not_available("the store has no state yet", CreatableSlots::default());
    };
    let slot = match wanted {
        Wanted::Snapshot { slot, .. } | Wanted::AccountsHash { slot } => slot,
    };
    if let Some(slot) = slot.filter(|slot| *slot < first) {
        return Ok(Err(Answer::Past { slot, first }));
    }
    let kind = match wanted {
        Wanted::AccountsHash { slot: Some(slot) } if slot > root => {
            let why = format!("slot {slot} is not final yet; the root is {root}");
            return not_available(&why, creatable(slot)?);
        }
        Wanted::AccountsHash { slot } => return Ok(Ok(Job::Hash(slot.unwrap_or(root)))),
        Wanted::Snapshot { kind, .. } => kind,
    };
    let job = match slot {
        Some(slot) if slot > root.saturating_add(AHEAD_SLOTS_MAX) => {
            let why = format!(
                "slot {slot} is more than {AHEAD_SLOTS_MAX} slots ahead of the root, {root}"
            );
            return not_available(&why, creatable(slot)?);
        }
        Some(slot) if slot > root => Job::ArchiveFrom(kind, slot),
        Some(slot) if has_bank(store, slot)? => Job::Archive(kind, slot),
        Some(slot) => {
            let why = format!("no archive can be made of slot {slot}");
            return not_available(&why, creatable(slot)?);
        }
        None => match newest(store)? {
            Some(slot) => Job::Archive(kind, slot),
            None => {
                let why = "the store keeps bank and status cache of no slot";
                return not_available(why, CreatableSlots::default());
            }
        },
    };
    let (Job::Archive(_, slot) | Job::ArchiveFrom(_, slot) | Job::Hash(slot)) = job;
    // What is older than all that are retained would go at once, and an incremental one with its full one.
    let stay = &there.fulls[..there.fulls.len().min(retention.full.get())];
    if kind == Kind::Incremental && !stay.iter().any(|full| *full < slot) {
        let why =
            format!("there is no full archive of a slot before {slot} to build on that stays");
        return not_available(&why, creatable(slot)?);
    }
    let stays = |name: &&ArchiveName| name.base().is_some_and(|base| stay.contains(&base));
    let (mut slots, most): (Vec<Slot>, _) = match kind {
        Kind::Full => (there.fulls.clone(), retention.full.get()),
        Kind::Incremental => (
            there.incrementals.iter().filter(stays).map(ArchiveName::slot).collect(),
            retention.incremental.get(),
        ),
    };
    let is_there = slots.contains(&slot);
    slots.retain(|newer| *newer > slot);
    if !is_there && slots.len() >= most {
        let why = format!("{} newer ones are there, and {most} are retained", slots.len());
        return not_available(&why, creatable(slot)?);
    }
    Ok(Ok(job))
}

/// Whether the store keeps what an archive of exactly this slot needs.
fn has_bank(store: &Store, slot: Slot) -> Result<bool, Error> {
    match store.view(At::Slot(slot)) {
        Ok(view) => Ok(view.slot().number == slot && view.kept_bank()?.is_some()),
        Err(Error::NotCovered { .. } | Error::InGap { .. } | Error::NoFork { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The newest slot of which an archive can be made.
fn newest(store: &Store) -> Result<Option<Slot>, Error> {
    let mut newest = None;
    store.for_each_kept_bank(|slot| {
        newest = Some(slot);
        ControlFlow::Break(())
    })?;
    Ok(newest)
}
