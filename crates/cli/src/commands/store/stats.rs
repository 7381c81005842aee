//! `icecore store stats`: what a store consists of.

use std::path::Path;

use icecore_store::{LeaseInfo, SegmentUse, SlotCounts, Stats};
use icecore_types::Slot;
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::{Answer, Table},
    reading,
    size::human,
};

#[derive(Serialize)]
struct Json {
    root: Option<Slot>,
    num_accounts: u64,
    slots: Slots,
    windows: usize,
    gaps: usize,
    runs: u64,
    run_rows: u64,
    run_bytes: u64,
    data_bytes: u64,
    garbage_bytes: u64,
    segments: Vec<Segment>,
    /// Versions of slots that are not final, in runs.
    spilled_versions: u64,
    /// Versions that no run holds.
    tail_versions: u64,
    tail_bytes: u64,
    leases: Vec<Lease>,
}

/// Slots that are known by identity.
#[derive(Serialize)]
struct Slots {
    open: u64,
    committed: u64,
    rooted: u64,
    abandoned: u64,
    dead: u64,
}

#[derive(Serialize)]
struct Segment {
    segment: u32,
    bytes: u64,
    live_bytes: u64,
    garbage_bytes: u64,
}

#[derive(Serialize)]
struct Lease {
    slot: Slot,
    purpose: String,
    /// Its end, in nanoseconds since 1970.
    until: u64,
    process: u32,
}

fn lease(lease: &LeaseInfo) -> Lease {
    let LeaseInfo { slot, purpose, until, process } = lease.clone();
    Lease { slot, purpose, until, process: process.unwrap_or_else(std::process::id) }
}

fn segment(segment: &SegmentUse) -> Segment {
    Segment {
        segment: segment.segment,
        bytes: segment.bytes,
        live_bytes: segment.live_bytes,
        garbage_bytes: segment.garbage_bytes(),
    }
}

fn json(stats: &Stats) -> Json {
    let SlotCounts { open, committed, rooted, abandoned, dead } = stats.slots;
    Json {
        root: stats.root,
        num_accounts: stats.accounts,
        slots: Slots { open, committed, rooted, abandoned, dead },
        windows: stats.coverage.windows.len(),
        gaps: stats.coverage.gaps.len(),
        runs: stats.runs,
        run_rows: stats.run_rows,
        run_bytes: stats.run_bytes,
        data_bytes: stats.data_bytes(),
        garbage_bytes: stats.garbage_bytes(),
        segments: stats.segments.iter().map(segment).collect(),
        spilled_versions: stats.spilled_versions,
        tail_versions: stats.tail_versions,
        tail_bytes: stats.tail_bytes,
        leases: stats.leases.iter().map(lease).collect(),
    }
}

pub(super) fn run(common: &CommonOptions, folder: &Path) -> Result<Exit, Failure> {
    let store = reading::open(folder)?;
    let json = json(&store.stats()?);
    let mut answer = Answer::new(common.output);
    match answer.is_display() {
        true => display(&json, &mut answer)?,
        false => answer.object(&json)?,
    }
    answer.finish()?;
    Ok(Exit::Good)
}

fn display(json: &Json, answer: &mut Answer) -> Result<(), Failure> {
    match json.root {
        Some(root) => answer.line(format!("root   {root}, {} accounts", json.num_accounts))?,
        None => answer.line("holds no state yet")?,
    }
    let Slots { open, committed, rooted, abandoned, dead } = &json.slots;
    answer.line(format!(
        "slots  {committed} unrooted, {open} open, {rooted} rooted not long ago, {abandoned} abandoned, \
         {dead} dead"
    ))?;
    answer.line(format!(
        "runs   {}, {} rows, {}; {} windows, {} gaps",
        json.runs,
        json.run_rows,
        human(json.run_bytes),
        json.windows,
        json.gaps
    ))?;
    answer.line(format!(
        "data   {} in {} segments, {} of it garbage",
        human(json.data_bytes),
        json.segments.len(),
        human(json.garbage_bytes)
    ))?;
    answer.line(format!(
        "tail   {} versions that no run holds, {}; {} spilled",
        json.tail_versions,
        human(json.tail_bytes),
        json.spilled_versions
    ))?;
    if !json.leases.is_empty() {
        answer.line("")?;
        let mut table = Table::new(&[">slot", "kept readable for", ">process", "until"]);
        for lease in &json.leases {
            let seconds = i64::try_from(lease.until / 1_000_000_000).unwrap_or(i64::MAX);
            table.row([
                lease.slot.to_string(),
                lease.purpose.clone(),
                lease.process.to_string(),
                crate::dates::date(seconds).unwrap_or_else(|| lease.until.to_string()),
            ]);
        }
        for line in table.lines() {
            answer.line(line)?;
        }
    }
    Ok(())
}
