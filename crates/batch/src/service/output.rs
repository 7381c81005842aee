//! Writing an archive into a file of the pool, through its one descriptor.
//!
//! Pieces are gathered, and go to the disk past the page cache where the file system can: an archive is
//! written once and read by others later, and must not push out what readers and writers of the store
//! need, nor be waited for by their syncs.
//!
//! What it does *not* do: sync, or give the file its name.

use std::io::{self, Write};

use icecore_disk::{AlignedBuffer, HeldFile};
use icecore_restore::Progress;

/// Bytes that are written at a time.
const PIECE_BYTES: usize = 1 << 20;

/// A file of the pool that is being written, from front to back.
pub(crate) struct PoolOutput<'a> {
    file: &'a HeldFile,
    progress: &'a Progress,
    buffer: AlignedBuffer,
    filled: usize,
    offset: u64,
    is_direct: bool,
}

impl<'a> PoolOutput<'a> {
    /// Begins at the front of a file that is empty.
    pub(crate) fn new(file: &'a HeldFile, progress: &'a Progress) -> io::Result<Self> {
        Self::in_pieces(file, progress, PIECE_BYTES)
    }

    /// As [`Self::new`], in pieces of so many bytes: a multiple of
    /// [`DIRECT_BYTES`](icecore_disk::DIRECT_BYTES).
    pub(super) fn in_pieces(
        file: &'a HeldFile,
        progress: &'a Progress,
        piece_bytes: usize,
    ) -> io::Result<Self> {
        let buffer = AlignedBuffer::new(piece_bytes).map_err(io::Error::other)?;
        let is_direct = file.set_direct(true);
        Ok(Self { file, progress, buffer, filled: 0, offset: 0, is_direct })
    }

    /// Writes what is left; says how many bytes there are in all.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        self.go_through_cache();
        let rest = std::mem::take(&mut self.filled);
        self.file.write_at(self.offset, &self.buffer[..rest]).map_err(failed)?;
        self.offset += rest as u64;
        Ok(self.offset)
    }

    fn go_through_cache(&mut self) {
        if std::mem::take(&mut self.is_direct) {
            self.file.set_direct(false);
        }
    }

    fn write_piece(&mut self) -> io::Result<()> {
        if self.progress.is_interrupted() {
            // Not the kind `Interrupted`: that one would be tried again.
            return Err(io::Error::other("interrupted"));
        }
        let written = match self.is_direct {
            true => self.file.write_direct_at(self.offset, &self.buffer),
            false => self.file.write_at(self.offset, &self.buffer),
        };
        match written {
            // Some file systems take the flag and then refuse what is written so.
            Err(error) if self.is_direct && is_refused(&error) => {
                self.go_through_cache();
                self.file.write_at(self.offset, &self.buffer).map_err(failed)?;
            }
            written => written.map_err(failed)?,
        }
        self.offset += self.buffer.len() as u64;
        self.filled = 0;
        Ok(())
    }
}

/// Whether a direct write was refused for being one.
fn is_refused(error: &icecore_disk::Error) -> bool {
    matches!(error, icecore_disk::Error::Path { source, .. } if source.kind() == io::ErrorKind::InvalidInput)
}

/// The error with its place, of the kind that it is.
fn failed(error: icecore_disk::Error) -> io::Error {
    match &error {
        icecore_disk::Error::Path { source, .. } => io::Error::new(source.kind(), error),
        _ => io::Error::other(error),
    }
}

impl Write for PoolOutput<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.buffer.len() - self.filled);
        self.buffer[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        if self.filled == self.buffer.len() {
            self.write_piece()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for PoolOutput<'_> {
    fn drop(&mut self) {
        // The file is used again.
        self.go_through_cache();
    }
}
