//! `icecore snapshot diff`: the accounts that differ between two states.

use std::path::{Path, PathBuf};

use clap::Args;
use icecore_restore::{
    AccountDiff, AccountState, Answer as Verdicts, Change, Diff, LiveAccounts, StateSummary,
};
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    options::{CommonOptions, pair_of},
    output::Answer,
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

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    // Both names are looked at before hours may be spent on the first.
    let before = pair_of(&side(&options.before))?;
    let after = pair_of(&side(&options.after))?;
    let scan = common.scan();
    let memory_bytes_max = scan.memory_bytes_max;
    let watch = common.watch_scan(false)?;
    let mut before = LiveAccounts::open(before, scan.clone(), &watch.progress)?;
    let mut after = LiveAccounts::open(after, scan, &watch.progress)?;
    let diff = icecore_restore::diff(&mut before, &mut after, memory_bytes_max, &watch.progress)?;
    watch.finish()?;

    let mut answer = Answer::new(common.output);
    if answer.is_display() {
        display(&diff, &mut answer)?;
    } else {
        for account in &diff.accounts {
            answer.row(account)?;
        }
        let fields = diff.before.differing(&diff.after);
        answer.row(&Last {
            summary: Summary {
                same: diff.is_same(),
                added: diff.count(Change::Added),
                closed: diff.count(Change::Closed),
                changed: diff.count(Change::Changed),
                fields: fields.iter().map(|difference| difference.field).collect(),
                before: &diff.before,
                after: &diff.after,
            },
        })?;
    }
    answer.finish()?;
    Ok(if diff.is_same() { Exit::Good } else { Exit::Bad })
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

fn display(diff: &Diff, answer: &mut Answer) -> Result<(), Failure> {
    for (word, state) in [("before", &diff.before), ("after", &diff.after)] {
        let verdict = match state.verdict {
            Verdicts::Bad => ", its verdict is bad",
            Verdicts::Consistent | Verdicts::Anchored => "",
        };
        answer.line(format!("{word:6}  slot {}, {}{verdict}", state.slot, state.archive))?;
    }
    let banks = diff.before.differing(&diff.after);
    for difference in &banks {
        answer.line(format!(
            "  {:33} {} -> {}",
            difference.field, difference.before, difference.after
        ))?;
    }
    for account in &diff.accounts {
        show(account, answer)?;
    }
    let counts = [Change::Added, Change::Closed, Change::Changed]
        .map(|change| format!("{} {}", change.word(), diff.count(change)))
        .join(", ");
    answer.line(match (diff.accounts.is_empty(), banks.is_empty()) {
        (true, true) => "same state".to_string(),
        (true, false) => {
            let fields: Vec<_> = banks.iter().map(|difference| difference.field).collect();
            format!("same accounts, but the banks differ in {}", fields.join(", "))
        }
        (false, _) => counts,
    })?;
    Ok(())
}

fn show(account: &AccountDiff, answer: &mut Answer) -> Result<(), Failure> {
    answer.line(format!("{:7} {}", account.change.word(), account.pubkey))?;
    match (&account.before, &account.after) {
        (Some(before), Some(after)) => {
            for field in &account.fields {
                let [before, after] = [before, after].map(|state| value(state, field));
                answer.line(format!("  {field:11} {before} -> {after}"))?;
            }
            if before.slot != after.slot {
                answer.line(format!("  {:11} {} -> {}", "(slot)", before.slot, after.slot))?;
            }
        }
        (Some(state), None) | (None, Some(state)) => {
            answer.line(format!(
                "  lamports {}, owner {}{}, {} bytes of data, slot {}",
                state.lamports,
                state.owner,
                if state.executable { ", executable" } else { "" },
                state.data_len,
                state.slot
            ))?;
        }
        (None, None) => {}
    }
    Ok(())
}

/// A field by its name.
fn value(state: &AccountState, field: &str) -> String {
    match field {
        "lamports" => state.lamports.to_string(),
        "owner" => state.owner.to_string(),
        "executable" => state.executable.to_string(),
        "rent_epoch" => state.rent_epoch.to_string(),
        "data_len" => state.data_len.to_string(),
        _ => state.data_blake3.to_string(),
    }
}
