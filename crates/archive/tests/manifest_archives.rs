//! The manifest and the status cache of every archive at hand: they decode, what they say is what
//! the archives' makers say, and they encode to the same bytes.

mod manifest_support;

use std::path::Path;

use icecore_archive::{
    manifest::{LastField, Manifest, ManifestDecoder, ManifestEnd},
    status_cache::{StatusCache, StatusCacheDecoder},
};
use manifest_support::{archives, bundled_tiny, gzip, json, members, shared_data, try_members};
use serde_json::{Value, json};

/// Decodes both ways, and holds both against the bytes.
fn manifest_of(bytes: &[u8], name: &str) -> (Manifest, ManifestEnd) {
    let mut decoder = ManifestDecoder::new();
    let mut encoded = Vec::new();
    decoder
        .feed(bytes, &mut |offset, item| {
            assert_eq!(offset, encoded.len() as u64, "{name}");
            item.encode(&mut encoded);
        })
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let end = decoder.finish().unwrap_or_else(|error| panic!("{name}: {error}"));
    let known_bytes = bytes.len() - end.trailing_bytes as usize;
    assert!(encoded == bytes[..known_bytes], "{name}: items differ");

    let (manifest, same_end) =
        Manifest::decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(end, same_end, "{name}");
    assert!(manifest.encode() == encoded, "{name}: collected differs");
    (manifest, end)
}

/// Decodes both ways, and holds both against the bytes.
fn status_cache_of(bytes: &[u8], name: &str) -> StatusCache {
    let mut decoder = StatusCacheDecoder::new();
    let mut encoded = Vec::new();
    decoder
        .feed(bytes, &mut |offset, item| {
            assert_eq!(offset, encoded.len() as u64, "{name}");
            item.encode(&mut encoded);
        })
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    decoder.finish().unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(encoded == bytes, "{name}: items differ");
    let collected = StatusCache::decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(collected.encode() == bytes, "{name}: collected differs");
    collected
}

/// Compares what a manifest holds with a row of truth; whatever the row does not say is passed.
fn assert_truth(manifest: &Manifest, truth: &Value, name: &str) {
    let bank = &manifest.bank;
    let scalars = &bank.scalars;
    let extra = serde_json::to_value(&manifest.extra).expect("it serializes");
    let stats = &manifest.accounts_db.scalars.bank_hash_info.stats;
    let said = json!({
        "slot": scalars.slot,
        "parent_slot": bank.hashes.parent_slot,
        "block_height": scalars.block_height,
        "bank_hash": bank.hashes.hash,
        "parent_hash": bank.hashes.parent_hash,
        "last_blockhash": bank.blockhash_queue.head.last_hash,
        "block_id": extra["block_id"],
        "leader": scalars.leader_id,
        "signature_count": scalars.signature_count,
        "transaction_count": scalars.transaction_count,
        "tick_height": scalars.tick_height,
        "capitalization": scalars.capitalization,
        "accounts_data_len": scalars.accounts_data_len,
        "accounts_lt_hash_hex": extra["accounts_lt_hash"],
        "bank_hash_stats": format!("Bank{stats:?}").replace("BankAccountsStats", "BankHashStats"),
    });
    let mut compared = 0;
    for (key, value) in said.as_object().expect("an object") {
        // The Merkle era's archives have no lattice hash; the truth has computed one.
        if key == "accounts_lt_hash_hex" && manifest.extra.accounts_lt_hash.is_none() {
            continue;
        }
        if let Some(expected) = truth.get(key) {
            assert_eq!(value, expected, "{name}: {key}");
            compared += 1;
        }
    }
    assert!(compared >= 7, "{name}: only {compared} fields of truth");
    // 4.1 and later write epoch 0.
    let epoch = &truth["epoch"];
    assert!(scalars.epoch == 0 || *epoch == scalars.epoch, "{name}: epoch");
    assert_eq!(*epoch, bank.scalars.epoch_schedule.epoch_of(scalars.slot));
    assert_eq!(*epoch, bank.stakes.scalars.epoch, "{name}: stakes' epoch");
}

/// The manifest agrees with itself and with the archive's name.
fn assert_sense(manifest: &Manifest, status_cache: &StatusCache, name: &str) {
    let slot = manifest.bank.scalars.slot;
    assert_eq!(slot, manifest.accounts_db.scalars.slot, "{name}");
    let last_hash = manifest.bank.blockhash_queue.head.last_hash;
    let hashes = &manifest.bank.blockhash_queue.hashes;
    assert!(hashes.iter().any(|(hash, _)| Some(*hash) == last_hash), "{name}");
    assert!(!manifest.accounts_db.storages.is_empty(), "{name}");
    assert!(status_cache.slots.iter().any(|entry| entry.slot == slot), "{name}");
    assert!(status_cache.slots.iter().all(|entry| entry.is_root));
}

/// `truth-full-46.json` for `snapshot-46-...`, when there is one beside the archive.
fn truth_of(archive: &Path, slot: u64) -> Option<Value> {
    let name = archive.file_name()?.to_string_lossy().into_owned();
    let kind = if name.starts_with("incremental") { "incremental" } else { "full" };
    let beside = archive.parent()?;
    let folder = if beside.ends_with("lz4") { beside.parent()? } else { beside };
    let truth = folder.join(format!("truth-{kind}-{slot}.json"));
    if truth.exists() {
        return Some(json(&truth));
    }
    let set = folder.parent()?;
    let rows = ["truth-slots.json", "truth-slots.json.zst"]
        .iter()
        .map(|file| set.join(file))
        .find(|file| file.exists())?;
    json(&rows)["slots"]
        .as_array()?
        .iter()
        .find(|row| row["slot"] == slot && row["rooted"] == true)
        .cloned()
}

#[test]
fn bundled_archives_say_what_their_truth_says() {
    let archives = archives(&bundled_tiny());
    assert_eq!(archives.len(), 2);
    for archive in archives {
        let name = archive.display().to_string();
        let members = members(&archive);
        let (manifest, end) = manifest_of(&members.manifest, &name);
        assert_eq!(end.last_field, LastField::BlockId);
        assert_eq!(end.trailing_bytes, 0);
        assert_sense(&manifest, &status_cache_of(&members.status_cache, &name), &name);
        let truth = truth_of(&archive, manifest.bank.scalars.slot).expect("it is bundled");
        assert_truth(&manifest, &truth, &name);
        let slots = manifest.accounts_db.storages.len();
        assert_eq!(slots, members.storages.len(), "{name}");
    }
}

/// What the manifests of each set have in common.
struct Era {
    last_field: LastField,
    /// The bank's own epoch stakes are filled.
    bank_epochs: bool,
    ancestors: bool,
    /// The versioned epoch stakes list delegations.
    epoch_delegations: bool,
    lattice_hash: bool,
}

fn era_of(name: &str) -> Era {
    let today = Era {
        last_field: LastField::BlockId,
        bank_epochs: false,
        ancestors: false,
        epoch_delegations: false,
        lattice_hash: true,
    };
    let legacy = Era {
        last_field: LastField::EpochAccountsHash,
        bank_epochs: true,
        ancestors: true,
        lattice_hash: false,
        ..today
    };
    let old = Era {
        last_field: LastField::AccountsLatticeHash,
        ancestors: true,
        epoch_delegations: true,
        ..today
    };
    if name.starts_with("legacy/incremental-snapshot-269-307") {
        Era { last_field: LastField::LamportsPerSignature, ..legacy }
    } else if name.starts_with("legacy/") {
        legacy
    } else if name.starts_with("old-2.3-lattice/") {
        old
    } else if name.starts_with("old-2.3-merkle/") {
        Era { lattice_hash: false, ..old }
    } else if name.starts_with("golden/") && name.contains("snapshot-1-") {
        Era { epoch_delegations: false, ..old }
    } else {
        today
    }
}

#[test]
fn every_shared_archive_decodes_and_encodes_to_the_same_bytes() {
    let Some(data) = shared_data() else { return };
    let mut archives_seen = 0;
    let mut truths_seen = 0;
    for archive in archives(&data) {
        let below = archive.strip_prefix(&data).expect("it lies below");
        let name = below.display().to_string();
        if name.starts_with("damaged/") {
            continue;
        }
        let members = members(&archive);
        let (manifest, end) = manifest_of(&members.manifest, &name);
        let status_cache = status_cache_of(&members.status_cache, &name);
        assert_sense(&manifest, &status_cache, &name);
        let era = era_of(&name);
        assert_eq!(end.last_field, era.last_field, "{name}");
        assert_eq!(end.trailing_bytes, 0, "{name}");
        let Manifest { bank, extra, .. } = &manifest;
        assert_eq!(!bank.epoch_stakes.is_empty(), era.bank_epochs, "{name}");
        assert_eq!(!bank.ancestors.is_empty(), era.ancestors, "{name}");
        let epochs = &extra.versioned_epoch_stakes;
        assert_eq!(epochs.is_empty(), era.bank_epochs, "{name}");
        let delegations =
            epochs.iter().any(|(_, stakes)| !stakes.stakes.stake_delegations.is_empty());
        assert_eq!(delegations, era.epoch_delegations, "{name}");
        assert_eq!(extra.accounts_lt_hash.is_some(), era.lattice_hash, "{name}");
        if let Some(truth) = truth_of(&archive, bank.scalars.slot) {
            assert_truth(&manifest, &truth, &name);
            truths_seen += 1;
        }
        archives_seen += 1;
    }
    assert_eq!(archives_seen, 35);
    assert_eq!(truths_seen, 24);
}

#[test]
fn damaged_archives_have_manifests_that_decode_to_their_known_end() {
    let Some(data) = shared_data() else { return };
    let mut ends = Vec::new();
    for archive in archives(&data.join("damaged")) {
        let folder = archive.parent().and_then(Path::file_name);
        let case = folder.expect("each case has a folder").to_string_lossy();
        // Some cases have no whole member to decode.
        let Ok(members) = try_members(&archive) else {
            continue;
        };
        let (_, end) = manifest_of(&members.manifest, &case);
        assert_eq!(end.trailing_bytes, 0, "{case}");
        status_cache_of(&members.status_cache, &case);
        if end.last_field != LastField::BlockId {
            ends.push((case.into_owned(), end.last_field));
        }
    }
    ends.sort();
    assert_eq!(
        ends,
        [
            ("manifest-no-lt_hash".to_owned(), LastField::VersionedEpochStakes),
            ("manifest-truncated-block_id".to_owned(), LastField::AccountsLatticeHash),
        ]
    );
}

#[test]
fn the_real_testnet_manifest_encodes_to_the_same_bytes() {
    let Some(data) = shared_data() else { return };
    let bytes = gzip(&data.join("testnet-manifest/manifest-417955321.bin.gz"));
    let (manifest, end) = manifest_of(&bytes, "testnet");
    assert_eq!(end.last_field, LastField::BlockId);
    assert_eq!(end.trailing_bytes, 0);
    assert_eq!(manifest.bank.scalars.slot, 417_955_321);
    assert_eq!(manifest.bank.blockhash_queue.hashes.len(), 301);
    assert_eq!(manifest.accounts_db.storages.len(), 93_638);
    // Its writer left the bank's own stakes empty; those of the epochs are there.
    assert_eq!(manifest.bank.stakes.vote_accounts, []);
    let epochs = &manifest.extra.versioned_epoch_stakes;
    assert_eq!(epochs.len(), 2);
    for (epoch, stakes) in epochs {
        let sum: u64 =
            stakes.stakes.vote_accounts.iter().map(|(_, vote_account)| vote_account.stake).sum();
        assert_eq!(sum, stakes.total_stake, "epoch {epoch}");
        let by_node: u64 =
            stakes.node_id_to_vote_accounts.iter().map(|(_, node)| node.total_stake).sum();
        assert_eq!(by_node, sum, "epoch {epoch}");
    }
}
