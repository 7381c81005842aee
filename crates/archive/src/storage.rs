//! Walks over the records of one storage: the content of one `accounts/<slot>.<id>` member
//! (formats.md section 1, "Account storage file").
//!
//! Steps:
//! 1. A record begins at every multiple of 8. Its header says how long its data is; a record that
//!    lies whole in the input is given where it lies, one that comes in pieces is joined.
//! 2. The up to 7 bytes between a record's data and the next multiple of 8 are undefined, and not
//!    looked at. The last record needs none.
//! 3. The walk ends at the member's end, when fewer than a header's bytes are left, or at a record
//!    with neither address nor lamports. What is left must be zeros.
//!
//! Clients before 3.0 archived a storage with the whole capacity of its mapping, so that anything
//! may follow its records, deceptively like more of them; there the manifest's list says how long
//! the storage is ([`StorageReader::new`]'s `listed_bytes`), and what follows is not looked at.
//!
//! What is wrong with a storage is a [`Fault`](StorageEvent::Fault) with its place, not an error: a
//! verdict goes on with the next storage. Only the header's length and address are looked at, so
//! that most of a record's bytes are not touched here.
//!
//! What it does *not* do: judge accounts. The executable byte, doubled addresses and everything
//! else in the record are for the caller.

use icecore_types::{DATA_BYTES_MAX, RECORD_ALIGN, RECORD_HEADER_BYTES, RecordHeader};
use zerocopy::FromBytes;

use crate::{Error, zero::first_nonzero};

/// The largest storage: 16 GiB (`MAXIMUM_APPEND_VEC_FILE_SIZE` of the reference client 4.2.2).
pub const STORAGE_BYTES_MAX: u64 = 16 << 30;

const HEADER_BYTES: u64 = RECORD_HEADER_BYTES as u64;

/// What the reader comes across.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageEvent<'a> {
    /// A record that lies in the input.
    Record {
        /// Where it begins in the storage, a multiple of 8.
        offset: u64,
        /// Its number, from 0.
        number: u32,
        /// Header and data, without padding.
        bytes: &'a [u8],
    },
    /// A record that came in pieces.
    Joined {
        /// Where it begins in the storage, a multiple of 8.
        offset: u64,
        /// Its number, from 0.
        number: u32,
        /// Header and data, without padding.
        bytes: Vec<u8>,
    },
    /// Something is wrong.
    Fault {
        /// Where in the storage.
        offset: u64,
        /// Number of the record concerned, or of the one that would come next.
        number: u32,
        /// What it is.
        kind: StorageFault,
    },
    /// The member's content is over. Comes once, last.
    End {
        /// Records given.
        records: u32,
        /// Where the last record's data ends; 0 without records.
        records_end: u64,
        /// Bytes of the member behind that.
        trailing_bytes: u64,
    },
}

/// What can be wrong with a storage (check A1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageFault {
    /// The member has no bytes at all.
    #[error("the storage is empty")]
    Empty,
    /// The member is larger than any storage; nothing of it is read.
    #[error("the storage has {bytes} bytes, more than 16 GiB")]
    TooLarge {
        /// The member's size.
        bytes: u64,
    },
    /// A record states more data than an account may have; what follows is not read.
    #[error("the record states {data_bytes} bytes of data, more than 10 MiB")]
    DataTooLong {
        /// As stated.
        data_bytes: u64,
    },
    /// A record goes beyond the storage's end; what follows is not read.
    #[error("the record needs {needed} bytes, {left} are left")]
    RecordDoesNotFit {
        /// Bytes of header and data.
        needed: u64,
        /// Bytes from the record's start to the storage's end.
        left: u64,
    },
    /// Behind the last record there is a byte that is not zero.
    #[error("what follows the last record is not zero")]
    PaddingNotZero,
}

/// Walks over the records of one storage.
#[derive(Debug, Clone)]
pub struct StorageReader {
    member_bytes: u64,
    /// How far records go at most.
    limit: u64,
    /// Bytes taken from the input.
    offset: u64,
    state: State,
    /// First bytes of a record that comes in pieces; it begins `joined.len()` before `offset`.
    joined: Vec<u8>,
    records: u32,
    records_end: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing taken, nothing checked.
    Start,
    /// At a record, within one, or in the padding before one.
    Records,
    /// Behind the last record, where zeros are expected up to the limit.
    Tail,
    /// In what is not looked at.
    Skip,
    Ended,
}

impl StorageReader {
    /// A reader for a member of `member_bytes`. With `listed_bytes`, records end there at the
    /// latest, and what follows is not looked at: the manifest's length, where that governs.
    pub fn new(member_bytes: u64, listed_bytes: Option<u64>) -> Self {
        Self {
            member_bytes,
            limit: listed_bytes.map_or(member_bytes, |listed| listed.min(member_bytes)),
            offset: 0,
            state: State::Start,
            joined: Vec::new(),
            records: 0,
            records_end: 0,
        }
    }

    /// The next event; `None` when more input is needed, or after the end.
    ///
    /// The input is the member's content; no more of it is taken than the member has. There are no
    /// errors so far: the result is that of every other reader here.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<StorageEvent<'a>>, Error> {
        loop {
            match self.state {
                State::Start => {
                    self.state = State::Records;
                    if let Some(kind) = self.size_fault() {
                        self.state = State::Skip;
                        return Ok(Some(self.fault(0, kind)));
                    }
                }
                State::Records => {
                    let aligned = self.records_end.next_multiple_of(RECORD_ALIGN);
                    if self.offset < aligned.min(self.limit) {
                        self.take(input, aligned.min(self.limit));
                        if self.offset < aligned.min(self.limit) {
                            return Ok(None);
                        }
                    }
                    if self.limit.saturating_sub(aligned) < HEADER_BYTES {
                        self.state = State::Tail;
                    } else {
                        let event = self.record(input);
                        if event.is_some() || self.state == State::Records {
                            return Ok(event);
                        }
                    }
                }
                State::Tail => {
                    let began = self.offset;
                    let bytes = self.take(input, self.limit);
                    if let Some(index) = first_nonzero(bytes) {
                        self.state = State::Skip;
                        let offset = began + index as u64;
                        return Ok(Some(self.fault(offset, StorageFault::PaddingNotZero)));
                    }
                    if self.offset < self.limit {
                        return Ok(None);
                    }
                    self.state = State::Skip;
                }
                State::Skip => {
                    self.take(input, self.member_bytes);
                    if self.offset < self.member_bytes {
                        return Ok(None);
                    }
                    self.state = State::Ended;
                    return Ok(Some(StorageEvent::End {
                        records: self.records,
                        records_end: self.records_end,
                        trailing_bytes: self.member_bytes - self.records_end,
                    }));
                }
                State::Ended => return Ok(None),
            }
        }
    }

    /// Records given so far.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// Bytes kept of a record that was begun and not given.
    pub fn begun_bytes(&self) -> usize {
        self.joined.len()
    }

    /// Bytes of the record that was begun and ends in the input that follows: what a
    /// [`Joined`](StorageEvent::Joined) will have, so that there can be room for it. Of the input
    /// its length is given, and its first bytes, as many as a header has or all; 0 when no record
    /// was begun, or it does not end there.
    pub fn joined_bytes(&self, next: &[u8], next_bytes: usize) -> usize {
        if self.joined.is_empty() {
            return 0;
        }
        let mut header = [0; RECORD_HEADER_BYTES];
        let known = self.joined.len().min(RECORD_HEADER_BYTES);
        let added = next.len().min(RECORD_HEADER_BYTES - known);
        header[..known].copy_from_slice(&self.joined[..known]);
        header[known..known + added].copy_from_slice(&next[..added]);
        if known + added < RECORD_HEADER_BYTES {
            return 0;
        }
        let left = self.limit - (self.offset - self.joined.len() as u64);
        match look(&header, left) {
            Look::Record { bytes } if bytes <= (self.joined.len() + next_bytes) as u64 => {
                usize::try_from(bytes).expect("10 MiB at most")
            }
            Look::Record { .. } | Look::End | Look::Fault(_) => 0,
        }
    }

    fn size_fault(&self) -> Option<StorageFault> {
        match self.member_bytes {
            0 => Some(StorageFault::Empty),
            bytes if bytes > STORAGE_BYTES_MAX => Some(StorageFault::TooLarge { bytes }),
            _ => None,
        }
    }

    /// Takes bytes up to `end`, an offset in the storage not before this one, or to the input's
    /// end.
    fn take<'a>(&mut self, input: &mut &'a [u8], end: u64) -> &'a [u8] {
        let left = end - self.offset;
        let count = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let (taken, rest) = input.split_at(count);
        *input = rest;
        self.offset += count as u64;
        taken
    }

    /// Takes bytes into the joined record until it has `total`; `false` when more are needed.
    fn join(&mut self, input: &mut &[u8], total: u64) -> bool {
        let taken = self.take(input, self.offset - self.joined.len() as u64 + total);
        self.joined.extend_from_slice(taken);
        self.joined.len() as u64 == total
    }

    /// Takes a record for whose header there is room before the limit.
    ///
    /// `None` when more input is needed, or when the state says that no record comes.
    fn record<'a>(&mut self, input: &mut &'a [u8]) -> Option<StorageEvent<'a>> {
        if self.joined.is_empty() && input.len() >= RECORD_HEADER_BYTES {
            let offset = self.offset;
            let needed = match look(input, self.limit - offset) {
                Look::Record { bytes } => bytes,
                stop => return self.stop(stop, offset),
            };
            if input.len() as u64 >= needed {
                let bytes = self.take(input, offset + needed);
                let number = self.count(offset + needed);
                return Some(StorageEvent::Record { offset, number, bytes });
            }
        }
        if self.joined.len() < RECORD_HEADER_BYTES && !self.join(input, HEADER_BYTES) {
            return None;
        }
        let offset = self.offset - self.joined.len() as u64;
        match look(&self.joined, self.limit - offset) {
            Look::Record { bytes } if !self.join(input, bytes) => None,
            Look::Record { bytes } => {
                let number = self.count(offset + bytes);
                let bytes = std::mem::take(&mut self.joined);
                Some(StorageEvent::Joined { offset, number, bytes })
            }
            stop => self.stop(stop, offset),
        }
    }

    /// Leaves the records at `offset`: the header there, joined or still in the input, is none's.
    fn stop(&mut self, look: Look, offset: u64) -> Option<StorageEvent<'static>> {
        let joined = std::mem::take(&mut self.joined);
        self.state = State::Skip;
        match look {
            Look::Fault(kind) => Some(self.fault(offset, kind)),
            _ => match first_nonzero(&joined) {
                Some(index) => {
                    let offset = offset + index as u64;
                    Some(self.fault(offset, StorageFault::PaddingNotZero))
                }
                None => {
                    self.state = State::Tail;
                    None
                }
            },
        }
    }

    /// Counts a record that ends at `end` and gives its number.
    fn count(&mut self, end: u64) -> u32 {
        let number = self.records;
        // 16 GiB hold fewer than 2^27 records.
        self.records += 1;
        self.records_end = end;
        number
    }

    fn fault(&self, offset: u64, kind: StorageFault) -> StorageEvent<'static> {
        StorageEvent::Fault { offset, number: self.records, kind }
    }
}

/// What a header says about what comes.
enum Look {
    /// A record of so many bytes, padding apart.
    Record {
        bytes: u64,
    },
    /// The regular end of the records.
    End,
    Fault(StorageFault),
}

/// Looks at the header at the start of `bytes`, with `left` bytes to the storage's end.
fn look(bytes: &[u8], left: u64) -> Look {
    let (header, _) = RecordHeader::ref_from_prefix(bytes).expect("a header's bytes are there");
    if header.lamports.get() == 0 && header.pubkey.is_zero() {
        return Look::End;
    }
    let data_bytes = header.data_len.get();
    if data_bytes > DATA_BYTES_MAX {
        return Look::Fault(StorageFault::DataTooLong { data_bytes });
    }
    let bytes = HEADER_BYTES + data_bytes;
    if bytes > left {
        return Look::Fault(StorageFault::RecordDoesNotFit { needed: bytes, left });
    }
    Look::Record { bytes }
}
