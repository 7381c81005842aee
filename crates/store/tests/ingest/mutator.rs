//! Makes hostile feeds of sound ones.

use icecore_types::{Account, Slot};

use crate::common::{
    messages::{Message, write},
    model::Base,
    story::{Random, Story},
};

/// The place of the first message that is meant.
pub(crate) fn place(messages: &[Message], is_meant: impl Fn(&Message) -> bool) -> usize {
    messages.iter().position(is_meant).expect("the feed has it")
}

/// Where a message begins in the feed, in bytes.
pub(crate) fn offset(messages: &[Message], place: usize) -> u64 {
    write(&messages[..place]).len() as u64
}

pub(crate) fn without(messages: &[Message], place: usize) -> Vec<Message> {
    let mut messages = messages.to_vec();
    messages.remove(place);
    messages
}

pub(crate) fn doubled(messages: &[Message], place: usize) -> Vec<Message> {
    let mut messages = messages.to_vec();
    messages.insert(place, messages[place].clone());
    messages
}

/// With a message moved to another place.
pub(crate) fn moved(messages: &[Message], from: usize, to: usize) -> Vec<Message> {
    let mut messages = messages.to_vec();
    let message = messages.remove(from);
    messages.insert(to, message);
    messages
}

pub(crate) fn changed(
    messages: &[Message],
    place: usize,
    change: impl FnOnce(&mut Message),
) -> Vec<Message> {
    let mut messages = messages.to_vec();
    change(&mut messages[place]);
    messages
}

/// A slot that is abandoned, and on which nothing is built, dies instead of ending.
pub(crate) fn dying(messages: &[Message], slot: Slot) -> Vec<Message> {
    let mut messages = messages.to_vec();
    messages.remove(place(&messages, |message| message.is_end_of(slot)));
    messages
}

/// Before a slot begins, the same number is there with other content, and is abandoned: a duplicate
/// block. Every hash that follows is right.
pub(crate) fn with_duplicate(
    base: &Base,
    messages: &[Message],
    slot: Slot,
    change: impl Fn(&mut Account),
) -> Vec<Message> {
    let mut duplicate: Vec<_> = messages
        .iter()
        .filter(|message| {
            let is_own = !matches!(message, Message::Rooted(_) | Message::Abandoned(_));
            message.slot() == slot && is_own
        })
        .cloned()
        .collect();
    for message in &mut duplicate {
        if let Message::Account { account, .. } = message {
            change(account);
        }
    }
    duplicate.push(Message::Abandoned(slot));
    let begin = place(messages, |message| message.is_begin_of(slot));
    let mut messages = messages.to_vec();
    messages.splice(begin..begin, duplicate);
    Story::retold(base, &messages).messages
}

/// Something is wrong at a random place: a message is missing, doubled, moved, or changed in what
/// hashes cover.
pub(crate) fn damaged(messages: &[Message], random: &mut Random) -> Vec<Message> {
    let count = messages.len() as u64;
    let mut at = || random.below(count) as usize;
    let (first, second) = (at(), at());
    match random.below(7) {
        0 => without(messages, first),
        1 => doubled(messages, first),
        2 => moved(messages, first, second.min(messages.len() - 2)),
        _ => {
            let number = random.next();
            changed(messages, first, |message| change(message, number))
        }
    }
}

fn change(message: &mut Message, number: u64) {
    let byte = (number >> 32) as usize % 32;
    match message {
        Message::Begin(begin) => match number % 3 {
            0 => begin.slot ^= 1 << (number >> 8 & 7),
            1 => begin.parent_slot ^= 1 << (number >> 8 & 7),
            _ => begin.parent_bank_hash.0[byte] ^= 1,
        },
        Message::Account { slot, write_index, pubkey, account } => match number % 7 {
            0 => *slot ^= 1 << (number >> 8 & 7),
            1 => *write_index ^= 1 << (number >> 8 & 7),
            2 => pubkey.0[byte] ^= 1,
            3 if account.lamports > 0 => account.lamports ^= 1 << (number >> 8 & 7) | 1 << 40,
            4 if account.lamports > 0 => account.owner.0[byte] ^= 1,
            5 if account.lamports > 0 => account.executable ^= true,
            _ if account.lamports > 0 => account.data.push(1),
            _ => account.lamports = 1,
        },
        Message::End { end, .. } => match number % 7 {
            0 => end.slot ^= 1 << (number >> 8 & 7),
            1 => end.bank_hash.0[byte] ^= 1,
            2 => end.last_blockhash.0[byte] ^= 1,
            3 => end.signature_count ^= 1 << (number >> 8 & 7),
            4 => end.capitalization ^= 1 << (number >> 8 & 7),
            5 => end.accounts_written ^= 1 << (number >> 8 & 7),
            _ => end.lattice.lanes[byte] ^= 1,
        },
        Message::Rooted(slot) | Message::Abandoned(slot) => *slot ^= 1 << (number >> 8 & 7),
    }
}
