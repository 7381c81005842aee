//! The data segments that one thread of a bulk session writes, one after another.
//!
//! A new file begins when the one before it is full; an extent never lies in two. Nothing is synced
//! here: adopting the session does that.

use std::sync::Arc;

use crate::{
    Error, Extent,
    bulk::{
        SessionState,
        stream::{BUFFER_BYTES, SegmentStream},
    },
    extents::Layout,
    format::{BLOCK_BYTES, walk::align},
};

/// A part of a bulk session that one thread writes. To be dropped before the session is adopted.
#[derive(Debug)]
pub struct BulkSegment {
    session: Arc<SessionState>,
    stream: SegmentStream,
}

/// An extent of a bulk session that is being written; its size need not be known. Dropped before
/// [`Self::finish`], the next extent takes its place.
#[derive(Debug)]
pub struct BulkExtent<'a> {
    segment: &'a mut BulkSegment,
    start: u64,
}

impl BulkSegment {
    pub(super) fn begin(session: &Arc<SessionState>) -> Result<Self, Error> {
        let (id, file) = session.create_file()?;
        let stream = SegmentStream::new(id, file, BUFFER_BYTES)?;
        session.files().writers += 1;
        Ok(Self { session: Arc::clone(session), stream })
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
        let start = align(self.stream.end(), options.extent_alignment);
        let end = Layout::of(start, expected_bytes).map(|layout| layout.end);
        let is_full = end.is_none_or(|end| end > options.data_segment_bytes_max);
        if self.stream.end() > BLOCK_BYTES && is_full {
            let (id, file) = self.session.create_file()?;
            self.stream.change_file(id, file);
        }
        let start = align(self.stream.end(), self.session.shared.options.extent_alignment);
        self.stream.begin(start);
        Ok(BulkExtent { segment: self, start })
    }
}

impl Drop for BulkSegment {
    fn drop(&mut self) {
        self.session.files().writers -= 1;
    }
}

impl BulkExtent<'_> {
    /// Where the next byte will lie: data segment and offset.
    pub fn position(&self) -> (u32, u64) {
        (self.segment.stream.segment(), self.segment.stream.position())
    }

    fn check_room(&self, bytes: usize) -> Result<(), Error> {
        let bytes = self.segment.stream.position() - self.start + bytes as u64;
        match Layout::of(self.start, bytes) {
            Some(_) => Ok(()),
            None => Err(Error::Unfit { what: "an extent ends before 32 GiB of its segment" }),
        }
    }

    /// Takes the next bytes. After an error the same bytes can be given again.
    ///
    /// # Errors
    /// What the disk said; [`Error::Unfit`] when the segment would exceed 32 GiB.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.check_room(bytes.len())?;
        Ok(self.segment.stream.write(bytes)?)
    }

    /// Room in one piece for the next bytes, to be filled and then taken with [`Self::commit`]: so
    /// they are not copied. What is there is of no account. The room lies at [`Self::position`].
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn space(&mut self, bytes: usize) -> Result<&mut [u8], Error> {
        self.check_room(bytes)?;
        Ok(self.segment.stream.room(bytes)?)
    }

    /// Takes the first bytes of the room that [`Self::space`] gave. After an error it can be tried
    /// again.
    ///
    /// # Errors
    /// What the disk said, where the room was larger than the buffer of about 2 MiB.
    ///
    /// # Panics
    /// When the room was smaller.
    pub fn commit(&mut self, bytes: usize) -> Result<(), Error> {
        Ok(self.segment.stream.commit(bytes)?)
    }

    /// The extent, for the batch that adopts it.
    ///
    /// # Errors
    /// What the disk said.
    pub fn finish(self) -> Result<Extent, Error> {
        let stream = &mut self.segment.stream;
        let extent = stream.finish()?;
        self.segment.session.has_extent(stream.segment(), stream.end());
        Ok(extent)
    }
}
