//! A consistent copy of a journal, made while it is written, from the same process or another.
//!
//! 1. Cursors are read first: whatever they have consumed is durable before what comes next.
//! 2. The journal is opened for reading: what is durable at that moment is copied, and nothing else.
//! 3. Every file is synced, then the folder, then the manifest is written. A crash leaves no journal.
//!
//! Two ways:
//!
//! - *Another lineage* (rule R10, the default): events keep their sequences, frames get the digests
//!   of the new journal. Cursors are carried over; signed heads are about the old journal and are not.
//! - *The same lineage*, for backups: segments are copied byte for byte, so receipts and heads are
//!   good for the copy. It must not be written to beside the original: both would give the same
//!   sequences to different events.
//!
//! What it does *not* do: copy projections' checkpoints, which are made again from the events.

use std::{collections::BTreeSet, ops::ControlFlow, path::Path, sync::Arc};

use icecore_disk::{Access, Disk};

use super::{
    rewrite::{Inherited, Rewriter, copy_data, copy_file, take_folder},
    salvage::Followers,
    sources::{CURSORS_NAME, CursorFile, cursors},
    walk::{Found, Walker},
};
use crate::{
    Error, Reader, Report, SIGNED_HEAD_BYTES, StoreId, WorkProgress,
    format::{
        BLOCK_BYTES,
        manifest::{ChainSegment, DataSegment, Lineage, Manifest, SegmentState},
        mark::HeadMark,
        reduced::Item,
        walk::align,
    },
    history::History,
    keeping::{
        manifest_file,
        seal::{closed, write_index},
    },
    open::replace,
    segment::{Segment, chain_path, data_path, index_path},
    signing::{HEADS_NAME, read_heads},
    verify::{MISSING, note_extents, tell},
};

/// How a journal is copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// Whether the copy has the identity of the original: a backup.
    pub same_lineage: bool,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The original.
    pub parent: StoreId,
    /// The copy.
    pub store_id: StoreId,
    /// Every event below was copied, but what was dropped before.
    pub end_sequence: u64,
    /// Events.
    pub events: u64,
    /// Cursors that came along.
    pub cursors: u64,
}

/// Times that copying begins anew when the writer has replaced files meanwhile.
const ATTEMPTS_MAX: usize = 4;

/// Copies the journal in `from` to `to`, a folder that is empty or not there yet.
///
/// # Errors
/// [`Error::NotEmpty`]; [`Error::Corrupt`] when what is copied does not check; what the disk said.
pub fn copy(
    disk: &Arc<dyn Disk>,
    from: &Path,
    to: &Path,
    options: &CopyOptions,
    report: &mut Report<'_>,
) -> Result<Copied, Error> {
    let lock = take_folder(&**disk, to)?;
    for _ in 1..ATTEMPTS_MAX {
        match copy_once(disk, from, to, options, report) {
            // The writer has put other files in the place of one.
            Err(Error::Disk(error)) if error.is_absent() => clear(&**disk, to)?,
            result => return ended(&**disk, to, result),
        }
    }
    let copied = ended(&**disk, to, copy_once(disk, from, to, options, report));
    drop(lock);
    copied
}

/// What failed leaves nothing behind that could be taken for a journal, and can be tried again.
pub(crate) fn ended<T>(
    disk: &dyn Disk,
    folder: &Path,
    result: Result<T, Error>,
) -> Result<T, Error> {
    if result.is_err() {
        // The error that led here is what the caller hears of.
        let _ = clear(disk, folder);
    }
    result
}

/// Removes what an attempt has left, but the lock.
fn clear(disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
    for entry in disk.list(folder)? {
        let is_ours = [".seg", ".idx", ".new"].iter().any(|end| entry.name.ends_with(end))
            || ["manifest", "heads"].contains(&entry.name.as_str());
        if is_ours && entry.is_file {
            disk.remove(&folder.join(entry.name))?;
        }
    }
    Ok(())
}

fn copy_once(
    disk: &Arc<dyn Disk>,
    from: &Path,
    to: &Path,
    options: &CopyOptions,
    report: &mut Report<'_>,
) -> Result<Copied, Error> {
    let store_id = manifest_file::read(&**disk, from)?.store_id;
    let cursor_files = cursors(&**disk, from)?;
    let followers = Followers::new(&**disk, from, store_id)?;
    let reader = Reader::open_on(Arc::clone(disk), from)?;
    let manifest = reader.history().manifest_read().expect("a reader has read one");
    let mut progress = WorkProgress {
        bytes_total: reader
            .catalog()
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Sealed(segment) => segment.info.bytes,
                Segment::Open(segment) => segment.table().bytes,
            })
            .sum(),
        ..WorkProgress::default()
    };
    tell(report, &progress)?;
    match options.same_lineage {
        true => copy_files(reader.history(), &manifest, to, &cursor_files, &mut progress, report),
        false => rewrite(reader.history(), &manifest, to, followers, &mut progress, report),
    }
}

/// Byte for byte.
fn copy_files(
    history: &History,
    manifest: &Manifest,
    to: &Path,
    cursors: &[CursorFile],
    progress: &mut WorkProgress,
    report: &mut Report<'_>,
) -> Result<Copied, Error> {
    let (disk, from) = (&*history.disk, &*history.folder);
    let mut copied = |bytes: u64, events: u64, report: &mut Report<'_>| {
        progress.bytes_done += bytes;
        progress.events += events;
        tell(report, progress)
    };
    let catalog = history.catalog();
    let mut chain: Vec<ChainSegment> = Vec::new();
    let last = catalog.segments.len().saturating_sub(1);
    for (place, segment) in catalog.segments.iter().enumerate() {
        let id = segment.id();
        let path = chain_path(to, id);
        match segment {
            Segment::Sealed(segment) => {
                let file = disk.open(segment.path(), Access::Read)?;
                copy_file(disk, &*file, &path, segment.info.bytes, None, &mut |bytes| {
                    copied(bytes, 0, report)
                })?;
                copied(0, segment.info.end_sequence - segment.info.first_sequence, report)?;
                if let Ok(index) = disk.open(&index_path(from, id, id), Access::Read) {
                    let bytes = index.bytes()?;
                    let path = index_path(to, id, id);
                    copy_file(disk, &*index, &path, bytes, None, &mut |_| Ok(()))?;
                }
                chain.push(segment.info);
            }
            Segment::Open(segment) => {
                let table = segment.table();
                let file =
                    copy_file(disk, &**segment.file(), &path, table.bytes, None, &mut |bytes| {
                        copied(bytes, 0, report)
                    })?;
                copied(0, table.end.sequence - table.start.sequence, report)?;
                let filled = align(table.bytes, BLOCK_BYTES);
                file.truncate(filled)?;
                let info = closed(id, &table);
                if place < last {
                    file.sync()?;
                    write_index(disk, to, &history.identity, id, &table)?;
                    chain.push(info);
                    continue;
                }
                let mark = HeadMark {
                    epoch: manifest.epoch,
                    durable_end: table.end.sequence,
                    frame_count: table.end.frame_number,
                    last: table.end.last,
                    time: table.end.time,
                    is_clean_close: true,
                    seal: [0; 16],
                };
                file.write_at(filled, &mark.encode(&history.identity.keys))?;
                file.sync()?;
                chain.push(ChainSegment { state: SegmentState::Active, bytes: 0, ..info });
            }
        }
    }
    let mut data = Vec::new();
    let pending = manifest.pending.iter().copied();
    for id in manifest.data.iter().map(|data| data.id).chain(pending) {
        let known = manifest.data.iter().find(|data| data.id == id);
        if let Some(replaced) = known.filter(|data| !data.replaced_by.is_empty()) {
            data.push(DataSegment { session: 0, ..replaced.clone() });
            continue;
        }
        let file = match disk.open(&data_path(from, id), Access::Read) {
            Ok(file) => file,
            // Given out for something else, or emptied and removed since.
            Err(error) if error.is_absent() => continue,
            Err(error) => return Err(error.into()),
        };
        let bytes = file.bytes()?;
        copy_file(disk, &*file, &data_path(to, id), bytes, None, &mut |_| Ok(()))?;
        data.push(DataSegment { id, session: 0, bytes, is_sealed: true, replaced_by: Vec::new() });
    }
    let end = *chain.last().expect("a journal has a segment");
    copy_heads(history, to, end.end_frame)?;
    let written = copy_cursors(disk, to, cursors, history.store_id())?;
    disk.sync_folder(to)?;
    let last_id =
        chain.iter().map(|segment| segment.id).chain(data.iter().map(|data| data.id)).max();
    let copy = Manifest {
        is_clean: true,
        pending: Vec::new(),
        sessions: Vec::new(),
        retired: Vec::new(),
        next_segment: manifest.next_segment.max(last_id.map_or(1, |id| id + 1)),
        chain,
        data,
        ..manifest.clone()
    };
    manifest_file::write_epoch(disk, to, copy.epoch)?;
    replace(disk, to, &copy)?;
    let store_id = history.store_id();
    Ok(Copied {
        parent: store_id,
        store_id,
        end_sequence: end.end_sequence,
        events: progress.events,
        cursors: written,
    })
}

fn copy_heads(history: &History, to: &Path, frame_count: u64) -> Result<(), Error> {
    let mut bytes = Vec::new();
    read_heads(&*history.disk, &history.folder, |signed| {
        if signed.head.frame_count <= frame_count {
            bytes.extend_from_slice(&signed.encode());
        }
        Ok(())
    })?;
    debug_assert!(bytes.len().is_multiple_of(SIGNED_HEAD_BYTES));
    if !bytes.is_empty() {
        let file = history.disk.create(&to.join(HEADS_NAME))?;
        file.write_at(0, &bytes)?;
        file.sync()?;
    }
    Ok(())
}

fn copy_cursors(
    disk: &dyn Disk,
    to: &Path,
    cursors: &[CursorFile],
    store_id: StoreId,
) -> Result<u64, Error> {
    let folder = to.join(CURSORS_NAME);
    let mut written = 0;
    for cursor in cursors {
        let Ok(position) = &cursor.position else { continue };
        if position.store_id != store_id {
            continue;
        }
        disk.create_folder(&folder)?;
        let path = folder.join(&cursor.name);
        let bytes = position.encode().map_err(|malformed| malformed.in_file(&path, 0))?;
        let file = disk.create(&path)?;
        file.write_at(0, &bytes)?;
        file.sync()?;
        written += 1;
    }
    if written > 0 {
        disk.sync_folder(&folder)?;
    }
    Ok(written)
}

/// Frame by frame, into another lineage.
fn rewrite(
    history: &History,
    manifest: &Manifest,
    to: &Path,
    mut followers: Followers,
    progress: &mut WorkProgress,
    report: &mut Report<'_>,
) -> Result<Copied, Error> {
    let (disk, from) = (&*history.disk, &*history.folder);
    let inherited = Inherited {
        indexes: manifest.indexes,
        owner: manifest.owner.clone(),
        kinds: manifest.kinds.clone(),
        created: disk.now(),
        next_segment: manifest.next_segment,
    };
    let mut rewriter = Rewriter::new(disk, to, inherited);
    let mut walker = Walker::new(history.store_id(), &history.store_keys);
    let catalog = history.catalog();
    let durable_end = history.durable_end();
    let mut data = BTreeSet::new();
    for segment in &catalog.segments {
        let (file, end) = match segment {
            Segment::Sealed(segment) => {
                (disk.open(segment.path(), Access::Read)?, segment.info.bytes)
            }
            Segment::Open(segment) => (Arc::clone(segment.file()), segment.table().bytes),
        };
        let (walked, gaps) = (&mut walker, &catalog.gaps);
        // A gap is stepped over only where the manifest has one.
        for gap in gaps {
            if gap.first_sequence == walked.follow.sequence
                && gap.end_sequence <= segment.first_sequence()
            {
                walked.follow.sequence = gap.end_sequence;
                walked.follow.frame_number = gap.end_frame;
                walked.follow.last = gap.last;
                rewriter.gap(gap.end_sequence, &gap.reason)?;
            }
        }
        if let Segment::Sealed(sealed) = segment
            && sealed.info.is_reduced
        {
            let old = (&history.identity.store_id, &history.store_keys);
            let begin = walked.follow;
            walked.follow = rewriter.reduced(&*file, end, begin, old, &mut |item, digest| {
                if let Item::Frame(frame) = item {
                    let mut extents = Vec::new();
                    note_extents(frame, &mut extents);
                    data.extend(extents.iter().map(|(_, extent)| extent.segment));
                }
                followers.frame(item.sequences(), digest);
                Ok(())
            })?;
            progress.events += sealed.info.end_sequence - sealed.info.first_sequence;
            progress.bytes_done += end;
            tell(report, progress)?;
            continue;
        }
        walked.segment(&*file, BLOCK_BYTES..end, &mut |walker, found| {
            match found {
                Found::Frame { offset, frame } => {
                    if frame.header.end_sequence() > durable_end {
                        return Ok(ControlFlow::Break(()));
                    }
                    if walker.missing.is_some() {
                        let path = file.path().to_path_buf();
                        return Err(Error::Corrupt { path, offset, what: MISSING });
                    }
                    let mut extents = Vec::new();
                    note_extents(&frame, &mut extents);
                    data.extend(extents.iter().map(|(_, extent)| extent.segment));
                    let digest = rewriter.frame(&frame)?;
                    let header = &frame.header;
                    followers.frame(header.base_sequence..header.end_sequence(), digest);
                    progress.events += u64::from(header.event_count);
                }
                Found::Problem { offset, what, .. } => {
                    let path = file.path().to_path_buf();
                    return Err(Error::Corrupt { path, offset, what });
                }
                Found::Mark { .. } => {}
                Found::Read { bytes } => {
                    progress.bytes_done += bytes;
                    tell(report, progress)?;
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    if let Some(id) =
        copy_data(disk, from, &mut rewriter, &manifest.data, data.into_iter(), &mut |_| Ok(()))?
            .first()
    {
        let what = "a data segment that events refer to is not there, or damaged";
        return Err(Error::Corrupt { path: data_path(from, *id), offset: 0, what });
    }
    let (cursors, _) = followers.write(disk, to, rewriter.store_id())?;
    let copied = Copied {
        parent: history.store_id(),
        store_id: rewriter.store_id(),
        end_sequence: rewriter.end_sequence(),
        events: progress.events,
        cursors,
    };
    let lineage = Lineage {
        parent: history.store_id(),
        end_sequence: walker.follow.sequence,
        last: walker.follow.last,
    };
    rewriter.finish(lineage)?;
    Ok(copied)
}
