//! Everything that an archive holds, as values, and what remains of it without the closed list of
//! what no check covers.
//!
//! Two archives whose [`Decoded::covered`] are equal differ in nothing that a verdict should have
//! seen. The closed list is that of the verdict, entry by entry: a test holds them together.

use std::collections::HashSet;

use icecore_archive::{
    manifest::{BankHashInfo, EpochStakes, Manifest, ManifestEnd, Stakes, StakesScalars},
    names::ArchiveName,
    status_cache::StatusCache,
};
use icecore_programs::{sysvar::RecentBlockhashes, vote::VoteState};
use icecore_restore::NOT_COVERED;
use icecore_types::{Bits64, EpochSchedule, Hash, Pubkey, Slot, Stake, programs};

use crate::support::{Form, field, records, state_of};

/// A record, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) pubkey: Pubkey,
    /// Header and data.
    pub(crate) bytes: Vec<u8>,
    /// What follows up to the next record, or to the storage's end.
    pub(crate) padding: Vec<u8>,
}

/// A storage, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Storage {
    pub(crate) slot: Slot,
    pub(crate) id: u64,
    pub(crate) records: Vec<Record>,
}

/// An archive, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Header blocks of all members.
    pub(crate) headers: Vec<Vec<u8>>,
    /// Paths of all members.
    pub(crate) paths: Vec<String>,
    pub(crate) version: Vec<u8>,
    pub(crate) manifest: Manifest,
    pub(crate) manifest_end: ManifestEnd,
    pub(crate) status_cache: StatusCache,
    pub(crate) storages: Vec<Storage>,
    /// What follows the last member.
    pub(crate) end: Vec<u8>,
}

impl Decoded {
    /// Takes an archive file's bytes apart, `None` when they are no archive.
    pub(crate) fn of(name: ArchiveName, container: &[u8]) -> Option<(Self, Form)> {
        let form = Form::take_apart(name, container).ok()?;
        let content = |path: &str| {
            let own = form.members.iter().find(|member| member.path == path);
            own.map(|member| &member.content[..])
        };
        let slot = form.slot;
        let (manifest, manifest_end) =
            Manifest::decode(content(&format!("snapshots/{slot}/{slot}"))?).ok()?;
        let status_cache = StatusCache::decode(content("snapshots/status_cache")?).ok()?;
        let decoded = Self {
            headers: form.members.iter().map(|member| member.header.to_vec()).collect(),
            paths: form.members.iter().map(|member| member.path.clone()).collect(),
            version: content("version")?.to_vec(),
            manifest,
            manifest_end,
            status_cache,
            storages: storages(&form),
            end: form.end.clone(),
        };
        Some((decoded, form))
    }

    /// What remains without the closed list.
    pub(crate) fn covered(mut self) -> Self {
        for (_, blank) in BLANKS {
            blank(&mut self);
        }
        self
    }

    fn sysvar(&self, address: &Pubkey) -> Vec<u8> {
        let own = self.storages.iter().flat_map(|storage| {
            let own = storage.records.iter().filter(|record| record.pubkey == *address);
            own.map(|record| (storage.slot, &record.bytes[field::DATA..]))
        });
        own.max_by_key(|(slot, _)| *slot).map(|(_, data)| data.to_vec()).unwrap_or_default()
    }
}

fn storages(form: &Form) -> Vec<Storage> {
    let mut storages: Vec<_> = form
        .members
        .iter()
        .filter_map(|member| member.storage())
        .map(|(slot, id)| Storage { slot, id, records: Vec::new() })
        .collect();
    let numbers: Vec<_> = form
        .members
        .iter()
        .enumerate()
        .filter(|(_, member)| member.storage().is_some())
        .map(|(number, _)| number)
        .collect();
    let records = records(form);
    for (at, record) in records.iter().enumerate() {
        let content = &form.members[record.member].content;
        let next = records.get(at + 1).filter(|next| next.member == record.member);
        let end = next.map_or(content.len(), |next| next.range.start);
        let storage = numbers.binary_search(&record.member).expect("its storage was met");
        storages[storage].records.push(Record {
            pubkey: record.pubkey,
            bytes: content[record.range.clone()].to_vec(),
            padding: content[record.range.end..end].to_vec(),
        });
    }
    storages
}

/// An entry of the closed list, and what blanks the values that it means.
type Blank = (&'static str, fn(&mut Decoded));

/// The closed list.
const BLANKS: &[Blank] = &[
    ("status cache: results, and entries beyond slots (T1, T2)", |decoded| {
        for slot in &mut decoded.status_cache.slots {
            slot.blockhashes.clear();
        }
    }),
    (
        "blockhash queue: entries that the recent blockhashes sysvar does not hold; all timestamps and fees",
        |decoded| {
            let data = decoded.sysvar(&programs::SYSVAR_RECENT_BLOCKHASHES);
            let recent: HashSet<Hash> = RecentBlockhashes::decode(&data)
                .map(|recent| recent.iter().map(|entry| entry.0).collect())
                .unwrap_or_default();
            for (hash, info) in &mut decoded.manifest.bank.blockhash_queue.hashes {
                if !recent.contains(hash) {
                    *hash = Hash::default();
                }
                info.lamports_per_signature = 0;
                info.timestamp = 0;
            }
        },
    ),
    ("transaction_count", |decoded| decoded.manifest.bank.scalars.transaction_count = 0),
    // The bank hash covers it: nothing is blanked.
    ("signature_count (only through the bank hash)", |_| {}),
    ("block_height", |decoded| decoded.manifest.bank.scalars.block_height = 0),
    ("accounts_data_len and bank_hash_info", |decoded| {
        decoded.manifest.bank.scalars.accounts_data_len = 0;
        decoded.manifest.accounts_db.scalars.bank_hash_info = BankHashInfo::default();
    }),
    (
        "inflation, fee_rate_governor, lamports_per_signature, ns_per_slot, slots_per_year, hashes_per_tick",
        |decoded| {
            let bank = &mut decoded.manifest.bank.scalars;
            let zero = Bits64::default();
            bank.inflation.initial = zero;
            bank.inflation.terminal = zero;
            bank.inflation.taper = zero;
            bank.inflation.foundation = zero;
            bank.inflation.foundation_term = zero;
            bank.inflation.unused = zero;
            bank.fee_rate_governor.target_lamports_per_signature = 0;
            bank.fee_rate_governor.target_signatures_per_slot = 0;
            bank.fee_rate_governor.min_lamports_per_signature = 0;
            bank.fee_rate_governor.max_lamports_per_signature = 0;
            bank.fee_rate_governor.burn_percent = 0;
            bank.ns_per_slot = 0;
            bank.slots_per_year = zero;
            bank.hashes_per_tick = None;
            decoded.manifest.extra.lamports_per_signature = 0;
        },
    ),
    ("genesis_creation_time (unless a ledger is given)", |decoded| {
        decoded.manifest.bank.scalars.genesis_creation_time = 0;
    }),
    ("epoch stakes beyond M8 (frozen at an older epoch's border)", |decoded| {
        for (epoch, stakes) in &mut decoded.manifest.extra.versioned_epoch_stakes {
            within_m8(*epoch, stakes);
        }
    }),
    ("stakes cache: effective stakes of vote accounts, unused field", |decoded| {
        let stakes = &mut decoded.manifest.bank.stakes;
        stakes.vote_accounts.iter_mut().for_each(|(_, vote)| vote.stake = 0);
        stakes.scalars.unused = 0;
    }),
    (
        "fields that no client reads any more: epoch where 0 stands for the slot's, ancestors, collector_fees, fee_calculator, collected_rent, rent_collector, unused_accounts, is_delta, write_version, historical roots, incremental persistence",
        |decoded| {
            let bank = &mut decoded.manifest.bank;
            if bank.scalars.epoch == bank.scalars.epoch_schedule.epoch_of(bank.scalars.slot) {
                bank.scalars.epoch = 0;
            }
            bank.ancestors.clear();
            bank.scalars.collector_fees = 0;
            bank.scalars.fee_calculator_lamports_per_signature = 0;
            bank.scalars.collected_rent = 0;
            blank_rent_collector(&mut bank.scalars.rent_collector);
            bank.unused_accounts = Default::default();
            bank.is_delta = false;
            decoded.manifest.accounts_db.scalars.write_version = 0;
            decoded.manifest.accounts_db.historical_roots.clear();
            decoded.manifest.accounts_db.historical_roots_with_hash.clear();
            decoded.manifest.extra.incremental_snapshot_persistence = None;
        },
    ),
    ("block_id", |decoded| decoded.manifest.extra.block_id = None),
    ("account records: rent_epoch, write_version, stored hash, padding", |decoded| {
        let records = decoded.storages.iter_mut().flat_map(|storage| &mut storage.records);
        for record in records {
            for range in [field::WRITE_VERSION, field::RENT_EPOCH, field::PADDING, field::HASH] {
                record.bytes[range].fill(0);
            }
            let undefined = record.bytes.len().next_multiple_of(8) - record.bytes.len();
            let undefined = undefined.min(record.padding.len());
            record.padding[..undefined].fill(0);
        }
    }),
    (
        "closed accounts (no lamports): owner, executable, data, and the address of one that closes nothing",
        |decoded| {
            // That it closes nothing shows in the states, which are compared beside this.
            let records = decoded.storages.iter_mut().flat_map(|storage| &mut storage.records);
            for record in records.filter(|record| record.bytes[field::LAMPORTS] == [0; 8]) {
                record.bytes.clear();
                record.pubkey = Pubkey::default();
            }
        },
    ),
    ("ids of storages", |decoded| {
        decoded.storages.iter_mut().for_each(|storage| storage.id = 0);
        for (_, storages) in &mut decoded.manifest.accounts_db.storages {
            storages.iter_mut().for_each(|storage| storage.id = 0);
        }
        for path in &mut decoded.paths {
            if path.starts_with("accounts/")
                && let Some((slot, _)) = path.split_once('.')
            {
                *path = slot.to_string();
            }
        }
    }),
    ("tar headers: modes, owners, times, spelling of numbers", |decoded| {
        for header in &mut decoded.headers {
            // Mode, owner, group; time and checksum; names of owner and group. The checksum's value
            // holds, or there would be no verdict to pass.
            for range in [100..124, 136..156, 265..329] {
                header[range].fill(0);
            }
        }
    }),
];

/// Of an epoch's stakes what M8 and M7 look at.
fn within_m8(epoch: u64, stakes: &mut EpochStakes<Stake>) {
    for (_, vote) in &mut stakes.stakes.vote_accounts {
        let state = VoteState::decode(&vote.account.data).filter(|_| vote.stake > 0);
        let node = state.as_ref().map(VoteState::node).unwrap_or_default();
        let voter = state.and_then(|state| state.authorized_voter_for(epoch)).unwrap_or_default();
        vote.account = Default::default();
        vote.account.data.extend_from_slice(&node.0);
        vote.account.data.extend_from_slice(&voter.0);
    }
    stakes.stakes = Stakes {
        vote_accounts: std::mem::take(&mut stakes.stakes.vote_accounts),
        stake_delegations: Vec::new(),
        scalars: StakesScalars::default(),
        stake_history: Vec::new(),
    };
}

fn blank_rent_collector(collector: &mut icecore_archive::manifest::RentCollector) {
    let zero = Bits64::default();
    collector.epoch = 0;
    collector.epoch_schedule = EpochSchedule {
        slots_per_epoch: 0,
        leader_schedule_slot_offset: 0,
        warmup: false,
        first_normal_epoch: 0,
        first_normal_slot: 0,
    };
    collector.slots_per_year = zero;
    collector.rent.lamports_per_byte = 0;
    collector.rent.exemption_threshold = zero;
    collector.rent.burn_percent = 0;
}

/// Where two archives differ, in words: the fields, without numbers of entries.
pub(crate) fn differences(a: &Decoded, b: &Decoded) -> Vec<String> {
    let mut found = Vec::new();
    let mut note = |what: String| {
        if !found.contains(&what) {
            found.push(what);
        }
    };
    for (a, b) in a.headers.iter().zip(&b.headers) {
        const FIELDS: [(&str, std::ops::Range<usize>); 9] = [
            ("name", 0..100),
            ("mode, owner, group", 100..124),
            ("size", 124..136),
            ("time", 136..148),
            ("checksum", 148..156),
            ("type", 156..157),
            ("link", 157..257),
            ("magic", 257..265),
            ("rest", 265..512),
        ];
        for (name, range) in FIELDS {
            if a[range.clone()] != b[range] {
                note(format!("tar header: {name}"));
            }
        }
    }
    if a.paths != b.paths {
        note("paths".to_string());
    }
    if a.version != b.version {
        note("version".to_string());
    }
    if a.end != b.end {
        note("end of the tar stream".to_string());
    }
    if a.manifest_end != b.manifest_end {
        note("end of the manifest".to_string());
    }
    if a.manifest != b.manifest {
        if a.manifest.bank.scalars.ns_per_slot != b.manifest.bank.scalars.ns_per_slot {
            note("manifest.bank.ns_per_slot".to_string());
        }
        let [a, b] = [&a.manifest, &b.manifest].map(|manifest| {
            let mut manifest = manifest.clone();
            // No JSON value of this library holds 128 bits.
            manifest.bank.scalars.ns_per_slot = 0;
            serde_json::to_value(manifest).expect("a manifest has a JSON form")
        });
        json_differences("manifest", &a, &b, &mut note);
    }
    if a.status_cache != b.status_cache {
        let [a, b] = [&a.status_cache, &b.status_cache]
            .map(|cache| serde_json::to_value(cache).expect("a status cache has a JSON form"));
        json_differences("status cache", &a, &b, &mut note);
    }
    for (a, b) in a.storages.iter().zip(&b.storages) {
        record_differences(a, b, &mut note);
    }
    found
}

fn json_differences(
    path: &str,
    a: &serde_json::Value,
    b: &serde_json::Value,
    note: &mut impl FnMut(String),
) {
    use serde_json::Value::{Array, Object};
    match (a, b) {
        _ if a == b => {}
        (Object(a), Object(b)) if a.keys().eq(b.keys()) => {
            for (key, value) in a {
                json_differences(&format!("{path}.{key}"), value, &b[key], note);
            }
        }
        (Array(a), Array(b)) if a.len() == b.len() => {
            for (number, (a, b)) in a.iter().zip(b).enumerate() {
                // Numbers of entries say nothing, those of parts of a pair do.
                let part = if path.ends_with(']') { format!(".{number}") } else { "[]".into() };
                json_differences(&format!("{path}{part}"), a, b, note);
            }
        }
        _ => note(path.to_string()),
    }
}

fn record_differences(a: &Storage, b: &Storage, note: &mut impl FnMut(String)) {
    if a.records.len() != b.records.len() {
        note("records of a storage".to_string());
    }
    for (a, b) in a.records.iter().zip(&b.records) {
        let is_tombstone = a.bytes[field::LAMPORTS].iter().all(|byte| *byte == 0);
        let kind = if is_tombstone { "tombstone" } else { "record" };
        let fields = [
            ("write_version", field::WRITE_VERSION),
            ("data_len", field::DATA_LEN),
            ("pubkey", field::PUBKEY),
            ("lamports", field::LAMPORTS),
            ("rent_epoch", field::RENT_EPOCH),
            ("owner", field::OWNER),
            ("executable", field::EXECUTABLE..field::EXECUTABLE + 1),
            ("padding in the header", field::PADDING),
            ("hash", field::HASH),
        ];
        for (name, range) in fields {
            if a.bytes[range.clone()] != b.bytes[range] {
                note(format!("{kind}: {name}"));
            }
        }
        if a.bytes[field::DATA..] != b.bytes[field::DATA..] {
            note(format!("{kind}: data"));
        }
        if a.padding != b.padding {
            note(format!("{kind}: padding behind it"));
        }
    }
}

/// The states at both slots are equal: tombstones of nothing may differ.
pub(crate) fn same_state(a: (&Form, Option<&Form>), b: (&Form, Option<&Form>)) -> bool {
    let covered = |form: &Form, above: Option<&Form>| {
        let mut state = state_of(form, above);
        for (_, record) in state.values_mut() {
            for range in [field::WRITE_VERSION, field::RENT_EPOCH, field::PADDING, field::HASH] {
                record[range].fill(0);
            }
        }
        state
    };
    covered(a.0, None) == covered(b.0, None) && covered(a.0, a.1) == covered(b.0, b.1)
}

#[test]
fn the_closed_list_is_the_verdicts() {
    let blanked: Vec<_> = BLANKS.iter().map(|(entry, _)| *entry).collect();
    assert_eq!(blanked, NOT_COVERED);
}
