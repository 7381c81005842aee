//! From a source to blocks of decompressed bytes, frames in parallel, in the order of the archive.
//!
//! 1. The splitter reads chunks and says what the container is by its first bytes.
//! 2. For zstd it walks frame borders without decompressing and makes a job of each frame; any
//!    other container is one job.
//! 3. A job has a queue of compressed pieces and a queue of blocks of its own. The queues of blocks
//!    are handed to the consumer in the order of the frames, so that it reads one after the other
//!    while later frames are already being decompressed.
//!
//! No deadlock: the splitter gives all pieces of a frame before it begins the next, each
//! decompressor works on one frame at a time with blocks of its own, and a job's queue of blocks
//! holds as many as its decompressor has. When the consumer goes away every send fails and all
//! threads end.

use std::{ops::Range, sync::Arc, thread};

use crossbeam_channel::{Receiver, Sender, bounded};
use icecore_archive::{
    Error as ArchiveError,
    container::{ContainerKind, Detection, Progress as Step, WalkEnd, detect},
    stream::ContainerDecoder,
    zstd_frames::{FrameEvent, FrameHeader, FrameKind, FrameWalker},
    zstd_stream::ZstdFrameDecoder,
};

use super::blocks::{BLOCK_BYTES, Block, BlockPool};
use crate::{Error, progress::Progress, source::SourceReader};

/// Bytes read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Compressed pieces that wait for one decompressor.
const PIECES_MAX: usize = 16;

/// Frames begun but not consumed, beyond one for each decompressor.
const FRAMES_AHEAD_MAX: usize = 2;

/// Blocks of one decompressor: a whole frame of 32 MiB, as newer clients write them, and what the
/// workers hold.
const BLOCKS_MAX: usize = 40;

/// What stopped the stream.
#[derive(Debug)]
pub(crate) enum StreamFault {
    /// The archive's bytes are wrong.
    Damage(ArchiveError),
    /// Something else is.
    Operating(Error),
}

impl<E: Into<Error>> From<E> for StreamFault {
    fn from(error: E) -> Self {
        Self::Operating(error.into())
    }
}

/// What was seen of the container once its end is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerReport {
    /// What it is, by its bytes.
    pub kind: ContainerKind,
    /// Frames with data; 0 for plain tar.
    pub frames: u64,
    /// Skippable frames.
    pub skippable_frames: u64,
    /// Compressed bytes.
    pub bytes: u64,
    /// Bytes after the last frame that are no frame.
    pub trailing_bytes: u64,
}

struct Piece {
    chunk: Arc<Vec<u8>>,
    range: Range<usize>,
}

struct Job {
    content: Content,
    pieces: Receiver<Piece>,
    blocks: Sender<Result<Block, StreamFault>>,
    /// For a container that is one stream: told when it ends.
    end: Sender<WalkEnd>,
}

/// What a job decompresses.
#[derive(Debug, Clone, Copy)]
enum Content {
    /// One zstd frame, which begins there in the file.
    Frame { offset: u64 },
    /// A whole container of another kind.
    Stream(ContainerKind),
}

enum Ordered {
    Frame(Receiver<Result<Block, StreamFault>>),
    Fault(StreamFault),
    End(ContainerReport),
}

/// The consumer's end: blocks in order.
pub(crate) struct BlockStream<'a> {
    order: Receiver<Ordered>,
    frame: Option<Receiver<Result<Block, StreamFault>>>,
    report: Option<ContainerReport>,
    progress: &'a Progress,
}

impl BlockStream<'_> {
    /// The next block, `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Block>, StreamFault> {
        self.progress.check()?;
        loop {
            if let Some(frame) = &self.frame {
                match frame.recv() {
                    Ok(block) => {
                        let block = block?;
                        self.progress.add_unpacked(block.len());
                        return Ok(Some(block));
                    }
                    Err(_) => self.frame = None,
                }
            }
            match self.order.recv() {
                Ok(Ordered::Frame(frame)) => self.frame = Some(frame),
                Ok(Ordered::Fault(fault)) => return Err(fault),
                Ok(Ordered::End(report)) => self.report = Some(report),
                Err(_) => return Ok(None),
            }
        }
    }

    /// What the container was, once `next` has said that it ended.
    pub(crate) fn report(&self) -> Option<ContainerReport> {
        self.report
    }
}

/// Runs the threads that feed `consume`, and ends them before it returns.
pub(crate) fn with_blocks<R>(
    reader: SourceReader<'_>,
    decompressors: usize,
    progress: &Progress,
    consume: impl FnOnce(&mut BlockStream<'_>) -> R,
) -> R {
    let (jobs_in, jobs) = bounded::<Job>(FRAMES_AHEAD_MAX);
    let (order_in, order) = bounded(decompressors + FRAMES_AHEAD_MAX);
    thread::scope(|scope| {
        for _ in 0..decompressors {
            let jobs = jobs.clone();
            scope.spawn(move || decompress_jobs(&jobs));
        }
        drop(jobs);
        scope.spawn(move || {
            let mut splitter = Splitter { reader, jobs: jobs_in, order: order_in, progress };
            if let Err(Ended::Fault(fault)) = splitter.run() {
                // A consumer that has gone away needs no fault.
                let _ = splitter.order.send(Ordered::Fault(fault));
            }
        });
        let mut stream = BlockStream { order, frame: None, report: None, progress };
        consume(&mut stream)
    })
}

/// Why the splitter stops early.
enum Ended {
    Fault(StreamFault),
    /// The consumer has gone away.
    Abandoned,
}

impl<E: Into<StreamFault>> From<E> for Ended {
    fn from(fault: E) -> Self {
        Self::Fault(fault.into())
    }
}

struct Splitter<'a> {
    reader: SourceReader<'a>,
    jobs: Sender<Job>,
    order: Sender<Ordered>,
    progress: &'a Progress,
}

/// The job that the splitter is giving pieces to.
struct Open {
    pieces: Sender<Piece>,
    end: Receiver<WalkEnd>,
}

impl Splitter<'_> {
    fn run(&mut self) -> Result<(), Ended> {
        let first = self.chunk()?;
        let kind = match detect(&first) {
            Detection::Known(kind) => kind,
            // Skippable frames that reach beyond a whole chunk are met in zstd archives only.
            Detection::Behind { .. } | Detection::NeedMore if first.len() == CHUNK_BYTES => {
                ContainerKind::Zstd
            }
            Detection::Behind { .. } | Detection::NeedMore => {
                let offset = first.len() as u64;
                let error = ArchiveError::ContainerEnds {
                    container: ContainerKind::Zstd,
                    offset,
                    frame_offset: 0,
                };
                return Err(Ended::Fault(StreamFault::Damage(error)));
            }
            Detection::Unknown { what } => {
                let error = ArchiveError::NotAContainer { offset: 0, what };
                return Err(Ended::Fault(StreamFault::Damage(error)));
            }
        };
        match kind {
            ContainerKind::Zstd => self.frames(first),
            kind => self.stream(kind, first),
        }
    }

    fn chunk(&mut self) -> Result<Arc<Vec<u8>>, Ended> {
        self.progress.check().map_err(StreamFault::Operating)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let count = self.reader.read(&mut chunk).map_err(StreamFault::Operating)?;
        chunk.truncate(count);
        self.progress.add_read(count);
        Ok(Arc::new(chunk))
    }

    fn open_frame(&mut self, header: &FrameHeader) -> Result<Open, Ended> {
        self.open(Content::Frame { offset: header.offset })
    }

    fn open(&mut self, content: Content) -> Result<Open, Ended> {
        let (pieces_in, pieces) = bounded(PIECES_MAX);
        let (blocks_in, blocks) = bounded(BLOCKS_MAX);
        let (end_in, end) = bounded(1);
        self.order.send(Ordered::Frame(blocks)).map_err(|_| Ended::Abandoned)?;
        self.jobs
            .send(Job { content, pieces, blocks: blocks_in, end: end_in })
            .map_err(|_| Ended::Abandoned)?;
        Ok(Open { pieces: pieces_in, end })
    }

    /// A zstd container: a job for each frame.
    fn frames(&mut self, first: Arc<Vec<u8>>) -> Result<(), Ended> {
        let mut walker = FrameWalker::new();
        let mut bytes_read = 0;
        let mut open: Option<Open> = None;
        let mut chunk = first;
        while !chunk.is_empty() {
            bytes_read += chunk.len() as u64;
            let mut input = &chunk[..];
            loop {
                let event = match walker.next(&mut input) {
                    Ok(Some(event)) => event,
                    Ok(None) => break,
                    Err(error) => return Err(Ended::Fault(StreamFault::Damage(error))),
                };
                match event {
                    FrameEvent::FrameStart { header } => match header.kind {
                        FrameKind::Data { .. } => open = Some(self.open_frame(&header)?),
                        FrameKind::Skippable { .. } => {}
                    },
                    FrameEvent::Bytes(bytes) => {
                        if let Some(open) = &open {
                            // A decompressor that met damage takes no more; the damage is on its
                            // way to the consumer.
                            let _ = open.pieces.send(piece_of(&chunk, bytes));
                        }
                    }
                    FrameEvent::FrameEnd { .. } => open = None,
                    FrameEvent::Trailing { .. } => {}
                }
            }
            chunk = self.chunk()?;
        }
        drop(open);
        let end = walker.finish().map_err(|error| Ended::Fault(StreamFault::Damage(error)))?;
        let report = ContainerReport {
            kind: ContainerKind::Zstd,
            frames: end.data_frames,
            skippable_frames: end.skippable_frames,
            bytes: bytes_read,
            trailing_bytes: end.trailing_bytes,
        };
        self.order.send(Ordered::End(report)).map_err(|_| Ended::Abandoned)
    }

    /// A container that is decoded as one stream.
    fn stream(&mut self, kind: ContainerKind, first: Arc<Vec<u8>>) -> Result<(), Ended> {
        let open = self.open(Content::Stream(kind))?;
        let mut bytes = 0;
        let mut chunk = first;
        while !chunk.is_empty() {
            bytes += chunk.len() as u64;
            let range = 0..chunk.len();
            if open.pieces.send(Piece { chunk, range }).is_err() {
                return Ok(());
            }
            chunk = self.chunk()?;
        }
        drop(open.pieces);
        let Ok(end) = open.end.recv() else { return Ok(()) };
        let report = ContainerReport {
            kind,
            frames: end.data_frames,
            skippable_frames: end.skippable_frames,
            bytes,
            trailing_bytes: end.trailing_bytes,
        };
        self.order.send(Ordered::End(report)).map_err(|_| Ended::Abandoned)
    }
}

/// The piece of `chunk` that `bytes` is; a frame header that came in two chunks lies elsewhere and
/// is copied.
fn piece_of(chunk: &Arc<Vec<u8>>, bytes: &[u8]) -> Piece {
    let within = (bytes.as_ptr() as usize).checked_sub(chunk.as_ptr() as usize);
    match within {
        Some(start) if start + bytes.len() <= chunk.len() => {
            Piece { chunk: Arc::clone(chunk), range: start..start + bytes.len() }
        }
        _ => Piece { chunk: Arc::new(bytes.to_vec()), range: 0..bytes.len() },
    }
}

fn decompress_jobs(jobs: &Receiver<Job>) {
    let mut pool = BlockPool::new(BLOCKS_MAX);
    let mut frame_decoder = ZstdFrameDecoder::new();
    for job in jobs {
        let result = match job.content {
            Content::Frame { offset } => {
                frame_decoder.reset_at(offset);
                decompress_frame(&job, &mut frame_decoder, &mut pool)
            }
            Content::Stream(kind) => decompress_stream(&job, kind, &mut pool),
        };
        match result {
            Ok(()) | Err(Ended::Abandoned) => {}
            Err(Ended::Fault(fault)) => {
                let _ = job.blocks.send(Err(fault));
            }
        }
    }
}

/// The block that is being filled.
struct Filling<'a> {
    pool: &'a mut BlockPool,
    blocks: &'a Sender<Result<Block, StreamFault>>,
    buffer: Option<Vec<u8>>,
    filled: usize,
}

impl Filling<'_> {
    fn space(&mut self) -> &mut [u8] {
        let buffer = self.buffer.get_or_insert_with(|| self.pool.take());
        &mut buffer[self.filled..]
    }

    fn advance(&mut self, written: usize) -> Result<(), Ended> {
        self.filled += written;
        if self.filled == BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Ended> {
        let Some(buffer) = self.buffer.take() else { return Ok(()) };
        let block = self.pool.block(buffer, self.filled);
        self.filled = 0;
        if block.is_empty() {
            return Ok(());
        }
        self.blocks.send(Ok(block)).map_err(|_| Ended::Abandoned)
    }
}

/// A frame whose pieces end early is reported by the splitter, which knows where.
fn decompress_frame(
    job: &Job,
    decoder: &mut ZstdFrameDecoder,
    pool: &mut BlockPool,
) -> Result<(), Ended> {
    decompress(job, pool, |input, space| decoder.decode(input, space))
}

fn decompress_stream(job: &Job, kind: ContainerKind, pool: &mut BlockPool) -> Result<(), Ended> {
    let mut decoder = ContainerDecoder::new(kind);
    decompress(job, pool, |input, space| {
        let step = decoder.decode(input, space)?;
        // Another frame may follow in the same piece.
        Ok(Step { frame_done: false, ..step })
    })?;
    let end = decoder.finish().map_err(|error| Ended::Fault(StreamFault::Damage(error)))?;
    let _ = job.end.send(end);
    Ok(())
}

/// Decodes a job's pieces into blocks. What was decoded before damage is given out first.
fn decompress(
    job: &Job,
    pool: &mut BlockPool,
    mut decode: impl FnMut(&mut &[u8], &mut [u8]) -> Result<Step, ArchiveError>,
) -> Result<(), Ended> {
    let mut filling = Filling { pool, blocks: &job.blocks, buffer: None, filled: 0 };
    for piece in &job.pieces {
        let mut input = &piece.chunk[piece.range.clone()];
        loop {
            let space = filling.space();
            let space_bytes = space.len();
            let step = match decode(&mut input, space) {
                Ok(step) => step,
                Err(error) => {
                    filling.flush()?;
                    return Err(Ended::Fault(StreamFault::Damage(error)));
                }
            };
            filling.advance(step.written)?;
            // Output that filled its space may have more behind it.
            if step.frame_done || (input.is_empty() && step.written < space_bytes) {
                break;
            }
        }
    }
    filling.flush()
}
