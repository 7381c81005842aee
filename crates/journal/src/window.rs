//! A file that is read from front to back, a piece of it in memory at a time.
//!
//! Memory: [`WINDOW_BYTES`], or one frame if that is larger.

use icecore_disk::DiskFile;

use crate::{
    Error,
    format::{
        FRAME_ALIGNMENT,
        walk::{Step, step},
    },
};

/// A part of a file in memory that moves forward.
pub(crate) struct Window<'a> {
    file: &'a dyn DiskFile,
    start: u64,
    bytes: Vec<u8>,
    /// Where the file ends.
    pub(crate) end: u64,
}

/// Bytes read at a time.
const WINDOW_BYTES: usize = 1 << 20;

impl<'a> Window<'a> {
    pub(crate) fn new(file: &'a dyn DiskFile) -> Result<Self, Error> {
        Ok(Self { file, start: 0, bytes: Vec::new(), end: file.bytes()? })
    }

    /// Bytes from `offset` on, at least so many unless the file ends before.
    pub(crate) fn at(&mut self, offset: u64, least: usize) -> Result<&[u8], Error> {
        let room = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = least.min(room);
        let held = self.start + self.bytes.len() as u64;
        if offset < self.start || offset + wanted as u64 > held {
            self.start = offset;
            self.bytes.resize(wanted.max(WINDOW_BYTES).min(room), 0);
            let read = self.file.read_at(offset, &mut self.bytes)?;
            self.bytes.truncate(read);
            if read < wanted {
                self.end = offset + read as u64;
            }
        }
        let at = (offset - self.start) as usize;
        Ok(&self.bytes[at.min(self.bytes.len())..])
    }

    /// How many bytes from `offset` on a [`step`] needs, or all that are left.
    pub(crate) fn enough(&mut self, offset: u64) -> Result<usize, Error> {
        let mut least = FRAME_ALIGNMENT as usize;
        loop {
            let bytes = self.at(offset, least)?;
            let held = bytes.len();
            match step(bytes, offset) {
                Step::Needs(needs) if held >= least => least = needs.max(least + 1),
                _ => return Ok(least),
            }
        }
    }
}
