//! What the sections of an index hold. All integers are little-endian.

use icecore_types::{Pubkey, Slot};

/// A row of a section: always as many bytes.
pub trait Row: Sized {
    /// Its bytes.
    const BYTES: usize;

    /// Writes itself to exactly [`Self::BYTES`].
    fn write(&self, bytes: &mut [u8]);

    /// Reads what [`Self::write`] wrote: any bytes are a row.
    fn read(bytes: &[u8]) -> Self;
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("a row has whole numbers"))
}

fn put_numbers(numbers: &[u64], bytes: &mut [u8]) {
    for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
}

/// A frame with content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameRow {
    /// Where it begins in the file.
    pub file_offset: u64,
    /// Its bytes in the file.
    pub file_bytes: u64,
    /// Where its content begins in the tar stream.
    pub content_offset: u64,
    /// Bytes of its content.
    pub content_bytes: u64,
    /// The number of its first piece.
    pub first_piece: u64,
    /// Bytes before its content of the account record in which it begins; 0 if it begins in none.
    pub begun_bytes: u64,
}

impl FrameRow {
    /// Where its content ends.
    pub fn content_end(&self) -> u64 {
        self.content_offset.saturating_add(self.content_bytes)
    }
}

impl Row for FrameRow {
    const BYTES: usize = 48;

    fn write(&self, bytes: &mut [u8]) {
        let Self { file_offset, file_bytes, content_offset, content_bytes, .. } = *self;
        let Self { first_piece, begun_bytes, .. } = *self;
        let numbers =
            [file_offset, file_bytes, content_offset, content_bytes, first_piece, begun_bytes];
        put_numbers(&numbers, bytes);
    }

    fn read(bytes: &[u8]) -> Self {
        Self {
            file_offset: number(bytes, 0),
            file_bytes: number(bytes, 8),
            content_offset: number(bytes, 16),
            content_bytes: number(bytes, 24),
            first_piece: number(bytes, 32),
            begun_bytes: number(bytes, 40),
        }
    }
}

/// A piece of a frame's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PieceRow {
    /// The first half of its BLAKE3.
    pub digest: [u8; 16],
}

impl Row for PieceRow {
    const BYTES: usize = 16;

    fn write(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.digest);
    }

    fn read(bytes: &[u8]) -> Self {
        Self { digest: *bytes.first_chunk().expect("16 bytes") }
    }
}

/// A storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StorageRow {
    /// Where its content begins in the tar stream.
    pub offset: u64,
    /// Bytes of its content.
    pub bytes: u64,
    /// The slot in which its account versions were written.
    pub slot: Slot,
}

impl Row for StorageRow {
    const BYTES: usize = 24;

    fn write(&self, bytes: &mut [u8]) {
        put_numbers(&[self.offset, self.bytes, self.slot], bytes);
    }

    fn read(bytes: &[u8]) -> Self {
        Self { offset: number(bytes, 0), bytes: number(bytes, 8), slot: number(bytes, 16) }
    }
}

/// An account's key: the first half of its keyed BLAKE3.
pub type Tag = [u8; 16];

/// An account's newest version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccountRow {
    /// Of its address.
    pub tag: Tag,
    /// Where its record begins in the tar stream, a multiple of 8.
    pub offset: u64,
    /// Whether it is a tombstone.
    pub is_tombstone: bool,
}

impl Row for AccountRow {
    const BYTES: usize = 24;

    fn write(&self, bytes: &mut [u8]) {
        bytes[..16].copy_from_slice(&self.tag);
        put_numbers(&[self.offset | u64::from(self.is_tombstone)], &mut bytes[16..]);
    }

    fn read(bytes: &[u8]) -> Self {
        let place = number(bytes, 16);
        Self {
            tag: *bytes.first_chunk().expect("24 bytes"),
            offset: place & !7,
            is_tombstone: place & 1 == 1,
        }
    }
}

/// Where the record of a live account begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnedRow {
    /// In the tar stream, a multiple of 8.
    pub offset: u64,
}

impl Row for OwnedRow {
    const BYTES: usize = 8;

    fn write(&self, bytes: &mut [u8]) {
        put_numbers(&[self.offset], bytes);
    }

    fn read(bytes: &[u8]) -> Self {
        Self { offset: number(bytes, 0) }
    }
}

/// An owner of live accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnerRow {
    /// The owner.
    pub owner: Pubkey,
    /// The number of its first [`OwnedRow`].
    pub first: u64,
    /// How many it has.
    pub count: u64,
}

impl Row for OwnerRow {
    const BYTES: usize = 48;

    fn write(&self, bytes: &mut [u8]) {
        bytes[..32].copy_from_slice(&self.owner.0);
        put_numbers(&[self.first, self.count], &mut bytes[32..]);
    }

    fn read(bytes: &[u8]) -> Self {
        Self {
            owner: Pubkey(*bytes.first_chunk().expect("48 bytes")),
            first: number(bytes, 32),
            count: number(bytes, 40),
        }
    }
}
