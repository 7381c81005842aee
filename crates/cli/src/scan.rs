//! Live accounts for commands: archives opened and judged, or read through their indexes, or a store
//! opened; rows visited, failures carried out of where they are visited.
//!
//! Who asks for addresses or owners only is answered through indexes where there are some that fit
//! and were made when the verdict was good; which way was taken is told on stderr.

use std::ops::ControlFlow;

use icecore_restore::{
    Answer, Error, IndexUse, IndexedAccount, IndexedArchives, LiveAccounts, live_accounts,
};
use icecore_types::Pubkey;

use crate::{
    exit::Failure,
    filters::Filter,
    options::CommonOptions,
    progress::Watch,
    reading::Reading,
    rows::Live,
    size::human,
    source::{Source, SourceOptions, pair_of},
};

/// Something whose live accounts can be visited.
pub(crate) enum Scan {
    /// Archives.
    Archives(Box<Archives>),
    /// Archives, through their indexes.
    Indexed(Box<Indexed>),
    /// A store.
    Store(Box<Reading>),
}

/// Archives that were verified.
pub(crate) struct Archives {
    accounts: LiveAccounts,
    watch: Watch,
}

/// Archives with indexes.
pub(crate) struct Indexed {
    archives: IndexedArchives,
    watch: Watch,
}

/// What will be asked of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Accounts by their addresses or owners.
    Some,
    /// All accounts.
    All,
}

impl Scan {
    /// Verifies the archives, which must have a good verdict unless the user takes any, or opens
    /// their indexes, or the store; for accounts by their addresses or owners. Rows go to stdout while they are found, or not before all have been.
    pub(crate) fn open(
        common: &CommonOptions,
        source: &SourceOptions,
        rows_to_stdout: bool,
    ) -> Result<Self, Failure> {
        let (scan, ()) = Self::open_for(|| Ok(()), common, source, Asked::Some, rows_to_stdout)?;
        Ok(scan)
    }

    /// The same, with something made before the work begins, which must not be left half-made:
    /// when it is, Ctrl-C is already an orderly end.
    pub(crate) fn open_for<T>(
        make: impl FnOnce() -> Result<T, Failure>,
        common: &CommonOptions,
        source: &SourceOptions,
        asked: Asked,
        rows_to_stdout: bool,
    ) -> Result<(Self, T), Failure> {
        match source.chosen()? {
            Source::Archives(paths) => {
                let (pair, options) = (pair_of(paths)?, common.scan());
                if asked == Asked::Some && !source.no_index {
                    match IndexedArchives::open(&pair, !source.no_verify, options.clone())? {
                        IndexUse::Ready(archives) => {
                            let watch = match rows_to_stdout {
                                true => common.watch_stream()?,
                                false => common.watch()?,
                            };
                            let made = make()?;
                            let indexed = Indexed { archives: *archives, watch };
                            return Ok((Self::Indexed(Box::new(indexed)), made));
                        }
                        IndexUse::NotEnough(why) => eprintln!("read whole: {why}"),
                        IndexUse::None => {}
                    }
                }
                let watch = common.watch_scan(rows_to_stdout)?;
                let made = make()?;
                let accounts = match source.no_verify {
                    true => LiveAccounts::open(pair, options, &watch.progress)?,
                    false => live_accounts(pair, options, &watch.progress).map_err(telling_more)?,
                };
                warn(&accounts);
                Ok((Self::Archives(Box::new(Archives { accounts, watch })), made))
            }
            Source::Store(folder, moment) => {
                let reading = Reading::open(&folder, moment)?;
                Ok((Self::Store(Box::new(reading)), make()?))
            }
        }
    }

    /// Gives every live account that passes to `visit`, perhaps on a thread of its own, until it breaks
    /// or fails.
    pub(crate) fn for_each(
        &mut self,
        filter: &Filter<'_>,
        mut visit: impl FnMut(Live<'_>) -> Result<ControlFlow<()>, Failure> + Send,
    ) -> Result<(), Failure> {
        let mut failure = None;
        let mut each = |live: Live<'_>| {
            if !filter.matches(&live.account) {
                return ControlFlow::Continue(());
            }
            visit(live).unwrap_or_else(|failed| {
                failure = Some(failed);
                ControlFlow::Break(())
            })
        };
        let visited = match self {
            Self::Archives(archives) => {
                let Archives { accounts, watch } = &mut **archives;
                accounts.for_each(&watch.progress, |live| each(live.into()))
            }
            Self::Indexed(indexed) => {
                let Indexed { archives, watch } = &mut **indexed;
                archives.of_owners(&filter.owners(), &watch.progress, |live| each(live.into()))
            }
            Self::Store(reading) => {
                reading.check_kept(&filter.owners())?;
                return reading.for_each(filter, &mut visit);
            }
        };
        match failure {
            Some(failure) => Err(failure),
            None => Ok(visited?),
        }
    }

    /// Ends the progress, so that an answer can follow.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Archives(archives) => archives.watch.finish(),
            Self::Indexed(indexed) => {
                indexed.watch.finish()?;
                let work = indexed.archives.work();
                let (read, all) = (human(work.archive_bytes), human(work.archive_bytes_of));
                let (frames, of) = (work.frames, work.frames_of);
                eprintln!("read through the index: {frames} of {of} frames, {read} of {all}");
                Ok(())
            }
            Self::Store(_) => Ok(()),
        }
    }
}

impl Indexed {
    /// Gives those accounts that live to `visit`.
    pub(crate) fn get_many(
        &mut self,
        pubkeys: &[Pubkey],
        mut visit: impl FnMut(IndexedAccount<'_>) + Send,
    ) -> Result<(), Failure> {
        let each = |found: IndexedAccount<'_>| {
            visit(found);
            ControlFlow::Continue(())
        };
        Ok(self.archives.get_many(pubkeys, &self.watch.progress, each)?)
    }
}

/// Says what is wrong with archives that are read all the same.
fn warn(accounts: &LiveAccounts) {
    let verdicts = accounts.report().archives.iter();
    for verdict in verdicts.filter(|verdict| verdict.verdict == Answer::Bad) {
        let failed: Vec<_> = verdict.failures().map(|check| check.id.to_string()).collect();
        let failed = failed.join(" ");
        eprintln!("icecore: warning: {}: the verdict is bad ({failed})", verdict.archive);
    }
}

/// Names the command that says more than the first thing that is wrong.
fn telling_more(error: Error) -> Failure {
    match error {
        Error::Damaged { archive, problem } => {
            let problem = format!("{problem} (`icecore snapshot verify` tells everything)");
            Error::Damaged { archive, problem }.into()
        }
        other => other.into(),
    }
}
