//! Live accounts for commands: archives opened and judged, rows visited, failures carried out of
//! the thread that visits.

use std::ops::ControlFlow;

use icecore_restore::{Answer, Error, LiveAccount, LiveAccounts, live_accounts};

use crate::{
    exit::Failure,
    options::{CommonOptions, SourceOptions},
    progress::Watch,
};

/// Archives whose live accounts can be visited.
pub(crate) struct Scan {
    accounts: LiveAccounts,
    watch: Watch,
}

impl Scan {
    /// Verifies the archives, which must have a good verdict unless the user takes any. Rows go to
    /// stdout while they are found, or not before all have been.
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
        let (pair, options) = (source.pair()?, common.scan());
        let watch = common.watch_scan(rows_to_stdout)?;
        let made = make()?;
        if !source.no_verify {
            let accounts = live_accounts(pair, options, &watch.progress).map_err(telling_more)?;
            return Ok((Self { accounts, watch }, made));
        }
        let accounts = LiveAccounts::open(pair, options, &watch.progress)?;
        let verdicts = accounts.report().archives.iter();
        for verdict in verdicts.filter(|verdict| verdict.verdict == Answer::Bad) {
            let failed: Vec<_> = verdict.failures().map(|check| check.id.to_string()).collect();
            let failed = failed.join(" ");
            eprintln!("icecore: warning: {}: the verdict is bad ({failed})", verdict.archive);
        }
        Ok((Self { accounts, watch }, made))
    }

    /// Gives every live account to `visit`, on a thread of its own, until it breaks or fails.
    pub(crate) fn for_each(
        &mut self,
        mut visit: impl FnMut(LiveAccount<'_>) -> Result<ControlFlow<()>, Failure> + Send,
    ) -> Result<(), Failure> {
        let mut failure = None;
        let visited =
            self.accounts.for_each(&self.watch.progress, |account| match visit(account) {
                Ok(flow) => flow,
                Err(failed) => {
                    failure = Some(failed);
                    ControlFlow::Break(())
                }
            });
        match failure {
            Some(failure) => Err(failure),
            None => Ok(visited?),
        }
    }

    /// Ends the progress, so that an answer can follow.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        self.watch.finish()
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
