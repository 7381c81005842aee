//! The archive of which every decoded field is public as JSON: what we decode is what it says, and
//! a field of the JSON that the test does not know fails it.

mod manifest_support;

use std::collections::BTreeMap;

use icecore_archive::{
    manifest::{EpochStakes, Manifest, VoteAccount},
    status_cache::{InstructionError, StatusCache, TransactionError, TransactionResult},
};
use icecore_types::{Hash, Pubkey, Record, Stake};
use manifest_support::{Members, json, members, shared_data};
use serde::Serialize;
use serde_json::{Map, Value};

/// An object of the JSON; what has been compared is taken out of it.
struct Object {
    path: String,
    fields: Map<String, Value>,
}

impl Object {
    fn new(path: String, value: Value) -> Self {
        let Value::Object(fields) = value else { panic!("{path} is not an object") };
        Self { path, fields }
    }

    fn take(&mut self, key: &str) -> Value {
        self.fields.remove(key).unwrap_or_else(|| panic!("{}.{key} is missing", self.path))
    }

    fn equals(&mut self, key: &str, decoded: impl Serialize) {
        let decoded = serde_json::to_value(decoded).expect("it serializes");
        assert_eq!(self.take(key), decoded, "{}.{key}", self.path);
    }

    fn object(&mut self, key: &str) -> Self {
        Self::new(format!("{}.{key}", self.path), self.take(key))
    }

    fn list(&mut self, key: &str, length: usize) -> Vec<Self> {
        let path = format!("{}.{key}", self.path);
        let Value::Array(values) = self.take(key) else { panic!("{path} is not a list") };
        assert_eq!(values.len(), length, "{path}");
        let objects = values.into_iter().enumerate();
        objects.map(|(index, value)| Self::new(format!("{path}[{index}]"), value)).collect()
    }

    fn key(&mut self, key: &str) -> Pubkey {
        let text = self.take(key);
        let text = text.as_str().expect("keys are text");
        text.parse().expect("keys are base58")
    }

    /// Nothing may be left uncompared.
    fn end(self) {
        let left: Vec<_> = self.fields.keys().collect();
        assert!(left.is_empty(), "{} has more: {left:?}", self.path);
    }
}

#[test]
fn every_field_is_what_the_json_says() {
    let Some(data) = shared_data() else { return };
    let archive = data.join("golden/test-snapshot-v4.2.0-beta.1.tar.zst");
    let members = members(&archive);
    let (manifest, _) = Manifest::decode(&members.manifest).expect("it decodes");
    let status_cache = StatusCache::decode(&members.status_cache).expect("it decodes");
    let expected = json(&data.join("golden/test-snapshot-v4.2.0-beta.1.json"));
    let mut root = Object::new("json".to_owned(), expected);
    let records = compare_accounts(root.object("accounts"), &members, &manifest);

    let mut bank = root.object("bank_fields");
    compare_bank(&mut bank, &manifest, &records, None);
    bank.end();

    let mut extra = root.object("extra_fields");
    extra.equals("lamports_per_signature", manifest.extra.lamports_per_signature);
    extra.equals(
        "unused_incremental_snapshot_persistence",
        manifest.extra.incremental_snapshot_persistence,
    );
    extra.equals("unused_epoch_accounts_hash", manifest.extra.epoch_accounts_hash);
    compare_extra(&mut extra, &manifest);
    extra.end();

    let mut merged = root.object("merged_fields");
    let fee = manifest.extra.lamports_per_signature;
    compare_bank(&mut merged, &manifest, &records, Some(fee));
    compare_extra(&mut merged, &manifest);
    let history: Pubkey = icecore_types::programs::SYSVAR_SLOT_HISTORY;
    merged.equals("slot_history_found_slots", found_slots(&records[&history]));
    merged.end();

    compare_status_cache(root.object("status_cache"), &members, &status_cache);
    root.end();
}

/// `fee` is that of the extra fields when the JSON has merged them in.
fn compare_bank(
    json: &mut Object,
    manifest: &Manifest,
    records: &BTreeMap<Pubkey, Vec<u8>>,
    fee: Option<u64>,
) {
    let bank = &manifest.bank;
    let scalars = &bank.scalars;
    json.equals("slot", scalars.slot);
    // The manifest says 0, as 4.1 and later write it; the JSON shows what the schedule gives.
    assert_eq!(scalars.epoch, 0);
    json.equals("epoch", scalars.epoch_schedule.epoch_of(scalars.slot));
    json.equals("parent_slot", bank.hashes.parent_slot);
    json.equals("block_height", scalars.block_height);
    json.equals("hash", bank.hashes.hash);
    json.equals("parent_hash", bank.hashes.parent_hash);
    json.equals("leader_id", scalars.leader_id);
    json.equals("transaction_count", scalars.transaction_count);
    json.equals("signature_count", scalars.signature_count);
    json.equals("tick_height", scalars.tick_height);
    json.equals("max_tick_height", scalars.max_tick_height);
    json.equals("ticks_per_slot", scalars.ticks_per_slot);
    json.equals("hashes_per_tick", scalars.hashes_per_tick);
    json.equals("ns_per_slot", scalars.ns_per_slot);
    json.equals("slots_per_year", scalars.slots_per_year);
    json.equals("genesis_creation_time", scalars.genesis_creation_time);
    json.equals("accounts_data_len", scalars.accounts_data_len);
    json.equals("capitalization", scalars.capitalization);
    json.equals("is_delta", bank.is_delta);

    let governor = &scalars.fee_rate_governor;
    let mut object = json.object("fee_rate_governor");
    // On the wire the governor has no fee; a reader that has no extra fields takes the target.
    object.equals("lamports_per_signature", fee.unwrap_or(governor.target_lamports_per_signature));
    object.equals("target_lamports_per_signature", governor.target_lamports_per_signature);
    object.equals("target_signatures_per_slot", governor.target_signatures_per_slot);
    object.equals("min_lamports_per_signature", governor.min_lamports_per_signature);
    object.equals("max_lamports_per_signature", governor.max_lamports_per_signature);
    object.equals("burn_percent", governor.burn_percent);
    object.end();

    let schedule = &scalars.epoch_schedule;
    let mut object = json.object("epoch_schedule");
    object.equals("slots_per_epoch", schedule.slots_per_epoch);
    object.equals("leader_schedule_slot_offset", schedule.leader_schedule_slot_offset);
    object.equals("warmup", schedule.warmup);
    object.equals("first_normal_epoch", schedule.first_normal_epoch);
    object.equals("first_normal_slot", schedule.first_normal_slot);
    object.end();

    let inflation = &scalars.inflation;
    let mut object = json.object("inflation");
    object.equals("initial", inflation.initial);
    object.equals("terminal", inflation.terminal);
    object.equals("taper", inflation.taper);
    object.equals("foundation", inflation.foundation);
    object.equals("foundation_term", inflation.foundation_term);
    object.end();

    let queue = &bank.blockhash_queue;
    let mut object = json.object("blockhash_queue");
    object.equals("last_hash_index", queue.head.last_hash_index);
    object.equals("last_hash", queue.head.last_hash);
    object.equals("max_age", queue.max_age);
    for mut entry in object.list("hashes", queue.hashes.len()) {
        let hash = Hash(entry.key("hash").0);
        let info = value_of(&queue.hashes, &hash);
        entry.equals("lamports_per_signature", info.lamports_per_signature);
        entry.equals("hash_index", info.hash_index);
        entry.equals("timestamp_ms", info.timestamp);
        entry.end();
    }
    object.end();

    let forks = json.list("hard_forks", bank.hard_forks.len());
    for (mut entry, fork) in forks.into_iter().zip(&bank.hard_forks) {
        entry.equals("slot", fork.slot);
        entry.equals("count", fork.count);
        entry.end();
    }

    let stakes = &bank.stakes;
    let mut object = json.object("stakes");
    object.equals("epoch", stakes.scalars.epoch);
    object.equals("unused", stakes.scalars.unused);
    for mut entry in object.list("vote_accounts", stakes.vote_accounts.len()) {
        let address = entry.key("vote_pubkey");
        let vote_account = value_of(&stakes.vote_accounts, &address);
        entry.equals("executable", vote_account.account.executable);
        entry.equals("rent_epoch", vote_account.account.rent_epoch);
        entry.equals("vote_state_data_len", vote_account.account.data.len());
        compare_vote_account(entry, vote_account);
    }
    for mut entry in object.list("stake_delegations", stakes.stake_delegations.len()) {
        let address = entry.key("stake_pubkey");
        let delegation = value_of(&stakes.stake_delegations, &address);
        entry.equals("voter_pubkey", delegation.voter_pubkey);
        entry.equals("stake", delegation.stake);
        entry.equals("activation_epoch", delegation.activation_epoch);
        entry.equals("deactivation_epoch", delegation.deactivation_epoch);
        // Not in the manifest: the staker that the stake account's own data names.
        entry.equals("authorized", key_at(&records[&address], 12));
        entry.end();
    }
    let history = object.list("stake_history", stakes.stake_history.len());
    for (mut entry, decoded) in history.into_iter().zip(&stakes.stake_history) {
        entry.equals("epoch", decoded.epoch);
        entry.equals("effective", decoded.effective);
        entry.equals("activating", decoded.activating);
        entry.equals("deactivating", decoded.deactivating);
        entry.end();
    }
    object.end();
}

fn compare_vote_account(mut entry: Object, vote_account: &VoteAccount) {
    entry.equals("stake", vote_account.stake);
    entry.equals("lamports", vote_account.account.lamports);
    entry.equals("owner", vote_account.account.owner);
    // A vote state begins with its version, then the node's identity.
    entry.equals("node_pubkey", key_at(&vote_account.account.data, 4));
    entry.end();
}

/// The extra fields that the JSON shows both by themselves and merged.
fn compare_extra(json: &mut Object, manifest: &Manifest) {
    let extra = &manifest.extra;
    json.equals("block_id", extra.block_id);
    let decoded = serde_json::to_value(extra).expect("it serializes");
    json.equals("accounts_lt_hash", &decoded["accounts_lt_hash"]);
    let epochs = &extra.versioned_epoch_stakes;
    for mut entry in json.list("versioned_epoch_stakes", epochs.len()) {
        let epoch = entry.take("epoch").as_u64().expect("an epoch");
        compare_epoch_stakes(entry, value_of(epochs, &epoch));
    }
}

fn compare_epoch_stakes(mut json: Object, decoded: &EpochStakes<Stake>) {
    // The decoder refuses every other variant.
    json.equals("variant", "Current");
    json.equals("total_stake", decoded.total_stake);
    let stakes = &decoded.stakes;
    for mut entry in json.list("vote_accounts", stakes.vote_accounts.len()) {
        let address = entry.key("vote_pubkey");
        compare_vote_account(entry, value_of(&stakes.vote_accounts, &address));
    }
    // The JSON shows what the archive was made from. 4.x does not write it: none of these keys is
    // in the manifest.
    let given = json.take("stake_delegations");
    assert_eq!(given.as_array().map(Vec::len), Some(2));
    assert_eq!(stakes.stake_delegations, []);

    let nodes = &decoded.node_id_to_vote_accounts;
    for mut entry in json.list("node_id_to_vote_accounts", nodes.len()) {
        let node = value_of(nodes, &entry.key("node_id"));
        entry.equals("total_stake", node.total_stake);
        entry.equals("vote_pubkeys", &node.vote_accounts);
        entry.end();
    }
    let voters = &decoded.epoch_authorized_voters;
    for mut entry in json.list("epoch_authorized_voters", voters.len()) {
        let voter = value_of(voters, &entry.key("vote_pubkey"));
        entry.equals("authorized_voter", voter);
        entry.end();
    }
    json.end();
}

fn compare_status_cache(mut json: Object, members: &Members, decoded: &StatusCache) {
    json.equals("on_disk_size", members.status_cache.len());
    json.equals("slot_deltas_count", decoded.slots.len());
    let slots = json.list("slot_deltas", decoded.slots.len());
    for (index, (mut entry, slot)) in slots.into_iter().zip(&decoded.slots).enumerate() {
        entry.equals("index", index);
        entry.equals("slot", slot.slot);
        entry.equals("is_root", slot.is_root);
        let buckets = entry.list("buckets", slot.blockhashes.len());
        for (index, (mut entry, bucket)) in buckets.into_iter().zip(&slot.blockhashes).enumerate() {
            entry.equals("index", index);
            entry.equals("blockhash_hex", hex(&bucket.blockhash.0));
            // So the JSON calls the key index.
            entry.equals("fork_count", bucket.key_index);
            let entries = entry.list("entries", bucket.entries.len());
            for (mut entry, (key, result)) in entries.into_iter().zip(&bucket.entries) {
                entry.equals("key_slice_hex", hex(key));
                compare_result(entry.object("result"), result);
                entry.end();
            }
            entry.end();
        }
        entry.end();
    }
    json.end();
}

fn compare_result(mut json: Object, result: &TransactionResult) {
    match result {
        TransactionResult::Ok => json.equals("type", "Ok"),
        TransactionResult::Err(TransactionError::InstructionError(
            index,
            InstructionError::Custom(code),
        )) => {
            json.equals("type", "Err");
            let mut error = json.object("transaction_error");
            error.equals("type", "InstructionError");
            error.equals("instruction_index", index);
            let mut inner = error.object("instruction_error");
            inner.equals("type", "Custom");
            inner.equals("custom_code", code);
            inner.end();
            error.end();
        }
        other => panic!("the golden archive has no {other:?}"),
    }
    json.end();
}

/// Compares the storages; returns the newest data of each account.
fn compare_accounts(
    mut json: Object,
    members: &Members,
    manifest: &Manifest,
) -> BTreeMap<Pubkey, Vec<u8>> {
    let storages = &manifest.accounts_db.storages;
    json.equals("file_count", storages.len());
    let mut entries = Vec::new();
    for mut file in json.list("files", storages.len()) {
        let slot = file.take("slot").as_u64().expect("a slot");
        let [storage] = value_of(storages, &slot)[..] else {
            panic!("slot {slot} has one storage")
        };
        let name = format!("{slot}.{}", storage.id);
        let bytes = &members.storages[&name];
        file.equals("id", storage.id);
        file.equals("path", format!("accounts/{name}"));
        file.equals("on_disk_size", bytes.len());
        assert_eq!(storage.accounts_current_len, bytes.len() as u64);
        file.end();
        let mut at = 0;
        while let Some(record) = bytes.get(at..).and_then(Record::parse) {
            entries.push((slot, storage.id, record));
            let stored = record.header.stored_bytes().expect("it was parsed");
            at += usize::try_from(stored).expect("it was parsed");
        }
    }
    json.equals("count", entries.len());
    let mut newest = BTreeMap::new();
    let list = json.list("entries", entries.len());
    for (index, (mut entry, (slot, file_id, record))) in list.into_iter().zip(&entries).enumerate()
    {
        let account = record.account();
        entry.equals("index", index);
        entry.equals("slot", slot);
        entry.equals("file_id", file_id);
        entry.equals("pubkey", account.pubkey);
        entry.equals("lamports", account.lamports);
        entry.equals("owner", account.owner);
        entry.equals("executable", account.executable);
        entry.equals("rent_epoch", account.rent_epoch);
        entry.equals("data_len", account.data.len());
        entry.equals("data_hex", hex(account.data));
        entry.equals("data_utf8", str::from_utf8(account.data).ok());
        let mut hasher = blake3::Hasher::new();
        hasher.update(&account.lamports.to_le_bytes());
        hasher.update(account.data);
        hasher.update(&[u8::from(account.executable)]);
        hasher.update(&account.owner.0);
        hasher.update(&account.pubkey.0);
        let first = hasher.finalize();
        entry.equals("account_lt_hash_first_32_hex", hex(first.as_bytes()));
        entry.end();
        newest.insert(*account.pubkey, (index, account.data.to_vec()));
    }
    json.equals("live_count", newest.len());
    let mut live: Vec<usize> = newest.values().map(|(index, _)| *index).collect();
    live.sort_unstable();
    json.equals("live_indices", live);
    json.end();
    newest.into_iter().map(|(pubkey, (_, data))| (pubkey, data)).collect()
}

/// The slots of a SlotHistory sysvar: a tag, words as a counted list, a bit per slot.
fn found_slots(data: &[u8]) -> Vec<u64> {
    let words = data[9..data.len() - 16].as_chunks::<8>().0;
    let bits = words.iter().enumerate().flat_map(|(index, word)| {
        let word = u64::from_le_bytes(*word);
        (0..64).filter_map(move |bit| (word >> bit & 1 == 1).then_some(index as u64 * 64 + bit))
    });
    bits.collect()
}

fn value_of<'a, K: PartialEq + std::fmt::Debug, V>(map: &'a [(K, V)], key: &K) -> &'a V {
    map.iter()
        .find(|(candidate, _)| candidate == key)
        .map(|(_, value)| value)
        .unwrap_or_else(|| panic!("{key:?} is missing"))
}

fn key_at(data: &[u8], offset: usize) -> Pubkey {
    Pubkey(*data[offset..].first_chunk().expect("it holds a key"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
