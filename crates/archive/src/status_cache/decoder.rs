//! The streaming decoder: bytes in any chunking to items, one after the other.

use icecore_types::{Cursor, Hash, Slot, Wire};

use super::{StatusCacheError, TransactionResult};
use crate::manifest::stream::{Grammar, ItemError, Items, Place, STREAM_BYTES_MAX, entries_max};

/// The largest status cache: 32 GiB (`MAX_STREAM_SIZE` of the reference client 4.2.2).
pub const STATUS_CACHE_BYTES_MAX: u64 = STREAM_BYTES_MAX;

/// Bytes of a signature or message hash that the status cache keeps
/// (`CACHED_KEY_SIZE` of the reference client).
pub const KEY_SLICE_BYTES: usize = 20;

/// Counts are bounded by the room for their smallest entries. That an honest status cache holds at
/// most 300 slots is for the checks to say.
const SLOTS_MAX: u64 = entries_max(17);
const BLOCKHASHES_MAX: u64 = entries_max(48);
const ENTRIES_MAX: u64 = entries_max(24);

/// One item. Every byte of a status cache belongs to exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusCacheItem {
    /// Count of slots.
    SlotCount(u64),
    /// A slot.
    Slot {
        /// The slot.
        slot: Slot,
        /// Whether it is rooted; true in every honest archive.
        is_root: bool,
        /// How many blockhashes follow.
        blockhashes: u64,
    },
    /// A blockhash that transactions of the slot before named.
    Blockhash {
        /// The blockhash.
        blockhash: Hash,
        /// Where in a signature or message hash the key slices begin, in bytes.
        key_index: u64,
        /// How many entries follow.
        entries: u64,
    },
    /// A transaction that named the blockhash before.
    Entry {
        /// 20 bytes of its signature or message hash.
        key_slice: [u8; KEY_SLICE_BYTES],
        /// Its result.
        result: TransactionResult,
    },
}

impl StatusCacheItem {
    /// Appends the item's bytes, exactly as they were in the file.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::SlotCount(count) => count.encode(out),
            Self::Slot { slot, is_root, blockhashes } => {
                (*slot, *is_root).encode(out);
                blockhashes.encode(out);
            }
            Self::Blockhash { blockhash, key_index, entries } => {
                (*blockhash, *key_index).encode(out);
                entries.encode(out);
            }
            Self::Entry { key_slice, result } => {
                key_slice.encode(out);
                result.encode(out);
            }
        }
    }
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    SlotCount,
    Slot,
    Blockhash,
    Entry,
    Trailing,
}

/// Decodes a status cache that comes in chunks.
///
/// After an error the decoder is of no further use.
#[derive(Debug)]
pub struct StatusCacheDecoder {
    items: Items,
    walk: Walk,
}

/// The decoder without its buffer.
#[derive(Debug)]
struct Walk {
    /// Its entries are those of a blockhash, its groups the blockhashes of a slot.
    grammar: Grammar<At>,
    /// Slots left.
    slots: u64,
    trailing_bytes: u64,
}

impl Default for StatusCacheDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl StatusCacheDecoder {
    /// Starts before the first byte.
    pub fn new() -> Self {
        Self {
            items: Items::default(),
            walk: Walk { grammar: Grammar::new(At::SlotCount), slots: 0, trailing_bytes: 0 },
        }
    }

    /// Takes the next bytes, however many, and calls `visit` with the offset of each item that
    /// they complete.
    pub fn feed(
        &mut self,
        input: &[u8],
        visit: &mut dyn FnMut(u64, StatusCacheItem),
    ) -> Result<(), StatusCacheError> {
        let length = self.length() + input.len() as u64;
        if length > STATUS_CACHE_BYTES_MAX {
            return Err(StatusCacheError::AboveLimit {
                offset: self.length(),
                field: "the status cache",
                value: length,
                limit: STATUS_CACHE_BYTES_MAX,
            });
        }
        let walk = &mut self.walk;
        self.items
            .feed(input, |offset, cursor| {
                if let Some(item) = walk.item(cursor)? {
                    visit(offset, item);
                }
                Ok(())
            })
            .map_err(|place: Place| StatusCacheError::at(place, self.walk.field()))
    }

    /// Says whether the status cache ended exactly after its last entry. No item is left to be
    /// visited.
    pub fn finish(self) -> Result<(), StatusCacheError> {
        let length = self.length();
        let bytes = self.walk.trailing_bytes;
        if self.walk.grammar.at != At::Trailing {
            return Err(StatusCacheError::Truncated {
                offset: self.items.offset(),
                field: self.walk.field(),
                length,
            });
        }
        if bytes > 0 {
            return Err(StatusCacheError::TrailingBytes { offset: length - bytes, bytes });
        }
        Ok(())
    }

    /// Bytes fed so far.
    fn length(&self) -> u64 {
        self.items.offset() + self.items.pending_bytes()
    }
}

impl Walk {
    /// Decodes the next item: the grammar, in file order. `None` for trailing bytes.
    fn item(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<StatusCacheItem>, ItemError> {
        use StatusCacheItem as Item;
        let grammar = &mut self.grammar;
        Ok(Some(match grammar.at {
            At::SlotCount => {
                self.slots = grammar.list(cursor, SLOTS_MAX, At::Slot, At::Trailing)?;
                Item::SlotCount(self.slots)
            }
            At::Slot => {
                let (slot, is_root) = cursor.read()?;
                let blockhashes =
                    grammar.groups(cursor, BLOCKHASHES_MAX, At::Blockhash, At::Slot)?;
                if blockhashes == 0 {
                    self.slot_done();
                }
                Item::Slot { slot, is_root, blockhashes }
            }
            At::Blockhash => {
                let (blockhash, key_index) = cursor.read()?;
                let entries = grammar.list(cursor, ENTRIES_MAX, At::Entry, At::Blockhash)?;
                if entries == 0 {
                    self.blockhash_done();
                }
                Item::Blockhash { blockhash, key_index, entries }
            }
            At::Entry => {
                let (key_slice, result) =
                    cursor.read().map_err(|error| ItemError::of_item(error, cursor))?;
                if grammar.entry_done(At::Blockhash) {
                    self.blockhash_done();
                }
                Item::Entry { key_slice, result }
            }
            At::Trailing => {
                self.trailing_bytes += cursor.take(cursor.remaining().len())?.len() as u64;
                return Ok(None);
            }
        }))
    }

    fn blockhash_done(&mut self) {
        self.grammar.group_done(At::Blockhash, At::Slot);
        if self.grammar.at == At::Slot {
            self.slot_done();
        }
    }

    fn slot_done(&mut self) {
        self.slots -= 1;
        if self.slots == 0 {
            self.grammar.at = At::Trailing;
        }
    }

    /// The field to which the next item belongs.
    fn field(&self) -> &'static str {
        match self.grammar.at {
            At::SlotCount | At::Slot => "slots",
            At::Blockhash => "blockhashes",
            At::Entry => "entries",
            At::Trailing => "trailing bytes",
        }
    }
}
