//! `icecore journal show` and `tail`: events as people and programs read them.

use std::{path::PathBuf, thread, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use clap::Args;
use icecore_journal::{By, Error, Event, Query, Reader};
use serde::Serialize;

use super::{hex, text, time};
use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::Answer,
};

#[derive(Debug, Args)]
pub(crate) struct ShowOptions {
    /// The journal's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Sequences of events
    #[arg(value_name = "SEQ", required = true)]
    sequences: Vec<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct TailOptions {
    /// The journal's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Events to begin with
    #[arg(short = 'n', long, default_value_t = 10, value_name = "N")]
    count: u64,

    /// Wait for events to come, until Ctrl-C
    #[arg(short, long)]
    follow: bool,

    /// Only events of this stream
    #[arg(long, value_name = "KEY")]
    stream: Option<String>,
}

/// How often a journal that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Bytes of a payload that a person is shown.
const SHOWN_BYTES_MAX: usize = 64;

/// An event for programs.
#[derive(Serialize)]
pub(super) struct Row {
    sequence: u64,
    time: u64,
    stream: String,
    stream_version: u64,
    scope: String,
    kind: u16,
    payload_version: u16,
    causation: Option<u64>,
    correlation: Option<String>,
    parents: Vec<u64>,
    extents: Vec<ExtentRow>,
    payload_in_extent: bool,
    payload_bytes: u64,
    /// Base64.
    payload: String,
    digest: String,
}

#[derive(Serialize)]
struct ExtentRow {
    segment: u32,
    offset: u64,
    bytes: u64,
    digest: String,
}

pub(super) fn row(event: &Event) -> Row {
    let extents = event.extents().into_iter().map(|extent| ExtentRow {
        segment: extent.segment,
        offset: extent.offset,
        bytes: extent.bytes,
        digest: hex(&extent.digest.0),
    });
    Row {
        sequence: event.sequence(),
        time: event.time(),
        stream: text(event.stream()),
        stream_version: event.stream_version(),
        scope: text(event.scope()),
        kind: event.kind(),
        payload_version: event.payload_version(),
        causation: event.causation(),
        correlation: event.correlation().map(|correlation| format!("{correlation:032x}")),
        parents: event.parents(),
        extents: extents.collect(),
        payload_in_extent: event.is_payload_in_extent(),
        payload_bytes: payload_bytes(event),
        payload: BASE64_STANDARD.encode(event.payload()),
        digest: hex(&event.digest().0),
    }
}

/// An event in one line.
pub(super) fn line(event: &Event) -> String {
    let payload = event.payload();
    let shown = text(&payload[..payload.len().min(SHOWN_BYTES_MAX)]);
    let rest = if payload.len() > SHOWN_BYTES_MAX { "..." } else { "" };
    let payload = match event.is_payload_in_extent() {
        true => "(in an extent)".to_string(),
        false => format!("{} B  {shown}{rest}", payload.len()),
    };
    format!(
        "{:>10}  {}  {} #{}  kind {}  {payload}",
        event.sequence(),
        time(event.time()),
        text(event.stream()),
        event.stream_version(),
        event.kind(),
    )
}

/// All there is to say about an event.
fn lines(event: &Event) -> Vec<String> {
    let mut lines = vec![
        format!("event {}", event.sequence()),
        format!("  time            {}", time(event.time())),
        format!("  stream          {} #{}", text(event.stream()), event.stream_version()),
        format!("  kind            {} version {}", event.kind(), event.payload_version()),
    ];
    if !event.scope().is_empty() {
        lines.push(format!("  scope           {}", text(event.scope())));
    }
    if let Some(causation) = event.causation() {
        lines.push(format!("  causation       {causation}"));
    }
    if let Some(correlation) = event.correlation() {
        lines.push(format!("  correlation     {correlation:032x}"));
    }
    if !event.parents().is_empty() {
        lines.push(format!("  parents         {:?}", event.parents()));
    }
    for extent in event.extents() {
        lines.push(format!(
            "  extent          {} bytes of data segment {} from byte {}, digest {}",
            extent.bytes, extent.segment, extent.offset, extent.digest
        ));
    }
    lines.push(format!("  digest          {}", event.digest()));
    lines.push(format!("  payload         {} bytes", payload_bytes(event)));
    if !event.payload().is_empty() {
        lines.push(format!("  {}", text(event.payload())));
    }
    lines
}

fn tell(event: &Event, answer: &mut Answer) -> Result<(), Failure> {
    match answer.is_display() {
        true => answer.line(line(event))?,
        false => answer.row(&row(event))?,
    }
    Ok(())
}

pub(super) fn show(common: &CommonOptions, options: &ShowOptions) -> Result<Exit, Failure> {
    let reader = Reader::open(&options.folder)?;
    let mut answer = Answer::new(common.output);
    let mut exit = Exit::Good;
    for sequence in &options.sequences {
        match reader.read(*sequence) {
            Ok(event) if answer.is_display() => {
                for line in lines(&event) {
                    answer.line(line)?;
                }
            }
            Ok(event) => answer.row(&row(&event))?,
            Err(error @ (Error::NoSuchEvent { .. } | Error::Dropped { .. })) => {
                eprintln!("icecore: {error}");
                exit = Exit::Incomplete;
            }
            Err(error) => return Err(error.into()),
        }
    }
    answer.finish()?;
    Ok(exit)
}

pub(super) fn tail(common: &CommonOptions, options: &TailOptions) -> Result<Exit, Failure> {
    use std::io::Write;

    let reader = Reader::open(&options.folder)?;
    let history = reader.history();
    let by = match &options.stream {
        Some(stream) => By::Stream(stream.as_bytes().to_vec()),
        None => By::Sequence,
    };
    let mut answer = Answer::new(common.output);
    let mut end = history.durable_end();
    let count = usize::try_from(options.count).unwrap_or(usize::MAX);
    let last = history.scan(Query::new(by.clone()).sequences(0..end).backward())?.take(count);
    let last: Vec<_> = last.collect::<Result<_, _>>()?;
    for event in last.iter().rev() {
        tell(event, &mut answer)?;
    }
    if !options.follow {
        answer.finish()?;
        return Ok(Exit::Good);
    }
    // Until Ctrl-C ends the process, or whoever reads closes the pipe.
    loop {
        answer.flush()?;
        thread::sleep(LOOK_EVERY);
        let next = history.refresh()?;
        for event in history.scan(Query::new(by.clone()).sequences(end..next))? {
            tell(&event?, &mut answer)?;
        }
        end = next.max(end);
    }
}

/// Bytes of the payload, wherever it lies.
fn payload_bytes(event: &Event) -> u64 {
    match event.extents().first() {
        Some(extent) if event.is_payload_in_extent() => extent.bytes,
        _ => event.payload().len() as u64,
    }
}
