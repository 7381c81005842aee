//! `icecore snapshot ls`: the archives in a folder, and the pair that would be used.

use std::path::{Path, PathBuf};

use clap::Args;
use icecore_archive::choose::{Candidate, best_pair};
use icecore_restore::{candidates, path_of};
use icecore_types::{Hash, Slot};
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::{Answer, Table},
    size::human,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The folder; its remote/ is looked into, too
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

#[derive(Serialize)]
struct Row {
    file: PathBuf,
    kind: &'static str,
    base_slot: Option<Slot>,
    slot: Slot,
    snapshot_hash: Hash,
    bytes: u64,
    remote: bool,
    /// Whether it is of the pair that would be used.
    chosen: bool,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let mut candidates = candidates(&options.folder)?;
    candidates.sort_by_key(|candidate| {
        let name = &candidate.name;
        let full_slot = name.base().unwrap_or(name.slot());
        (full_slot, name.is_incremental(), name.slot(), candidate.remote)
    });
    let chosen = best_pair(&candidates);
    let is_chosen = |candidate: &Candidate| {
        chosen.is_some_and(|(full, incremental)| {
            std::ptr::eq(full, candidate)
                || incremental.is_some_and(|incremental| std::ptr::eq(incremental, candidate))
        })
    };
    let mut rows = Vec::new();
    for candidate in &candidates {
        rows.push(row(&options.folder, candidate, is_chosen(candidate))?);
    }

    let mut answer = Answer::new(common.output);
    if answer.is_display() {
        display(&rows, &mut answer)?;
    } else {
        for row in &rows {
            answer.row(row)?;
        }
    }
    answer.finish()?;
    if chosen.is_some() {
        return Ok(Exit::Good);
    }
    eprintln!("icecore: {}: no full archive, so nothing would be used", options.folder.display());
    Ok(Exit::Bad)
}

fn row(folder: &Path, candidate: &Candidate, chosen: bool) -> Result<Row, Failure> {
    let name = &candidate.name;
    let file = path_of(folder, candidate);
    Ok(Row {
        bytes: icecore_disk::File::open(&file)?.bytes(),
        file,
        kind: if name.is_incremental() { "incremental" } else { "full" },
        base_slot: name.base(),
        slot: name.slot(),
        snapshot_hash: *name.hash(),
        remote: candidate.remote,
        chosen,
    })
}

fn display(rows: &[Row], answer: &mut Answer) -> Result<(), Failure> {
    let mut table = Table::new(&["use", "kind", ">base", ">slot", ">size", "file"]);
    for row in rows {
        table.row([
            if row.chosen { "*" } else { "" }.to_string(),
            row.kind.to_string(),
            row.base_slot.map(|slot| slot.to_string()).unwrap_or_default(),
            row.slot.to_string(),
            human(row.bytes),
            row.file.display().to_string(),
        ]);
    }
    for line in table.lines() {
        answer.line(line)?;
    }
    Ok(())
}
