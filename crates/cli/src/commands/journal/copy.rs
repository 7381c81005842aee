//! `icecore journal copy`: a consistent copy, also of a journal that is written to.

use std::sync::Arc;

use clap::Args;
use icecore_disk::{Disk, RealDisk};
use icecore_journal::care::{CheckOptions, Copied, CopyOptions, Severity, check, copy, overview};
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

    /// Keep the journal's identity, for a backup: never write to both
    #[arg(long)]
    same_lineage: bool,

    /// Do not read the copy again and check everything in it
    #[arg(long)]
    no_verify: bool,
}

#[derive(Serialize)]
struct Row {
    parent: String,
    store_id: String,
    end_sequence: u64,
    events: u64,
    cursors: u64,
    /// Findings in the copy; 0 as well if it was not verified.
    damage: u64,
}

pub(super) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let Target { folder, to, owner } = &options.target;
    let found = overview(&RealDisk, folder)?;
    check_owner(&found.owner, owner.as_deref(), folder)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let how = CopyOptions { same_lineage: options.same_lineage };
    let mut watch = WorkWatch::start(common, "copying")?;
    let copied = copy(&disk, folder, to, &how, &mut |progress| look(&mut watch, progress))?;
    // A copy of what has rotted would take the place of good ones.
    let mut damage = 0;
    if !options.no_verify {
        let how = CheckOptions { heads: &[], extents: true, indexes: false };
        watch.next("checking the copy");
        let checked = check(&RealDisk, to, &how, &mut |progress| look(&mut watch, progress))?;
        damage = checked.damage;
        for finding in checked.findings.iter().filter(|at| at.severity == Severity::Damage) {
            eprintln!("{} at byte {}: {}", finding.path.display(), finding.offset, finding.what);
        }
    }
    watch.finish()?;
    let exit = if damage == 0 { Exit::Good } else { Exit::Bad };
    ended(tell(common, options, &copied, damage), exit)
}

fn tell(
    common: &CommonOptions,
    options: &Options,
    copied: &Copied,
    damage: u64,
) -> Result<(), Failure> {
    let mut answer = Answer::new(common.output);
    match answer.is_display() {
        true => {
            let kind = if options.same_lineage { "backup of" } else { "copied from" };
            answer.line(format!("journal {}, {kind} {}", copied.store_id, copied.parent))?;
            let (events, cursors) = (copied.events, copied.cursors);
            let end = copied.end_sequence;
            answer.line(format!("  {events} events below event {end}, {cursors} cursors"))?;
            if damage > 0 {
                answer.line(
                    "damaged, as the journal is that was copied: see `icecore journal check`",
                )?;
            }
        }
        false => answer.object(&Row {
            parent: hex(&copied.parent.0),
            store_id: hex(&copied.store_id.0),
            end_sequence: copied.end_sequence,
            events: copied.events,
            cursors: copied.cursors,
            damage,
        })?,
    }
    Ok(answer.finish()?)
}
