//! The record in which a storage keeps an account version (formats.md section 1, "Account storage
//! file"): a fixed header of 136 bytes, then the data, then padding to the next multiple of 8.

use std::mem::size_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, LE, U64, Unaligned};

use crate::{AccountRef, Hash, Pubkey};

/// The largest account data: 10 MiB (`MAX_PERMITTED_DATA_LENGTH` of the reference client 4.2.2).
pub const DATA_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// Records start at multiples of this within their storage.
pub const RECORD_ALIGN: u64 = 8;

/// Bytes before a record's data.
pub const RECORD_HEADER_BYTES: usize = size_of::<RecordHeader>();

const _: () = assert!(RECORD_HEADER_BYTES == 136);

/// The fixed part of a record, read in place.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RecordHeader {
    /// Obsolete; zero since 2.x.
    pub write_version: U64<LE>,
    /// Bytes of data that follow the header.
    pub data_len: U64<LE>,
    /// Address.
    pub pubkey: Pubkey,
    /// Balance; zero is a tombstone.
    pub lamports: U64<LE>,
    /// Obsolete, in no hash.
    pub rent_epoch: U64<LE>,
    /// The program that may change the account.
    pub owner: Pubkey,
    /// 0 or 1; anything else is damage.
    pub executable: u8,
    /// Undefined bytes.
    pub padding: [u8; 7],
    /// Obsolete account hash; zero since 3.x.
    pub hash: Hash,
}

impl RecordHeader {
    /// Bytes from this record's start to the next one's: header, data, and padding to 8.
    ///
    /// `None` when `data_len` is above [`DATA_BYTES_MAX`].
    pub fn stored_bytes(&self) -> Option<u64> {
        let data_len = self.data_len.get();
        if data_len > DATA_BYTES_MAX {
            return None;
        }
        Some((RECORD_HEADER_BYTES as u64 + data_len).next_multiple_of(RECORD_ALIGN))
    }
}

/// One record in place: header and data, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The fixed part.
    pub header: &'a RecordHeader,
    /// The account's data, `header.data_len` bytes.
    pub data: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads the record that starts at `bytes[0]`; `None` when it does not fit in `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = RecordHeader::ref_from_prefix(bytes).ok()?;
        let data_len = usize::try_from(header.data_len.get()).ok()?;
        Some(Self { header, data: rest.get(..data_len)? })
    }

    /// The account version in the record. An executable byte above 1 reads as true.
    pub fn account(&self) -> AccountRef<'a> {
        AccountRef {
            pubkey: &self.header.pubkey,
            lamports: self.header.lamports.get(),
            owner: &self.header.owner,
            executable: self.header.executable != 0,
            rent_epoch: self.header.rent_epoch.get(),
            data: self.data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_where_it_lies() {
        let mut bytes = vec![0u8; 136 + 5];
        bytes[8] = 5;
        bytes[16..48].fill(7);
        bytes[48] = 9;
        bytes[64..96].fill(8);
        bytes[96] = 1;
        bytes[136..].copy_from_slice(b"hello");
        let record = Record::parse(&bytes).expect("it fits");
        let account = record.account();
        assert_eq!(account.pubkey, &Pubkey([7; 32]));
        assert_eq!(account.owner, &Pubkey([8; 32]));
        assert_eq!((account.lamports, account.executable), (9, true));
        assert_eq!(account.data, b"hello");
        assert_eq!(record.header.stored_bytes(), Some(144));
        assert!(Record::parse(&bytes[..140]).is_none());
    }

    #[test]
    fn a_stated_length_above_the_limit_is_refused_before_it_is_used() {
        let mut bytes = vec![0u8; 136];
        bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        let (header, _) = RecordHeader::ref_from_prefix(&bytes).expect("136 bytes");
        assert_eq!(header.stored_bytes(), None);
        assert!(Record::parse(&bytes).is_none());
    }
}
