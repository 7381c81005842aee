//! The status cache decoder: every result, any chunking, any end, hostile numbers.

mod manifest_support;

use std::sync::LazyLock;

use icecore_archive::status_cache::{
    BORSH_IO_MESSAGE_BYTES_MAX, BlockhashResults, BorshIoMessage, InstructionError, SlotResults,
    StatusCache, StatusCacheDecoder, StatusCacheError, StatusCacheItem, TransactionError,
    TransactionResult,
};
use icecore_types::{Cursor, Hash, Wire};
use manifest_support::tiny_full;
use proptest::prelude::*;

static TINY: LazyLock<Vec<u8>> = LazyLock::new(|| tiny_full().status_cache);

fn decode_in(
    chunks: impl Iterator<Item = usize>,
    bytes: &[u8],
) -> Result<Vec<(u64, StatusCacheItem)>, StatusCacheError> {
    let mut decoder = StatusCacheDecoder::new();
    let mut items = Vec::new();
    let mut rest = bytes;
    for chunk_bytes in chunks {
        let (chunk, later) = rest.split_at(chunk_bytes.min(rest.len()));
        decoder.feed(chunk, &mut |offset, item| items.push((offset, item)))?;
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    assert!(rest.is_empty(), "the chunks take up all bytes");
    decoder.finish()?;
    Ok(items)
}

/// All results, each once, as bytes: tags and payloads written by hand.
fn results_on_the_wire() -> Vec<Vec<u8>> {
    let mut results = vec![0u32.to_le_bytes().to_vec()];
    let error = |tag: u32| {
        let mut bytes = 1u32.to_le_bytes().to_vec();
        bytes.extend(tag.to_le_bytes());
        bytes
    };
    for tag in 0..39u32 {
        match tag {
            8 => {
                for inner in 0..54u32 {
                    let mut bytes = error(tag);
                    bytes.push(200);
                    bytes.extend(inner.to_le_bytes());
                    match inner {
                        25 => bytes.extend(0xdead_beef_u32.to_le_bytes()),
                        44 => {
                            bytes.extend(7u64.to_le_bytes());
                            bytes.extend("Unknöw".as_bytes());
                        }
                        _ => {}
                    }
                    results.push(bytes);
                }
            }
            30 | 31 | 35 => {
                let mut bytes = error(tag);
                bytes.push(201);
                results.push(bytes);
            }
            _ => results.push(error(tag)),
        }
    }
    results
}

#[test]
fn every_result_has_its_bytes() {
    let wire = results_on_the_wire();
    assert_eq!(wire.len(), 1 + 38 + 54);
    let mut seen = Vec::new();
    for bytes in &wire {
        let mut cursor = Cursor::new(bytes);
        let result: TransactionResult = cursor.read().expect("it is known");
        assert!(cursor.remaining().is_empty(), "{result:?}");
        let mut encoded = Vec::new();
        result.encode(&mut encoded);
        assert_eq!(&encoded, bytes, "{result:?}");
        assert!(!seen.contains(&result), "{result:?}");
        seen.push(result);
    }
    for unknown in [39u32, 40, u32::MAX] {
        let mut bytes = 1u32.to_le_bytes().to_vec();
        bytes.extend(unknown.to_le_bytes());
        let result = Cursor::new(&bytes).read::<TransactionResult>();
        assert!(result.is_err(), "{result:?}");
        let result = Cursor::new(&54u32.to_le_bytes()).read::<InstructionError>();
        assert!(result.is_err(), "{result:?}");
    }
}

#[test]
fn names_stand_at_their_tags() {
    // Tags of the reference client, 4.2.2; the payloads pin the ones between.
    let tagged = [
        (0, TransactionError::AccountInUse),
        (7, TransactionError::BlockhashNotFound),
        (9, TransactionError::CallChainTooDeep),
        (14, TransactionError::SanitizeFailure),
        (17, TransactionError::WouldExceedMaxBlockCostLimit),
        (20, TransactionError::WouldExceedMaxAccountCostLimit),
        (23, TransactionError::AddressLookupTableNotFound),
        (27, TransactionError::InvalidRentPayingAccount),
        (30, TransactionError::DuplicateInstruction(1)),
        (31, TransactionError::InsufficientFundsForRent { account_index: 1 }),
        (32, TransactionError::MaxLoadedAccountsDataSizeExceeded),
        (34, TransactionError::ResanitizationNeeded),
        (36, TransactionError::UnbalancedTransaction),
        (38, TransactionError::CommitCancelled),
    ];
    for (tag, error) in tagged {
        let mut bytes = Vec::new();
        error.encode(&mut bytes);
        assert_eq!(bytes[..4], u32::to_le_bytes(tag), "{error:?}");
    }
    let tagged = [
        (0, InstructionError::GenericError),
        (6, InstructionError::IncorrectProgramId),
        (12, InstructionError::ExternalAccountLamportSpend),
        (19, InstructionError::NotEnoughAccountKeys),
        (24, InstructionError::DuplicateAccountOutOfSync),
        (26, InstructionError::InvalidError),
        (31, InstructionError::CallDepth),
        (37, InstructionError::ComputationalBudgetExceeded),
        (43, InstructionError::IncorrectAuthority),
        (45, InstructionError::AccountNotRentExempt),
        (49, InstructionError::IllegalOwner),
        (53, InstructionError::BuiltinProgramsMustConsumeComputeUnits),
    ];
    for (tag, error) in tagged {
        let mut bytes = Vec::new();
        error.encode(&mut bytes);
        assert_eq!(bytes[..4], u32::to_le_bytes(tag), "{error:?}");
    }
}

/// A status cache with all results, an empty slot and a blockhash without entries.
fn every_result() -> Vec<u8> {
    let results = results_on_the_wire();
    let entries = results.iter().enumerate().map(|(index, bytes)| {
        let result = Cursor::new(bytes).read().expect("it is known");
        ([index as u8; 20], result)
    });
    let empty = SlotResults { slot: 4, is_root: true, blockhashes: Vec::new() };
    let nothing = BlockhashResults { blockhash: Hash([6; 32]), key_index: 1, entries: Vec::new() };
    let everything =
        BlockhashResults { blockhash: Hash([5; 32]), key_index: 12, entries: entries.collect() };
    let full = SlotResults {
        slot: 5,
        is_root: false,
        blockhashes: vec![nothing.clone(), everything, nothing],
    };
    let slots = vec![empty.clone(), full.clone(), empty.clone(), full, empty];
    StatusCache { slots }.encode()
}

#[test]
fn collecting_and_encoding_are_inverse() {
    for bytes in [&every_result(), &*TINY] {
        let collected = StatusCache::decode(bytes).expect("it decodes");
        assert!(&collected.encode() == bytes);
    }
    let nothing = StatusCache::default();
    assert_eq!(StatusCache::decode(&[0; 8]), Ok(nothing));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_gives_the_same_items(
        sizes in proptest::collection::vec(prop_oneof![0usize..40, 0usize..4000], 1..40),
        tiny in any::<bool>(),
        cut in 0usize..8000,
    ) {
        let every = every_result();
        let bytes = if tiny { &TINY } else { &every };
        let bytes = &bytes[..cut.min(bytes.len())];
        let last = sizes.last().copied().unwrap_or(1).max(1);
        let chunks = sizes.iter().copied().chain(std::iter::repeat(last));
        let whole = decode_in([bytes.len()].into_iter(), bytes);
        prop_assert_eq!(decode_in(chunks, bytes), whole);
    }

    #[test]
    fn noise_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        if let Ok(decoded) = StatusCache::decode(&bytes) {
            prop_assert_eq!(decoded.encode(), bytes);
        }
    }
}

#[test]
fn single_bytes_give_the_same_items() {
    for bytes in [&every_result(), &*TINY] {
        let whole = decode_in([bytes.len()].into_iter(), bytes);
        assert!(whole.is_ok());
        assert_eq!(decode_in(std::iter::repeat(1), bytes), whole);
    }
}

#[test]
fn it_ends_exactly_after_its_last_entry() {
    for bytes in [&every_result(), &*TINY] {
        for length in 0..bytes.len() {
            let error = StatusCache::decode(&bytes[..length]).expect_err("it is cut");
            assert!(
                matches!(
                    error,
                    StatusCacheError::Truncated { length: stated, .. } if stated == length as u64
                ),
                "{error}"
            );
        }
        let mut longer = bytes.clone();
        longer.extend([0, 0]);
        let error = StatusCache::decode(&longer).expect_err("it is too long");
        assert_eq!(error, StatusCacheError::TrailingBytes { offset: bytes.len() as u64, bytes: 2 });
        assert_eq!(decode_in(std::iter::repeat(1), &longer), Err(error));
    }
}

#[test]
fn hostile_numbers_are_refused_where_they_lie() {
    let message_of = |offset: usize, value: &[u8]| {
        let mut bytes = TINY.clone();
        bytes[offset..offset + value.len()].copy_from_slice(value);
        let error = StatusCache::decode(&bytes).expect_err("it is hostile");
        assert_eq!(decode_in(std::iter::repeat(5), &bytes), Err(error.clone()));
        error.to_string()
    };
    let huge = u64::MAX.to_le_bytes();
    assert!(
        message_of(0, &huge).starts_with(
            "status cache byte 0, in slots: 18446744073709551615 is above the limit of"
        )
    );
    assert_eq!(message_of(16, &[7]), "status cache byte 16, in slots: 7 is not a valid boolean");
    assert!(message_of(17, &huge).starts_with("status cache byte 17, in slots: 1844"));
    let items = decode_in([TINY.len()].into_iter(), &TINY).expect("it decodes");
    let (entry, _) = items
        .iter()
        .find(|(_, item)| matches!(item, StatusCacheItem::Entry { .. }))
        .expect("it has entries");
    assert_eq!(
        message_of(*entry as usize + 20, &[2]),
        format!("status cache byte {entry}, in entries: 2 is not a valid result tag")
    );
}

#[test]
fn a_text_is_bounded_and_utf8() {
    let mut bytes = (BORSH_IO_MESSAGE_BYTES_MAX + 1).to_le_bytes().to_vec();
    assert_eq!(
        Cursor::new(&bytes).read::<BorshIoMessage>().expect_err("it is too long").to_string(),
        "65537 is not a valid length of a BorshIoError's text"
    );
    bytes = 2u64.to_le_bytes().to_vec();
    bytes.extend([b'a', 0xff]);
    assert_eq!(
        Cursor::new(&bytes).read::<BorshIoMessage>().expect_err("it is not UTF-8").to_string(),
        "255 is not a valid byte of UTF-8"
    );
}

#[test]
fn json_is_that_of_the_reference_client() {
    let error = |error| serde_json::to_value(TransactionResult::Err(error)).expect("it serializes");
    assert_eq!(
        serde_json::to_value(TransactionResult::Ok).expect("it serializes"),
        serde_json::json!({"Ok": null})
    );
    assert_eq!(
        error(TransactionError::InstructionError(3, InstructionError::Custom(9))),
        serde_json::json!({"Err": {"InstructionError": [3, {"Custom": 9}]}})
    );
    assert_eq!(
        error(TransactionError::InsufficientFundsForRent { account_index: 2 }),
        serde_json::json!({"Err": {"InsufficientFundsForRent": {"account_index": 2}}})
    );
    let cache = StatusCache::decode(&every_result()).expect("it decodes");
    let json = serde_json::to_value(&cache).expect("it serializes");
    let entry = &json["slots"][1]["blockhashes"][1]["entries"][1];
    assert_eq!(entry[0], "01".repeat(20));
    assert_eq!(entry[1], serde_json::json!({"Err": "AccountInUse"}));
}
