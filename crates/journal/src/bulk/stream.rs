//! The bytes of a data segment of a bulk session, from front to back.
//!
//! An aligned buffer stands for a part of the file that begins at a block. Bytes are copied into it
//! once, or made there; chunks are hashed there as soon as they are whole; whole blocks go from there
//! to the disk, past the page cache.
//!
//! 1. *Begin*: zeros up to where the extent starts.
//! 2. *Room* for bytes: when the buffer is full, its whole blocks are written, as far as they are
//!    hashed; what is left moves to its front.
//! 3. *Finish*: the last chunk is hashed; the list of digests follows. The last blocks, if they are
//!    few, and the last part of one go through the page cache, so that files have their true size.
//!    What lies in the last block stays in the buffer: the next extent begins behind it.
//!
//! A call that fails has changed nothing but bytes of the file that are to be written (again) by the
//! next: the same can be tried once more. An extent that is not finished gives way to the next one.
//!
//! What it does *not* do: know how much room a segment has, or sync.

use std::sync::Arc;

use icecore_disk::{AlignedBuffer, DIRECT_BYTES, DiskFile, Error};

use crate::{
    Digest, Extent,
    digest::chunk,
    extent_digest::{CHUNK_BYTES, root_of},
    extents::{DIGEST_BYTES, EXTENT_ALIGNMENT},
    format::{BLOCK_BYTES, walk::align},
};

/// Bytes of a buffer: a huge page; disks gain little from larger writes.
pub(super) const BUFFER_BYTES: usize = 2 << 20;

/// What is left at the end of an extent goes through the page cache if it is less than this.
const DIRECT_BYTES_MIN: usize = 256 << 10;

/// What stays in the buffer at most when it is written: a chunk that is not whole, and what lies
/// before it in its block.
const KEPT_BYTES_MAX: usize = CHUNK_BYTES + DIRECT_BYTES;

/// A data segment that is written from front to back.
#[derive(Debug)]
pub(super) struct SegmentStream {
    segment: u32,
    file: Arc<dyn DiskFile>,
    buffer: AlignedBuffer,
    /// Where the buffer's first byte lies: a multiple of [`DIRECT_BYTES`].
    base: u64,
    /// Bytes of the buffer that are in use.
    filled: usize,
    /// Where the last finished extent ends, and what lies before that in its block.
    end: u64,
    end_block: Vec<u8>,
    open: Option<Open>,
    /// In place of room in the buffer, for what does not fit it.
    large: Vec<u8>,
    /// Bytes of the room that was given out.
    given: usize,
}

/// An extent that is being written.
#[derive(Debug)]
struct Open {
    start: u64,
    /// Of its whole chunks.
    digests: Vec<Digest>,
}

/// What is needed to go back to a place.
struct Mark {
    base: u64,
    kept: Vec<u8>,
    digests: usize,
}

impl Open {
    fn hashed_end(&self) -> u64 {
        self.start + (self.digests.len() * CHUNK_BYTES) as u64
    }
}

fn whole_blocks(bytes: usize) -> usize {
    bytes / DIRECT_BYTES * DIRECT_BYTES
}

impl SegmentStream {
    /// Of a new segment, which has a header only.
    pub(super) fn new(
        segment: u32,
        file: Arc<dyn DiskFile>,
        buffer_bytes: usize,
    ) -> Result<Self, Error> {
        assert!(buffer_bytes >= 2 * KEPT_BYTES_MAX, "there is room beside what stays");
        let buffer = AlignedBuffer::new(whole_blocks(buffer_bytes))?;
        Ok(Self {
            segment,
            file,
            buffer,
            base: BLOCK_BYTES,
            filled: 0,
            end: BLOCK_BYTES,
            end_block: Vec::new(),
            open: None,
            large: Vec::new(),
            given: 0,
        })
    }

    /// Goes on in another new segment. An extent that is not finished is left behind.
    pub(super) fn change_file(&mut self, segment: u32, file: Arc<dyn DiskFile>) {
        (self.segment, self.file) = (segment, file);
        (self.base, self.filled, self.end) = (BLOCK_BYTES, 0, BLOCK_BYTES);
        self.end_block.clear();
        self.open = None;
    }

    pub(super) fn segment(&self) -> u32 {
        self.segment
    }

    /// Where the last finished extent ends.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Where the next byte goes.
    pub(super) fn position(&self) -> u64 {
        self.base + self.filled as u64
    }

    /// Where the extent that is being written starts.
    pub(super) fn start(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.start)
    }

    /// Begins an extent, less than a block behind the last one, in place of one that is not finished.
    pub(super) fn begin(&mut self, start: u64) {
        let kept = std::mem::take(&mut self.end_block);
        self.restore(self.end - kept.len() as u64, &kept);
        self.end_block = kept;
        let gap = usize::try_from(start - self.end).expect("less than a block");
        self.buffer[self.filled..self.filled + gap].fill(0);
        self.filled += gap;
        self.open = Some(Open { start, digests: Vec::new() });
    }

    /// Room for bytes of the extent, in one piece; what is there is of no account.
    pub(super) fn room(&mut self, bytes: usize) -> Result<&mut [u8], Error> {
        assert!(self.open.is_some(), "an extent was begun");
        self.large = Vec::new();
        self.given = 0;
        if bytes > self.buffer.len() - KEPT_BYTES_MAX {
            self.large = vec![0; bytes];
            self.given = bytes;
            return Ok(&mut self.large);
        }
        self.make_room(bytes)?;
        self.given = bytes;
        Ok(&mut self.buffer[self.filled..self.filled + bytes])
    }

    /// Takes the first bytes of the room that was given out last.
    pub(super) fn commit(&mut self, bytes: usize) -> Result<(), Error> {
        assert!(bytes <= self.given, "{bytes} bytes of a room of {}", self.given);
        if self.large.is_empty() {
            self.advance(bytes);
        } else {
            let large = std::mem::take(&mut self.large);
            let written = self.write(&large[..bytes]);
            if written.is_err() {
                self.large = large;
                return written;
            }
        }
        self.given = 0;
        Ok(())
    }

    /// Takes the next bytes of the extent.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let piece_bytes_max = self.buffer.len() - KEPT_BYTES_MAX;
        if bytes.len() <= piece_bytes_max {
            return self.write_piece(bytes);
        }
        self.flush_blocks()?;
        let mark = self.mark();
        for piece in bytes.chunks(piece_bytes_max) {
            if let Err(error) = self.write_piece(piece) {
                self.go_back(&mark);
                return Err(error);
            }
        }
        Ok(())
    }

    fn write_piece(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.make_room(bytes.len())?;
        self.buffer[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.advance(bytes.len());
        Ok(())
    }

    fn make_room(&mut self, bytes: usize) -> Result<(), Error> {
        match self.filled + bytes > self.buffer.len() {
            true => self.flush_blocks(),
            false => Ok(()),
        }
    }

    /// The next bytes are in the buffer: hashes the chunks that they make whole.
    fn advance(&mut self, bytes: usize) {
        self.filled += bytes;
        let open = self.open.as_mut().expect("an extent was begun");
        let mut at = (open.hashed_end() - self.base) as usize;
        while at + CHUNK_BYTES <= self.filled {
            open.digests.push(chunk(&self.buffer[at..at + CHUNK_BYTES]));
            at += CHUNK_BYTES;
        }
    }

    /// Writes the whole blocks that are hashed, and moves the rest to the front.
    fn flush_blocks(&mut self) -> Result<(), Error> {
        let hashed = self.open.as_ref().map_or(self.filled, |open| {
            usize::try_from(open.hashed_end() - self.base).expect("it is in the buffer")
        });
        let whole = whole_blocks(hashed.min(self.filled));
        if whole > 0 {
            self.file.write_direct_at(self.base, &self.buffer[..whole])?;
            self.forget(whole);
        }
        Ok(())
    }

    fn forget(&mut self, whole: usize) {
        self.buffer.copy_within(whole..self.filled, 0);
        self.base += whole as u64;
        self.filled -= whole;
    }

    fn mark(&self) -> Mark {
        let kept = self.buffer[..self.filled].to_vec();
        Mark { base: self.base, kept, digests: self.open.as_ref().map_or(0, |o| o.digests.len()) }
    }

    fn go_back(&mut self, mark: &Mark) {
        self.restore(mark.base, &mark.kept);
        if let Some(open) = &mut self.open {
            open.digests.truncate(mark.digests);
        }
    }

    fn restore(&mut self, base: u64, kept: &[u8]) {
        self.buffer[..kept.len()].copy_from_slice(kept);
        (self.base, self.filled) = (base, kept.len());
    }

    /// Ends the extent. After an error it goes on as if nothing had been tried.
    pub(super) fn finish(&mut self) -> Result<Extent, Error> {
        if self.filled >= DIRECT_BYTES_MIN {
            self.flush_blocks()?;
        }
        let mark = self.mark();
        let mut open = self.open.take().expect("an extent was begun");
        let bytes = self.position() - open.start;
        let rest = (open.hashed_end() - self.base) as usize..self.filled;
        if !rest.is_empty() {
            open.digests.push(chunk(&self.buffer[rest]));
        }
        if let Err(error) = self.write_end(&open.digests) {
            self.open = Some(open);
            self.go_back(&mark);
            return Err(error);
        }
        self.end = self.position();
        self.end_block.clear();
        self.end_block.extend_from_slice(&self.buffer[..self.filled]);
        let digest = root_of(&open.digests);
        Ok(Extent { segment: self.segment, offset: open.start, bytes, digest })
    }

    /// Writes the list of digests and all that is still in the buffer; the last block stays there.
    fn write_end(&mut self, digests: &[Digest]) -> Result<(), Error> {
        let padding = (align(self.position(), EXTENT_ALIGNMENT) - self.position()) as usize;
        self.append(&[0; EXTENT_ALIGNMENT as usize][..padding])?;
        for digest in digests {
            debug_assert_eq!(digest.0.len(), DIGEST_BYTES);
            self.append(&digest.0)?;
        }
        if self.filled >= DIRECT_BYTES_MIN {
            self.flush_blocks()?;
        }
        if self.filled > 0 {
            self.file.write_at(self.base, &self.buffer[..self.filled])?;
        }
        self.forget(whole_blocks(self.filled));
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.make_room(bytes.len())?;
        self.buffer[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
