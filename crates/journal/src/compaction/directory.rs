//! The directory of a data segment that holds moved extents: where each lies that events know by
//! another place.
//!
//! It is the last extent of the segment, adopted by the event about the compaction; a footer of 64
//! bytes at the segment's end says where it is. Entries are sorted by old place and of one size, so a
//! lookup reads a few chunks, each verified.
//!
//! ```text
//! entry:  0 old segment u32 | 4 fate u32 | 8 old offset u64 | 16 offset u64 | 24 bytes u64 | 32 digest [32]
//! footer: 0 magic "ICED" | 4 check: CRC-32 of bytes 8.. | 8 offset u64 | 16 bytes u64 | 24 digest [32] | 56 zero u64
//! ```

use crate::{
    Digest, Error, Extent, Malformed,
    extents::read::ExtentReader,
    format::fields::{digest_at, put, u32_at, u64_at},
};

pub(super) const ENTRY_BYTES: usize = 64;
pub(super) const FOOTER_BYTES: usize = 64;

const MAGIC: [u8; 4] = *b"ICED";
const CHECK: usize = 4;
const COVERED: usize = 8;
const OFFSET: usize = 8;
const BYTES: usize = 16;
const DIGEST: usize = 24;
const ZERO: usize = 56;

/// What became of an extent, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Moved = 1,
    Rewritten = 2,
    Dropped = 3,
}

/// An extent by its old place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) segment: u32,
    pub(super) old_offset: u64,
    pub(super) fate: Fate,
    /// Where it lies in the segment of the directory; 0 if it was dropped.
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) digest: Digest,
}

impl Entry {
    pub(super) fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut out = [0; ENTRY_BYTES];
        put(&mut out, 0, self.segment.to_le_bytes());
        put(&mut out, 4, (self.fate as u32).to_le_bytes());
        put(&mut out, 8, self.old_offset.to_le_bytes());
        put(&mut out, 16, self.offset.to_le_bytes());
        put(&mut out, 24, self.bytes.to_le_bytes());
        put(&mut out, 32, self.digest.0);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            segment: u32_at(bytes, 0),
            fate: match u32_at(bytes, 4) {
                1 => Fate::Moved,
                2 => Fate::Rewritten,
                3 => Fate::Dropped,
                _ => return None,
            },
            old_offset: u64_at(bytes, 8),
            offset: u64_at(bytes, 16),
            bytes: u64_at(bytes, 24),
            digest: digest_at(bytes, 32),
        })
    }

    fn place(&self) -> (u32, u64) {
        (self.segment, self.old_offset)
    }
}

/// The footer of a segment with this directory.
pub(super) fn footer(directory: &Extent) -> [u8; FOOTER_BYTES] {
    let mut out = [0; FOOTER_BYTES];
    put(&mut out, 0, MAGIC);
    put(&mut out, OFFSET, directory.offset.to_le_bytes());
    put(&mut out, BYTES, directory.bytes.to_le_bytes());
    put(&mut out, DIGEST, directory.digest.0);
    let check = crc32fast::hash(&out[COVERED..]);
    put(&mut out, CHECK, check.to_le_bytes());
    out
}

/// Where the directory of a segment lies, from the footer at its end.
pub(super) fn of_footer(segment: u32, bytes: &[u8; FOOTER_BYTES]) -> Result<Extent, Malformed> {
    let is_footer = bytes[..4] == MAGIC
        && u32_at(bytes, CHECK) == crc32fast::hash(&bytes[COVERED..])
        && u64_at(bytes, ZERO) == 0
        && u64_at(bytes, BYTES).is_multiple_of(ENTRY_BYTES as u64);
    if !is_footer {
        return Err(Malformed::new(0, "a data segment does not end with its directory"));
    }
    Ok(Extent {
        segment,
        offset: u64_at(bytes, OFFSET),
        bytes: u64_at(bytes, BYTES),
        digest: digest_at(bytes, DIGEST),
    })
}

/// A directory that is read.
#[derive(Debug)]
pub(super) struct Directory(pub(super) ExtentReader);

impl Directory {
    pub(super) fn entries(&self) -> u64 {
        self.0.bytes() / ENTRY_BYTES as u64
    }

    pub(super) fn entry(&self, number: u64) -> Result<Entry, Error> {
        let start = number * ENTRY_BYTES as u64;
        let bytes = self.0.read(start..start + ENTRY_BYTES as u64)?;
        Entry::decode(&bytes)
            .ok_or_else(|| self.0.corrupt(start, "an entry of a directory cannot be"))
    }

    /// How many entries come before a place.
    pub(super) fn before(&self, place: (u32, u64)) -> Result<u64, Error> {
        let (mut start, mut end) = (0, self.entries());
        while start < end {
            let middle = start.midpoint(end);
            if self.entry(middle)?.place() < place {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        Ok(start)
    }

    /// The entry of an extent.
    pub(super) fn find(&self, extent: &Extent) -> Result<Option<Entry>, Error> {
        let place = (extent.segment, extent.offset);
        let number = self.before(place)?;
        if number == self.entries() {
            return Ok(None);
        }
        let entry = self.entry(number)?;
        Ok((entry.place() == place).then_some(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_and_footers_survive_their_bytes_and_flipped_footers_are_refused() {
        let entry = Entry {
            segment: 7,
            old_offset: 4096,
            fate: Fate::Rewritten,
            offset: 8192,
            bytes: 77,
            digest: Digest([3; 32]),
        };
        assert_eq!(Entry::decode(&entry.encode()), Some(entry));
        let mut other = entry.encode();
        other[4] = 4;
        assert_eq!(Entry::decode(&other), None);
        let directory = Extent { segment: 9, offset: 8192, bytes: 640, digest: Digest([4; 32]) };
        let bytes = footer(&directory);
        assert_eq!(of_footer(9, &bytes), Ok(directory));
        for bit in 0..FOOTER_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(of_footer(9, &damaged).is_err(), "bit {bit}");
        }
    }
}
