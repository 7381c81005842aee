//! The shared sets of slot feeds: where they lie, and what is in them.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use icecore_types::{Account, Pubkey, Record, Slot};
use zstd_safe::{DCtx, InBuffer, OutBuffer};

use super::model::Base;

/// A folder of the data shared by all checkouts, if this machine has it.
pub fn shared(folder: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("ICECORE_SHARED") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let path = root.join("data").join(folder);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

/// The sets of feeds that are there.
pub fn feed_sets() -> Vec<PathBuf> {
    ["feed-tiny", "feed-small"].into_iter().filter_map(shared).collect()
}

/// The content of a file, decompressed if its name says so.
pub fn content(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    match path.extension().is_some_and(|extension| extension == "zst") {
        true => decompressed(&bytes),
        false => bytes,
    }
}

fn decompressed(bytes: &[u8]) -> Vec<u8> {
    let mut context = DCtx::create();
    let mut content = Vec::new();
    let mut buffer = vec![0; 1 << 17];
    let mut input = InBuffer::around(bytes);
    loop {
        let mut output = OutBuffer::around(&mut buffer[..]);
        context.decompress_stream(&mut output, &mut input).expect("sound");
        let length = output.pos();
        content.extend_from_slice(&buffer[..length]);
        if input.pos() == bytes.len() && length < buffer.len() {
            return content;
        }
    }
}

/// The feed of a set.
pub fn feed(set: &Path) -> Vec<u8> {
    content(&set.join("slots.feed.zst"))
}

/// The state on which a set's feed begins, without its bank hash.
pub fn base(set: &Path) -> Base {
    let archive = fs::read_dir(set.join("base"))
        .expect("the set has a base")
        .map(|entry| entry.expect("readable").path())
        .find(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snapshot-"))
        })
        .expect("a full archive");
    let name = archive.file_name().expect("a file").to_string_lossy().into_owned();
    let slot = name.split('-').nth(1).and_then(|slot| slot.parse().ok()).expect("a slot");
    Base { slot, accounts: live_accounts(&content(&archive)), ..Base::default() }
}

/// The live accounts of a full archive's tar stream, with the slots in which they were written.
fn live_accounts(tar: &[u8]) -> BTreeMap<Pubkey, (Slot, Account)> {
    let mut newest: BTreeMap<Pubkey, (Slot, Account)> = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().expect("a tar stream") {
        let mut entry = entry.expect("a member");
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        let Some(storage) = path.strip_prefix("accounts/") else { continue };
        let Some(slot) = storage.split('.').next().and_then(|slot| slot.parse().ok()) else {
            continue;
        };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("a storage");
        let mut at = 0;
        while let Some(record) = bytes.get(at..).and_then(Record::parse) {
            let (pubkey, account) = record.account().to_owned();
            at += usize::try_from(record.header.stored_bytes().expect("sound")).expect("small");
            let older = newest.get(&pubkey).is_none_or(|(there, _)| *there <= slot);
            if older {
                newest.insert(pubkey, (slot, account));
            }
        }
    }
    newest.retain(|_, (_, account)| account.lamports > 0);
    newest
}
