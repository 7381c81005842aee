//! Decompresses lz4 frames (LZ4 frame format 1.6.4), one after the other, with bounded memory.
//!
//! Steps, for each frame:
//! 1. The descriptor, with its checksum, says how large blocks are and what is checked.
//! 2. Each block begins with its stored size; it is taken from the input in one piece (gathered if
//!    it comes in several), its checksum is compared, and it is decoded behind the last 64 KiB of
//!    output, to which linked blocks refer.
//! 3. A size of zero ends the frame; the stated content size and checksum are compared.
//!
//! Skippable frames are skipped; bytes after the last frame that begin no other are counted. Memory
//! is at most two blocks, 8 MiB, and 64 KiB.
//!
//! What it does *not* do: dictionaries, and the legacy format. Both are refused; no snapshot archive
//! has them.

mod fault;
mod header;

use std::{hash::Hasher, mem, ops::Range};

use lz4_flex::block::decompress_into_with_dict;
use twox_hash::XxHash32;

pub use self::fault::Lz4Fault;
use self::header::Descriptor;
use crate::{
    Error,
    container::{
        ContainerKind, LZ4_LEGACY_MAGIC, LZ4_MAGIC, Progress, WalkEnd, could_begin, is_skippable,
    },
    gather::Gather,
};

/// How far back a linked block refers: 64 KiB.
const HISTORY_BYTES: usize = 64 << 10;

/// Size of magic numbers, block sizes and checksums.
const WORD_BYTES: usize = 4;

/// A frame, as far as it was decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lz4Frame {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its bytes in the file, from the magic to the last checksum.
    pub bytes: u64,
    /// Bytes of its content.
    pub content_bytes: u64,
    /// Its blocks.
    pub blocks: u64,
    /// The size that no block exceeds.
    pub block_bytes_max: usize,
    /// Whether blocks refer to the blocks before them.
    pub is_linked: bool,
    /// Whether each block has a checksum.
    pub has_block_checksums: bool,
    /// Whether the content has a checksum.
    pub has_content_checksum: bool,
    /// Whether the descriptor states the content's size.
    pub states_content_bytes: bool,
}

/// Decompresses a file of lz4 frames.
pub struct Lz4Decoder {
    /// Bytes taken from the input.
    offset: u64,
    state: State,
    gather: Gather,
    descriptor: Descriptor,
    frame: Lz4Frame,
    content_hash: XxHash32,
    /// History, then the block decoded last.
    window: Vec<u8>,
    history_bytes: usize,
    /// What of the window is still to be given out.
    ready: Range<usize>,
    last: Option<Lz4Frame>,
    counts: WalkEnd,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Magic,
    SkippableSize,
    Skip { left: u64 },
    Flags,
    Fields { flags: [u8; header::FLAGS_BYTES] },
    BlockSize,
    Block { stored_bytes: usize, is_raw: bool },
    ContentChecksum,
    Trailing,
}

impl Lz4Decoder {
    /// A decoder at the start of a file.
    pub fn new() -> Self {
        Self {
            offset: 0,
            state: State::Magic,
            gather: Gather::default(),
            descriptor: Descriptor {
                block_bytes_max: 0,
                is_linked: false,
                has_block_checksums: false,
                has_content_checksum: false,
                content_bytes: None,
            },
            frame: Lz4Frame::at(0),
            content_hash: XxHash32::with_seed(0),
            window: Vec::new(),
            history_bytes: 0,
            ready: 0..0,
            last: None,
            counts: WalkEnd::default(),
        }
    }

    /// The frame that ended last, skippable frames apart.
    pub fn last_frame(&self) -> Option<&Lz4Frame> {
        self.last.as_ref()
    }

    /// Bytes after the last frame, as far as they were given.
    pub fn trailing_bytes(&self) -> u64 {
        self.counts.trailing_bytes
    }

    /// Decompresses from the front of `input` to the front of `output` until a frame ends, the
    /// output is full, or the input is used up. The next call goes on with the next frame.
    pub fn decode(&mut self, input: &mut &[u8], output: &mut [u8]) -> Result<Progress, Error> {
        let mut written = 0;
        loop {
            let count = self.ready.len().min(output.len() - written);
            let source = &self.window[self.ready.start..][..count];
            output[written..][..count].copy_from_slice(source);
            self.ready.start += count;
            written += count;
            if !self.ready.is_empty() {
                return Ok(Progress { written, frame_done: false });
            }
            match self.step(input)? {
                Step::Goes => {}
                step => {
                    let frame_done = matches!(step, Step::FrameEnd);
                    return Ok(Progress { written, frame_done });
                }
            }
        }
    }

    /// Ends the file: an error when it ended within a frame, or before any.
    pub fn finish(&self) -> Result<WalkEnd, Error> {
        let has_frames = self.counts.data_frames + self.counts.skippable_frames > 0;
        let pending = self.gather.pending();
        match self.state {
            State::Trailing => Ok(self.counts),
            State::Magic if has_frames && pending.is_empty() => Ok(self.counts),
            State::Magic if has_frames && !could_begin(pending, LZ4_MAGIC) => {
                Ok(WalkEnd { trailing_bytes: pending.len() as u64, ..self.counts })
            }
            State::Magic => Err(self.ends(self.offset - pending.len() as u64)),
            _ => Err(self.ends(self.frame.offset)),
        }
    }

    fn ends(&self, frame_offset: u64) -> Error {
        Error::ContainerEnds { container: ContainerKind::Lz4, offset: self.offset, frame_offset }
    }

    /// Takes the next run of bytes, if it is there, and does what it says.
    fn step(&mut self, input: &mut &[u8]) -> Result<Step, Error> {
        let given = input.len();
        let total = match self.state {
            State::Magic | State::SkippableSize | State::BlockSize | State::ContentChecksum => {
                WORD_BYTES
            }
            State::Flags => header::FLAGS_BYTES,
            State::Fields { flags } => header::fields_bytes(flags),
            State::Block { stored_bytes, .. } => {
                stored_bytes + usize::from(self.descriptor.has_block_checksums) * WORD_BYTES
            }
            State::Skip { left } => return Ok(self.skip(left, input)),
            State::Trailing => {
                self.counts.trailing_bytes += given as u64;
                self.offset += given as u64;
                *input = &[];
                return Ok(Step::Waits);
            }
        };
        // The gatherer is taken out while its run is looked at: the run may lie in it.
        let mut gather = mem::take(&mut self.gather);
        let run = gather.take(input, total);
        self.offset += (given - input.len()) as u64;
        let result = match run {
            None => Ok(Step::Waits),
            Some(run) => {
                let began = self.offset - total as u64;
                let at_fault = |fault| Error::Lz4 { offset: began, fault };
                self.read(run, began).map_err(at_fault)
            }
        };
        self.gather = gather;
        result
    }

    fn skip(&mut self, left: u64, input: &mut &[u8]) -> Step {
        let count = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        *input = &input[count..];
        self.offset += count as u64;
        let left = left - count as u64;
        if left > 0 {
            self.state = State::Skip { left };
            return Step::Waits;
        }
        self.state = State::Magic;
        Step::Goes
    }

    /// Does what a whole run of bytes, which began at `began`, says.
    fn read(&mut self, run: &[u8], began: u64) -> Result<Step, Lz4Fault> {
        let word = || u32::from_le_bytes(*run.first_chunk().expect("the run is a word"));
        match self.state {
            State::Magic => self.state = self.magic(word(), began)?,
            State::SkippableSize => self.state = State::Skip { left: u64::from(word()) },
            State::Flags => {
                let flags = *run.first_chunk().expect("the run is the flags");
                header::check_flags(flags)?;
                self.state = State::Fields { flags };
            }
            State::Fields { flags } => {
                self.descriptor = header::parse(flags, run)?;
                self.begin();
                self.state = State::BlockSize;
            }
            State::BlockSize => match word() {
                0 if self.descriptor.has_content_checksum => self.state = State::ContentChecksum,
                0 => return self.end(),
                size => {
                    let stored_bytes = (size & 0x7fff_ffff) as usize;
                    if stored_bytes > self.descriptor.block_bytes_max {
                        return Err(Lz4Fault::BlockTooLarge {
                            block_bytes: stored_bytes,
                            block_bytes_max: self.descriptor.block_bytes_max,
                        });
                    }
                    let is_raw = size >> 31 != 0;
                    self.state = State::Block { stored_bytes, is_raw };
                }
            },
            State::Block { stored_bytes, is_raw } => {
                let (stored, checksum) = run.split_at(stored_bytes);
                if let Some(checksum) = checksum.first_chunk()
                    && XxHash32::oneshot(0, stored) != u32::from_le_bytes(*checksum)
                {
                    return Err(Lz4Fault::BlockChecksum);
                }
                self.block(stored, is_raw)?;
                self.state = State::BlockSize;
            }
            State::ContentChecksum => {
                if self.content_hash.finish_32() != word() {
                    return Err(Lz4Fault::ContentChecksum);
                }
                return self.end();
            }
            State::Skip { .. } | State::Trailing => unreachable!("these take no runs"),
        }
        Ok(Step::Goes)
    }

    fn magic(&mut self, magic: u32, began: u64) -> Result<State, Lz4Fault> {
        self.frame = Lz4Frame::at(began);
        if is_skippable(magic) {
            self.counts.skippable_frames += 1;
            return Ok(State::SkippableSize);
        }
        match magic {
            LZ4_MAGIC => {
                self.counts.data_frames += 1;
                Ok(State::Flags)
            }
            LZ4_LEGACY_MAGIC => Err(Lz4Fault::Legacy),
            _ if self.counts.data_frames + self.counts.skippable_frames > 0 => {
                self.counts.trailing_bytes = WORD_BYTES as u64;
                Ok(State::Trailing)
            }
            _ => Err(Lz4Fault::NotAFrame),
        }
    }

    /// Prepares for a frame's blocks.
    fn begin(&mut self) {
        let descriptor = &self.descriptor;
        self.window.resize(HISTORY_BYTES + descriptor.block_bytes_max, 0);
        self.history_bytes = 0;
        self.ready = 0..0;
        self.content_hash = XxHash32::with_seed(0);
        self.frame.block_bytes_max = descriptor.block_bytes_max;
        self.frame.is_linked = descriptor.is_linked;
        self.frame.has_block_checksums = descriptor.has_block_checksums;
        self.frame.has_content_checksum = descriptor.has_content_checksum;
        self.frame.states_content_bytes = descriptor.content_bytes.is_some();
    }

    /// Decodes a block behind the history; the block before it has been given out.
    fn block(&mut self, stored: &[u8], is_raw: bool) -> Result<(), Lz4Fault> {
        let end = self.ready.end;
        self.history_bytes = match self.descriptor.is_linked {
            true => end.min(HISTORY_BYTES),
            false => 0,
        };
        self.window.copy_within(end - self.history_bytes..end, 0);
        let (history, free) = self.window.split_at_mut(self.history_bytes);
        let free = &mut free[..self.descriptor.block_bytes_max];
        let length = if is_raw {
            free[..stored.len()].copy_from_slice(stored);
            stored.len()
        } else {
            decompress_into_with_dict(stored, free, history)
                .map_err(|error| Lz4Fault::of_block(&error))?
        };
        self.ready = self.history_bytes..self.history_bytes + length;
        self.frame.blocks += 1;
        self.frame.content_bytes += length as u64;
        if let Some(stated_bytes) = self.descriptor.content_bytes
            && self.frame.content_bytes > stated_bytes
        {
            return Err(self.content_size(stated_bytes));
        }
        if self.descriptor.has_content_checksum {
            self.content_hash.write(&self.window[self.ready.clone()]);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<Step, Lz4Fault> {
        if let Some(stated_bytes) = self.descriptor.content_bytes
            && self.frame.content_bytes != stated_bytes
        {
            return Err(self.content_size(stated_bytes));
        }
        self.frame.bytes = self.offset - self.frame.offset;
        self.last = Some(self.frame);
        self.state = State::Magic;
        Ok(Step::FrameEnd)
    }

    fn content_size(&self, stated_bytes: u64) -> Lz4Fault {
        Lz4Fault::ContentSize { content_bytes: self.frame.content_bytes, stated_bytes }
    }
}

impl Default for Lz4Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Lz4Frame {
    fn at(offset: u64) -> Self {
        Self {
            offset,
            bytes: 0,
            content_bytes: 0,
            blocks: 0,
            block_bytes_max: 0,
            is_linked: false,
            has_block_checksums: false,
            has_content_checksum: false,
            states_content_bytes: false,
        }
    }
}

/// How a step went.
enum Step {
    Goes,
    Waits,
    FrameEnd,
}
