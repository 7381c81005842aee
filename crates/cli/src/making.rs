//! Options of commands that make archives.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use icecore_archive::writing::{
    frame_encoder::{Packing, ZSTD_LEVEL_DEFAULT, ZSTD_LEVELS},
    frame_plan::{FRAME_BYTES, FRAME_BYTES_DEFAULT},
};
use icecore_batch::WriteOptions;

use crate::{
    exit::Failure,
    size::{Size, human},
};

/// Where what is made goes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Making {
    /// The folder for what is made; nothing in it is replaced
    #[arg(short = 'o', value_name = "DIR")]
    pub(crate) folder: PathBuf,

    /// Do not look at what was written before it gets its name; a merge does not hash what it reads,
    /// either
    #[arg(long)]
    pub(crate) no_verify: bool,
}

/// How storages are made.
#[derive(Debug, Clone, Args)]
pub(crate) struct Storages {
    /// Put small storages together, up to 8 MiB; the slots in which accounts were last written are
    /// lost
    #[arg(long)]
    pub(crate) pack: bool,
}

/// How an archive is packed.
#[derive(Debug, Clone, Args)]
pub(crate) struct Packed {
    /// The container; the reference client reads no plain tar since 3.0
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "zstd")]
    snapshot_archive_format: ArchiveFormat,

    /// The level of zstd, 1 to 22 [default: 1]
    #[arg(long, value_name = "N")]
    snapshot_zstd_compression_level: Option<i32>,

    /// Bytes of tar in a frame, as in 32MiB; memory is about twice that for each thread
    /// [default: 32MiB]
    #[arg(long, value_name = "SIZE")]
    frame_size: Option<Size>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ArchiveFormat {
    /// Frames of zstd with a seek table.
    Zstd,
    /// One lz4 frame.
    Lz4,
    /// Plain tar.
    None,
}

impl Packed {
    /// Options for the library.
    pub(crate) fn write_options(&self, making: &Making) -> Result<WriteOptions, Failure> {
        self.options(!making.no_verify)
    }

    /// The same; `verify`: whether what was written is looked at.
    pub(crate) fn options(&self, verify: bool) -> Result<WriteOptions, Failure> {
        let level = self.snapshot_zstd_compression_level;
        let packing = match (self.snapshot_archive_format, level) {
            (ArchiveFormat::Zstd, level) => {
                let level = level.unwrap_or(ZSTD_LEVEL_DEFAULT);
                if !ZSTD_LEVELS.contains(&level) {
                    let (first, last) = (ZSTD_LEVELS.start(), ZSTD_LEVELS.end());
                    let text = format!("levels of zstd are {first} to {last}, not {level}");
                    return Err(Failure::Usage(text));
                }
                Packing::Zstd { level }
            }
            (_, Some(_)) => {
                let text = "--snapshot-zstd-compression-level goes with zstd only";
                return Err(Failure::Usage(text.into()));
            }
            (ArchiveFormat::Lz4, None) => Packing::Lz4,
            (ArchiveFormat::None, None) => Packing::Tar,
        };
        let frame_bytes = match self.frame_size {
            None => FRAME_BYTES_DEFAULT,
            Some(Size(bytes)) => u32::try_from(bytes)
                .ok()
                .filter(|bytes| FRAME_BYTES.contains(bytes))
                .ok_or_else(|| {
                    let [least, most] = [FRAME_BYTES.start(), FRAME_BYTES.end()]
                        .map(|bytes| human(u64::from(*bytes)));
                    Failure::Usage(format!("frames have {least} to {most}, not {}", human(bytes)))
                })?,
        };
        Ok(WriteOptions { packing, frame_bytes, verify, pack: false })
    }
}
