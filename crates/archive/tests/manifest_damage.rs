//! The manifest decoder on any chunking, on manifests that end anywhere, and on hostile numbers.

mod manifest_support;

use std::sync::LazyLock;

use icecore_archive::manifest::{
    LastField, Manifest, ManifestDecoder, ManifestEnd, ManifestError, ManifestItem, StakesItem,
};
use icecore_types::Hash;
use manifest_support::tiny_full;
use proptest::prelude::*;

static MANIFEST: LazyLock<Vec<u8>> = LazyLock::new(|| tiny_full().manifest);

/// Offsets of all items and the item's text, and the end.
type Outcome = Result<(Vec<(u64, String)>, ManifestEnd), ManifestError>;

fn decode_in(chunks: impl Iterator<Item = usize>, bytes: &[u8]) -> Outcome {
    let mut decoder = ManifestDecoder::new();
    let mut items = Vec::new();
    let mut rest = bytes;
    for chunk_bytes in chunks {
        let (chunk, later) = rest.split_at(chunk_bytes.min(rest.len()));
        decoder.feed(chunk, &mut |offset, item| {
            items.push((offset, format!("{item:?}")));
        })?;
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    assert!(rest.is_empty(), "the chunks take up all bytes");
    Ok((items, decoder.finish()?))
}

fn at_once(bytes: &[u8]) -> Outcome {
    decode_in([bytes.len()].into_iter(), bytes)
}

/// Where the first item that `wanted` accepts begins.
fn offset_of(wanted: impl Fn(&ManifestItem<'_>) -> bool) -> usize {
    let mut found = None;
    let mut decoder = ManifestDecoder::new();
    decoder
        .feed(&MANIFEST, &mut |offset, item| {
            if wanted(&item) {
                found.get_or_insert(offset);
            }
        })
        .expect("it decodes");
    found.expect("the manifest has such an item") as usize
}

fn is_stakes(item: &ManifestItem<'_>, wanted: impl Fn(&StakesItem<'_>) -> bool) -> bool {
    matches!(item, ManifestItem::Stakes { item, .. } if wanted(item))
}

#[test]
fn single_bytes_give_the_same_items() {
    let whole = at_once(&MANIFEST);
    assert!(whole.is_ok());
    assert_eq!(decode_in(std::iter::repeat(1), &MANIFEST), whole);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_gives_the_same_items(
        sizes in proptest::collection::vec(prop_oneof![0usize..40, 0usize..4000], 1..40),
        cut in 0usize..=54_627,
    ) {
        // The last size repeats, so that every chunking reaches the end.
        let last = sizes.last().copied().unwrap_or(1).max(1);
        let bytes = &MANIFEST[..cut.min(MANIFEST.len())];
        let chunks = sizes.iter().copied().chain(std::iter::repeat(last));
        prop_assert_eq!(decode_in(chunks, bytes), at_once(bytes));
    }

    #[test]
    fn noise_is_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(Manifest::decode(&bytes).is_err());
    }
}

#[test]
fn a_manifest_may_end_only_between_trailing_fields() {
    let ends = [
        (
            offset_of(|item| matches!(item, ManifestItem::HistoricalRootCount(_))),
            LastField::BankHashInfo,
        ),
        (
            offset_of(|item| matches!(item, ManifestItem::HistoricalRootWithHashCount(_))),
            LastField::HistoricalRoots,
        ),
        (
            offset_of(|item| matches!(item, ManifestItem::LamportsPerSignature(_))),
            LastField::HistoricalRootsWithHash,
        ),
        (
            offset_of(|item| matches!(item, ManifestItem::IncrementalSnapshotPersistence(_))),
            LastField::LamportsPerSignature,
        ),
        (
            offset_of(|item| matches!(item, ManifestItem::EpochAccountsHash(_))),
            LastField::IncrementalSnapshotPersistence,
        ),
        (
            offset_of(|item| matches!(item, ManifestItem::VersionedEpochCount(_))),
            LastField::EpochAccountsHash,
        ),
        (
            offset_of(|item| matches!(item, ManifestItem::AccountsLatticeHash(_))),
            LastField::VersionedEpochStakes,
        ),
        (
            offset_of(|item| matches!(item, ManifestItem::BlockId(_))),
            LastField::AccountsLatticeHash,
        ),
        (MANIFEST.len(), LastField::BlockId),
    ];
    for length in 0..=MANIFEST.len() {
        let bytes = &MANIFEST[..length];
        let known_end = ends.iter().find(|(end, _)| *end == length);
        match (Manifest::decode(bytes), known_end) {
            (Ok((manifest, end)), Some((_, last_field))) => {
                assert_eq!(end.last_field, *last_field);
                assert_eq!(end.trailing_bytes, 0);
                assert!(manifest.encode() == bytes);
            }
            (Err(ManifestError::Truncated { offset, length: stated, field: _ }), None) => {
                assert_eq!(stated, length as u64);
                assert!(offset <= stated);
            }
            (result, _) => panic!("cut to {length}: {:?}", result.map(|(_, end)| end)),
        }
    }
}

#[test]
fn an_end_within_the_lattice_hash_names_it() {
    let lattice_hash = offset_of(|item| matches!(item, ManifestItem::AccountsLatticeHash(_)));
    let length = lattice_hash + 1000;
    let error = Manifest::decode(&MANIFEST[..length]).expect_err("it ends within a field");
    assert_eq!(
        error.to_string(),
        format!(
            "the manifest ends at byte {length}, within accounts_lt_hash, \
             which begins at byte {lattice_hash}"
        )
    );
}

#[test]
fn trailing_bytes_are_counted() {
    let mut bytes = MANIFEST.clone();
    bytes.extend([0; 10_000]);
    for chunk_bytes in [1, 7, bytes.len()] {
        let chunks = std::iter::repeat(chunk_bytes);
        let (_, end) = decode_in(chunks, &bytes).expect("they are allowed");
        assert_eq!(end.trailing_bytes, 10_000);
        assert!(end.trailing_all_zero);
    }
    bytes.push(1);
    let (manifest, end) = Manifest::decode(&bytes).expect("they are allowed");
    assert_eq!(end.trailing_bytes, 10_001);
    assert!(!end.trailing_all_zero);
    assert!(manifest.encode() == *MANIFEST);
}

/// Overwrites bytes at `offset` and expects a refusal at just that offset.
fn assert_refused(offset: usize, value: &[u8], message: &str) {
    let mut bytes = MANIFEST.clone();
    bytes[offset..offset + value.len()].copy_from_slice(value);
    let error = Manifest::decode(&bytes).expect_err(message);
    assert_eq!(error.to_string(), format!("manifest byte {offset}, in {message}"));
    let chunked = decode_in(std::iter::repeat(3), &bytes).expect_err(message);
    assert_eq!(error, chunked);
}

#[test]
fn hostile_numbers_are_refused_where_they_lie() {
    let huge = u64::MAX.to_le_bytes();
    assert_refused(8, &[2], "blockhash_queue: 2 is not a valid option tag");
    assert_refused(
        offset_of(|item| matches!(item, ManifestItem::BlockhashCount(_))),
        &1025u64.to_le_bytes(),
        "blockhash_queue: 1025 is above the limit of 1024",
    );
    assert_refused(
        offset_of(|item| matches!(item, ManifestItem::HardForkCount(_))),
        &huge,
        "hard_forks: 18446744073709551615 is above the limit of 4096",
    );
    // transaction_count to max_tick_height precede the option.
    assert_refused(
        offset_of(|item| matches!(item, ManifestItem::BankScalars(_))) + 40,
        &[9],
        "transaction_count to inflation: 9 is not a valid option tag",
    );
    assert_refused(
        offset_of(|item| is_stakes(item, |part| matches!(part, StakesItem::DelegationCount(_)))),
        &huge,
        "stakes.stake_delegations: 18446744073709551615 is above the limit of 357913941",
    );
    // Address, stake and lamports precede the length of the data.
    let vote_account =
        offset_of(|item| is_stakes(item, |part| matches!(part, StakesItem::VoteAccount(_))));
    assert_refused(
        vote_account + 48,
        &(10 * 1024 * 1024 + 1u64).to_le_bytes(),
        "stakes.vote_accounts: 10485761 is above the limit of 10485760",
    );
    assert_refused(
        offset_of(|item| is_stakes(item, |part| matches!(part, StakesItem::Node { .. }))) + 32,
        &huge,
        "epoch_stakes.node_id_to_vote_accounts: \
         18446744073709551615 is above the limit of 1073741824",
    );
    assert_refused(
        offset_of(|item| matches!(item, ManifestItem::StorageSlot { .. })) + 8,
        &huge,
        "storages: 18446744073709551615 is above the limit of 1048576",
    );
    assert_refused(
        offset_of(|item| matches!(item, ManifestItem::VersionedEpochCount(_))),
        &huge,
        "versioned_epoch_stakes: 18446744073709551615 is above the limit of 1024",
    );
    assert_refused(
        offset_of(|item| matches!(item, ManifestItem::VersionedEpoch(_))) + 8,
        &[1],
        "versioned_epoch_stakes: 1 is not a valid variant of epoch stakes",
    );
    assert_refused(
        offset_of(|item| matches!(item, ManifestItem::BlockId(_))),
        &[2],
        "block_id: 2 is not a valid option tag",
    );
}

#[test]
fn lists_that_no_archive_at_hand_fills_decode_too() {
    let (mut manifest, end) = Manifest::decode(&MANIFEST).expect("it decodes");
    let key = manifest.bank.scalars.leader_id;
    manifest.bank.unused_accounts.first.push(key);
    manifest.bank.unused_accounts.second.extend([key, key]);
    manifest.bank.unused_accounts.third.push((key, 7));
    manifest.accounts_db.historical_roots.extend([1, 2]);
    let roots = &mut manifest.accounts_db.historical_roots_with_hash;
    roots.push((3, Hash([4; 32])));
    let storages = &mut manifest.accounts_db.storages;
    let storage = storages[0].1[0];
    storages.insert(0, (1, Vec::new()));
    storages.push((2, vec![storage, storage]));
    storages.push((3, Vec::new()));
    let hash = Hash([5; 32]);
    manifest.extra.epoch_accounts_hash = Some(hash);
    manifest.extra.block_id = None;
    for (_, stakes) in &mut manifest.extra.versioned_epoch_stakes {
        for (_, node) in &mut stakes.node_id_to_vote_accounts {
            node.vote_accounts.clear();
        }
        stakes.epoch_authorized_voters.clear();
    }
    let bytes = manifest.encode();
    let (decoded, same_end) = Manifest::decode(&bytes).expect("it decodes");
    assert_eq!(end, same_end);
    assert!(decoded == manifest);
    assert_eq!(decode_in(std::iter::repeat(1), &bytes), at_once(&bytes));
}

#[test]
fn json_has_every_part() {
    let (manifest, _) = Manifest::decode(&MANIFEST).expect("it decodes");
    let json = serde_json::to_value(&manifest).expect("it serializes");
    assert_eq!(json["bank"]["slot"], 46);
    assert_eq!(json["bank"]["parent_slot"], 45);
    assert_eq!(json["accounts_db"]["slot"], 46);
    assert_eq!(json["last_field"], "block_id");
    let (_, vote_account) = &manifest.bank.stakes.vote_accounts[0];
    let shown = &json["bank"]["stakes"]["vote_accounts"][0][1]["account"];
    assert_eq!(shown["lamports"], vote_account.account.lamports);
    let data = shown["data"].as_str().expect("base64 is text");
    assert_eq!(data.len(), vote_account.account.data.len().div_ceil(3) * 4);
    // A vote state begins with a version of four bytes, the last of them zero.
    assert!(data.starts_with("AwAAA") || data.starts_with("AgAAA"), "{}", &data[..8]);
}
