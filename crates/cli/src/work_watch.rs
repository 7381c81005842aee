//! Long work on a journal or a store being watched: a bar on a terminal, otherwise a line as each part of the work
//! begins and ends, on stderr or in the log; and Ctrl-C, which ends the work in order, or at once when
//! it is pressed again.

use std::{
    io::{IsTerminal, stderr},
    ops::ControlFlow,
};

use icecore_disk::{Output, Publish, Stopwatch};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    exit::Failure, interrupt::Interrupt, options::CommonOptions, size::human, watcher::tell,
};

/// How often a bar is drawn.
const DRAW_EVERY_SECONDS: f64 = 0.1;

/// Shows how far the work is.
pub(crate) struct WorkWatch {
    /// On a terminal, when there is no log.
    bar: Option<ProgressBar>,
    log: Option<Output>,
    what: &'static str,
    bytes_done: u64,
    stopwatch: Stopwatch,
    drawn: f64,
    interrupt: Interrupt,
}

impl WorkWatch {
    /// Begins with the first part of the work.
    pub(crate) fn start(common: &CommonOptions, what: &'static str) -> Result<Self, Failure> {
        let interrupt = Interrupt::listen()?;
        let log = match &common.log {
            Some(path) if path.as_os_str() != "-" => Some(Output::create(path)?),
            _ => None,
        };
        let template = "{decimal_bytes}/{decimal_total_bytes}, {eta} left  {wide_msg}";
        let style = ProgressStyle::with_template(template).expect("a fixed template");
        let is_drawn = common.log.is_none() && stderr().is_terminal();
        let bar = is_drawn.then(|| ProgressBar::new(0).with_style(style));
        let stopwatch = Stopwatch::start();
        let mut watch = Self { bar, log, what, bytes_done: 0, stopwatch, drawn: 0.0, interrupt };
        watch.line(format!("{what} ..."));
        Ok(watch)
    }

    /// The next part of the work.
    pub(crate) fn next(&mut self, what: &'static str) {
        self.end_part();
        self.what = what;
        self.bytes_done = 0;
        self.stopwatch = Stopwatch::start();
        self.drawn = 0.0;
        self.line(format!("{what} ..."));
    }

    /// Shows how far it is, with what `counts` says. `Break`: the user wants it to end.
    pub(crate) fn look(
        &mut self,
        bytes_done: u64,
        bytes_total: u64,
        counts: impl FnOnce(f64) -> String,
    ) -> ControlFlow<()> {
        if self.interrupt.is_wanted() {
            return ControlFlow::Break(());
        }
        self.bytes_done = bytes_done;
        let seconds = self.stopwatch.seconds();
        if let Some(bar) = &self.bar
            && seconds - self.drawn >= DRAW_EVERY_SECONDS
        {
            self.drawn = seconds;
            bar.set_length(bytes_total.max(bytes_done));
            bar.set_position(bytes_done);
            let speed = human((bytes_done as f64 / seconds) as u64);
            bar.set_message(format!("{}, {speed}/s, {}", self.what, counts(seconds)));
        }
        ControlFlow::Continue(())
    }

    /// The work has come to its end; the log gets its name.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.end_part();
        match self.log.take() {
            Some(log) => Ok(log.publish(Publish::Replace)?),
            None => Ok(()),
        }
    }

    fn end_part(&mut self) {
        let (what, seconds) = (self.what, self.stopwatch.seconds());
        let bytes = match self.bytes_done {
            0 => String::new(),
            bytes => format!("{} in ", human(bytes)),
        };
        self.line(format!("{what}: {bytes}{seconds:.2} s"));
    }

    /// A line where nothing is drawn.
    fn line(&mut self, line: String) {
        if self.bar.is_none() {
            tell(&line, self.log.as_mut());
        }
    }
}

impl Drop for WorkWatch {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
