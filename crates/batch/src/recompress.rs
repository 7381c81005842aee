//! Packs the tar stream of an archive anew: another container, level or size of frames, for other
//! clients and for lookups that read few frames. Not a byte of the tar stream changes.
//!
//! Steps:
//! 1. The archive is unpacked on tiles; its tar stream goes to the packer, and is digested if what is
//!    written is to be looked at.
//! 2. Then that is unpacked again, and must have the same digest.
//! 3. It gets its name.
//!
//! What it does *not* do: judge the archive. What is damaged as a container or as tar is refused; a
//! state that is wrong stays so. Bytes behind the last zstd frame that are no frame are not of the
//! tar stream and go.

use std::{ops::ControlFlow, path::Path};

use icecore_archive::names::ArchiveName;
use icecore_restore::{Options, Progress, ReadEnd, Source, read_unpacked};
use icecore_types::{Hash, Slot};

use crate::{
    Error, WriteOptions,
    members::Members,
    packer::{Packer, pack},
    target::{Made, Target},
};

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recompressed {
    /// The new archive.
    pub made: Made,
    /// The slot of the full archive on which an incremental one builds.
    pub base_slot: Option<Slot>,
    /// Bytes of the archive that was read.
    pub bytes_before: u64,
    /// Bytes of the tar stream.
    pub tar_bytes: u64,
    /// BLAKE3 of the tar stream, of both archives; unless [`WriteOptions::verify`] is off.
    pub tar_blake3: Option<Hash>,
}

/// Packs an archive anew, into `folder`, under its name with the extension of its new container.
///
/// # Errors
/// When it is damaged, there is such a file already, or the operating system refuses; then nothing
/// is left behind.
pub fn recompress(
    archive: &Path,
    folder: &Path,
    write: &WriteOptions,
    options: &Options,
    progress: &Progress,
) -> Result<Recompressed, Error> {
    let source = Source::file(archive)?;
    let name = with_packing(source.name(), write);
    let mut target = Target::create(folder, name.to_string())?;
    let mut digest = write.verify.then(blake3::Hasher::new);
    let body =
        |packer: &mut Packer| repack(archive, &source, packer, digest.as_mut(), options, progress);
    let (tar_bytes, frames) = pack(&mut target.output, write, options.cores, body)?;
    let digest = digest.map(|digest| digest.finalize());
    if let Some(digest) = digest {
        let mut hasher = blake3::Hasher::new();
        let end = read_unpacked(target.output.temporary_path(), options, progress, |bytes| {
            hasher.update(bytes);
            ControlFlow::Continue(())
        })?;
        if end.damage.is_some() || hasher.finalize() != digest {
            return Err(Error::Differs { archive: target.name });
        }
    }
    Ok(Recompressed {
        made: target.publish_archive(&name, &frames, write.verify)?,
        base_slot: name.base(),
        bytes_before: source.bytes().unwrap_or(0),
        tar_bytes,
        tar_blake3: digest.map(|digest| Hash(digest.into())),
    })
}

/// Gives the tar stream to a packer, and to a digest if there is one; its bytes.
fn repack(
    archive: &Path,
    source: &Source,
    packer: &mut Packer,
    mut digest: Option<&mut blake3::Hasher>,
    options: &Options,
    progress: &Progress,
) -> Result<u64, Error> {
    let damaged = |problem: String| icecore_restore::Error::Damaged {
        archive: source.label().to_string(),
        problem,
    };
    let mut members = Members::new();
    let mut fault = None;
    let end = read_unpacked(archive, options, progress, |bytes| {
        if let Some(digest) = &mut digest {
            digest.update(bytes);
        }
        members.piece(bytes, packer).unwrap_or_else(|error| {
            fault = Some(error);
            ControlFlow::Break(())
        })
    })?;
    if let Some(error) = fault {
        return Err(damaged(error.to_string()).into());
    }
    let ReadEnd { container, unpacked_bytes, damage, .. } = end;
    if let Some(damage) = damage {
        return Err(damaged(damage.to_string()).into());
    }
    if container.is_some() {
        // If the packer has stopped, its writer says why.
        let _ = members.finish(packer).map_err(|error| damaged(error.to_string()))?;
    }
    Ok(unpacked_bytes)
}

/// The name with another extension.
fn with_packing(name: &ArchiveName, write: &WriteOptions) -> ArchiveName {
    let to = write.packing.compression();
    match *name {
        ArchiveName::Full { slot, hash, .. } => ArchiveName::Full { slot, hash, compression: to },
        ArchiveName::Incremental { base, slot, hash, .. } => {
            ArchiveName::Incremental { base, slot, hash, compression: to }
        }
    }
}
