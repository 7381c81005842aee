//! `icecore journal check`: everything that is wrong with a journal.

use std::path::PathBuf;

use clap::Args;
use icecore_disk::RealDisk;
use icecore_journal::care::{CheckOptions, Checked, Severity, check};
use serde::Serialize;

use super::{hex, look};
use crate::{
    exit::{Exit, Failure, ended},
    options::CommonOptions,
    output::Answer,
    work_watch::WorkWatch,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The journal's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Do not read extents (large payloads) again
    #[arg(long)]
    skip_extents: bool,

    /// Do not compare index files with what they are made from
    #[arg(long)]
    skip_indexes: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    store_id: String,
    sound: bool,
    segments: u64,
    frames: u64,
    events: u64,
    end_sequence: u64,
    durable_end: u64,
    heads: u64,
    extents: u64,
    indexes: u64,
    cursors: u64,
    findings: Vec<FindingRow<'a>>,
    findings_left_out: u64,
}

#[derive(Serialize)]
struct FindingRow<'a> {
    severity: &'static str,
    file: String,
    offset: u64,
    bytes: u64,
    what: &'a str,
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Damage => "damage",
        Severity::Note => "note",
    }
}

pub(super) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let how =
        CheckOptions { heads: &[], extents: !options.skip_extents, indexes: !options.skip_indexes };
    let mut watch = WorkWatch::start(common, "checking")?;
    let checked =
        check(&RealDisk, &options.folder, &how, &mut |progress| look(&mut watch, progress))?;
    watch.finish()?;
    let exit = if checked.damage == 0 { Exit::Good } else { Exit::Bad };
    ended(tell(common, &checked), exit)
}

fn tell(common: &CommonOptions, checked: &Checked) -> Result<(), Failure> {
    let mut answer = Answer::new(common.output);
    match answer.is_display() {
        true => display(checked, &mut answer)?,
        false => answer.object(&row(checked))?,
    }
    Ok(answer.finish()?)
}

fn row(checked: &Checked) -> Row<'_> {
    let findings = checked.findings.iter().map(|finding| FindingRow {
        severity: word(finding.severity),
        file: finding.path.display().to_string(),
        offset: finding.offset,
        bytes: finding.bytes,
        what: &finding.what,
    });
    Row {
        store_id: hex(&checked.store_id.0),
        sound: checked.damage == 0,
        segments: checked.segments,
        frames: checked.frames,
        events: checked.events,
        end_sequence: checked.end_sequence,
        durable_end: checked.durable_end,
        heads: checked.heads_compared,
        extents: checked.extents,
        indexes: checked.indexes,
        cursors: checked.cursors,
        findings: findings.collect(),
        findings_left_out: checked.findings_left_out,
    }
}

fn display(checked: &Checked, answer: &mut Answer) -> Result<(), Failure> {
    for finding in &checked.findings {
        let place = format!("{} at byte {}", finding.path.display(), finding.offset);
        answer.line(format!("{}: {place}: {}", word(finding.severity), finding.what))?;
    }
    if checked.findings_left_out > 0 {
        answer.line(format!("and {} more", checked.findings_left_out))?;
    }
    let Checked { segments, frames, events, heads_compared, extents, indexes, cursors, .. } =
        checked;
    answer.line(format!("journal {}", checked.store_id))?;
    answer.line(format!(
        "  {events} events in {frames} frames of {segments} segments, {} of them acknowledged",
        checked.durable_end.min(checked.end_sequence)
    ))?;
    answer.line(format!(
        "  compared: {heads_compared} heads, {extents} extents, {indexes} indexes, {cursors} cursors"
    ))?;
    answer.line(match checked.damage {
        0 => "sound".to_string(),
        count => format!("damaged: {count} findings; see `icecore journal salvage`"),
    })?;
    Ok(())
}
