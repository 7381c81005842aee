//! Writes a tar stream: headers as the reference client 4.2.2 writes them, content, padding.
//!
//! Steps:
//! 1. A header block: that of a storage has path, size and checksum and is zero otherwise, the
//!    others have type and mode, too. Owner and time are zero: bytes do not depend on who writes
//!    when.
//! 2. The content, in any pieces, as many bytes as the header says.
//! 3. Zeros up to the next block; after the last member two blocks of zeros.
//!
//! What it does *not* do: say in which order members come. Readers must take any; the reference
//! client begins with `version` and the folder `snapshots`.

use crate::{
    members::MemberKind,
    tar::{
        TAR_BYTES_MAX,
        header::{BLOCK_BYTES, Block},
    },
};

/// Bytes of a header.
pub const HEADER_BYTES: usize = BLOCK_BYTES;

/// The two blocks of zeros at a tar stream's end.
pub const END_BLOCKS: [u8; 2 * BLOCK_BYTES] = [0; 2 * BLOCK_BYTES];

// Places in a header (POSIX.1-1988 ustar, as GNU tar uses it).
const PATH: usize = 0;
const PATH_BYTES: usize = 100;
const MODE: usize = 100;
const OWNER: usize = 108;
const GROUP: usize = 116;
const SIZE: usize = 124;
const TIME: usize = 136;
const CHECKSUM: usize = 148;
const TYPE: usize = 156;
const MAGIC: usize = 257;
const DEVICE_MAJOR: usize = 329;
const DEVICE_MINOR: usize = 337;

/// Sizes from here on do not fit eleven octal digits: 8 GiB.
const OCTAL_BYTES_END: u64 = 1 << 33;

/// Bytes of a member in the tar stream: header, content, padding.
pub fn member_bytes(content_bytes: u64) -> u64 {
    BLOCK_BYTES as u64 + content_bytes.next_multiple_of(BLOCK_BYTES as u64)
}

/// Writes members one after the other.
///
/// The order of calls is [`member`](Self::member), then [`content`](Self::content) until all bytes
/// that the header states have come, then the next member or [`finish`](Self::finish). Another
/// order, or content of another length, is a mistake of the program: it panics.
#[derive(Debug, Clone, Default)]
pub struct TarEncoder {
    /// Bytes written.
    offset: u64,
    /// Bytes of content that the member lacks.
    left: u64,
    /// Bytes of padding behind it.
    padding: usize,
}

impl TarEncoder {
    /// Starts before the first member.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes written so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Begins a member of `content_bytes`.
    pub fn member(&mut self, member: MemberKind, content_bytes: u64, sink: &mut dyn FnMut(&[u8])) {
        assert_eq!(self.left, 0, "the member before is complete");
        let end = self.offset.saturating_add(content_bytes);
        assert!(end <= TAR_BYTES_MAX - BLOCK_BYTES as u64, "no archive is that large");
        self.left = content_bytes;
        let padded = content_bytes.next_multiple_of(BLOCK_BYTES as u64);
        self.padding = (padded - content_bytes) as usize;
        self.give(&header(member, content_bytes), sink);
    }

    /// Writes the next bytes of the member's content, and after the last of them the padding.
    pub fn content(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) {
        if bytes.is_empty() {
            return;
        }
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.expect("a member has no more content than its header states");
        self.give(bytes, sink);
        if self.left == 0 {
            self.give(&END_BLOCKS[..self.padding], sink);
        }
    }

    /// Writes the end of the stream.
    pub fn finish(mut self, sink: &mut dyn FnMut(&[u8])) {
        assert_eq!(self.left, 0, "the last member is complete");
        self.give(&END_BLOCKS, sink);
    }

    fn give(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) {
        if !bytes.is_empty() {
            self.offset += bytes.len() as u64;
            sink(bytes);
        }
    }
}

/// A member's header.
fn header(member: MemberKind, content_bytes: u64) -> Block {
    let mut block = [0; BLOCK_BYTES];
    let path = member.to_string();
    assert!(path.len() < PATH_BYTES, "the longest path has two numbers of 20 digits");
    block[PATH..PATH + path.len()].copy_from_slice(path.as_bytes());
    if content_bytes < OCTAL_BYTES_END {
        put_octal(&mut block[SIZE..TIME], content_bytes);
    } else {
        // Base 256, which a set high bit announces; the number itself ends the field.
        block[SIZE] = 0x80;
        for (index, place) in (SIZE..TIME).rev().take(size_of::<u64>()).enumerate() {
            block[place] = (content_bytes >> (8 * index)) as u8;
        }
    }
    block[MAGIC..MAGIC + 8].copy_from_slice(b"ustar  \0");
    if let Some((mode, flag)) = mode_and_type(member) {
        put_octal(&mut block[MODE..OWNER], mode);
        put_octal(&mut block[OWNER..GROUP], 0);
        put_octal(&mut block[GROUP..SIZE], 0);
        put_octal(&mut block[DEVICE_MAJOR..DEVICE_MINOR], 0);
        put_octal(&mut block[DEVICE_MINOR..DEVICE_MINOR + 8], 0);
        block[TYPE] = flag;
    }
    put_octal(&mut block[TIME..CHECKSUM], 0);
    // The sum of all bytes, those of the checksum counted as spaces.
    let spaces = 8 * u64::from(b' ');
    let sum = spaces + block.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    put_octal(&mut block[CHECKSUM..TYPE], sum);
    block
}

/// What storages do not have; of files with their type's bits, as the reference client has them.
fn mode_and_type(member: MemberKind) -> Option<(u64, u8)> {
    match member {
        MemberKind::SnapshotsFolder | MemberKind::SlotFolder(_) | MemberKind::AccountsFolder => {
            Some((0o040_755, b'5'))
        }
        MemberKind::Version | MemberKind::StatusCache | MemberKind::Manifest { .. } => {
            Some((0o100_644, b'0'))
        }
        MemberKind::Storage { .. } => None,
    }
}

/// Octal digits with leading zeros and a NUL behind them.
fn put_octal(field: &mut [u8], number: u64) {
    let digits = field.len() - 1;
    for (index, digit) in field[..digits].iter_mut().rev().enumerate() {
        *digit = b'0' + (number >> (3 * index) & 7) as u8;
    }
}
