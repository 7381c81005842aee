//! Events per second without waiting for the disk: one by one (pipelined where there is a
//! pipeline), and in batches of 100.
//!
//! Every measurement has a fresh store, which first takes a tenth of the events unmeasured.

use std::{ops::Range, path::PathBuf, sync::Arc, time::Instant};

use crate::{
    Failure,
    best::Best,
    scratch::{Scratch, bytes_below},
    subject::{Contender, Mode},
    table::{self, Better, Row, grouped},
    workload::{BATCH_EVENTS, PAYLOAD_BYTES, Workload},
};

/// One event in so many is appended before measuring.
const WARM_UP_PART: u64 = 10;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A folder on the disk to be measured
    folder: PathBuf,
    /// Rounds; the best counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Events of a measurement
    #[arg(long, default_value_t = 2_000_000)]
    events: u64,
    /// Events of a measurement of those that take long: batpak, and redb one by one
    #[arg(long, default_value_t = 200_000)]
    slow_events: u64,
    /// Numbers of streams
    #[arg(long, value_delimiter = ',', default_values_t = [1, 1000, 1_000_000])]
    streams: Vec<u64>,
    /// Who is measured; all, if not given
    #[arg(long, value_delimiter = ',')]
    only: Vec<Contender>,
}

/// How events are appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Singly,
    Batches,
}

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    for stream_count in &arguments.streams {
        let workload = Arc::new(Workload::new(*stream_count));
        for way in [Way::Singly, Way::Batches] {
            let mut measured: Vec<_> = crate::subject::chosen(&arguments.only)
                .map(|contender| (contender, arguments.events_of(contender, way), Best::NONE, 0))
                .collect();
            for _ in 0..arguments.rounds {
                for (contender, events, best, disk_bytes) in &mut measured {
                    let (seconds, bytes) =
                        arguments.measure(*contender, way, *events, &workload)?;
                    best.offer(seconds);
                    *disk_bytes = bytes;
                }
            }
            let rows: Vec<_> = measured
                .into_iter()
                .map(|(contender, events, best, disk_bytes)| Row {
                    name: contender.to_string(),
                    size: format!("{} events", grouped(events)),
                    figure: best.per_second(events),
                    more: more(contender, way, disk_bytes),
                })
                .collect();
            let way = match way {
                Way::Singly => "one by one, pipelined".to_string(),
                Way::Batches => format!("in batches of {BATCH_EVENTS}"),
            };
            let streams = grouped(*stream_count);
            let title = format!("append {way}, {PAYLOAD_BYTES}-byte payloads, {streams} streams");
            table::print(&title, "events per second", Better::More, &rows);
        }
    }
    Ok(())
}

fn more(contender: Contender, way: Way, bytes_per_event: u64) -> String {
    let note = if way == Way::Batches { contender.batch_note() } else { "" };
    match note {
        "" => format!("{bytes_per_event} bytes on disk per event"),
        note => format!("{bytes_per_event} bytes on disk per event; {note}"),
    }
}

impl Arguments {
    fn events_of(&self, contender: Contender, way: Way) -> u64 {
        match (contender, way) {
            (Contender::Batpak, _) | (Contender::Redb, Way::Singly) => {
                self.slow_events.min(self.events)
            }
            _ => self.events,
        }
    }

    /// Seconds, and bytes on disk per event.
    fn measure(
        &self,
        contender: Contender,
        way: Way,
        events: u64,
        workload: &Arc<Workload>,
    ) -> Result<(f64, u64), Failure> {
        let scratch = Scratch::new(&self.folder, "append")?;
        let folder = scratch.path().join("store");
        let subject = contender.open(&folder, workload, Mode::Buffered)?;
        let append = |events: Range<u64>| match way {
            Way::Singly => subject.append_singly(events),
            Way::Batches => subject.append_batches(events),
        };
        let first = events / WARM_UP_PART;
        append(0..first)?;
        let start = Instant::now();
        append(first..first + events)?;
        let seconds = start.elapsed().as_secs_f64();
        subject.close()?;
        Ok((seconds, bytes_below(&folder)? / (first + events)))
    }
}
