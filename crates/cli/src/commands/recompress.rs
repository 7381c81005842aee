//! `icecore snapshot recompress`: the same tar stream in another container.

use std::path::{Path, PathBuf};

use clap::Args;
use icecore_batch::{Recompressed, recompress};
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
    after_help = "Not a byte of the tar stream changes: the new archive is read back and must have \
the same digest. Whether its state is right 'snapshot verify' says, of either archive."
)]
pub(crate) struct Options {
    /// The archive
    #[arg(value_name = "FILE")]
    archive: PathBuf,

    #[command(flatten)]
    making: Making,

    #[command(flatten)]
    packed: Packed,
}

#[derive(Serialize)]
struct Json<'a> {
    file: &'a Path,
    slot: Slot,
    base_slot: Option<Slot>,
    snapshot_hash: Hash,
    bytes_before: u64,
    bytes: u64,
    tar_bytes: u64,
    tar_blake3: Hash,
    frames: u64,
    verified: bool,
    seconds: f64,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let write = options.packed.write_options(&options.making)?;
    let watch = common.watch()?;
    let (scan, folder) = (common.scan(), &options.making.folder);
    let made = recompress(&options.archive, folder, &write, &scan, &watch.progress)?;
    let seconds = watch.seconds();
    watch.finish()?;
    let mut answer = Answer::new(common.output);
    if answer.is_display() {
        display(&made, seconds, &mut answer)?;
    } else {
        let Recompressed { path, slot, base_slot, snapshot_hash, .. } = &made;
        answer.object(&Json {
            file: path,
            slot: *slot,
            base_slot: *base_slot,
            snapshot_hash: *snapshot_hash,
            bytes_before: made.bytes_before,
            bytes: made.bytes,
            tar_bytes: made.tar_bytes,
            tar_blake3: made.tar_blake3,
            frames: made.frames,
            verified: made.is_verified,
            seconds,
        })?;
    }
    answer.finish()?;
    Ok(Exit::Good)
}

fn display(made: &Recompressed, seconds: f64, answer: &mut Answer) -> Result<(), Failure> {
    answer.line(format!("made {}", made.path.display()))?;
    let (before, after) = (human(made.bytes_before), human(made.bytes));
    let tar = human(made.tar_bytes);
    let frames = made.frames;
    answer.line(format!("{before} before, {after} now, {tar} of tar in {frames} frames"))?;
    let verified = match made.is_verified {
        true => "read back: the tar stream is the same",
        false => "not read back",
    };
    answer.line(format!("{verified}, BLAKE3 {}; {seconds:.2} s", made.tar_blake3))?;
    Ok(())
}
