//! `icecore snapshot inspect`: what is in one archive, without judging it.
//!
//! The file may have any name: its content says what it is. Of a damaged archive everything before
//! the damage is shown, then the damage is told.

mod bank;
mod frames;
mod manifest;
mod members;
mod one_member;
mod status_cache;
mod summary;

use std::path::{Path, PathBuf};

use clap::Args;

use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The archive; it may have any name
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Every field of the manifest
    #[arg(long, group = "part")]
    manifest: bool,

    /// Each member of the tar stream: where it begins in it, its size, what it is
    #[arg(long, group = "part")]
    members: bool,

    /// Each frame of the container; those of zstd without decompressing them
    #[arg(long, group = "part")]
    frames: bool,

    /// Each slot and blockhash of the status cache; the entries themselves in JSON
    #[arg(long, group = "part")]
    status_cache: bool,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let file = &options.file;
    // Before anything of an answer is written.
    icecore_disk::File::open(file)?;
    match options {
        Options { manifest: true, .. } => manifest::run(common, file),
        Options { members: true, .. } => members::run(common, file),
        Options { frames: true, .. } => frames::run(common, file),
        Options { status_cache: true, .. } => status_cache::run(common, file),
        _ => summary::run(common, file),
    }
}

/// The last part of a path.
fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The end of an answer from bytes that may be damaged.
fn outcome(file: &Path, damage: Option<String>) -> Result<Exit, Failure> {
    match damage {
        Some(damage) => Err(Failure::Damaged(format!("{}: {damage}", file.display()))),
        None => Ok(Exit::Good),
    }
}
