//! The data segments that one thread of a bulk session writes, one after another.
//!
//! A new file begins when the one before it is full; an extent never lies in two. Nothing is synced
//! here: adopting the session does that.

use std::sync::Arc;

use icecore_disk::DiskFile;

use crate::{
    Error, Extent,
    bulk::{BulkFile, SessionState},
    extents::{Layout, stream::ExtentStream},
    format::{BLOCK_BYTES, walk::align},
};

/// A part of a bulk session that one thread writes. To be dropped before the session is adopted.
#[derive(Debug)]
pub struct BulkSegment {
    session: Arc<SessionState>,
    id: u32,
    file: Arc<dyn DiskFile>,
    /// Where the next extent could start.
    end: u64,
}

/// An extent of a bulk session that is being written; its size need not be known. Dropped before
/// [`Self::finish`], the next extent takes its place.
#[derive(Debug)]
pub struct BulkExtent<'a> {
    segment: &'a mut BulkSegment,
    start: u64,
    stream: ExtentStream,
}

impl BulkSegment {
    pub(super) fn begin(session: &Arc<SessionState>) -> Result<Self, Error> {
        let (id, file) = session.create_file()?;
        session.files().segments += 1;
        Ok(Self { session: Arc::clone(session), id, file, end: BLOCK_BYTES })
    }

    /// Writes an extent.
    ///
    /// # Errors
    /// What the disk said; [`Error::Unfit`] when the session has ended, or from 32 GiB on.
    pub fn append_extent(&mut self, bytes: &[u8]) -> Result<Extent, Error> {
        let mut extent = self.begin_extent(bytes.len() as u64)?;
        extent.write(bytes)?;
        extent.finish()
    }

    /// Begins an extent, to be written in pieces: of about so many bytes, which decides whether it
    /// goes to a new file.
    ///
    /// # Errors
    /// As [`Self::append_extent`].
    pub fn begin_extent(&mut self, expected_bytes: u64) -> Result<BulkExtent<'_>, Error> {
        let options = &self.session.shared.options;
        let start = align(self.end, options.extent_alignment);
        let end = Layout::of(start, expected_bytes).map(|layout| layout.end);
        if self.end > BLOCK_BYTES && end.is_none_or(|end| end > options.data_segment_bytes_max) {
            (self.id, self.file) = self.session.create_file()?;
            self.end = BLOCK_BYTES;
        }
        let start = align(self.end, self.session.shared.options.extent_alignment);
        let stream = ExtentStream::new(Arc::clone(&self.file), self.id, start);
        Ok(BulkExtent { segment: self, start, stream })
    }
}

impl Drop for BulkSegment {
    fn drop(&mut self) {
        self.session.files().segments -= 1;
    }
}

impl SessionState {
    /// A new file of the session, which the session knows from here on.
    fn create_file(&self) -> Result<(u32, Arc<dyn DiskFile>), Error> {
        // Under the lock: a session that ends removes every file that it ever has.
        let mut files = self.files();
        if files.has_ended {
            return Err(Error::Unfit { what: "the bulk session has ended" });
        }
        self.shared.watermarks.check()?;
        let (id, file) = self.shared.create_data_file(self.session.id)?;
        files.files.push(BulkFile { id, file: Arc::clone(&file), bytes: BLOCK_BYTES });
        Ok((id, file))
    }
}

impl BulkExtent<'_> {
    /// Where the next byte will lie: data segment and offset.
    pub fn position(&self) -> (u32, u64) {
        (self.segment.id, self.start + self.stream.bytes())
    }

    /// Takes the next bytes. After an error the same bytes can be given again.
    ///
    /// # Errors
    /// What the disk said; [`Error::Unfit`] when the segment would exceed 32 GiB.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if Layout::of(self.start, self.stream.bytes() + bytes.len() as u64).is_none() {
            return Err(Error::Unfit { what: "an extent ends before 32 GiB of its segment" });
        }
        Ok(self.stream.write(bytes)?)
    }

    /// The extent, for the batch that adopts it.
    ///
    /// # Errors
    /// What the disk said.
    pub fn finish(self) -> Result<Extent, Error> {
        let layout = Layout::of(self.start, self.stream.bytes()).expect("checked when written");
        let extent = self.stream.finish()?;
        self.segment.end = layout.end;
        let mut files = self.segment.session.files();
        let file = files.files.iter_mut().find(|file| file.id == self.segment.id);
        file.expect("the session knows its files").bytes = layout.end;
        Ok(extent)
    }
}
