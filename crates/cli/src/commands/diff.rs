//! `icecore snapshot diff`: the accounts that differ between two states.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use clap::Args;
use icecore_restore::{AccountDiff, Answer as Verdicts, Change, Diff, LiveAccounts, StateSummary};
use serde::Serialize;

use super::slot_diff;
use crate::{
    changes,
    exit::{Exit, Failure},
    moment::Moment,
    options::CommonOptions,
    output::Answer,
    source::pair_of,
};

#[derive(Debug, Args)]
#[command(
    after_help = "Compares accounts, and of the banks: slot, parent slot, epoch, block height, \
bank hash, lattice checksum, accounts hash, capitalization. Where an account lies and in which \
slot it was written is no difference. Exits with 0 when nothing differs, with 1 when something does."
)]
pub(crate) struct Options {
    /// The state before: FULL, FULL,INCREMENTAL or a folder (its best pair)
    #[arg(value_name = "A")]
    before: PathBuf,

    /// The state after, likewise
    #[arg(value_name = "B")]
    after: PathBuf,

    /// Compare two slots of a store instead, as `icecore diff` does
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

/// The last line in JSON.
#[derive(Debug, Serialize)]
struct Last<'a> {
    summary: Summary<'a>,
}

#[derive(Debug, Serialize)]
struct Summary<'a> {
    same: bool,
    added: u64,
    closed: u64,
    changed: u64,
    /// The fields of the banks that differ.
    fields: Vec<&'static str>,
    before: &'a StateSummary,
    after: &'a StateSummary,
}

/// The accounts as they come, on stdout.
struct Rows<'a> {
    answer: Answer,
    before: &'a StateSummary,
    after: &'a StateSummary,
    has_begun: bool,
}

impl Rows<'_> {
    /// What stands before the first account, once.
    fn begin(&mut self) -> Result<(), Failure> {
        if self.answer.is_display() && !self.has_begun {
            head(self.before, self.after, &mut self.answer)?;
        }
        self.has_begun = true;
        Ok(())
    }

    fn account(&mut self, account: &AccountDiff) -> Result<(), Failure> {
        self.begin()?;
        match self.answer.is_display() {
            true => changes::show(account, &mut self.answer),
            false => Ok(self.answer.row(account)?),
        }
    }

    fn end(mut self, diff: &Diff) -> Result<(), Failure> {
        self.begin()?;
        let fields: Vec<_> =
            diff.before.differing(&diff.after).iter().map(|difference| difference.field).collect();
        if self.answer.is_display() {
            self.answer.line(last(diff, &fields))?;
        } else {
            self.answer.row(&Last {
                summary: Summary {
                    same: diff.is_same(),
                    added: diff.added,
                    closed: diff.closed,
                    changed: diff.changed,
                    fields,
                    before: &diff.before,
                    after: &diff.after,
                },
            })?;
        }
        Ok(self.answer.finish()?)
    }
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    if let Some(store) = &options.store {
        return slot_diff::compare(
            common,
            store,
            (moment(&options.before)?, moment(&options.after)?),
            &[],
        );
    }
    // Both names are looked at before hours may be spent on the first.
    let before = pair_of(&side(&options.before))?;
    let after = pair_of(&side(&options.after))?;
    let mut scan = common.scan();
    let memory_bytes_max = scan.memory_bytes_max;
    // While the second side is opened the first one holds up to an eighth.
    scan.memory_bytes_max -= memory_bytes_max / 8;
    let watch = common.watch_scan(true)?;
    let mut before = LiveAccounts::open(before, scan.clone(), &watch.progress)?;
    let mut after = LiveAccounts::open(after, scan, &watch.progress)?;
    let summaries = [&before, &after].map(StateSummary::of);
    let [of_before, of_after] = &summaries;
    let mut rows = Rows {
        answer: Answer::new(common.output),
        before: of_before,
        after: of_after,
        has_begun: false,
    };
    let mut failure = None;
    let compared = icecore_restore::diff(
        &mut before,
        &mut after,
        memory_bytes_max,
        &watch.progress,
        |account| match rows.account(&account) {
            Ok(()) => ControlFlow::Continue(()),
            Err(failed) => {
                failure = Some(failed);
                ControlFlow::Break(())
            }
        },
    );
    if let Some(failure) = failure {
        return Err(failure);
    }
    let diff = compared?;
    watch.finish()?;
    rows.end(&diff)?;
    Ok(if diff.is_same() { Exit::Good } else { Exit::Bad })
}

/// A side that is a slot of a store.
fn moment(argument: &Path) -> Result<Moment, Failure> {
    let text = argument.to_str().unwrap_or_default();
    text.parse().map_err(|error| {
        Failure::Usage(format!(
            "{error}; with --store both sides are slots: to compare an archive, leave it out"
        ))
    })
}

/// The paths of a side. A comma parts a full from an incremental archive, unless a file or folder
/// has it in its name.
fn side(argument: &Path) -> Vec<PathBuf> {
    let whole = vec![argument.to_path_buf()];
    let Some(text) = argument.to_str() else { return whole };
    if icecore_disk::exists(argument) {
        return whole;
    }
    let parts = || text.match_indices(',').map(|(at, _)| (&text[..at], &text[at + 1..]));
    let there = |(full, incremental): &(&str, &str)| {
        icecore_disk::exists(Path::new(full)) && icecore_disk::exists(Path::new(incremental))
    };
    match parts().find(there).or_else(|| parts().next()) {
        Some((full, incremental)) => vec![full.into(), incremental.into()],
        None => whole,
    }
}

/// For a person: both sides, and how their banks differ.
fn head(before: &StateSummary, after: &StateSummary, answer: &mut Answer) -> Result<(), Failure> {
    for (word, state) in [("before", before), ("after", after)] {
        let verdict = match state.verdict {
            Verdicts::Bad => ", its verdict is bad",
            Verdicts::Consistent | Verdicts::Anchored => "",
        };
        answer.line(format!("{word:6}  slot {}, {}{verdict}", state.slot, state.archive))?;
    }
    for difference in before.differing(after) {
        answer.line(format!(
            "  {:33} {} -> {}",
            difference.field, difference.before, difference.after
        ))?;
    }
    Ok(())
}

/// For a person: the last line.
fn last(diff: &Diff, fields: &[&str]) -> String {
    let counts = [Change::Added, Change::Closed, Change::Changed];
    match (counts.iter().all(|change| diff.count(*change) == 0), fields) {
        (true, []) => "same state".to_string(),
        (true, _) => format!("same accounts, but the banks differ in {}", fields.join(", ")),
        (false, _) => {
            counts.map(|change| format!("{} {}", change.word(), diff.count(change))).join(", ")
        }
    }
}
