//! The thread that watches a run, and what it draws.
//!
//! On a terminal: one line with bytes, speed, records and time left, and below it, if asked for, a
//! table of tiles. Elsewhere: a line for each phase as it begins, and if asked for, the table of
//! tiles when it ends, unless they had nothing to do in it.
//!
//! Counters of a pipeline are read once more when the next one has taken its place, and then let
//! go: they hold the memory of its links. A pipeline that begins and ends between two looks is not
//! seen.

use std::{
    collections::VecDeque,
    io::{Write, stderr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use icecore_disk::{Output, Stopwatch};
use icecore_restore::Progress;
use icecore_tile::{Metrics, MetricsReader};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::{interrupt::Interrupt, monitor, size::human};

/// How often the watcher looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often it does when pipelines are counted: starting one takes longer.
const LOOK_FOR_PIPELINES_EVERY: Duration = Duration::from_millis(2);

/// How often the table of tiles is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(250);

/// Readings that the table looks back: those of a second, so that figures do not jump.
const READINGS_BACK: usize = 4;

/// Pipelines whose counters are kept.
const PIPELINES_MAX: usize = 64;

/// What the rest of the program tells the watcher.
pub(crate) struct Signals {
    pub(crate) interrupt: Interrupt,
    pub(crate) done: Arc<AtomicBool>,
}

/// What the watcher leaves.
pub(crate) struct Seen {
    pub(crate) log: Option<Output>,
    pub(crate) pipelines: Vec<Metrics>,
    pub(crate) pipelines_left_out: u64,
}

/// Writes a line to the log, or to stderr.
pub(crate) fn tell(line: &str, log: Option<&mut Output>) {
    // A log that cannot be written must not cost the answer.
    let _ = match log {
        Some(log) => writeln!(log, "{line}"),
        None => writeln!(stderr(), "{line}"),
    };
}

/// Looks until it is done.
pub(crate) fn watch(
    progress: &Progress,
    signals: &Signals,
    mut screen: Screen,
    keeps: bool,
) -> Seen {
    let stopwatch = Stopwatch::start();
    let mut pipelines = Pipelines { keeps, ..Pipelines::default() };
    loop {
        let last = signals.done.load(Ordering::Relaxed);
        if signals.interrupt.is_wanted() {
            progress.interrupt();
        }
        screen.show(progress, &mut pipelines, stopwatch.seconds(), last);
        if last {
            pipelines.end_current();
            let Pipelines { ended, left_out, .. } = pipelines;
            return Seen { log: screen.log(), pipelines: ended, pipelines_left_out: left_out };
        }
        thread::park_timeout(if keeps { LOOK_FOR_PIPELINES_EVERY } else { LOOK_EVERY });
    }
}

/// The pipelines that ran, one after the other.
#[derive(Default)]
struct Pipelines {
    keeps: bool,
    current: Option<Arc<MetricsReader>>,
    ended: Vec<Metrics>,
    left_out: u64,
}

impl Pipelines {
    /// Takes up the pipeline that runs; whether it is another one.
    fn look(&mut self, progress: &Progress) -> bool {
        let Some(latest) = progress.metrics() else { return false };
        if self.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &latest)) {
            return false;
        }
        self.end_current();
        self.current = Some(latest);
        true
    }

    fn end_current(&mut self) {
        let Some(current) = self.current.take().filter(|_| self.keeps) else { return };
        match self.ended.len() < PIPELINES_MAX {
            true => self.ended.push(current.read()),
            false => self.left_out += 1,
        }
    }
}

/// Where progress is shown.
pub(crate) enum Screen {
    /// On a terminal, in place.
    Terminal { bar: ProgressBar, tiles: Option<LiveTiles> },
    /// Line by line.
    Lines { log: Option<Output>, told: usize, tiles: Option<PhaseTiles> },
}

impl Screen {
    pub(crate) fn terminal(monitor: bool) -> Self {
        // The message, an archive's long name among others, is cut to what is left of the line.
        let bar = ProgressBar::new(0).with_style(style(
            "{decimal_bytes}/{decimal_total_bytes} ({prefix}), {eta} left  {wide_msg}",
        ));
        match monitor {
            false => Self::Terminal { bar, tiles: None },
            true => {
                let all = MultiProgress::new();
                let bar = all.add(bar);
                let tiles = LiveTiles {
                    all,
                    rows: Vec::new(),
                    readings: VecDeque::new(),
                    drawn: Stopwatch::start(),
                };
                Self::Terminal { bar, tiles: Some(tiles) }
            }
        }
    }

    pub(crate) fn lines(log: Option<Output>, monitor: bool) -> Self {
        Self::Lines { log, told: 0, tiles: monitor.then(PhaseTiles::default) }
    }

    fn log(self) -> Option<Output> {
        match self {
            Self::Terminal { .. } => None,
            Self::Lines { log, .. } => log,
        }
    }

    fn show(&mut self, progress: &Progress, pipelines: &mut Pipelines, seconds: f64, last: bool) {
        match self {
            Self::Terminal { bar, tiles } => {
                show_bar(bar, progress, seconds);
                let is_new = pipelines.look(progress);
                if let Some(tiles) = tiles {
                    tiles.show(pipelines, is_new);
                }
                if last {
                    if let Some(tiles) = tiles {
                        tiles.clear();
                    }
                    bar.finish_and_clear();
                }
            }
            Self::Lines { log, told, tiles } => {
                let phases = progress.phases();
                if *told > 0 && phases.len() > *told {
                    tell_tiles(tiles, progress, pipelines, seconds, log);
                }
                for phase in &phases[*told..] {
                    tell(&format!("{seconds:8.3} s  {phase}"), log.as_mut());
                }
                *told = phases.len();
                if last {
                    tell_tiles(tiles, progress, pipelines, seconds, log);
                } else if pipelines.look(progress) {
                    *tiles = tiles.as_ref().map(|_| PhaseTiles::default());
                }
            }
        }
    }
}

/// The table of tiles, line by line, if it is asked for and tiles have worked since the last one.
fn tell_tiles(
    tiles: &mut Option<PhaseTiles>,
    progress: &Progress,
    pipelines: &mut Pipelines,
    seconds: f64,
    log: &mut Option<Output>,
) {
    // A pipeline may have begun since the last look, or the whole run.
    let has_begun = pipelines.current.is_none() && pipelines.look(progress);
    let Some(tiles) = tiles else { return };
    if has_begun {
        *tiles = PhaseTiles::default();
    }
    for line in tiles.end_phase(pipelines) {
        tell(&format!("{seconds:8.3} s    {line}"), log.as_mut());
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a fixed template")
}

fn show_bar(bar: &ProgressBar, progress: &Progress, seconds: f64) {
    let speed = progress.bytes_unpacked() as f64 / seconds.max(1e-3);
    bar.set_length(progress.bytes_total().max(progress.bytes_read()));
    bar.set_position(progress.bytes_read());
    bar.set_message(progress.phases().last().cloned().unwrap_or_default());
    bar.set_prefix(format!("{}/s, {} records", human(speed as u64), progress.records()));
}

/// The table of tiles below a bar, drawn in place.
pub(crate) struct LiveTiles {
    all: MultiProgress,
    rows: Vec<ProgressBar>,
    /// Of the pipeline that runs, the oldest first.
    readings: VecDeque<Metrics>,
    drawn: Stopwatch,
}

impl LiveTiles {
    fn show(&mut self, pipelines: &Pipelines, is_new: bool) {
        if is_new {
            self.readings.clear();
        }
        let is_due = is_new || self.drawn.elapsed() >= DRAW_EVERY;
        let Some(current) = pipelines.current.as_ref().filter(|_| is_due) else { return };
        self.drawn = Stopwatch::start();
        let now = current.read();
        let lines = monitor::lines(&now, self.readings.front());
        for row in self.rows.drain(lines.len().min(self.rows.len())..) {
            row.finish_and_clear();
            self.all.remove(&row);
        }
        while self.rows.len() < lines.len() {
            // A line is cut to the width of the terminal.
            let row = ProgressBar::new(0).with_style(style("{wide_msg}"));
            self.rows.push(self.all.add(row));
        }
        for (row, line) in self.rows.iter().zip(lines) {
            row.set_message(line);
        }
        self.readings.push_back(now);
        if self.readings.len() > READINGS_BACK {
            self.readings.pop_front();
        }
    }

    fn clear(&mut self) {
        for row in self.rows.drain(..) {
            row.finish_and_clear();
        }
    }
}

/// The table of tiles at the end of each phase in which they had something to do.
#[derive(Default)]
pub(crate) struct PhaseTiles {
    /// The reading at the end of the phase before, if it was of the same pipeline.
    before: Option<Metrics>,
}

impl PhaseTiles {
    fn end_phase(&mut self, pipelines: &Pipelines) -> Vec<String> {
        let Some(current) = &pipelines.current else { return Vec::new() };
        let now = current.read();
        let moved = |reading: &Metrics| reading.links.iter().map(|link| link.fragments).sum();
        let before: u64 = self.before.as_ref().map_or(0, moved);
        let has_worked = moved(&now) > before;
        let lines = has_worked.then(|| monitor::lines(&now, self.before.as_ref()));
        self.before = Some(now);
        lines.unwrap_or_default()
    }
}
