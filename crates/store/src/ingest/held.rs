//! The accounts of a slot that may be there already, until its end tells.
//!
//! They are held as a slot feed of their own: the same bytes, read by the same reader.
//!
//! What it does *not* do: bound itself. Whoever holds several bounds their sum.

use crate::feed::{FeedItem, FeedReader, FeedWriter, SlotAccount};

#[derive(Debug)]
pub(super) struct Held {
    bytes: Vec<u8>,
    writer: FeedWriter,
}

impl Held {
    pub(super) fn new() -> Self {
        let mut bytes = Vec::new();
        let writer = FeedWriter::new(&mut bytes);
        Self { bytes, writer }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds an account; gives how many bytes more are held.
    pub(super) fn push(&mut self, account: SlotAccount<'_>) -> usize {
        let before = self.bytes.len();
        self.writer.write(&FeedItem::Account(account), &mut self.bytes);
        self.bytes.len() - before
    }

    /// Calls `visit` for every account, until there is an error.
    pub(super) fn for_each<E>(
        &self,
        mut visit: impl FnMut(SlotAccount<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut reader = FeedReader::new();
        let mut input = &self.bytes[..];
        loop {
            match reader.next(&mut input).expect("it was written here") {
                Some((_, FeedItem::Account(account))) => visit(account)?,
                Some(_) => unreachable!("only accounts are held"),
                None => return Ok(()),
            }
        }
    }
}
