//! `icecore snapshot recompress`: the same tar stream in another container.

use std::path::PathBuf;

use clap::Args;
use icecore_batch::{Recompressed, recompress};
use icecore_types::{Hash, Slot};
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    made::{Lines, answer},
    making::{Making, Packed},
    options::CommonOptions,
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
struct Json {
    base_slot: Option<Slot>,
    bytes_before: u64,
    tar_bytes: u64,
    tar_blake3: Option<Hash>,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let write = options.packed.write_options(&options.making)?;
    let watch = common.watch()?;
    let (scan, folder) = (common.scan(), &options.making.folder);
    let recompressed = recompress(&options.archive, folder, &write, &scan, &watch.progress)?;
    let seconds = watch.seconds();
    watch.finish()?;
    let Recompressed { made, base_slot, bytes_before, tar_bytes, tar_blake3 } = recompressed;
    let (before, tar) = (human(bytes_before), human(tar_bytes));
    let digest = tar_blake3.map_or(String::new(), |digest| format!(", BLAKE3 {digest}"));
    let content = vec![format!("{before} before, {tar} of tar{digest}")];
    let more = Json { base_slot, bytes_before, tar_bytes, tar_blake3 };
    let verified = "read back: the tar stream is the same";
    answer(common, &made, seconds, more, Lines { content, verified, last: None })
}
