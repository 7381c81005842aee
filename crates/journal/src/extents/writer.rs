//! Writing extents: at once, or in pieces.

use std::sync::Arc;

use crate::{
    Error, Extent,
    extents::{room::Room, stream::ExtentStream},
    journal::{Journal, Shared},
};

/// An extent of known size that is being written. Dropped before [`Self::finish`], its room is lost
/// until data segments are rewritten.
#[derive(Debug)]
pub struct ExtentWriter {
    shared: Arc<Shared>,
    room: Room,
    stream: ExtentStream,
}

impl Journal {
    /// Writes an extent, for an event to adopt. Any number of threads can do so at once.
    ///
    /// It is made durable by the sync that makes the event durable.
    ///
    /// # Errors
    /// What the disk said; [`Error::Unfit`] from 32 GiB on.
    pub fn write_extent(&self, bytes: &[u8]) -> Result<Extent, Error> {
        self.shared.write_extent(bytes)
    }

    /// Begins an extent of this many bytes, to be written in pieces.
    ///
    /// # Errors
    /// As [`Self::write_extent`].
    pub fn extent_writer(&self, bytes: u64) -> Result<ExtentWriter, Error> {
        let room = self.shared.take_room(bytes)?;
        let stream = room.stream();
        Ok(ExtentWriter { shared: Arc::clone(&self.shared), room, stream })
    }
}

impl Shared {
    pub(crate) fn write_extent(&self, bytes: &[u8]) -> Result<Extent, Error> {
        let room = self.take_room(bytes.len() as u64)?;
        let mut stream = room.stream();
        stream.write(bytes)?;
        self.finish_extent(&room, stream)
    }

    fn finish_extent(&self, room: &Room, stream: ExtentStream) -> Result<Extent, Error> {
        let file = Arc::clone(stream.file());
        let extent = stream.finish()?;
        // After the last write: a sync that has begun by now may have missed it.
        let bytes = room.layout.end - room.layout.start;
        self.sync_role.wrote_data(&file, usize::try_from(bytes).unwrap_or(usize::MAX));
        Ok(extent)
    }
}

impl Room {
    fn stream(&self) -> ExtentStream {
        ExtentStream::new(Arc::clone(&self.segment.file), self.segment.id, self.layout.start)
    }
}

impl ExtentWriter {
    /// Bytes that are still to come.
    pub fn remaining_bytes(&self) -> u64 {
        self.room.layout.bytes - self.stream.bytes()
    }

    /// Where the next byte will lie: data segment and offset.
    pub fn position(&self) -> (u32, u64) {
        (self.room.segment.id, self.room.layout.start + self.stream.bytes())
    }

    /// Takes the next bytes. After an error the same bytes can be given again.
    ///
    /// # Errors
    /// What the disk said; [`Error::Unfit`] when there are more than was said.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() as u64 > self.remaining_bytes() {
            return Err(Error::Unfit { what: "an extent gets more bytes than it was begun with" });
        }
        self.shared.watermarks.check()?;
        Ok(self.stream.write(bytes)?)
    }

    /// The extent, which an event can adopt now.
    ///
    /// # Errors
    /// What the disk said; [`Error::Unfit`] when bytes are missing.
    pub fn finish(self) -> Result<Extent, Error> {
        if self.remaining_bytes() > 0 {
            return Err(Error::Unfit { what: "an extent ends before the bytes it was begun with" });
        }
        self.shared.watermarks.check()?;
        self.shared.finish_extent(&self.room, self.stream)
    }
}
