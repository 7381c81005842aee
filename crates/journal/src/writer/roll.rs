//! Beginning a new segment when the one that is written to is full.
//!
//! 1. An id is taken that the manifest has given out beforehand, so that whoever finds the file after
//!    a crash knows whose it is.
//! 2. The file is made, its header says what it follows on. Nothing is synced here: whoever syncs
//!    next syncs the full segment, then this one, then the folder.
//! 3. The full segment stays readable from its table until it is sealed (see `keep::seal`).
//!
//! At most [`OPEN_SEGMENTS_MAX`] segments are open: if sealing lags behind, the writer does it itself.

use std::sync::Arc;

use crate::{
    Error,
    format::{
        BLOCK_BYTES,
        segment_header::{ChainStart, Content, SegmentHeader},
    },
    journal::Shared,
    segment::{Segment, chain_path, open::OpenSegment, table::Table},
    writer::flush::Writer,
};

/// Segments that are not sealed, at most.
pub(crate) const OPEN_SEGMENTS_MAX: usize = 4;

impl Shared {
    /// Makes the next segment and writes there from now on.
    pub(crate) fn roll(&self, writer: &mut Writer) -> Result<(), Error> {
        while self.open_segments() >= OPEN_SEGMENTS_MAX {
            self.seal_oldest()?;
        }
        let id = self.take_segment_id()?;
        let (end, mountain) = {
            let table = writer.segment.table();
            (table.end, table.mountain.clone())
        };
        let header = SegmentHeader {
            store_id: self.identity.store_id,
            epoch: self.epoch,
            segment: id,
            created: end.time,
            content: Content::Chain(ChainStart {
                previous_segment: writer.segment.id,
                first_sequence: end.sequence,
                first_frame: end.frame_number,
                previous: end.last,
                peaks: mountain.peaks().to_vec(),
            }),
        };
        let path = chain_path(&self.folder, id);
        let file = self.disk.create(&path)?;
        if let Err(error) = file.write_at(0, &header.encode()) {
            // What is left of it is removed when the journal is opened; its id is used up.
            let _ = self.disk.remove(&path);
            return Err(error.into());
        }
        self.sync_role.wrote(&file, BLOCK_BYTES as usize);
        self.sync_role.named();
        let table = Table::new(end, mountain, BLOCK_BYTES, &self.identity.indexes);
        let segment = Arc::new(OpenSegment::new(id, file, table));
        let open = Segment::Open(Arc::clone(&segment));
        self.change_catalog(|catalog| catalog.segments.push(open));
        writer.segment = segment;
        writer.offset = BLOCK_BYTES;
        self.wake_keeper();
        Ok(())
    }
}
