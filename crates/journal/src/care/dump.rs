//! What is in a chain segment, or in all of a journal's, piece by piece: for people and scripts.
//!
//! It works on a file alone, and on damaged ones: what is wrong is told where it is, and the dump
//! goes on behind it.
//!
//! What it does *not* do: compare segments with each other or with the manifest (see `check`).

use std::{ops::ControlFlow, path::Path, sync::Arc};

use icecore_disk::{Access, Disk, DiskFile};

use super::{
    sources::{Sources, read_header},
    walk::{Found, Walker},
};
use crate::{
    Digest, Error, Event, StoreId,
    digest::StoreKeys,
    format::{
        BLOCK_BYTES,
        segment_header::{Content, SegmentHeader},
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
                let annex = frame.annex().unwrap_or_default();
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
                let mut flow = take(Piece::Frame {
                    offset,
                    bytes: frame.bytes.len() as u64,
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
                });
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
