//! A whole status cache in memory.

use icecore_types::{Hash, Slot};
use serde::{Serialize, Serializer};

use super::{
    KEY_SLICE_BYTES, StatusCacheDecoder, StatusCacheError, StatusCacheItem, TransactionResult,
};
use crate::manifest::json;

/// A status cache, collected. Lists and maps are kept in file order, so that it encodes to the
/// same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct StatusCache {
    /// The slots.
    pub slots: Vec<SlotResults>,
}

/// The results of a slot's transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotResults {
    /// The slot.
    pub slot: Slot,
    /// Whether it is rooted; true in every honest archive.
    pub is_root: bool,
    /// The blockhashes that the transactions named.
    pub blockhashes: Vec<BlockhashResults>,
}

/// The results of the transactions that named a blockhash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockhashResults {
    /// The blockhash.
    pub blockhash: Hash,
    /// Where in a signature or message hash the key slices begin, in bytes.
    pub key_index: u64,
    /// 20 bytes of each transaction's signature or message hash, and its result.
    #[serde(serialize_with = "entries_with_hex_keys")]
    pub entries: Vec<([u8; KEY_SLICE_BYTES], TransactionResult)>,
}

impl StatusCache {
    /// Decodes a status cache of which all bytes are there.
    pub fn decode(bytes: &[u8]) -> Result<Self, StatusCacheError> {
        let mut decoder = StatusCacheDecoder::new();
        let mut collected = Self::default();
        decoder.feed(bytes, &mut |_, item| collected.visit(item))?;
        decoder.finish()?;
        Ok(collected)
    }

    /// Takes up the next item, in the decoder's order.
    ///
    /// # Panics
    /// When an item comes before that of the group to which it belongs.
    pub fn visit(&mut self, item: StatusCacheItem) {
        const GROUP_FIRST: &str = "a group's own item comes before those of its entries";
        match item {
            StatusCacheItem::SlotCount(_) => {}
            StatusCacheItem::Slot { slot, is_root, .. } => {
                self.slots.push(SlotResults { slot, is_root, blockhashes: Vec::new() })
            }
            StatusCacheItem::Blockhash { blockhash, key_index, .. } => {
                let slot = self.slots.last_mut().expect(GROUP_FIRST);
                slot.blockhashes.push(BlockhashResults {
                    blockhash,
                    key_index,
                    entries: Vec::new(),
                });
            }
            StatusCacheItem::Entry { key_slice, result } => {
                let slot = self.slots.last_mut().expect(GROUP_FIRST);
                let blockhash = slot.blockhashes.last_mut().expect(GROUP_FIRST);
                blockhash.entries.push((key_slice, result));
            }
        }
    }

    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.items(&mut |item| item.encode(&mut bytes));
        bytes
    }

    /// Gives the items in file order.
    pub fn items(&self, visit: &mut dyn FnMut(StatusCacheItem)) {
        visit(StatusCacheItem::SlotCount(self.slots.len() as u64));
        for slot in &self.slots {
            visit(StatusCacheItem::Slot {
                slot: slot.slot,
                is_root: slot.is_root,
                blockhashes: slot.blockhashes.len() as u64,
            });
            for blockhash in &slot.blockhashes {
                visit(StatusCacheItem::Blockhash {
                    blockhash: blockhash.blockhash,
                    key_index: blockhash.key_index,
                    entries: blockhash.entries.len() as u64,
                });
                for (key_slice, result) in &blockhash.entries {
                    visit(StatusCacheItem::Entry { key_slice: *key_slice, result: result.clone() });
                }
            }
        }
    }
}

fn entries_with_hex_keys<S: Serializer>(
    entries: &[([u8; KEY_SLICE_BYTES], TransactionResult)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    struct Hex<'a>(&'a [u8]);

    impl Serialize for Hex<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            json::hex(self.0, serializer)
        }
    }

    serializer.collect_seq(entries.iter().map(|(key, result)| (Hex(key), result)))
}
