//! Items to bytes.
//!
//! What it does *not* do: judge whether messages fit together. What a reader would not give is a
//! programmer's error here.

use icecore_types::DATA_BYTES_MAX;
use zerocopy::IntoBytes;

use super::{
    BANK_BYTES_MAX, FeedItem, MAGIC, STATUS_CACHE_BYTES_MAX, SlotAccount, SlotBegin, SlotEnd,
    VERSION,
    layout::{
        ACCOUNT_BYTES, Account, BEGIN_BYTES, Begin, END_BYTES, End, Head, Header, NUMBER_BYTES,
        STATUS_CACHE_LENGTH_BYTES, kind,
    },
};

/// Writes a slot feed.
#[derive(Debug)]
pub struct FeedWriter {
    /// Within a slot's end: bytes of bank and status cache that are still to come.
    tail: Option<(u64, u64)>,
}

impl FeedWriter {
    /// Begins a feed.
    pub fn new(out: &mut Vec<u8>) -> Self {
        let header = Header { magic: MAGIC, version: VERSION.into(), zero: 0.into() };
        out.extend_from_slice(header.as_bytes());
        Self { tail: None }
    }

    /// Appends an item.
    ///
    /// # Panics
    /// When a reader would not give this item here: a piece of a bank that was not announced, a slot's
    /// end with pieces missing, lengths beyond the maxima.
    pub fn write(&mut self, item: &FeedItem<'_>, out: &mut Vec<u8>) {
        match (item, self.tail) {
            (FeedItem::Bank(piece), Some((bank_left, status_cache_left))) => {
                let left = bank_left.checked_sub(piece.len() as u64).expect("bank as announced");
                self.tail = Some((left, status_cache_left));
                out.extend_from_slice(piece);
                if left == 0 && bank_left > 0 {
                    out.extend_from_slice(&status_cache_left.to_le_bytes());
                }
            }
            (FeedItem::StatusCache(piece), Some((0, status_cache_left))) => {
                let left = status_cache_left.checked_sub(piece.len() as u64);
                self.tail = Some((0, left.expect("status cache as announced")));
                out.extend_from_slice(piece);
            }
            (FeedItem::SlotEnded, Some((0, 0))) => self.tail = None,
            (FeedItem::SlotBegin(item), None) => begin(item, out),
            (FeedItem::Account(item), None) => account(item, out),
            (FeedItem::SlotEnd(item), None) => {
                end(item, out);
                self.tail = Some((item.bank_bytes, item.status_cache_bytes));
                if item.bank_bytes == 0 {
                    out.extend_from_slice(&item.status_cache_bytes.to_le_bytes());
                }
            }
            (FeedItem::Rooted(slot), None) => number(kind::ROOTED, *slot, out),
            (FeedItem::Abandoned(slot), None) => number(kind::ABANDONED, *slot, out),
            (item, tail) => panic!("{item:?} does not come with {tail:?} bytes to come"),
        }
    }
}

fn head(kind: u32, body_bytes: u64, out: &mut Vec<u8>) {
    let head = Head { kind: kind.into(), body_bytes: body_bytes.into() };
    out.extend_from_slice(head.as_bytes());
}

fn number(kind: u32, slot: u64, out: &mut Vec<u8>) {
    head(kind, NUMBER_BYTES, out);
    out.extend_from_slice(&slot.to_le_bytes());
}

fn begin(item: &SlotBegin, out: &mut Vec<u8>) {
    head(kind::SLOT_BEGIN, BEGIN_BYTES, out);
    let body = Begin {
        slot: item.slot.into(),
        parent_slot: item.parent_slot.into(),
        parent_bank_hash: item.parent_bank_hash,
    };
    out.extend_from_slice(body.as_bytes());
}

fn account(item: &SlotAccount<'_>, out: &mut Vec<u8>) {
    let account = &item.account;
    let data_len = account.data.len() as u64;
    assert!(data_len <= DATA_BYTES_MAX, "no account is longer");
    head(kind::ACCOUNT, ACCOUNT_BYTES + data_len, out);
    let body = Account {
        slot: item.slot.into(),
        write_index: item.write_index.into(),
        executable: u8::from(account.executable),
        zero: [0; 3],
        lamports: account.lamports.into(),
        rent_epoch: account.rent_epoch.into(),
        pubkey: *account.pubkey,
        owner: *account.owner,
        data_len: data_len.into(),
    };
    out.extend_from_slice(body.as_bytes());
    out.extend_from_slice(account.data);
}

fn end(item: &SlotEnd, out: &mut Vec<u8>) {
    assert!(item.bank_bytes <= BANK_BYTES_MAX, "no bank is longer");
    assert!(item.status_cache_bytes <= STATUS_CACHE_BYTES_MAX, "no status cache is longer");
    let tail_bytes = item.bank_bytes + STATUS_CACHE_LENGTH_BYTES + item.status_cache_bytes;
    head(kind::SLOT_END, END_BYTES + tail_bytes, out);
    let body = End {
        slot: item.slot.into(),
        bank_hash: item.bank_hash,
        last_blockhash: item.last_blockhash,
        signature_count: item.signature_count.into(),
        transaction_count: item.transaction_count.into(),
        capitalization: item.capitalization.into(),
        block_height: item.block_height.into(),
        accounts_written: item.accounts_written.into(),
        lattice: *item.lattice.to_bytes(),
        bank_bytes: item.bank_bytes.into(),
    };
    out.extend_from_slice(body.as_bytes());
}
