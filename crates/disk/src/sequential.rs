//! Reading a file from front to back at the speed of the disk.
//!
//! The file is cut into chunks of one size; several are asked for ahead of the one the caller works
//! on, into memory of the reader's own. What the kernel refuses is found out at opening, so that
//! reading itself has one way only:
//!
//! 1. The file is opened once. If it is not in the page cache already, direct reads (past the page
//!    cache) are switched on and tried on the first block, see `source.rs`.
//! 2. A ring (`io_uring`) is made that can do nothing but read this one file, see `ring.rs`. Where
//!    there is no ring, the chunks are read one after the other by position, see `positioned.rs`.
//! 3. `next` hands the chunks out in order. Both ways share the decision what an answer of the
//!    kernel means (`piece.rs`) and give the same bytes and the same errors.
//!
//! Invariants:
//! - The size at opening governs: exactly these bytes are handed out, or there is an error. A file
//!   that is found shorter or longer while it is read is an error.
//! - After opening nothing is opened, mapped or registered: `next` and `restart` make the system
//!   calls that `descriptors` names and no others.
//! - The kernel never writes into memory that is lent to the caller or given back to the system.
//!
//! What it does *not* do: notice bytes that change in place, read pipes or devices, or keep what it
//! has read.

mod memory;
mod piece;
mod positioned;
mod ring;
mod source;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    os::fd::RawFd,
    path::{Path, PathBuf},
};

use crate::Error;
use piece::{BLOCK_BYTES, Failure, Pieces};
use positioned::Positioned;
use ring::Ring;
use source::Source;

pub(crate) use memory::Memory;
pub(crate) use source::set_direct;

/// How a file is read from front to back.
#[derive(Debug, Clone, Copy)]
pub struct ReadOptions {
    /// Bytes read at once: a multiple of 4096, at most [`CHUNK_BYTES_MAX`](Self::CHUNK_BYTES_MAX).
    pub chunk_bytes: usize,
    /// Chunks in flight while the caller works on one: 1 to [`DEPTH_MAX`](Self::DEPTH_MAX).
    pub depth: usize,
    /// Who reads.
    pub method: ReadMethod,
    /// Whether the page cache is bypassed.
    pub direct: DirectMode,
}

impl ReadOptions {
    /// The largest chunk: with [`DEPTH_MAX`](Self::DEPTH_MAX) it bounds the memory of a reader.
    pub const CHUNK_BYTES_MAX: usize = 64 << 20;
    /// The most chunks in flight; a disk gains nothing from more of this size.
    pub const DEPTH_MAX: usize = 32;
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { chunk_bytes: 1 << 20, depth: 4, method: ReadMethod::Auto, direct: DirectMode::Auto }
    }
}

/// Who reads a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadMethod {
    /// The ring where the kernel allows one, else positioned reads.
    #[default]
    Auto,
    /// The ring, or an error.
    Ring,
    /// Positioned reads, one after the other.
    Positioned,
}

/// Whether reads bypass the page cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DirectMode {
    /// Where the file system allows it, unless the file is in the page cache already.
    #[default]
    Auto,
    /// Yes, or an error.
    On,
    /// No.
    Off,
}

/// How a file is read in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadMethodUsed {
    /// Reads bypass the page cache.
    pub direct: bool,
    /// Reads are made by a ring.
    pub ring: bool,
    /// Chunks in flight while the caller works on one; none by positioned reads.
    pub depth: usize,
}

impl fmt::Display for ReadMethodUsed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ring, self.direct) {
            (true, true) => write!(formatter, "direct reads by io_uring, {} in flight", self.depth),
            (true, false) => write!(
                formatter,
                "reads through the page cache by io_uring, {} in flight",
                self.depth
            ),
            (false, true) => write!(formatter, "direct positioned reads"),
            (false, false) => write!(formatter, "positioned reads through the page cache"),
        }
    }
}

/// What a thread that reads must be allowed to ask of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReaderDescriptor {
    /// `pread64` on this descriptor.
    ReadAt(RawFd),
    /// `io_uring_enter` on this descriptor.
    Ring(RawFd),
}

/// A file that is read from front to back, its next chunks in flight.
#[derive(Debug)]
pub struct SequentialReader {
    path: PathBuf,
    bytes: u64,
    method: Method,
    used: ReadMethodUsed,
}

#[derive(Debug)]
enum Method {
    Positioned(Positioned),
    Ring(Box<Ring>),
}

impl SequentialReader {
    /// Opens a regular file; folders, pipes and devices are refused.
    ///
    /// # Panics
    ///
    /// If the options are outside their stated bounds.
    pub fn open(path: impl AsRef<Path>, options: ReadOptions) -> Result<Self, Error> {
        let ReadOptions { chunk_bytes, depth, method, direct } = options;
        assert!(chunk_bytes > 0 && chunk_bytes.is_multiple_of(BLOCK_BYTES), "whole blocks");
        assert!(chunk_bytes <= ReadOptions::CHUNK_BYTES_MAX, "chunks above their bound");
        assert!((1..=ReadOptions::DEPTH_MAX).contains(&depth), "depth outside its bounds");

        let Source { file, path, bytes, direct } = Source::open(path.as_ref(), direct)?;
        let pieces = Pieces::new(bytes, chunk_bytes);
        let ring =
            match method {
                ReadMethod::Positioned => None,
                ReadMethod::Auto => Ring::new(&file, pieces, depth).ok(),
                ReadMethod::Ring => Some(Ring::new(&file, pieces, depth).map_err(|source| {
                    Error::new(&path, "make a ring (io_uring) to read", source)
                })?),
            };
        let used = match &ring {
            Some(ring) => ReadMethodUsed { direct, ring: true, depth: ring.depth() },
            None => ReadMethodUsed { direct, ring: false, depth: 0 },
        };
        let method = match ring {
            // The ring holds the file by itself: the descriptor is closed here.
            Some(ring) => Method::Ring(Box::new(ring)),
            None => Method::Positioned(
                Positioned::new(file, pieces)
                    .map_err(|source| Error::new(&path, "get memory to read", source))?,
            ),
        };
        Ok(Self { path, bytes, method, used })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes when it was opened.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How it is read.
    pub fn method_used(&self) -> ReadMethodUsed {
        self.used
    }

    /// All that `next` and `restart` ask of the kernel, for a policy of system calls.
    pub fn descriptors(&self) -> Vec<ReaderDescriptor> {
        match &self.method {
            Method::Positioned(positioned) => {
                vec![ReaderDescriptor::ReadAt(positioned.descriptor())]
            }
            Method::Ring(ring) => vec![ReaderDescriptor::Ring(ring.descriptor())],
        }
    }

    /// The next bytes in order: a whole chunk, less only at the end; `None` after the last byte.
    ///
    /// Blocks until they are there. After an error the next call tries the same bytes again.
    #[expect(clippy::should_implement_trait, reason = "what it lends ends with the next call")]
    pub fn next(&mut self) -> Result<Option<&[u8]>, Error> {
        let bytes = match &mut self.method {
            Method::Positioned(positioned) => positioned.next(),
            Method::Ring(ring) => ring.next(),
        };
        match bytes {
            Ok(bytes) => Ok((!bytes.is_empty()).then_some(bytes)),
            Err(Failure { offset, source }) => Err(Error::at(&self.path, "read", offset, source)),
        }
    }

    /// Starts again from the first byte; waits for what is in flight.
    pub fn restart(&mut self) -> Result<(), Error> {
        match &mut self.method {
            Method::Positioned(positioned) => {
                positioned.restart();
                Ok(())
            }
            Method::Ring(ring) => {
                ring.restart().map_err(|source| Error::new(&self.path, "restart reading", source))
            }
        }
    }
}
