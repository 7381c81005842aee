//! `icecore store rebuild-index`: all runs anew, from records and the journal alone.

use std::path::Path;

use icecore_store::{Options as StoreOpening, RebuildStep, Rebuilt, Store};
use icecore_types::Slot;
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::Answer,
    size::human,
    work_watch::WorkWatch,
    writing,
};

#[derive(Serialize)]
struct Json {
    windows: u64,
    runs: u64,
    rows: u64,
    bytes: u64,
    first: Option<Slot>,
    last: Option<Slot>,
}

pub(super) fn run(common: &CommonOptions, folder: &Path) -> Result<Exit, Failure> {
    let mut watch = WorkWatch::start(common, "reading records")?;
    let rebuilt =
        Store::rebuild_index(folder, StoreOpening::default(), &mut |step: &RebuildStep| {
            watch.look(step.bytes_done, step.bytes_total, |_| String::new())
        });
    let Rebuilt { windows, runs, rows, bytes, first, last } =
        rebuilt.map_err(|error| writing::taken(error, folder))?;
    watch.finish()?;
    let json = Json { windows, runs, rows, bytes, first, last };
    let mut answer = Answer::new(common.output);
    match answer.is_display() {
        true => {
            answer
                .line(format!("{runs} runs, {rows} rows, {}; {windows} windows", human(bytes)))?;
            if let (Some(first), Some(last)) = (first, last) {
                answer.line(format!("slots {first} to {last}"))?;
            }
        }
        false => answer.object(&json)?,
    }
    answer.finish()?;
    Ok(Exit::Good)
}
