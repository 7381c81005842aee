//! Threads that each append one event and wait until it survives a loss of power, over and over.
//!
//! The bound is measured in the same run: 4 KiB at the end of a file and `fdatasync`, over and
//! over, take `T` each time, whether the file grows or its place was reserved, as is faster. A
//! store that shares every sync among all threads that wait, and syncs without a pause, comes to
//! `threads / T` events per second.
//!
//! Disks that are shared change their pace within seconds. So `T` is measured just before and just
//! after every measurement, which is compared with the mean of both; the median of the rounds
//! counts.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use icecore_disk::{Disk, RealDisk};

use crate::{
    Failure,
    scratch::Scratch,
    subject::{self, Contender, DurableMode, Mode, Subject},
    table::{self, Better, Row, figure},
    workload::{PAYLOAD_BYTES, Workload},
};

/// What a sync has to write at least.
const BLOCK_BYTES: usize = 4096;
/// Bytes reserved for a file, where they are: as for a segment of the journal.
const RESERVED_BYTES: u64 = 64 << 20;
/// Each way to the bound is measured for one part in so many of a measurement.
const BOUND_PART: u32 = 4;
/// While threads end, those that still wait are helped this often.
const END_INTERVAL: Duration = Duration::from_millis(5);

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A folder on the disk to be measured
    folder: PathBuf,
    /// Rounds; the best counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of a measurement
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Threads that append and wait
    #[arg(long, default_value_t = 16)]
    threads: u64,
    /// Streams
    #[arg(long, default_value_t = 1000)]
    streams: u64,
    /// Who is measured; all, if not given
    #[arg(long, value_delimiter = ',')]
    only: Vec<Contender>,
}

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let workload = Arc::new(Workload::new(arguments.streams));
    let duration = Duration::from_secs_f64(arguments.seconds);
    let mut ways: Vec<_> = subject::chosen(&arguments.only)
        .flat_map(|contender| contender.durable_modes().iter().map(move |way| (contender, *way)))
        .map(|(contender, way)| Measured { contender, way, best: 0.0, parts: Vec::new() })
        .collect();
    let mut before = arguments.bound(duration)?;
    let mut bound = before;
    for _ in 0..arguments.rounds {
        for measured in &mut ways {
            let per_second = arguments.measure(measured, duration, &workload)?;
            let after = arguments.bound(duration)?;
            measured.best = measured.best.max(per_second);
            measured.parts.push(per_second / ((before + after) / 2.0));
            bound = bound.max(after);
            before = after;
        }
    }
    let threads = arguments.threads;
    let mut rows: Vec<_> = ways
        .into_iter()
        .map(|measured| Row {
            name: measured.way.name.to_string(),
            size: String::new(),
            figure: measured.best,
            more: format!("{:.3} of the bound", median(measured.parts)),
        })
        .collect();
    let microseconds = threads as f64 / bound * 1e6;
    rows.push(Row {
        name: format!("bound: {threads} / T"),
        size: String::new(),
        figure: bound,
        more: format!("T = {} microseconds for 4 KiB and fdatasync", figure(microseconds)),
    });
    let title = format!("append durably, {threads} threads, {PAYLOAD_BYTES}-byte payloads");
    table::print(&title, "events per second", Better::More, &rows);
    Ok(())
}

/// A way to append durably, and how it did.
struct Measured {
    contender: Contender,
    way: DurableMode,
    /// Events per second in the best round.
    best: f64,
    /// Parts of the bound, in every round.
    parts: Vec<f64>,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Arguments {
    /// Events per second if every sync served all threads, in the faster of two ways: a file grows,
    /// or its place on the disk was reserved before, which some file systems reward.
    fn bound(&self, duration: Duration) -> Result<f64, Failure> {
        let duration = duration / BOUND_PART;
        let syncs = self.syncs_per_second(duration, None)?;
        let syncs = syncs.max(self.syncs_per_second(duration, Some(RESERVED_BYTES))?);
        Ok(syncs * self.threads as f64)
    }

    /// How often a block can be appended to a file and synced.
    fn syncs_per_second(
        &self,
        duration: Duration,
        reserved_bytes: Option<u64>,
    ) -> Result<f64, Failure> {
        let scratch = Scratch::new(&self.folder, "sync")?;
        let file = RealDisk.create(&scratch.path().join("grows"))?;
        if let Some(bytes) = reserved_bytes {
            file.reserve(bytes)?;
            file.sync()?;
        }
        let block = [1; BLOCK_BYTES];
        let start = Instant::now();
        let mut count = 0u64;
        while start.elapsed() < duration {
            file.write_at(count * BLOCK_BYTES as u64, &block)?;
            file.sync()?;
            count += 1;
        }
        Ok(count as f64 / start.elapsed().as_secs_f64())
    }

    /// Events per second.
    fn measure(
        &self,
        measured: &Measured,
        duration: Duration,
        workload: &Arc<Workload>,
    ) -> Result<f64, Failure> {
        let way = measured.way;
        let scratch = Scratch::new(&self.folder, "durable")?;
        let mode = Mode::Durable(way.name);
        let subject = measured.contender.open(&scratch.path().join("store"), workload, mode)?;
        let thread_count = if way.events_at_once > 1 { 1 } else { self.threads };
        let appends = Appends::default();
        let start = Instant::now();
        let per_second = thread::scope(|scope| {
            let threads: Vec<_> = (0..thread_count)
                .map(|_| scope.spawn(|| appends.go_on(&*subject, way.events_at_once)))
                .collect();
            thread::sleep(duration);
            let count = appends.durable.load(Ordering::Relaxed);
            let seconds = start.elapsed().as_secs_f64();
            appends.are_over.store(true, Ordering::Relaxed);
            // A store that syncs only after several events would leave the last to wait for ever.
            while threads.iter().any(|thread| !thread.is_finished()) {
                thread::sleep(END_INTERVAL);
                subject.sync()?;
            }
            for thread in threads {
                thread.join().expect("a thread that appends does not panic")?;
            }
            Ok::<_, Failure>(count as f64 / seconds)
        })?;
        subject.close()?;
        Ok(per_second)
    }
}

/// What the threads of a measurement share.
#[derive(Debug, Default)]
struct Appends {
    next: AtomicU64,
    durable: AtomicU64,
    are_over: AtomicBool,
}

impl Appends {
    /// Appends and waits until it is over.
    fn go_on(&self, subject: &dyn Subject, events_at_once: u64) -> Result<(), Failure> {
        while !self.are_over.load(Ordering::Relaxed) {
            let first = self.next.fetch_add(events_at_once, Ordering::Relaxed);
            subject.append_durably(first..first + events_at_once)?;
            self.durable.fetch_add(events_at_once, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_round_in_the_middle_counts() {
        assert_eq!(median(vec![0.9, 0.1, 0.4]), 0.4);
    }
}
