//! Verification in one line.

use std::path::Path;

use icecore_restore::{
    CheckId, Error, Genesis, Options, Outcome, Pair, Progress, Report, Verdict, verify,
};

use super::data;

/// The bundled ledger's genesis.
pub(crate) fn genesis() -> Genesis {
    Genesis::read(&data::tiny()).expect("bundled")
}

/// Options under which warnings are failures.
pub(crate) fn strict() -> Options {
    Options { strict: true, ..Options::for_cores(1) }
}

/// Verifies files as a user does who knows nothing else.
pub(crate) fn verify_files(full: &Path, incremental: Option<&Path>) -> Result<Report, Error> {
    verify_files_with(full, incremental, &Options::for_cores(1))
}

/// Verifies files.
pub(crate) fn verify_files_with(
    full: &Path,
    incremental: Option<&Path>,
    options: &Options,
) -> Result<Report, Error> {
    let mut pair = Pair::files(full, incremental)?;
    verify(&mut pair, options, &Progress::default())
}

fn with(verdict: &Verdict, outcome: Outcome) -> Vec<CheckId> {
    verdict.checks.iter().filter(|check| check.outcome == outcome).map(|check| check.id).collect()
}

/// The checks that failed.
pub(crate) fn failed(verdict: &Verdict) -> Vec<CheckId> {
    with(verdict, Outcome::Fail)
}

/// The checks that warned.
pub(crate) fn warned(verdict: &Verdict) -> Vec<CheckId> {
    with(verdict, Outcome::Warn)
}
