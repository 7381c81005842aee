//! `icecore journal ls`: what a journal consists of.

use std::path::Path;

use icecore_disk::RealDisk;
use icecore_journal::care::{Overview, overview};
use serde::Serialize;

use super::{hex, time};
use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::{Answer, Table},
    size::human,
};

#[derive(Serialize)]
struct Row<'a> {
    store_id: String,
    parent: Option<String>,
    parent_end_sequence: Option<u64>,
    owner: &'a str,
    epoch: u64,
    clean: bool,
    created: u64,
    indexes: &'a [&'static str],
    kinds: Vec<Kind<'a>>,
    segments: Vec<Segment>,
    data_segments: Vec<Data>,
    gaps: Vec<Gap<'a>>,
    cursors: Vec<Cursor<'a>>,
}

#[derive(Serialize)]
struct Kind<'a> {
    kind: u16,
    name: &'a str,
}

#[derive(Serialize)]
struct Segment {
    file: String,
    active: bool,
    first_sequence: u64,
    end_sequence: u64,
    frames: u64,
    first_time: u64,
    last_time: u64,
    bytes: Option<u64>,
    index_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Data {
    file: String,
    bytes: Option<u64>,
}

#[derive(Serialize)]
struct Gap<'a> {
    first_sequence: u64,
    end_sequence: u64,
    time: u64,
    reason: &'a str,
}

#[derive(Serialize)]
struct Cursor<'a> {
    name: &'a str,
    end_sequence: u64,
}

pub(super) fn run(common: &CommonOptions, folder: &Path) -> Result<Exit, Failure> {
    let found = overview(&RealDisk, folder)?;
    let mut answer = Answer::new(common.output);
    match answer.is_display() {
        true => display(&found, &mut answer)?,
        false => answer.object(&row(&found))?,
    }
    answer.finish()?;
    Ok(Exit::Good)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn row(found: &Overview) -> Row<'_> {
    Row {
        store_id: hex(&found.store_id.0),
        parent: found.lineage.map(|lineage| hex(&lineage.parent.0)),
        parent_end_sequence: found.lineage.map(|lineage| lineage.end_sequence),
        owner: &found.owner,
        epoch: found.epoch,
        clean: found.is_clean,
        created: found.created,
        indexes: &found.indexes,
        kinds: found.kinds.iter().map(|(kind, name)| Kind { kind: *kind, name }).collect(),
        segments: found
            .segments
            .iter()
            .map(|segment| Segment {
                file: name(&segment.path),
                active: segment.is_active,
                first_sequence: segment.first_sequence,
                end_sequence: segment.end_sequence,
                frames: segment.frames,
                first_time: segment.first_time,
                last_time: segment.last_time,
                bytes: segment.bytes,
                index_bytes: segment.index_bytes,
            })
            .collect(),
        data_segments: found
            .data
            .iter()
            .map(|data| Data { file: name(&data.path), bytes: data.bytes })
            .collect(),
        gaps: found
            .gaps
            .iter()
            .map(|gap| Gap {
                first_sequence: gap.first_sequence,
                end_sequence: gap.end_sequence,
                time: gap.time,
                reason: &gap.reason,
            })
            .collect(),
        cursors: found
            .cursors
            .iter()
            .map(|(name, end_sequence)| Cursor { name, end_sequence: *end_sequence })
            .collect(),
    }
}

fn display(found: &Overview, answer: &mut Answer) -> Result<(), Failure> {
    answer.line(format!("journal {}", found.store_id))?;
    if let Some(lineage) = &found.lineage {
        let end = lineage.end_sequence;
        answer.line(format!("  copied from {} up to event {end}", lineage.parent))?;
    }
    if !found.owner.is_empty() {
        answer.line(format!("  belongs to {}", found.owner))?;
    }
    let state = match found.is_clean {
        true => "closed",
        false => "open for writing, or its writer did not close it",
    };
    answer.line(format!("  created {}, epoch {}, {state}", time(found.created), found.epoch))?;
    answer.line(format!("  indexes: {}", found.indexes.join(", ")))?;
    if !found.kinds.is_empty() {
        let kinds: Vec<_> =
            found.kinds.iter().map(|(kind, name)| format!("{name} ({kind})")).collect();
        answer.line(format!("  kinds: {}", kinds.join(", ")))?;
    }
    let size = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_string(), human);
    let mut table =
        Table::new(&["segment", "state", ">first", ">end", ">frames", ">size", ">index", "last"]);
    for segment in &found.segments {
        let frames = segment.frames;
        table.row([
            name(&segment.path),
            if segment.is_active { "active" } else { "sealed" }.to_string(),
            segment.first_sequence.to_string(),
            segment.end_sequence.to_string(),
            frames.to_string(),
            segment.bytes.map_or_else(|| "missing".to_string(), human),
            size(segment.index_bytes),
            if frames > 0 { time(segment.last_time) } else { String::new() },
        ]);
    }
    for line in table.lines() {
        answer.line(line)?;
    }
    for data in &found.data {
        answer.line(format!("{}  {}", name(&data.path), size(data.bytes)))?;
    }
    for gap in &found.gaps {
        let (first, last) = (gap.first_sequence, gap.end_sequence - 1);
        answer.line(format!(
            "gap: events {first} to {last}, {}: {}",
            time(gap.time),
            gap.reason
        ))?;
    }
    for (name, end) in &found.cursors {
        answer.line(format!("cursor {name}: has consumed everything below event {end}"))?;
    }
    Ok(())
}
