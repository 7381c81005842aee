//! Finding out everything that is wrong with a journal, also with one that does not open.
//!
//! Nothing is changed, and the walk goes on behind damage. What is looked at, in this order:
//!
//! 1. The manifest, and whether every file that it names is there and long enough.
//! 2. Every chain segment: its header, its place in the chain, every frame and every event.
//! 3. Heads that lie with the journal, or that the caller kept.
//! 4. The index of every sealed segment, byte for byte.
//! 5. Extents of every event, if wanted.
//! 6. Cursors: whether they are of this journal, and what they have consumed is what it was.
//!
//! What is wrong in events that were acknowledged as durable is *damage*. What is wrong behind them
//! is what an unclean end leaves: a *note*; opening the journal for writing repairs it. So is an index
//! that its own checks give away: readers notice and scan.
//!
//! What it does *not* do: rebuild merged indexes (whoever finds one wrong asks the segments' own), or
//! verify signatures.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use icecore_disk::{Access, Disk};

use super::{
    reduced::{Reduced, walk_reduced},
    rewrite::reduced::begin_of,
    sources::{Source, Sources, cursors, kept_heads, manifest_of},
    walk::{Found, Walker},
};
use crate::{
    Digest, Error, Head, Report, StoreId, WorkProgress,
    control::ControlReader,
    digest::StoreKeys,
    extents::files::DataSegments,
    format::{BLOCK_BYTES, frame::Frame, reduced::Item, walk::Follow},
    index::IndexFile,
    keeping::seal::encode_index,
    mountain::Mountain,
    open::{CONTROL_NAME, identity_of},
    segment::{data_path, index_path, table::Identity, table::Table},
    signing::HEADS_NAME,
    verify::{note_extents, tell},
};

/// Findings that are told of at most; the rest are counted.
pub const FINDINGS_MAX: usize = 10_000;

/// What is checked beside chain, heads and cursors.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckOptions<'a> {
    /// Heads that the caller kept.
    pub heads: &'a [Head],
    /// Whether extents are read and compared with their digests.
    pub extents: bool,
    /// Whether index files are compared with what the frames give.
    pub indexes: bool,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Something is lost, or not what it was.
    Damage,
    /// Something that needs no repair, or is repaired when the journal is opened for writing.
    Note,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub path: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// Bytes that are no sound frame, if that is what it is about.
    pub bytes: u64,
    /// What is wrong.
    pub what: String,
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The journal.
    pub store_id: StoreId,
    /// At most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// Findings beyond that.
    pub findings_left_out: u64,
    /// Findings that are damage, those left out included.
    pub damage: u64,
    /// Chain segments that were walked.
    pub segments: u64,
    /// Sound frames.
    pub frames: u64,
    /// Events in them.
    pub events: u64,
    /// First sequence behind the last sound event.
    pub end_sequence: u64,
    /// Every event below was acknowledged as durable, as far as anything says so.
    pub durable_end: u64,
    /// Heads that the history agrees with.
    pub heads_compared: u64,
    /// Extents that were read.
    pub extents: u64,
    /// Index files that were compared.
    pub indexes: u64,
    /// Cursors that were compared.
    pub cursors: u64,
}

/// What is found while walking.
struct Work<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    options: &'a CheckOptions<'a>,
    data: DataSegments,
    checked: Checked,
    /// Found in the tail: damage if the event turns out to have been durable.
    tail: Vec<(u64, Finding)>,
    heads: Vec<Head>,
    /// By the sequence of the last event consumed: cursors that say which frame holds it.
    consumed: BTreeMap<u64, Vec<(PathBuf, Digest)>>,
    /// Unknown behind damage, up to the next segment.
    mountain: Option<Mountain>,
    progress: WorkProgress,
}

impl Work<'_> {
    fn add(&mut self, finding: Finding) {
        self.checked.damage += u64::from(finding.severity == Severity::Damage);
        match self.checked.findings.len() < FINDINGS_MAX {
            true => self.checked.findings.push(finding),
            false => self.checked.findings_left_out += 1,
        }
    }

    fn damage(&mut self, path: &Path, offset: u64, bytes: u64, what: impl Into<String>) {
        let (path, what) = (path.to_path_buf(), what.into());
        self.add(Finding { severity: Severity::Damage, path, offset, bytes, what });
    }

    fn note(&mut self, path: &Path, what: impl Into<String>) {
        let (path, what) = (path.to_path_buf(), what.into());
        self.add(Finding { severity: Severity::Note, path, offset: 0, bytes: 0, what });
    }

    /// In a sealed segment it is damage; in the tail that depends on what turns out to be durable.
    fn found(&mut self, source: &Source, sequence: u64, offset: u64, bytes: u64, what: String) {
        let path = source.file.path().to_path_buf();
        let finding = Finding { severity: Severity::Damage, path, offset, bytes, what };
        match source.is_closed() {
            true => self.add(finding),
            false if self.tail.len() < FINDINGS_MAX => self.tail.push((sequence, finding)),
            false => self.checked.findings_left_out += 1,
        }
    }

    fn durable(&mut self, end: u64) {
        self.checked.durable_end = self.checked.durable_end.max(end);
    }

    fn compare_heads(&mut self, walker: &Walker<'_>) {
        let Some(mountain) = &self.mountain else { return };
        let (count, root, follow) = (mountain.frame_count(), mountain.root(), walker.follow);
        let path = self.folder.join(HEADS_NAME);
        let here: Vec<_> =
            self.heads.iter().filter(|head| head.frame_count == count).copied().collect();
        for head in here {
            let agrees = head.mountain_root == root
                && head.end_sequence == follow.sequence
                && head.store_id == self.checked.store_id;
            if agrees {
                self.checked.heads_compared += 1;
            } else {
                let what = format!("the history was rewritten: a head over {count} frames differs");
                self.damage(&path, 0, 0, what);
            }
        }
    }

    /// Compares the cursors that have come into the frame which ends here and has so many events.
    fn compare_cursors(&mut self, end: Follow, events: u64) {
        let here: Vec<_> = self
            .consumed
            .range(end.sequence - events..end.sequence)
            .map(|(sequence, _)| *sequence)
            .collect();
        for sequence in here {
            for (path, digest) in self.consumed.remove(&sequence).unwrap_or_default() {
                self.checked.cursors += 1;
                if digest != end.last {
                    let what = "the cursor has consumed another history than this one";
                    self.damage(&path, 0, 0, what);
                }
            }
        }
    }
}

/// Checks the journal in a folder.
///
/// # Errors
/// [`Error::NoJournal`] when nothing of one is there, [`Error::Interrupted`]; what the disk said.
/// Whatever is wrong with the journal itself is a finding.
pub fn check(
    disk: &dyn Disk,
    folder: &Path,
    options: &CheckOptions<'_>,
    report: &mut Report<'_>,
) -> Result<Checked, Error> {
    let sources = Sources::find(disk, folder)?;
    let mut work = Work {
        disk,
        folder,
        options,
        checked: Checked {
            store_id: sources.store_id,
            findings: Vec::new(),
            findings_left_out: 0,
            damage: 0,
            segments: 0,
            frames: 0,
            events: 0,
            end_sequence: 0,
            durable_end: 0,
            heads_compared: 0,
            extents: 0,
            indexes: 0,
            cursors: 0,
        },
        data: sources.manifest.as_ref().map_or_else(|_| DataSegments::default(), DataSegments::of),
        tail: Vec::new(),
        heads: options.heads.to_vec(),
        consumed: BTreeMap::new(),
        mountain: Some(Mountain::new()),
        progress: WorkProgress {
            bytes_total: sources.segments.iter().map(|source| source.end).sum(),
            ..WorkProgress::default()
        },
    };
    work.before_walking(&sources)?;
    let keys = StoreKeys::new(&sources.store_id);
    let mut walker = Walker::new(sources.store_id, &keys);
    let identity = sources.manifest.as_ref().ok().map(identity_of);
    for source in &sources.segments {
        if walker.follow.sequence < source.until || source.is_closed() {
            work.segment(&sources, source, &mut walker, identity.as_ref(), report)?;
        }
    }
    work.after_walking(&walker);
    Ok(work.checked)
}

impl Work<'_> {
    fn before_walking(&mut self, sources: &Sources) -> Result<(), Error> {
        for path in &sources.absent {
            self.damage(path, 0, 0, "the file is not there");
        }
        match &sources.manifest {
            Err(error) => self.damage(&manifest_of(self.folder), 0, 0, error.to_string()),
            Ok(manifest) => {
                let active = manifest.chain.last().copied();
                self.durable(active.map_or(0, |active| active.end_sequence));
                for data in &manifest.data {
                    let path = data_path(self.folder, data.id);
                    let is_needed = data.replaced_by.is_empty();
                    match self.disk.open(&path, Access::Read) {
                        Ok(file) if file.bytes()? < data.bytes && is_needed => {
                            self.damage(&path, file.bytes()?, 0, "a data segment is too short");
                        }
                        Ok(_) => {}
                        Err(error) if error.is_absent() && is_needed => {
                            self.damage(&path, 0, 0, "the file is not there");
                        }
                        Err(error) if error.is_absent() => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        match kept_heads(self.disk, self.folder) {
            Ok(heads) => self.heads.extend(heads),
            Err(Error::Corrupt { path, offset, what }) => self.damage(&path, offset, 0, what),
            Err(error) => return Err(error),
        }
        let durable = self.heads.iter().map(|head| head.end_sequence).max();
        self.durable(durable.unwrap_or(0));
        let page = self.folder.join(CONTROL_NAME);
        if let Ok(page) = self.disk.shared_page(&page, Access::Read)
            && let Ok(frontier) = ControlReader::new(page, sources.store_id).frontier()
        {
            self.durable(frontier.durable_end);
        }
        for cursor in cursors(self.disk, self.folder)? {
            match cursor.position {
                Err(malformed) => {
                    self.damage(&cursor.path, malformed.at, 0, malformed.what);
                }
                Ok(position) if position.store_id != sources.store_id => {
                    self.damage(&cursor.path, 0, 0, "the cursor is another journal's");
                }
                Ok(position) => {
                    if let Some(last) = position.end_sequence.checked_sub(1) {
                        let known = self.consumed.entry(last).or_default();
                        known.push((cursor.path, position.frame));
                    }
                }
            }
        }
        Ok(())
    }

    fn segment(
        &mut self,
        sources: &Sources,
        source: &Source,
        walker: &mut Walker<'_>,
        identity: Option<&Identity>,
        report: &mut Report<'_>,
    ) -> Result<(), Error> {
        let path = source.file.path();
        self.checked.segments += 1;
        if let Some(info) = source.info
            && info.bytes > source.end
        {
            self.damage(path, source.end, info.bytes - source.end, "a segment is too short");
        }
        self.begin(sources, source, walker);
        let starts_at = walker.follow;
        let problems = self.checked.damage + self.tail.len() as u64;
        let mut table = match (&self.mountain, identity) {
            (Some(mountain), Some(identity)) if self.options.indexes && source.is_closed() => {
                Some(Table::new(starts_at, mountain.clone(), BLOCK_BYTES, &identity.indexes))
            }
            _ => None,
        };
        if source.is_reduced() {
            self.reduced(source, walker, &mut table, identity)?;
        }
        let from = if source.is_reduced() { source.end.max(BLOCK_BYTES) } else { BLOCK_BYTES };
        let range = from..source.end.max(BLOCK_BYTES);
        walker.segment(&*source.file, range, &mut |walker, found| {
            match found {
                Found::Frame { offset, frame } => {
                    let header = &frame.header;
                    if header.base_sequence >= source.until {
                        return Ok(ControlFlow::Break(()));
                    }
                    if let Some(missing) = &walker.missing {
                        self.mountain = None;
                        table = None;
                        let what =
                            format!("events {} to {} are missing", missing.start, missing.end - 1);
                        self.found(source, missing.start, offset, 0, what);
                    }
                    if let Some(mountain) = &mut self.mountain {
                        mountain.push(header.digest, |_, _, _| {});
                    }
                    self.durable(header.durable_end);
                    self.checked.frames += 1;
                    self.checked.events += u64::from(header.event_count);
                    self.progress.events = self.checked.events;
                    self.compare_heads(walker);
                    self.compare_cursors(walker.follow, u64::from(header.event_count));
                    if let (Some(part), Some(identity)) = (&mut table, identity)
                        && part.add(offset, &frame, &identity.keys, None).is_err()
                    {
                        table = None;
                    }
                    if self.options.extents {
                        self.extents(&frame)?;
                    }
                }
                Found::Mark { mark, .. } => {
                    // Without a manifest nobody can say whether it is one.
                    if identity.is_none_or(|identity| mark.is_genuine(&identity.keys)) {
                        self.durable(mark.durable_end);
                    }
                }
                Found::Problem { offset, bytes, what } => {
                    if bytes > 0 {
                        self.mountain = None;
                        table = None;
                    }
                    self.found(source, walker.follow.sequence, offset, bytes, what.to_string());
                }
                Found::Read { bytes } => {
                    self.progress.bytes_done += bytes;
                    tell(report, &self.progress)?;
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let is_sound = problems == self.checked.damage + self.tail.len() as u64;
        if let Some(info) = source.info.filter(|_| source.is_closed()) {
            let end = (info.end_sequence, info.end_frame, info.last);
            let follow = walker.follow;
            if is_sound && (follow.sequence, follow.frame_number, follow.last) != end {
                self.damage(path, source.end, 0, "a sealed segment ends with another frame");
            }
            if let (Some(table), Some(identity), true) = (&table, identity, is_sound) {
                self.index(source, table, identity)?;
            }
        }
        Ok(())
    }

    /// Walks through a segment from which events were dropped, up to its end or the first damage.
    fn reduced(
        &mut self,
        source: &Source,
        walker: &mut Walker<'_>,
        table: &mut Option<Table>,
        identity: Option<&Identity>,
    ) -> Result<(), Error> {
        let Some(start) = source.start() else { return Ok(()) };
        let keys = StoreKeys::new(&self.checked.store_id);
        let store_id = self.checked.store_id;
        let begin = begin_of(source.info.as_ref(), start);
        let walked =
            walk_reduced(&*source.file, source.end, begin, &store_id, &keys, &mut |found| {
                let (offset, item, end) = match found {
                    Reduced::Item { offset, item, end } => (offset, item, end),
                    Reduced::Read { bytes } => {
                        self.progress.bytes_done += bytes;
                        return Ok(ControlFlow::Continue(()));
                    }
                };
                match &item {
                    Item::Gap(gap) => {
                        for (number, first_sequence, count, digest) in gap.frames() {
                            if let Some(mountain) = &mut self.mountain {
                                mountain.push(digest, |_, _, _| {});
                            }
                            walker.follow = Follow {
                                sequence: first_sequence + u64::from(count),
                                frame_number: number + 1,
                                last: digest,
                                time: gap.first_time,
                            };
                            self.compare_heads(walker);
                            self.compare_cursors(walker.follow, u64::from(count));
                        }
                    }
                    Item::Frame(_) | Item::Stub(_) => {
                        if let Some(mountain) = &mut self.mountain {
                            mountain.push(end.last, |_, _, _| {});
                        }
                        let sequences = item.sequences();
                        self.checked.frames += 1;
                        self.checked.events += match &item {
                            Item::Stub(stub) => {
                                sequences.end - sequences.start - stub.dropped_count()
                            }
                            _ => sequences.end - sequences.start,
                        };
                        walker.follow = end;
                        self.compare_heads(walker);
                        self.compare_cursors(end, sequences.end - sequences.start);
                        if let (Item::Frame(frame), true) = (&item, self.options.extents) {
                            self.extents(frame)?;
                        }
                    }
                }
                walker.follow = end;
                if let (Some(part), Some(identity)) = (&mut *table, identity)
                    && part.add_item(offset, &item, &identity.keys).is_err()
                {
                    *table = None;
                }
                Ok(ControlFlow::Continue(()))
            });
        match walked {
            Ok(_) => Ok(()),
            Err(Error::Corrupt { offset, what, path }) => {
                self.mountain = None;
                *table = None;
                self.damage(&path, offset, source.end.saturating_sub(offset), what);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Compares where a segment begins with where the one before it ended.
    fn begin(&mut self, sources: &Sources, source: &Source, walker: &mut Walker<'_>) {
        let path = source.file.path().to_path_buf();
        if let Err(malformed) = &source.header {
            self.found(source, 0, malformed.at, 0, malformed.what.to_string());
        }
        if let Ok(header) = &source.header
            && (header.store_id != sources.store_id || header.segment != source.id)
        {
            self.damage(&path, 0, 0, "this is another segment's header");
        }
        let Some(start) = source.start() else { return };
        let gaps = sources.manifest.as_ref().map(|manifest| &manifest.gaps[..]).unwrap_or_default();
        for gap in gaps {
            if gap.first_sequence == walker.follow.sequence
                && gap.end_sequence <= start.first_sequence
            {
                walker.follow.sequence = gap.end_sequence;
                walker.follow.frame_number = gap.end_frame;
                walker.follow.last = gap.last;
                self.mountain = None;
            }
        }
        // Everything before a segment was durable when it was made.
        self.durable(start.first_sequence);
        let follow = &walker.follow;
        let follows = (start.first_sequence, start.first_frame, start.previous)
            == (follow.sequence, follow.frame_number, follow.last);
        let peaks = Mountain::from_peaks(start.first_frame, start.peaks.clone());
        match (&self.mountain, peaks) {
            (_, None) => self.damage(&path, 0, 0, "a header has peaks that do not fit"),
            (Some(mountain), Some(peaks)) if follows && *mountain != peaks => {
                self.damage(&path, 0, 0, "a header has other peaks than the frames before it");
            }
            (_, Some(peaks)) if follows => self.mountain = Some(peaks),
            _ => {
                self.mountain = None;
                let what = "a segment does not follow on the one before it";
                self.found(source, follow.sequence, 0, 0, what.to_string());
            }
        }
        self.compare_heads(walker);
    }

    fn extents(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        let mut extents = Vec::new();
        note_extents(frame, &mut extents);
        for (sequence, extent) in extents {
            self.checked.extents += 1;
            if !self.data.is_extent_sound(self.disk, self.folder, &extent)? {
                let path = data_path(self.folder, extent.segment);
                let what = format!("an extent of event {sequence} is not what its digest says");
                self.damage(&path, extent.offset, extent.bytes, what);
            }
        }
        Ok(())
    }

    fn index(&mut self, source: &Source, table: &Table, identity: &Identity) -> Result<(), Error> {
        let path = index_path(self.folder, source.id, source.id);
        let file = match self.disk.open(&path, Access::Read) {
            Ok(file) => file,
            Err(error) if error.is_absent() => {
                self.note(&path, "the index of a sealed segment is not there; it is scanned");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        self.checked.indexes += 1;
        let mut bytes = vec![0; usize::try_from(file.bytes()?).expect("indexes are small")];
        let read = file.read_at(0, &mut bytes)?;
        bytes.truncate(read);
        let (mut at, mut differing) = (0, Vec::new());
        encode_index(identity, source.id, table, &mut |page| {
            if bytes.get(at..at + page.len()) != Some(page) {
                differing.push(at as u64);
            }
            at += page.len();
            Ok(())
        })?;
        if bytes.len() != at {
            differing.push(at.min(bytes.len()) as u64);
        }
        let Some(first) = differing.first() else { return Ok(()) };
        let opened = IndexFile::open(&bytes[..]);
        let is_believed = |at: &u64| opened.as_ref().is_ok_and(|index| index.is_believed(*at));
        match differing.iter().find(|at| is_believed(at)) {
            Some(at) => {
                let what = "an index is not what its segment gives; remove the file, it is derived";
                self.damage(&path, *at, 0, what);
            }
            // Index files are not synced: this is what a loss of power leaves of them.
            None => {
                let what = format!(
                    "an index does not check from byte {first} on, so its segment is scanned; it can be removed"
                );
                self.note(&path, what);
            }
        }
        Ok(())
    }

    fn after_walking(&mut self, walker: &Walker<'_>) {
        self.checked.end_sequence = walker.follow.sequence;
        let durable_end = self.checked.durable_end;
        for (sequence, mut finding) in std::mem::take(&mut self.tail) {
            if sequence >= durable_end {
                finding.severity = Severity::Note;
                finding.what += " (behind what was acknowledged: opening for writing cuts it off)";
            }
            self.add(finding);
        }
        let end = walker.follow.sequence;
        if end < durable_end {
            let what = format!(
                "the chain ends at event {end}, and all below {durable_end} were acknowledged as durable"
            );
            let path = self.folder.to_path_buf();
            self.damage(&path, 0, 0, what);
        }
        let beyond = self.heads.iter().filter(|head| head.frame_count > walker.follow.frame_number);
        if let Some(head) = beyond.max_by_key(|head| head.frame_count).copied() {
            let what = format!(
                "the journal was cut off: a head over {} frames lies with it",
                head.frame_count
            );
            self.damage(&self.folder.join(HEADS_NAME), 0, 0, what);
        }
        for (sequence, cursors) in std::mem::take(&mut self.consumed) {
            for (path, _) in cursors {
                self.checked.cursors += 1;
                match sequence < end {
                    true => self.note(&path, "what the cursor has consumed last was dropped"),
                    false => {
                        self.damage(
                            &path,
                            0,
                            0,
                            "the cursor has consumed events that are not there",
                        );
                    }
                }
            }
        }
    }
}
