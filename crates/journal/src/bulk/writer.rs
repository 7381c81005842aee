//! A writer of a bulk session whose files are made beforehand: while it writes it asks the system for
//! nothing but to write at places of these files, and for memory. So a thread can have it that may do
//! nothing else.
//!
//! Records go one behind another into an extent; a record never lies in two. When a segment is full
//! its extent ends and the next prepared segment is taken. When there is none left the last one goes
//! on, up to [`SEGMENT_BYTES_END`].
//!
//! Files that were prepared and not written to are removed when the session is adopted.

use std::{collections::VecDeque, os::fd::RawFd, sync::Arc};

use icecore_disk::DiskFile;

use crate::{
    Error, Extent,
    bulk::{
        SessionState,
        stream::{BUFFER_BYTES, SegmentStream},
    },
    extents::{DATA_SEGMENT_BYTES_END, Layout},
    format::{BLOCK_BYTES, walk::align},
};

/// Where the last segment of a writer ends at the latest. Behind it there is still room for what a
/// compaction that keeps its one extent writes there: a directory with an entry, and a footer.
const SEGMENT_BYTES_END: u64 = DATA_SEGMENT_BYTES_END - (1 << 20);

/// Writes records into prepared data segments of a bulk session. To be dropped before the session is
/// adopted.
#[derive(Debug)]
pub struct BulkWriter {
    session: Arc<SessionState>,
    stream: SegmentStream,
    prepared: VecDeque<(u32, Arc<dyn DiskFile>)>,
    raw_fds: Vec<RawFd>,
    extents: Vec<Extent>,
}

/// Room for a record, where it will lie.
#[derive(Debug)]
pub struct BulkSpace<'a> {
    /// The data segment.
    pub segment: u32,
    /// Offset of the first byte in it.
    pub offset: u64,
    /// As many bytes as were asked for, to be filled; what is there is of no account.
    pub bytes: &'a mut [u8],
}

impl BulkWriter {
    pub(super) fn begin(session: &Arc<SessionState>, segments: usize) -> Result<Self, Error> {
        assert!(segments > 0, "a writer has a segment to write to");
        let mut prepared =
            (0..segments).map(|_| session.create_file()).collect::<Result<VecDeque<_>, Error>>()?;
        let raw_fds = prepared.iter().flat_map(|(_, file)| file.raw_fds()).collect();
        let (id, file) = prepared.pop_front().expect("there is one");
        let stream = SegmentStream::new(id, file, BUFFER_BYTES)?;
        session.files().writers += 1;
        Ok(Self { session: Arc::clone(session), stream, prepared, raw_fds, extents: Vec::new() })
    }

    /// The descriptors that it writes to, with `pwrite64` and nothing else; none on a simulated disk.
    pub fn raw_fds(&self) -> &[RawFd] {
        &self.raw_fds
    }

    /// Room in one piece for a record, to be filled and then taken with [`Self::commit`]. It is lost
    /// when room is asked for again.
    ///
    /// # Errors
    /// What the disk said; the same can be tried again. [`Error::Unfit`] when all segments are full.
    pub fn space(&mut self, bytes: usize) -> Result<BulkSpace<'_>, Error> {
        self.make_room(bytes as u64)?;
        let (segment, offset) = (self.stream.segment(), self.stream.position());
        Ok(BulkSpace { segment, offset, bytes: self.stream.room(bytes)? })
    }

    /// Takes the first bytes of the room that [`Self::space`] gave.
    ///
    /// # Errors
    /// What the disk said, where the room was larger than the buffer of about 2 MiB; the same can be
    /// tried again.
    ///
    /// # Panics
    /// When the room was smaller.
    pub fn commit(&mut self, bytes: usize) -> Result<(), Error> {
        Ok(self.stream.commit(bytes)?)
    }

    /// Writes a piece that was made elsewhere. Pieces follow on one another while the segment has
    /// room; a writer of one segment never splits what it is given.
    ///
    /// # Errors
    /// As [`Self::space`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.make_room(bytes.len() as u64)?;
        Ok(self.stream.write(bytes)?)
    }

    /// Ends the extent; what is written next begins another. `None`: there is none.
    ///
    /// # Errors
    /// What the disk said; the same can be tried again.
    pub fn end_extent(&mut self) -> Result<Option<Extent>, Error> {
        if self.stream.start().is_none() {
            return Ok(None);
        }
        let extent = self.stream.finish()?;
        self.session.has_extent(extent.segment, self.stream.end());
        self.extents.push(extent);
        Ok(Some(extent))
    }

    /// Ends the extent and gives all of them, in the order in which they were written, for the batch
    /// that adopts them.
    ///
    /// # Errors
    /// As [`Self::end_extent`].
    pub fn finish(&mut self) -> Result<Vec<Extent>, Error> {
        self.end_extent()?;
        Ok(std::mem::take(&mut self.extents))
    }

    /// An extent with room for so many bytes more.
    fn make_room(&mut self, bytes: u64) -> Result<(), Error> {
        let options = &self.session.shared.options;
        let alignment = options.extent_alignment;
        let end_behind = |stream: &SegmentStream| {
            let next = || align(stream.end(), alignment);
            let start = stream.start().unwrap_or_else(next);
            let written = stream.position().saturating_sub(start);
            Layout::of(start, written + bytes).map_or(u64::MAX, |layout| layout.end)
        };
        // A segment takes one record of any size.
        let has_content = self.stream.position() > BLOCK_BYTES;
        let is_full = end_behind(&self.stream) > options.data_segment_bytes_max;
        if has_content && is_full && !self.prepared.is_empty() {
            self.end_extent()?;
            let (id, file) = self.prepared.pop_front().expect("looked at just now");
            self.stream.change_file(id, file);
        }
        if end_behind(&self.stream) > SEGMENT_BYTES_END {
            return Err(Error::Unfit {
                what: "all segments that were prepared for a writer are full, the last one with 32 GiB: begin again with more segments",
            });
        }
        if self.stream.start().is_none() {
            self.stream.begin(align(self.stream.end(), alignment));
        }
        Ok(())
    }
}

impl Drop for BulkWriter {
    fn drop(&mut self) {
        self.session.files().writers -= 1;
    }
}
