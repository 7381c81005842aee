//! `icecore store compact`: gives back the space of what is not kept.

use std::path::Path;

use icecore_store::{Compaction, Options as StoreOpening, Store};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    exit::{Exit, Failure},
    node::{Request, client},
    options::CommonOptions,
    output::Answer,
    size::human,
    writing,
};

/// What was done.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    segments: u64,
    bytes_before: u64,
    bytes_after: u64,
    records_moved: u64,
    records_left_out: u64,
}

/// Compacts a store, and says what was done.
pub(crate) fn compact(store: &Store) -> Result<Value, Failure> {
    let Compaction { segments, bytes_before, bytes_after, records_moved, records_left_out } =
        store.compact()?;
    let report = Report { segments, bytes_before, bytes_after, records_moved, records_left_out };
    Ok(serde_json::to_value(report).map_err(std::io::Error::from)?)
}

pub(super) fn run(common: &CommonOptions, folder: &Path) -> Result<Exit, Failure> {
    let result = match Store::open(folder, StoreOpening::default()) {
        Ok(store) => {
            writing::tell(store.opened());
            let compacted = compact(&store);
            let closed = store.close();
            let compacted = compacted?;
            closed?;
            compacted
        }
        Err(error) if writing::is_locked(&error) => match client::connect(folder)? {
            Some(mut node) => {
                eprintln!("a node has the store open: it compacts it");
                node.ask(&Request::Compact)?
            }
            None => return Err(writing::taken(error, folder)),
        },
        Err(error) => return Err(error.into()),
    };
    let mut answer = Answer::new(common.output);
    if answer.is_display() {
        let report: Report = serde_json::from_value(result).map_err(std::io::Error::from)?;
        answer.line(match report.segments {
            0 => "no data segment holds enough garbage to be worth it".to_string(),
            _ => format!(
                "{} data segments of {} became {}: {} records were moved, {} left out",
                report.segments,
                human(report.bytes_before),
                human(report.bytes_after),
                report.records_moved,
                report.records_left_out
            ),
        })?;
    } else {
        answer.object(&result)?;
    }
    answer.finish()?;
    Ok(Exit::Good)
}
