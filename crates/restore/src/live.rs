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

use std::ops::ControlFlow;

use icecore_types::{AccountRef, Slot};

use crate::{
    Answer, Error, Options, Pair, Progress, Report, Source,
    first_look::ArchiveFacts,
    pipeline::{
        batch::{Batch, Place},
        run::{Worker, pass},
    },
    second_look::{PlaceCursor, SecondLook},
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
    excluded: Vec<Place>,
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
    let accounts = LiveAccounts::open(pair, options, progress)?;
    match accounts.report.answer() {
        Answer::Bad => Err(accounts.damaged()),
        Answer::Consistent | Answer::Anchored => Ok(accounts),
    }
}

impl LiveAccounts {
    /// Opens archives whatever their verdict is; [`report`](Self::report) tells.
    ///
    /// # Errors
    /// [`Error::Damaged`] when an archive could not be read to its end, or the incremental one
    /// builds on another full archive: then no version is known to be the newest.
    pub fn open(mut pair: Pair, options: Options, progress: &Progress) -> Result<Self, Error> {
        let examined = examine(&mut pair, &options, progress)?;
        let accounts = Self {
            pair,
            options,
            full: examined.full,
            incremental: examined.incremental,
            excluded: examined.excluded,
            report: examined.report,
        };
        let whole = |facts: &ArchiveFacts| facts.end.tar.is_some();
        let fits = |incremental: &Source| {
            incremental.name().base() == Some(accounts.pair.full.name().slot())
        };
        let settled = whole(&accounts.full)
            && accounts.incremental.as_ref().is_none_or(whole)
            && accounts.pair.incremental.as_ref().is_none_or(fits);
        if settled { Ok(accounts) } else { Err(accounts.damaged()) }
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

    /// Gives every live account to `visit`, on a thread of its own, until it breaks; then no more
    /// of the archives is read.
    ///
    /// # Errors
    /// [`Error::Damaged`] when an archive is no longer what was verified.
    pub fn for_each<F>(&mut self, progress: &Progress, visit: F) -> Result<(), Error>
    where
        F: FnMut(LiveAccount<'_>) -> ControlFlow<()> + Send,
    {
        let mut visit = visit;
        let decompressors = self.options.threads.decompressors;
        let mut stopped = false;
        let passes = [
            (Some(&mut self.pair.full), Some(&self.full)),
            (self.pair.incremental.as_mut(), self.incremental.as_ref()),
        ];
        for (source, facts) in passes {
            let (Some(source), Some(facts)) = (source, facts) else { continue };
            progress.begin(format!("rows of {}", source.label()));
            progress.expect_bytes(source.bytes().unwrap_or(0));
            let incremental = source.name().is_incremental();
            let worker =
                RowWorker { excluded: &self.excluded, visit: &mut visit, stopped: &mut stopped };
            let look = &mut SecondLook::new(facts);
            let label = source.label().to_string();
            let reader = source.read("its rows are asked for")?;
            let passed = pass(reader, incremental, decompressors, vec![worker], look, progress)
                .map(|(_, end)| end);
            if stopped {
                return Ok(());
            }
            if passed?.tar.is_none() {
                return Err(Error::Damaged {
                    archive: label,
                    problem: "it was changed while it was read".to_string(),
                });
            }
        }
        Ok(())
    }
}

struct RowWorker<'a, F> {
    excluded: &'a [Place],
    visit: &'a mut F,
    stopped: &'a mut bool,
}

impl<F: FnMut(LiveAccount<'_>) -> ControlFlow<()> + Send> Worker for RowWorker<'_, F> {
    fn batch(&mut self, batch: &Batch) -> Result<(), Error> {
        let mut excluded = PlaceCursor::new(self.excluded, |place| *place);
        for (span, record) in batch.records() {
            let account = record.account();
            if account.is_tombstone() || excluded.find(span.place).is_some() {
                continue;
            }
            let live = LiveAccount { account, slot: span.slot, place: span.place };
            if (self.visit)(live).is_break() {
                *self.stopped = true;
                // Ends the pass; who asked for the pass knows that this is no failure.
                return Err(Error::Interrupted);
            }
        }
        Ok(())
    }
}
