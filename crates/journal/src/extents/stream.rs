//! Writing one extent: its bytes, in pieces of any size, and then the digests of its chunks.
//!
//! Small pieces are gathered; large ones go to the file as they are. A write that fails leaves
//! everything as it was, so that the same piece can be given again.
//!
//! What it does *not* do: know how much room there is, or sync.

use std::sync::Arc;

use icecore_disk::DiskFile;

use crate::{
    Extent,
    extent_digest::ExtentHasher,
    extents::{DIGEST_BYTES, EXTENT_ALIGNMENT},
    format::walk::align,
};

/// Pieces are gathered up to this many bytes.
const GATHERED_BYTES_MAX: usize = 256 << 10;

/// An extent that is being written.
#[derive(Debug)]
pub(crate) struct ExtentStream {
    file: Arc<dyn DiskFile>,
    segment: u32,
    start: u64,
    /// Where the gathered bytes go.
    offset: u64,
    gathered: Vec<u8>,
    hasher: ExtentHasher,
}

impl ExtentStream {
    pub(crate) fn new(file: Arc<dyn DiskFile>, segment: u32, start: u64) -> Self {
        let hasher = ExtentHasher::new();
        Self { file, segment, start, offset: start, gathered: Vec::new(), hasher }
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.hasher.bytes()
    }

    pub(crate) fn file(&self) -> &Arc<dyn DiskFile> {
        &self.file
    }

    /// Takes the next bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), icecore_disk::Error> {
        if self.gathered.len() + bytes.len() <= GATHERED_BYTES_MAX {
            self.gathered.extend_from_slice(bytes);
        } else {
            self.flush()?;
            self.file.write_at(self.offset, bytes)?;
            self.offset += bytes.len() as u64;
        }
        self.hasher.update(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), icecore_disk::Error> {
        if !self.gathered.is_empty() {
            self.file.write_at(self.offset, &self.gathered)?;
            self.offset += self.gathered.len() as u64;
            self.gathered.clear();
        }
        Ok(())
    }

    /// Writes the digests behind the bytes.
    pub(crate) fn finish(mut self) -> Result<Extent, icecore_disk::Error> {
        let bytes = self.bytes();
        let digests = self.hasher.finish();
        let padding = align(self.start + bytes, EXTENT_ALIGNMENT) - (self.start + bytes);
        self.gathered.resize(self.gathered.len() + padding as usize, 0);
        self.gathered.reserve_exact(digests.digests().len() * DIGEST_BYTES);
        for digest in digests.digests() {
            self.gathered.extend_from_slice(&digest.0);
        }
        if !self.gathered.is_empty() {
            self.file.write_at(self.offset, &self.gathered)?;
        }
        let (segment, offset, digest) = (self.segment, self.start, digests.root());
        Ok(Extent { segment, offset, bytes, digest })
    }
}
