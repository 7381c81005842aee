//! Options that every command takes, and what commands make of them.

use std::{
    io::{IsTerminal, stdout},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use clap::{Args, ValueEnum};
use icecore_restore::{
    Cores, MEMORY_BYTES_DEFAULT, MEMORY_BYTES_MIN, Options, Placement, Progress, TilePlan,
};
use icecore_tile::{SandboxMode, available_cores};

use crate::{
    exit::Failure,
    progress::{Watch, Watching},
    size::{Size, human},
};

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Display,
    /// JSON on several lines.
    Json,
    /// JSON, one object a line.
    JsonCompact,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct CommonOptions {
    /// How to write the answer
    #[arg(long, global = true, value_enum, default_value = "display", value_name = "FORMAT")]
    pub(crate) output: Format,

    /// Write progress to a file instead of stderr ('-': stderr, one line per event)
    #[arg(long, global = true, value_name = "FILE|-")]
    pub(crate) log: Option<PathBuf>,

    /// Say more
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,

    /// Threads to work with [default: the cores there are]
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<std::num::NonZeroU16>,

    /// Most memory for what grows with the number of accounts, as in 300M or 16GiB; what does not
    /// fit goes to scratch files [default: 128MiB]
    #[arg(long, global = true, value_name = "SIZE", value_parser = memory_limit)]
    pub(crate) memory_limit: Option<Size>,

    /// A folder for scratch files, which have no names [default: the system's for temporary files]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,

    /// How many tiles of a kind, and which share a thread, as in decompress=4,hash=4,read+split
    #[arg(long, global = true, value_name = "PLAN")]
    pub(crate) tiles: Option<TilePlan>,

    /// Which cores to pin threads to: auto, or a list as in 0,2,4-7
    #[arg(long, global = true, value_name = "auto|LIST", default_value = "auto", value_parser = cores)]
    pub(crate) cores: Cores,

    /// Whether tiles are closed in by the kernel; log: forbidden calls are noted, not stopped
    #[arg(long, global = true, value_name = "on|off|log", default_value = "on")]
    pub(crate) sandbox: SandboxMode,

    /// Show on stderr what each tile does with its time: live on a terminal, elsewhere at the end
    /// of each phase
    #[arg(long, global = true)]
    pub(crate) monitor: bool,

    /// Write what all tiles counted as JSON to a file, however the command ends
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) metrics: Option<PathBuf>,
}

impl CommonOptions {
    /// Options for the library.
    pub(crate) fn scan(&self) -> Options {
        let cores = match self.threads {
            Some(threads) => usize::from(threads.get()),
            None => thread::available_parallelism().map_or(1, usize::from),
        };
        Options {
            tiles: self.tiles.clone().unwrap_or_default(),
            placement: Placement {
                cores: self.cores.clone(),
                sandbox: self.sandbox,
                ..Placement::default()
            },
            memory_bytes_max: self.memory_limit.map_or(MEMORY_BYTES_DEFAULT, |Size(bytes)| bytes),
            scratch: self.scratch.clone(),
            ..Options::for_cores(cores)
        }
    }

    /// Starts showing progress, and turning Ctrl-C into an orderly end.
    pub(crate) fn watch(&self) -> Result<Watch, Failure> {
        self.start(None, false)
    }

    /// The same for work whose answer appears on stdout while it goes on: a progress bar on the
    /// same terminal would be written over, so each phase has a line instead.
    pub(crate) fn watch_stream(&self) -> Result<Watch, Failure> {
        self.start(None, true)
    }

    /// The same for work that indexes all accounts: first of all it tells what memory that takes.
    /// With `rows_to_stdout`, rows appear while the work goes on.
    pub(crate) fn watch_scan(&self, rows_to_stdout: bool) -> Result<Watch, Failure> {
        let Size(limit) = self.memory_limit.unwrap_or(Size(MEMORY_BYTES_DEFAULT));
        let limit = human(limit);
        let need = format!("memory: {limit} for accounts, what does not fit goes to scratch files");
        self.start(Some(need), rows_to_stdout)
    }

    /// The same for work that tells something else first.
    pub(crate) fn watch_work(&self, first: String) -> Result<Watch, Failure> {
        self.start(Some(first), false)
    }

    fn start(&self, first: Option<String>, rows_to_stdout: bool) -> Result<Watch, Failure> {
        let log = match &self.log {
            None if rows_to_stdout && stdout().is_terminal() => Some(Path::new("-")),
            log => log.as_deref(),
        };
        let (monitor, metrics) = (self.monitor, self.metrics.as_deref());
        Watch::start(Arc::new(Progress::default()), Watching { first, log, monitor, metrics })
    }
}

/// Cores that threads can be pinned to: those that this process may use.
fn cores(text: &str) -> Result<Cores, String> {
    let cores: Cores = text.parse()?;
    if let Cores::List(list) = &cores {
        let there = available_cores();
        if let Some(absent) = list.iter().find(|core| !there.contains(core)) {
            let there: Vec<_> = there.iter().map(ToString::to_string).collect();
            let there = there.join(", ");
            return Err(format!("there is no core {absent} for this process; it may use {there}"));
        }
    }
    Ok(cores)
}

/// A memory limit that leaves buffers of a sensible size.
fn memory_limit(text: &str) -> Result<Size, String> {
    let Size(bytes) = text.parse()?;
    match bytes < MEMORY_BYTES_MIN {
        true => Err(format!("at least {} MiB are needed", MEMORY_BYTES_MIN >> 20)),
        false => Ok(Size(bytes)),
    }
}
