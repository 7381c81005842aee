//! The state that archives hold, recomputed the plain and slow way, and written into manifests and
//! names: so that an edit fails the one check that it is meant to fail.

use std::collections::{BTreeMap, HashSet};

use icecore_hash::account_lattice_hash;
use icecore_types::{Hash, LatticeHash, Pubkey, Slot};
use sha2::{Digest, Sha256};

use super::{Form, data, storage};

/// The newest version of every account: its slot and its record's bytes.
pub(crate) type State = BTreeMap<Pubkey, (Slot, Vec<u8>)>;

/// A full archive and perhaps an incremental one, to be edited together.
#[derive(Debug, Clone)]
pub(crate) struct Forms {
    pub(crate) full: Form,
    pub(crate) incremental: Option<Form>,
}

/// The state at the last archive's slot, tombstones left out.
pub(crate) fn state_of(full: &Form, incremental: Option<&Form>) -> State {
    let slots_of = |form: &Form| -> HashSet<Slot> {
        form.members.iter().filter_map(|member| member.storage()).map(|(slot, _)| slot).collect()
    };
    let replaced = incremental.map(slots_of).unwrap_or_default();
    let mut state = State::new();
    for (form, replaced) in [(Some(full), replaced), (incremental, HashSet::new())] {
        let Some(form) = form else { continue };
        for record in storage::records(form) {
            if replaced.contains(&record.slot) {
                continue;
            }
            let newest = state.entry(record.pubkey).or_default();
            if newest.1.is_empty() || newest.0 <= record.slot {
                *newest = (record.slot, record.bytes(form).to_vec());
            }
        }
    }
    state.retain(|_, (_, record)| storage::number(record, storage::field::LAMPORTS) > 0);
    state
}

/// Writes the state into an archive's manifest and name.
fn rehash(state: &State, form: &mut Form) {
    let mut lattice = LatticeHash::default();
    let mut lamports = 0u64;
    for (_, record) in state.values() {
        storage::with_account(record, |account| {
            lattice.mix_in(&account_lattice_hash(account));
            lamports += account.lamports;
        });
    }
    form.edit_manifest(|manifest| {
        manifest.bank.scalars.capitalization = lamports;
        manifest.extra.accounts_lt_hash = Some(lattice);
    });
    seal(form);
}

/// Makes bank hash and name those of what the manifest states.
pub(crate) fn seal(form: &mut Form) {
    let manifest = form.manifest();
    let bank = &manifest.bank;
    assert!(
        bank.hard_forks.iter().all(|fork| fork.slot > bank.scalars.slot),
        "hard forks are not hashed here"
    );
    let lattice = manifest.extra.accounts_lt_hash.as_ref().expect("stated").to_bytes();
    let first = Sha256::new()
        .chain_update(bank.hashes.parent_hash.0)
        .chain_update(bank.scalars.signature_count.to_le_bytes())
        .chain_update(bank.blockhash_queue.head.last_hash.unwrap_or_default().0)
        .finalize();
    let second = Sha256::new().chain_update(first).chain_update(&lattice[..]);
    let bank_hash = Hash(second.finalize().into());
    form.edit_manifest(|manifest| manifest.bank.hashes.hash = bank_hash);
    form.hash = Hash(*blake3::hash(&lattice[..]).as_bytes());
}

impl Forms {
    /// The bundled full archive.
    pub(crate) fn full() -> Self {
        Self { full: Form::read(&data::tiny_full()), incremental: None }
    }

    /// The bundled pair.
    pub(crate) fn pair() -> Self {
        Self {
            full: Form::read(&data::tiny_full()),
            incremental: Some(Form::read(&data::tiny_incremental())),
        }
    }

    /// The archive whose verdict counts.
    pub(crate) fn last(&mut self) -> &mut Form {
        self.incremental.as_mut().unwrap_or(&mut self.full)
    }

    /// The incremental archive of a pair.
    pub(crate) fn above(&mut self) -> &mut Form {
        self.incremental.as_mut().expect("a pair")
    }

    /// Makes storages lists, lattice hashes, capitalizations, bank hashes and names those of the
    /// accounts as they now are.
    pub(crate) fn rehash(&mut self) {
        self.full.relist();
        rehash(&state_of(&self.full, None), &mut self.full);
        if let Some(incremental) = &mut self.incremental {
            incremental.relist();
            rehash(&state_of(&self.full, Some(incremental)), incremental);
        }
    }

    /// Edits the newest record of a key in the last archive that has it, hashes apart.
    pub(crate) fn edit_record(&mut self, pubkey: &Pubkey, edit: impl FnOnce(&mut [u8])) {
        let form = self.last();
        let at = storage::record(form, pubkey);
        edit(at.bytes_mut(form));
    }
}
