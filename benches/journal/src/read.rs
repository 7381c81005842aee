//! Point reads by sequence, in random order, from a store that is warm.
//!
//! Every read is timed by itself; reading the clock is part of it, and its cost is printed.

use std::{hint::black_box, path::PathBuf, sync::Arc, time::Instant};

use crate::{
    Failure,
    stores::{Sizes, Stores},
    subject::{Contender, Subject},
    table::{self, Better, Row, figure, grouped},
    workload::{PAYLOAD_BYTES, Workload, scatter},
};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A folder on the disk to be measured
    folder: PathBuf,
    /// Rounds; the best counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    #[command(flatten)]
    sizes: Sizes,
    /// Reads of a round
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(100..))]
    reads: u32,
    /// Who is measured; all, if not given
    #[arg(long, value_delimiter = ',')]
    only: Vec<Contender>,
}

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let workload = Arc::new(Workload::new(arguments.sizes.streams));
    let stores = Stores::build(&arguments.folder, &arguments.only, &arguments.sizes, &workload)?;
    let mut best = vec![Percentiles { median: u64::MAX, high: u64::MAX }; stores.open.len()];
    for round in 0..arguments.rounds {
        for ((contender, events, subject), best) in stores.open.iter().zip(&mut best) {
            let reads = || {
                (0..u64::from(arguments.reads))
                    .map(|at| scatter(at + (u64::from(round) << 32)) % events)
            };
            check(*contender, &**subject, reads().take(100), &workload)?;
            // The first pass makes it warm.
            measure(&**subject, reads())?;
            let percentiles = measure(&**subject, reads())?;
            if percentiles.median < best.median {
                *best = percentiles;
            }
        }
    }
    let rows: Vec<_> = stores
        .open
        .iter()
        .zip(best)
        .map(|((contender, events, _), best)| Row {
            name: contender.to_string(),
            size: format!("{} events", grouped(*events)),
            figure: best.median as f64 / 1e3,
            more: format!("p99 {}", figure(best.high as f64 / 1e3)),
        })
        .collect();
    let reads = grouped(u64::from(arguments.reads));
    let title =
        format!("point read by sequence, {PAYLOAD_BYTES}-byte payloads, {reads} reads, warm");
    table::print(&title, "microseconds, p50", Better::Less, &rows);
    println!("  reading the clock takes {} nanoseconds of each", clock_nanoseconds());
    Ok(())
}

/// Nanoseconds of a round's reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Percentiles {
    median: u64,
    high: u64,
}

impl Percentiles {
    fn of(mut nanoseconds: Vec<u64>) -> Self {
        nanoseconds.sort_unstable();
        let at = |percent| nanoseconds[(nanoseconds.len() - 1) * percent / 100];
        Self { median: at(50), high: at(99) }
    }
}

fn measure(
    subject: &dyn Subject,
    reads: impl Iterator<Item = u64>,
) -> Result<Percentiles, Failure> {
    let mut nanoseconds = Vec::with_capacity(reads.size_hint().0);
    let mut look = |payload: &[u8]| {
        black_box(payload.last());
    };
    for sequence in reads {
        let start = Instant::now();
        subject.read(sequence, &mut look)?;
        nanoseconds.push(u64::try_from(start.elapsed().as_nanos())?);
    }
    Ok(Percentiles::of(nanoseconds))
}

/// What is read is what was appended.
fn check(
    contender: Contender,
    subject: &dyn Subject,
    reads: impl Iterator<Item = u64>,
    workload: &Workload,
) -> Result<(), Failure> {
    for sequence in reads {
        let mut is_same = false;
        subject.read(sequence, &mut |payload| is_same = payload == workload.payload(sequence))?;
        if !is_same {
            return Err(format!("{contender}: event {sequence} is not what was appended").into());
        }
    }
    Ok(())
}

fn clock_nanoseconds() -> u64 {
    let nanoseconds = (0..10_000).map(|_| {
        let start = Instant::now();
        u64::try_from(black_box(start).elapsed().as_nanos()).expect("far less than centuries")
    });
    Percentiles::of(nanoseconds.collect()).median
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_sorted_times() {
        let nanoseconds = (1..=1000).rev().collect();
        assert_eq!(Percentiles::of(nanoseconds), Percentiles { median: 500, high: 990 });
    }
}
