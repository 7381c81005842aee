//! `icecore snapshot extract`: members of an archive to files.

use std::path::{Path, PathBuf};

use clap::Args;
use icecore_batch::{Extracted, extract};
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::Answer,
    size::human,
};

#[derive(Debug, Args)]
#[command(
    after_help = "A file is called as the last part of its member's path: version, status_cache, \
SLOT (the manifest), SLOT.ID (a storage). All come or none. The archive may have any name, and is not \
verified."
)]
pub(crate) struct Options {
    /// The archive
    #[arg(value_name = "FILE")]
    archive: PathBuf,

    /// Members, as 'snapshot inspect FILE --members' names them
    #[arg(required = true, value_name = "MEMBER")]
    members: Vec<String>,

    /// The folder for the files; nothing in it is replaced
    #[arg(short = 'o', value_name = "DIR")]
    folder: PathBuf,
}

#[derive(Serialize)]
struct Row<'a> {
    member: &'a str,
    file: &'a Path,
    bytes: u64,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let Options { archive, members, folder } = options;
    let watch = common.watch()?;
    let made = extract(archive, members, folder, &common.scan(), &watch.progress)?;
    watch.finish()?;
    let mut answer = Answer::new(common.output);
    for Extracted { member, path, bytes } in &made {
        match answer.is_display() {
            true => answer.line(format!("{member}: {} in {}", human(*bytes), path.display()))?,
            false => answer.row(&Row { member, file: path, bytes: *bytes })?,
        }
    }
    answer.finish()?;
    Ok(Exit::Good)
}
