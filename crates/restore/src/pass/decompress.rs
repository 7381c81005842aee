//! The decompressing tile: pieces of a frame to blocks of bytes. It runs as a process of its own,
//! with nothing but its memory: the library that decompresses is foreign code on hostile bytes.
//!
//! What was decoded before damage is given out first; what comes after it, up to the end of the
//! frame, is dropped. It needs nothing but its links, so the same tile runs on a thread.

use icecore_archive::{
    Error as ArchiveError, container::Progress as Step, stream::ContainerDecoder,
    zstd_stream::ZstdFrameDecoder,
};
use icecore_tile::{Activity, Answer, Cause, Control, Fragment, LinkFault, Mark, Ports, Tile};

use super::messages::{Content, MESSAGE_BYTES_MAX, end_to_bytes};
use crate::damage::Damage;

/// What it is called in topologies.
pub(crate) const KIND: &str = "decompress";

/// Bytes of a block: small enough for the second-level cache.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

enum Decoder {
    /// Between frames, or behind damage.
    None,
    Frame,
    Stream(Box<ContainerDecoder>),
}

/// Decompresses frame by frame.
pub(crate) struct DecompressTile {
    frames: ZstdFrameDecoder,
    decoder: Decoder,
    piece: Option<(Fragment, usize)>,
    /// Bytes of the block that is being filled.
    filled: usize,
    /// Whether the decoder may have more without more input.
    is_full: bool,
    /// What is to be published when the block is.
    last: Option<(Vec<u8>, u8)>,
}

impl DecompressTile {
    pub(crate) fn new() -> Self {
        Self {
            frames: ZstdFrameDecoder::new(),
            decoder: Decoder::None,
            piece: None,
            filled: 0,
            is_full: false,
            last: None,
        }
    }

    fn reset(&mut self) {
        self.decoder = Decoder::None;
        self.piece = None;
        self.filled = 0;
        self.is_full = false;
        self.last = None;
    }

    fn damage(&mut self, error: ArchiveError) {
        self.decoder = Decoder::None;
        self.piece = None;
        self.last = Some((Damage::from(error).to_bytes(), Mark::ERROR));
    }

    fn finish_frame(&mut self) {
        let ended = match std::mem::replace(&mut self.decoder, Decoder::None) {
            // The splitter knows where frames end.
            Decoder::None | Decoder::Frame => Ok(Vec::new()),
            Decoder::Stream(decoder) => decoder.finish().map(end_to_bytes),
        };
        match ended {
            Ok(bytes) => self.last = Some((bytes, Mark::END)),
            Err(error) => self.damage(error),
        }
    }

    /// Publishes the block, then what comes behind it; `false` without credit.
    fn flush(&mut self, ports: &mut Ports) -> Result<bool, LinkFault> {
        let output = &mut ports.outputs[0];
        if self.filled > 0 {
            output.publish(self.filled, Mark::default());
            self.filled = 0;
        }
        if let Some((bytes, flags)) = &self.last {
            let Some(space) = output.space(MESSAGE_BYTES_MAX)? else { return Ok(false) };
            space[..bytes.len()].copy_from_slice(bytes);
            output.publish(bytes.len(), Mark { flags: *flags, origin: 0 });
            self.last = None;
        }
        Ok(true)
    }

    /// Decodes into the block; whether anything happened.
    fn decode(&mut self, ports: &mut Ports) -> Result<Activity, LinkFault> {
        let output = &mut ports.outputs[0];
        let Some(space) = output.space(BLOCK_BYTES)? else { return Ok(Activity::Idle) };
        let space = &mut space[self.filled..BLOCK_BYTES];
        let space_bytes = space.len();
        let empty: &[u8] = &[];
        let mut input = match &self.piece {
            Some((fragment, from)) => &fragment.bytes()[*from..],
            None => empty,
        };
        let offered = input.len();
        let decoded = match &mut self.decoder {
            Decoder::None => {
                self.piece = None;
                return Ok(Activity::Worked);
            }
            Decoder::Frame => self.frames.decode(&mut input, space),
            // Another frame may follow in the same piece.
            Decoder::Stream(decoder) => {
                decoder.decode(&mut input, space).map(|step| Step { frame_done: false, ..step })
            }
        };
        let taken = offered - input.len();
        match decoded {
            Ok(step) => {
                #[cfg(test)]
                super::tests::trespass("decompress", &space[..step.written]);
                self.filled += step.written;
                self.is_full = step.written == space_bytes && !step.frame_done;
                if let Some((fragment, from)) = &mut self.piece {
                    *from += taken;
                    if *from == fragment.len() && !self.is_full || step.frame_done {
                        self.piece = None;
                    }
                }
                if self.filled == BLOCK_BYTES {
                    output.publish(self.filled, Mark::default());
                    self.filled = 0;
                }
            }
            Err(error) => self.damage(error),
        }
        Ok(Activity::Worked)
    }
}

impl Tile for DecompressTile {
    fn on_control(&mut self, control: Control, _: &mut Ports) -> Result<Answer, Cause> {
        match control {
            Control::Finish if self.piece.is_some() || self.last.is_some() => Ok(Answer::Later),
            _ => {
                self.reset();
                Ok(Answer::Now)
            }
        }
    }

    fn wants(&self, _: usize) -> bool {
        self.piece.is_none() && self.last.is_none()
    }

    fn on_fragment(&mut self, _: usize, fragment: Fragment, _: &mut Ports) -> Result<(), Cause> {
        let flags = fragment.mark().flags;
        if flags & Mark::START != 0 {
            self.decoder = match Content::from_bytes(fragment.bytes()) {
                Content::Frame { offset } => {
                    self.frames.reset_at(offset);
                    Decoder::Frame
                }
                Content::Stream(kind) => Decoder::Stream(Box::new(ContainerDecoder::new(kind))),
            };
        } else if flags & Mark::END != 0 {
            // Behind damage there is nothing to end.
            match self.decoder {
                Decoder::None => {}
                Decoder::Frame | Decoder::Stream(_) => self.finish_frame(),
            }
        } else if !matches!(self.decoder, Decoder::None) {
            self.piece = Some((fragment, 0));
        }
        Ok(())
    }

    fn on_credit(&mut self, ports: &mut Ports) -> Result<Activity, Cause> {
        if self.piece.is_some() {
            return Ok(self.decode(ports)?);
        }
        if self.last.is_none() {
            return Ok(Activity::Idle);
        }
        let waited = self.filled;
        let is_flushed = self.flush(ports)?;
        let has_worked = is_flushed || waited > 0;
        Ok(if has_worked { Activity::Worked } else { Activity::Idle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_damage_fits() {
        let longest = Damage { check: crate::CheckId::C2, sentence: "x".repeat(5000) };
        assert!(longest.to_bytes().len() <= MESSAGE_BYTES_MAX);
    }
}
