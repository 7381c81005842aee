//! What is in a chain segment, or in all of a journal's, piece by piece: for people and scripts.
//!
//! It works on a file alone, and on damaged ones: what is wrong is told where it is, and the dump
//! goes on behind it.
//!
//! What it does *not* do: compare segments with each other or with the manifest (see `check`).

use std::{
    ops::{ControlFlow, Range},
    path::Path,
    sync::Arc,
};

use icecore_disk::{Access, Disk, DiskFile};

use super::{
    reduced::{Reduced, walk_reduced},
    rewrite::reduced::{begin_of, reductions_of},
    sources::{Sources, read_header},
    walk::{Found, Walker},
};
use crate::{
    Digest, Error, Event, StoreId,
    digest::StoreKeys,
    format::{
        BLOCK_BYTES,
        annex::Annex,
        frame::FrameHeader,
        reduced::{Fate, Item},
        segment_header::{ChainStart, Content, SegmentHeader},
    },
    read::RecordBytes,
};

/// A piece of a journal.
#[derive(Debug)]
#[non_exhaustive]
pub enum Piece<'a> {
    /// A chain segment begins.
    Segment {
        /// The file.
        path: &'a Path,
        /// Its id.
        id: u32,
        /// Of the writer that made it.
        epoch: u64,
        /// Its first event.
        first_sequence: u64,
        /// Its first frame.
        first_frame: u64,
    },
    /// A frame whose digest is that of its content.
    Frame {
        /// Where it begins, in bytes of the file.
        offset: u64,
        /// Its size in bytes.
        bytes: u64,
        /// Its place in the chain.
        number: u64,
        /// Its first event.
        first_sequence: u64,
        /// How many events it has.
        event_count: u32,
        /// When it was accepted, in nanoseconds since 1970.
        time: u64,
        /// Every event below was durable then.
        durable_end: u64,
        /// Of its writer.
        epoch: u64,
        /// Digest of the frame before it.
        previous: Digest,
        /// Its digest.
        digest: Digest,
        /// The idempotency key of its request, if it had one.
        idempotency_key: Option<&'a [u8]>,
        /// Gates that let it pass.
        gates: Vec<String>,
    },
    /// An event of the frame before.
    Event(Event),
    /// Events that were dropped.
    Dropped {
        /// Where it says so, in bytes of the file.
        offset: u64,
        /// Their sequences.
        sequences: Range<u64>,
        /// Why.
        reason: &'a str,
    },
    /// A head mark.
    Mark {
        /// Where it is, in bytes of the file.
        offset: u64,
        /// Every event below was durable.
        durable_end: u64,
        /// Whether the writer closed the journal with it.
        is_clean_close: bool,
    },
    /// Something is wrong.
    Problem {
        /// The file.
        path: &'a Path,
        /// Where, in bytes of the file.
        offset: u64,
        /// Bytes that are no sound frame.
        bytes: u64,
        /// What is wrong.
        what: &'a str,
    },
}

/// Takes the pieces; ends the dump with `Break`.
pub type Take<'a> = dyn FnMut(Piece<'_>) -> ControlFlow<()> + 'a;

/// Dumps a journal's folder, or one chain segment. Returns how many problems there were.
///
/// # Errors
/// [`Error::NoJournal`] when the folder holds nothing of one; [`Error::Corrupt`] when a single file is
/// no chain segment; what the disk said.
pub fn dump(disk: &dyn Disk, path: &Path, take: &mut Take<'_>) -> Result<u64, Error> {
    match disk.open(path, Access::Read) {
        Ok(file) => {
            let header = read_header(&*file)?.map_err(|malformed| malformed.in_file(path, 0))?;
            let store_id = header.store_id;
            let end = file.bytes()?;
            let mut problems = 0;
            let limits = (end, u64::MAX);
            // Whether the taker wanted more does not matter at the end.
            let _ = segment(&*file, Some(&header), store_id, limits, take, &mut problems)?;
            Ok(problems)
        }
        Err(error) if error.is_absent() => Err(error.into()),
        Err(_) => folder(disk, path, take),
    }
}

fn folder(disk: &dyn Disk, path: &Path, take: &mut Take<'_>) -> Result<u64, Error> {
    let sources = Sources::find(disk, path)?;
    let mut problems = 0;
    if let Err(error) = &sources.manifest {
        problems += 1;
        let manifest = super::sources::manifest_of(path);
        let what = error.to_string();
        if take(Piece::Problem { path: &manifest, offset: 0, bytes: 0, what: &what }).is_break() {
            return Ok(problems);
        }
    }
    for absent in &sources.absent {
        problems += 1;
        let what = "the file is not there";
        if take(Piece::Problem { path: absent, offset: 0, bytes: 0, what }).is_break() {
            return Ok(problems);
        }
    }
    for source in &sources.segments {
        let header = source.header.as_ref().ok();
        let limits = (source.end, source.until);
        if let Err(malformed) = &source.header {
            problems += 1;
            let (offset, what) = (malformed.at, malformed.what);
            let path = source.file.path();
            if take(Piece::Problem { path, offset, bytes: 0, what }).is_break() {
                return Ok(problems);
            }
        }
        let file = Arc::clone(&source.file);
        let dumped = segment(&*file, header, sources.store_id, limits, take, &mut problems)?;
        if dumped.is_break() {
            break;
        }
    }
    Ok(problems)
}

/// `limits`: where the file's content ends, and from which event on it does not count.
fn segment(
    file: &dyn DiskFile,
    header: Option<&SegmentHeader>,
    store_id: StoreId,
    limits: (u64, u64),
    take: &mut Take<'_>,
    problems: &mut u64,
) -> Result<ControlFlow<()>, Error> {
    let keys = StoreKeys::new(&store_id);
    let mut walker = Walker::new(store_id, &keys);
    if let Some(header) = header {
        let (Content::Chain(start) | Content::ReducedChain(start)) = &header.content else {
            let path = file.path().to_path_buf();
            return Err(Error::Corrupt { path, offset: 0, what: "this is no chain segment" });
        };
        walker.follow.sequence = start.first_sequence;
        walker.follow.frame_number = start.first_frame;
        walker.follow.last = start.previous;
        let begun = take(Piece::Segment {
            path: file.path(),
            id: header.segment,
            epoch: header.epoch,
            first_sequence: start.first_sequence,
            first_frame: start.first_frame,
        });
        if begun.is_break() {
            return Ok(begun);
        }
    }
    let mut flow = ControlFlow::Continue(());
    let (end, until) = limits;
    if let Some(SegmentHeader { content: Content::ReducedChain(start), .. }) = header {
        return reduced(file, end, start, (&store_id, &keys), take, problems);
    }
    walker.segment(file, BLOCK_BYTES..end.max(BLOCK_BYTES), &mut |walker, found| {
        flow = match found {
            Found::Read { .. } => return Ok(ControlFlow::Continue(())),
            Found::Mark { offset, mark } => take(Piece::Mark {
                offset,
                durable_end: mark.durable_end,
                is_clean_close: mark.is_clean_close,
            }),
            Found::Problem { offset, bytes, what } => {
                *problems += 1;
                take(Piece::Problem { path: file.path(), offset, bytes, what })
            }
            Found::Frame { frame, .. } if frame.header.base_sequence >= until => {
                return Ok(ControlFlow::Break(()));
            }
            Found::Frame { offset, frame } => {
                let header = &frame.header;
                if let Some(missing) = &walker.missing {
                    *problems += 1;
                    let what =
                        format!("events {} to {} are missing", missing.start, missing.end - 1);
                    let problem =
                        Piece::Problem { path: file.path(), offset, bytes: 0, what: &what };
                    if take(problem).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                let bytes = frame.bytes.len() as u64;
                let mut flow = take(frame_piece(offset, bytes, header, frame.annex_bytes()));
                for (index, (_, bytes)) in frame.records().enumerate() {
                    let sequence = header.base_sequence + index as u64;
                    let bytes = RecordBytes::Owned(bytes.into());
                    // One that does not check was told of as a problem.
                    if let Ok(event) = Event::check(bytes, &store_id, sequence, header.time)
                        && flow.is_continue()
                    {
                        flow = take(Piece::Event(event));
                    }
                }
                flow
            }
        };
        Ok(flow)
    })?;
    Ok(flow)
}

/// A segment from which events were dropped, up to the first damage.
fn reduced(
    file: &dyn DiskFile,
    end: u64,
    start: &ChainStart,
    (store_id, keys): (&StoreId, &StoreKeys),
    take: &mut Take<'_>,
    problems: &mut u64,
) -> Result<ControlFlow<()>, Error> {
    let reductions = match reductions_of(file) {
        Ok(reductions) => reductions,
        Err(Error::Corrupt { path, offset, what }) => {
            *problems += 1;
            return Ok(take(Piece::Problem { path: &path, offset, bytes: 0, what }));
        }
        Err(error) => return Err(error),
    };
    let reason = |number: u8| {
        let reduction = usize::from(number).checked_sub(1).and_then(|at| reductions.get(at));
        reduction.map_or("", |reduction| &reduction.reason)
    };
    let mut flow = ControlFlow::Continue(());
    let begin = begin_of(None, start);
    let walked = walk_reduced(file, end, begin, store_id, keys, &mut |found| {
        let Reduced::Item { offset, item, .. } = found else {
            return Ok(ControlFlow::Continue(()));
        };
        let (header, annex, bytes, fates) = match &item {
            Item::Gap(gap) => {
                let sequences = item.sequences();
                let reason = reason(gap.reduction);
                flow = take(Piece::Dropped { offset, sequences, reason });
                return Ok(flow);
            }
            Item::Frame(frame) => (
                frame.header,
                frame.annex_bytes(),
                frame.bytes.len(),
                frame.records().map(|(_, record)| Fate::Kept(record)).collect::<Vec<_>>(),
            ),
            Item::Stub(stub) => {
                (stub.header, stub.annex_bytes(), stub.bytes().len(), stub.fates().collect())
            }
        };
        flow = take(frame_piece(offset, bytes as u64, &header, annex));
        for (sequence, fate) in (header.base_sequence..).zip(fates) {
            if flow.is_break() {
                break;
            }
            flow = match fate {
                Fate::Kept(record) => {
                    let bytes = RecordBytes::Owned(record.into());
                    match Event::check(bytes, store_id, sequence, header.time) {
                        Ok(event) => take(Piece::Event(event)),
                        Err(_) => flow,
                    }
                }
                Fate::Dropped(_, number) => take(Piece::Dropped {
                    offset,
                    sequences: sequence..sequence + 1,
                    reason: reason(number),
                }),
            };
        }
        Ok(flow)
    });
    match walked {
        Ok(_) => Ok(flow),
        Err(Error::Corrupt { path, offset, what }) => {
            *problems += 1;
            let bytes = end.saturating_sub(offset);
            Ok(take(Piece::Problem { path: &path, offset, bytes, what }))
        }
        Err(error) => Err(error),
    }
}

fn frame_piece<'a>(offset: u64, bytes: u64, header: &FrameHeader, annex: &'a [u8]) -> Piece<'a> {
    let annex = Annex::decode(annex).unwrap_or_default();
    Piece::Frame {
        offset,
        bytes,
        number: header.frame_number,
        first_sequence: header.base_sequence,
        event_count: header.event_count,
        time: header.time,
        durable_end: header.durable_end,
        epoch: header.epoch,
        previous: header.previous,
        digest: header.digest,
        idempotency_key: annex.idempotency.map(|(_, key)| key),
        gates: annex.gates(),
    }
}
