//! A slot feed as a list of messages, to be changed and written again.

use icecore_store::feed::{
    FeedError, FeedItem, FeedReader, FeedWriter, SlotAccount, SlotBegin, SlotEnd,
};
use icecore_types::{Account, Pubkey, Slot};

/// A message, with all its parts.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A slot begins.
    Begin(SlotBegin),
    /// An account was written.
    Account { slot: Slot, write_index: u32, pubkey: Pubkey, account: Account },
    /// A slot ended.
    End { end: Box<SlotEnd>, bank: Vec<u8>, status_cache: Vec<u8> },
    /// A slot became final.
    Rooted(Slot),
    /// A slot was given up.
    Abandoned(Slot),
}

impl Message {
    /// The slot that it is about.
    pub fn slot(&self) -> Slot {
        match self {
            Self::Begin(begin) => begin.slot,
            Self::End { end, .. } => end.slot,
            Self::Account { slot, .. } | Self::Rooted(slot) | Self::Abandoned(slot) => *slot,
        }
    }

    pub fn is_begin_of(&self, of: Slot) -> bool {
        matches!(self, Self::Begin(begin) if begin.slot == of)
    }

    pub fn is_end_of(&self, of: Slot) -> bool {
        matches!(self, Self::End { end, .. } if end.slot == of)
    }
}

/// A feed of these messages.
pub fn write(messages: &[Message]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = FeedWriter::new(&mut out);
    for message in messages {
        match message {
            Message::Begin(begin) => writer.write(&FeedItem::SlotBegin(*begin), &mut out),
            Message::Account { slot, write_index, pubkey, account } => {
                let account = account.borrowed(pubkey);
                let item = SlotAccount { slot: *slot, write_index: *write_index, account };
                writer.write(&FeedItem::Account(item), &mut out);
            }
            Message::End { end, bank, status_cache } => {
                writer.write(&FeedItem::SlotEnd(end.clone()), &mut out);
                writer.write(&FeedItem::Bank(bank), &mut out);
                writer.write(&FeedItem::StatusCache(status_cache), &mut out);
                writer.write(&FeedItem::SlotEnded, &mut out);
            }
            Message::Rooted(slot) => writer.write(&FeedItem::Rooted(*slot), &mut out),
            Message::Abandoned(slot) => writer.write(&FeedItem::Abandoned(*slot), &mut out),
        }
    }
    out
}

/// The messages of a feed.
pub fn read(bytes: &[u8]) -> Result<Vec<Message>, FeedError> {
    let mut reader = FeedReader::new();
    let mut input = bytes;
    let mut messages = Vec::new();
    while let Some((_, item)) = reader.next(&mut input)? {
        match item {
            FeedItem::SlotBegin(begin) => messages.push(Message::Begin(begin)),
            FeedItem::Account(SlotAccount { slot, write_index, account }) => {
                let (pubkey, account) = account.to_owned();
                messages.push(Message::Account { slot, write_index, pubkey, account });
            }
            FeedItem::SlotEnd(end) => {
                messages.push(Message::End { end, bank: Vec::new(), status_cache: Vec::new() });
            }
            FeedItem::Bank(piece) => parts(&mut messages).0.extend_from_slice(piece),
            FeedItem::StatusCache(piece) => parts(&mut messages).1.extend_from_slice(piece),
            FeedItem::SlotEnded => {}
            FeedItem::Rooted(slot) => messages.push(Message::Rooted(slot)),
            FeedItem::Abandoned(slot) => messages.push(Message::Abandoned(slot)),
        }
    }
    reader.finish()?;
    Ok(messages)
}

fn parts(messages: &mut [Message]) -> (&mut Vec<u8>, &mut Vec<u8>) {
    match messages.last_mut() {
        Some(Message::End { bank, status_cache, .. }) => (bank, status_cache),
        other => panic!("within {other:?}"),
    }
}
