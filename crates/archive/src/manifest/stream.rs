//! What the streaming decoders of the manifest and of the status cache have in common: cutting
//! chunks into items, and walking a grammar of fields and counted lists.
//!
//! [`Items`] cuts. An item that lies whole in the chunk is decoded where it lies; one that
//! straddles chunks is gathered in `pending`, and is decoded again only when as many bytes have
//! come as the last attempt said it lacked. As every attempt lacks exactly the bytes of its next
//! part, a large item is not parsed anew for each small chunk, and `pending` never holds a byte of
//! the item after.
//!
//! [`Grammar`] walks: it says which kind of item follows and how many entries of the lists around
//! it are left.

use icecore_types::{Cursor, Wire, WireError};

/// The reference client reads at most 32 GiB of a manifest or status cache
/// (`MAX_STREAM_SIZE`, 4.2.2).
pub(crate) const STREAM_BYTES_MAX: u64 = 32 << 30;

/// The largest count of entries of `entry_bytes` or more that a stream has room for.
pub(crate) const fn entries_max(entry_bytes: u64) -> u64 {
    STREAM_BYTES_MAX / entry_bytes
}

/// Why an item was not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemError {
    /// At least so many more bytes are needed.
    Incomplete { needed: usize },
    /// `bytes_before` bytes before the cursor lies what is wrong.
    Fault { fault: Fault, bytes_before: usize },
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Invalid { what: &'static str, value: u64 },
    AboveLimit { value: u64, limit: u64 },
}

/// What is wrong and where, in bytes from the start of the stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) fault: Fault,
}

impl From<WireError> for ItemError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Incomplete { needed } => Self::Incomplete { needed },
            // The shapes of `icecore-types` refuse nothing but tags of one byte, just read.
            WireError::Invalid { what, value } => {
                Self::Fault { fault: Fault::Invalid { what, value }, bytes_before: 1 }
            }
        }
    }
}

impl ItemError {
    /// Lays what is wrong at the start of the item that `cursor` reads.
    pub(crate) fn of_item(error: WireError, cursor: &Cursor<'_>) -> Self {
        match Self::from(error) {
            Self::Fault { fault, .. } => Self::Fault { fault, bytes_before: cursor.position() },
            incomplete => incomplete,
        }
    }
}

/// Reads a count or length and compares it with its limit.
pub(crate) fn read_count(cursor: &mut Cursor<'_>, limit: u64) -> Result<u64, ItemError> {
    let value = cursor.read()?;
    if value > limit {
        return Err(ItemError::Fault {
            fault: Fault::AboveLimit { value, limit },
            bytes_before: size_of::<u64>(),
        });
    }
    Ok(value)
}

/// Cuts chunks into items.
#[derive(Debug, Default)]
pub(crate) struct Items {
    /// The bytes so far of the item that straddles chunks.
    pending: Vec<u8>,
    /// How many more bytes the pending item needs before another attempt.
    needed: usize,
    /// Where the next item begins.
    offset: u64,
}

impl Items {
    /// Where the next item begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the next item that have come already.
    pub(crate) fn pending_bytes(&self) -> u64 {
        self.pending.len() as u64
    }

    /// Calls `next` with each item's offset and a cursor at its first byte.
    ///
    /// `next` must take at least one byte when it succeeds, and must leave its state alone when it
    /// does not.
    pub(crate) fn feed(
        &mut self,
        mut input: &[u8],
        mut next: impl FnMut(u64, &mut Cursor<'_>) -> Result<(), ItemError>,
    ) -> Result<(), Place> {
        while !input.is_empty() {
            let straddles = !self.pending.is_empty();
            if straddles {
                let (now, later) = input.split_at(self.needed.min(input.len()));
                self.pending.extend_from_slice(now);
                self.needed -= now.len();
                input = later;
                if self.needed > 0 {
                    return Ok(());
                }
            }
            let bytes = if straddles { &self.pending } else { input };
            let mut cursor = Cursor::new(bytes);
            match next(self.offset, &mut cursor) {
                Ok(()) => {
                    let taken = cursor.position();
                    self.offset += taken as u64;
                    if straddles {
                        self.pending.clear();
                    } else {
                        input = &input[taken..];
                    }
                }
                Err(ItemError::Incomplete { needed }) => {
                    self.needed = needed;
                    if !straddles {
                        self.pending.extend_from_slice(input);
                        return Ok(());
                    }
                }
                Err(ItemError::Fault { fault, bytes_before }) => {
                    let within = cursor.position().saturating_sub(bytes_before);
                    return Err(Place { offset: self.offset + within as u64, fault });
                }
            }
        }
        Ok(())
    }
}

/// Where a decoder stands: which kind of item follows, and what is left of the lists around it.
#[derive(Debug)]
pub(crate) struct Grammar<S> {
    /// The kind of the item that follows.
    pub(crate) at: S,
    /// Entries left in the innermost list.
    entries: u64,
    /// Groups left in the list whose entries hold lists themselves.
    groups: u64,
}

impl<S: Copy> Grammar<S> {
    /// Starts before the first item.
    pub(crate) fn new(at: S) -> Self {
        Self { at, entries: 0, groups: 0 }
    }

    /// Reads an item that occurs once; `next` follows.
    pub(crate) fn one<T: Wire>(
        &mut self,
        cursor: &mut Cursor<'_>,
        next: S,
    ) -> Result<T, ItemError> {
        let value = cursor.read()?;
        self.at = next;
        Ok(value)
    }

    /// Reads a list's count; its entries follow, or `next` when there are none.
    pub(crate) fn list(
        &mut self,
        cursor: &mut Cursor<'_>,
        count_max: u64,
        entry: S,
        next: S,
    ) -> Result<u64, ItemError> {
        let count = read_count(cursor, count_max)?;
        self.entries = count;
        self.at = if count == 0 { next } else { entry };
        Ok(count)
    }

    /// Reads an entry; after the last one `next` follows.
    pub(crate) fn entry<T: Wire>(
        &mut self,
        cursor: &mut Cursor<'_>,
        next: S,
    ) -> Result<T, ItemError> {
        let value = cursor.read()?;
        self.entry_done(next);
        Ok(value)
    }

    /// Counts an entry off; whether it was the last one. Then `next` follows.
    pub(crate) fn entry_done(&mut self, next: S) -> bool {
        self.entries -= 1;
        if self.entries == 0 {
            self.at = next;
        }
        self.entries == 0
    }

    /// Like [`list`](Self::list), for a list of groups.
    pub(crate) fn groups(
        &mut self,
        cursor: &mut Cursor<'_>,
        count_max: u64,
        group: S,
        next: S,
    ) -> Result<u64, ItemError> {
        let count = read_count(cursor, count_max)?;
        self.groups = count;
        self.at = if count == 0 { next } else { group };
        Ok(count)
    }

    /// Counts a group off; another `group` follows, or `next` after the last one.
    pub(crate) fn group_done(&mut self, group: S, next: S) {
        self.groups -= 1;
        self.at = if self.groups == 0 { next } else { group };
    }
}
