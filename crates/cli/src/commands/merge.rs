//! `icecore snapshot merge`: a full and an incremental archive to one full archive.

use std::path::PathBuf;

use clap::Args;
use icecore_batch::{Merged, WriteOptions, merge};
use icecore_types::Slot;
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    made::{Lines, State, answer},
    making::{Making, Packed, Storages},
    options::CommonOptions,
};

#[derive(Debug, Args)]
#[command(
    after_help = "The pair is verified first, and the new archive before it gets its name. It is \
the pair's state: each account in a storage of the slot in which it was last written (unless packed), \
the bank and the status cache of the incremental archive."
)]
pub(crate) struct Options {
    /// The full archive
    #[arg(value_name = "FULL")]
    full: PathBuf,

    /// The incremental archive on it
    #[arg(value_name = "INCREMENTAL")]
    incremental: PathBuf,

    #[command(flatten)]
    storages: Storages,

    #[command(flatten)]
    making: Making,

    #[command(flatten)]
    packed: Packed,
}

#[derive(Serialize)]
struct Json {
    merged_base_slot: Slot,
    #[serde(flatten)]
    state: State,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let write = options.packed.write_options(&options.making)?;
    let write = WriteOptions { pack: options.storages.pack, ..write };
    let watch = common.watch_scan(false)?;
    let (scan, folder) = (common.scan(), &options.making.folder);
    let merged =
        merge(&options.full, &options.incremental, folder, &write, &scan, &watch.progress)?;
    let seconds = watch.seconds();
    watch.finish()?;
    let Merged { made, base_slot, bank_hash, capitalization, num_accounts } = merged;
    let content = format!(
        "slot {} (merged onto {base_slot}), {num_accounts} accounts, capitalization \
         {capitalization}, bank hash {bank_hash}",
        made.slot
    );
    let state = State { bank_hash, capitalization, num_accounts };
    let more = Json { merged_base_slot: base_slot, state };
    let lines = Lines { content: vec![content], verified: "verified", last: None };
    answer(common, &made, seconds, more, lines)
}
