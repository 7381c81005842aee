//! The files of the service: a fixed set, opened before anything is made, filled again and again.
//!
//! ```text
//!            publish                      retire                   clear
//! free ──> (being written) ──> published ──────────> resting ──────────> free
//!   <──── failed: cleared at once ────┘   unless it is read     unless it is read, a rest later
//! ```
//!
//! 1. A free file is called `.snapshot-N.partial` or `.incremental-snapshot-N.partial`, which no reader
//!    takes for an archive.
//! 2. Of each kind there is one more than are to be retained, so that the next one has a place before
//!    the oldest goes. What is being read does not go: then the next one has to wait.
//! 3. Full archives beyond those to retain go, the oldest first, after the incremental ones on them. An
//!    incremental archive whose full one is gone goes as well.
//! 4. What an earlier run left behind under a placeholder's name is taken over and cleared. What it
//!    published is known by the journal, by name and inode; other files are not touched.
//! 5. What somebody has given a second name is theirs as well: it loses ours and is let go as it is.
//!
//! What it does *not* do: touch the disk itself. It says which step is next; the publish tile does it.

#[cfg(test)]
mod crashes;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use icecore_archive::names::ArchiveName;
use icecore_disk::{HeldFile, HeldFolder, Stopwatch};
use icecore_types::Slot;

use super::{
    Kind, ServiceError,
    publish::{Done, Step},
};
use crate::Retention;

/// How long a file that has lost its name rests before it is cleared: for who has found the name and
/// has not opened the file yet.
pub(crate) const REST: Duration = Duration::from_secs(1);

/// Files of the pool, at most: each is an open descriptor.
pub const FILES_MAX: usize = 256;

/// What a file is for at the moment.
#[derive(Debug, Clone)]
enum State {
    Free,
    /// Being written, or failed and not cleared yet.
    Taken,
    Published(ArchiveName),
    Resting(Stopwatch),
    /// Let go: the pool has to be opened anew, and has another one in its place then.
    Gone,
}

/// A file.
#[derive(Debug)]
struct Pooled {
    kind: Kind,
    placeholder: String,
    state: State,
}

/// The files, their states, and what is to become of them.
#[derive(Debug)]
pub(crate) struct Pool {
    retention: Retention,
    /// [`REST`]; tests do not wait for it.
    rest: Duration,
    files: Vec<Pooled>,
    held: Vec<Arc<HeldFile>>,
}

fn kind_of(name: &ArchiveName) -> Kind {
    if name.is_incremental() { Kind::Incremental } else { Kind::Full }
}

fn placeholder(kind: Kind, number: usize) -> String {
    match kind {
        Kind::Full => format!(".snapshot-{number}.partial"),
        Kind::Incremental => format!(".incremental-snapshot-{number}.partial"),
    }
}

/// The kind and number of a placeholder.
fn parse_placeholder(name: &str) -> Option<(Kind, usize)> {
    let middle = name.strip_prefix('.')?.strip_suffix(".partial")?;
    let (kind, number) = match middle.strip_prefix("incremental-snapshot-") {
        Some(number) => (Kind::Incremental, number),
        None => (Kind::Full, middle.strip_prefix("snapshot-")?),
    };
    let number = number.parse().ok()?;
    // Written otherwise it is not ours.
    (placeholder(kind, number) == name).then_some((kind, number))
}

impl Pool {
    /// Opens all files there will be. `own` says of an archive in the folder, by its name and inode, with
    /// how many bytes this service published it; `None`: it did not.
    pub(crate) fn open(
        folder: &HeldFolder,
        retention: Retention,
        mut own: impl FnMut(&ArchiveName, u64) -> Result<Option<u64>, ServiceError>,
    ) -> Result<Self, ServiceError> {
        let mut pool = Self { retention, rest: REST, files: Vec::new(), held: Vec::new() };
        let wanted = [Kind::Full, Kind::Incremental].map(|kind| pool.retained(kind) + 1);
        if wanted.iter().sum::<usize>() > FILES_MAX {
            return Err(ServiceError::TooMany { most: FILES_MAX - 2 });
        }
        let mut leftovers = Vec::new();
        let mut published = Vec::new();
        for entry in folder.list()? {
            if let Some(known) = parse_placeholder(&entry.name) {
                leftovers.push((known, entry.name));
            } else if let Ok(name) = ArchiveName::parse(&entry.name)
                && entry.is_file
                && let Some(inode) = folder.inode(&entry.name)?
                && let Some(bytes) = own(&name, inode)?
            {
                match entry.bytes {
                    // Its name was taken and not lost for good before it was cleared.
                    0 => folder.remove(&entry.name)?,
                    now if now == bytes => published.push((name, entry.name)),
                    // Somebody has written to it.
                    _ => {}
                }
            }
        }
        // Newest first: what is beyond the bound is left alone, and is the oldest.
        published.sort_by_key(|(name, _)| std::cmp::Reverse(name.slot()));
        published.truncate(FILES_MAX - wanted.iter().sum::<usize>());
        for (name, file) in published {
            let file = folder.take(&file)?;
            pool.add(kind_of(&name), State::Published(name), file);
        }
        for (kind, wanted) in [Kind::Full, Kind::Incremental].into_iter().zip(wanted) {
            let mut of_kind = leftovers.iter().filter(|((of, _), _)| *of == kind);
            // A name that is taken by what is left behind must be taken over, or go.
            let mut missing = wanted.saturating_sub(pool.of(kind).count());
            for (_, name) in &mut of_kind {
                match missing {
                    0 => folder.remove(name)?,
                    _ => {
                        let file = folder.take(name)?;
                        if file.names()? > 1 {
                            folder.remove(name)?;
                            continue;
                        }
                        pool.add_named(kind, State::Taken, file, name.clone());
                        missing -= 1;
                    }
                }
            }
            for _ in 0..missing {
                let name = pool.free_placeholder(kind);
                let file = folder.create(&name)?;
                pool.add_named(kind, State::Free, file, name);
            }
        }
        pool.name_published();
        folder.sync()?;
        pool.check_leases(folder)?;
        Ok(pool)
    }

    fn add(&mut self, kind: Kind, state: State, file: HeldFile) {
        self.add_named(kind, state, file, String::new());
    }

    fn add_named(&mut self, kind: Kind, state: State, file: HeldFile, placeholder: String) {
        self.files.push(Pooled { kind, placeholder, state });
        self.held.push(Arc::new(file));
    }

    /// A placeholder's name that no file of the pool has.
    fn free_placeholder(&self, kind: Kind) -> String {
        let is_free = |name: &String| self.files.iter().all(|file| file.placeholder != *name);
        let mut names = (0..=FILES_MAX).map(|number| placeholder(kind, number));
        names.find(is_free).expect("there are fewer files")
    }

    /// Archives that were there get the names they will have when they are retired.
    fn name_published(&mut self) {
        for number in 0..self.files.len() {
            if self.files[number].placeholder.is_empty() {
                self.files[number].placeholder = self.free_placeholder(self.files[number].kind);
            }
        }
    }

    /// Without leases nobody could tell what is being read.
    fn check_leases(&self, folder: &HeldFolder) -> Result<(), ServiceError> {
        let free = self.files.iter().zip(&self.held).find(|(file, _)| file.kind == Kind::Full);
        let Some((_, file)) = free else { return Ok(()) };
        let asked = file.try_lease().and_then(|is_leased| match is_leased {
            true => file.end_lease(),
            false => Ok(()),
        });
        asked.map_err(|source| ServiceError::NoLeases {
            folder: folder.path().to_path_buf(),
            source,
        })
    }

    fn retained(&self, kind: Kind) -> usize {
        match kind {
            Kind::Full => self.retention.full.get(),
            Kind::Incremental => self.retention.incremental.get(),
        }
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = (usize, &Pooled)> {
        self.files.iter().enumerate().filter(move |(_, file)| file.kind == kind)
    }

    /// The open files, by their numbers.
    pub(crate) fn held(&self) -> &[Arc<HeldFile>] {
        &self.held
    }

    /// Archives of a kind that are there, newest first.
    pub(crate) fn published(&self, kind: Kind) -> Vec<(usize, ArchiveName)> {
        let name = |(number, file): (usize, &Pooled)| match file.state {
            State::Published(name) => Some((number, name)),
            _ => None,
        };
        let mut published: Vec<_> = self.of(kind).filter_map(name).collect();
        published.sort_by_key(|(_, name)| std::cmp::Reverse(name.slot()));
        published
    }

    /// Takes a free file, to be written; its number and where it lies in the folder.
    pub(crate) fn take(&mut self, kind: Kind) -> Option<(usize, String)> {
        let is_free = |(_, file): &(usize, &Pooled)| matches!(file.state, State::Free);
        let number = self.of(kind).find(is_free)?.0;
        self.files[number].state = State::Taken;
        Some((number, self.files[number].placeholder.clone()))
    }

    /// Whether a file of a kind will be free in a moment: it rests.
    pub(crate) fn is_one_coming(&self, kind: Kind) -> bool {
        self.of(kind).any(|(_, file)| match &file.state {
            // Read for longer it is as good as taken.
            State::Resting(since) => since.elapsed() < 2 * self.rest,
            State::Gone => true,
            _ => false,
        })
    }

    /// The step that gives a file that was written its name.
    pub(crate) fn publish(&self, number: usize, name: &ArchiveName) -> Step {
        let from = self.files[number].placeholder.clone();
        Step::Publish { file: number, from, to: name.to_string() }
    }

    /// It has its name.
    pub(crate) fn is_published(&mut self, number: usize, name: ArchiveName) {
        self.files[number].state = State::Published(name);
    }

    /// What is to go, or to be cleared. Steps are independent of each other: what does not work, or
    /// waits for a reader, is given again when asked again.
    pub(crate) fn tidying(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let full = self.published(Kind::Full);
        let kept = &full[..full.len().min(self.retained(Kind::Full))];
        let is_kept = |base: Slot| kept.iter().any(|(_, name)| name.slot() == base);
        let (on_kept, orphans): (Vec<_>, Vec<_>) = self
            .published(Kind::Incremental)
            .into_iter()
            .partition(|(_, name)| name.base().is_some_and(is_kept));
        let beyond = on_kept.into_iter().skip(self.retained(Kind::Incremental));
        let old = full.into_iter().skip(self.retained(Kind::Full));
        // The incremental archives first: none is to be there without its full one because of this.
        for (number, name) in orphans.into_iter().chain(beyond).chain(old) {
            let to = self.files[number].placeholder.clone();
            steps.push(Step::Retire { file: number, from: name.to_string(), to });
        }
        for (number, file) in self.files.iter().enumerate() {
            let is_due = match &file.state {
                State::Resting(since) => since.elapsed() >= self.rest,
                State::Taken => true,
                State::Free | State::Published(_) | State::Gone => false,
            };
            if is_due {
                steps.push(Step::Clear { file: number });
            }
        }
        steps
    }

    /// What became of a step of [`Self::tidying`].
    pub(crate) fn tidied(&mut self, step: &Step, done: Done) {
        match (step, done) {
            (_, Done::InUse | Done::Named) | (Step::Publish { .. }, _) => {}
            (Step::Retire { file, .. }, Done::Yes) => {
                self.files[*file].state = State::Resting(Stopwatch::start());
            }
            (Step::Clear { file }, Done::Yes) => self.files[*file].state = State::Free,
        }
    }

    /// If the file of a step of [`Self::tidying`] has a second name: takes ours away, and leaves the file
    /// and what is in it to whoever gave the other one. Whether it was so.
    pub(crate) fn let_go_if_shared(
        &mut self,
        step: &Step,
        folder: &HeldFolder,
    ) -> Result<bool, icecore_disk::Error> {
        let (file, name) = match step {
            Step::Retire { file, from, .. } => (*file, from),
            Step::Clear { file } => (*file, &self.files[*file].placeholder),
            Step::Publish { .. } => return Ok(false),
        };
        if self.held[file].names()? <= 1 {
            return Ok(false);
        }
        folder.remove(name)?;
        self.files[file].state = State::Gone;
        folder.sync()?;
        Ok(true)
    }

    /// The names of all that is published.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let published = [Kind::Full, Kind::Incremental].into_iter();
        published.flat_map(|kind| self.published(kind)).map(|(_, name)| name.to_string()).collect()
    }

    /// Whether all that is published is still there. An archive that somebody has removed or renamed took
    /// its file along: the pool has to be opened anew.
    pub(crate) fn is_whole(&self, folder: &HeldFolder) -> Result<bool, ServiceError> {
        let there: BTreeSet<String> = folder.list()?.into_iter().map(|entry| entry.name).collect();
        let is_there = |file: &Pooled| match file.state {
            State::Published(name) => there.contains(&name.to_string()),
            _ => there.contains(&file.placeholder),
        };
        Ok(self.files.iter().all(is_there))
    }
}
