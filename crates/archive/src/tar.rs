//! Reads a tar stream: members, and their content in place.
//!
//! Headers are v7, POSIX ustar, GNU (long names, sizes in base 256) and pax (path and size). Steps:
//! 1. A header block is taken, its checksum verified. Extension headers are read whole, at most
//!    [`EXTENSION_BYTES_MAX`], and change the header behind them.
//! 2. The member is announced, then its content comes in pieces that lie in the input, then its
//!    end. Padding to the next block is looked at: bytes that are not zero are reported.
//! 3. A block of zeros ends the archive, as it does for the reference client; there should be two.
//!    What follows is counted, and the first byte of it that is not zero is remembered.
//!
//! Sparse members are read only when their map leaves nothing out.
//!
//! What it does *not* do: decide which members belong into a snapshot archive
//! ([`members`](crate::members)), or resolve paths: they are given as they stand.

mod extension;
mod fault;
pub(crate) mod header;

use std::fmt;

pub use self::fault::TarFault;
use self::{
    extension::{ExtensionKind, Extensions},
    header::{BLOCK_BYTES, Block, Header},
};
use crate::{Error, gather::Gather, members::MEMBERS_MAX, zero::first_nonzero};

/// The longest path; headers alone hold 256 bytes.
pub const PATH_BYTES_MAX: usize = 4096;

/// The largest extension header.
pub const EXTENSION_BYTES_MAX: u64 = 1 << 20;

/// The largest tar stream: 64 TiB, which is what the reference client 4.2.2 allows for the sum of
/// sizes ("too large archive").
pub const TAR_BYTES_MAX: u64 = 64 << 40;

/// A member's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TarKind {
    /// A file (`0`, or NUL in old headers).
    Regular,
    /// A folder (`5`).
    Directory,
    /// A file whose map of extents leaves nothing out (GNU `S`): read like a regular one.
    Sparse,
    /// Any other type flag: links, devices, ...
    Other(u8),
}

impl fmt::Display for TarKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Regular => f.pad("regular"),
            Self::Directory => f.pad("folder"),
            Self::Sparse => f.pad("sparse"),
            Self::Other(flag) => write!(f, "type '{}'", flag.escape_ascii()),
        }
    }
}

/// A member of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarMember {
    /// Where its header begins in the tar stream (that of the member itself, behind extensions).
    pub offset: u64,
    /// Where its content begins in the tar stream.
    pub data_offset: u64,
    /// Its path as it stands, at most [`PATH_BYTES_MAX`] bytes.
    pub path: String,
    /// Its type.
    pub kind: TarKind,
    /// Bytes of its content.
    pub size: u64,
}

/// What the reader comes across.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TarEvent<'a> {
    /// A member begins.
    Member(TarMember),
    /// The next bytes of the member's content, at least one.
    Data(&'a [u8]),
    /// The member's content is complete.
    MemberEnd,
    /// Between the content and the next block there is a byte that is not zero. Comes at most once
    /// for a member, after its end.
    PaddingNotZero {
        /// Where it lies in the tar stream.
        offset: u64,
    },
    /// Two blocks of zeros: the archive ends. What follows is swallowed and counted.
    EndBlocks,
}

/// How many of the two blocks of zeros were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndBlocks {
    /// Both.
    Present,
    /// One; the archive ends there all the same.
    One,
    /// None: the stream ended behind a member.
    Missing,
}

/// How the stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TarEnd {
    /// The blocks at the archive's end.
    pub end_blocks: EndBlocks,
    /// Bytes behind them.
    pub trailing_bytes: u64,
    /// Where the first byte behind them lies that is not zero.
    pub trailing_nonzero: Option<u64>,
    /// Members announced.
    pub members: u64,
}

/// Reads a tar stream. Memory is constant: one block, one path, one extension header.
#[derive(Debug, Clone)]
pub struct TarReader {
    /// Bytes taken from the input.
    offset: u64,
    state: State,
    gather: Gather,
    extensions: Extensions,
    /// Where the header begins that was read last.
    header_offset: u64,
    end: TarEnd,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Header,
    Extension {
        kind: ExtensionKind,
        bytes: usize,
    },
    Content {
        left: u64,
        padding: u64,
    },
    Padding {
        left: u64,
        is_reported: bool,
    },
    /// Behind the first block of zeros.
    SecondEndBlock,
    /// Behind the archive.
    Trailing,
}

impl TarReader {
    /// Bytes that it holds of headers: what a copy of it takes besides its own size.
    pub fn held_bytes(&self) -> usize {
        self.gather.held_bytes() + self.extensions.path.as_ref().map_or(0, String::len)
    }

    /// A reader at the start of a tar stream.
    pub fn new() -> Self {
        Self {
            offset: 0,
            state: State::Header,
            gather: Gather::default(),
            extensions: Extensions::default(),
            header_offset: 0,
            end: TarEnd {
                end_blocks: EndBlocks::Missing,
                trailing_bytes: 0,
                trailing_nonzero: None,
                members: 0,
            },
        }
    }

    /// Bytes taken from the input so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next event; `None` when more input is needed.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<TarEvent<'a>>, Error> {
        loop {
            match self.state {
                State::Header => {
                    let Some(block) = self.block(input) else {
                        return Ok(None);
                    };
                    if let Some(member) = self.header(&block)? {
                        return Ok(Some(TarEvent::Member(member)));
                    }
                }
                State::Extension { kind, bytes } => {
                    if !self.extension(kind, bytes, input)? {
                        return Ok(None);
                    }
                }
                State::Content { left: 0, padding } => {
                    let is_reported = false;
                    self.state = State::Padding { left: padding, is_reported };
                    return Ok(Some(TarEvent::MemberEnd));
                }
                State::Content { left, padding } => {
                    let data = self.take(input, left);
                    let left = left - data.len() as u64;
                    self.state = State::Content { left, padding };
                    return Ok((!data.is_empty()).then_some(TarEvent::Data(data)));
                }
                State::Padding { left: 0, .. } => self.state = State::Header,
                State::Padding { .. } if input.is_empty() => return Ok(None),
                State::Padding { left, is_reported } => {
                    let began = self.offset;
                    let bytes = self.take(input, left);
                    let nonzero = first_nonzero(bytes).filter(|_| !is_reported);
                    self.state = State::Padding {
                        left: left - bytes.len() as u64,
                        is_reported: is_reported || nonzero.is_some(),
                    };
                    if let Some(index) = nonzero {
                        let offset = began + index as u64;
                        return Ok(Some(TarEvent::PaddingNotZero { offset }));
                    }
                }
                State::SecondEndBlock => {
                    let Some(block) = self.block(input) else {
                        return Ok(None);
                    };
                    self.state = State::Trailing;
                    if first_nonzero(&block).is_none() {
                        self.end.end_blocks = EndBlocks::Present;
                        return Ok(Some(TarEvent::EndBlocks));
                    }
                    self.end.count(self.offset - BLOCK_BYTES as u64, &block);
                }
                State::Trailing => {
                    let began = self.offset;
                    let bytes = self.take(input, u64::MAX);
                    self.end.count(began, bytes);
                    return Ok(None);
                }
            }
        }
    }

    /// Ends the stream: an error when it ended within a header or a member.
    pub fn finish(&self) -> Result<TarEnd, Error> {
        let pending = self.gather.pending();
        let pending_offset = self.offset - pending.len() as u64;
        let began = match self.state {
            State::Header if !pending.is_empty() => pending_offset,
            State::Header if !self.extensions.is_open => return Ok(self.end),
            State::SecondEndBlock | State::Trailing => {
                let mut end = self.end;
                end.count(pending_offset, pending);
                return Ok(end);
            }
            _ => self.header_offset,
        };
        Err(Error::TarEnds { offset: self.offset, began })
    }

    /// Takes at most `count` bytes from the input's front.
    fn take<'a>(&mut self, input: &mut &'a [u8], count: u64) -> &'a [u8] {
        let count = usize::try_from(count).map_or(input.len(), |count| count.min(input.len()));
        let (taken, rest) = input.split_at(count);
        *input = rest;
        self.offset += count as u64;
        taken
    }

    /// The next block, once it is all there.
    fn block(&mut self, input: &mut &[u8]) -> Option<Block> {
        let given = input.len();
        let block = self.gather.take(input, BLOCK_BYTES);
        self.offset += (given - input.len()) as u64;
        block.map(|block| *block.first_chunk().expect("a block was asked for"))
    }

    /// Reads a header that was taken just now; gives the member, if it is one's.
    fn header(&mut self, block: &Block) -> Result<Option<TarMember>, Error> {
        let data_offset = self.offset;
        let offset = data_offset - BLOCK_BYTES as u64;
        self.header_offset = offset;
        let at_fault = |fault| Error::Tar { offset, fault };
        if first_nonzero(block).is_none() {
            if self.extensions.is_open {
                return Err(at_fault(TarFault::NoMember));
            }
            self.end.end_blocks = EndBlocks::One;
            self.state = State::SecondEndBlock;
            return Ok(None);
        }
        let Header { path, flag, size, is_extended } = header::parse(block).map_err(at_fault)?;

        if let Some(kind) = ExtensionKind::of(flag).filter(|_| is_extended) {
            if size > EXTENSION_BYTES_MAX {
                return Err(at_fault(TarFault::ExtensionTooLarge { bytes: size }));
            }
            let bytes = size as usize;
            self.state = State::Extension { kind, bytes };
            return Ok(None);
        }

        let extensions = std::mem::take(&mut self.extensions);
        if flag == b'S' && extensions.size.is_some() {
            // The map was compared with the header's size.
            return Err(at_fault(TarFault::Sparse));
        }
        let size = extensions.size.unwrap_or(size);
        let end = size
            .checked_next_multiple_of(BLOCK_BYTES as u64)
            .and_then(|padded| padded.checked_add(data_offset))
            .filter(|end| *end <= TAR_BYTES_MAX)
            .ok_or_else(|| at_fault(TarFault::TooLarge { bytes: size }))?;
        if self.end.members == MEMBERS_MAX {
            return Err(at_fault(TarFault::TooManyMembers));
        }
        self.end.members += 1;
        let padding = end - data_offset - size;
        self.state = State::Content { left: size, padding };
        Ok(Some(TarMember {
            offset,
            data_offset,
            path: extensions.path.unwrap_or(path),
            kind: match flag {
                0 | b'0' => TarKind::Regular,
                b'5' => TarKind::Directory,
                b'S' => TarKind::Sparse,
                flag => TarKind::Other(flag),
            },
            size,
        }))
    }

    /// Takes an extension header's content; `false` when more input is needed.
    fn extension(
        &mut self,
        kind: ExtensionKind,
        bytes: usize,
        input: &mut &[u8],
    ) -> Result<bool, Error> {
        let given = input.len();
        let content = match bytes {
            0 => Some(&[][..]),
            _ => self.gather.take(input, bytes.next_multiple_of(BLOCK_BYTES)),
        };
        self.offset += (given - input.len()) as u64;
        let Some(content) = content else {
            return Ok(false);
        };
        self.extensions
            .read(kind, &content[..bytes])
            .map_err(|fault| Error::Tar { offset: self.header_offset, fault })?;
        self.state = State::Header;
        Ok(true)
    }
}

impl Default for TarReader {
    fn default() -> Self {
        Self::new()
    }
}

impl TarEnd {
    /// Counts bytes that follow the archive, the first of them at `offset`.
    fn count(&mut self, offset: u64, bytes: &[u8]) {
        self.trailing_bytes += bytes.len() as u64;
        if self.trailing_nonzero.is_none() {
            let index = first_nonzero(bytes);
            self.trailing_nonzero = index.map(|index| offset + index as u64);
        }
    }
}
