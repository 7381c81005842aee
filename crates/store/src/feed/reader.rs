//! Bytes to items.
//!
//! Steps:
//! 1. The header is checked, then message by message: kind and length, before a byte of the body.
//! 2. Small bodies and accounts are taken where they lie, or gathered when they come in pieces.
//! 3. A slot's end is taken apart: its fixed part, then the bank and the status cache in the pieces
//!    in which they arrive, then its completion. The length of the status cache is known from the
//!    message's length; the field in between has to agree.
//!
//! After an error every further call gives the same error.
//!
//! What it does *not* do: remember slots.

use std::mem::offset_of;

use icecore_types::{AccountRef, DATA_BYTES_MAX, LatticeHash};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::{
    ACCOUNT_BODY_BYTES_MAX, BANK_BYTES_MAX, FeedError, FeedFault, FeedItem, MAGIC,
    STATUS_CACHE_BYTES_MAX, SlotAccount, SlotBegin, SlotEnd, VERSION,
    layout::{
        ACCOUNT_BYTES, Account, BEGIN_BYTES, Begin, END_BYTES, End, HEAD_BYTES, HEADER_BYTES, Head,
        Header, NUMBER_BYTES, STATUS_CACHE_LENGTH_BYTES, kind,
    },
};

/// Reads a slot feed.
#[derive(Debug, Default)]
pub struct FeedReader {
    input: Gather,
    state: State,
    /// Where the message begins that is being read.
    message_offset: u64,
    error: Option<FeedError>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Header,
    Head,
    Body {
        kind: u32,
        body_bytes: u64,
    },
    Bank {
        left: u64,
        status_cache_bytes: u64,
    },
    StatusCacheLength {
        expected: u64,
    },
    StatusCache {
        left: u64,
    },
}

impl FeedReader {
    /// At the beginning of a feed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes taken so far.
    pub fn offset(&self) -> u64 {
        self.input.offset
    }

    /// The next item, behind the place where its message begins, in bytes from the feed's beginning;
    /// `None` when more input is needed, all of `input` having been taken.
    ///
    /// # Errors
    /// [`FeedError`] when the bytes are no feed.
    pub fn next<'g, 'a: 'g>(
        &'g mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<(u64, FeedItem<'g>)>, FeedError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let Self { input: gather, state, message_offset, error } = self;
        match step(gather, state, message_offset, input) {
            Ok(item) => Ok(item.map(|item| (*message_offset, item))),
            Err((offset, fault)) => {
                let found = FeedError { offset, fault };
                *error = Some(found);
                Err(found)
            }
        }
    }

    /// Says that no more bytes come.
    ///
    /// # Errors
    /// [`FeedFault::Cut`] when the bytes ended within the header or a message, or an error that was
    /// given before.
    pub fn finish(&self) -> Result<(), FeedError> {
        match self.error {
            Some(error) => Err(error),
            None if self.state == State::Head && self.input.is_empty() => Ok(()),
            None => Err(FeedError { offset: self.input.offset, fault: FeedFault::Cut }),
        }
    }
}

type Found = (u64, FeedFault);

fn step<'g, 'a: 'g>(
    gather: &'g mut Gather,
    state: &mut State,
    message_offset: &mut u64,
    input: &mut &'a [u8],
) -> Result<Option<FeedItem<'g>>, Found> {
    if *state == State::Header {
        let Some(bytes) = gather.take(input, HEADER_BYTES) else { return Ok(None) };
        check_header(fixed(bytes))?;
        *state = State::Head;
    }
    if *state == State::Head {
        let Some(bytes) = gather.take(input, HEAD_BYTES) else { return Ok(None) };
        let head: &Head = fixed(bytes);
        let (kind, body_bytes) = (head.kind.get(), head.body_bytes.get());
        *message_offset = gather.offset - HEAD_BYTES;
        check_head(kind, body_bytes, *message_offset)?;
        *state = State::Body { kind, body_bytes };
    }
    if let State::Bank { left, status_cache_bytes } = state {
        if *left > 0 {
            let piece = gather.piece(input, left);
            return Ok(piece.map(FeedItem::Bank));
        }
        *state = State::StatusCacheLength { expected: *status_cache_bytes };
    }
    if let State::StatusCacheLength { expected } = *state {
        let Some(bytes) = gather.take(input, STATUS_CACHE_LENGTH_BYTES) else { return Ok(None) };
        let stated = number(bytes);
        if stated != expected {
            let fault = FeedFault::PartLength { what: "status cache", stated, most: expected };
            return Err((gather.offset - STATUS_CACHE_LENGTH_BYTES, fault));
        }
        *state = State::StatusCache { left: expected };
    }
    if let State::StatusCache { left } = state {
        if *left > 0 {
            let piece = gather.piece(input, left);
            return Ok(piece.map(FeedItem::StatusCache));
        }
        *state = State::Head;
        return Ok(Some(FeedItem::SlotEnded));
    }
    let State::Body { kind, body_bytes } = *state else {
        unreachable!("every other state was left above");
    };
    let taken_bytes = if kind == kind::SLOT_END { END_BYTES } else { body_bytes };
    let Some(body) = gather.take(input, taken_bytes) else { return Ok(None) };
    let body_offset = *message_offset + HEAD_BYTES;
    *state = State::Head;
    let item = match kind {
        kind::SLOT_BEGIN => FeedItem::SlotBegin(begin(fixed(body))),
        kind::ACCOUNT => account(body)
            .map(FeedItem::Account)
            .map_err(|(at, fault)| (body_offset + at as u64, fault))?,
        kind::SLOT_END => {
            let end = end(fixed(body), body_bytes)
                .map_err(|(at, fault)| (body_offset + at as u64, fault))?;
            *state =
                State::Bank { left: end.bank_bytes, status_cache_bytes: end.status_cache_bytes };
            FeedItem::SlotEnd(Box::new(end))
        }
        kind::ROOTED => FeedItem::Rooted(number(body)),
        kind::ABANDONED => FeedItem::Abandoned(number(body)),
        _ => unreachable!("checked with the head"),
    };
    Ok(Some(item))
}

fn check_header(header: &Header) -> Result<(), Found> {
    if header.magic != MAGIC {
        return Err((0, FeedFault::Magic));
    }
    let version = header.version.get();
    if version != VERSION {
        return Err((offset_of!(Header, version) as u64, FeedFault::Version { version }));
    }
    if header.zero.get() != 0 {
        return Err((offset_of!(Header, zero) as u64, FeedFault::NotZero));
    }
    Ok(())
}

fn check_head(kind: u32, bytes: u64, offset: u64) -> Result<(), Found> {
    const TAIL_BYTES_MAX: u64 = BANK_BYTES_MAX + STATUS_CACHE_LENGTH_BYTES + STATUS_CACHE_BYTES_MAX;
    let allowed = match kind {
        kind::SLOT_BEGIN => BEGIN_BYTES..=BEGIN_BYTES,
        kind::ACCOUNT => ACCOUNT_BYTES..=ACCOUNT_BODY_BYTES_MAX,
        kind::SLOT_END => END_BYTES + STATUS_CACHE_LENGTH_BYTES..=END_BYTES + TAIL_BYTES_MAX,
        kind::ROOTED | kind::ABANDONED => NUMBER_BYTES..=NUMBER_BYTES,
        _ => return Err((offset, FeedFault::Kind { kind })),
    };
    match allowed.contains(&bytes) {
        true => Ok(()),
        false => {
            let at = offset + offset_of!(Head, body_bytes) as u64;
            Err((at, FeedFault::Length { kind, bytes }))
        }
    }
}

fn begin(begin: &Begin) -> SlotBegin {
    SlotBegin {
        slot: begin.slot.get(),
        parent_slot: begin.parent_slot.get(),
        parent_bank_hash: begin.parent_bank_hash,
    }
}

/// A fault's place is within the body.
fn account(body: &[u8]) -> Result<SlotAccount<'_>, (usize, FeedFault)> {
    let (head, data) = Account::ref_from_prefix(body).expect("the length was checked");
    if head.executable > 1 {
        let fault = FeedFault::Executable { value: head.executable };
        return Err((offset_of!(Account, executable), fault));
    }
    if head.zero != [0; 3] {
        return Err((offset_of!(Account, zero), FeedFault::NotZero));
    }
    let (stated, there) = (head.data_len.get(), data.len() as u64);
    if stated != there {
        let fault = FeedFault::DataLength { stated, there };
        return Err((offset_of!(Account, data_len), fault));
    }
    debug_assert!(there <= DATA_BYTES_MAX, "checked with the head");
    let account = AccountRef {
        pubkey: &head.pubkey,
        lamports: head.lamports.get(),
        owner: &head.owner,
        executable: head.executable == 1,
        rent_epoch: head.rent_epoch.get(),
        data,
    };
    if account.is_tombstone() && !(data.is_empty() && head.owner.is_zero()) {
        return Err((offset_of!(Account, lamports), FeedFault::ClosedWithContent));
    }
    Ok(SlotAccount { slot: head.slot.get(), write_index: head.write_index.get(), account })
}

/// A fault's place is within the body.
fn end(end: &End, body_bytes: u64) -> Result<SlotEnd, (usize, FeedFault)> {
    let tail_bytes = body_bytes - END_BYTES - STATUS_CACHE_LENGTH_BYTES;
    let bank_bytes = end.bank_bytes.get();
    let too_long = |what, stated, most| {
        Err((offset_of!(End, bank_bytes), FeedFault::PartLength { what, stated, most }))
    };
    let most = tail_bytes.min(BANK_BYTES_MAX);
    if bank_bytes > most {
        return too_long("bank", bank_bytes, most);
    }
    let status_cache_bytes = tail_bytes - bank_bytes;
    if status_cache_bytes > STATUS_CACHE_BYTES_MAX {
        return too_long("status cache", status_cache_bytes, STATUS_CACHE_BYTES_MAX);
    }
    Ok(SlotEnd {
        slot: end.slot.get(),
        bank_hash: end.bank_hash,
        last_blockhash: end.last_blockhash,
        signature_count: end.signature_count.get(),
        transaction_count: end.transaction_count.get(),
        capitalization: end.capitalization.get(),
        block_height: end.block_height.get(),
        accounts_written: end.accounts_written.get(),
        lattice: LatticeHash::from_bytes(&end.lattice),
        bank_bytes,
        status_cache_bytes,
    })
}

fn fixed<T: FromBytes + KnownLayout + Immutable + Unaligned>(bytes: &[u8]) -> &T {
    T::ref_from_bytes(bytes).expect("as many bytes were taken")
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("8 bytes were taken"))
}

/// Runs of bytes: taken where they lie, or gathered when they come in pieces.
#[derive(Debug, Default)]
struct Gather {
    kept: Vec<u8>,
    /// Whether `kept` was given out whole.
    is_given: bool,
    /// Bytes taken in all.
    offset: u64,
}

impl Gather {
    /// The next `total` bytes, at least one, once they are there. The caller bounds `total`, and asks
    /// for the same until it gets them.
    fn take<'g, 'a: 'g>(&'g mut self, input: &mut &'a [u8], total: u64) -> Option<&'g [u8]> {
        self.forget_given();
        let total = usize::try_from(total).expect("the caller bounds it");
        let (taken, rest) = input.split_at(input.len().min(total - self.kept.len()));
        *input = rest;
        self.offset += taken.len() as u64;
        if taken.len() == total {
            return Some(taken);
        }
        self.kept.extend_from_slice(taken);
        self.is_given = self.kept.len() == total;
        self.is_given.then_some(&self.kept)
    }

    /// As many bytes as there are, at most `left`, which becomes less; `None`: there are none.
    fn piece<'a>(&mut self, input: &mut &'a [u8], left: &mut u64) -> Option<&'a [u8]> {
        self.forget_given();
        let most = usize::try_from(*left).unwrap_or(usize::MAX);
        let (piece, rest) = input.split_at(input.len().min(most));
        *input = rest;
        *left -= piece.len() as u64;
        self.offset += piece.len() as u64;
        (!piece.is_empty()).then_some(piece)
    }

    fn forget_given(&mut self) {
        if self.is_given {
            self.kept.clear();
            self.is_given = false;
        }
    }

    /// Whether no run was begun.
    fn is_empty(&self) -> bool {
        self.is_given || self.kept.is_empty()
    }
}

#[cfg(test)]
mod tests;
