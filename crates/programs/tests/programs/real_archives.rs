//! Accounts of real archives: all that known programs own decodes, and the sysvars say what the
//! archive's truth says.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use icecore_programs::{
    parse,
    stake::StakeState,
    sysvar::{
        Clock, EpochRewards, LastRestartSlot, RecentBlockhashes, Rent, SlotHashes, SlotHistory,
        StakeHistory, epoch_schedule,
    },
    vote::{VoteState, VoteVersion},
};
use icecore_types::{Account, Pubkey, Record, Slot, programs};
use serde_json::Value;

use crate::reference::account;

/// The newest version of each account.
type State = BTreeMap<Pubkey, (Slot, Account)>;

fn workspace() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the workspace is there")
}

fn shared() -> PathBuf {
    std::env::var_os("ICECORE_SHARED").map_or_else(|| workspace().join("../shared"), PathBuf::from)
}

fn decompress(compressed: &[u8]) -> Vec<u8> {
    let mut context = zstd_safe::DCtx::create();
    let mut input = zstd_safe::InBuffer::around(compressed);
    let mut bytes = Vec::new();
    let mut block = vec![0u8; 1 << 17];
    loop {
        let mut output = zstd_safe::OutBuffer::around(&mut block[..]);
        context.decompress_stream(&mut output, &mut input).expect("the archive is whole");
        let written = output.pos();
        bytes.extend_from_slice(&block[..written]);
        if written == 0 && input.pos == compressed.len() {
            return bytes;
        }
    }
}

/// Reads all storages of an archive.
fn read_archive(path: &Path) -> State {
    let tar_bytes = decompress(&std::fs::read(path).expect("the archive can be read"));
    let mut state = State::new();
    let mut archive = tar::Archive::new(&tar_bytes[..]);
    for entry in archive.entries().expect("a tar archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").into_owned();
        let Some(name) = path.to_str().and_then(|path| path.strip_prefix("accounts/")) else {
            continue;
        };
        let slot = name.split('.').next().and_then(|slot| slot.parse().ok());
        let Some(slot) = slot else { continue };
        let mut storage = Vec::new();
        entry.read_to_end(&mut storage).expect("the entry is whole");
        read_storage(slot, &storage, &mut state);
    }
    state
}

fn read_storage(slot: Slot, storage: &[u8], state: &mut State) {
    let mut rest = storage;
    while let Some(record) = Record::parse(rest) {
        let (pubkey, account) = record.account().to_owned();
        if account.lamports == 0 && pubkey.is_zero() {
            break;
        }
        let newest = state.get(&pubkey).map(|(newest, _)| *newest);
        if newest.is_none_or(|newest| newest <= slot) {
            state.insert(pubkey, (slot, account));
        }
        let stored = record.header.stored_bytes().expect("parsed, so in range");
        let stored = usize::try_from(stored).expect("in memory");
        rest = rest.get(stored..).unwrap_or_default();
    }
}

fn archives_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.to_string_lossy().ends_with(".tar.zst")).collect()
}

/// Whether a sysvar's data decodes.
fn sysvar_decodes(address: &Pubkey, data: &[u8]) -> bool {
    match *address {
        programs::SYSVAR_CLOCK => Clock::decode(data).is_some(),
        programs::SYSVAR_EPOCH_SCHEDULE => epoch_schedule(data).is_some(),
        programs::SYSVAR_RENT => Rent::decode(data).is_some(),
        programs::SYSVAR_RECENT_BLOCKHASHES => RecentBlockhashes::decode(data).is_some(),
        programs::SYSVAR_SLOT_HASHES => SlotHashes::decode(data).is_some(),
        programs::SYSVAR_SLOT_HISTORY => SlotHistory::decode(data).is_some(),
        programs::SYSVAR_STAKE_HISTORY => StakeHistory::decode(data).is_some(),
        programs::SYSVAR_LAST_RESTART_SLOT => LastRestartSlot::decode(data).is_some(),
        programs::SYSVAR_EPOCH_REWARDS => EpochRewards::decode(data).is_some(),
        _ => parse(&account(address, &programs::SYSVAR, data)).is_some(),
    }
}

/// Accounts by what they decode to; panics for one that must decode and does not.
fn count(state: &State) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (pubkey, (_, stored)) in state.iter().filter(|(_, (_, stored))| stored.lamports > 0) {
        let data = &stored.data[..];
        match stored.owner {
            programs::SYSVAR => assert!(sysvar_decodes(pubkey, data), "sysvar {pubkey}"),
            programs::STAKE => assert!(StakeState::decode(data).is_some(), "stake {pubkey}"),
            programs::VOTE => assert!(VoteState::decode(data).is_some(), "vote {pubkey}"),
            _ => {}
        }
        if let Some(parsed) = parse(&account(pubkey, &stored.owner, data)) {
            serde_json::to_string(&parsed).expect("it serializes");
            let name = format!("{} {}", parsed.program, parsed.kind);
            *counts.entry(name).or_default() += 1;
        }
    }
    counts
}

fn data_of<'a>(state: &'a State, address: &Pubkey) -> &'a [u8] {
    &state.get(address).expect("the archive has this sysvar").1.data
}

/// The sysvars against an archive's truth.
fn agrees_with_truth(state: &State, truth: &Value) {
    let number = |name: &str| truth[name].as_u64().expect("a number");
    let text = |name: &str| truth[name].as_str().expect("a string").to_owned();
    let slot = number("slot");
    let clock = Clock::decode(data_of(state, &programs::SYSVAR_CLOCK)).expect("decodes");
    assert_eq!((clock.slot, clock.epoch), (slot, number("epoch")));
    let schedule =
        epoch_schedule(data_of(state, &programs::SYSVAR_EPOCH_SCHEDULE)).expect("decodes");
    assert_eq!(schedule.epoch_of(slot), clock.epoch);
    assert_eq!(schedule.leader_schedule_epoch(slot), clock.leader_schedule_epoch);
    let history =
        SlotHistory::decode(data_of(state, &programs::SYSVAR_SLOT_HISTORY)).expect("decodes");
    assert_eq!(history.newest_slot(), slot);
    let hashes =
        SlotHashes::decode(data_of(state, &programs::SYSVAR_SLOT_HASHES)).expect("decodes");
    let (parent_slot, parent_hash) = hashes.newest().expect("there is a parent");
    assert_eq!(
        (parent_slot, parent_hash.to_string()),
        (number("parent_slot"), text("parent_hash"))
    );
    // Both lists tell the ancestors, one by hash and one by bit.
    let mut ancestors: Vec<Slot> = history.iter().take(hashes.len() + 1).collect();
    assert_eq!(ancestors.remove(0), slot);
    assert!(hashes.iter().map(|(slot, _)| slot).eq(ancestors));
    let recent = RecentBlockhashes::decode(data_of(state, &programs::SYSVAR_RECENT_BLOCKHASHES));
    let (newest, _) = recent.expect("decodes").newest().expect("there is one");
    assert_eq!(newest.to_string(), text("last_blockhash"));
    let stakes =
        StakeHistory::decode(data_of(state, &programs::SYSVAR_STAKE_HISTORY)).expect("decodes");
    assert_eq!(stakes.newest().map(|entry| entry.epoch), clock.epoch.checked_sub(1));
}

#[test]
fn the_bundled_archives_decode_and_agree_with_their_truth() {
    let directory = workspace().join("testdata/tiny");
    let archives = archives_in(&directory);
    let named = |prefix: &str| {
        let starts = |path: &&PathBuf| {
            let name = path.file_name().expect("a file").to_string_lossy();
            name.starts_with(prefix)
        };
        archives.iter().find(starts).expect("it is bundled")
    };
    let truth = |name: &str| -> Value {
        let text = std::fs::read(directory.join(name)).expect("it is bundled");
        serde_json::from_slice(&text).expect("JSON")
    };
    let mut state = read_archive(named("snapshot-46-"));
    let full = truth("truth-full-46.json");
    agrees_with_truth(&state, &full);
    let counts = count(&state);
    let expected = [
        ("config stakeConfig", 1),
        ("feature feature", 284),
        ("nonce initialized", 6),
        ("spl-token account", 72),
        ("spl-token mint", 1),
        ("stake delegated", 3),
        ("sysvar clock", 1),
        ("sysvar epochRewards", 1),
        ("sysvar epochSchedule", 1),
        ("sysvar lastRestartSlot", 1),
        ("sysvar recentBlockhashes", 1),
        ("sysvar rent", 1),
        ("sysvar slotHashes", 1),
        ("sysvar slotHistory", 1),
        ("sysvar stakeHistory", 1),
        ("vote vote", 3),
    ];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(counts, BTreeMap::from(expected));
    for (_, stored) in state.values().filter(|(_, stored)| stored.owner == programs::VOTE) {
        let vote = VoteState::decode(&stored.data).expect("decodes");
        assert_eq!(vote.version(), VoteVersion::V4);
        assert!(vote.authorized_voter_for(1).is_some());
    }

    for (pubkey, newer) in read_archive(named("incremental-snapshot-46-62-")) {
        state.insert(pubkey, newer);
    }
    agrees_with_truth(&state, &truth("truth-incremental-62.json"));
    count(&state);
}

#[test]
fn the_shared_archives_decode() {
    let data = shared().join("data");
    let directories = [
        "small",
        "old-2.3-lattice",
        "old-2.3-merkle",
        "feed-tiny/base",
        "feed-tiny/end",
        "feed-small/base",
        "feed-small/end",
        "golden",
        "legacy",
    ];
    let mut versions = BTreeMap::<VoteVersion, u64>::new();
    for directory in directories {
        let archives = archives_in(&data.join(directory));
        if archives.is_empty() {
            eprintln!("skipped: no archives in {}", data.join(directory).display());
        }
        for path in archives {
            let state = read_archive(&path);
            let counts = count(&state);
            assert!(counts.contains_key("sysvar slotHistory"), "{}", path.display());
            for (_, stored) in state.values().filter(|(_, stored)| stored.owner == programs::VOTE) {
                let vote = VoteState::decode(&stored.data).expect("counted, so it decodes");
                *versions.entry(vote.version()).or_default() += 1;
            }
        }
    }
    eprintln!("vote states by layout: {versions:?}");
}

#[test]
fn the_accounts_of_a_testnet_block_decode() {
    let path = shared().join("data/testnet-manifest/accounts-417955321.json.gz");
    let output = Command::new("gzip").arg("-dc").arg(&path).output();
    let json = match output {
        Ok(output) if output.status.success() => output.stdout,
        _ => {
            eprintln!("skipped: {} cannot be read", path.display());
            return;
        }
    };
    let rows: Vec<Value> = serde_json::from_slice(&json).expect("JSON");
    let mut state = State::new();
    for row in rows {
        let key = |name: &str| row[name].as_str().expect("a string").parse().expect("base58");
        let data = row["data"].as_array().expect("a list").iter();
        let byte = |value: &Value| value.as_u64().and_then(|byte| u8::try_from(byte).ok());
        let stored = Account {
            lamports: row["lamports"].as_u64().expect("a number"),
            data: data.map(|value| byte(value).expect("a byte")).collect(),
            owner: key("owner"),
            executable: false,
            rent_epoch: 0,
        };
        state.insert(key("pubkey"), (row["slot"].as_u64().expect("a number"), stored));
    }
    let counts = count(&state);
    assert_eq!(counts["vote vote"], 417);
    let clock = Clock::decode(data_of(&state, &programs::SYSVAR_CLOCK)).expect("decodes");
    let history =
        SlotHistory::decode(data_of(&state, &programs::SYSVAR_SLOT_HISTORY)).expect("decodes");
    let hashes =
        SlotHashes::decode(data_of(&state, &programs::SYSVAR_SLOT_HASHES)).expect("decodes");
    assert!(clock.slot >= 417_955_321);
    assert_eq!(history.newest_slot(), clock.slot);
    assert_eq!(hashes.len(), 512);
    let ancestors: Vec<Slot> = history.iter().skip(1).take(512).collect();
    assert!(hashes.iter().map(|(slot, _)| slot).eq(ancestors));
    let mut voted = 0;
    for (_, stored) in state.values().filter(|(_, stored)| stored.owner == programs::VOTE) {
        let vote = VoteState::decode(&stored.data).expect("decodes");
        let tower: Vec<Slot> = vote.votes().map(|vote| vote.slot).collect();
        assert!(tower.is_sorted() && tower.len() <= 31);
        voted += u64::from(tower.last().is_some_and(|slot| history.contains(*slot)));
    }
    assert!(voted > 300, "validators vote for ancestors: {voted}");
}
