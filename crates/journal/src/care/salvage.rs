//! Taking what is sound out of a damaged journal, into a new one.
//!
//! The rule: every frame whose digest is that of its content, and that lies further on in the chain
//! than the one before it, is taken, in the order of the chain. Events keep their sequences, so what
//! refers to them stays right. What is missing between them becomes a gap of the new journal, with the
//! reason; reading there is an error that says so. The new journal is a new lineage: its frames have
//! other numbers and digests.
//!
//! Frames that were written and not known to be durable are taken as well: they are sound.
//!
//! - Cursors come along if the frame that holds the last event they have consumed was saved.
//! - Data segments come along if an event that was saved adopts an extent of them. Extents whose
//!   digest is wrong are reported; the events that adopted them are sound and are kept.
//! - Signed heads stay behind: they are about the old journal.
//!
//! Of a segment from which events were dropped, what lies behind the first damage is not saved.
//!
//! What it does *not* do: guess, or change the damaged journal.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{ControlFlow, Range},
    path::{Path, PathBuf},
};

use icecore_disk::Disk;

use super::{
    copy::ended,
    rewrite::{Inherited, Rewriter, copy_data, reduced::begin_of, take_folder},
    sources::{CURSORS_NAME, CursorFile, Sources, cursors},
    walk::{Found, Walker},
};
use crate::{
    Digest, Error, Report, StoreId, WorkProgress,
    digest::StoreKeys,
    extents::files::DataSegments,
    format::{BLOCK_BYTES, checkpoint::Position, manifest::Lineage, reduced::Item},
    keys::IndexKeys,
    verify::{note_extents, tell},
};

/// Places that are told of at most; the rest are counted.
pub const PROBLEMS_MAX: usize = 10_000;

/// Why events that were not saved are not there.
const LOST: &str = "lost: damaged when it was salvaged";

/// Something that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// How many bytes are lost by it, if that is known.
    pub bytes: u64,
    /// What is wrong.
    pub what: String,
}

/// What was saved, and what was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// The damaged journal.
    pub parent: StoreId,
    /// The new one.
    pub store_id: StoreId,
    /// Whether the manifest could be read. If not, the new journal has no owner, no names of kinds
    /// and no indexes but that of streams.
    pub had_manifest: bool,
    /// Events saved.
    pub events: u64,
    /// Frames saved.
    pub frames: u64,
    /// First sequence behind what was saved and what is known to be missing.
    pub end_sequence: u64,
    /// Sequences of events that were not saved: they are gaps now.
    pub missing: Vec<Range<u64>>,
    /// What was found wrong; at most [`PROBLEMS_MAX`].
    pub problems: Vec<Problem>,
    /// Problems beyond that.
    pub problems_left_out: u64,
    /// Extents whose content is not what the events that adopted them say; the events were saved.
    pub damaged_extents: u64,
    /// Cursors that came along.
    pub cursors: u64,
    /// Cursors that did not: what they have consumed is not there.
    pub cursors_left_out: Vec<String>,
}

impl Salvaged {
    fn problem(&mut self, path: &Path, offset: u64, bytes: u64, what: impl Into<String>) {
        if self.problems.len() == PROBLEMS_MAX {
            self.problems_left_out += 1;
            return;
        }
        let (path, what) = (path.to_path_buf(), what.into());
        self.problems.push(Problem { path, offset, bytes, what });
    }
}

/// Cursors whose frame has to be found again.
pub(crate) struct Followers {
    cursors: Vec<CursorFile>,
    /// New digests, by the sequence of the last event consumed.
    digests: BTreeMap<u64, Option<Digest>>,
}

impl Followers {
    pub(crate) fn new(disk: &dyn Disk, folder: &Path, store_id: StoreId) -> Result<Self, Error> {
        let mut cursors = cursors(disk, folder)?;
        cursors.retain(|cursor| {
            cursor.position.as_ref().is_ok_and(|position| position.store_id == store_id)
        });
        let digests = cursors
            .iter()
            .filter_map(|cursor| cursor.position.as_ref().ok()?.end_sequence.checked_sub(1))
            .map(|last| (last, None))
            .collect();
        Ok(Self { cursors, digests })
    }

    /// The frame with these events has a new digest.
    pub(crate) fn frame(&mut self, sequences: Range<u64>, digest: Digest) {
        for (_, known) in self.digests.range_mut(sequences) {
            *known = Some(digest);
        }
    }

    /// Writes the cursors of the new journal; returns how many, and the names of those left out.
    pub(crate) fn write(
        &self,
        disk: &dyn Disk,
        folder: &Path,
        store_id: StoreId,
    ) -> Result<(u64, Vec<String>), Error> {
        let (mut written, mut left_out) = (0, Vec::new());
        let folder = folder.join(CURSORS_NAME);
        if !self.cursors.is_empty() {
            disk.create_folder(&folder)?;
        }
        for cursor in &self.cursors {
            let Ok(position) = &cursor.position else { continue };
            let frame = match position.end_sequence.checked_sub(1) {
                None => Some(Digest::ZERO),
                Some(last) => self.digests.get(&last).copied().flatten(),
            };
            let Some(frame) = frame else {
                left_out.push(position.name.clone());
                continue;
            };
            let path = folder.join(&cursor.name);
            let moved = Position { store_id, frame, ..position.clone() };
            let bytes = moved.encode().map_err(|malformed| malformed.in_file(&path, 0))?;
            let file = disk.create(&path)?;
            file.write_at(0, &bytes)?;
            file.sync()?;
            written += 1;
        }
        if written > 0 {
            disk.sync_folder(&folder)?;
        }
        Ok((written, left_out))
    }
}

/// Saves what is sound of the journal in `from` to a new one in `to`, a folder that is empty or not
/// there yet.
///
/// # Errors
/// [`Error::NotEmpty`], [`Error::NoJournal`] when nothing of one is there, [`Error::Interrupted`];
/// what the disk said.
pub fn salvage(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    report: &mut Report<'_>,
) -> Result<Salvaged, Error> {
    let sources = Sources::find(disk, from)?;
    let _lock = take_folder(disk, to)?;
    let saved = save(disk, from, to, &sources, report);
    ended(disk, to, saved)
}

fn save(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    sources: &Sources,
    report: &mut Report<'_>,
) -> Result<Salvaged, Error> {
    let manifest = sources.manifest.as_ref().ok();
    let highest = sources.names.iter().filter_map(|name| {
        let id = name.strip_prefix("chain-").or_else(|| name.strip_prefix("data-"))?;
        id.strip_suffix(".seg")?.parse::<u32>().ok()
    });
    let inherited = Inherited {
        indexes: manifest.map_or(0, |manifest| manifest.indexes),
        owner: manifest.map(|manifest| manifest.owner.clone()).unwrap_or_default(),
        kinds: manifest.map(|manifest| manifest.kinds.clone()).unwrap_or_default(),
        created: manifest.map_or_else(|| disk.now(), |manifest| manifest.created),
        next_segment: match manifest {
            Some(manifest) => manifest.next_segment,
            None => highest.max().map_or(1, |id| id + 1),
        },
    };
    let mut rewriter = Rewriter::new(disk, to, inherited);
    let mut saved = Salvaged {
        parent: sources.store_id,
        store_id: rewriter.store_id(),
        had_manifest: manifest.is_some(),
        events: 0,
        frames: 0,
        end_sequence: 0,
        missing: Vec::new(),
        problems: Vec::new(),
        problems_left_out: 0,
        damaged_extents: 0,
        cursors: 0,
        cursors_left_out: Vec::new(),
    };
    if let Err(error) = &sources.manifest {
        saved.problem(&super::sources::manifest_of(from), 0, 0, error.to_string());
    }
    for path in &sources.absent {
        saved.problem(path, 0, 0, "the file is not there");
    }
    let mut followers = Followers::new(disk, from, sources.store_id)?;
    let mut progress = WorkProgress {
        bytes_total: sources.segments.iter().map(|source| source.end).sum(),
        ..WorkProgress::default()
    };
    let keys = StoreKeys::new(&sources.store_id);
    let old_data = manifest.map_or_else(DataSegments::default, DataSegments::of);
    let mut walker = Walker::new(sources.store_id, &keys);
    let mut data = BTreeSet::new();
    // What was acknowledged, as far as anything says so.
    let secret = manifest.map(|manifest| IndexKeys::new(manifest.secret.0));
    let mut durable_end =
        manifest.and_then(|manifest| manifest.chain.last()).map_or(0, |active| active.end_sequence);
    for source in &sources.segments {
        let path = source.file.path();
        if let Err(malformed) = &source.header {
            saved.problem(path, malformed.at, 0, malformed.what);
        }
        if walker.follow.sequence >= source.until {
            continue;
        }
        if let (true, Some(start)) = (source.is_reduced(), source.start()) {
            if start.first_sequence > rewriter.end_sequence() {
                let missing = rewriter.end_sequence()..start.first_sequence;
                rewriter.gap(missing.end, LOST)?;
                saved.missing.push(missing);
            }
            if start.first_sequence < rewriter.end_sequence() {
                saved.problem(path, 0, source.end, "begins with events that another segment has");
                continue;
            }
            let begin = begin_of(source.info.as_ref(), start);
            let old = (&sources.store_id, &keys);
            let end = source.end;
            let walked = rewriter.reduced(&*source.file, end, begin, old, &mut |item, digest| {
                if let Item::Frame(frame) = item {
                    let mut extents = Vec::new();
                    note_extents(frame, &mut extents);
                    data.extend(extents.iter().map(|(_, extent)| extent.segment));
                }
                saved.frames += 1;
                saved.events += match item {
                    Item::Stub(stub) => u64::from(stub.header.event_count) - stub.dropped_count(),
                    item => item.sequences().end - item.sequences().start,
                };
                followers.frame(item.sequences(), digest);
                Ok(())
            });
            match walked {
                Ok(end) => walker.follow = end,
                Err(Error::Corrupt { offset, what, .. }) => {
                    saved.problem(path, offset, source.end.saturating_sub(offset), what);
                    walker.follow.sequence = rewriter.end_sequence();
                }
                Err(error) => return Err(error),
            }
            progress.bytes_done += source.end;
            tell(report, &progress)?;
            continue;
        }
        let range = BLOCK_BYTES..source.end.max(BLOCK_BYTES);
        walker.segment(&*source.file, range, &mut |_, found| {
            match found {
                Found::Frame { frame, .. } => {
                    let header = &frame.header;
                    if header.base_sequence >= source.until {
                        return Ok(ControlFlow::Break(()));
                    }
                    if header.base_sequence > rewriter.end_sequence() {
                        let missing = rewriter.end_sequence()..header.base_sequence;
                        let known = manifest.and_then(|manifest| {
                            let is_it = |gap: &&crate::format::manifest::Gap| {
                                gap.first_sequence <= missing.start
                                    && missing.end <= gap.end_sequence
                            };
                            manifest.gaps.iter().find(is_it)
                        });
                        match known {
                            Some(gap) => rewriter.gap(missing.end, &gap.reason)?,
                            None => {
                                rewriter.gap(missing.end, LOST)?;
                                saved.missing.push(missing);
                            }
                        }
                    }
                    let mut extents = Vec::new();
                    note_extents(&frame, &mut extents);
                    for (sequence, extent) in extents {
                        data.insert(extent.segment);
                        if !old_data.is_extent_sound(disk, from, &extent)? {
                            let what = format!("an extent of event {sequence} is damaged");
                            let path = crate::segment::data_path(from, extent.segment);
                            saved.problem(&path, extent.offset, extent.bytes, what);
                            saved.damaged_extents += 1;
                        }
                    }
                    let digest = rewriter.frame(&frame)?;
                    followers.frame(header.base_sequence..header.end_sequence(), digest);
                    saved.events += u64::from(header.event_count);
                    saved.frames += 1;
                    progress.events = saved.events;
                }
                Found::Problem { offset, bytes, what } => saved.problem(path, offset, bytes, what),
                Found::Mark { mark, .. } => {
                    if secret.as_ref().is_some_and(|secret| mark.is_genuine(secret)) {
                        durable_end = durable_end.max(mark.durable_end);
                    }
                }
                Found::Read { bytes } => {
                    progress.bytes_done += bytes;
                    tell(report, &progress)?;
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let known = manifest.map_or(&[][..], |manifest| &manifest.data);
    let absent = copy_data(disk, from, &mut rewriter, known, data.into_iter(), &mut |_| Ok(()))?;
    for id in absent {
        let path = crate::segment::data_path(from, id);
        saved.problem(&path, 0, 0, "the data segment is not there, or not one");
    }
    if durable_end > rewriter.end_sequence() {
        // Their sequences are not given out again.
        saved.missing.push(rewriter.end_sequence()..durable_end);
        rewriter.gap(durable_end, LOST)?;
    }
    saved.end_sequence = rewriter.end_sequence();
    (saved.cursors, saved.cursors_left_out) = followers.write(disk, to, saved.store_id)?;
    let lineage = Lineage {
        parent: sources.store_id,
        end_sequence: saved.end_sequence,
        last: walker.follow.last,
    };
    rewriter.finish(lineage)?;
    Ok(saved)
}
