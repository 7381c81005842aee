//! `icecore snapshot prune`: old archives of a folder go.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;
use icecore_batch::{Pruning, Retention, plan_pruning, prune};
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::Answer,
};

#[derive(Debug, Args)]
#[command(
    after_help = "The rules are the reference client's: the newest full archives stay, the newest \
incremental ones on the newest of them, one on each other; an incremental archive whose full one goes \
or is not there goes, too. The folder's remote/ counts. Files that are no archives by their name stay."
)]
pub(crate) struct Options {
    /// The folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Full archives that stay
    #[arg(long, value_name = "N", default_value = "2")]
    maximum_full_snapshots_to_retain: NonZeroUsize,

    /// Incremental archives on the newest full one that stay
    #[arg(long, value_name = "N", default_value = "4")]
    maximum_incremental_snapshots_to_retain: NonZeroUsize,

    /// Say what would go, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Json {
    kept: Vec<PathBuf>,
    removed: Vec<PathBuf>,
    dry_run: bool,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let retention = Retention {
        full: options.maximum_full_snapshots_to_retain,
        incremental: options.maximum_incremental_snapshots_to_retain,
    };
    let dry_run = options.dry_run;
    let Pruning { kept, removed } = match dry_run {
        true => plan_pruning(&options.folder, retention)?,
        false => prune(&options.folder, retention)?,
    };
    let mut answer = Answer::new(common.output);
    if answer.is_display() {
        let went = if dry_run { "would go" } else { "removed" };
        for path in &removed {
            answer.line(format!("{went} {}", path.display()))?;
        }
        let (kept, removed) = (kept.len(), removed.len());
        answer.line(format!("{removed} {went}, {kept} stay"))?;
    } else {
        answer.object(&Json { kept, removed, dry_run })?;
    }
    answer.finish()?;
    Ok(Exit::Good)
}
