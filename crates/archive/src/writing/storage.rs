//! Writes the content of a storage, one account after the other (formats.md section 1, "Account
//! storage file").
//!
//! Steps:
//! 1. [`StorageSize`] adds up what the accounts take, so that a tar header can come first.
//! 2. [`StorageEncoder`] gives each account's record: zeros up to the next multiple of 8, a header
//!    whose obsolete and undefined bytes are zero, the data where it lies.
//!
//! Invariants:
//! - A tombstone is written as the reference client writes it: an address and nothing else.
//! - Nothing follows the last record's data: records are aligned, a storage's end is not.
//!
//! What it does *not* do: see to it that an address comes once in a storage, which every reader
//! demands.

use icecore_types::{
    AccountRef, DATA_BYTES_MAX, Hash, Pubkey, RECORD_ALIGN, RECORD_HEADER_BYTES, RecordHeader,
};
use zerocopy::IntoBytes;

/// Bytes of a record's header.
const HEADER_BYTES: u64 = RECORD_HEADER_BYTES as u64;

const ZEROS: [u8; RECORD_ALIGN as usize] = [0; RECORD_ALIGN as usize];

/// Adds up how many bytes a storage will have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StorageSize {
    bytes: u64,
}

impl StorageSize {
    /// A storage without accounts, which no archive may hold.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an account with so many lamports and bytes of data.
    pub fn add(&mut self, lamports: u64, data_bytes: u64) {
        let data_bytes = if lamports == 0 { 0 } else { data_bytes };
        self.bytes = self.bytes.next_multiple_of(RECORD_ALIGN) + HEADER_BYTES + data_bytes;
    }

    /// Adds all accounts of another storage, behind these.
    pub fn append(&mut self, other: Self) {
        self.bytes = self.bytes.next_multiple_of(RECORD_ALIGN) + other.bytes;
    }

    /// The storage's bytes, with the accounts added so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Writes the records of one storage.
#[derive(Debug, Clone, Default)]
pub struct StorageEncoder {
    size: StorageSize,
}

impl StorageEncoder {
    /// Starts before the first account.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes written so far: after the last account what [`StorageSize`] said.
    pub fn bytes(&self) -> u64 {
        self.size.bytes()
    }

    /// Writes an account. Data above [`DATA_BYTES_MAX`] is a mistake of the program: it panics.
    pub fn account(&mut self, account: &AccountRef<'_>, sink: &mut dyn FnMut(&[u8])) {
        let nobody = Pubkey::default();
        let tombstone = AccountRef {
            pubkey: account.pubkey,
            lamports: 0,
            owner: &nobody,
            executable: false,
            rent_epoch: 0,
            data: &[],
        };
        let account = if account.is_tombstone() { &tombstone } else { account };
        let data_bytes = account.data.len() as u64;
        assert!(data_bytes <= DATA_BYTES_MAX, "an account's data is bounded");
        let header = RecordHeader {
            write_version: 0.into(),
            data_len: data_bytes.into(),
            pubkey: *account.pubkey,
            lamports: account.lamports.into(),
            rent_epoch: account.rent_epoch.into(),
            owner: *account.owner,
            executable: u8::from(account.executable),
            padding: [0; 7],
            hash: Hash::default(),
        };
        let padding = self.bytes().next_multiple_of(RECORD_ALIGN) - self.bytes();
        self.size.add(account.lamports, data_bytes);
        for bytes in [&ZEROS[..padding as usize], header.as_bytes(), account.data] {
            if !bytes.is_empty() {
                sink(bytes);
            }
        }
    }
}
