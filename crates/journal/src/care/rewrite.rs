//! Writing frames of one journal into a new one, of another lineage (rule R10).
//!
//! - Events keep their sequences, streams, places in them, times and payloads, so whatever refers to
//!   an event by its sequence stays right. Batches stay batches.
//! - Frames are numbered anew and get the digests of the new journal: its id is part of them. Receipts
//!   and heads of the old journal are not about the new one.
//! - Events that are missing become a gap, which stands in the chain as one frame with the digest zero.
//!
//! Nothing counts before the manifest is written, which is last: a crash leaves a folder that holds no
//! journal.
//!
//! What it does *not* do: judge frames. It is given sound ones, in order.

pub(crate) mod reduced;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use icecore_disk::{Disk, DiskFile, Lock};

use crate::{
    Digest, Error, StoreId,
    digest::StoreKeys,
    format::{
        BLOCK_BYTES, FRAME_ALIGNMENT,
        frame::{FRAME_HEADER_BYTES, Frame, FrameHeader, FrameScratch},
        manifest::{
            ChainSegment, DataSegment, GAPS_MAX, Gap, KindName, Lineage, Manifest, Secret,
            SegmentState,
        },
        mark::HeadMark,
        record,
        segment_header::{ChainStart, Content, SEGMENT_HEADER_BYTES, SegmentHeader},
        walk::{Follow, align},
    },
    keeping::{
        manifest_file,
        seal::{closed, write_index},
    },
    keys::IndexKeys,
    merkle,
    mountain::Mountain,
    open::{kept_indexes, make_folder, replace, take_lock},
    segment::{
        chain_path, data_path,
        table::{Identity, Table},
    },
};

/// Bytes of a segment, about.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// Events of a segment at most.
const SEGMENT_EVENTS_MAX: u64 = 1 << 18;
/// Bytes written at once, about.
const WRITTEN_AT_ONCE_BYTES: usize = 1 << 20;
/// The epoch of whoever writes a new journal.
const EPOCH: u64 = 1;

/// What the new journal takes over beside events.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    pub(crate) indexes: u32,
    pub(crate) owner: String,
    pub(crate) kinds: Vec<KindName>,
    pub(crate) created: u64,
    /// Ids below are taken by data segments.
    pub(crate) next_segment: u32,
}

/// Makes a folder for a new journal and locks it; it must not hold anything.
pub(crate) fn take_folder(disk: &dyn Disk, folder: &Path) -> Result<Box<dyn Lock>, Error> {
    make_folder(disk, folder)?;
    if let Some(entry) = disk.list(folder)?.first() {
        // The lock of one that was tried before may stay.
        if entry.name != manifest_file::LOCK_NAME || disk.list(folder)?.len() > 1 {
            return Err(Error::NotEmpty { folder: folder.to_path_buf() });
        }
    }
    take_lock(disk, folder)
}

/// Writes a new journal.
#[derive(Debug)]
pub(crate) struct Rewriter<'a> {
    disk: &'a dyn Disk,
    folder: PathBuf,
    identity: Identity,
    keys: StoreKeys,
    manifest: Manifest,
    /// Where the new chain ends.
    end: Follow,
    mountain: Mountain,
    open: Option<Open>,
    scratch: FrameScratch,
}

/// The segment that is written.
#[derive(Debug)]
struct Open {
    id: u32,
    file: Arc<dyn DiskFile>,
    table: Table,
    offset: u64,
    buffer: Vec<u8>,
}

impl<'a> Rewriter<'a> {
    /// Begins a new journal in a folder that was taken.
    pub(crate) fn new(disk: &'a dyn Disk, folder: &Path, inherited: Inherited) -> Self {
        let mut store_id = StoreId([0; 16]);
        disk.fill_random(&mut store_id.0);
        let mut secret = [0; 32];
        disk.fill_random(&mut secret);
        let keys = StoreKeys::new(&store_id);
        let identity = Identity {
            store_id,
            keys: IndexKeys::new(secret),
            indexes: kept_indexes(inherited.indexes),
        };
        let manifest = Manifest {
            number: 1,
            store_id,
            lineage: None,
            secret: Secret(secret),
            created: inherited.created,
            indexes: inherited.indexes,
            owner: inherited.owner,
            epoch: EPOCH,
            is_clean: true,
            next_segment: inherited.next_segment.max(1),
            pending: Vec::new(),
            kinds: inherited.kinds,
            chain: Vec::new(),
            data: Vec::new(),
            gaps: Vec::new(),
            sessions: Vec::new(),
            retired: Vec::new(),
        };
        let end = Follow { sequence: 0, frame_number: 0, last: keys.genesis(), time: 0 };
        Self {
            disk,
            folder: folder.to_path_buf(),
            identity,
            keys,
            manifest,
            end,
            mountain: Mountain::new(),
            open: None,
            scratch: FrameScratch::default(),
        }
    }

    /// The new journal's id.
    pub(crate) fn store_id(&self) -> StoreId {
        self.identity.store_id
    }

    /// First sequence behind what was written.
    pub(crate) fn end_sequence(&self) -> u64 {
        self.end.sequence
    }

    /// Notes that no event below `end` follows.
    pub(crate) fn gap(&mut self, end: u64, reason: &str) -> Result<(), Error> {
        if end <= self.end.sequence {
            return Ok(());
        }
        if self.manifest.gaps.len() == GAPS_MAX {
            return Err(Error::Unfit { what: "a journal has at most 65,536 gaps" });
        }
        self.end_segment()?;
        let gap = Gap {
            first_sequence: self.end.sequence,
            end_sequence: end,
            first_frame: self.end.frame_number,
            end_frame: self.end.frame_number + 1,
            last: Digest::ZERO,
            time: self.disk.now(),
            reason: reason.to_string(),
        };
        self.mountain.push(gap.last, |_, _, _| {});
        self.end = Follow {
            sequence: gap.end_sequence,
            frame_number: gap.end_frame,
            last: gap.last,
            time: self.end.time,
        };
        self.manifest.gaps.push(gap);
        Ok(())
    }

    /// Writes a frame that begins at the end of what was written; returns its new digest.
    pub(crate) fn frame(&mut self, frame: &Frame<'_>) -> Result<Digest, Error> {
        assert_eq!(frame.header.base_sequence, self.end.sequence, "frames come in order");
        let is_full = self.open.as_ref().is_some_and(|open| {
            let bytes = open.offset + (open.buffer.len() + frame.bytes.len()) as u64;
            let events = open.table.end.sequence - open.table.start.sequence;
            let more = u64::from(frame.header.event_count);
            events > 0 && (bytes > SEGMENT_BYTES_MAX || events + more > SEGMENT_EVENTS_MAX)
        });
        if is_full {
            self.end_segment()?;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin_segment()?,
        };
        let start = open.buffer.len();
        let digest = self.put_frame(&mut open.buffer, frame);
        let offset = open.offset + start as u64;
        let written = Frame::decode(&open.buffer[start..]).expect("made of a sound frame");
        open.table
            .add(offset, &written, &self.identity.keys, None)
            .map_err(|malformed| malformed.in_file(open.file.path(), offset))?;
        self.end = open.table.end;
        self.mountain.push(digest, |_, _, _| {});
        let aligned = align(open.buffer.len() as u64, FRAME_ALIGNMENT) as usize;
        open.buffer.resize(aligned, 0);
        if open.buffer.len() >= WRITTEN_AT_ONCE_BYTES {
            open.write()?;
        }
        self.open = Some(open);
        Ok(digest)
    }

    /// Appends a frame as it is in the new journal; returns its digest.
    fn put_frame(&mut self, out: &mut Vec<u8>, frame: &Frame<'_>) -> Digest {
        frame.leaves(&mut self.scratch.hasher, &mut self.scratch.leaves);
        let root = merkle::root(&mut self.scratch.leaves);
        let start = out.len();
        out.extend_from_slice(frame.bytes);
        let bytes = &mut out[start..];
        for (index, (at, old)) in frame.records().enumerate() {
            let sequence = frame.header.base_sequence + index as u64;
            record::seal(&mut bytes[at..at + old.len()], &self.identity.store_id, sequence);
        }
        let mut header = self.header_here(&frame.header);
        header.encode(&self.keys, &root, bytes);
        header.digest
    }

    /// The header of a frame that comes next in the new journal, but for its digest.
    fn header_here(&self, old: &FrameHeader) -> FrameHeader {
        FrameHeader {
            frame_number: self.end.frame_number,
            previous: self.end.last,
            time: old.time.max(self.end.time),
            durable_end: old.durable_end.min(old.base_sequence),
            epoch: EPOCH,
            ..*old
        }
    }

    /// Notes a data segment that was copied.
    pub(crate) fn data(&mut self, id: u32, bytes: u64) {
        self.manifest.data.push(DataSegment {
            id,
            session: 0,
            bytes,
            is_sealed: true,
            replaced_by: Vec::new(),
        });
    }

    /// Ends the journal: everything is durable, and it opens as after a clean close.
    pub(crate) fn finish(mut self, lineage: Lineage) -> Result<Follow, Error> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin_segment()?,
        };
        open.fill()?;
        let mark = HeadMark {
            epoch: EPOCH,
            durable_end: self.end.sequence,
            frame_count: self.end.frame_number,
            last: self.end.last,
            time: self.end.time,
            is_clean_close: true,
            seal: [0; 16],
        };
        open.file.write_at(open.offset, &mark.encode(&IndexKeys::new(self.manifest.secret.0)))?;
        open.file.sync()?;
        self.manifest.chain.push(ChainSegment {
            state: SegmentState::Active,
            bytes: 0,
            ..closed(open.id, &open.table)
        });
        self.manifest.lineage = Some(lineage);
        self.disk.sync_folder(&self.folder)?;
        manifest_file::write_epoch(self.disk, &self.folder, EPOCH)?;
        replace(self.disk, &self.folder, &self.manifest)?;
        Ok(self.end)
    }

    /// The header of the next segment, under the next id.
    fn next_header(&mut self, content: fn(ChainStart) -> Content) -> SegmentHeader {
        let id = self.manifest.next_segment;
        self.manifest.next_segment += 1;
        SegmentHeader {
            store_id: self.identity.store_id,
            epoch: EPOCH,
            segment: id,
            created: self.disk.now(),
            content: content(ChainStart {
                previous_segment: self.manifest.chain.last().map_or(0, |segment| segment.id),
                first_sequence: self.end.sequence,
                first_frame: self.end.frame_number,
                previous: self.end.last,
                peaks: self.mountain.peaks().to_vec(),
            }),
        }
    }

    fn begin_segment(&mut self) -> Result<Open, Error> {
        let header = self.next_header(Content::Chain);
        let id = header.segment;
        let file = self.disk.create(&chain_path(&self.folder, id))?;
        file.write_at(0, &header.encode())?;
        let table =
            Table::new(self.end, self.mountain.clone(), BLOCK_BYTES, &self.identity.indexes);
        Ok(Open { id, file, table, offset: BLOCK_BYTES, buffer: Vec::new() })
    }

    fn end_segment(&mut self) -> Result<(), Error> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        open.fill()?;
        open.file.sync()?;
        write_index(self.disk, &self.folder, &self.identity, open.id, &open.table)?;
        self.manifest.chain.push(closed(open.id, &open.table));
        Ok(())
    }
}

impl Open {
    fn write(&mut self) -> Result<(), Error> {
        self.file.write_at(self.offset, &self.buffer)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left, up to the end of its block.
    fn fill(&mut self) -> Result<(), Error> {
        let filled = align(self.offset + self.buffer.len() as u64, BLOCK_BYTES) - self.offset;
        self.buffer.resize(filled as usize, 0);
        self.write()
    }
}

/// Copies the first `bytes` of a file, durably; of a data segment, the header names the new journal.
pub(crate) fn copy_file(
    disk: &dyn Disk,
    from: &dyn DiskFile,
    to: &Path,
    bytes: u64,
    new_owner: Option<StoreId>,
    copied: &mut dyn FnMut(u64) -> Result<(), Error>,
) -> Result<Arc<dyn DiskFile>, Error> {
    let file = disk.create(to)?;
    let mut buffer = vec![0; WRITTEN_AT_ONCE_BYTES];
    let mut at = 0;
    while at < bytes {
        let wanted = buffer.len().min(usize::try_from(bytes - at).unwrap_or(usize::MAX));
        let read = from.read_at(at, &mut buffer[..wanted])?;
        if read == 0 {
            let what = "a file is shorter than it was when copying began";
            return Err(Error::Corrupt { path: from.path().to_path_buf(), offset: at, what });
        }
        if let (0, Some(store_id), Some(block)) =
            (at, new_owner, buffer.first_chunk_mut::<SEGMENT_HEADER_BYTES>())
        {
            let header = SegmentHeader::decode(block)
                .map_err(|malformed| malformed.in_file(from.path(), 0))?;
            *block = SegmentHeader { store_id, epoch: EPOCH, ..header }.encode();
        }
        file.write_at(at, &buffer[..read])?;
        at += read as u64;
        copied(read as u64)?;
    }
    file.sync()?;
    Ok(file)
}

/// Copies the data segments with these ids to a new journal of another lineage; of those that were
/// rewritten, as `known` says, what replaced them. Returns the ids of those that are not there.
pub(crate) fn copy_data(
    disk: &dyn Disk,
    from: &Path,
    rewriter: &mut Rewriter<'_>,
    known: &[DataSegment],
    ids: impl Iterator<Item = u32>,
    copied: &mut dyn FnMut(u64) -> Result<(), Error>,
) -> Result<Vec<u32>, Error> {
    let mut absent = Vec::new();
    let mut left: BTreeSet<u32> = ids.collect();
    let mut done = BTreeSet::new();
    while let Some(id) = left.pop_first() {
        if !done.insert(id) {
            continue;
        }
        let replaced = known.iter().find(|data| data.id == id && !data.replaced_by.is_empty());
        if let Some(replaced) = replaced {
            left.extend(&replaced.replaced_by);
            rewriter.manifest.data.push(DataSegment { session: 0, ..replaced.clone() });
            continue;
        }
        let file = match disk.open(&data_path(from, id), icecore_disk::Access::Read) {
            Ok(file) => file,
            Err(error) if error.is_absent() => {
                absent.push(id);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let bytes = file.bytes()?;
        let to = data_path(&rewriter.folder, id);
        let owner = Some(rewriter.store_id());
        match copy_file(disk, &*file, &to, bytes, owner, copied) {
            Ok(_) => rewriter.data(id, bytes),
            Err(Error::Corrupt { .. }) => {
                disk.remove(&to)?;
                absent.push(id);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(absent)
}

const _: () = assert!(FRAME_HEADER_BYTES.is_multiple_of(FRAME_ALIGNMENT as usize));
