//! `icecore store check`: everything that is wrong with a store.

use std::path::Path;

use icecore_store::{CheckPhase, CheckReport, CheckStep, Store};
use icecore_types::Slot;
use serde::Serialize;

use crate::{
    exit::{Exit, Failure, ended},
    options::CommonOptions,
    output::Answer,
    work_watch::WorkWatch,
};

#[derive(Serialize)]
struct Json<'a> {
    sound: bool,
    events: u64,
    extents: u64,
    runs: u64,
    rows: u64,
    records: u64,
    /// Slots whose accounts were summed up and held against what is stated.
    states: &'a [Slot],
    findings: Vec<FindingRow<'a>>,
    findings_left_out: u64,
}

#[derive(Serialize)]
struct FindingRow<'a> {
    severity: &'static str,
    file: String,
    offset: u64,
    what: &'a str,
}

/// What a part of the work is called, and whether it is counted in bytes.
fn part(phase: CheckPhase) -> (&'static str, bool) {
    match phase {
        CheckPhase::Journal => ("checking the journal", true),
        CheckPhase::Segments => ("checking its files", false),
        CheckPhase::Runs => ("checking runs", true),
        CheckPhase::Records => ("checking records", true),
        CheckPhase::States => ("summing up states", false),
    }
}

pub(super) fn run(common: &CommonOptions, folder: &Path) -> Result<Exit, Failure> {
    let mut phase = CheckPhase::Journal;
    let mut watch = WorkWatch::start(common, part(phase).0)?;
    let found = Store::check(folder, &mut |step: &CheckStep| {
        if step.phase != phase {
            phase = step.phase;
            watch.next(part(phase).0);
        }
        match part(phase).1 {
            true => watch.look(step.done, step.total, |_| String::new()),
            false => watch.look(0, 0, |_| format!("{} of {}", step.done, step.total)),
        }
    })?;
    watch.finish()?;
    let exit = if found.damage == 0 { Exit::Good } else { Exit::Bad };
    ended(tell(common, &found), exit)
}

fn word(is_damage: bool) -> &'static str {
    if is_damage { "damage" } else { "note" }
}

fn tell(common: &CommonOptions, found: &CheckReport) -> Result<(), Failure> {
    let mut answer = Answer::new(common.output);
    if answer.is_display() {
        display(found, &mut answer)?;
        return Ok(answer.finish()?);
    }
    let findings = found.findings.iter().map(|finding| FindingRow {
        severity: word(finding.is_damage),
        file: finding.path.display().to_string(),
        offset: finding.offset,
        what: &finding.what,
    });
    answer.object(&Json {
        sound: found.damage == 0,
        events: found.events,
        extents: found.extents,
        runs: found.runs,
        rows: found.rows,
        records: found.records,
        states: &found.states,
        findings: findings.collect(),
        findings_left_out: found.findings_left_out,
    })?;
    Ok(answer.finish()?)
}

fn display(found: &CheckReport, answer: &mut Answer) -> Result<(), Failure> {
    for finding in &found.findings {
        let place = format!("{} at byte {}", finding.path.display(), finding.offset);
        answer.line(format!("{}: {place}: {}", word(finding.is_damage), finding.what))?;
    }
    if found.findings_left_out > 0 {
        answer.line(format!("and {} more", found.findings_left_out))?;
    }
    let CheckReport { events, extents, runs, rows, records, .. } = found;
    answer.line(format!("{events} events, {extents} extents, {records} records"))?;
    answer.line(format!("{rows} rows of {runs} runs, each held against its record"))?;
    for slot in &found.states {
        answer.line(format!("slot {slot}: lattice hash, capitalization and counts recomputed"))?;
    }
    answer.line(match found.damage {
        0 => "sound".to_string(),
        count => format!(
            "damaged: {count} findings; `icecore store rebuild-index` makes runs anew, records come \
             from a copy or the archives"
        ),
    })?;
    Ok(())
}
