//! `icecore snapshot index`: an index beside archives.

use std::path::{Path, PathBuf};

use clap::Args;
use icecore_restore::{MadeIndex, Pair, index_archives};
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::Answer,
    size::{counted, human},
    source::pair_of,
};

#[derive(Debug, Args)]
#[command(
    after_help = "The index is ARCHIVE.idx. 'account', 'program-accounts', 'token-holders' and \
'accounts export --program-accounts' read archives through it, so that they decompress few frames. \
It says whether the verdict on its archive was good, and an archive that has changed since is not \
read through it."
)]
pub(crate) struct Options {
    /// A folder (its best pair), a full archive and perhaps an incremental one, or an incremental one
    /// alone, on which there is no verdict
    #[arg(required = true, num_args = 1..=2, value_name = "DIR|ARCHIVE")]
    archives: Vec<PathBuf>,

    /// Do not verify the archives first; they are read through such an index with --no-verify only
    #[arg(long)]
    no_verify: bool,

    /// Replace an index that is there
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    file: &'a Path,
    archive: &'a str,
    made: bool,
    verified: bool,
    bytes: u64,
    archive_bytes: u64,
    frames: u64,
    num_accounts: u64,
    num_closed_accounts: u64,
    num_owners: u64,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let mut pair = match &options.archives[..] {
        [one] if !icecore_disk::is_folder(one) && is_incremental(one) => Pair::alone(one)?,
        archives => pair_of(archives)?,
    };
    let watch = common.watch()?;
    let Options { no_verify, force, .. } = *options;
    let made = index_archives(&mut pair, !no_verify, force, &common.scan(), &watch.progress)?;
    let seconds = watch.seconds();
    watch.finish()?;
    let mut answer = Answer::new(common.output);
    match &made[..] {
        _ if answer.is_display() => {
            made.iter().try_for_each(|made| display(made, &mut answer))?;
        }
        // One object for one answer, a line each for many.
        [one] => answer.object(&row(one))?,
        many => many.iter().try_for_each(|made| answer.row(&row(made)))?,
    }
    answer.finish()?;
    eprintln!("{seconds:.2} s");
    Ok(Exit::Good)
}

/// Whether a file has the name of an incremental archive.
fn is_incremental(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| name.starts_with("incremental-"))
}

fn row(made: &MadeIndex) -> Row<'_> {
    Row {
        file: &made.path,
        archive: &made.archive,
        made: !made.was_there,
        verified: made.is_judged,
        bytes: made.bytes,
        archive_bytes: made.archive_bytes,
        frames: made.frames,
        num_accounts: made.live_accounts,
        num_closed_accounts: made.accounts - made.live_accounts,
        num_owners: made.owners,
    }
}

fn display(made: &MadeIndex, answer: &mut Answer) -> Result<(), Failure> {
    let verb = if made.was_there { "is there" } else { "made" };
    answer.line(format!("{verb} {}", made.path.display()))?;
    let closed = made.accounts - made.live_accounts;
    answer.line(format!(
        "{} accounts of {} owners, {closed} closed ones; {} for {} in {}",
        made.live_accounts,
        made.owners,
        human(made.bytes),
        human(made.archive_bytes),
        counted(made.frames, "frame"),
    ))?;
    answer.line(match made.is_judged {
        true => "the archive was verified",
        false => "no verdict: it is used with --no-verify only",
    })?;
    Ok(())
}
