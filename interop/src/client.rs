//! The reference client's side: its loader, and what its bank holds after that.
//!
//! Steps:
//! 1. The archive is loaded into a folder that goes afterwards, with every check that a validator makes. A
//!    refusal is an error value or a panic, as the client has both.
//! 2. The bank's fields are those that the client itself would write into a manifest.
//! 3. Accounts are what a scan of the bank gives.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use agave_snapshots::{
    SnapshotArchiveKind, SnapshotKind,
    snapshot_archive_info::{FullSnapshotArchiveInfo, IncrementalSnapshotArchiveInfo},
    snapshot_config::SnapshotConfig,
};
use ciborium::Value as Cbor;
use serde::Serialize;
use serde_json::{Value, json};
use solana_account::ReadableAccount;
use solana_accounts_db::accounts_db::ACCOUNTS_DB_CONFIG_FOR_BENCHMARKS;
use solana_genesis_config::GenesisConfig;
use solana_runtime::{
    bank::{Bank, BankFieldsToSerialize},
    runtime_config::RuntimeConfig,
    snapshot_bank_utils,
    snapshot_package::SnapshotPackage,
};

use crate::Arguments;

/// What the client holds.
pub struct Loaded {
    /// Called as in a verdict.
    pub summary: Value,
    /// Fields of the manifest by their path in `icecore snapshot inspect --manifest`.
    pub manifest: Vec<(&'static str, Cbor)>,
    /// Live accounts by address, as JSON rows without the address.
    pub accounts: BTreeMap<String, Value>,
}

impl Loaded {
    /// Loads what the arguments name; the error is the client's refusal.
    pub fn load(arguments: &Arguments) -> Result<Self, String> {
        let work = tempfile::Builder::new()
            .prefix("icecore-interop-")
            .tempdir_in(&arguments.work)
            .map_err(|error| error.to_string())?;
        let [accounts, snapshots] = ["accounts", "snapshots"].map(|name| work.path().join(name));
        for folder in [&accounts, &snapshots] {
            std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        }
        let full = FullSnapshotArchiveInfo::new_from_path(arguments.full.clone())
            .map_err(|error| error.to_string())?;
        let incremental = arguments
            .incremental
            .clone()
            .map(IncrementalSnapshotArchiveInfo::new_from_path)
            .transpose()
            .map_err(|error| error.to_string())?;
        let config = SnapshotConfig {
            full_snapshot_archives_dir: folder_of(&arguments.full),
            incremental_snapshot_archives_dir: folder_of(&arguments.full),
            bank_snapshots_dir: snapshots,
            ..SnapshotConfig::new_load_only()
        };
        let genesis = match &arguments.genesis {
            Some(folder) => GenesisConfig::load(folder).map_err(|error| error.to_string())?,
            None => genesis_of(arguments, work.path(), &config)?,
        };
        let bank = catch_unwind(AssertUnwindSafe(|| {
            snapshot_bank_utils::bank_from_snapshot_archives(
                &[accounts],
                &full,
                incremental.as_ref(),
                &config,
                &genesis,
                &RuntimeConfig::default(),
                None,
                None,
                None,
                false,
                false,
                true,
                ACCOUNTS_DB_CONFIG_FOR_BENCHMARKS,
                None,
                Arc::default(),
            )
        }));
        let bank = match bank {
            Ok(Ok(bank)) => bank,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                return Err(text.unwrap_or_else(|| "a panic without words".into()));
            }
        };
        let accounts = accounts_of(&bank)?;
        let data_bytes = accounts.values().map(|row| row["data_len"].as_u64().unwrap_or(0));
        let summary = json!({
            "slot": bank.slot(),
            "parent_slot": bank.parent_slot(),
            "epoch": bank.epoch(),
            "block_height": bank.block_height(),
            "bank_hash": bank.hash().to_string(),
            "accounts_lt_hash_checksum": bank.get_snapshot_hash().0.to_string(),
            "capitalization": bank.capitalization(),
            "num_accounts": accounts.len(),
            "total_data_len": data_bytes.sum::<u64>(),
        });
        let manifest = manifest_of(&bank)?;
        Ok(Self { summary, manifest, accounts })
    }
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_path_buf).unwrap_or_else(|| ".".into())
}

/// A genesis that the archive's own fields allow, where there is none: the loader asks it for little.
/// The client takes fields of the best archives of a folder, so these lie alone in one.
fn genesis_of(
    arguments: &Arguments,
    work: &Path,
    config: &SnapshotConfig,
) -> Result<GenesisConfig, String> {
    let alone = work.join("alone");
    std::fs::create_dir_all(&alone).map_err(|error| error.to_string())?;
    for file in [Some(&arguments.full), arguments.incremental.as_ref()].into_iter().flatten() {
        let name = file.file_name().ok_or("an archive has a name")?;
        let file = std::path::absolute(file).map_err(|error| error.to_string())?;
        std::os::unix::fs::symlink(file, alone.join(name)).map_err(|error| error.to_string())?;
    }
    let config = SnapshotConfig {
        full_snapshot_archives_dir: alone.clone(),
        incremental_snapshot_archives_dir: alone,
        ..config.clone()
    };
    let fields = snapshot_bank_utils::bank_fields_from_snapshot_archives(&config)
        .map_err(|error| error.to_string())?;
    Ok(GenesisConfig {
        creation_time: fields.genesis_creation_time,
        ticks_per_slot: fields.ticks_per_slot,
        epoch_schedule: fields.epoch_schedule.clone(),
        ..GenesisConfig::default()
    })
}

fn accounts_of(bank: &Bank) -> Result<BTreeMap<String, Value>, String> {
    let mut accounts = BTreeMap::new();
    bank.scan_all_accounts(|found| {
        let Some((pubkey, account, slot)) = found else { return };
        if account.lamports() > 0 {
            let row = json!({
                "lamports": account.lamports(),
                "owner": account.owner().to_string(),
                "executable": account.executable(),
                "rent_epoch": account.rent_epoch(),
                "slot": slot,
                "data_len": account.data().len(),
                "data_blake3": blake3::hash(account.data()).to_hex().to_string(),
            });
            accounts.insert(pubkey.to_string(), row);
        }
    })
    .map_err(|error| error.to_string())?;
    Ok(accounts)
}

/// Any value of the client, by the client's own description of it.
fn described(value: &impl Serialize) -> Result<Cbor, String> {
    Cbor::serialized(value).map_err(|error| error.to_string())
}

fn manifest_of(bank: &Bank) -> Result<Vec<(&'static str, Cbor)>, String> {
    // Nobody but the maker of a package asks for a block id; an archive before 4.1 has none.
    let has_block_id = bank.block_id().is_some();
    if !has_block_id {
        bank.set_block_id(Some(bank.hash()));
    }
    let kind = SnapshotKind::Archive(SnapshotArchiveKind::Full);
    let package = SnapshotPackage::new(kind, bank, Vec::new(), Vec::new());
    let BankFieldsToSerialize {
        blockhash_queue,
        hash,
        parent_hash,
        parent_slot,
        hard_forks,
        transaction_count,
        tick_height,
        signature_count,
        capitalization,
        max_tick_height,
        hashes_per_tick,
        ticks_per_slot,
        ns_per_slot,
        genesis_creation_time,
        slots_per_year,
        slot,
        block_height,
        leader_id,
        fee_rate_governor,
        epoch_schedule,
        inflation,
        stakes,
        is_delta,
        // Counted anew while loading; the summary has it.
        accounts_data_len: _,
        versioned_epoch_stakes,
        accounts_lt_hash,
        block_id,
    } = package.bank_snapshot_package.bank_fields;
    let delegations = stakes.stake_delegations.iter();
    let delegations: Vec<_> =
        delegations.map(|(pubkey, account)| (*pubkey, *account.delegation())).collect();
    let lattice: Vec<u8> =
        accounts_lt_hash.0.0.iter().flat_map(|lane| lane.to_le_bytes()).collect();
    let mut fields = vec![
        ("bank.blockhash_queue", described(&blockhash_queue)?),
        ("bank.hash", described(&hash)?),
        ("bank.parent_hash", described(&parent_hash)?),
        ("bank.parent_slot", described(&parent_slot)?),
        ("bank.hard_forks", described(&hard_forks)?),
        ("bank.transaction_count", described(&transaction_count)?),
        ("bank.tick_height", described(&tick_height)?),
        ("bank.signature_count", described(&signature_count)?),
        ("bank.capitalization", described(&capitalization)?),
        ("bank.max_tick_height", described(&max_tick_height)?),
        ("bank.hashes_per_tick", described(&hashes_per_tick)?),
        ("bank.ticks_per_slot", described(&ticks_per_slot)?),
        ("bank.ns_per_slot", described(&u64::try_from(ns_per_slot).map_err(|_| "ns_per_slot")?)?),
        ("bank.genesis_creation_time", described(&genesis_creation_time)?),
        ("bank.slots_per_year", described(&slots_per_year)?),
        ("bank.slot", described(&slot)?),
        ("bank.block_height", described(&block_height)?),
        ("bank.leader_id", described(&leader_id)?),
        ("bank.fee_rate_governor", described(&fee_rate_governor)?),
        ("bank.epoch_schedule", described(&epoch_schedule)?),
        ("bank.inflation", described(&inflation)?),
        ("bank.stakes.vote_accounts", described(&stakes.vote_accounts)?),
        ("bank.stakes.stake_delegations", pairs(delegations)?),
        ("bank.stakes.unused", described(&stakes.unused)?),
        ("bank.stakes.epoch", described(&stakes.epoch)?),
        ("bank.stakes.stake_history", described(&stakes.stake_history)?),
        ("bank.is_delta", described(&is_delta)?),
        ("accounts_db.slot", described(&slot)?),
        ("extra.versioned_epoch_stakes", described(&versioned_epoch_stakes)?),
        ("extra.accounts_lt_hash", Cbor::Bytes(lattice)),
    ];
    if has_block_id {
        fields.push(("extra.block_id", described(&block_id)?));
    }
    Ok(fields)
}

/// A map with keys of any kind.
fn pairs<K: Serialize, V: Serialize>(pairs: Vec<(K, V)>) -> Result<Cbor, String> {
    let pairs = pairs.iter().map(|(key, value)| Ok((described(key)?, described(value)?)));
    pairs.collect::<Result<_, String>>().map(Cbor::Map)
}
