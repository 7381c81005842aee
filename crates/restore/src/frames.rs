//! The frames of an archive file.
//!
//! zstd frames are found by their headers and block sizes, without decompressing; lz4 frames are
//! decompressed, since their headers do not say what they hold. A plain tar file has none.
//!
//! What it does *not* do: look at the content, which [`read_archive`](crate::read_archive) does.

use std::{ops::ControlFlow, path::Path};

use icecore_archive::{
    Error as ArchiveError,
    container::{ContainerKind, Detection, WalkEnd, detect},
    lz4_stream::{Lz4Decoder, Lz4Frame},
    zstd_frames::{FrameEvent, FrameKind, FrameWalker},
};
use icecore_disk::File;

use crate::{Error, progress::Progress};

/// Bytes read at once, and decompressed at once.
const CHUNK_BYTES: usize = 1 << 20;

/// A frame of an archive file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// A zstd frame, or a skippable one.
    Zstd {
        /// Where it begins in the file.
        offset: u64,
        /// Its bytes in the file.
        bytes: u64,
        /// What its header says.
        kind: FrameKind,
    },
    /// An lz4 frame. Skippable frames between them are passed over.
    Lz4(Lz4Frame),
}

/// How the walk over the frames ended.
#[derive(Debug, Clone, Default)]
pub struct FramesEnd {
    /// What the file is by its content, where that is known.
    pub kind: Option<ContainerKind>,
    /// Counts, when the end of the file was reached.
    pub end: Option<WalkEnd>,
    /// What is wrong in the bytes, if the end was not reached because of it.
    pub damage: Option<ArchiveError>,
}

/// Gives the frames of an archive file to `visit`, in order, until it breaks.
///
/// # Errors
/// [`Error::Disk`] and [`Error::Interrupted`]; damage is no error but told in [`FramesEnd`].
pub fn read_frames(
    path: impl AsRef<Path>,
    progress: &Progress,
    mut visit: impl FnMut(Frame) -> ControlFlow<()>,
) -> Result<FramesEnd, Error> {
    let file = icecore_disk::File::open(path.as_ref())?;
    progress.begin(format!("frames of {}", path.as_ref().display()));
    progress.expect_bytes(file.bytes());
    let mut chunks = Chunks { file, offset: 0, buffer: vec![0; CHUNK_BYTES], progress };
    let first = chunks.next()?;
    let kind = match detect(first) {
        Detection::Known(kind) => kind,
        // Skippable frames that reach beyond a whole chunk are met in zstd archives only.
        Detection::Behind { .. } | Detection::NeedMore if first.len() == CHUNK_BYTES => {
            ContainerKind::Zstd
        }
        Detection::Behind { .. } | Detection::NeedMore => {
            let offset = first.len() as u64;
            let container = ContainerKind::Zstd;
            let error = ArchiveError::ContainerEnds { container, offset, frame_offset: 0 };
            return Ok(FramesEnd { damage: Some(error), ..FramesEnd::default() });
        }
        Detection::Unknown { what } => {
            let error = ArchiveError::NotAContainer { offset: 0, what };
            return Ok(FramesEnd { damage: Some(error), ..FramesEnd::default() });
        }
    };
    chunks.offset = 0;
    let walked = match kind {
        ContainerKind::Zstd => zstd_frames(&mut chunks, &mut visit)?,
        ContainerKind::Lz4 => lz4_frames(&mut chunks, &mut visit)?,
        ContainerKind::Tar => Ok(Some(WalkEnd::default())),
    };
    let kind = Some(kind);
    Ok(match walked {
        Ok(end) => FramesEnd { kind, end, damage: None },
        Err(error) => FramesEnd { kind, end: None, damage: Some(error) },
    })
}

struct Chunks<'a> {
    file: File,
    offset: u64,
    buffer: Vec<u8>,
    progress: &'a Progress,
}

impl Chunks<'_> {
    /// The next bytes; none at the end.
    fn next(&mut self) -> Result<&[u8], Error> {
        self.progress.check()?;
        let count = self.file.read_at(self.offset, &mut self.buffer)?;
        self.offset += count as u64;
        self.progress.add_read(count);
        Ok(&self.buffer[..count])
    }
}

/// The end, `None` when the visitor has had enough, or what is wrong.
type Walked = Result<Option<WalkEnd>, ArchiveError>;

fn zstd_frames(
    chunks: &mut Chunks<'_>,
    visit: &mut impl FnMut(Frame) -> ControlFlow<()>,
) -> Result<Walked, Error> {
    let mut walker = FrameWalker::new();
    let mut header = None;
    loop {
        let mut input = chunks.next()?;
        if input.is_empty() {
            return Ok(walker.finish().map(Some));
        }
        loop {
            match walker.next(&mut input) {
                Ok(Some(FrameEvent::FrameStart { header: started })) => header = Some(started),
                Ok(Some(FrameEvent::FrameEnd { offset })) => {
                    let header = header.take().expect("a frame starts before it ends");
                    let bytes = offset - header.offset;
                    let frame = Frame::Zstd { offset: header.offset, bytes, kind: header.kind };
                    if visit(frame).is_break() {
                        return Ok(Ok(None));
                    }
                }
                Ok(Some(FrameEvent::Bytes(_) | FrameEvent::Trailing { .. })) => {}
                Ok(None) => break,
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}

fn lz4_frames(
    chunks: &mut Chunks<'_>,
    visit: &mut impl FnMut(Frame) -> ControlFlow<()>,
) -> Result<Walked, Error> {
    let progress = chunks.progress;
    let mut decoder = Lz4Decoder::new();
    let mut content = vec![0; CHUNK_BYTES];
    loop {
        let mut input = chunks.next()?;
        if input.is_empty() {
            return Ok(decoder.finish().map(Some));
        }
        loop {
            progress.check()?;
            match decoder.decode(&mut input, &mut content) {
                Ok(done) => {
                    progress.add_unpacked(done.written);
                    if done.frame_done {
                        let frame = *decoder.last_frame().expect("a frame was done just now");
                        if visit(Frame::Lz4(frame)).is_break() {
                            return Ok(Ok(None));
                        }
                    } else if done.written < content.len() {
                        break;
                    }
                }
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}
