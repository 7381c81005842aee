//! A chain segment that is written to, or was until a moment ago.
//!
//! Readers and the writer share the table under a lock that is held for a lookup or for adding what
//! one write has written; event bytes are read by position, outside the lock.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use icecore_disk::DiskFile;

use crate::{
    Error, Event,
    format::{
        BLOCK_BYTES,
        record::{self, RECORD_HEADER_BYTES},
    },
    primitives::{RwLock, RwLockReadGuard, RwLockWriteGuard},
    read::RecordBytes,
    segment::table::{Identity, Place, Table},
};

/// Most events are read with one call of this many bytes.
const FIRST_READ_BYTES: usize = 1024;

/// Bytes read at once by whoever reads event after event.
const READ_AHEAD_BYTES: u64 = 64 << 10;

/// Bytes of an open segment around the event that was read last.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    is_backward: bool,
    /// Which segment; 0: none.
    segment: u32,
    start: u64,
    bytes: Vec<u8>,
}

impl ReadAhead {
    /// Holds nothing yet.
    pub(crate) fn new(is_backward: bool) -> Self {
        Self { is_backward, segment: 0, start: 0, bytes: Vec::new() }
    }

    fn holds(&self, segment: u32, offset: u64) -> bool {
        segment == self.segment
            && (self.start..self.start + self.bytes.len() as u64).contains(&offset)
    }
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct OpenSegment {
    pub(crate) id: u32,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    pub(crate) first_sequence: u64,
    table: RwLock<Table>,
}

impl OpenSegment {
    pub(crate) fn new(id: u32, file: Arc<dyn DiskFile>, table: Table) -> Self {
        Self {
            id,
            path: file.path().to_path_buf(),
            file,
            first_sequence: table.start.sequence,
            table: RwLock::new(table),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &Arc<dyn DiskFile> {
        &self.file
    }

    pub(crate) fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().expect("whoever adds to a table does not panic")
    }

    pub(crate) fn table_mut(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().expect("whoever adds to a table does not panic")
    }

    /// Reads an event that the table has; `None` when it is not in this segment (yet).
    pub(crate) fn read(&self, identity: &Identity, sequence: u64) -> Result<Option<Event>, Error> {
        let Some((place, end)) = ({
            let table = self.table();
            table.place(sequence).map(|place| (place, table.bytes))
        }) else {
            return Ok(None);
        };
        let Place { offset, time } = place;
        let room = usize::try_from(end - offset).expect("segments are small");
        let mut bytes = vec![0; room.min(FIRST_READ_BYTES)];
        self.read_exactly(offset, &mut bytes)?;
        let Some(length) = record::length(&bytes).filter(|length| *length <= room) else {
            return Err(self.corrupt(offset, "an event states a length that cannot be"));
        };
        let read = bytes.len().min(length);
        debug_assert!(read >= RECORD_HEADER_BYTES.min(length));
        bytes.resize(length, 0);
        if read < length {
            self.read_exactly(offset + read as u64, &mut bytes[read..])?;
        }
        let bytes = RecordBytes::Owned(bytes.into_boxed_slice());
        Event::check(bytes, &identity.store_id, sequence, time)
            .map(Some)
            .map_err(|malformed| malformed.in_file(&self.path, offset))
    }

    /// Reads an event as [`Self::read`] does, from bytes that were read at once for those around it.
    pub(crate) fn read_ahead(
        &self,
        identity: &Identity,
        sequence: u64,
        ahead: &mut ReadAhead,
    ) -> Result<Option<Event>, Error> {
        let Some((Place { offset, time }, end)) = ({
            let table = self.table();
            table.place(sequence).map(|place| (place, table.bytes))
        }) else {
            return Ok(None);
        };
        if !ahead.holds(self.id, offset) {
            let start = match ahead.is_backward {
                true => (offset + FIRST_READ_BYTES as u64).saturating_sub(READ_AHEAD_BYTES),
                false => offset,
            };
            let start = start.max(BLOCK_BYTES);
            ahead.bytes.resize((end - start).min(READ_AHEAD_BYTES) as usize, 0);
            // Nothing is held until it has been read.
            ahead.segment = 0;
            self.read_exactly(start, &mut ahead.bytes)?;
            (ahead.segment, ahead.start) = (self.id, start);
        }
        let held = &ahead.bytes[(offset - ahead.start) as usize..];
        match record::length(held).and_then(|length| held.get(..length)) {
            Some(bytes) => {
                Event::check(RecordBytes::Owned(bytes.into()), &identity.store_id, sequence, time)
                    .map(Some)
                    .map_err(|malformed| malformed.in_file(&self.path, offset))
            }
            // It goes on behind what is held, or what is held is damaged: reading it alone tells.
            None => self.read(identity, sequence),
        }
    }

    /// Fills the buffer from written bytes of the segment.
    pub(crate) fn read_exactly(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let read = self.file.read_at(offset, buffer)?;
        if read < buffer.len() {
            return Err(self.corrupt(offset + read as u64, "the segment ends before its content"));
        }
        Ok(())
    }

    pub(crate) fn corrupt(&self, offset: u64, what: &'static str) -> Error {
        Error::Corrupt { path: self.path.clone(), offset, what }
    }
}
