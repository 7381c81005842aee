//! Progress on stderr, and Ctrl-C.
//!
//! On a terminal: one line with bytes, speed, accounts and time left. Elsewhere: a line for each
//! phase as it begins. A watcher thread looks at the run's counters; the run knows nothing of it.

use std::{
    io::{IsTerminal, Write, stderr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use icecore_disk::{Output, Publish, Stopwatch};
use icecore_restore::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::{exit::Failure, size::human};

/// How often the watcher looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A run being watched. Dropped or finished, the line on the terminal is gone.
pub(crate) struct Watch {
    pub(crate) progress: Arc<Progress>,
    stopwatch: Stopwatch,
    done: Arc<AtomicBool>,
    watcher: Option<JoinHandle<Option<Output>>>,
}

impl Watch {
    pub(crate) fn start(progress: Arc<Progress>, log: Option<&Path>) -> Result<Self, Failure> {
        Self::start_saying(None, progress, log)
    }

    /// With a line that comes before all others.
    pub(crate) fn start_saying(
        first: Option<String>,
        progress: Arc<Progress>,
        log: Option<&Path>,
    ) -> Result<Self, Failure> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // The second one ends the process at once; the order of these two matters.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                128 + signal,
                Arc::clone(&interrupted),
            )?;
            signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
        }
        let to_stderr = log.is_some_and(|log| log == "-");
        let mut log = match log {
            Some(path) if !to_stderr => Some(Output::create(path)?),
            _ => None,
        };
        if let Some(line) = first {
            tell(&line, log.as_mut());
        }
        let bar = (log.is_none() && !to_stderr && stderr().is_terminal()).then(bar);
        let done = Arc::new(AtomicBool::new(false));
        let watcher = {
            let (progress, done) = (Arc::clone(&progress), Arc::clone(&done));
            thread::spawn(move || watch(&progress, &interrupted, &done, bar.as_ref(), log))
        };
        let stopwatch = Stopwatch::start();
        Ok(Self { progress, stopwatch, done, watcher: Some(watcher) })
    }

    /// Seconds since the start.
    pub(crate) fn seconds(&self) -> f64 {
        self.stopwatch.seconds()
    }

    /// Ends the watching; the log file gets its name.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        if let Some(log) = self.stop() {
            log.publish(Publish::Replace)?;
        }
        Ok(())
    }

    fn stop(&mut self) -> Option<Output> {
        self.done.store(true, Ordering::Relaxed);
        let watcher = self.watcher.take()?;
        watcher.thread().unpark();
        watcher.join().expect("the watcher only prints")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Writes a line to the log, or to stderr.
fn tell(line: &str, log: Option<&mut Output>) {
    // A log that cannot be written must not cost the answer.
    let _ = match log {
        Some(log) => writeln!(log, "{line}"),
        None => writeln!(stderr(), "{line}"),
    };
}

fn bar() -> ProgressBar {
    // The message, an archive's long name among others, is cut to what is left of the line.
    let style = "{decimal_bytes}/{decimal_total_bytes} ({prefix}), {eta} left  {wide_msg}";
    let style = ProgressStyle::with_template(style).expect("a fixed template");
    ProgressBar::new(0).with_style(style)
}

fn watch(
    progress: &Progress,
    interrupted: &AtomicBool,
    done: &AtomicBool,
    bar: Option<&ProgressBar>,
    mut log: Option<Output>,
) -> Option<Output> {
    let stopwatch = Stopwatch::start();
    let mut told = 0;
    loop {
        let last = done.load(Ordering::Relaxed);
        if interrupted.load(Ordering::Relaxed) {
            progress.interrupt();
        }
        let phases = progress.phases();
        let seconds = stopwatch.seconds();
        match bar {
            Some(bar) => {
                let speed = progress.bytes_unpacked() as f64 / seconds.max(1e-3);
                bar.set_length(progress.bytes_total().max(progress.bytes_read()));
                bar.set_position(progress.bytes_read());
                bar.set_message(phases.last().cloned().unwrap_or_default());
                bar.set_prefix(format!(
                    "{}/s, {} records",
                    human(speed as u64),
                    progress.records()
                ));
            }
            None => {
                for phase in &phases[told..] {
                    tell(&format!("{seconds:8.3} s  {phase}"), log.as_mut());
                }
                told = phases.len();
            }
        }
        if last {
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
            return log;
        }
        thread::park_timeout(LOOK_EVERY);
    }
}
