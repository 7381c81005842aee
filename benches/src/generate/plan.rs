//! One archive from its layer of account versions and its template.
//!
//! 1. A first pass over all versions gives the length of each storage and the sums over the state.
//! 2. The manifest states them, and the hashes that follow.
//! 3. A second pass makes the versions again and writes them.

use std::path::Path;

use icecore_archive::{
    manifest::{Manifest, Storage},
    members::VERSION,
    names::{ArchiveName, Compression},
    status_cache::StatusCache,
};
use icecore_disk::Output;
use icecore_hash::{BankHashParts, BankHashScheme, bank_hash};
use icecore_types::{
    Account, AccountRef, Hash, Pubkey, RECORD_ALIGN, RECORD_HEADER_BYTES, RecordHeader, Slot,
};
use zerocopy::IntoBytes;

use super::{
    content::{Content, Draft},
    grown::Grown,
    layer::{HOT, Layer, Version},
    pack::{Frames, Kind, Pack},
    state::State,
};
use crate::Failure;

/// An archive that was made.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) tar_bytes: u64,
    pub(crate) manifest_bytes: u64,
    pub(crate) storages: u64,
    pub(crate) records: u64,
    pub(crate) older_versions: u64,
    pub(crate) tombstones: u64,
    /// Of the full archive, or of the pair.
    pub(crate) state: State,
}

/// What one archive is to hold.
pub(super) struct Plan<'a> {
    pub(super) layer: &'a Layer,
    pub(super) content: &'a Content,
    /// What else stands in the last storage.
    pub(super) last: &'a [(Pubkey, Account)],
    /// For an incremental archive: the full one.
    pub(super) below: Option<&'a Layer>,
}

impl Plan<'_> {
    /// Makes the archive; `state` is that on which it builds, without the template's accounts.
    pub(super) fn make(
        &self,
        folder: &Path,
        frames: Frames,
        mut manifest: Manifest,
        status_cache: &StatusCache,
        state: State,
    ) -> Result<Made, Failure> {
        let mut made = Made {
            name: String::new(),
            tar_bytes: 0,
            manifest_bytes: 0,
            storages: 0,
            records: 0,
            older_versions: 0,
            tombstones: 0,
            state,
        };
        let storages = self.survey(&mut made);
        manifest.accounts_db.storages.clear();
        let mut grown =
            Grown { manifest: &mut manifest, content: self.content, storages: &storages };
        grown.set_leader()?;
        seal(grown.manifest, &made.state)?;
        let slot = self.layer.last_slot();
        let hash = icecore_hash::lattice_checksum(&made.state.lattice);
        let compression = Compression::Zstd;
        made.name = match self.below.map(Layer::last_slot) {
            Some(base) => ArchiveName::Incremental { base, slot, hash, compression }.to_string(),
            None => ArchiveName::Full { slot, hash, compression }.to_string(),
        };

        let mut pack = Pack::new(Output::create(folder.join(&made.name))?, frames)?;
        pack.file("version", VERSION.as_bytes())?;
        pack.member("snapshots/", Kind::Folder, 0)?;
        pack.file("snapshots/status_cache", &status_cache.encode())?;
        pack.member(&format!("snapshots/{slot}/"), Kind::Folder, 0)?;
        made.manifest_bytes = grown.bytes();
        pack.member(&format!("snapshots/{slot}/{slot}"), Kind::File, made.manifest_bytes)?;
        let mut written = Ok(());
        let mut buffer = Vec::new();
        grown.items(&mut |item| {
            buffer.clear();
            item.encode(&mut buffer);
            if written.is_ok() {
                written = pack.write(&buffer);
            }
        });
        written?;
        pack.end_member()?;
        for (slot, storage) in &storages {
            self.write_storage(*slot, storage, &mut pack)?;
        }
        made.tar_bytes = pack.finish()?;
        Ok(made)
    }

    /// Gives the records of a storage in order.
    fn records(&self, storage: u64, mut visit: impl FnMut(Option<&Version>, &AccountRef<'_>)) {
        let mut draft = Draft::default();
        self.layer.versions(storage, self.content, |version| {
            self.content.write(&version, &mut draft);
            visit(Some(&version), &draft.borrowed());
        });
        if storage == self.layer.storages - 1 {
            for (pubkey, account) in self.last {
                visit(None, &account.borrowed(pubkey));
            }
        }
    }

    /// The first pass: counts, sums, and the list of the storages in the archive's order. One that
    /// would be empty is left out.
    fn survey(&self, made: &mut Made) -> Vec<(Slot, Storage)> {
        let layer = self.layer;
        let mut storages = Vec::new();
        let mut older = Draft::default();
        for place in 0..layer.storages {
            let storage = layer.storage_at(place);
            let mut bytes = 0u64;
            self.records(storage, |version, account| {
                bytes = bytes.next_multiple_of(RECORD_ALIGN)
                    + (RECORD_HEADER_BYTES + account.data.len()) as u64;
                made.records += 1;
                made.tombstones += u64::from(account.is_tombstone());
                if version.is_some_and(|version| !version.is_newest) {
                    made.older_versions += 1;
                    return;
                }
                if let (Some(version), Some(below)) = (version, self.below)
                    && (version.index < below.entries || version.index == HOT)
                {
                    self.content.write(&below.newest(version.index, self.content), &mut older);
                    made.state.remove(&older.borrowed());
                }
                made.state.add(account);
            });
            if bytes > 0 {
                let id = layer.first_id + storage;
                storages.push((
                    layer.first_slot + storage,
                    Storage { id, accounts_current_len: bytes },
                ));
            }
        }
        made.storages = storages.len() as u64;
        storages
    }

    /// The second pass, for one storage.
    fn write_storage(&self, slot: Slot, storage: &Storage, pack: &mut Pack) -> Result<(), Failure> {
        let path = format!("accounts/{slot}.{}", storage.id);
        pack.member(&path, Kind::File, storage.accounts_current_len)?;
        let mut written = Ok(());
        let mut bytes = 0u64;
        self.records(slot - self.layer.first_slot, |_, account| {
            let padding = bytes.next_multiple_of(RECORD_ALIGN) - bytes;
            bytes += padding + (RECORD_HEADER_BYTES + account.data.len()) as u64;
            let zeros = [0; RECORD_ALIGN as usize];
            let header = header_of(account);
            for piece in [&zeros[..padding as usize], header.as_bytes(), account.data] {
                if written.is_ok() {
                    written = pack.write(piece);
                }
            }
        });
        written?;
        assert_eq!(bytes, storage.accounts_current_len, "both passes make the same");
        pack.end_member()
    }
}

fn header_of(account: &AccountRef<'_>) -> RecordHeader {
    RecordHeader {
        write_version: 0.into(),
        data_len: (account.data.len() as u64).into(),
        pubkey: *account.pubkey,
        lamports: account.lamports.into(),
        rent_epoch: account.rent_epoch.into(),
        owner: *account.owner,
        executable: u8::from(account.executable),
        padding: [0; 7],
        hash: Hash::default(),
    }
}

/// Makes a manifest state a state, and the bank hash that follows from it.
fn seal(manifest: &mut icecore_archive::manifest::Manifest, state: &State) -> Result<(), Failure> {
    let bank = &mut manifest.bank;
    bank.scalars.capitalization = state.lamports;
    manifest.extra.accounts_lt_hash = Some(state.lattice.clone());
    let hard_forks: Vec<_> = bank.hard_forks.iter().map(|fork| (fork.slot, fork.count)).collect();
    let parts = BankHashParts {
        parent_hash: bank.hashes.parent_hash,
        signature_count: bank.scalars.signature_count,
        last_blockhash: bank.blockhash_queue.head.last_hash.unwrap_or_default(),
        lattice: Some(&state.lattice),
        accounts_delta_hash: None,
        epoch_accounts_hash: None,
        hard_forks: &hard_forks,
        parent_slot: bank.hashes.parent_slot,
        slot: bank.scalars.slot,
    };
    bank.hashes.hash = bank_hash(&parts, BankHashScheme::Lattice)?;
    Ok(())
}
