//! Long work on a journal being watched: a bar on a terminal, otherwise a line as each part of the work
//! begins and ends, on stderr or in the log; and Ctrl-C, which ends the work in order, or at once when
//! it is pressed again.

use std::{
    io::{IsTerminal, stderr},
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use icecore_disk::{Output, Publish, Stopwatch};
use icecore_journal::WorkProgress;
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::{exit::Failure, options::CommonOptions, size::human, watcher::tell};

/// How often a bar is drawn.
const DRAW_EVERY_SECONDS: f64 = 0.1;

/// Shows how far the work is.
pub(super) struct Watch {
    /// On a terminal, when there is no log.
    bar: Option<ProgressBar>,
    log: Option<Output>,
    what: &'static str,
    last: WorkProgress,
    stopwatch: Stopwatch,
    drawn: f64,
    interrupted: Arc<AtomicBool>,
}

impl Watch {
    /// Begins with the first part of the work.
    pub(super) fn start(common: &CommonOptions, what: &'static str) -> Result<Self, Failure> {
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
        let log = match &common.log {
            Some(path) if path.as_os_str() != "-" => Some(Output::create(path)?),
            _ => None,
        };
        let template = "{decimal_bytes}/{decimal_total_bytes}, {eta} left  {wide_msg}";
        let style = ProgressStyle::with_template(template).expect("a fixed template");
        let is_drawn = common.log.is_none() && stderr().is_terminal();
        let bar = is_drawn.then(|| ProgressBar::new(0).with_style(style));
        let stopwatch = Stopwatch::start();
        let last = WorkProgress::default();
        let mut watch = Self { bar, log, what, last, stopwatch, drawn: 0.0, interrupted };
        watch.line(format!("{what} ..."));
        Ok(watch)
    }

    /// The next part of the work.
    pub(super) fn next(&mut self, what: &'static str) {
        self.end_part();
        self.what = what;
        self.last = WorkProgress::default();
        self.stopwatch = Stopwatch::start();
        self.drawn = 0.0;
        self.line(format!("{what} ..."));
    }

    pub(super) fn look(&mut self, progress: &WorkProgress) -> ControlFlow<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        self.last = *progress;
        let seconds = self.stopwatch.seconds();
        if let Some(bar) = &self.bar
            && seconds - self.drawn >= DRAW_EVERY_SECONDS
        {
            self.drawn = seconds;
            bar.set_length(progress.bytes_total.max(progress.bytes_done));
            bar.set_position(progress.bytes_done);
            let speed = human((progress.bytes_done as f64 / seconds) as u64);
            bar.set_message(format!("{}, {speed}/s, {} events", self.what, progress.events));
        }
        ControlFlow::Continue(())
    }

    /// The work has come to its end; the log gets its name.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.end_part();
        match self.log.take() {
            Some(log) => Ok(log.publish(Publish::Replace)?),
            None => Ok(()),
        }
    }

    fn end_part(&mut self) {
        let (what, seconds) = (self.what, self.stopwatch.seconds());
        let bytes = human(self.last.bytes_done);
        self.line(format!("{what}: {bytes} in {seconds:.2} s"));
    }

    /// A line where nothing is drawn.
    fn line(&mut self, line: String) {
        if self.bar.is_none() {
            tell(&line, self.log.as_mut());
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
