//! `icecore journal salvage`: what is sound of a damaged journal, in a new one.

use clap::Args;
use icecore_disk::RealDisk;
use icecore_journal::care::{Salvaged, overview, salvage};
use serde::Serialize;

use super::{Target, check_owner, hex, look};
use crate::{
    exit::{Exit, Failure, ended},
    options::CommonOptions,
    output::Answer,
    work_watch::WorkWatch,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
}

#[derive(Serialize)]
struct Row<'a> {
    parent: String,
    store_id: String,
    manifest: bool,
    events: u64,
    frames: u64,
    end_sequence: u64,
    missing: Vec<[u64; 2]>,
    damaged_extents: u64,
    cursors: u64,
    cursors_left_out: &'a [String],
    problems: Vec<ProblemRow<'a>>,
    problems_left_out: u64,
}

#[derive(Serialize)]
struct ProblemRow<'a> {
    file: String,
    offset: u64,
    bytes: u64,
    what: &'a str,
}

pub(super) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let Target { folder, to, owner } = &options.target;
    // Without a manifest nobody knows of an owner.
    if let Ok(found) = overview(&RealDisk, folder) {
        check_owner(&found.owner, owner.as_deref(), folder)?;
    }
    let mut watch = WorkWatch::start(common, "saving")?;
    let saved = salvage(&RealDisk, folder, to, &mut |progress| look(&mut watch, progress))?;
    watch.finish()?;
    let is_whole = saved.missing.is_empty() && saved.damaged_extents == 0;
    ended(tell(common, &saved), if is_whole { Exit::Good } else { Exit::Incomplete })
}

fn tell(common: &CommonOptions, saved: &Salvaged) -> Result<(), Failure> {
    let mut answer = Answer::new(common.output);
    match answer.is_display() {
        true => display(saved, &mut answer)?,
        false => answer.object(&row(saved))?,
    }
    Ok(answer.finish()?)
}

fn row(saved: &Salvaged) -> Row<'_> {
    Row {
        parent: hex(&saved.parent.0),
        store_id: hex(&saved.store_id.0),
        manifest: saved.had_manifest,
        events: saved.events,
        frames: saved.frames,
        end_sequence: saved.end_sequence,
        missing: saved.missing.iter().map(|range| [range.start, range.end]).collect(),
        damaged_extents: saved.damaged_extents,
        cursors: saved.cursors,
        cursors_left_out: &saved.cursors_left_out,
        problems: saved
            .problems
            .iter()
            .map(|problem| ProblemRow {
                file: problem.path.display().to_string(),
                offset: problem.offset,
                bytes: problem.bytes,
                what: &problem.what,
            })
            .collect(),
        problems_left_out: saved.problems_left_out,
    }
}

fn display(saved: &Salvaged, answer: &mut Answer) -> Result<(), Failure> {
    for problem in &saved.problems {
        let place = format!("{} at byte {}", problem.path.display(), problem.offset);
        answer.line(format!("{place}: {}", problem.what))?;
    }
    if saved.problems_left_out > 0 {
        answer.line(format!("and {} more", saved.problems_left_out))?;
    }
    let Salvaged { events, frames, end_sequence, .. } = saved;
    answer.line(format!("journal {}, from {}", saved.store_id, saved.parent))?;
    answer.line(format!("  {events} events in {frames} frames, below event {end_sequence}"))?;
    for missing in &saved.missing {
        answer.line(format!("  missing: events {} to {}", missing.start, missing.end - 1))?;
    }
    if saved.damaged_extents > 0 {
        answer.line(format!(
            "  damaged: {} extents of events that were saved",
            saved.damaged_extents
        ))?;
    }
    if !saved.had_manifest {
        answer
            .line("  the manifest was lost: no owner, no names of kinds, streams indexed only")?;
    }
    for name in &saved.cursors_left_out {
        answer.line(format!("  cursor {name} was left out: what it has consumed is not there"))?;
    }
    Ok(())
}
