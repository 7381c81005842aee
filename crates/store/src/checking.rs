//! Checking a whole store: every byte that matters, and whether it all fits together.
//!
//! 1. The journal: chain, indexes, and all extents against their digests.
//! 2. Segments are read by position as well: a disk that fails is a finding, where reading a mapping
//!    of it would end the process.
//! 3. The run set, and every block of every run.
//! 4. Every record that an event has adopted, and with it every row of every run: each leads to a
//!    record of its account, slot and owner, and no final version that is kept is missing ([`records`]).
//! 5. If all is well so far: the accounts at the root and at the first slot of each window are read,
//!    and their lattice hash, capitalization and counts are those that the chain states.
//!
//! Nothing is changed. What lies between extents, and what no event has adopted, is not looked at:
//! nothing of it is ever read.
//!
//! What it does *not* do: repair. Runs can be rebuilt; records and chain are restored from a copy.

mod records;
mod states;

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use icecore_disk::{Access, Disk, RealDisk};
use icecore_journal::{
    WorkProgress,
    care::{self, CheckOptions, Severity},
};
use icecore_types::Slot;

use crate::{
    Error, Options, Store,
    open::JOURNAL_FOLDER,
    run::{BY_OWNER, BY_PUBKEY, RunHeader, RunInfo, RunStore, check},
    run_set::{PairEntry, RunEntry, SetFile, run_path, runs_folder},
};

/// Findings that are told of; the rest are counted.
pub const CHECK_FINDINGS_MAX: usize = 10_000;

/// Bytes that are read at once.
const PIECE_BYTES: usize = 1 << 20;

/// What is being checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckPhase {
    /// Chain, indexes and extents.
    Journal,
    /// Segments, by position: counted in files.
    Segments,
    /// Blocks of runs.
    Runs,
    /// Records, and the rows that lead to them.
    Records,
    /// Sums of whole states.
    States,
}

/// How far checking has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckStep {
    /// What is being checked.
    pub phase: CheckPhase,
    /// Bytes of this phase so far; of states, accounts.
    pub done: u64,
    /// Of so many, about.
    pub total: u64,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckFinding {
    /// The file, or the store's folder.
    pub path: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
    /// Whether something is lost or not what it was; otherwise opening for writing repairs it.
    pub is_damage: bool,
}

/// What checking found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckReport {
    /// At most [`CHECK_FINDINGS_MAX`].
    pub findings: Vec<CheckFinding>,
    /// Findings that are damage, those that are not told of included.
    pub damage: u64,
    /// Findings beyond those that are told of.
    pub findings_left_out: u64,
    /// Events of the chain.
    pub events: u64,
    /// Extents that were read.
    pub extents: u64,
    /// Run files.
    pub runs: u64,
    /// Their rows.
    pub rows: u64,
    /// Records that events have adopted.
    pub records: u64,
    /// Slots whose accounts were summed up and compared.
    pub states: Vec<Slot>,
}

/// Who is told how far it is, and can break off.
pub type CheckProgress<'a> = dyn FnMut(&CheckStep) -> ControlFlow<()> + 'a;

impl Store {
    /// Checks a store on the real disk.
    ///
    /// # Errors
    /// As [`Self::check_on`].
    pub fn check(
        folder: impl AsRef<Path>,
        report: &mut CheckProgress<'_>,
    ) -> Result<CheckReport, Error> {
        Self::check_on(Arc::new(RealDisk), folder, report)
    }

    /// Checks everything in a store, beside a writer or not. What a writer compacts meanwhile can make
    /// findings: check again, or when it has ended.
    ///
    /// # Errors
    /// [`Error::NoStore`]; [`icecore_journal::Error::Interrupted`]. Whatever is wrong with the store is
    /// a finding.
    pub fn check_on(
        disk: Arc<dyn Disk>,
        folder: impl AsRef<Path>,
        report: &mut CheckProgress<'_>,
    ) -> Result<CheckReport, Error> {
        let folder = folder.as_ref().to_path_buf();
        let mut work = Work { disk, folder, report, found: CheckReport::default() };
        work.journal()?;
        work.segments()?;
        let set = work.runs()?;
        if work.found.damage == 0 && set {
            work.whole()?;
        }
        Ok(work.found)
    }
}

/// The check under way.
struct Work<'a, 'r> {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    report: &'a mut CheckProgress<'r>,
    found: CheckReport,
}

impl Work<'_, '_> {
    fn tell(&mut self, phase: CheckPhase, done: u64, total: u64) -> Result<(), Error> {
        match (self.report)(&CheckStep { phase, done, total }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(icecore_journal::Error::Interrupted.into()),
        }
    }

    fn note(&mut self, path: &Path, offset: u64, what: impl Into<String>, is_damage: bool) {
        self.found.damage += u64::from(is_damage);
        if self.found.findings.len() == CHECK_FINDINGS_MAX {
            self.found.findings_left_out += 1;
            return;
        }
        let (path, what) = (path.to_path_buf(), what.into());
        self.found.findings.push(CheckFinding { path, offset, what, is_damage });
    }

    fn damage(&mut self, path: &Path, offset: u64, what: impl Into<String>) {
        self.note(path, offset, what, true);
    }

    /// An error is a finding, but for the one of whoever broke off.
    fn note_error(&mut self, error: Error) -> Result<(), Error> {
        match error {
            Error::Journal(icecore_journal::Error::Interrupted) => return Err(error),
            Error::Corrupt { path, offset, what } => self.damage(&path, offset, what),
            Error::Journal(icecore_journal::Error::Corrupt { path, offset, what }) => {
                self.damage(&path, offset, what);
            }
            error => {
                let folder = self.folder.clone();
                self.damage(&folder, 0, error.to_string());
            }
        }
        Ok(())
    }

    /// The value, or a finding.
    fn noted<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => self.note_error(error).map(|()| None),
        }
    }

    fn journal(&mut self) -> Result<(), Error> {
        let folder = self.folder.join(JOURNAL_FOLDER);
        let options = CheckOptions { extents: true, indexes: true, ..CheckOptions::default() };
        let disk = Arc::clone(&self.disk);
        let report = &mut *self.report;
        let mut told = |progress: &WorkProgress| {
            let (done, total) = (progress.bytes_done, progress.bytes_total);
            report(&CheckStep { phase: CheckPhase::Journal, done, total })
        };
        let checked = match care::check(&*disk, &folder, &options, &mut told) {
            Ok(checked) => checked,
            Err(icecore_journal::Error::NoJournal { .. }) => {
                return Err(Error::NoStore { folder: self.folder.clone() });
            }
            Err(error) => return self.note_error(error.into()),
        };
        (self.found.events, self.found.extents) = (checked.events, checked.extents);
        for finding in checked.findings {
            let is_damage = finding.severity == Severity::Damage;
            self.note(&finding.path, finding.offset, finding.what, is_damage);
        }
        self.found.findings_left_out += checked.findings_left_out;
        Ok(())
    }

    fn segments(&mut self) -> Result<(), Error> {
        let folder = self.folder.join(JOURNAL_FOLDER);
        let Ok(mut entries) = self.disk.list(&folder) else { return Ok(()) };
        entries.retain(|entry| entry.name.ends_with(".seg"));
        let total = entries.len() as u64;
        let mut buffer = vec![0; PIECE_BYTES];
        for (done, entry) in entries.into_iter().enumerate() {
            self.tell(CheckPhase::Segments, done as u64, total)?;
            let path = folder.join(&entry.name);
            let Ok(file) = self.disk.open(&path, Access::Read) else { continue };
            let mut at = 0;
            loop {
                match file.read_at(at, &mut buffer) {
                    Ok(0) => break,
                    Ok(read) => at += read as u64,
                    Err(error) => {
                        self.damage(&path, at, error.to_string());
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// The run set and its runs; false: there is no set that can be used.
    fn runs(&mut self) -> Result<bool, Error> {
        let identity = match Store::identity_on(&self.disk, &self.folder) {
            Ok(identity) => identity,
            Err(Error::NoStore { folder }) => {
                // The chain is sound so far, but nothing says how much of it is durable.
                let what = "the last writer did not end cleanly; open the store for writing, which recovers it, and check again";
                self.note(&folder, 0, what, false);
                return Ok(false);
            }
            Err(error) => return self.note_error(error).map(|()| false),
        };
        let set = match SetFile::read(&*self.disk, &self.folder) {
            Ok(Some(set)) => set,
            Ok(None) => {
                let path = runs_folder(&self.folder);
                self.damage(&path, 0, "there is no run set; rebuild the index");
                return Ok(false);
            }
            Err(error) => return self.note_error(error).map(|()| false),
        };
        let pairs: Vec<PairEntry> = set.pairs().copied().collect();
        let entries = |pair: &PairEntry| [Some(pair.by_pubkey), pair.by_owner];
        let total = pairs.iter().flat_map(entries).flatten().map(|entry| entry.bytes).sum();
        let mut done = 0;
        for pair in &pairs {
            self.tell(CheckPhase::Runs, done, total)?;
            self.run::<BY_PUBKEY>(&identity, pair, &pair.by_pubkey)?;
            done += pair.by_pubkey.bytes;
            if let Some(entry) = &pair.by_owner {
                self.run::<BY_OWNER>(&identity, pair, entry)?;
                done += entry.bytes;
            }
        }
        Ok(true)
    }

    fn run<const K: usize>(
        &mut self,
        identity: &RunStore,
        pair: &PairEntry,
        entry: &RunEntry,
    ) -> Result<(), Error> {
        let path = run_path(&self.folder, entry.id);
        let disk = Arc::clone(&self.disk);
        let checked: Result<(RunInfo, RunHeader), Error> = check::<K>(&*disk, &path, identity);
        let Some((info, header)) = self.noted(checked)? else { return Ok(()) };
        if RunEntry::from(info) != *entry
            || (header.kind.after(), header.to) != (pair.after, pair.to)
        {
            self.damage(&path, 0, "the run is another one than the run set names");
        }
        self.found.runs += 1;
        self.found.rows += info.rows;
        Ok(())
    }

    /// What can only be said of a store that opens.
    fn whole(&mut self) -> Result<(), Error> {
        let options = Options { background: false, ..Options::default() };
        let opened = Store::read_on(Arc::clone(&self.disk), &self.folder, options);
        let Some(store) = self.noted(opened)? else { return Ok(()) };
        self.records(&store)?;
        if self.found.damage == 0 {
            self.states(&store)?;
        }
        Ok(())
    }
}
