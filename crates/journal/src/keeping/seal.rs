//! Sealing: a full segment gets its index file and its place in the manifest.
//!
//! 1. Data segments, the segment, the one after it and the folder are synced: the manifest names
//!    nothing that a loss of power could take.
//! 2. The index file is written under a temporary name and renamed: it is derived, and checked
//!    page by page by whoever reads it.
//! 3. The manifest says that the segment is closed, and which one follows.
//! 4. Readers get a catalog in which the segment is mapped; the table's memory is given back when the
//!    last reader that uses it is done.
//!
//! One at a time, never by two threads.

use std::{path::Path, sync::Arc};

use icecore_disk::{Disk, Publish};

use crate::{
    Error,
    format::manifest::{ChainSegment, SegmentState},
    index::{self, Covers},
    journal::Shared,
    keeping::manifest_file::{SPARE_IDS_LOW, give_out},
    segment::{
        Segment, index_path,
        open::OpenSegment,
        sealed::SealedSegment,
        table::{Identity, Table},
    },
};

impl Shared {
    /// Seals the oldest segment that is full; does nothing if there is none.
    pub(crate) fn seal_oldest(&self) -> Result<bool, Error> {
        let _one = self.keeper.sealing.lock().expect("a seal that panicked ends sealing");
        let catalog = self.catalog();
        let full = catalog.segments.windows(2).enumerate().find_map(|(place, pair)| match pair {
            [Segment::Open(full), Segment::Open(next)] => {
                Some((place, Arc::clone(full), Arc::clone(next)))
            }
            _ => None,
        });
        let Some((_, full, next)) = full else { return Ok(false) };
        self.watermarks.check()?;
        let data = self.data_room.listing();
        let mut files = data.files();
        files.extend([Arc::clone(full.file()), Arc::clone(next.file())]);
        self.sync_in_order(&files, true)?;
        let info = {
            let table = full.table();
            write_index(&*self.disk, &self.folder, &self.identity, full.id, &table)?;
            closed(full.id, &table)
        };
        let is_low = self.spare_ids().len() < SPARE_IDS_LOW;
        let mut given = Vec::new();
        self.change_manifest(|manifest| {
            if let Some(last) = manifest.chain.last_mut()
                && last.id == full.id
            {
                *last = info;
            } else {
                manifest.chain.push(info);
            }
            manifest.chain.push(begun(&next));
            manifest.pending.retain(|id| *id != full.id && *id != next.id);
            data.put_in(manifest);
            // Only what is used up is replaced, so that the list does not grow.
            if is_low {
                given = give_out(manifest);
            }
        })?;
        self.data_listed(&data);
        self.spare_ids().extend(given);
        let sealed = Arc::new(self.sealed(info));
        self.change_catalog(|catalog| {
            let place = catalog.segments.iter().position(|segment| segment.id() == full.id);
            let place = place.expect("only sealing replaces segments, one at a time");
            catalog.segments[place] = Segment::Sealed(sealed);
        });
        Ok(true)
    }

    pub(crate) fn sealed(&self, info: ChainSegment) -> SealedSegment {
        SealedSegment::new(
            Arc::clone(&self.disk),
            &self.folder,
            info,
            self.identity.clone(),
            Arc::clone(&self.fallbacks),
        )
    }
}

/// What the manifest says of a segment that ends where its table ends.
pub(crate) fn closed(id: u32, table: &Table) -> ChainSegment {
    ChainSegment {
        id,
        state: SegmentState::Closed,
        is_reduced: false,
        first_sequence: table.start.sequence,
        end_sequence: table.end.sequence,
        first_frame: table.start.frame_number,
        end_frame: table.end.frame_number,
        bytes: table.bytes,
        first_time: table.first_time,
        last_time: table.end.time,
        previous: table.start.last,
        last: table.end.last,
    }
}

/// What the manifest says of a segment that is written to.
pub(crate) fn begun(segment: &OpenSegment) -> ChainSegment {
    let table = segment.table();
    ChainSegment {
        id: segment.id,
        state: SegmentState::Active,
        is_reduced: false,
        first_sequence: table.start.sequence,
        end_sequence: table.start.sequence,
        first_frame: table.start.frame_number,
        end_frame: table.start.frame_number,
        bytes: 0,
        first_time: table.start.time,
        last_time: table.start.time,
        previous: table.start.last,
        last: table.start.last,
    }
}

/// Writes the index file of one segment.
pub(crate) fn write_index(
    disk: &dyn Disk,
    folder: &Path,
    identity: &Identity,
    id: u32,
    table: &Table,
) -> Result<(), Error> {
    publish_index(disk, &index_path(folder, id, id), |sink| encode_index(identity, id, table, sink))
}

/// What the index file of one segment holds.
pub(crate) fn encode_index(
    identity: &Identity,
    id: u32,
    table: &Table,
    sink: &mut Sink<'_>,
) -> Result<(), Error> {
    let covers = Covers {
        store_id: identity.store_id.0,
        first_segment: id,
        last_segment: id,
        first_sequence: table.start.sequence,
        end_sequence: table.end.sequence,
        first_frame: table.start.frame_number,
        end_frame: table.end.frame_number,
        last_digest: table.end.last.0,
        first_time: table.first_time,
        last_time: table.end.time,
    };
    let indexes: Vec<_> =
        table.postings.iter().map(|(kind, postings)| (*kind, postings.sorted())).collect();
    index::encode(&covers, &table.marks, &indexes, sink)
}

/// Bytes of an index file that are written with one call.
const WRITTEN_AT_ONCE_BYTES: usize = 1 << 20;

/// Takes the bytes of an index file.
pub(crate) type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), Error> + 'a;

/// Writes a derived file under a temporary name and gives it its own.
pub(crate) fn publish_index(
    disk: &dyn Disk,
    path: &Path,
    write: impl FnOnce(&mut Sink<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let temporary = path.with_extension("new");
    if disk.exists(&temporary) {
        disk.remove(&temporary)?;
    }
    let file = disk.create(&temporary)?;
    let (mut buffer, mut offset) = (Vec::with_capacity(WRITTEN_AT_ONCE_BYTES), 0);
    let written = write(&mut |bytes| {
        buffer.extend_from_slice(bytes);
        if buffer.len() >= WRITTEN_AT_ONCE_BYTES {
            file.write_at(offset, &buffer)?;
            offset += buffer.len() as u64;
            buffer.clear();
        }
        Ok(())
    });
    let written = written.and_then(|()| Ok(file.write_at(offset, &buffer)?));
    let published = written.and_then(|()| Ok(disk.rename(&temporary, path, Publish::Replace)?));
    if published.is_err() {
        // What is left is removed by the next try; the first error is what the caller hears of.
        let _ = disk.remove(&temporary);
    }
    published
}
