//! Frames that are written again, one after another, with few calls.

use icecore_disk::DiskFile;

use crate::{
    Error,
    format::{BLOCK_BYTES, FRAME_ALIGNMENT, walk::align},
};

/// Writes frames one after another.
pub(super) struct Copy<'a> {
    pub(super) file: &'a dyn DiskFile,
    pub(super) offset: u64,
    pub(super) buffer: Vec<u8>,
}

/// Bytes that a copy writes with one call, about.
const COPY_BYTES: usize = 4 << 20;

impl Copy<'_> {
    pub(super) fn put(&mut self, frame: &[u8]) -> Result<u64, Error> {
        let at = self.offset + self.buffer.len() as u64;
        self.buffer.extend_from_slice(frame);
        let aligned = align(self.buffer.len() as u64, FRAME_ALIGNMENT) as usize;
        self.buffer.resize(aligned, 0);
        if self.buffer.len() >= COPY_BYTES {
            self.write()?;
        }
        Ok(at)
    }

    fn write(&mut self) -> Result<(), Error> {
        self.file.write_at(self.offset, &self.buffer)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(), Error> {
        let filled = align(self.offset + self.buffer.len() as u64, BLOCK_BYTES) - self.offset;
        self.buffer.resize(filled as usize, 0);
        self.write()
    }
}
