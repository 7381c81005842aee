//! The fixed parts of a feed's messages, as they lie in the bytes.
//!
//! What it does *not* do: check anything.

use icecore_types::{Hash, LATTICE_BYTES, Pubkey};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, LE, U32, U64, Unaligned};

/// Kinds of messages.
pub(super) mod kind {
    pub(in super::super) const SLOT_BEGIN: u32 = 1;
    pub(in super::super) const ACCOUNT: u32 = 2;
    pub(in super::super) const SLOT_END: u32 = 3;
    pub(in super::super) const ROOTED: u32 = 4;
    pub(in super::super) const ABANDONED: u32 = 5;
}

/// Before the first message.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: [u8; 8],
    pub(super) version: U32<LE>,
    pub(super) zero: U32<LE>,
}

/// Before a message's body.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Head {
    pub(super) kind: U32<LE>,
    pub(super) body_bytes: U64<LE>,
}

/// The body of a slot's begin.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Begin {
    pub(super) slot: U64<LE>,
    pub(super) parent_slot: U64<LE>,
    pub(super) parent_bank_hash: Hash,
}

/// An account before its data.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Account {
    pub(super) slot: U64<LE>,
    pub(super) write_index: U32<LE>,
    pub(super) executable: u8,
    pub(super) zero: [u8; 3],
    pub(super) lamports: U64<LE>,
    pub(super) rent_epoch: U64<LE>,
    pub(super) pubkey: Pubkey,
    pub(super) owner: Pubkey,
    pub(super) data_len: U64<LE>,
}

/// A slot's end before its bank.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct End {
    pub(super) slot: U64<LE>,
    pub(super) bank_hash: Hash,
    pub(super) last_blockhash: Hash,
    pub(super) signature_count: U64<LE>,
    pub(super) transaction_count: U64<LE>,
    pub(super) capitalization: U64<LE>,
    pub(super) block_height: U64<LE>,
    pub(super) accounts_written: U64<LE>,
    pub(super) lattice: [u8; LATTICE_BYTES],
    pub(super) bank_bytes: U64<LE>,
}

/// The body of a message that only names a slot.
pub(super) const NUMBER_BYTES: u64 = 8;
/// The length of the status cache, between bank and status cache.
pub(super) const STATUS_CACHE_LENGTH_BYTES: u64 = 8;
pub(super) const HEADER_BYTES: u64 = size_of::<Header>() as u64;
pub(super) const HEAD_BYTES: u64 = size_of::<Head>() as u64;
pub(super) const BEGIN_BYTES: u64 = size_of::<Begin>() as u64;
pub(super) const ACCOUNT_BYTES: u64 = size_of::<Account>() as u64;
pub(super) const END_BYTES: u64 = size_of::<End>() as u64;

const _: () = assert!(HEADER_BYTES == 16 && HEAD_BYTES == 12 && BEGIN_BYTES == 48);
const _: () = assert!(ACCOUNT_BYTES == 104 && END_BYTES == 2168);
