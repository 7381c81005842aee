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
use icecore_disk::Stopwatch;
use icecore_journal::WorkProgress;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
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

/// How often a bar is drawn.
const DRAW_EVERY_SECONDS: f64 = 0.1;

/// Shows how far long work is, and ends it when Ctrl-C was pressed.
struct Watch {
    bar: ProgressBar,
    stopwatch: Stopwatch,
    drawn: f64,
    interrupted: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Watch {
    fn start() -> Result<Self, Failure> {
        let interrupted = std::sync::Arc::default();
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, std::sync::Arc::clone(&interrupted))?;
        }
        let template = "{decimal_bytes}/{decimal_total_bytes}, {eta} left  {wide_msg}";
        let style = ProgressStyle::with_template(template).expect("a fixed template");
        // Drawn on a terminal only.
        let bar = ProgressBar::new(0).with_style(style);
        Ok(Self { bar, stopwatch: Stopwatch::start(), drawn: 0.0, interrupted })
    }

    fn look(&mut self, progress: &WorkProgress) -> ControlFlow<()> {
        if self.is_interrupted() {
            return ControlFlow::Break(());
        }
        let seconds = self.stopwatch.seconds();
        if seconds - self.drawn >= DRAW_EVERY_SECONDS {
            self.drawn = seconds;
            let speed = (progress.bytes_done as f64 / seconds) as u64;
            self.bar.set_length(progress.bytes_total.max(progress.bytes_done));
            self.bar.set_position(progress.bytes_done);
            let speed = crate::size::human(speed);
            self.bar.set_message(format!("{speed}/s, {} events", progress.events));
        }
        ControlFlow::Continue(())
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
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
