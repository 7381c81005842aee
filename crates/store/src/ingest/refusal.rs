//! What does not fit, where, and what to do.
//!
//! What it does *not* do: faults of bytes ([`FeedError`]), and what the store's gates find.

use std::fmt::{self, Write};

use icecore_types::{Hash, Slot};

use super::{HELD_BYTES_MAX, OPEN_SLOTS_MAX, WAITING_SLOTS_MAX};
use crate::feed::FeedError;

/// A feed that was not applied to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError<E: std::error::Error + 'static> {
    /// The bytes are no feed.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// A message does not fit what came before, or the store.
    #[error("byte {offset} of the slot feed, slot {slot}: {refusal}")]
    Refused {
        /// Where the message begins, in bytes, uncompressed.
        offset: u64,
        /// The slot that it is about.
        slot: Slot,
        /// What does not fit.
        refusal: Refusal,
    },
    /// The store refused, or could not.
    #[error("byte {offset} of the slot feed, slot {slot}: {source}")]
    Store {
        /// Where the message begins, in bytes, uncompressed.
        offset: u64,
        /// The slot that it is about.
        slot: Slot,
        /// What the store says.
        source: E,
    },
}

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The feed begins on a slot that the store does not hold.
    #[error(
        "the feed begins on slot {parent_slot} with bank hash {parent_bank_hash}, which the store \
         does not hold; its last final slot is {root_slot} with {root_bank_hash}: restore an archive \
         of slot {parent_slot} first, or give the feed that goes on where the store is (or allow a \
         gap)"
    )]
    WrongBase {
        /// The parent's number.
        parent_slot: Slot,
        /// The parent's bank hash.
        parent_bank_hash: Hash,
        /// The store's last final slot.
        root_slot: Slot,
        /// Its bank hash.
        root_bank_hash: Hash,
    },
    /// A slot's parent is neither in the store nor in the feed before it.
    #[error(
        "its parent {parent_slot} with bank hash {parent_bank_hash} is not known: messages are \
         missing from the feed; give it whole (or allow a gap)"
    )]
    UnknownParent {
        /// The parent's number.
        parent_slot: Slot,
        /// The parent's bank hash.
        parent_bank_hash: Hash,
    },
    /// The parent's number is known with other bank hashes only.
    #[error(
        "its parent {parent_slot} is said to have bank hash {stated} and has {}: this slot belongs \
         to another chain, or the feed is damaged",
        list(known)
    )]
    ParentBankHash {
        /// The parent's number.
        parent_slot: Slot,
        /// What the feed says.
        stated: Hash,
        /// What the store has.
        known: Vec<Hash>,
    },
    /// The parent is still open.
    #[error("it begins before its parent {parent_slot} has ended: the feed is out of order")]
    ParentOpen {
        /// The parent's number.
        parent_slot: Slot,
    },
    /// The parent's number is not lower.
    #[error("its parent's number {parent_slot} is not lower than its own: the feed is damaged")]
    ParentNumber {
        /// The parent's number.
        parent_slot: Slot,
    },
    /// The slot is open already.
    #[error("it begins while it is open: a message is doubled, or its end is missing")]
    BegunTwice,
    /// The number has ended and was not abandoned.
    #[error("it begins again and was not abandoned: a message is doubled or missing")]
    NotAbandoned,
    /// A message belongs to a slot that is not open.
    #[error("it is not open: its begin is missing from the feed, or this comes after its end")]
    NotOpen,
    /// Accounts are missing or doubled.
    #[error(
        "account {found} comes where account {expected} should: messages are missing or doubled"
    )]
    WriteIndex {
        /// What should come.
        expected: u64,
        /// What came.
        found: u32,
    },
    /// The slot's end states another number of accounts.
    #[error("it states {stated} accounts and has {there}: messages are missing or doubled")]
    AccountCount {
        /// As stated.
        stated: u64,
        /// Accounts that came.
        there: u64,
    },
    /// A slot was taken for one that is there, and is another one.
    #[error(
        "it has more than {HELD_BYTES_MAX} bytes of accounts and was taken for the slot of that \
         number that the store has, and ends with another bank hash, {bank_hash}: give this feed to \
         a store that does not have the other one"
    )]
    AnotherSlot {
        /// The bank hash at its end.
        bank_hash: Hash,
    },
    /// A root or an abandonment is about a slot of which nothing is known.
    #[error("no slot of this number is known: its begin is missing from the feed")]
    UnknownSlot,
    /// A root or an abandonment could be about several slots.
    #[error(
        "several slots have this number, with bank hashes {}: give the feed from where they begin",
        list(bank_hashes)
    )]
    SeveralSlots {
        /// Their bank hashes.
        bank_hashes: Vec<Hash>,
    },
    /// A slot is rooted before it has ended.
    #[error("it is rooted and has not ended: its end is missing from the feed")]
    RootedOpen,
    /// A slot is rooted whose parent is not the root.
    #[error(
        "it is rooted and its parent is not the last final slot {root_slot}: the feed is out of \
         order, or belongs to another chain"
    )]
    RootedOutOfOrder {
        /// The last final slot.
        root_slot: Slot,
    },
    /// A slot is rooted that was abandoned.
    #[error(
        "it is rooted and was abandoned, or a fork without it was rooted: the feed is out of order, \
         or belongs to another chain"
    )]
    RootedAbandoned,
    /// A slot is abandoned that is final.
    #[error("it is abandoned and is final: the feed is out of order, or belongs to another chain")]
    AbandonedRooted,
    /// More slots are open than ever are.
    #[error("more than {OPEN_SLOTS_MAX} slots are open: their ends are missing from the feed")]
    TooManyOpen,
    /// More slots wait to be rooted or abandoned than ever do.
    #[error(
        "more than {WAITING_SLOTS_MAX} slots have ended and are neither rooted nor abandoned: these \
         messages are missing from the feed"
    )]
    TooManyWaiting,
}

fn list(hashes: &[Hash]) -> impl fmt::Display {
    let mut text = String::new();
    for (index, hash) in hashes.iter().enumerate() {
        let between = if index == 0 { "" } else { ", " };
        write!(text, "{between}{hash}").expect("text takes everything");
    }
    text
}
