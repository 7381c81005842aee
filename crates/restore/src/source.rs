//! Where an archive's bytes come from: a file, or standard input with or without a scratch copy.
//!
//! A run may need a second look at an archive. A file is simply read again; standard input is read
//! again from the scratch copy made while it was read first, if there is one.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use icecore_archive::{
    choose::{Candidate, best_pair},
    names::ArchiveName,
    zstd_frames::{BLOCK_HEADER_BYTES, FrameHopper, HOPPER_BYTES, Hop},
};
use icecore_disk::{ReadOptions, Scratch, SequentialReader, StandardInput};

use crate::{Error, pass::Feed};

/// An archive to be read, once or twice.
#[derive(Debug)]
pub struct Source {
    name: ArchiveName,
    label: String,
    medium: Medium,
}

#[derive(Debug)]
enum Medium {
    File { path: PathBuf, bytes: u64 },
    Standard { scratch: Option<Arc<Scratch>>, consumed: bool },
}

/// The last part of a path, as text.
fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn parse_name(file: &str) -> Result<ArchiveName, Error> {
    ArchiveName::parse(file)
        .map_err(|error| Error::Name { file: file.to_string(), reason: error.to_string() })
}

impl Source {
    /// An archive in a file; its name must be that of an archive.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let label = file_name(path);
        // A path that leads nowhere is told as such, whatever its name.
        let bytes = icecore_disk::File::open(path)?.bytes();
        let name = parse_name(&label)?;
        Ok(Self { name, label, medium: Medium::File { path: path.to_path_buf(), bytes } })
    }

    /// An archive in a file that will bear a name and does not yet.
    pub fn file_to_be(path: impl AsRef<Path>, archive_name: &str) -> Result<Self, Error> {
        let path = path.as_ref().to_path_buf();
        let bytes = icecore_disk::File::open(&path)?.bytes();
        let name = parse_name(archive_name)?;
        Ok(Self { name, label: archive_name.to_string(), medium: Medium::File { path, bytes } })
    }

    /// An archive on standard input, with the file name that it would bear. With a scratch folder
    /// a copy is kept there while it is read, so that it can be looked at again.
    pub fn standard(archive_name: &str, scratch: Option<&Path>) -> Result<Self, Error> {
        let name = parse_name(archive_name)?;
        let scratch = scratch.map(Scratch::create).transpose()?.map(Arc::new);
        let medium = Medium::Standard { scratch, consumed: false };
        Ok(Self { name, label: archive_name.to_string(), medium })
    }

    /// What the file name states.
    pub fn name(&self) -> &ArchiveName {
        &self.name
    }

    /// The file name.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Where the file lies, `None` for standard input.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.medium {
            Medium::File { path, .. } => Some(path),
            Medium::Standard { .. } => None,
        }
    }

    /// Compressed bytes, `None` for standard input.
    pub fn bytes(&self) -> Option<u64> {
        match &self.medium {
            Medium::File { bytes, .. } => Some(*bytes),
            Medium::Standard { .. } => None,
        }
    }

    /// Opens it, to be read from the first byte; `reason` says why, should it not be possible.
    pub(crate) fn open(&mut self, reason: &str, options: ReadOptions) -> Result<Feed, Error> {
        match &mut self.medium {
            Medium::File { path, .. } => {
                let reader = SequentialReader::open(path, options)?;
                Ok(Feed::File { reader: Box::new(reader), used: false })
            }
            Medium::Standard { scratch, consumed } => {
                if !std::mem::replace(consumed, true) {
                    let (input, scratch) = (StandardInput::new(), scratch.clone());
                    return Ok(Feed::Standard { input, scratch, used: false, filled: 0 });
                }
                match scratch {
                    Some(scratch) => Ok(Feed::Kept { scratch: Arc::clone(scratch), offset: 0 }),
                    None => Err(Error::NeedsScratch { reason: reason.to_string() }),
                }
            }
        }
    }

    /// Whether it has several frames, so that several decompressors have something to do: a guess
    /// from the first frame's block headers. Of standard input nothing can be known: it may have.
    pub(crate) fn may_have_frames(&self) -> Result<bool, Error> {
        match &self.medium {
            Medium::File { path, .. } => file_has_frames(path),
            Medium::Standard { .. } => Ok(true),
        }
    }
}

/// Blocks of the first frame that are looked at: a frame of 32 MiB has at least 256.
const BLOCKS_LOOKED_AT_MAX: u64 = 288;

/// Whether a file goes on behind its first zstd frame.
pub(crate) fn file_has_frames(path: &Path) -> Result<bool, Error> {
    let file = icecore_disk::File::open(path)?;
    let hops = hop_over(&file)?;
    Ok(hops.and_then(|hops| hops.end).is_some_and(|end| end < file.bytes()))
}

/// The beginning of a file's first zstd frame.
struct Hops {
    blocks: u64,
    /// Where they end.
    offset: u64,
    /// Where the frame ends, if it was reached.
    end: Option<u64>,
}

/// Hops over the first blocks of a file's first zstd frame; `None`: there is none, or it is cut.
fn hop_over(file: &icecore_disk::File) -> Result<Option<Hops>, Error> {
    file.expect_scattered_reads();
    let mut first = [0; HOPPER_BYTES];
    let count = file.read_at(0, &mut first)?;
    let Some((mut hopper, mut hop)) = FrameHopper::new(0, &first[..count]) else {
        return Ok(None);
    };
    let mut hops = Hops { blocks: 0, offset: 0, end: None };
    while hops.end.is_none() && hops.blocks < BLOCKS_LOOKED_AT_MAX {
        let Hop::Block { offset } = hop else { break };
        let mut header = [0; BLOCK_HEADER_BYTES];
        if file.read_at(offset, &mut header)? < BLOCK_HEADER_BYTES {
            return Ok(None);
        }
        hop = hopper.next(header);
        hops.blocks += 1;
        let (Hop::Block { offset } | Hop::End { offset }) = hop;
        hops.offset = offset;
        hops.end = matches!(hop, Hop::End { .. }).then_some(offset);
    }
    Ok(Some(hops))
}

/// A block of a zstd frame has so many bytes of content, nearly always.
const BLOCK_CONTENT_BYTES: u64 = 128 << 10;

/// How many times more bytes archives have when they are unpacked, where that cannot be guessed
/// from their blocks: those of validators have four times as many or so.
const UNPACKED_TIMES: u64 = 4;

impl Source {
    /// About how many bytes it has when it is unpacked: a guess from its first blocks. `None` for
    /// standard input.
    pub(crate) fn unpacked_bytes(&self) -> Result<Option<u64>, Error> {
        let Medium::File { path, bytes } = &self.medium else { return Ok(None) };
        let hops = hop_over(&icecore_disk::File::open(path)?)?;
        let guess = hops.filter(|hops| hops.offset > 0).map(|hops| {
            let times = (hops.blocks * BLOCK_CONTENT_BYTES) as f64 / hops.offset as f64;
            (*bytes as f64 * times) as u64
        });
        Ok(Some(guess.unwrap_or(bytes * UNPACKED_TIMES)))
    }
}

/// A full archive and perhaps an incremental one; or an incremental one alone, for a store that keeps
/// the base point that it builds on.
#[derive(Debug)]
pub struct Pair {
    /// The full archive; or the incremental one that is alone.
    pub full: Source,
    /// The incremental archive on it.
    pub incremental: Option<Source>,
}

impl Pair {
    /// Whether any of them may have several frames.
    pub(crate) fn may_have_frames(&self) -> Result<bool, Error> {
        for source in [&self.full].into_iter().chain(&self.incremental) {
            if source.may_have_frames()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// From files; the classes must be right.
    pub fn files(full: impl AsRef<Path>, incremental: Option<&Path>) -> Result<Self, Error> {
        let pair = Self {
            full: Source::file(full)?,
            incremental: incremental.map(Source::file).transpose()?,
        };
        if pair.full.name.is_incremental() {
            return Err(Error::Class {
                file: pair.full.label,
                problem: "is an incremental archive; name its full archive first",
            });
        }
        if let Some(incremental) = &pair.incremental
            && !incremental.name.is_incremental()
        {
            return Err(Error::Class {
                file: incremental.label.clone(),
                problem: "is a full archive where an incremental one belongs",
            });
        }
        Ok(pair)
    }

    /// An incremental archive without its full one: only to be restored, into a store that keeps the
    /// full one's state as a base point.
    pub fn alone(incremental: impl AsRef<Path>) -> Result<Self, Error> {
        let alone = Self { full: Source::file(incremental)?, incremental: None };
        match alone.is_alone() {
            true => Ok(alone),
            false => Err(Error::Class {
                file: alone.full.label,
                problem: "is a full archive where an incremental one belongs",
            }),
        }
    }

    /// Whether it is an incremental archive without its full one.
    pub fn is_alone(&self) -> bool {
        self.full.name.is_incremental()
    }

    /// The best pair in a folder and its `remote/`: that with the highest effective slot.
    pub fn best_in(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let candidates = candidates(folder)?;
        let Some((full, incremental)) = best_pair(&candidates) else {
            return Err(Error::NoArchive { folder: folder.to_path_buf() });
        };
        let path = |candidate: &Candidate| path_of(folder, candidate);
        Self::files(path(full), incremental.map(path).as_deref())
    }
}

/// Where a candidate lies.
pub fn path_of(folder: &Path, candidate: &Candidate) -> PathBuf {
    match candidate.remote {
        true => folder.join("remote").join(&candidate.file),
        false => folder.join(&candidate.file),
    }
}

/// The archives in a folder and its `remote/`, by name.
pub fn candidates(folder: &Path) -> Result<Vec<Candidate>, Error> {
    let mut candidates = Vec::new();
    for (path, remote) in [(folder.to_path_buf(), false), (folder.join("remote"), true)] {
        if remote && !icecore_disk::is_folder(&path) {
            continue;
        }
        for entry in icecore_disk::list(&path)? {
            if entry.is_file
                && let Ok(name) = ArchiveName::parse(&entry.name)
            {
                candidates.push(Candidate { name, file: entry.name, remote });
            }
        }
    }
    Ok(candidates)
}
