//! Decompresses one zstd frame at a time, with bounded memory and a decoder that is used again.
//!
//! Content checksums, where a frame has one, are checked by the library. The stated content size is
//! compared here: the library lets a wrong one pass when a frame that comes in pieces ends with an
//! empty block. For that the first bytes of each frame are kept.
//!
//! What it does *not* do: find frames (see [`zstd_frames`](crate::zstd_frames)).

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};

use crate::{
    Error,
    container::Progress,
    zstd_frames::{FrameKind, HEADER_BYTES_MAX, Parsed, WINDOW_LOG_MAX, ZstdFault, parse},
};

/// Decompresses zstd frames, one after the other.
pub struct ZstdFrameDecoder {
    context: DCtx<'static>,
    /// Where the frame begins, for errors: the library does not say how far it came.
    frame_offset: u64,
    /// The frame's first bytes.
    head: [u8; HEADER_BYTES_MAX],
    head_length: usize,
    content_bytes: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Output may be waiting in the decoder.
    Full,
    /// The decoder has given out all it can without more input.
    Hungry,
    Done,
}

impl ZstdFrameDecoder {
    /// A decoder at the start of a frame. It allocates its window when it meets a frame's header.
    pub fn new() -> Self {
        let mut context = DCtx::create();
        context
            .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
            .expect("27 is a window that every build of the library supports");
        Self {
            context,
            frame_offset: 0,
            head: [0; HEADER_BYTES_MAX],
            head_length: 0,
            content_bytes: 0,
            state: State::Hungry,
        }
    }

    /// Prepares for another frame, whatever became of the one before; memory is kept. Errors
    /// give 0 as the frame's offset.
    pub fn reset(&mut self) {
        self.reset_at(0);
    }

    /// As [`reset`](Self::reset), for a frame that begins at `frame_offset`, which errors give.
    pub fn reset_at(&mut self, frame_offset: u64) {
        self.context
            .reset(ResetDirective::SessionOnly)
            .expect("a session can be dropped at any time");
        self.frame_offset = frame_offset;
        self.head_length = 0;
        self.content_bytes = 0;
        self.state = State::Hungry;
    }

    /// Decompresses from the front of `input` to the front of `output` until the frame ends, the
    /// output is full, or the input is used up.
    ///
    /// After a frame's end it takes and writes nothing until it is reset.
    pub fn decode(&mut self, input: &mut &[u8], output: &mut [u8]) -> Result<Progress, Error> {
        let mut written = 0;
        while self.state != State::Done && written < output.len() {
            if self.state == State::Hungry && input.is_empty() {
                break;
            }
            let mut source = InBuffer::around(input);
            let mut target = OutBuffer::around_pos(output, written);
            let result = self.context.decompress_stream(&mut target, &mut source);
            let (taken, end) = (source.pos(), target.pos());
            let hint = result.map_err(|code| self.fault(get_error_name(code)))?;
            self.keep_head(&input[..taken]);
            *input = &input[taken..];
            self.content_bytes += (end - written) as u64;
            written = end;
            self.state = match hint {
                0 => {
                    self.check_size()?;
                    State::Done
                }
                _ if written < output.len() => State::Hungry,
                _ => State::Full,
            };
        }
        Ok(Progress { written, frame_done: self.state == State::Done })
    }

    fn keep_head(&mut self, taken: &[u8]) {
        let count = taken.len().min(HEADER_BYTES_MAX - self.head_length);
        self.head[self.head_length..][..count].copy_from_slice(&taken[..count]);
        self.head_length += count;
    }

    /// Compares what the frame held with what its header states.
    fn check_size(&self) -> Result<(), Error> {
        match parse(&self.head[..self.head_length]) {
            Ok(Parsed::Header {
                kind: FrameKind::Data { content_bytes: Some(stated_bytes), .. },
                ..
            }) if stated_bytes != self.content_bytes => {
                let content_bytes = self.content_bytes;
                let fault = ZstdFault::ContentSize { content_bytes, stated_bytes };
                Err(Error::Zstd { offset: self.frame_offset, fault })
            }
            _ => Ok(()),
        }
    }

    fn fault(&self, reason: &'static str) -> Error {
        Error::Zstd { offset: self.frame_offset, fault: ZstdFault::Content { reason } }
    }
}

impl Default for ZstdFrameDecoder {
    fn default() -> Self {
        Self::new()
    }
}
