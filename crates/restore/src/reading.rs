//! One archive's tar stream in order, for whoever looks into an archive without judging it.
//!
//! The file may have any name: its content says which container it is. Damage does not keep what
//! came before it from being seen: it is told in [`ReadEnd`], once everything before it was given.
//!
//! What it does *not* do: classify members, decode them, or compare anything.

use std::{ops::ControlFlow, path::Path};

use icecore_archive::{
    Error as ArchiveError,
    tar::{TarEnd, TarEvent, TarReader},
};
use icecore_disk::Input;

use crate::{
    Error,
    pipeline::decompress::{BlockStream, ContainerReport, StreamFault, with_blocks},
    progress::Progress,
    source::SourceReader,
};

/// How the reading of an archive ended.
#[derive(Debug, Clone, Default)]
pub struct ReadEnd {
    /// Of the container, when its end was reached.
    pub container: Option<ContainerReport>,
    /// Of the tar stream, when its end was reached.
    pub tar: Option<TarEnd>,
    /// Bytes of the tar stream that were read.
    pub unpacked_bytes: u64,
    /// What is wrong in the bytes, if the end was not reached because of it.
    pub damage: Option<ArchiveError>,
}

/// Reads an archive from front to back and gives `visit` what the tar reader comes across, until
/// it breaks. Frames are decompressed side by side by `decompressors` threads, at least one.
///
/// # Errors
/// [`Error::Disk`] and [`Error::Interrupted`]; damage is no error but told in [`ReadEnd`].
pub fn read_archive(
    path: impl AsRef<Path>,
    decompressors: usize,
    progress: &Progress,
    mut visit: impl FnMut(TarEvent<'_>) -> ControlFlow<()>,
) -> Result<ReadEnd, Error> {
    let file = icecore_disk::File::open(path.as_ref())?;
    progress.begin(format!("read {}", path.as_ref().display()));
    progress.expect_bytes(file.bytes());
    let reader = SourceReader::Input(Input::File { file, offset: 0 });
    with_blocks(reader, decompressors.max(1), progress, |stream| read(stream, &mut visit))
}

fn read(
    stream: &mut BlockStream<'_>,
    visit: &mut impl FnMut(TarEvent<'_>) -> ControlFlow<()>,
) -> Result<ReadEnd, Error> {
    let mut tar = TarReader::new();
    let mut end = ReadEnd::default();
    loop {
        let block = match stream.next() {
            Ok(Some(block)) => block,
            Ok(None) => break,
            Err(StreamFault::Operating(error)) => return Err(error),
            Err(StreamFault::Damage(error)) => {
                end.damage = Some(error);
                return Ok(end);
            }
        };
        end.unpacked_bytes += block.len() as u64;
        let mut input = &block[..];
        loop {
            match tar.next(&mut input) {
                Ok(Some(event)) => {
                    if visit(event).is_break() {
                        return Ok(end);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    end.damage = Some(error);
                    return Ok(end);
                }
            }
        }
    }
    end.container = stream.report();
    match tar.finish() {
        Ok(tar) => end.tar = Some(tar),
        Err(error) => end.damage = Some(error),
    }
    Ok(end)
}
