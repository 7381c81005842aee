//! A service that runs while a test feeds its store, asks, and looks into its folder.

use std::{
    fs,
    num::{NonZeroU64, NonZeroUsize},
    path::Path,
    sync::{Mutex, MutexGuard},
    thread,
    time::Duration,
};

use icecore_archive::names::ArchiveName;
use icecore_batch::{
    Retention, WriteOptions,
    service::{
        Answer, Archives, Intervals, Kind, Make, Outcome, Service, ServiceError, ServiceOptions,
        Status, Told, Wanted,
    },
};
use icecore_disk::Stopwatch;
use icecore_store::{SnapshotMade, Store};
use icecore_tile::SandboxMode;
use icecore_types::Slot;

use crate::support::{cores, names};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// Options for a folder with these intervals (0: none) and numbers of archives.
pub(crate) fn options(folder: &Path, every: [u64; 2], retained: [usize; 2]) -> ServiceOptions {
    let number = |number| NonZeroUsize::new(number).expect("not zero");
    ServiceOptions {
        folder: folder.to_path_buf(),
        intervals: Intervals {
            full: NonZeroU64::new(every[0]),
            incremental: NonZeroU64::new(every[1]),
        },
        retention: Retention { full: number(retained[0]), incremental: number(retained[1]) },
        epoch_accounts_hash: false,
        options: cores(2),
        sandbox: SandboxMode::On,
    }
}

/// Archives as the node makes them.
pub(crate) fn archives() -> Archives {
    Archives { write: WriteOptions::default(), options: cores(2) }
}

/// A service at work, as a test holds it.
pub(crate) struct AtWork<'a, 'm> {
    pub(crate) service: &'a Service<'m>,
    pub(crate) store: &'a Store,
    told: &'a Mutex<Vec<Told>>,
}

/// Runs a service while `body` does; what `body` gave.
pub(crate) fn at_work<R>(
    store: &Store,
    options: &ServiceOptions,
    make: &dyn Make,
    body: impl FnOnce(&AtWork<'_, '_>) -> R,
) -> R {
    let (result, ended) = try_at_work(store, options, make, body);
    ended.expect("it ends in order");
    result
}

/// The same, with what the service itself came to.
pub(crate) fn try_at_work<R>(
    store: &Store,
    options: &ServiceOptions,
    make: &dyn Make,
    body: impl FnOnce(&AtWork<'_, '_>) -> R,
) -> (R, Result<(), ServiceError>) {
    struct Stop<'a, 'm>(&'a Service<'m>);
    impl Drop for Stop<'_, '_> {
        fn drop(&mut self) {
            self.0.stop();
        }
    }
    let told = Mutex::new(Vec::new());
    let service = Service::new(options.clone(), make, |what| {
        told.lock().expect("nobody panics while holding it").push(what.clone());
    });
    thread::scope(|scope| {
        let stop = Stop(&service);
        let running = scope.spawn(|| service.run(store));
        let at_work = AtWork { service: &service, store, told: &told };
        while !at_work.status().is_running && !running.is_finished() {
            thread::sleep(Duration::from_millis(2));
        }
        let result = body(&at_work);
        drop(stop);
        (result, running.join().expect("it does not panic"))
    })
}

impl AtWork<'_, '_> {
    pub(crate) fn status(&self) -> Status {
        self.service.status()
    }

    /// What was told so far.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().expect("nobody panics while holding it").clone()
    }

    /// Holds up the service when it next tells something.
    pub(crate) fn hold_up(&self) -> MutexGuard<'_, Vec<Told>> {
        self.told.lock().expect("nobody panics while holding it")
    }

    /// Waits until something is so.
    pub(crate) fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let waited = Stopwatch::start();
        while !is_so(self) {
            assert!(waited.elapsed() < PATIENCE, "{what}: {:?}, {:?}", self.status(), self.told());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until nothing has been done for a while.
    pub(crate) fn settle(&self) {
        let waited = Stopwatch::start();
        let mut quiet = 0;
        let mut before = (self.status(), 0);
        while quiet < 25 {
            thread::sleep(Duration::from_millis(20));
            let now = (self.status(), self.told().len());
            let is_quiet = now.0.running.is_none() && now == before;
            quiet = if is_quiet { quiet + 1 } else { 0 };
            before = now;
            assert!(waited.elapsed() < PATIENCE, "it does not come to rest: {:?}", self.told());
        }
    }

    /// The slots of archives that were made, in order.
    pub(crate) fn made(&self) -> Vec<(Kind, Slot)> {
        let made = |told| match told {
            Told::Made { made, .. } => {
                let kind = if made.base.is_some() { Kind::Incremental } else { Kind::Full };
                Some((kind, made.slot))
            }
            _ => None,
        };
        self.told().into_iter().filter_map(made).collect()
    }

    pub(crate) fn ask(&self, wanted: Wanted) -> Answer {
        self.service.request(self.store, wanted).expect("readable")
    }

    /// Asks for an archive and waits for it.
    pub(crate) fn outcome(&self, kind: Kind, slot: Option<Slot>) -> Outcome {
        self.outcome_of(Wanted::Snapshot { kind, slot })
    }

    /// The same, of one that is made.
    pub(crate) fn make(&self, kind: Kind, slot: Slot) -> SnapshotMade {
        match self.outcome(kind, Some(slot)) {
            Outcome::Snapshot(made) => made,
            other => panic!("{kind:?} of slot {slot}: {other:?}"),
        }
    }

    pub(crate) fn outcome_of(&self, wanted: Wanted) -> Outcome {
        match self.ask(wanted) {
            Answer::Accepted(waiting) => waiting.wait(),
            other => panic!("{wanted:?}: {other:?}"),
        }
    }
}

/// Archives in a folder, oldest first, and how many other files there are.
pub(crate) fn archives_in(folder: &Path) -> (Vec<ArchiveName>, usize) {
    let all = names(folder);
    let mut archives: Vec<_> =
        all.iter().filter_map(|name| ArchiveName::parse(name).ok()).collect();
    archives.sort_by_key(|name| (name.slot(), name.is_incremental()));
    let others = all.len() - archives.len();
    (archives, others)
}

/// The slots of the archives of a folder, full ones and incremental ones.
pub(crate) fn slots_in(folder: &Path) -> (Vec<Slot>, Vec<Slot>) {
    let (archives, _) = archives_in(folder);
    let (incremental, full): (Vec<_>, Vec<_>) =
        archives.into_iter().partition(ArchiveName::is_incremental);
    let slots = |names: Vec<ArchiveName>| names.iter().map(ArchiveName::slot).collect();
    (slots(full), slots(incremental))
}

/// Bytes that placeholders take.
pub(crate) fn placeholder_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder");
    let partial = entries
        .map(|entry| entry.expect("readable"))
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".partial"));
    partial.map(|entry| entry.metadata().expect("there").len()).sum()
}
