//! What tests of the store share: states made of plain accounts, and slots with true statements.

#![allow(dead_code, reason = "each test binary uses its part of it")]

pub(crate) mod checks;
pub(crate) mod model;
pub(crate) mod places;
pub(crate) mod world;

use std::{collections::BTreeMap, sync::Arc};

use icecore_disk::{Disk, SimulatedDisk};
use icecore_hash::{BankHashParts, BankHashScheme, account_lattice_hash, bank_hash};
use icecore_store::{
    Adopted, BankFields, BaseFacts, CreateOptions, Error, Locator, OpenSlot, Options, Pending,
    SlotId, SlotStatement, StateTotals, Store,
    run::{BY_OWNER, BY_PUBKEY, Row},
};
use icecore_types::{Account, EpochSchedule, Hash, Pubkey, Slot};

/// Accounts by address; closed ones are not in it.
pub(crate) type Accounts = BTreeMap<Pubkey, Account>;

/// A key made of a number; neighbours are far apart.
pub(crate) fn key(number: u64) -> Pubkey {
    let mut bytes = [0; 32];
    for (place, chunk) in bytes.chunks_mut(8).enumerate() {
        let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(13 * place as u32);
        chunk.copy_from_slice(&mixed.to_le_bytes());
    }
    Pubkey(bytes)
}

/// An account with some content.
pub(crate) fn account(lamports: u64, owner: u64, data_len: usize) -> Account {
    Account {
        lamports,
        data: (0..data_len).map(|at| (at as u64 ^ lamports) as u8).collect(),
        owner: key(1_000_000 + owner),
        executable: lamports % 7 == 3,
        rent_epoch: u64::MAX - lamports,
    }
}

/// The account that closes another.
pub(crate) fn closed() -> Account {
    Account::default()
}

/// What accounts add up to.
pub(crate) fn totals(accounts: &Accounts) -> StateTotals {
    let mut totals = StateTotals::default();
    for (pubkey, account) in accounts {
        totals.lattice.mix_in(&account_lattice_hash(&account.borrowed(pubkey)));
        totals.capitalization += account.lamports;
        totals.num_accounts += 1;
        totals.total_data_len += account.data.len() as u64;
    }
    totals
}

/// A folder of simulated disks.
pub(crate) const FOLDER: &str = "/store";

/// Options without threads.
pub(crate) fn quiet() -> Options {
    Options {
        journal: icecore_journal::Options {
            background: false,
            reserve_bytes: 0,
            segment_bytes_max: 1 << 20,
            data_segment_bytes_max: 1 << 20,
            stream_heads_max: 1 << 10,
            ..icecore_journal::Options::default()
        },
        background: false,
        ..Options::default()
    }
}

/// A new store on a simulated disk.
pub(crate) fn store_on(disk: &SimulatedDisk, options: Options) -> Result<Store, Error> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Store::create_on(disk, FOLDER, &CreateOptions::default(), options)
}

/// Opens the store again.
pub(crate) fn reopen(disk: &SimulatedDisk, options: Options) -> Result<Store, Error> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Store::open_on(disk, FOLDER, options)
}

/// The bank hash that tests say a base point has.
pub(crate) fn base_bank_hash(slot: Slot) -> Hash {
    Hash([slot as u8; 32])
}

/// Restores a state as a base point.
pub(crate) fn restore(store: &Store, slot: Slot, accounts: &Accounts) -> Result<SlotId, Error> {
    restore_written(store, slot, accounts, |pubkey| model::last_written(slot, pubkey))
}

/// The same, of accounts whose storages are of these slots.
pub(crate) fn restore_written(
    store: &Store,
    slot: Slot,
    accounts: &Accounts,
    written: impl Fn(&Pubkey) -> Slot,
) -> Result<SlotId, Error> {
    let mut restoring = store.begin_restore(slot)?;
    let mut writer = restoring.writers(1, 0)?.remove(0);
    let mut locators: Vec<(Pubkey, Pubkey, Locator)> = Vec::new();
    for (pubkey, account) in accounts {
        let locator = writer.write(&account.borrowed(pubkey), written(pubkey))?;
        locators.push((*pubkey, account.owner, locator));
    }
    let records = vec![writer.finish()?];
    let mut by_pubkey = restoring.run::<BY_PUBKEY>()?;
    for (pubkey, _, locator) in &locators {
        by_pubkey.push(&Row { key: pubkey.0, slot, locator: *locator })?;
    }
    let by_pubkey = by_pubkey.finish([])?;
    locators.sort_unstable_by_key(|(pubkey, owner, _)| (*owner, *pubkey));
    let mut by_owner = restoring.run::<BY_OWNER>()?;
    for (pubkey, owner, locator) in &locators {
        let mut key = [0; 64];
        key[..32].copy_from_slice(&owner.0);
        key[32..].copy_from_slice(&pubkey.0);
        by_owner.push(&Row { key, slot, locator: *locator })?;
    }
    let by_owner = Some(by_owner.finish([])?);
    let content = |bytes: &[u8]| -> Result<_, Error> {
        let mut writer = restoring.content()?;
        writer.write(bytes)?;
        writer.finish()
    };
    let (manifest, status_cache) = (content(b"manifest")?, content(b"status cache")?);
    let facts = BaseFacts {
        bank: BankFields {
            slot,
            parent_slot: slot.saturating_sub(1),
            bank_hash: base_bank_hash(slot),
            ..BankFields::default()
        },
        totals: totals(accounts),
        epoch_schedule: EpochSchedule {
            slots_per_epoch: 432_000,
            leader_schedule_slot_offset: 432_000,
            warmup: false,
            first_normal_epoch: 0,
            first_normal_slot: 0,
        },
        hard_forks: Vec::new(),
        archives: vec![format!("snapshot-{slot}")],
        is_anchored: false,
    };
    let verdict = b"{}".to_vec();
    restoring.adopt(Adopted {
        facts,
        records,
        manifest,
        status_cache,
        verdict,
        by_pubkey,
        by_owner,
    })
}

/// What a slot states that ends with these totals.
pub(crate) fn statement(
    store: &Store,
    open: &OpenSlot,
    parent: SlotId,
    totals: &StateTotals,
    accounts_written: u64,
) -> SlotStatement {
    statement_of(store, open, parent, totals, accounts_written, Hash([open.id().0 as u8; 32]))
}

/// The same, of a slot with this last blockhash.
pub(crate) fn statement_of(
    store: &Store,
    open: &OpenSlot,
    parent: SlotId,
    totals: &StateTotals,
    accounts_written: u64,
    last_blockhash: Hash,
) -> SlotStatement {
    let parent = store.slot(parent).expect("the parent is known");
    let signature_count = open.number() % 11;
    let parts = BankHashParts {
        parent_hash: parent.bank.bank_hash,
        signature_count,
        last_blockhash,
        lattice: Some(&totals.lattice),
        accounts_delta_hash: None,
        epoch_accounts_hash: None,
        hard_forks: &[],
        parent_slot: parent.number,
        slot: open.number(),
    };
    SlotStatement {
        bank: BankFields {
            slot: open.number(),
            parent_slot: parent.number,
            bank_hash: bank_hash(&parts, BankHashScheme::Lattice).expect("all parts"),
            parent_bank_hash: parent.bank.bank_hash,
            last_blockhash,
            signature_count,
            transaction_count: open.number() * 3,
            block_height: open.number() / 2,
        },
        lattice: totals.lattice.clone(),
        capitalization: totals.capitalization,
        accounts_written,
    }
}

/// Writes a slot with true statements; `state` is what its parent ends with, and then what it ends
/// with.
pub(crate) fn write_slot(
    store: &Store,
    number: Slot,
    parent: SlotId,
    state: &mut Accounts,
    writes: &Accounts,
) -> Result<Pending, Error> {
    let mut open = store.begin_slot(number, parent)?;
    for (pubkey, account) in writes {
        open.write(&account.borrowed(pubkey))?;
        match account.lamports {
            0 => drop(state.remove(pubkey)),
            _ => drop(state.insert(*pubkey, account.clone())),
        }
    }
    let stated = statement(store, &open, parent, &totals(state), writes.len() as u64);
    open.commit(&stated)
}
