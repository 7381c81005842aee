//! What an open finds at the end of the chain, and what it does about it (rules R5 to R8).
//!
//! The tail is the segment that the manifest calls active, and those that follow on it among the ids
//! that were given out. It is read frame by frame, each checked as if it came from an enemy.
//!
//! - *Proven*: what a later frame, a head mark, or the manifest says was durable. If any of it does
//!   not check, acknowledged events are damaged: the journal is refused, with the place.
//! - *Unproven*: sound frames behind that. They may be there only because a page was still in
//!   memory: they are written again into a new segment, byte for byte, and synced, before anybody
//!   sees them (R7).
//! - The rest was never acknowledged: it is left behind, even if sound frames lie in it (R6).
//!
//! Whether there is proof is looked for behind the first bad byte as well, to the end of all files
//! that may belong to the tail.
//!
//! Nothing that was there is changed: the manifest that the caller writes afterwards says which bytes
//! count. Recovering again, after a crash at any point, finds the same.

mod copy;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use copy::Copy;
use icecore_disk::{Access, Disk, DiskFile};

use crate::{
    Error, Malformed,
    digest::StoreKeys,
    extents,
    format::{
        BLOCK_BYTES, FRAME_ALIGNMENT,
        frame::{Frame, FrameScratch},
        manifest::{ChainSegment, Manifest, SegmentState},
        record::{self, Extent, Record, flags},
        segment_header::{ChainStart, Content, SEGMENT_HEADER_BYTES, SegmentHeader},
        walk::{Follow, Step, align, step},
    },
    journal::Policy,
    keeping::seal::{closed, write_index},
    mountain::Mountain,
    open::{next_block, start_of, table_behind},
    segment::{
        chain_path, data_path,
        open::OpenSegment,
        table::{Identity, Table},
    },
    window::Window,
};

/// What was found and done when a journal was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Whether the last writer had closed the journal.
    pub was_clean: bool,
    /// Events that were durable for sure.
    pub proven_end: u64,
    /// Events that were found sound, nobody knowing whether they were durable; now they are.
    pub rewritten_events: u64,
    /// Bytes behind the last sound frame that were left behind: never acknowledged as durable.
    pub cut_bytes: u64,
    /// Why the first of them does not belong to the chain.
    pub cut_because: Option<String>,
    /// Files of the writer that ended, which hold nothing of the chain and were removed.
    pub removed_files: Vec<PathBuf>,
    /// Files in the folder that the journal does not know; they are left alone.
    pub unknown_files: Vec<String>,
}

/// Where writing goes on.
pub(crate) struct Recovered {
    pub(crate) segment: OpenSegment,
    pub(crate) offset: u64,
    /// What the medium says of how far it is durable.
    pub(crate) durable_stated: u64,
    pub(crate) report: Recovery,
    /// Files to be removed when the new manifest is durable.
    pub(crate) leftovers: Vec<PathBuf>,
}

/// One segment of the tail, as far as it is sound.
struct TailSegment {
    id: u32,
    file: Arc<dyn DiskFile>,
    start: ChainStart,
    table: Table,
    /// Where the next frame could be.
    offset: u64,
}

/// The tail, as far as it is sound, and what it says about durability.
#[derive(Default)]
struct Tail {
    segments: Vec<TailSegment>,
    /// The most that any frame or mark says was durable.
    stated_end: u64,
    /// The first thing that does not belong to the chain.
    bad: Option<Bad>,
    /// Extents that its events adopted, with the sequence of the event.
    extents: Vec<(u64, Extent)>,
}

struct Bad {
    path: PathBuf,
    offset: u64,
    what: &'static str,
    /// Bytes from there on, in this file and those behind it.
    bytes: u64,
}

/// Reads the tail and makes it good; changes the manifest in memory to what is true afterwards.
pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    manifest: &mut Manifest,
    identity: &Identity,
    epoch: u64,
    policy: Policy,
) -> Result<Recovered, Error> {
    let reader =
        TailReader { disk: &**disk, folder, identity, keys: StoreKeys::new(&identity.store_id) };
    let mut report = Recovery { was_clean: manifest.is_clean, ..Recovery::default() };
    report.unknown_files = reader.compare_folder(manifest)?;
    let mut tail = reader.read(manifest)?;
    let active = *manifest.chain.last().expect("a journal has a segment");
    // Whatever the manifest says of the active segment was durable when it was written.
    tail.stated_end = tail.stated_end.max(active.end_sequence);
    let mut end = tail.end();
    if tail.stated_end > end.sequence {
        return Err(reader.damaged(&tail, &end));
    }
    let proven_end = tail.stated_end.max(active.first_sequence);
    if manifest.is_clean {
        let is_as_left = end.sequence == active.end_sequence && end.last == active.last;
        if !is_as_left || tail.bad.is_some() {
            return Err(reader.damaged(&tail, &end));
        }
        report.proven_end = end.sequence;
        extents::recovery::take_over(&**disk, folder, manifest)?;
        let TailSegment { id, file, table, offset, .. } =
            tail.segments.pop().expect("the active segment was read");
        return Ok(Recovered {
            segment: OpenSegment::new(id, file, table),
            offset: next_block(offset),
            durable_stated: end.sequence,
            report,
            leftovers: reader.leftovers(manifest),
        });
    }
    if let Some(unsound) = reader.first_unsound_extent(&tail, proven_end)? {
        end = reader.cut(&mut tail, unsound)?;
    }
    report.proven_end = proven_end;
    report.rewritten_events = end.sequence - proven_end;
    if let Some(bad) = &tail.bad {
        report.cut_bytes = bad.bytes;
        report.cut_because =
            Some(format!("{} at byte {}: {}", bad.path.display(), bad.offset, bad.what));
    }
    if policy == Policy::Strict && (report.cut_bytes > 0 || report.rewritten_events > 0) {
        return Err(Error::NeedsRepair {
            folder: folder.to_path_buf(),
            cut_bytes: report.cut_bytes,
            rewritten_events: report.rewritten_events,
        });
    }
    for (sequence, extent) in &tail.extents {
        if (proven_end..end.sequence).contains(sequence) {
            extents::recovery::write_again(&**disk, folder, manifest, extent)?;
        }
    }
    let segment = reader.rewrite(&tail, manifest, proven_end, epoch)?;
    let offset = next_block(segment.table().bytes);
    extents::recovery::take_over(&**disk, folder, manifest)?;
    Ok(Recovered {
        segment,
        offset,
        durable_stated: end.sequence,
        report,
        leftovers: reader.leftovers(manifest),
    })
}

impl Tail {
    fn end(&self) -> Follow {
        self.segments.last().expect("the active segment was read").table.end
    }
}

struct TailReader<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    identity: &'a Identity,
    keys: StoreKeys,
}

impl TailReader<'_> {
    /// Every file that the manifest names has to be there; names of files that it does not know.
    fn compare_folder(&self, manifest: &Manifest) -> Result<Vec<String>, Error> {
        // Sorted by name; both lists can be long.
        let entries = self.disk.list(self.folder)?;
        for segment in &manifest.chain {
            let path = chain_path(self.folder, segment.id);
            let name = path.file_name().and_then(|name| name.to_str()).expect("made of an id");
            let place = entries.binary_search_by(|entry| entry.name.as_str().cmp(name));
            match place.ok().map(|place| &entries[place]) {
                Some(entry) if entry.bytes >= segment.bytes => {}
                Some(entry) => {
                    let what = "a segment is shorter than the manifest says";
                    return Err(Error::Corrupt { path, offset: entry.bytes, what });
                }
                None => {
                    let what = "a segment that the manifest names is missing";
                    return Err(Error::Corrupt { path, offset: 0, what });
                }
            }
        }
        extents::recovery::check_files(self.folder, &entries, manifest)?;
        let pending = manifest.pending.iter().copied();
        let chain = manifest.chain.iter().map(|segment| segment.id);
        let retired = manifest.retired.iter().map(|retired| retired.id);
        let given: BTreeSet<u32> = retired.chain(pending).collect();
        let chain: BTreeSet<u32> = chain.collect();
        let data: BTreeSet<u32> = manifest.data.iter().map(|segment| segment.id).collect();
        let is_known = |name: &str| {
            let id = |prefix: &str, suffix: &str| {
                name.strip_prefix(prefix)?.strip_suffix(suffix)?.parse::<u32>().ok()
            };
            match (id("chain-", ".seg"), id("data-", ".seg")) {
                (Some(id), _) => chain.contains(&id) || given.contains(&id),
                (_, Some(id)) => data.contains(&id) || given.contains(&id),
                _ => {
                    [
                        "lock",
                        "manifest",
                        "manifest.new",
                        "control",
                        "cursors",
                        "projections",
                        "heads",
                        "reserve",
                    ]
                    .contains(&name)
                        || name.starts_with("index-")
                }
            }
        };
        let unknown = entries.into_iter().map(|entry| entry.name).filter(|name| !is_known(name));
        Ok(unknown.collect())
    }

    fn read(&self, manifest: &Manifest) -> Result<Tail, Error> {
        let mut tail = Tail::default();
        let active = manifest.chain.last().expect("a journal has a segment");
        let time = match manifest.chain.len() {
            1 => 0,
            count => manifest.chain[count - 2].last_time,
        };
        let path = chain_path(self.folder, active.id);
        let file = self.disk.open(&path, Access::ReadWrite)?;
        let header = self.header(&*file)?.map_err(|malformed| malformed.in_file(&path, 0))?;
        let is_ours = header.store_id == self.identity.store_id && header.segment == active.id;
        let Content::Chain(start) = header.content else {
            return Err(Malformed::new(0, "this is no chain segment").in_file(&path, 0));
        };
        if !is_ours
            || start.first_sequence != active.first_sequence
            || start.previous != active.previous
        {
            return Err(Malformed::new(0, "this is not the segment that the manifest names")
                .in_file(&path, 0));
        }
        self.read_segment(&mut tail, active.id, file, start, start_of(active, time), None)?;
        let mut candidates = self.candidates(manifest)?;
        // Each round finds the one that follows, or ends.
        while tail.bad.is_none() {
            let last = tail.segments.last().expect("the active segment was read");
            let end = last.table.end;
            // The last one that follows on it: before that its making failed, perhaps more than once.
            let next = candidates
                .iter()
                .enumerate()
                .filter(|(_, candidate)| {
                    candidate.start.as_ref().is_some_and(|start| start.previous_segment == last.id)
                })
                .max_by_key(|(_, candidate)| candidate.id);
            let Some((next, _)) = next else { break };
            let candidate = candidates.swap_remove(next);
            let start = candidate.start.expect("looked at just now");
            if start.first_sequence < end.sequence {
                // Its making failed, and writing went on in the segment before it.
                let stated = self.evidence(&*candidate.file, BLOCK_BYTES)?;
                tail.stated_end = tail.stated_end.max(stated);
                continue;
            }
            if start.first_sequence != end.sequence || start.previous != end.last {
                let bytes =
                    last.file.bytes()?.saturating_sub(last.offset) + candidate.file.bytes()?;
                tail.bad = Some(Bad {
                    path: last.file.path().to_path_buf(),
                    offset: last.offset,
                    what: "the segment ends before the one that follows on it begins",
                    bytes,
                });
                tail.stated_end =
                    tail.stated_end.max(self.evidence(&*candidate.file, BLOCK_BYTES)?);
                break;
            }
            self.read_segment(&mut tail, candidate.id, candidate.file, start, end, None)?;
        }
        // Nothing that may have belonged to the tail is overlooked when durability is judged.
        for candidate in candidates {
            let stated = self.evidence(&*candidate.file, BLOCK_BYTES)?;
            tail.stated_end = tail.stated_end.max(stated);
            if let (Some(bad), true) = (&mut tail.bad, candidate.start.is_some()) {
                bad.bytes += candidate.file.bytes()?;
            }
        }
        Ok(tail)
    }

    /// Files under ids that were given out: what the writer may have begun before it ended.
    fn candidates(&self, manifest: &Manifest) -> Result<Vec<Candidate>, Error> {
        let mut candidates = Vec::new();
        for id in &manifest.pending {
            let file = match self.disk.open(&chain_path(self.folder, *id), Access::ReadWrite) {
                Ok(file) => file,
                Err(error) if error.is_absent() => continue,
                Err(error) => return Err(error.into()),
            };
            let header = self.header(&*file)?.ok().filter(|header| {
                header.store_id == self.identity.store_id
                    && header.segment == *id
                    && header.epoch == manifest.epoch
            });
            let start = match header.map(|header| header.content) {
                Some(Content::Chain(start)) => Some(start),
                _ => None,
            };
            candidates.push(Candidate { id: *id, file, start });
        }
        Ok(candidates)
    }

    fn header(&self, file: &dyn DiskFile) -> Result<Result<SegmentHeader, Malformed>, Error> {
        let mut block = [0; SEGMENT_HEADER_BYTES];
        let read = file.read_at(0, &mut block)?;
        Ok(SegmentHeader::decode(&block[..read]))
    }

    /// Reads one segment up to its end, the first bad thing, or a sequence.
    fn read_segment(
        &self,
        tail: &mut Tail,
        id: u32,
        file: Arc<dyn DiskFile>,
        start: ChainStart,
        from: Follow,
        until: Option<u64>,
    ) -> Result<(), Error> {
        let path = file.path().to_path_buf();
        let mountain =
            Mountain::from_peaks(start.first_frame, start.peaks.clone()).ok_or_else(|| {
                Malformed::new(0, "a header has peaks that do not fit").in_file(&path, 0)
            })?;
        let mut table = table_behind(from, mountain, self.identity);
        let mut window = Window::new(&*file)?;
        let mut scratch = FrameScratch::default();
        let mut offset = BLOCK_BYTES;
        let mut bad = None;
        while offset < window.end && until.is_none_or(|until| table.end.sequence < until) {
            let least = window.enough(offset)?;
            match step(window.at(offset, least)?, offset) {
                Step::Frame { frame, next } => {
                    let accepted = table.end.accept(&frame, &self.keys, &mut scratch);
                    if let Err(malformed) = accepted.and_then(|_| self.check_records(&frame)) {
                        bad = Some(malformed);
                        break;
                    }
                    tail.stated_end = tail.stated_end.max(frame.header.durable_end);
                    note_extents(&frame, &mut tail.extents);
                    if let Err(malformed) = table.add(offset, &frame, &self.identity.keys, None) {
                        bad = Some(malformed);
                        break;
                    }
                    offset = next;
                }
                Step::Mark { mark, .. } if !mark.is_genuine(&self.identity.keys) => {
                    bad = Some(Malformed::new(0, "a head mark is not one of this journal"));
                    break;
                }
                Step::Mark { mark, next } => {
                    tail.stated_end = tail.stated_end.max(mark.durable_end);
                    offset = next;
                }
                Step::Padding { next } => offset = next,
                Step::Needs(_) => {
                    bad = Some(Malformed::new(0, "the segment ends within a frame"));
                    break;
                }
                Step::Bad(malformed) => {
                    bad = Some(malformed);
                    break;
                }
            }
        }
        if let Some(malformed) = bad {
            tail.stated_end = tail.stated_end.max(self.evidence(&*file, offset)?);
            tail.bad = Some(Bad {
                path,
                offset: offset + malformed.at,
                what: malformed.what,
                bytes: window.end - offset,
            });
        }
        tail.segments.push(TailSegment { id, file, start, table, offset });
        Ok(())
    }

    /// Whether every event can be read: the frame's digest leaves out their check values.
    fn check_records(&self, frame: &Frame<'_>) -> Result<(), Malformed> {
        let store_id = &self.identity.store_id;
        for ((distance, bytes), sequence) in frame.records().zip(frame.header.base_sequence..) {
            if !record::checks(bytes, store_id, sequence) {
                return Err(Malformed::new(distance as u64, "an event does not check"));
            }
        }
        Ok(())
    }

    /// The most that any sound frame or mark from here on says was durable.
    fn evidence(&self, file: &dyn DiskFile, from: u64) -> Result<u64, Error> {
        let mut window = Window::new(file)?;
        let mut scratch = FrameScratch::default();
        let (mut offset, mut stated) = (align(from, FRAME_ALIGNMENT), 0);
        while offset < window.end {
            let least = window.enough(offset)?;
            match step(window.at(offset, least)?, offset) {
                Step::Frame { frame, next } if frame.is_authentic(&self.keys, &mut scratch) => {
                    stated = stated.max(frame.header.durable_end);
                    offset = next;
                }
                Step::Mark { mark, next } if mark.is_genuine(&self.identity.keys) => {
                    stated = stated.max(mark.durable_end);
                    offset = next;
                }
                _ => offset += FRAME_ALIGNMENT,
            }
        }
        Ok(stated)
    }

    fn damaged(&self, tail: &Tail, end: &Follow) -> Error {
        let last = tail.segments.last().expect("the active segment was read");
        let (path, offset, what) = match &tail.bad {
            Some(bad) => (bad.path.clone(), bad.offset, bad.what),
            None => (
                last.file.path().to_path_buf(),
                last.offset,
                "the chain ends, or goes on, where it should not",
            ),
        };
        Error::Damaged { path, offset, what, sequence: end.sequence, durable_end: tail.stated_end }
    }

    /// The first event behind the proven ones whose extents are not what it says.
    fn first_unsound_extent(&self, tail: &Tail, proven_end: u64) -> Result<Option<u64>, Error> {
        for (sequence, extent) in &tail.extents {
            if *sequence >= proven_end && !extents::is_sound(self.disk, self.folder, extent)? {
                return Ok(Some(*sequence));
            }
        }
        Ok(None)
    }

    /// Takes the frame of an unproven event, and everything behind it, out of the tail.
    fn cut(&self, tail: &mut Tail, sequence: u64) -> Result<Follow, Error> {
        let mut bytes = tail.bad.as_ref().map_or(0, |bad| bad.bytes);
        while let Some(segment) = tail.segments.pop() {
            let Some(frame) = segment
                .table
                .frame_of(sequence)
                .filter(|_| segment.table.start.sequence <= sequence)
            else {
                bytes += segment.offset - BLOCK_BYTES;
                continue;
            };
            let until = segment.table.start.sequence + u64::from(frame.sequence_delta);
            let (start, end) = (segment.table.start, segment.offset);
            let path = segment.file.path().to_path_buf();
            self.read_segment(tail, segment.id, segment.file, segment.start, start, Some(until))?;
            tail.bad = Some(Bad {
                path,
                offset: u64::from(frame.offset),
                what: "an event's extent is not what the event says",
                bytes: bytes + end - u64::from(frame.offset),
            });
            break;
        }
        Ok(tail.end())
    }

    /// Writes what is unproven again, into a new segment, and syncs it.
    fn rewrite(
        &self,
        tail: &Tail,
        manifest: &mut Manifest,
        proven_end: u64,
        epoch: u64,
    ) -> Result<OpenSegment, Error> {
        manifest.chain.pop();
        let mut previous_segment = manifest.chain.last().map_or(0, |segment| segment.id);
        let mut behind = None;
        for segment in &tail.segments {
            manifest.pending.retain(|id| *id != segment.id);
            if segment.table.start.sequence >= proven_end {
                if behind.is_none() {
                    behind = Some((segment.table.start, self.mountain_at_start(segment)?));
                }
                manifest.pending.push(segment.id);
                continue;
            }
            let mut part = Tail::default();
            let table = if segment.table.end.sequence > proven_end {
                let (file, start) = (Arc::clone(&segment.file), segment.start.clone());
                let from = segment.table.start;
                self.read_segment(&mut part, segment.id, file, start, from, Some(proven_end))?;
                &part.segments.first().expect("read just now").table
            } else {
                &segment.table
            };
            write_index(self.disk, self.folder, self.identity, segment.id, table)?;
            manifest.chain.push(closed(segment.id, table));
            previous_segment = segment.id;
            behind = Some((table.end, table.mountain.clone()));
        }
        let (start, mountain) = behind.expect("the active segment was read");
        // An id that was given out tells the next recovery whose the file is, should this one not
        // come to its end; one that was not is reported as unknown, and passed over. Along the chain
        // ids go up.
        let unused = manifest.pending.iter().copied();
        let unused = unused.filter(|id| *id > previous_segment && !self.has_file(*id)).min();
        let id = match unused {
            Some(unused) => {
                manifest.pending.retain(|id| *id != unused);
                unused
            }
            None => {
                while self.has_file(manifest.next_segment) {
                    manifest.next_segment += 1;
                }
                manifest.next_segment += 1;
                manifest.next_segment - 1
            }
        };
        let header = SegmentHeader {
            store_id: self.identity.store_id,
            epoch,
            segment: id,
            created: self.disk.now(),
            content: Content::Chain(ChainStart {
                previous_segment,
                first_sequence: start.sequence,
                first_frame: start.frame_number,
                previous: start.last,
                peaks: mountain.peaks().to_vec(),
            }),
        };
        let file = self.disk.create(&chain_path(self.folder, id))?;
        file.write_at(0, &header.encode())?;
        let mut table = table_behind(start, mountain, self.identity);
        let mut copy = Copy { file: &*file, offset: BLOCK_BYTES, buffer: Vec::new() };
        for segment in &tail.segments {
            let mut window = Window::new(&*segment.file)?;
            for frame in &segment.table.frames {
                let base = segment.table.start.sequence + u64::from(frame.sequence_delta);
                if base < start.sequence {
                    continue;
                }
                let at = u64::from(frame.offset);
                let least = window.enough(at)?;
                let frame = Frame::decode(window.at(at, least)?)
                    .map_err(|malformed| malformed.in_file(segment.file.path(), at))?;
                let offset = copy.put(frame.bytes)?;
                table
                    .add(offset, &frame, &self.identity.keys, None)
                    .map_err(|malformed| malformed.in_file(file.path(), offset))?;
            }
        }
        copy.finish()?;
        file.sync()?;
        self.disk.sync_folder(self.folder)?;
        manifest.chain.push(ChainSegment {
            state: SegmentState::Active,
            bytes: 0,
            ..closed(id, &table)
        });
        Ok(OpenSegment::new(id, file, table))
    }

    fn mountain_at_start(&self, segment: &TailSegment) -> Result<Mountain, Error> {
        Mountain::from_peaks(segment.start.first_frame, segment.start.peaks.clone()).ok_or_else(
            || {
                Malformed::new(0, "a header has peaks that do not fit")
                    .in_file(segment.file.path(), 0)
            },
        )
    }

    fn has_file(&self, id: u32) -> bool {
        self.disk.exists(&chain_path(self.folder, id))
            || self.disk.exists(&data_path(self.folder, id))
    }

    /// Chain files under ids that were given out and are part of nothing. Ids without files are used
    /// up.
    fn leftovers(&self, manifest: &mut Manifest) -> Vec<PathBuf> {
        // Data segments of bulk sessions are left until the session is ended; chain segments stay known
        // until they are removed.
        manifest.pending.retain(|id| self.has_file(*id));
        let paths = manifest.pending.iter().map(|id| chain_path(self.folder, *id));
        paths.filter(|path| self.disk.exists(path)).collect()
    }
}

struct Candidate {
    id: u32,
    file: Arc<dyn DiskFile>,
    /// From its header, if that is of the writer that ended.
    start: Option<ChainStart>,
}

fn note_extents(frame: &Frame<'_>, extents: &mut Vec<(u64, Extent)>) {
    for (index, (_, bytes)) in frame.records().enumerate() {
        if let Ok(record) = Record::decode(bytes)
            && record.flags & flags::EXTENTS != 0
        {
            let sequence = frame.header.base_sequence + index as u64;
            extents.extend(record.extents().map(|extent| (sequence, extent)));
        }
    }
}
