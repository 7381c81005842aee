//! Any container as one stream of tar bytes, in order, on one thread.
//!
//! For what does not need frames side by side: short archives, lookups, tests, fuzzing. Frames of
//! every kind in any number, empty and skippable ones, and bytes after the last one are all taken;
//! an input that ends within a frame is an error of [`finish`](ContainerDecoder::finish).

use crate::{
    Error,
    container::{ContainerKind, Progress, WalkEnd},
    lz4_stream::Lz4Decoder,
    zstd_frames::{FrameEvent, FrameKind, FrameWalker, ZstdFault},
    zstd_stream::ZstdFrameDecoder,
};

/// Decodes a container of any kind.
pub struct ContainerDecoder {
    kind: Kind,
}

enum Kind {
    Zstd(Box<ZstdDecoder>),
    Lz4(Box<Lz4Decoder>),
    Tar,
}

impl ContainerDecoder {
    /// A decoder at the start of a file; the kind is what
    /// [`detect`](crate::container::detect) says.
    pub fn new(kind: ContainerKind) -> Self {
        Self {
            kind: match kind {
                ContainerKind::Zstd => Kind::Zstd(Box::default()),
                ContainerKind::Lz4 => Kind::Lz4(Box::default()),
                ContainerKind::Tar => Kind::Tar,
            },
        }
    }

    /// Decodes from the front of `input` to the front of `output` until a frame ends, the output
    /// is full, or the input is used up. The next call goes on with the next frame.
    ///
    /// More input is needed when the input is used up, the output is not full and no frame ended.
    pub fn decode(&mut self, input: &mut &[u8], output: &mut [u8]) -> Result<Progress, Error> {
        match &mut self.kind {
            Kind::Zstd(decoder) => decoder.decode(input, output),
            Kind::Lz4(decoder) => decoder.decode(input, output),
            Kind::Tar => {
                let written = input.len().min(output.len());
                let (taken, rest) = input.split_at(written);
                output[..written].copy_from_slice(taken);
                *input = rest;
                Ok(Progress { written, frame_done: false })
            }
        }
    }

    /// Bytes after the last frame, as far as they were given. A tar stream has none: what follows
    /// its end is for the tar reader.
    pub fn trailing_bytes(&self) -> u64 {
        match &self.kind {
            Kind::Zstd(decoder) => decoder.walker.trailing_bytes(),
            Kind::Lz4(decoder) => decoder.trailing_bytes(),
            Kind::Tar => 0,
        }
    }

    /// Ends the file: an error when it ended within a frame, or before any.
    pub fn finish(&self) -> Result<WalkEnd, Error> {
        match &self.kind {
            Kind::Zstd(decoder) => decoder.walker.finish(),
            Kind::Lz4(decoder) => decoder.finish(),
            Kind::Tar => Ok(WalkEnd::default()),
        }
    }
}

/// The walker decides where frames begin and end; the decoder is given their bytes.
#[derive(Default)]
struct ZstdDecoder {
    walker: FrameWalker,
    decoder: ZstdFrameDecoder,
    frame_offset: u64,
    /// Bytes at the input's front over which the walker has gone already.
    walked: usize,
    is_skippable: bool,
    /// Whether the walker is at the frame's end and the decoder is not.
    is_ending: bool,
}

impl ZstdDecoder {
    fn decode(&mut self, input: &mut &[u8], output: &mut [u8]) -> Result<Progress, Error> {
        let mut written = 0;
        let mut frame_done = false;
        while written < output.len() && !frame_done {
            let free = &mut output[written..];
            if self.walked > 0 || self.is_ending {
                let progress = self.feed(input, free)?;
                written += progress.written;
                frame_done = progress.frame_done;
            } else if !self.walk(input, free)? {
                break;
            }
        }
        Ok(Progress { written, frame_done })
    }

    /// Lets the walker go on; `false` when it needs more input.
    fn walk(&mut self, input: &mut &[u8], output: &mut [u8]) -> Result<bool, Error> {
        let mut ahead = *input;
        let event = self.walker.next(&mut ahead)?;
        let walked = input.len() - ahead.len();
        match event {
            Some(FrameEvent::Bytes(_)) if walked > 0 => {
                // They stay in the input until the decoder takes them.
                self.walked = walked;
                return Ok(true);
            }
            Some(FrameEvent::Bytes(mut header)) if !self.is_skippable => {
                self.decoder.decode(&mut header, output)?;
                assert!(header.is_empty(), "a header yields no output, so all of it is taken");
            }
            Some(FrameEvent::FrameStart { header }) => {
                self.is_skippable = matches!(header.kind, FrameKind::Skippable { .. });
                self.frame_offset = header.offset;
                self.decoder.reset_at(header.offset);
            }
            Some(FrameEvent::FrameEnd { .. }) => self.is_ending = !self.is_skippable,
            Some(FrameEvent::Bytes(_) | FrameEvent::Trailing { .. }) | None => {}
        }
        *input = ahead;
        Ok(event.is_some())
    }

    /// Gives the decoder what the walker has gone over; `output` is not empty.
    fn feed(&mut self, input: &mut &[u8], output: &mut [u8]) -> Result<Progress, Error> {
        let (mut bytes, rest) =
            input.split_at_checked(self.walked).expect("what was left of the input is given again");
        if self.is_skippable {
            *input = rest;
            self.walked = 0;
            return Ok(Progress::default());
        }
        let progress = self.decoder.decode(&mut bytes, output)?;
        *input = &input[self.walked - bytes.len()..];
        self.walked = bytes.len();
        let is_waiting = self.walked > 0 || (self.is_ending && !progress.frame_done);
        if is_waiting && progress.written < output.len() {
            return Err(Error::Zstd {
                offset: self.frame_offset,
                fault: ZstdFault::Content {
                    reason: "the content and the frame do not end together",
                },
            });
        }
        let frame_done = self.is_ending && progress.frame_done;
        self.is_ending &= !frame_done;
        Ok(Progress { frame_done, ..progress })
    }
}
