//! Reading everything in order, and pages of 100 events at the start and at the end; with payloads,
//! warm.

use std::{hint::black_box, path::PathBuf, sync::Arc, time::Instant};

use crate::{
    Failure,
    best::Best,
    stores::{Sizes, Stores},
    subject::{Contender, Subject},
    table::{self, Better, Row, figure, grouped},
    workload::{PAYLOAD_BYTES, Workload},
};

/// Events of a page.
const PAGE_EVENTS: u64 = 100;
/// Pages in a row that are timed together: a page alone is short for a clock.
const PAGES: u32 = 20;

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
    /// Who is measured; all, if not given
    #[arg(long, value_delimiter = ',')]
    only: Vec<Contender>,
}

/// What was measured of one store.
#[derive(Debug, Clone, Copy)]
struct Measured {
    drain: Best,
    first_page: Best,
    last_page: Best,
}

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let workload = Arc::new(Workload::new(arguments.sizes.streams));
    let stores = Stores::build(&arguments.folder, &arguments.only, &arguments.sizes, &workload)?;
    let none = Measured { drain: Best::NONE, first_page: Best::NONE, last_page: Best::NONE };
    let mut measured = vec![none; stores.open.len()];
    // A first, unmeasured round makes them warm.
    for round in 0..=arguments.rounds {
        for ((contender, events, subject), measured) in stores.open.iter().zip(&mut measured) {
            let drain = time(|| drain(*contender, &**subject, *events))?;
            let first_page = page(*contender, &**subject, 0)?;
            let last_page = page(*contender, &**subject, events - PAGE_EVENTS)?;
            if round > 0 {
                measured.drain.offer(drain);
                measured.first_page.offer(first_page);
                measured.last_page.offer(last_page);
            }
        }
    }
    let row = |at: usize, figure, more| Row {
        name: stores.open[at].0.to_string(),
        size: format!("{} events", grouped(stores.open[at].1)),
        figure,
        more,
    };
    let drains: Vec<_> = measured
        .iter()
        .enumerate()
        .map(|(at, measured)| row(at, measured.drain.per_second(stores.open[at].1), String::new()))
        .collect();
    let title = format!("drain in order, {PAYLOAD_BYTES}-byte payloads, warm");
    table::print(&title, "events per second", Better::More, &drains);
    let pages: Vec<_> = measured
        .iter()
        .enumerate()
        .map(|(at, measured)| {
            let start = figure(measured.first_page.seconds() * 1e6);
            row(at, measured.last_page.seconds() * 1e6, format!("at the start {start}"))
        })
        .collect();
    let title =
        format!("page of {PAGE_EVENTS} events at the end, {PAYLOAD_BYTES}-byte payloads, warm");
    table::print(&title, "microseconds", Better::Less, &pages);
    Ok(())
}

fn look(payload: &[u8]) {
    black_box(payload.last());
}

fn drain(contender: Contender, subject: &dyn Subject, events: u64) -> Result<(), Failure> {
    match subject.drain(&mut look)? {
        count if count == events => Ok(()),
        count => Err(format!("{contender}: {count} events were drained, not {events}").into()),
    }
}

/// Seconds of a page.
fn page(contender: Contender, subject: &dyn Subject, first: u64) -> Result<f64, Failure> {
    let seconds = time(|| {
        for _ in 0..PAGES {
            let count = subject.page(first, PAGE_EVENTS, &mut look)?;
            if count != PAGE_EVENTS {
                return Err(format!("{contender}: a page has {count} events").into());
            }
        }
        Ok(())
    })?;
    Ok(seconds / f64::from(PAGES))
}

fn time(work: impl FnOnce() -> Result<(), Failure>) -> Result<f64, Failure> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}
