//! How an account version lies in a data segment.
//!
//! ```text
//!   0  checksum       8   XXH3-64 of everything behind it, padding included, with the seed below
//!   8  data_len       4
//!  12  flags          1   1 executable, 2 restored, 4 previous owner, 8 previous slot
//!  13  zero           3
//!  16  slot           8   the version's slot
//!  24  other slot     8   restored: the slot of the storage; previous slot: that of the version
//!                         before; otherwise zero
//!  32  lamports       8
//!  40  rent_epoch     8
//!  48  pubkey        32
//!  80  owner         32
//! 112  previous owner 32  only with its flag
//!      data               data_len bytes
//!      zeros              up to the next multiple of 8
//! ```
//!
//! Records follow each other without gaps within an extent, at multiples of 8. The seed is made of the
//! store's secret seed, segment and offset: a record that was written to another place, or into
//! another store, does not check there (rule R12).
//!
//! Invariant: decoding the bytes of a record gives what was encoded or an error. Whatever is accepted
//! encodes to the same bytes.
//!
//! What it does *not* do: read files, or know whether a version is the newest.

use icecore_types::{AccountRef, DATA_BYTES_MAX, Pubkey, Slot};
use twox_hash::XxHash3_64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, LE, U32, U64, Unaligned};

use crate::{
    locator::{Locator, SizeClass},
    view::RecordHead,
};

/// Bytes before a previous owner or the data.
pub(crate) const HEADER_BYTES: usize = size_of::<Header>();

const _: () = assert!(HEADER_BYTES == 112);

/// Records start at multiples of this.
pub(crate) const ALIGNMENT: usize = 8;

const EXECUTABLE: u8 = 1;
const RESTORED: u8 = 2;
const PREVIOUS_OWNER: u8 = 4;
const PREVIOUS_SLOT: u8 = 8;

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    checksum: U64<LE>,
    data_len: U32<LE>,
    flags: u8,
    zero: [u8; 3],
    slot: U64<LE>,
    other_slot: U64<LE>,
    lamports: U64<LE>,
    rent_epoch: U64<LE>,
    pubkey: Pubkey,
    owner: Pubkey,
}

/// What a version replaces, or where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Restored from an archive, where a storage of this slot held it.
    Restored {
        /// The slot in which the version was last written, as the archive says.
        written: Slot,
    },
    /// Written in its slot, where the fork had no account of this address before.
    First,
    /// Written in its slot, over a version of this slot.
    Replaces {
        /// The slot of the version before, along the fork.
        slot: Slot,
    },
}

/// An account version as a record holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version<'a> {
    /// The slot that it counts for: the one it was written in, or the base point's.
    pub slot: Slot,
    /// What it replaces.
    pub origin: Origin,
    /// The owner that the account had before and has no more; `None` when it had none or the same.
    pub previous_owner: Option<&'a Pubkey>,
    /// The content.
    pub account: AccountRef<'a>,
}

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The bytes end within the record.
    #[error("the bytes end within a record")]
    Short,
    /// The checksum does not match bytes and place.
    #[error("the checksum of a record does not match")]
    Checksum,
    /// The bytes check and have no meaning.
    #[error("a record has fields without a meaning")]
    Fields,
}

/// Seeds the checksums of the records of one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordSeed(pub u64);

impl RecordSeed {
    /// The seed of a record at a place. The multipliers are those of SplitMix64.
    fn at(self, segment: u32, offset: u64) -> u64 {
        // A segment ends before 2^35 bytes, so that no two places of a store have one number.
        let mut place = self.0 ^ (u64::from(segment) << 35 | offset);
        place = (place ^ place >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        place = (place ^ place >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        place ^ place >> 31
    }
}

impl<'a> Version<'a> {
    /// Bytes of the record, padding included.
    pub fn record_bytes(&self) -> usize {
        let previous = if self.previous_owner.is_some() { 32 } else { 0 };
        (HEADER_BYTES + previous + self.account.data.len()).next_multiple_of(ALIGNMENT)
    }

    /// The size class of its locator.
    pub fn class(&self) -> SizeClass {
        match self.account.is_tombstone() {
            true => SizeClass::TOMBSTONE,
            false => SizeClass::of(self.account.data.len() as u64),
        }
    }

    /// Its locator, at a place.
    pub fn locator(&self, segment: u32, offset: u64) -> Locator {
        Locator::new(segment, offset, self.class())
    }

    /// Writes the record as it is at a place.
    ///
    /// # Panics
    /// When `bytes` is not exactly [`Self::record_bytes`] long, or the data is longer than any.
    pub fn encode(&self, seed: RecordSeed, place: (u32, u64), bytes: &mut [u8]) {
        self.lay_out(bytes);
        seal(seed, place, bytes);
    }

    /// Writes the record without its checksum, which [`seal`] puts in when its place is known.
    ///
    /// # Panics
    /// As [`Self::encode`].
    pub(crate) fn lay_out(&self, bytes: &mut [u8]) {
        let account = &self.account;
        assert!(account.data.len() as u64 <= DATA_BYTES_MAX, "checked before it was given");
        assert_eq!(bytes.len(), self.record_bytes(), "room for exactly this record");
        let (origin_flag, other_slot) = match self.origin {
            Origin::Restored { written } => (RESTORED, written),
            Origin::First => (0, 0),
            Origin::Replaces { slot } => (PREVIOUS_SLOT, slot),
        };
        let flags = origin_flag
            | if account.executable { EXECUTABLE } else { 0 }
            | if self.previous_owner.is_some() { PREVIOUS_OWNER } else { 0 };
        let header = Header {
            checksum: 0.into(),
            data_len: u32::try_from(account.data.len()).expect("10 MiB at most").into(),
            flags,
            zero: [0; 3],
            slot: self.slot.into(),
            other_slot: other_slot.into(),
            lamports: account.lamports.into(),
            rent_epoch: account.rent_epoch.into(),
            pubkey: *account.pubkey,
            owner: *account.owner,
        };
        bytes[..HEADER_BYTES].copy_from_slice(header.as_bytes());
        let mut at = HEADER_BYTES;
        if let Some(previous) = self.previous_owner {
            bytes[at..at + 32].copy_from_slice(&previous.0);
            at += 32;
        }
        let end = at + account.data.len();
        bytes[at..end].copy_from_slice(account.data);
        bytes[end..].fill(0);
    }

    /// Reads the record at the start of `bytes`, which may go on behind it, and checks it.
    ///
    /// # Errors
    /// [`RecordFault`], also when the place is another one than it was written for.
    pub fn decode(
        seed: RecordSeed,
        (segment, offset): (u32, u64),
        bytes: &'a [u8],
    ) -> Result<Self, RecordFault> {
        let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| RecordFault::Short)?;
        let data_len = u64::from(header.data_len.get());
        if data_len > DATA_BYTES_MAX {
            return Err(RecordFault::Checksum);
        }
        let previous_end = HEADER_BYTES + if header.flags & PREVIOUS_OWNER != 0 { 32 } else { 0 };
        let end = previous_end + data_len as usize;
        let record = bytes.get(..end.next_multiple_of(ALIGNMENT)).ok_or(RecordFault::Short)?;
        let checksum = XxHash3_64::oneshot_with_seed(seed.at(segment, offset), &record[8..]);
        if checksum != header.checksum.get() {
            return Err(RecordFault::Checksum);
        }
        let other_slot = header.other_slot.get();
        let origin = match header.flags & (RESTORED | PREVIOUS_SLOT) {
            RESTORED => Origin::Restored { written: other_slot },
            PREVIOUS_SLOT => Origin::Replaces { slot: other_slot },
            0 if other_slot == 0 => Origin::First,
            _ => return Err(RecordFault::Fields),
        };
        let known = EXECUTABLE | RESTORED | PREVIOUS_OWNER | PREVIOUS_SLOT;
        if header.flags & !known != 0
            || header.zero != [0; 3]
            || record[end..].iter().any(|byte| *byte != 0)
        {
            return Err(RecordFault::Fields);
        }
        let previous_owner = (previous_end > HEADER_BYTES).then(|| {
            Pubkey::ref_from_bytes(&record[HEADER_BYTES..previous_end]).expect("32 bytes")
        });
        Ok(Self {
            slot: header.slot.get(),
            origin,
            previous_owner,
            account: AccountRef {
                pubkey: &header.pubkey,
                lamports: header.lamports.get(),
                owner: &header.owner,
                executable: header.flags & EXECUTABLE != 0,
                rent_epoch: header.rent_epoch.get(),
                data: &record[previous_end..end],
            },
        })
    }
}

/// Puts the checksum for a place into a record that is laid out.
pub(crate) fn seal(seed: RecordSeed, (segment, offset): (u32, u64), bytes: &mut [u8]) {
    let checksum = XxHash3_64::oneshot_with_seed(seed.at(segment, offset), &bytes[8..]);
    bytes[..8].copy_from_slice(&checksum.to_le_bytes());
}

/// Bytes to fetch for a record whose locator has this class: all of it, and an eighth too much at
/// most. (A tombstone has no data.)
pub(crate) fn fetch_bytes(class: SizeClass) -> usize {
    let data_len = class.data_len_max().unwrap_or(0) as usize;
    (HEADER_BYTES + 32 + data_len).next_multiple_of(ALIGNMENT)
}

/// Bytes that a record whose locator has this class has at least.
pub(crate) fn bytes_at_least(class: SizeClass) -> usize {
    let data_len = class.data_len_max().unwrap_or(0) as usize;
    HEADER_BYTES + data_len - data_len / 4
}

/// What a record says that begins with these bytes, and its place says nothing of; nothing is checked
/// but the bound. `None` when they are too few or the length is beyond what records have.
pub(crate) fn stated_head(bytes: &[u8]) -> Option<RecordHead> {
    let (header, _) = Header::ref_from_prefix(bytes).ok()?;
    let data_bytes = u64::from(header.data_len.get());
    let written = match header.flags & RESTORED {
        0 => header.slot.get(),
        _ => header.other_slot.get(),
    };
    (data_bytes <= DATA_BYTES_MAX).then(|| RecordHead {
        written,
        lamports: header.lamports.get(),
        data_bytes,
    })
}

/// Bytes of the record that begins with these, as its header says; nothing is checked but the bound.
/// `None` when they are too few or the length is beyond what records have.
pub(crate) fn stated_bytes(bytes: &[u8]) -> Option<usize> {
    let (header, _) = Header::ref_from_prefix(bytes).ok()?;
    let data_len = header.data_len.get() as usize;
    let previous = if header.flags & PREVIOUS_OWNER != 0 { 32 } else { 0 };
    (data_len as u64 <= DATA_BYTES_MAX)
        .then(|| (HEADER_BYTES + previous + data_len).next_multiple_of(ALIGNMENT))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEED: RecordSeed = RecordSeed(0x1234_5678_9abc_def0);
    const PLACE: (u32, u64) = (7, 4096);

    fn origins() -> impl Strategy<Value = Origin> {
        prop_oneof![
            any::<Slot>().prop_map(|written| Origin::Restored { written }),
            Just(Origin::First),
            any::<Slot>().prop_map(|slot| Origin::Replaces { slot }),
        ]
    }

    fn sample<'a>(pubkey: &'a Pubkey, owner: &'a Pubkey, data: &'a [u8]) -> Version<'a> {
        Version {
            slot: 300,
            origin: Origin::Replaces { slot: 299 },
            previous_owner: Some(pubkey),
            account: AccountRef {
                pubkey,
                lamports: 5,
                owner,
                executable: false,
                rent_epoch: u64::MAX,
                data,
            },
        }
    }

    fn encoded(version: &Version<'_>) -> Vec<u8> {
        let mut bytes = vec![0xaa; version.record_bytes()];
        version.encode(SEED, PLACE, &mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            key: [u8; 32], owner: [u8; 32], previous: Option<[u8; 32]>, slot: u64,
            origin in origins(), lamports: u64, rent_epoch: u64, executable: bool,
            data in prop::collection::vec(any::<u8>(), 0..400), behind in 0usize..20,
        ) {
            let (pubkey, owner) = (Pubkey(key), Pubkey(owner));
            let previous = previous.map(Pubkey);
            let account = AccountRef {
                pubkey: &pubkey, lamports, owner: &owner, executable, rent_epoch, data: &data,
            };
            let version = Version { slot, origin, previous_owner: previous.as_ref(), account };
            let mut bytes = encoded(&version);
            prop_assert_eq!(stated_bytes(&bytes), Some(bytes.len()));
            prop_assert!(fetch_bytes(SizeClass::of(data.len() as u64)) >= bytes.len());
            bytes.extend(vec![0x55; behind]);
            prop_assert_eq!(Version::decode(SEED, PLACE, &bytes), Ok(version));
        }
    }

    #[test]
    fn a_flipped_bit_another_place_and_another_store_do_not_check() {
        let (pubkey, owner) = (Pubkey([1; 32]), Pubkey([2; 32]));
        let bytes = encoded(&sample(&pubkey, &owner, b"thirteen byte"));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Version::decode(SEED, PLACE, &damaged).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            let fault = Version::decode(SEED, PLACE, &bytes[..length]);
            assert_eq!(fault, Err(RecordFault::Short), "{length} bytes");
        }
        assert!(Version::decode(SEED, (8, 4096), &bytes).is_err());
        assert!(Version::decode(SEED, (7, 4104), &bytes).is_err());
        assert!(Version::decode(RecordSeed(1), PLACE, &bytes).is_err());
    }

    #[test]
    fn fields_without_a_meaning_are_refused_even_if_they_check() {
        let (pubkey, owner) = (Pubkey([1; 32]), Pubkey([2; 32]));
        let sound = encoded(&sample(&pubkey, &owner, b"x"));
        let last = sound.len() - 1;
        for (at, value) in [(12, 0x0e), (12, 0x10), (13, 1), (last, 1)] {
            let mut bytes = sound.clone();
            bytes[at] |= value;
            let checksum = XxHash3_64::oneshot_with_seed(SEED.at(PLACE.0, PLACE.1), &bytes[8..]);
            bytes[..8].copy_from_slice(&checksum.to_le_bytes());
            let fault = Version::decode(SEED, PLACE, &bytes);
            assert_eq!(fault, Err(RecordFault::Fields), "byte {at}");
        }
    }
}
