//! A run being watched: progress on stderr, what its tiles counted, and Ctrl-C.
//!
//! 1. Before the work begins, a file is made for the log, one for the metrics is tried, so that a
//!    path that cannot be written costs no work, and signals become a request to end in order.
//! 2. A thread looks at the run's counters (`watcher.rs`); the run knows nothing of it.
//! 3. At the end of the watching, however the work ended, the metrics are published; the log is
//!    published by whoever finishes.
//!
//! What it does *not* do: decide what a command answers.

use std::{
    io::{IsTerminal, Write, stderr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use icecore_disk::{Output, Publish, Stopwatch};
use icecore_restore::Progress;
use icecore_tile::Metrics;
use serde::Serialize;

use crate::{
    exit::Failure,
    interrupt::Interrupt,
    watcher::{Screen, Seen, Signals, tell, watch},
};

/// How a run is watched.
#[derive(Debug)]
pub(crate) struct Watching<'a> {
    /// A line that comes before all others.
    pub(crate) first: Option<String>,
    /// A file for lines; `-`: stderr; none: a bar where stderr is a terminal.
    pub(crate) log: Option<&'a Path>,
    /// Whether to show what tiles do.
    pub(crate) monitor: bool,
    /// A file for what tiles counted.
    pub(crate) metrics: Option<&'a Path>,
}

/// A run being watched. Dropped or finished, what was drawn on the terminal is gone.
pub(crate) struct Watch {
    pub(crate) progress: Arc<Progress>,
    stopwatch: Stopwatch,
    done: Arc<AtomicBool>,
    watcher: Option<JoinHandle<Seen>>,
    /// Where metrics go: made at the end, so that nothing is left behind by who is killed.
    metrics: Option<PathBuf>,
}

/// The file of metrics.
#[derive(Serialize)]
struct MetricsFile<'a> {
    /// Of each pipeline, in the order in which they ran.
    pipelines: &'a [Metrics],
    /// Pipelines that ran after as many as are kept.
    pipelines_left_out: u64,
}

impl Watch {
    pub(crate) fn start(progress: Arc<Progress>, how: Watching<'_>) -> Result<Self, Failure> {
        let interrupt = Interrupt::listen()?;
        if let Some(path) = how.metrics {
            drop(Output::create(path)?);
        }
        let metrics = how.metrics.map(Path::to_path_buf);
        let to_stderr = how.log.is_some_and(|log| log == "-");
        let mut log = match how.log {
            Some(path) if !to_stderr => Some(Output::create(path)?),
            _ => None,
        };
        if let Some(line) = how.first {
            tell(&line, log.as_mut());
        }
        let screen = match log.is_none() && !to_stderr && stderr().is_terminal() {
            true => Screen::terminal(how.monitor),
            false => Screen::lines(log, how.monitor),
        };
        let done = Arc::new(AtomicBool::new(false));
        let signals = Signals { interrupt, done: Arc::clone(&done) };
        let watcher = {
            let (progress, keeps) = (Arc::clone(&progress), metrics.is_some());
            thread::spawn(move || watch(&progress, &signals, screen, keeps))
        };
        let stopwatch = Stopwatch::start();
        Ok(Self { progress, stopwatch, done, watcher: Some(watcher), metrics })
    }

    /// Seconds since the start.
    pub(crate) fn seconds(&self) -> f64 {
        self.stopwatch.seconds()
    }

    /// Ends the watching; log and metrics get their names.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        let log = self.stop()?;
        if let Some(log) = log {
            log.publish(Publish::Replace)?;
        }
        Ok(())
    }

    /// Ends the watching and publishes the metrics; gives the log.
    fn stop(&mut self) -> Result<Option<Output>, Failure> {
        self.done.store(true, Ordering::Relaxed);
        let Some(watcher) = self.watcher.take() else { return Ok(None) };
        watcher.thread().unpark();
        let seen = watcher.join().expect("the watcher only prints");
        if let Some(path) = self.metrics.take() {
            let mut file = Output::create(path)?;
            let content = MetricsFile {
                pipelines: &seen.pipelines,
                pipelines_left_out: seen.pipelines_left_out,
            };
            serde_json::to_writer_pretty(&mut file, &content).map_err(std::io::Error::from)?;
            file.write_all(b"\n")?;
            file.publish(Publish::Replace)?;
        }
        Ok(seen.log)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Err(failure) = self.stop() {
            // What led here has the exit code; that the metrics are not there is told as well.
            tell(&format!("icecore: warning: {failure}"), None);
        }
    }
}
