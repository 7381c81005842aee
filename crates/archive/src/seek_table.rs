//! The seek table behind the frames of a zstd archive: where each begins, in the file and in the
//! tar stream. It is a skippable frame, which every reader of zstd passes over
//! (`docs/formats/seek-table.md`; zstd's "seekable format" 0.1.0).
//!
//! Steps, for a reader:
//! 1. The file's last [`FOOTER_BYTES`] say whether there is a table and how long it is
//!    ([`SeekFooter::parse`]).
//! 2. The table is read whole and compared with the file's size ([`SeekTable::parse`]).
//! 3. [`SeekTable::frame_at`] finds the frame that holds a place of the tar stream.
//!
//! Invariants:
//! - The frames of a table lie in the file from its first byte to the table's first, without gaps.
//! - Memory is that of the entries that are there; no number is believed before that.
//!
//! What it does *not* do: look at the frames. The table may lie about them, so whoever reads one
//! compares what comes out with what the table says.

use crate::container::SKIPPABLE_HEADER_BYTES;

/// Bytes at a file's end that say whether there is a seek table.
pub const FOOTER_BYTES: usize = 9;

/// The most frames of a table: over 24 TiB of tar in frames of 32 MiB, which three quarters fill.
/// The reference client takes 4 TiB.
pub const FRAMES_MAX: u32 = 1 << 20;

const SKIPPABLE_MAGIC: u32 = 0x184d_2a5e;
const FOOTER_MAGIC: u32 = 0x8f92_eab1;

/// The one bit of the descriptor that says something: entries have checksums.
const HAS_CHECKSUMS: u8 = 0x80;
/// Bits of the descriptor that must not be set. The lowest two mean nothing.
const RESERVED: u8 = 0x7c;

const ENTRY_BYTES: usize = 8;
const CHECKED_ENTRY_BYTES: usize = 12;

/// Not even an empty frame is shorter: a skippable one is its header.
const FRAME_BYTES_MIN: u32 = SKIPPABLE_HEADER_BYTES as u32;

/// Why there is no use in a seek table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeekTableError {
    /// A reserved bit is set: a later version of the format.
    #[error("the seek table's descriptor {descriptor:#04x} has reserved bits set")]
    Reserved {
        /// The descriptor.
        descriptor: u8,
    },
    /// There are too many frames.
    #[error("the seek table has {frames} frames, at most {FRAMES_MAX} are read and written")]
    TooManyFrames {
        /// As stated; when writing, one more than is possible.
        frames: u32,
    },
    /// The table's own frame is another than its footer says.
    #[error("the seek table is not one skippable frame with its footer at the end")]
    Frame,
    /// A frame of so few bytes cannot be.
    #[error("the seek table says that frame {frame} has {frame_bytes} bytes")]
    FrameTooShort {
        /// Its number, from 0.
        frame: u32,
        /// As stated.
        frame_bytes: u32,
    },
    /// The frames and the table do not add up to the file: it is cut, or the table another file's.
    #[error("by the seek table the file has {stated_bytes} bytes, it has {file_bytes}")]
    FileSize {
        /// The sum of all frames and the table.
        stated_bytes: u64,
        /// The file's.
        file_bytes: u64,
    },
}

/// A frame as it was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedFrame {
    /// Its bytes in the file.
    pub frame_bytes: u32,
    /// Bytes of its content.
    pub content_bytes: u32,
    /// The lower half of its content's XXH64, as the frame itself ends with it.
    pub checksum: Option<u32>,
}

/// A frame and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeekFrame {
    /// Its number, from 0.
    pub number: u32,
    /// Where it begins in the file.
    pub file_offset: u64,
    /// Where its content begins in the tar stream.
    pub content_offset: u64,
    /// How long it is.
    pub packed: PackedFrame,
}

/// What a file's last bytes say of its seek table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeekFooter {
    frames: u32,
    has_checksums: bool,
}

impl SeekFooter {
    /// Reads the last bytes of a file; `None` when they are none of a seek table.
    pub fn parse(last_bytes: &[u8; FOOTER_BYTES]) -> Result<Option<Self>, SeekTableError> {
        let [f0, f1, f2, f3, descriptor, magic @ ..] = *last_bytes;
        if u32::from_le_bytes(magic) != FOOTER_MAGIC {
            return Ok(None);
        }
        if descriptor & RESERVED != 0 {
            return Err(SeekTableError::Reserved { descriptor });
        }
        let frames = u32::from_le_bytes([f0, f1, f2, f3]);
        if frames > FRAMES_MAX {
            return Err(SeekTableError::TooManyFrames { frames });
        }
        Ok(Some(Self { frames, has_checksums: descriptor & HAS_CHECKSUMS != 0 }))
    }

    /// Bytes of the whole table at the file's end, footer included: 12 MiB and a few at most.
    pub fn table_bytes(&self) -> usize {
        SKIPPABLE_HEADER_BYTES + self.frames as usize * self.entry_bytes() + FOOTER_BYTES
    }

    fn entry_bytes(&self) -> usize {
        if self.has_checksums { CHECKED_ENTRY_BYTES } else { ENTRY_BYTES }
    }
}

/// Where frames lie.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeekTable {
    frames: Vec<SeekFrame>,
}

impl SeekTable {
    /// A table of no frames.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the whole table, the last [`table_bytes`](SeekFooter::table_bytes) of a file of
    /// `file_bytes`.
    pub fn parse(table: &[u8], file_bytes: u64) -> Result<Self, SeekTableError> {
        let footer = match table.last_chunk().map(SeekFooter::parse) {
            Some(footer) => footer?.ok_or(SeekTableError::Frame)?,
            None => return Err(SeekTableError::Frame),
        };
        let header = Self::header(table.len().saturating_sub(SKIPPABLE_HEADER_BYTES));
        if table.len() != footer.table_bytes() || !table.starts_with(&header) {
            return Err(SeekTableError::Frame);
        }
        let mut frames = Self::new();
        let entries = &table[SKIPPABLE_HEADER_BYTES..table.len() - FOOTER_BYTES];
        for entry in entries.chunks_exact(footer.entry_bytes()) {
            let words = entry.as_chunks::<4>().0;
            let word = |index: usize| words.get(index).map(|word| u32::from_le_bytes(*word));
            let size = |index| word(index).expect("every entry has two sizes");
            let (frame_bytes, content_bytes) = (size(0), size(1));
            if frame_bytes < FRAME_BYTES_MIN {
                let frame = frames.frames.len() as u32;
                return Err(SeekTableError::FrameTooShort { frame, frame_bytes });
            }
            frames.push(PackedFrame { frame_bytes, content_bytes, checksum: word(2) })?;
        }
        let stated_bytes = frames.file_bytes() + table.len() as u64;
        if stated_bytes != file_bytes {
            return Err(SeekTableError::FileSize { stated_bytes, file_bytes });
        }
        Ok(frames)
    }

    /// Adds the frame that follows.
    pub fn push(&mut self, packed: PackedFrame) -> Result<(), SeekTableError> {
        let number = self.frames.len() as u32;
        if number == FRAMES_MAX {
            return Err(SeekTableError::TooManyFrames { frames: number + 1 });
        }
        let (file_offset, content_offset) = (self.file_bytes(), self.content_bytes());
        self.frames.push(SeekFrame { number, file_offset, content_offset, packed });
        Ok(())
    }

    /// The table's bytes. Entries have checksums if all frames do.
    pub fn encode(&self) -> Vec<u8> {
        let has_checksums = self.frames.iter().all(|frame| frame.packed.checksum.is_some());
        let footer = SeekFooter { frames: self.frames.len() as u32, has_checksums };
        let mut bytes = Vec::with_capacity(footer.table_bytes());
        bytes.extend(Self::header(footer.table_bytes() - SKIPPABLE_HEADER_BYTES));
        for SeekFrame { packed, .. } in &self.frames {
            bytes.extend(packed.frame_bytes.to_le_bytes());
            bytes.extend(packed.content_bytes.to_le_bytes());
            if let Some(checksum) = packed.checksum.filter(|_| has_checksums) {
                bytes.extend(checksum.to_le_bytes());
            }
        }
        bytes.extend(footer.frames.to_le_bytes());
        bytes.push(if has_checksums { HAS_CHECKSUMS } else { 0 });
        bytes.extend(FOOTER_MAGIC.to_le_bytes());
        bytes
    }

    /// All frames, in order.
    pub fn frames(&self) -> &[SeekFrame] {
        &self.frames
    }

    /// Bytes of all frames in the file; where the table begins.
    pub fn file_bytes(&self) -> u64 {
        self.frames.last().map_or(0, |last| last.file_offset + u64::from(last.packed.frame_bytes))
    }

    /// Bytes of the tar stream.
    pub fn content_bytes(&self) -> u64 {
        let end = |last: &SeekFrame| last.content_offset + u64::from(last.packed.content_bytes);
        self.frames.last().map_or(0, end)
    }

    /// The frame that holds the byte at `offset` of the tar stream; `None` behind the stream's end.
    pub fn frame_at(&self, offset: u64) -> Option<&SeekFrame> {
        if offset >= self.content_bytes() {
            return None;
        }
        // Of frames without content and the one behind them, which begin alike, it is the last.
        let behind = self.frames.partition_point(|frame| frame.content_offset <= offset);
        self.frames[..behind].last()
    }

    /// The header of the skippable frame that the table is.
    fn header(content_bytes: usize) -> [u8; SKIPPABLE_HEADER_BYTES] {
        let content_bytes = u32::try_from(content_bytes).unwrap_or(u32::MAX);
        let number = u64::from(content_bytes) << 32 | u64::from(SKIPPABLE_MAGIC);
        number.to_le_bytes()
    }
}
