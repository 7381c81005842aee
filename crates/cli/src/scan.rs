//! Live accounts for commands: archives opened and judged, or a store opened; rows visited, failures
//! carried out of where they are visited.

use std::ops::ControlFlow;

use icecore_restore::{Answer, Error, LiveAccounts, live_accounts};

use crate::{
    exit::Failure,
    filters::Filter,
    options::CommonOptions,
    progress::Watch,
    reading::Reading,
    rows::Live,
    source::{Source, SourceOptions, pair_of},
};

/// Something whose live accounts can be visited.
pub(crate) enum Scan {
    /// Archives.
    Archives(Box<Archives>),
    /// A store.
    Store(Box<Reading>),
}

/// Archives that were verified.
pub(crate) struct Archives {
    accounts: LiveAccounts,
    watch: Watch,
}

impl Scan {
    /// Verifies the archives, which must have a good verdict unless the user takes any; or opens the
    /// store. Rows go to stdout while they are found, or not before all have been.
    pub(crate) fn open(
        common: &CommonOptions,
        source: &SourceOptions,
        rows_to_stdout: bool,
    ) -> Result<Self, Failure> {
        Self::open_for(|| Ok(()), common, source, rows_to_stdout).map(|(scan, ())| scan)
    }

    /// The same, with something made before the work begins, which must not be left half-made:
    /// when it is, Ctrl-C is already an orderly end.
    pub(crate) fn open_for<T>(
        make: impl FnOnce() -> Result<T, Failure>,
        common: &CommonOptions,
        source: &SourceOptions,
        rows_to_stdout: bool,
    ) -> Result<(Self, T), Failure> {
        match source.chosen()? {
            Source::Archives(paths) => {
                let (pair, options) = (pair_of(paths)?, common.scan());
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
        let Archives { accounts, watch } = match self {
            Self::Archives(archives) => &mut **archives,
            Self::Store(reading) => {
                reading.check_kept(&filter.owners())?;
                return reading.for_each(filter, &mut visit);
            }
        };
        let mut failure = None;
        let visited = accounts.for_each(&watch.progress, |live| {
            if !filter.matches(&live.account) {
                return ControlFlow::Continue(());
            }
            match visit(live.into()) {
                Ok(flow) => flow,
                Err(failed) => {
                    failure = Some(failed);
                    ControlFlow::Break(())
                }
            }
        });
        match failure {
            Some(failure) => Err(failure),
            None => Ok(visited?),
        }
    }

    /// Ends the progress, so that an answer can follow.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Archives(archives) => archives.watch.finish(),
            Self::Store(_) => Ok(()),
        }
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
