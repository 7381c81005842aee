//! `icecore journal`: looking into a journal, checking, saving and copying it. Any journal: nothing
//! here knows what its events mean.
//!
//! Nothing here changes a journal. Copies and salvages of one that belongs to a program are made for
//! that program to use, so they are refused unless the owner is named.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use icecore_journal::WorkProgress;

use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    work_watch::WorkWatch,
};

mod check;
mod copy;
mod dump;
mod events;
mod ls;
mod salvage;

#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// List what a journal consists of: segments, gaps, cursors
    Ls(Folder),
    /// Show events by their sequence
    Show(events::ShowOptions),
    /// Show the last events, and those to come
    Tail(events::TailOptions),
    /// Find out everything that is wrong with a journal
    Check(check::Options),
    /// Print the frames and events of a journal or of one segment file, damaged or not
    Dump(dump::Options),
    /// Save what is sound of a damaged journal to a new one
    Salvage(salvage::Options),
    /// Copy a journal, also while it is written to
    Copy(copy::Options),
}

/// A journal.
#[derive(Debug, Args)]
pub(crate) struct Folder {
    /// The journal's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// A journal, and where a new one made of it goes.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The journal's folder; nothing in it is changed
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Where the new journal goes: a folder that is empty or not there yet
    #[arg(short, long, value_name = "DIR")]
    to: PathBuf,

    /// The program that the journal belongs to, if it belongs to one
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
}

/// Runs what was typed.
pub(crate) fn run(common: &CommonOptions, command: &JournalCommand) -> Result<Exit, Failure> {
    match command {
        JournalCommand::Ls(options) => ls::run(common, &options.folder),
        JournalCommand::Show(options) => events::show(common, options),
        JournalCommand::Tail(options) => events::tail(common, options),
        JournalCommand::Check(options) => check::run(common, options),
        JournalCommand::Dump(options) => dump::run(common, options),
        JournalCommand::Salvage(options) => salvage::run(common, options),
        JournalCommand::Copy(options) => copy::run(common, options),
    }
}

/// Shows how far work on a journal is.
fn look(watch: &mut WorkWatch, progress: &WorkProgress) -> ControlFlow<()> {
    let WorkProgress { bytes_done, bytes_total, events } = *progress;
    watch.look(bytes_done, bytes_total, |_| format!("{events} events"))
}

/// Seconds and nanoseconds since 1970, as people write them.
fn time(nanoseconds: u64) -> String {
    let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    let date = i64::try_from(seconds).ok().and_then(crate::dates::date);
    match date.as_deref().and_then(|date| date.strip_suffix(" UTC")) {
        Some(date) => format!("{date}.{:06} UTC", rest / 1000),
        None => format!("{nanoseconds} ns"),
    }
}

/// Bytes as text if they are printable, as hex otherwise.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_string(),
        _ => format!("0x{}", hex(bytes)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses to make another of a journal that belongs to a program, unless that is meant.
fn check_owner(owner: &str, given: Option<&str>, folder: &Path) -> Result<(), Failure> {
    if owner.is_empty() || given == Some(owner) {
        return Ok(());
    }
    let folder = folder.display();
    Err(Failure::Usage(format!(
        "{folder}: belongs to {owner}, which has its own way to do this; if it is what you want, say --owner {owner}"
    )))
}
