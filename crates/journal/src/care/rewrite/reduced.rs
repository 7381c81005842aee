//! Reduced segments of one journal written into another: what was dropped stays dropped, and can
//! still be told from what was lost.
//!
//! Whole frames and stubs get the digests of the new journal. Of frames that are gone only the old
//! digests are known; they stand in the new chain as they are, so what follows can be proven there.
//!
//! One segment becomes one segment, whatever its size: it has its own list of reasons.

use std::path::Path;

use icecore_disk::DiskFile;

use super::{Open, Rewriter};
use crate::{
    Digest, Error,
    care::{
        reduced::{Reduced, walk_reduced},
        sources::Source,
    },
    format::{
        BLOCK_BYTES, FRAME_ALIGNMENT,
        manifest::ChainSegment,
        record,
        reduced::{
            Fate, GapBuilder, Item, Reduction, Step, Stub, put_reductions, step, take_reductions,
        },
        segment_header::{ChainStart, Content},
        walk::{Follow, align},
    },
    merkle,
    segment::{chain_path, table::Table},
};

/// Bytes that the list of a segment's reductions has at most, and more.
const REDUCTIONS_READ_BYTES: usize = 1 << 18;

/// The reductions of a reduced segment.
pub(crate) fn reductions_of(file: &dyn DiskFile) -> Result<Vec<Reduction>, Error> {
    let mut bytes = vec![0; REDUCTIONS_READ_BYTES];
    let read = file.read_at(BLOCK_BYTES, &mut bytes)?;
    let taken = take_reductions(&bytes[..read]);
    Ok(taken.map_err(|malformed| malformed.in_file(file.path(), BLOCK_BYTES))?.0)
}

/// Where a reduced segment begins in its chain.
pub(crate) fn begin_of(info: Option<&ChainSegment>, start: &ChainStart) -> Follow {
    Follow {
        sequence: start.first_sequence,
        frame_number: start.first_frame,
        last: start.previous,
        time: info.map_or(0, |info| info.first_time),
    }
}

impl Source {
    /// Whether events were dropped from the segment.
    pub(crate) fn is_reduced(&self) -> bool {
        let content = self.header.as_ref().ok().map(|header| &header.content);
        matches!(content, Some(Content::ReducedChain(_)))
    }
}

impl Rewriter<'_> {
    /// Writes a whole reduced segment that begins where the new journal ends; `told` hears of each
    /// frame that is not gone: its item and its new digest. Gives the place behind it in the old chain.
    ///
    /// # Errors
    /// [`Error::Corrupt`] at what does not check; what came before it has been written.
    pub(crate) fn reduced(
        &mut self,
        file: &dyn DiskFile,
        end: u64,
        begin: Follow,
        old: (&crate::StoreId, &crate::digest::StoreKeys),
        told: &mut dyn FnMut(&Item<'_>, Digest) -> Result<(), Error>,
    ) -> Result<Follow, Error> {
        self.end_segment()?;
        let reductions = reductions_of(file)?;
        let mut open = self.begin_reduced(&reductions)?;
        let walked = walk_reduced(file, end, begin, old.0, old.1, &mut |found| {
            if let Reduced::Item { item, .. } = found {
                let digest = self.item(&mut open, &item)?;
                if let Some(digest) = digest {
                    told(&item, digest)?;
                }
            }
            Ok(std::ops::ControlFlow::Continue(()))
        });
        self.end_reduced(open)?;
        walked
    }

    fn begin_reduced(&mut self, reductions: &[Reduction]) -> Result<Open, Error> {
        let header = self.next_header(Content::ReducedChain);
        let id = header.segment;
        let file = self.disk.create(&chain_path(&self.folder, id))?;
        let mut buffer = header.encode().to_vec();
        put_reductions(reductions, &mut buffer);
        let aligned = align(buffer.len() as u64, FRAME_ALIGNMENT) as usize;
        buffer.resize(aligned, 0);
        let table =
            Table::new(self.end, self.mountain.clone(), BLOCK_BYTES, &self.identity.indexes);
        Ok(Open { id, file, table, offset: 0, buffer })
    }

    /// Writes one item; the new digest of a frame that is not gone.
    fn item(&mut self, open: &mut Open, item: &Item<'_>) -> Result<Option<Digest>, Error> {
        let start = open.buffer.len();
        let digest = match item {
            Item::Frame(frame) => Some(self.put_frame(&mut open.buffer, frame)),
            Item::Stub(stub) => Some(self.put_stub(&mut open.buffer, stub)),
            Item::Gap(gap) => {
                let mut gap = GapBuilder::of(gap, gap.reduction);
                gap.first_frame = self.end.frame_number;
                gap.encode(&mut open.buffer);
                None
            }
        };
        let offset = open.offset + start as u64;
        let Step::Item { item, .. } = step(&open.buffer[start..], offset) else {
            unreachable!("made soundly");
        };
        open.table
            .add_item(offset, &item, &self.identity.keys)
            .map_err(|malformed| malformed.in_file(open.file.path(), offset))?;
        self.end = open.table.end;
        self.mountain = open.table.mountain.clone();
        let aligned = align(open.buffer.len() as u64, FRAME_ALIGNMENT) as usize;
        open.buffer.resize(aligned, 0);
        if open.buffer.len() >= super::WRITTEN_AT_ONCE_BYTES {
            open.write()?;
        }
        Ok(digest)
    }

    fn put_stub(&mut self, out: &mut Vec<u8>, stub: &Stub<'_>) -> Digest {
        let records: Vec<(Vec<u8>, u64)> = (stub.header.base_sequence..)
            .zip(stub.fates())
            .filter_map(|(sequence, fate)| match fate {
                Fate::Kept(record) => Some((record.to_vec(), sequence)),
                Fate::Dropped(..) => None,
            })
            .map(|(mut record, sequence)| {
                record::seal(&mut record, &self.identity.store_id, sequence);
                (record, sequence)
            })
            .collect();
        let mut kept = records.iter();
        let fates: Vec<_> = stub
            .fates()
            .map(|fate| match fate {
                Fate::Kept(_) => Fate::Kept(&kept.next().expect("as many as were kept").0),
                dropped => dropped,
            })
            .collect();
        stub.leaves(&mut self.scratch.leaves);
        let root = merkle::root(&mut self.scratch.leaves);
        let mut header = self.header_here(&stub.header);
        let mut bytes = *stub.header_bytes();
        header.encode(&self.keys, &root, &mut bytes);
        Stub::encode(&bytes, &fates, stub.annex_bytes(), out);
        header.digest
    }

    fn end_reduced(&mut self, mut open: Open) -> Result<(), Error> {
        open.write()?;
        open.file.sync()?;
        if open.table.end.sequence == open.table.start.sequence {
            // Nothing of it could be read.
            let path: &Path = open.file.path();
            self.disk.remove(path)?;
            return Ok(());
        }
        super::write_index(self.disk, &self.folder, &self.identity, open.id, &open.table)?;
        let info = ChainSegment { is_reduced: true, ..super::closed(open.id, &open.table) };
        self.manifest.chain.push(info);
        Ok(())
    }
}
