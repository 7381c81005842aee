//! The sysvars that are lists, each newest first: recent blockhashes (at most 150), slot hashes (at
//! most 512) and stake history (at most 512).
//!
//! The limits are the reference client's; a longer list decodes as far as the data really holds it.

use icecore_types::{Cursor, Hash, Slot, StakeHistoryEntry};

use crate::{Row, Rows, RowsIter};

macro_rules! list {
    ($(#[$doc:meta])* $name:ident of $row:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name<'a>(Rows<'a, $row>);

        impl<'a> $name<'a> {
            /// Decodes account data; `None` when it does not hold the entries that it counts.
            pub fn decode(data: &'a [u8]) -> Option<Self> {
                Rows::take_counted(&mut Cursor::new(data)).ok().map(Self)
            }

            /// Number of entries.
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether there is no entry.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }

            /// The entries, newest first.
            pub fn iter(&self) -> RowsIter<'a, $row> {
                self.0.iter()
            }

            /// The newest entry.
            pub fn newest(&self) -> Option<$row> {
                self.iter().next()
            }
        }

        impl<'a> IntoIterator for $name<'a> {
            type Item = $row;
            type IntoIter = RowsIter<'a, $row>;

            fn into_iter(self) -> Self::IntoIter {
                self.iter()
            }
        }
    };
}

list! {
    /// Blockhashes that a transaction may name, each with its fee in lamports per signature.
    RecentBlockhashes of (Hash, u64)
}

list! {
    /// Ancestors of the bank that wrote this, each with its bank hash.
    SlotHashes of (Slot, Hash)
}

list! {
    /// The cluster's stake at the end of past epochs.
    StakeHistory of StakeHistoryEntry
}

impl Row for StakeHistoryEntry {
    const BYTES: usize = 32;
}
