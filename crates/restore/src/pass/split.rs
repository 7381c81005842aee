//! The splitting tile: finds frame borders without decompressing, and says what comes in which
//! order.
//!
//! 1. The first bytes say what the container is.
//! 2. Of a zstd container every frame goes to the next decompressor in turn; its bytes are passed
//!    on where the reading tile put them. Any other container is one stream for the first.
//! 3. The parser is told the order of the frames, and the end or the fault of the container, on a
//!    link of its own: so what a decompressor says never decides what comes next.
//!
//! Work that no credit is there for waits in a queue of a few steps; no input is taken meanwhile.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use icecore_archive::{
    Error as ArchiveError,
    container::{ContainerKind, Detection, detect},
    zstd_frames::{FrameEvent, FrameKind, FrameWalker},
};
use icecore_tile::{Activity, Answer, Cause, Control, Fragment, LinkFault, Mark, Ports, Tile};

use super::{
    ContainerReport,
    messages::{Content, Order},
    read::CHUNK_BYTES,
    slots::Slots,
};

/// The output that tells the parser the order; the decompressors' come after it.
const ORDER: usize = 0;

/// A publication that waits for credits.
enum Step {
    /// Bytes of their own.
    Message { output: usize, bytes: Vec<u8>, mark: u8 },
    /// Bytes of the chunk.
    Piece { output: usize, chunk: Fragment, range: Range<usize> },
}

/// Splits a container.
pub(crate) struct SplitTile<'env> {
    slots: Arc<Slots<'env>>,
    decompressors: usize,
    kind: Option<ContainerKind>,
    walker: FrameWalker,
    /// The chunk, and how much of it was looked at.
    chunk: Option<(Fragment, usize)>,
    /// What of the chunk belongs to the open frame and was not passed on.
    piece: Range<usize>,
    /// The decompressor of the open frame.
    open: Option<usize>,
    frames: usize,
    /// Which frames are wanted, if not all.
    wanted: Option<Arc<[bool]>>,
    /// Frames that were given out.
    given: usize,
    bytes: u64,
    steps: VecDeque<Step>,
    /// Nothing more is looked at: the end was told, or a fault.
    has_ended: bool,
}

impl<'env> SplitTile<'env> {
    pub(crate) fn new(slots: Arc<Slots<'env>>, decompressors: usize) -> Self {
        Self {
            slots,
            decompressors,
            kind: None,
            walker: FrameWalker::new(),
            chunk: None,
            piece: 0..0,
            open: None,
            frames: 0,
            wanted: None,
            given: 0,
            bytes: 0,
            steps: VecDeque::new(),
            has_ended: true,
        }
    }

    fn reset(&mut self) {
        *self = Self::new(Arc::clone(&self.slots), self.decompressors);
    }

    fn tell(&mut self, order: &Order) {
        self.steps.push_back(Step::Message { output: ORDER, bytes: order.to_bytes(), mark: 0 });
    }

    fn fault(&mut self, error: ArchiveError) {
        // The parser takes the fault when the frame before it is over.
        self.close();
        self.tell(&Order::Fault(error.into()));
        self.has_ended = true;
        self.chunk = None;
        self.slots.enough();
    }

    /// Opens a frame or a stream with the decompressor whose turn it is.
    fn open(&mut self, content: Content) {
        let frame = self.frames;
        self.frames += 1;
        let is_wanted = |wanted: &Arc<[bool]>| wanted.get(frame).copied().unwrap_or(true);
        if !self.wanted.as_ref().is_none_or(is_wanted) {
            self.tell(&Order::PassedOver);
            return;
        }
        let decompressor = self.given % self.decompressors;
        self.given += 1;
        self.tell(&Order::Frame { decompressor: decompressor as u32 });
        let output = ORDER + 1 + decompressor;
        let bytes = content.to_bytes();
        self.steps.push_back(Step::Message { output, bytes, mark: Mark::START });
        self.open = Some(output);
    }

    fn close(&mut self) {
        if let Some(output) = self.open.take() {
            let bytes = Vec::new();
            self.steps.push_back(Step::Message { output, bytes, mark: Mark::END });
        }
    }

    /// Passes on what was gathered of the chunk.
    fn pass_piece(&mut self) {
        let range = std::mem::take(&mut self.piece);
        if let (Some(output), Some((chunk, _)), false) = (self.open, &self.chunk, range.is_empty())
        {
            self.steps.push_back(Step::Piece { output, chunk: chunk.clone(), range });
        }
    }

    fn detect(&mut self, first: &[u8]) -> Result<ContainerKind, ArchiveError> {
        match detect(first) {
            Detection::Known(kind) => Ok(kind),
            // Skippable frames that reach beyond a whole chunk are met in zstd archives only.
            Detection::Behind { .. } | Detection::NeedMore if first.len() == CHUNK_BYTES => {
                Ok(ContainerKind::Zstd)
            }
            Detection::Behind { .. } | Detection::NeedMore => Err(ArchiveError::ContainerEnds {
                container: ContainerKind::Zstd,
                offset: first.len() as u64,
                frame_offset: 0,
            }),
            Detection::Unknown { what } => Err(ArchiveError::NotAContainer { offset: 0, what }),
        }
    }

    /// Looks at the chunk until there is something to publish or it is used up.
    fn look(&mut self) -> Result<(), ArchiveError> {
        let Some((chunk, from)) = &self.chunk else { return Ok(()) };
        let (chunk, from) = (chunk.clone(), *from);
        let bytes = chunk.bytes();
        #[cfg(test)]
        super::tests::trespass("split", bytes);
        let kind = match self.kind {
            Some(kind) => kind,
            None => {
                let kind = self.detect(bytes)?;
                self.kind = Some(kind);
                if kind != ContainerKind::Zstd {
                    self.open(Content::Stream(kind));
                }
                kind
            }
        };
        if kind != ContainerKind::Zstd {
            self.piece = 0..bytes.len();
            self.pass_piece();
            self.chunk = None;
            return Ok(());
        }
        let mut input = &bytes[from..];
        while self.steps.is_empty() {
            let event = self.walker.next(&mut input)?;
            let at = bytes.len() - input.len();
            match event {
                None => {
                    self.pass_piece();
                    self.chunk = None;
                    return Ok(());
                }
                Some(FrameEvent::FrameStart { header }) => {
                    if let FrameKind::Data { .. } = header.kind {
                        self.open(Content::Frame { offset: header.offset });
                    }
                }
                Some(FrameEvent::Bytes(part)) => {
                    let start = (part.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
                    let lies_here = start <= bytes.len() && part.len() <= bytes.len() - start;
                    match self.open {
                        None => {}
                        Some(_) if lies_here && start == self.piece.end => {
                            self.piece.end += part.len();
                        }
                        Some(_) if lies_here && self.piece.is_empty() => {
                            self.piece = start..start + part.len();
                        }
                        // A frame header that came in two chunks lies in the walker.
                        Some(output) => {
                            let bytes = part.to_vec();
                            self.steps.push_back(Step::Message { output, bytes, mark: 0 });
                        }
                    }
                }
                Some(FrameEvent::FrameEnd { .. }) => {
                    self.pass_piece();
                    self.close();
                }
                Some(FrameEvent::Trailing { .. }) => {}
            }
            if let Some((_, from)) = &mut self.chunk {
                *from = at;
            }
        }
        Ok(())
    }

    /// Publishes what waits, as far as credits go; whether all of it is published.
    fn publish(&mut self, ports: &mut Ports) -> Result<bool, LinkFault> {
        while let Some(step) = self.steps.front() {
            match step {
                Step::Message { output, bytes, mark } => {
                    let output = &mut ports.outputs[*output];
                    let Some(space) = output.space(bytes.len())? else { return Ok(false) };
                    space[..bytes.len()].copy_from_slice(bytes);
                    output.publish(bytes.len(), Mark { flags: *mark, origin: 0 });
                }
                Step::Piece { output, chunk, range } => {
                    let output = &mut ports.outputs[*output];
                    if !output.publish_held(chunk, range.clone(), Mark::default())? {
                        return Ok(false);
                    }
                }
            }
            self.steps.pop_front();
        }
        Ok(true)
    }

    /// All input has come.
    fn end(&mut self) {
        if self.has_ended {
            return;
        }
        self.has_ended = true;
        // Whoever wanted no more wants no end either.
        if self.slots.is_stopped() {
            return;
        }
        let report = |kind, frames, skippable_frames, trailing_bytes| {
            let bytes = self.bytes;
            ContainerReport { kind, frames, skippable_frames, bytes, trailing_bytes }
        };
        match self.kind {
            Some(ContainerKind::Zstd) => match self.walker.finish() {
                Ok(end) => {
                    let frames = (end.data_frames, end.skippable_frames);
                    let kind = ContainerKind::Zstd;
                    let end = report(kind, frames.0, frames.1, end.trailing_bytes);
                    self.tell(&Order::End(end));
                }
                Err(error) => self.fault(error),
            },
            Some(kind) => {
                let end = report(kind, 0, 0, 0);
                self.close();
                self.tell(&Order::End(end));
            }
            None => {
                let error = self.detect(&[]).expect_err("nothing is no container");
                self.fault(error);
            }
        }
    }
}

impl Tile for SplitTile<'_> {
    fn on_control(&mut self, control: Control, _: &mut Ports) -> Result<Answer, Cause> {
        match control {
            Control::Start(_) => {
                self.reset();
                self.has_ended = false;
                self.wanted = Slots::take(&self.slots.frames);
            }
            Control::Finish => {
                if self.chunk.is_none() && self.steps.is_empty() {
                    self.end();
                }
                if self.chunk.is_some() || !self.steps.is_empty() {
                    return Ok(Answer::Later);
                }
            }
            Control::Next | Control::Done | Control::Fail | Control::Shutdown => self.reset(),
        }
        Ok(Answer::Now)
    }

    fn wants(&self, _: usize) -> bool {
        self.chunk.is_none()
    }

    fn on_fragment(&mut self, _: usize, fragment: Fragment, _: &mut Ports) -> Result<(), Cause> {
        if !self.has_ended {
            self.bytes += fragment.len() as u64;
            self.chunk = Some((fragment, 0));
        }
        Ok(())
    }

    fn on_credit(&mut self, ports: &mut Ports) -> Result<Activity, Cause> {
        let mut activity = Activity::Idle;
        loop {
            let waiting = self.steps.len();
            let is_free = self.publish(ports)?;
            if self.steps.len() < waiting {
                activity = Activity::Worked;
            }
            if !is_free || self.chunk.is_none() {
                return Ok(activity);
            }
            activity = Activity::Worked;
            if let Err(error) = self.look() {
                self.pass_piece();
                self.fault(error);
            }
        }
    }
}
