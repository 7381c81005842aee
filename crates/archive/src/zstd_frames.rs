//! Finds the borders of zstd frames without decompressing, so that frames can be decompressed side
//! by side (RFC 8878, section 3.1).
//!
//! Steps, for each frame:
//! 1. Its header says how long itself is; bytes of a header that comes in pieces are kept, at most
//!    18.
//! 2. Each block begins with 3 bytes that say how many follow and whether it is the last.
//! 3. After the last block comes the checksum, if the header announced one.
//!
//! Bytes that begin no frame, after at least one frame, are *trailing*: the reference client
//! ignores them, so they are counted and reported, not refused.
//!
//! What it does *not* do: look into blocks. Content is checked by who decompresses it.

mod fault;
mod header;
mod hop;

pub use self::{
    fault::ZstdFault,
    header::{FrameHeader, FrameKind},
    hop::{FrameHopper, HOPPER_BYTES, Hop},
};

pub(crate) use self::header::{HEADER_BYTES_MAX, Parsed, parse};
use crate::{
    Error,
    container::{ContainerKind, WalkEnd},
};

/// The largest window that is decompressed: 128 MiB, the default limit of zstd itself
/// (`ZSTD_WINDOWLOG_LIMIT_DEFAULT`).
pub const WINDOW_BYTES_MAX: u64 = 1 << WINDOW_LOG_MAX;

/// Power of two of [`WINDOW_BYTES_MAX`].
pub(crate) const WINDOW_LOG_MAX: u32 = 27;

/// The largest block, before and after compression (`Block_Maximum_Size`); less in a frame whose
/// window is less.
pub const BLOCK_BYTES_MAX: u64 = 128 << 10;

/// A compressed block has at least a header of its literals and one of its sequences.
const COMPRESSED_BLOCK_BYTES_MIN: u64 = 2;

/// Bytes of a block's header.
pub const BLOCK_HEADER_BYTES: usize = 3;
const CHECKSUM_BYTES: u64 = 4;

/// What the walker comes across.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameEvent<'a> {
    /// A frame begins.
    FrameStart {
        /// Its header, whose bytes follow as [`Bytes`](Self::Bytes) like all others.
        header: FrameHeader,
    },
    /// The next bytes of the frame. All of a frame's bytes, from its magic to its checksum, come
    /// in order, each once.
    Bytes(&'a [u8]),
    /// The frame ended.
    FrameEnd {
        /// Offset of the first byte after it.
        offset: u64,
    },
    /// What follows the last frame is no frame. Comes once; the bytes are swallowed and counted.
    Trailing {
        /// Offset of the first such byte.
        offset: u64,
    },
}

/// Walks over zstd frames. Memory is constant.
#[derive(Debug, Clone)]
pub struct FrameWalker {
    /// Bytes taken from the input.
    offset: u64,
    state: State,
    /// First bytes of a header that came in pieces.
    carried: [u8; HEADER_BYTES_MAX],
    carried_length: usize,
    frame_offset: u64,
    block_bytes_max: u64,
    has_checksum: bool,
    counts: WalkEnd,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// At a frame's first byte or within its header.
    Header,
    /// The carried bytes of the header are to be given out.
    Carried { next: Part },
    /// Within a frame.
    Body(Part),
    /// At a frame's end, not reported yet.
    End,
    /// Behind the last frame.
    Trailing,
}

/// Where in a frame.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// In bytes that are only counted: a header, a block's content, a checksum.
    Run { left: u64, then: Then },
    /// In a block's header, so many bytes of which have come.
    BlockHeader { bytes: [u8; BLOCK_HEADER_BYTES], length: usize },
}

#[derive(Debug, Clone, Copy)]
enum Then {
    Block,
    Checksum,
    End,
}

impl FrameWalker {
    /// A walker at the start of a file.
    pub fn new() -> Self {
        Self {
            offset: 0,
            state: State::Header,
            carried: [0; HEADER_BYTES_MAX],
            carried_length: 0,
            frame_offset: 0,
            block_bytes_max: 0,
            has_checksum: false,
            counts: WalkEnd::default(),
        }
    }

    /// Bytes taken from the input so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes after the last frame, as far as they were given.
    pub fn trailing_bytes(&self) -> u64 {
        self.counts.trailing_bytes
    }

    /// The next event; `None` when more input is needed.
    ///
    /// Bytes of an event lie in the input, except those of a header that began in an earlier
    /// input: they lie in the walker.
    pub fn next<'w, 'a: 'w>(
        &'w mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<FrameEvent<'w>>, Error> {
        match self.state {
            State::Header => self.header(input),
            State::Carried { next } => {
                let length = std::mem::take(&mut self.carried_length);
                self.state = State::Body(next);
                Ok(Some(FrameEvent::Bytes(&self.carried[..length])))
            }
            State::Body(part) => self.body(part, input),
            State::End => {
                self.state = State::Header;
                Ok(Some(FrameEvent::FrameEnd { offset: self.offset }))
            }
            State::Trailing => {
                self.counts.trailing_bytes += self.take(input, input.len()).len() as u64;
                Ok(None)
            }
        }
    }

    /// Ends the walk: an error when the input ended within a frame, or before any.
    pub fn finish(&self) -> Result<WalkEnd, Error> {
        let began = match self.state {
            State::Header => self.offset - self.carried_length as u64,
            State::End => self.offset,
            State::Trailing => return Ok(self.counts),
            State::Carried { .. } | State::Body(_) => self.frame_offset,
        };
        let is_between = began == self.offset;
        if is_between && self.counts.data_frames + self.counts.skippable_frames > 0 {
            return Ok(self.counts);
        }
        Err(Error::ContainerEnds {
            container: ContainerKind::Zstd,
            offset: self.offset,
            frame_offset: began,
        })
    }

    /// Takes `count` bytes from the input's front.
    fn take<'a>(&mut self, input: &mut &'a [u8], count: usize) -> &'a [u8] {
        let (taken, rest) = input.split_at(count);
        *input = rest;
        self.offset += count as u64;
        taken
    }

    /// Reads a header where it lies, or gathers it when it comes in pieces.
    fn header(&mut self, input: &mut &[u8]) -> Result<Option<FrameEvent<'static>>, Error> {
        loop {
            let is_carried = self.carried_length > 0;
            let known = match is_carried {
                true => &self.carried[..self.carried_length],
                false => *input,
            };
            let offset = self.offset - self.carried_length as u64;
            match parse(known).map_err(|fault| Error::Zstd { offset, fault })? {
                Parsed::Needs(total) => {
                    let count = input.len().min(total - self.carried_length);
                    if count == 0 {
                        return Ok(None);
                    }
                    let taken = self.take(input, count);
                    let end = self.carried_length + count;
                    self.carried[self.carried_length..end].copy_from_slice(taken);
                    self.carried_length = end;
                }
                Parsed::NotAFrame => return self.trailing(offset, input),
                Parsed::Header { kind, bytes } => {
                    let next = self.enter(kind, offset, if is_carried { 0 } else { bytes });
                    self.state = match is_carried {
                        true => State::Carried { next },
                        false => State::Body(next),
                    };
                    let header = FrameHeader { offset, kind };
                    return Ok(Some(FrameEvent::FrameStart { header }));
                }
            }
        }
    }

    /// Sets the frame's bounds; the header's `in_place` bytes are still in the input.
    fn enter(&mut self, kind: FrameKind, offset: u64, in_place: usize) -> Part {
        self.frame_offset = offset;
        let left = in_place as u64;
        match kind {
            FrameKind::Skippable { bytes } => {
                self.counts.skippable_frames += 1;
                Part::Run { left: left + u64::from(bytes), then: Then::End }
            }
            FrameKind::Data { window_bytes, has_checksum, .. } => {
                self.counts.data_frames += 1;
                self.block_bytes_max = window_bytes.min(BLOCK_BYTES_MAX);
                self.has_checksum = has_checksum;
                Part::Run { left, then: Then::Block }
            }
        }
    }

    fn trailing(
        &mut self,
        offset: u64,
        input: &mut &[u8],
    ) -> Result<Option<FrameEvent<'static>>, Error> {
        if self.counts.data_frames + self.counts.skippable_frames == 0 {
            return Err(Error::Zstd { offset, fault: ZstdFault::NotAFrame });
        }
        self.take(input, input.len());
        self.counts.trailing_bytes = self.offset - offset;
        self.carried_length = 0;
        self.state = State::Trailing;
        Ok(Some(FrameEvent::Trailing { offset }))
    }

    /// Goes as far through the frame as the input does, or to the frame's end.
    fn body<'a>(
        &mut self,
        mut part: Part,
        input: &mut &'a [u8],
    ) -> Result<Option<FrameEvent<'a>>, Error> {
        let bytes = *input;
        let mut at = 0;
        let ended = loop {
            let rest = &bytes[at..];
            match &mut part {
                Part::Run { left: 0, then } => match then {
                    Then::Block => {
                        part = Part::BlockHeader { bytes: [0; BLOCK_HEADER_BYTES], length: 0 };
                    }
                    Then::Checksum => {
                        part = Part::Run {
                            left: if self.has_checksum { CHECKSUM_BYTES } else { 0 },
                            then: Then::End,
                        };
                    }
                    Then::End => break true,
                },
                _ if rest.is_empty() => break false,
                Part::Run { left, .. } => {
                    let count =
                        usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    at += count;
                    *left -= count as u64;
                }
                Part::BlockHeader { bytes, length } => {
                    bytes[*length] = rest[0];
                    *length += 1;
                    at += 1;
                    if *length == BLOCK_HEADER_BYTES {
                        let offset = self.offset + at as u64 - BLOCK_HEADER_BYTES as u64;
                        part = self.block(*bytes, offset)?;
                    }
                }
            }
        };
        self.state = if ended { State::End } else { State::Body(part) };
        match (self.take(input, at), ended) {
            ([], true) => {
                self.state = State::Header;
                Ok(Some(FrameEvent::FrameEnd { offset: self.offset }))
            }
            ([], false) => Ok(None),
            (taken, _) => Ok(Some(FrameEvent::Bytes(taken))),
        }
    }

    /// What follows a block's header.
    fn block(&self, bytes: [u8; BLOCK_HEADER_BYTES], offset: u64) -> Result<Part, Error> {
        let header = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
        let block_bytes = u64::from(header >> 3);
        let at_fault = |fault| Err(Error::Zstd { offset, fault });
        let left = match header >> 1 & 3 {
            // Raw.
            0 => block_bytes,
            // One byte that is repeated.
            1 => 1,
            // Compressed.
            2 if block_bytes < COMPRESSED_BLOCK_BYTES_MIN => {
                return at_fault(ZstdFault::BlockTooSmall { block_bytes });
            }
            2 => block_bytes,
            _ => return at_fault(ZstdFault::ReservedBlock),
        };
        // Neither what is stored nor what it yields may be more; of a frame without content not
        // even the one byte that is repeated no times.
        let block_bytes = block_bytes.max(left);
        let block_bytes_max = self.block_bytes_max;
        if block_bytes > block_bytes_max {
            return at_fault(ZstdFault::BlockTooLarge { block_bytes, block_bytes_max });
        }
        let then = match header & 1 {
            0 => Then::Block,
            _ => Then::Checksum,
        };
        Ok(Part::Run { left, then })
    }
}

impl Default for FrameWalker {
    fn default() -> Self {
        Self::new()
    }
}
