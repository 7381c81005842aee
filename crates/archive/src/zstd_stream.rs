//! Decompresses one zstd frame at a time, with bounded memory and a decoder that is used again.
//!
//! Content checksums, where a frame has one, and stated content sizes are checked by the library.
//!
//! What it does *not* do: find frames (see [`zstd_frames`](crate::zstd_frames)).

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};

use crate::{
    Error,
    container::Progress,
    zstd_frames::{WINDOW_LOG_MAX, ZstdFault},
};

/// Decompresses zstd frames, one after the other.
pub struct ZstdFrameDecoder {
    context: DCtx<'static>,
    /// Where the frame begins, for errors: the library does not say how far it came.
    frame_offset: u64,
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
        Self { context, frame_offset: 0, state: State::Hungry }
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
            *input = &input[taken..];
            let hint = result.map_err(|code| Error::Zstd {
                offset: self.frame_offset,
                fault: ZstdFault::Content { reason: get_error_name(code) },
            })?;
            written = end;
            self.state = match hint {
                0 => State::Done,
                _ if written < output.len() => State::Hungry,
                _ => State::Full,
            };
        }
        Ok(Progress { written, frame_done: self.state == State::Done })
    }
}

impl Default for ZstdFrameDecoder {
    fn default() -> Self {
        Self::new()
    }
}
