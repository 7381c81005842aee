//! Where a pass gets an archive's bytes: a file read at the speed of the disk, or standard input
//! with, perhaps, a copy of it kept for a second look; or parts of a file.
//!
//! Everything is opened before the tiles are closed in; [`policy`](Feed::policy) says what the
//! reading tile needs of the kernel after that.

use std::{ops::Range, sync::Arc, time::Duration};

use icecore_disk::{File, Scratch, SequentialReader, StandardInput};
use icecore_tile::Policy;

use crate::Error;

/// Standard input's file descriptor.
const STANDARD_INPUT: i32 = 0;

/// How long standard input is waited for before the tile looks for commands again.
const PATIENCE: Duration = Duration::from_millis(100);

/// Bytes of a part that are read at once. What is on its way to a decompressor is decompressed even
/// when nothing more is wanted, and as many chunks are on their way as there are credits.
const PART_CHUNK_BYTES: usize = 128 << 10;

/// What became of a chunk.
pub(crate) enum Filled {
    /// So many bytes: less than there was room for only where chunks of a file end.
    Bytes(usize),
    /// More of it will come; the space has to be given again as it is.
    Waiting,
    /// Nothing is left.
    End,
}

/// An open source of compressed bytes.
pub(crate) enum Feed {
    /// A file.
    File {
        reader: Box<SequentialReader>,
        /// Whether anything was read of it.
        used: bool,
    },
    /// Standard input; what is read is kept, if there is scratch.
    Standard {
        input: StandardInput,
        scratch: Option<Arc<Scratch>>,
        used: bool,
        /// Bytes of the chunk at hand that have come.
        filled: usize,
    },
    /// What was kept of standard input.
    Kept { scratch: Arc<Scratch>, offset: u64 },
    /// Parts of a file, as if nothing lay between them.
    Parts {
        file: Arc<File>,
        parts: Vec<Range<u64>>,
        /// The part at hand, and how much of it was read.
        part: usize,
        read: u64,
    },
}

impl Feed {
    /// Goes to the first byte; `reason` says why, should it not be possible.
    pub(crate) fn begin(&mut self, reason: &str) -> Result<(), Error> {
        match self {
            Self::File { used: false, .. } | Self::Standard { used: false, .. } => {}
            Self::File { reader, .. } => reader.restart()?,
            Self::Standard { scratch: Some(scratch), .. } => {
                *self = Self::Kept { scratch: Arc::clone(scratch), offset: 0 };
            }
            Self::Standard { scratch: None, .. } => {
                return Err(Error::NeedsScratch { reason: reason.to_string() });
            }
            Self::Kept { offset, .. } => *offset = 0,
            Self::Parts { part, read, .. } => (*part, *read) = (0, 0),
        }
        Ok(())
    }

    /// Fills the space with the next chunk.
    pub(crate) fn fill(&mut self, space: &mut [u8]) -> Result<Filled, Error> {
        let count = match self {
            Self::File { reader, used } => {
                *used = true;
                let bytes = reader.next()?.unwrap_or_default();
                space[..bytes.len()].copy_from_slice(bytes);
                bytes.len()
            }
            Self::Standard { input, scratch, used, filled } => {
                *used = true;
                while *filled < space.len() {
                    match input.read(PATIENCE, &mut space[*filled..])? {
                        None => return Ok(Filled::Waiting),
                        Some(0) => break,
                        Some(count) => *filled += count,
                    }
                }
                let count = std::mem::take(filled);
                if let Some(scratch) = scratch {
                    scratch.append(&space[..count])?;
                }
                count
            }
            Self::Kept { scratch, offset } => {
                let count = scratch.read_at(*offset, space)?;
                *offset += count as u64;
                count
            }
            Self::Parts { file, parts, part, read } => loop {
                let Some(range) = parts.get(*part) else { break 0 };
                let left = (range.end - range.start) - *read;
                if left == 0 {
                    (*part, *read) = (*part + 1, 0);
                    continue;
                }
                let room = space.len().min(PART_CHUNK_BYTES);
                let count = usize::try_from(left).map_or(room, |left| left.min(room));
                let count = file.read_at(range.start + *read, &mut space[..count])?;
                *read += count as u64;
                break count;
            },
        };
        Ok(if count == 0 { Filled::End } else { Filled::Bytes(count) })
    }

    /// What reading it asks of the kernel.
    pub(crate) fn policy(&self) -> Policy {
        match self {
            Self::File { reader, .. } => {
                let mut policy = Policy::none();
                for descriptor in reader.descriptors() {
                    policy = match descriptor {
                        icecore_disk::ReaderDescriptor::ReadAt(file) => policy.read_at(file),
                        icecore_disk::ReaderDescriptor::Ring(ring) => policy.ring(ring),
                    };
                }
                policy
            }
            Self::Standard { scratch, .. } => {
                let policy = Policy::none().read(STANDARD_INPUT);
                match scratch {
                    Some(scratch) => policy.read_at(scratch.raw_fd()).write_at(scratch.raw_fd()),
                    None => policy,
                }
            }
            Self::Kept { scratch, .. } => Policy::none().read_at(scratch.raw_fd()),
            Self::Parts { file, .. } => Policy::none().read_at(file.raw_fd()),
        }
    }

    /// How it is read, for the report.
    pub(crate) fn method(&self) -> String {
        match self {
            Self::File { reader, .. } => reader.method_used().to_string(),
            Self::Standard { .. } => "standard input".to_string(),
            Self::Kept { .. } => "positioned reads of scratch".to_string(),
            Self::Parts { .. } => "positioned reads of parts".to_string(),
        }
    }
}
