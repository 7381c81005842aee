//! The reader of feeds on feeds whole, cut anywhere, and damaged.

use icecore_types::{Account as OwnedAccount, Hash, LATTICE_BYTES, Pubkey, Slot};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::feed::FeedWriter;

/// A message, with all its parts.
#[derive(Debug, Clone, PartialEq)]
enum Message {
    Begin(SlotBegin),
    Account { slot: Slot, write_index: u32, pubkey: Pubkey, account: OwnedAccount },
    End { end: Box<SlotEnd>, bank: Vec<u8>, status_cache: Vec<u8> },
    Rooted(Slot),
    Abandoned(Slot),
}

fn write(messages: &[Message]) -> Vec<u8> {
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
                for piece in bank.chunks(7) {
                    writer.write(&FeedItem::Bank(piece), &mut out);
                }
                for piece in status_cache.chunks(7) {
                    writer.write(&FeedItem::StatusCache(piece), &mut out);
                }
                writer.write(&FeedItem::SlotEnded, &mut out);
            }
            Message::Rooted(slot) => writer.write(&FeedItem::Rooted(*slot), &mut out),
            Message::Abandoned(slot) => writer.write(&FeedItem::Abandoned(*slot), &mut out),
        }
    }
    out
}

/// The messages of a feed that comes in chunks, and how it ends.
fn read(bytes: &[u8], chunk_bytes: usize) -> (Vec<Message>, Result<(), FeedError>) {
    let mut reader = FeedReader::new();
    let mut messages = Vec::new();
    let mut ending: Option<(Box<SlotEnd>, Vec<u8>, Vec<u8>)> = None;
    for mut input in bytes.chunks(chunk_bytes.max(1)) {
        loop {
            let item = match reader.next(&mut input) {
                Err(error) => return (messages, Err(error)),
                Ok(None) => break,
                Ok(Some((offset, item))) => {
                    let place = write(&messages).len() as u64;
                    assert_eq!(offset, place, "where its message begins");
                    item
                }
            };
            match item {
                FeedItem::SlotBegin(begin) => messages.push(Message::Begin(begin)),
                FeedItem::Account(SlotAccount { slot, write_index, account }) => {
                    let (pubkey, account) = account.to_owned();
                    messages.push(Message::Account { slot, write_index, pubkey, account });
                }
                FeedItem::SlotEnd(end) => {
                    assert!(ending.replace((end, Vec::new(), Vec::new())).is_none());
                }
                FeedItem::Bank(piece) => {
                    assert!(!piece.is_empty());
                    ending.as_mut().expect("within an end").1.extend(piece);
                }
                FeedItem::StatusCache(piece) => {
                    assert!(!piece.is_empty());
                    ending.as_mut().expect("within an end").2.extend(piece);
                }
                FeedItem::SlotEnded => {
                    let (end, bank, status_cache) = ending.take().expect("within an end");
                    messages.push(Message::End { end, bank, status_cache });
                }
                FeedItem::Rooted(slot) => messages.push(Message::Rooted(slot)),
                FeedItem::Abandoned(slot) => messages.push(Message::Abandoned(slot)),
            }
        }
        assert!(input.is_empty(), "all input was taken");
    }
    assert_eq!(reader.offset(), bytes.len() as u64);
    (messages, reader.finish())
}

fn accounts() -> impl Strategy<Value = (Pubkey, OwnedAccount)> {
    let owners = prop_oneof![Just([0; 32]), any::<[u8; 32]>()].prop_map(Pubkey);
    let fields = (any::<[u8; 32]>(), any::<u64>(), owners, any::<bool>(), any::<u64>());
    (fields, vec(any::<u8>(), 0..60)).prop_map(
        |((key, lamports, owner, executable, rent_epoch), data)| {
            let lamports = lamports.max(1);
            (Pubkey(key), OwnedAccount { lamports, data, owner, executable, rent_epoch })
        },
    )
}

fn messages() -> impl Strategy<Value = Message> {
    let hashes = || any::<[u8; 32]>().prop_map(Hash);
    let begins =
        (any::<u64>(), any::<u64>(), hashes()).prop_map(|(slot, parent_slot, parent_bank_hash)| {
            Message::Begin(SlotBegin { slot, parent_slot, parent_bank_hash })
        });
    let written = (any::<u64>(), any::<u32>(), accounts(), any::<bool>()).prop_map(
        |(slot, write_index, (pubkey, mut account), is_closed)| {
            if is_closed {
                account = OwnedAccount { rent_epoch: account.rent_epoch, ..Default::default() };
            }
            Message::Account { slot, write_index, pubkey, account }
        },
    );
    let ends = (
        (any::<u64>(), hashes(), hashes()),
        any::<[u64; 5]>(),
        any::<u16>(),
        vec(any::<u8>(), 0..30),
        vec(any::<u8>(), 0..30),
    )
        .prop_map(|((slot, bank_hash, last_blockhash), numbers, lane, bank, status_cache)| {
            let [signature_count, transaction_count, capitalization, block_height, written] =
                numbers;
            let end = SlotEnd {
                slot,
                bank_hash,
                last_blockhash,
                signature_count,
                transaction_count,
                capitalization,
                block_height,
                accounts_written: written,
                lattice: LatticeHash { lanes: Box::new([lane; LATTICE_BYTES / 2]) },
                bank_bytes: bank.len() as u64,
                status_cache_bytes: status_cache.len() as u64,
            };
            Message::End { end: Box::new(end), bank, status_cache }
        });
    prop_oneof![
        2 => begins,
        6 => written,
        1 => ends,
        1 => any::<u64>().prop_map(Message::Rooted),
        1 => any::<u64>().prop_map(Message::Abandoned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_read_however_it_is_cut(
        messages in vec(messages(), 0..12), chunk_bytes in 1usize..200,
    ) {
        let bytes = write(&messages);
        prop_assert_eq!(read(&bytes, usize::MAX), (messages.clone(), Ok(())));
        prop_assert_eq!(read(&bytes, chunk_bytes), (messages.clone(), Ok(())));
        prop_assert_eq!(read(&bytes, 1), (messages, Ok(())));
    }

    #[test]
    fn a_changed_byte_is_an_error_or_another_feed(
        messages in vec(messages(), 1..8), place: prop::sample::Index, bit in 0u32..8,
    ) {
        let mut bytes = write(&messages);
        let at = place.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let (found, end) = read(&bytes, usize::MAX);
        prop_assert_eq!(read(&bytes, 3), (found.clone(), end));
        if at < 16 {
            prop_assert!(found.is_empty() && end.is_err(), "nothing is read behind a wrong header");
            return Ok(());
        }
        // What was read before the error, if there is one, is what those bytes say.
        let written = write(&found);
        prop_assert_eq!(&bytes[..written.len()], &written[..]);
        match end {
            Ok(()) => {
                prop_assert_eq!(written.len(), bytes.len());
                prop_assert_ne!(found, messages);
            }
            Err(error) => {
                prop_assert!(error.offset >= written.len() as u64);
                prop_assert!(error.offset <= bytes.len() as u64);
            }
        }
    }
}

/// One message of every kind.
fn sample() -> Vec<Message> {
    let account = OwnedAccount {
        lamports: 5,
        data: b"five bytes and more".to_vec(),
        owner: Pubkey([2; 32]),
        executable: true,
        rent_epoch: u64::MAX,
    };
    let end = SlotEnd {
        slot: 7,
        bank_hash: Hash([3; 32]),
        last_blockhash: Hash([4; 32]),
        signature_count: 1,
        transaction_count: 2,
        capitalization: 3,
        block_height: 4,
        accounts_written: 1,
        lattice: LatticeHash { lanes: Box::new([5; LATTICE_BYTES / 2]) },
        bank_bytes: 4,
        status_cache_bytes: 3,
    };
    vec![
        Message::Begin(SlotBegin { slot: 7, parent_slot: 6, parent_bank_hash: Hash([1; 32]) }),
        Message::Account { slot: 7, write_index: 0, pubkey: Pubkey([9; 32]), account },
        Message::End { end: Box::new(end), bank: b"bank".to_vec(), status_cache: b"txs".to_vec() },
        Message::Rooted(7),
        Message::Abandoned(8),
    ]
}

/// Where each message of the sample begins, and where the feed ends.
fn places() -> Vec<usize> {
    (0..=sample().len()).map(|count| write(&sample()[..count]).len()).collect()
}

#[test]
fn a_feed_that_is_cut_says_so_unless_it_is_cut_between_messages() {
    let bytes = write(&sample());
    let places = places();
    for length in 0..bytes.len() {
        let (found, end) = read(&bytes[..length], usize::MAX);
        let whole = places.iter().filter(|place| **place <= length).count();
        assert_eq!(found.len(), whole.saturating_sub(1), "{length} bytes");
        match places.contains(&length) {
            true => assert_eq!(end, Ok(()), "{length} bytes"),
            false => {
                let cut = FeedError { offset: length as u64, fault: FeedFault::Cut };
                assert_eq!(end, Err(cut), "{length} bytes");
            }
        }
    }
}

#[test]
fn each_fault_is_named_with_its_place() {
    let places = places();
    let sound = write(&sample());
    let u64_at = |at: usize, value: u64| (at, value.to_le_bytes().to_vec());
    let [begin, account, end, rooted, _, _] = places[..] else { panic!("5 messages") };
    let account_bytes = 104 + 19;
    let end_bytes = 2176 + 7;
    let cases = [
        ((0, b"slotfeed".to_vec()), 0, FeedFault::Magic),
        ((8, vec![2]), 8, FeedFault::Version { version: 2 }),
        ((12, vec![1]), 12, FeedFault::NotZero),
        ((begin, vec![6]), begin, FeedFault::Kind { kind: 6 }),
        ((begin, vec![0]), begin, FeedFault::Kind { kind: 0 }),
        (u64_at(begin + 4, 47), begin + 4, FeedFault::Length { kind: 1, bytes: 47 }),
        (u64_at(account + 4, 103), account + 4, FeedFault::Length { kind: 2, bytes: 103 }),
        (
            u64_at(account + 4, 105 + (10 << 20)),
            account + 4,
            FeedFault::Length { kind: 2, bytes: 105 + (10 << 20) },
        ),
        (
            u64_at(account + 4, account_bytes + 1),
            account + 12 + 96,
            FeedFault::DataLength { stated: 19, there: 20 },
        ),
        (
            u64_at(account + 12 + 96, u64::MAX),
            account + 12 + 96,
            FeedFault::DataLength { stated: u64::MAX, there: 19 },
        ),
        ((account + 12 + 12, vec![2]), account + 12 + 12, FeedFault::Executable { value: 2 }),
        ((account + 12 + 15, vec![1]), account + 12 + 13, FeedFault::NotZero),
        (u64_at(account + 12 + 16, 0), account + 12 + 16, FeedFault::ClosedWithContent),
        (u64_at(end + 4, 2175), end + 4, FeedFault::Length { kind: 3, bytes: 2175 }),
        (u64_at(end + 4, 1 << 40), end + 4, FeedFault::Length { kind: 3, bytes: 1 << 40 }),
        (
            u64_at(end + 12 + 2160, 8),
            end + 12 + 2160,
            FeedFault::PartLength { what: "bank", stated: 8, most: 7 },
        ),
        (
            u64_at(end + 12 + 2168 + 4, 4),
            end + 12 + 2168 + 4,
            FeedFault::PartLength { what: "status cache", stated: 4, most: 3 },
        ),
        (
            u64_at(end + 4, end_bytes + STATUS_CACHE_BYTES_MAX),
            end + 12 + 2160,
            FeedFault::PartLength {
                what: "status cache",
                stated: 3 + STATUS_CACHE_BYTES_MAX,
                most: STATUS_CACHE_BYTES_MAX,
            },
        ),
        (u64_at(rooted + 4, 9), rooted + 4, FeedFault::Length { kind: 4, bytes: 9 }),
    ];
    for ((at, change), offset, fault) in cases {
        let mut bytes = sound.clone();
        bytes[at..at + change.len()].copy_from_slice(&change);
        let expected = Err(FeedError { offset: offset as u64, fault });
        assert_eq!(read(&bytes, usize::MAX).1, expected, "{change:?} at {at}");
        assert_eq!(read(&bytes, 1).1, expected, "{change:?} at {at}");
    }
}

#[test]
fn after_an_error_there_is_nothing_but_the_error() {
    let mut bytes = write(&sample());
    bytes[16] = 9;
    let mut reader = FeedReader::new();
    let mut input = &bytes[..];
    let error = reader.next(&mut input).expect_err("an unknown kind");
    assert_eq!(reader.next(&mut input), Err(error));
    assert_eq!(reader.next(&mut &write(&sample())[..]), Err(error));
    assert_eq!(reader.finish(), Err(error));
    assert_eq!(
        error.to_string(),
        "byte 16 of the slot feed: messages of kind 9 are not known: the feed is damaged here, or \
         made by something newer"
    );
}

#[test]
fn a_stated_length_sets_no_memory_aside() {
    let mut bytes = write(&[]);
    bytes.extend_from_slice(&2u32.to_le_bytes());
    bytes.extend_from_slice(&ACCOUNT_BODY_BYTES_MAX.to_le_bytes());
    bytes.extend_from_slice(&[0; 50]);
    let mut reader = FeedReader::new();
    let mut input = &bytes[..];
    assert_eq!(reader.next(&mut input), Ok(None));
    assert!(reader.input.kept.capacity() < 4096, "{}", reader.input.kept.capacity());
}
