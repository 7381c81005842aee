//! The newest version of every live account of a full archive or a pair.
//!
//! The archives are read twice: once to verify them and to settle which version of each account
//! counts, once to give the rows. So nothing is given out of archives that are not sound, and
//! nothing but one place for each replaced record is held in between.
//!
//! Rows come in the order of the archives, first the full one's, then the incremental's; it does
//! not depend on the number of threads.
//!
//! An epoch job in a few lines, here the sum of what is delegated, started or not. (The example
//! `stake_by_vote_account` of this crate goes by vote account and epoch.)
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use icecore_programs::stake;
//! use icecore_restore::{Options, Pair, Progress, live_accounts};
//! use icecore_types::programs;
//!
//! # fn main() -> Result<(), icecore_restore::Error> {
//! let pair = Pair::best_in("../../testdata/tiny")?;
//! let progress = Progress::default();
//! let mut accounts = live_accounts(pair, Options::for_cores(2), &progress)?;
//! let mut delegated = 0u128;
//! accounts.for_each(&progress, |live| {
//!     if *live.account.owner == programs::STAKE
//!         && let Some(delegation) = stake::delegation(live.account.data)
//!     {
//!         delegated += u128::from(delegation.stake);
//!     }
//!     ControlFlow::Continue(())
//! })?;
//! assert!(delegated > 0);
//! # Ok(())
//! # }
//! ```

use std::{ops::ControlFlow, path::Path, sync::Arc};

use icecore_tile::Frame;
use icecore_types::{AccountRef, Slot};

use crate::{
    Answer, Error, Options, Pair, Progress, Report, Source,
    destination::{Destination, Nowhere},
    first_look::ArchiveFacts,
    memory_plan::MemoryPlan,
    pass::{
        Setup, Writes,
        batch::{Batch, Place},
        slots::Worker,
        with_pipeline,
    },
    second_look::{Choice, Excluded, SecondLook, Storages, Wished},
    spill::{SpillFile, sorted::Sorted},
    tally::{Choose, Tallies, Tallying},
    totals::{Hashing, ViewTotals},
    verify::examine,
};

/// One live account.
#[derive(Debug, Clone, Copy)]
pub struct LiveAccount<'a> {
    /// Its content.
    pub account: AccountRef<'a>,
    /// The slot in which this version was written.
    pub slot: Slot,
    /// Where its record lies.
    pub place: Place,
}

/// Archives that were verified, ready to give their live accounts.
pub struct LiveAccounts {
    pair: Pair,
    options: Options,
    full: ArchiveFacts,
    incremental: Option<ArchiveFacts>,
    excluded: Sorted<Place>,
    /// Where that list lies, as far as it was spilled.
    found: Arc<SpillFile>,
    report: Report,
}

/// Opens archives for reading their live accounts: verifies them and settles versions.
///
/// # Errors
/// [`Error::Damaged`] when the verdict is bad; [`LiveAccounts::open`] gives archives with a bad
/// verdict, too.
pub fn live_accounts(
    pair: Pair,
    options: Options,
    progress: &Progress,
) -> Result<LiveAccounts, Error> {
    LiveAccounts::open(pair, options, progress)?.sound()
}

/// The same, and how much of each storage counts and is chosen. That costs no look of its own.
///
/// # Errors
/// Those of [`live_accounts`].
pub fn tallied_accounts(
    pair: Pair,
    options: Options,
    choose: Choose<'_>,
    hashing: Hashing,
    progress: &Progress,
) -> Result<(LiveAccounts, Tallies), Error> {
    let mut tallying = Tallying::new(choose, hashing);
    let (accounts, totals) = LiveAccounts::examined(pair, options, progress, &mut tallying)?;
    let accounts = accounts.sound()?;
    let ViewTotals { all: mut chosen, left_out } = totals;
    chosen.subtract(&left_out);
    let archives = [Some(&accounts.full), accounts.incremental.as_ref()];
    let tallies = tallying.finish(archives, chosen);
    Ok((accounts, tallies))
}

impl LiveAccounts {
    /// Opens archives whatever their verdict is; [`report`](Self::report) tells.
    ///
    /// # Errors
    /// [`Error::Damaged`] when an archive could not be read to its end, or the incremental one
    /// builds on another full archive: then no version is known to be the newest.
    pub fn open(pair: Pair, options: Options, progress: &Progress) -> Result<Self, Error> {
        Ok(Self::examined(pair, options, progress, &mut Nowhere::default())?.0)
    }

    /// Verifies and settles; with the totals of what counts.
    fn examined<D: Destination>(
        mut pair: Pair,
        options: Options,
        progress: &Progress,
        destination: &mut D,
    ) -> Result<(Self, ViewTotals), Error> {
        let mut examined = examine(&mut pair, &options, progress, destination)?;
        // Only where records lie is needed from here on.
        for facts in [Some(&mut examined.full), examined.incremental.as_mut()].into_iter().flatten()
        {
            facts.manifest = None;
        }
        let accounts = Self {
            pair,
            options,
            full: examined.full,
            incremental: examined.incremental,
            excluded: examined.excluded,
            found: examined.found,
            report: examined.report,
        };
        let whole = |facts: &ArchiveFacts| facts.end.tar.is_some();
        let fits = |incremental: &Source| {
            incremental.name().base() == Some(accounts.pair.full.name().slot())
        };
        let settled = whole(&accounts.full)
            && accounts.incremental.as_ref().is_none_or(whole)
            && accounts.pair.incremental.as_ref().is_none_or(fits);
        if settled { Ok((accounts, examined.totals)) } else { Err(accounts.damaged()) }
    }

    /// These accounts, unless the verdict is bad.
    fn sound(self) -> Result<Self, Error> {
        match self.report.answer() {
            Answer::Bad => Err(self.damaged()),
            Answer::Consistent | Answer::Anchored => Ok(self),
        }
    }

    /// The verdict that was reached on the way.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The first thing that is wrong.
    fn damaged(&self) -> Error {
        let (verdict, check) = self
            .report
            .archives
            .iter()
            .find_map(|verdict| Some((verdict, verdict.failures().next()?)))
            .expect("what makes a verdict bad, or keeps versions from being known, fails a check");
        Error::Damaged {
            archive: verdict.archive.clone(),
            problem: format!("{} {}: {}", check.id, check.id.title(), check.detail),
        }
    }

    /// The folder of scratch files.
    pub(crate) fn scratch(&self) -> Option<&Path> {
        self.options.scratch.as_deref()
    }

    /// Gives every live account to `visit`, on a thread of its own, until it breaks; then no more
    /// of the archives is read.
    ///
    /// # Errors
    /// [`Error::Damaged`] when an archive is no longer what was verified.
    pub fn for_each<F>(&mut self, progress: &Progress, mut visit: F) -> Result<(), Error>
    where
        F: FnMut(LiveAccount<'_>) -> ControlFlow<()> + Send,
    {
        self.try_for_each(progress, |live| Ok(visit(live)))
    }

    /// The same, with a visitor whose error is the outcome.
    pub(crate) fn try_for_each<F>(&mut self, progress: &Progress, visit: F) -> Result<(), Error>
    where
        F: FnMut(LiveAccount<'_>) -> Result<ControlFlow<()>, Error> + Send,
    {
        let bytes_max = MemoryPlan::new(self.options.memory_bytes_max, 1).reader_bytes();
        let (excluded, found) = (self.excluded.clone(), Arc::clone(&self.found));
        self.read(progress, &found, || Excluded::new(&excluded, bytes_max), visit)
    }

    /// Gives those live accounts to `visit` whose places are in a list; it lies in `file` as far as
    /// it was spilled, and is read through buffers of `bytes_max`.
    pub(crate) fn for_each_at<F>(
        &mut self,
        places: &Sorted<Place>,
        file: &Arc<SpillFile>,
        bytes_max: usize,
        progress: &Progress,
        visit: F,
    ) -> Result<(), Error>
    where
        F: FnMut(LiveAccount<'_>) -> Result<ControlFlow<()>, Error> + Send,
    {
        self.read(progress, file, || Wished::new(places, bytes_max), visit)
    }

    /// Reads the archives and gives the chosen records to `visit`; each archive has a choice of its
    /// own, which may read from `file`.
    fn read<C, F>(
        &mut self,
        progress: &Progress,
        file: &Arc<SpillFile>,
        choice: impl Fn() -> Result<C, Error>,
        visit: F,
    ) -> Result<(), Error>
    where
        C: Choice,
        F: FnMut(LiveAccount<'_>) -> Result<ControlFlow<()>, Error> + Send,
    {
        let mut archives = vec![(&mut self.pair.full, &self.full)];
        if let (Some(source), Some(facts)) = (&mut self.pair.incremental, &self.incremental) {
            archives.push((source, facts));
        }
        let mut feeds = Vec::new();
        let mut has_frames = false;
        for (source, _) in &mut archives {
            has_frames |= source.may_have_frames()?;
            feeds.push(source.open("its rows are asked for", self.options.tiles.read_options())?);
        }
        let Options { cores, tiles, placement, .. } = &self.options;
        let (decompressors, _) = tiles.counts(*cores, has_frames);
        let spills = [Arc::clone(file)];
        let setup = Setup {
            name: "rows",
            worker_kind: "visit",
            workers: 1,
            decompressors,
            plan: tiles,
            placement,
            spills: &spills,
            writes: Writes::default(),
            unconfined: Some("visit"),
        };
        with_pipeline(&setup, feeds, progress, |pipeline| {
            let mut worker = RowWorker { visit, has_stopped: false };
            for (feed, (source, facts)) in archives.iter().enumerate() {
                progress.begin(format!("rows of {}", source.label()));
                progress.expect_bytes(source.bytes().unwrap_or(0));
                let incremental = source.name().is_incremental();
                let look = SecondLook::new(Storages::of(facts), choice()?);
                let reason = "its rows are asked for";
                let (_, mut workers, end) =
                    pipeline.pass(feed, reason, incremental, look, vec![worker])?;
                worker = workers.pop().expect("the one that was given");
                if worker.has_stopped {
                    return Ok(());
                }
                if end.tar.is_none() {
                    return Err(Error::Damaged {
                        archive: source.label().to_string(),
                        problem: "it was changed while it was read".to_string(),
                    });
                }
            }
            Ok(())
        })
    }
}

struct RowWorker<F> {
    visit: F,
    has_stopped: bool,
}

impl<F> Worker for RowWorker<F>
where
    F: FnMut(LiveAccount<'_>) -> Result<ControlFlow<()>, Error> + Send,
{
    fn batch(&mut self, batch: &Batch<'_>, _: &Frame<'_>) -> Result<ControlFlow<()>, Error> {
        for (span, record) in batch.records() {
            let account = record.account();
            if account.is_tombstone() {
                continue;
            }
            let live = LiveAccount { account, slot: span.slot, place: span.place };
            if (self.visit)(live)?.is_break() {
                self.has_stopped = true;
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
