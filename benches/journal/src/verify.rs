//! Verification of the whole store by what it has for that; one thread, warm.
//!
//! Bytes are those of payloads, for everybody; those of the journal's frames are told beside them.
//! `fjall` and `redb` have no chain.

use std::{path::PathBuf, sync::Arc, time::Instant};

use crate::{
    Failure,
    best::Best,
    scratch::Scratch,
    subject::{self, Contender, Mode},
    table::{self, Better, Row, figure, grouped},
    workload::{BATCH_EVENTS, PAYLOAD_BYTES, Workload},
};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A folder on the disk to be measured
    folder: PathBuf,
    /// Rounds; the best counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Megabytes of payloads
    #[arg(long, default_value_t = 1000)]
    megabytes: u64,
    /// Megabytes of payloads of those that take long
    #[arg(long, default_value_t = 50)]
    slow_megabytes: u64,
    /// Streams
    #[arg(long, default_value_t = 1000)]
    streams: u64,
    /// Who is measured; all, if not given
    #[arg(long, value_delimiter = ',')]
    only: Vec<Contender>,
}

/// How the events of a store were appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frames {
    Single { payload_bytes: usize },
    Batches,
}

const FRAMES: [Frames; 3] = [
    Frames::Single { payload_bytes: PAYLOAD_BYTES },
    Frames::Single { payload_bytes: 4096 },
    Frames::Batches,
];

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    for frames in FRAMES {
        let payload_bytes = match frames {
            Frames::Single { payload_bytes } => payload_bytes,
            Frames::Batches => PAYLOAD_BYTES,
        };
        let workload = Arc::new(Workload::with_payload(arguments.streams, payload_bytes));
        let scratch = Scratch::new(&arguments.folder, "verify")?;
        let mut measured = Vec::new();
        for contender in subject::chosen(&arguments.only).filter(|contender| contender.verifies()) {
            let megabytes = match contender {
                Contender::Batpak => arguments.slow_megabytes.min(arguments.megabytes),
                _ => arguments.megabytes,
            };
            let events = megabytes * 1_000_000 / payload_bytes as u64;
            let folder = scratch.path().join(contender.to_string());
            let subject = contender.open(&folder, &workload, Mode::Buffered)?;
            match frames {
                Frames::Single { .. } => subject.append_singly(0..events)?,
                Frames::Batches => subject.append_batches(0..events)?,
            }
            subject.close()?;
            let subject = contender.open(&folder, &workload, Mode::Buffered)?;
            let own_bytes = subject.verify()?;
            measured.push((contender, events, own_bytes, subject, Best::NONE));
        }
        for _ in 0..arguments.rounds {
            for (_, _, _, subject, best) in &mut measured {
                let start = Instant::now();
                subject.verify()?;
                best.offer(start.elapsed().as_secs_f64());
            }
        }
        let rows: Vec<_> = measured
            .iter()
            .map(|(contender, events, own_bytes, _, best)| Row {
                name: contender.to_string(),
                size: format!("{} events", grouped(*events)),
                figure: best.per_second(events * payload_bytes as u64) / 1e9,
                more: match own_bytes {
                    None => format!("{} events per second", figure(best.per_second(*events))),
                    Some(bytes) => format!(
                        "{} events, {} GB of frames per second",
                        figure(best.per_second(*events)),
                        figure(best.per_second(*bytes) / 1e9)
                    ),
                },
            })
            .collect();
        let of = match frames {
            Frames::Single { .. } => "single events".to_string(),
            Frames::Batches => format!("batches of {BATCH_EVENTS}"),
        };
        let title = format!("verify, {of}, {payload_bytes}-byte payloads, warm");
        table::print(&title, "GB of payloads per second and core", Better::More, &rows);
    }
    Ok(())
}
