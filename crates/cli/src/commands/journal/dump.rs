//! `icecore journal dump`: frames and events, piece by piece.

use std::{ops::ControlFlow, path::PathBuf};

use clap::Args;
use icecore_disk::RealDisk;
use icecore_journal::care::{Piece, dump};
use serde::Serialize;

use super::{events, hex, text, time};
use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::Answer,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A journal's folder, or one of its chain segments
    #[arg(value_name = "DIR|FILE")]
    path: PathBuf,
}

/// A piece for programs: one object a line.
#[derive(Serialize)]
#[serde(tag = "piece", rename_all = "snake_case")]
enum Row<'a> {
    Segment {
        file: String,
        segment: u32,
        epoch: u64,
        first_sequence: u64,
        first_frame: u64,
    },
    Frame {
        offset: u64,
        bytes: u64,
        frame: u64,
        first_sequence: u64,
        events: u32,
        time: u64,
        durable_end: u64,
        epoch: u64,
        previous: String,
        digest: String,
        idempotency_key: Option<String>,
        gates: Vec<String>,
    },
    Event(events::Row),
    Dropped {
        offset: u64,
        first_sequence: u64,
        end_sequence: u64,
        reason: &'a str,
    },
    Mark {
        offset: u64,
        durable_end: u64,
        clean_close: bool,
    },
    Problem {
        file: String,
        offset: u64,
        bytes: u64,
        what: &'a str,
    },
    Other,
}

pub(super) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    if !icecore_disk::exists(&options.path) {
        let path = options.path.display();
        return Err(Failure::Usage(format!("{path}: nothing is there; check the path")));
    }
    let mut answer = Answer::new(common.output);
    let mut failed = None;
    let problems = dump(&RealDisk, &options.path, &mut |piece| {
        let told = match answer.is_display() {
            true => answer.line(line(&piece)),
            false => answer.row(&row(piece)),
        };
        match told {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    match failed {
        Some(error) => return Err(error.into()),
        None => answer.finish()?,
    }
    Ok(if problems == 0 { Exit::Good } else { Exit::Bad })
}

fn row(piece: Piece<'_>) -> Row<'_> {
    match piece {
        Piece::Segment { path, id, epoch, first_sequence, first_frame } => Row::Segment {
            file: path.display().to_string(),
            segment: id,
            epoch,
            first_sequence,
            first_frame,
        },
        Piece::Frame {
            offset,
            bytes,
            number,
            first_sequence,
            event_count,
            time,
            durable_end,
            epoch,
            previous,
            digest,
            idempotency_key,
            gates,
        } => Row::Frame {
            offset,
            bytes,
            frame: number,
            first_sequence,
            events: event_count,
            time,
            durable_end,
            epoch,
            previous: hex(&previous.0),
            digest: hex(&digest.0),
            idempotency_key: idempotency_key.map(text),
            gates,
        },
        Piece::Event(event) => Row::Event(events::row(&event)),
        Piece::Dropped { offset, sequences, reason } => Row::Dropped {
            offset,
            first_sequence: sequences.start,
            end_sequence: sequences.end,
            reason,
        },
        Piece::Mark { offset, durable_end, is_clean_close } => {
            Row::Mark { offset, durable_end, clean_close: is_clean_close }
        }
        Piece::Problem { path, offset, bytes, what } => {
            Row::Problem { file: path.display().to_string(), offset, bytes, what }
        }
        _ => Row::Other,
    }
}

fn line(piece: &Piece<'_>) -> String {
    match piece {
        Piece::Segment { path, id, epoch, first_sequence, first_frame } => format!(
            "segment {id}  {}  epoch {epoch}, from event {first_sequence}, frame {first_frame}",
            path.display()
        ),
        Piece::Frame {
            offset,
            bytes,
            number,
            event_count,
            time: at,
            digest,
            idempotency_key,
            gates,
            ..
        } => {
            let key = idempotency_key.map_or(String::new(), |key| format!("  key {}", text(key)));
            let gates = match gates.is_empty() {
                true => String::new(),
                false => format!("  gates {}", gates.join(", ")),
            };
            let at = time(*at);
            format!(
                "{offset:>10}  frame {number}  {at}  {event_count} events, {bytes} B  {digest}{key}{gates}"
            )
        }
        Piece::Event(event) => format!("  {}", events::line(event)),
        Piece::Dropped { offset, sequences, reason } => {
            let last = sequences.end - 1;
            format!("{offset:>10}  dropped  events {} to {last}: {reason}", sequences.start)
        }
        Piece::Mark { offset, durable_end, is_clean_close } => {
            let close = if *is_clean_close { ", closed" } else { "" };
            format!("{offset:>10}  mark  durable below event {durable_end}{close}")
        }
        Piece::Problem { path, offset, bytes, what } => {
            let lost = if *bytes > 0 { format!(", {bytes} B") } else { String::new() };
            format!("{offset:>10}  PROBLEM  {}: {what}{lost}", path.display())
        }
        _ => String::new(),
    }
}
