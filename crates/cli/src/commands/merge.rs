//! `icecore snapshot merge`: a full and an incremental archive to one full archive.

use std::path::{Path, PathBuf};

use clap::Args;
use icecore_batch::{Merged, merge};
use icecore_types::{Hash, Slot};
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    making::{Making, Packed},
    options::CommonOptions,
    output::Answer,
    size::human,
};

#[derive(Debug, Args)]
#[command(
    after_help = "The pair is verified first, and the new archive before it gets its name. It is \
the pair's state: each account in a storage of the slot in which it was last written, the bank and \
the status cache of the incremental archive."
)]
pub(crate) struct Options {
    /// The full archive
    #[arg(value_name = "FULL")]
    full: PathBuf,

    /// The incremental archive on it
    #[arg(value_name = "INCREMENTAL")]
    incremental: PathBuf,

    #[command(flatten)]
    making: Making,

    #[command(flatten)]
    packed: Packed,
}

#[derive(Serialize)]
struct Json<'a> {
    file: &'a Path,
    slot: Slot,
    merged_base_slot: Slot,
    snapshot_hash: Hash,
    bank_hash: Hash,
    capitalization: u64,
    num_accounts: u64,
    bytes: u64,
    frames: u64,
    verified: bool,
    seconds: f64,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let write = options.packed.write_options(&options.making)?;
    let watch = common.watch_scan(false)?;
    let made = merge(
        &options.full,
        &options.incremental,
        &options.making.folder,
        &write,
        &common.scan(),
        &watch.progress,
    )?;
    let seconds = watch.seconds();
    watch.finish()?;
    let mut answer = Answer::new(common.output);
    if answer.is_display() {
        display(&made, seconds, &mut answer)?;
    } else {
        answer.object(&Json {
            file: &made.path,
            slot: made.slot,
            merged_base_slot: made.base_slot,
            snapshot_hash: made.snapshot_hash,
            bank_hash: made.bank_hash,
            capitalization: made.capitalization,
            num_accounts: made.num_accounts,
            bytes: made.bytes,
            frames: made.frames,
            verified: made.is_verified,
            seconds,
        })?;
    }
    answer.finish()?;
    Ok(Exit::Good)
}

fn display(made: &Merged, seconds: f64, answer: &mut Answer) -> Result<(), Failure> {
    answer.line(format!("made {}", made.path.display()))?;
    answer.line(format!(
        "slot {} (merged onto {}), {} accounts, capitalization {}, bank hash {}",
        made.slot, made.base_slot, made.num_accounts, made.capitalization, made.bank_hash,
    ))?;
    let verified = if made.is_verified { "verified" } else { "not verified" };
    let (bytes, frames) = (human(made.bytes), made.frames);
    answer.line(format!("{bytes} in {frames} frames, {verified}; {seconds:.2} s"))?;
    Ok(())
}
