//! A store of generated accounts: their keys are pseudo-random, a third belong to one owner, data is 0
//! to 400 bytes.

use std::path::Path;

use icecore_hash::{BankHashParts, BankHashScheme, Kernel, LatticeSum, bank_hash};
use icecore_store::{
    Adopted, BankFields, BaseFacts, CreateOptions, Options, SlotId, SlotStatement, StateTotals,
    Store,
    run::{BY_OWNER, BY_PUBKEY, Row},
};
use icecore_types::{AccountRef, EpochSchedule, Hash, Pubkey, Slot};

use super::next;
use crate::Failure;

/// Owners that there are; the last one has a third of all accounts.
pub(super) const OWNERS: u64 = 1000;

/// The slot of the base point.
const BASE: Slot = 1000;

/// Of so many accounts one is written in each window.
const WRITTEN_ONE_OF: u64 = 16;

/// Accounts of a slot.
const SLOT_ACCOUNTS: u64 = 5000;

fn bytes32(number: u64, salt: u64) -> [u8; 32] {
    let mut state = number ^ salt;
    let mut bytes = [0; 32];
    for chunk in bytes.as_chunks_mut::<8>().0 {
        *chunk = next(&mut state).to_le_bytes();
    }
    bytes
}

/// The address of an account.
pub(super) fn key(number: u64) -> Pubkey {
    Pubkey(bytes32(number, 0x1111_2222_3333_4444))
}

/// An owner.
pub(super) fn owner(number: u64) -> Pubkey {
    Pubkey(bytes32(number, 0x5555_6666_7777_8888))
}

fn owner_of(number: u64) -> Pubkey {
    match number % 3 {
        0 => owner(OWNERS - 1),
        _ => owner(number / 3 % (OWNERS - 1)),
    }
}

fn account<'a>(
    version: u64,
    number: u64,
    keys: &'a (Pubkey, Pubkey),
    data: &'a [u8],
) -> AccountRef<'a> {
    let length = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % 400;
    AccountRef {
        pubkey: &keys.0,
        lamports: 1 + number + version,
        owner: &keys.1,
        executable: false,
        rent_epoch: u64::MAX,
        data: &data[..length],
    }
}

/// Makes the store.
pub(super) fn fill(folder: &Path, accounts: u64, windows: u64) -> Result<(), Failure> {
    let options = Options { flush_versions: u64::MAX, background: false, ..Options::default() };
    let store = Store::create(folder, &CreateOptions::default(), options)?;
    let data: Vec<u8> = (0..400u32).map(|at| at as u8).collect();
    let (mut parent, mut totals) = base(&store, accounts, &data)?;
    let kernel = Kernel::chosen()?;
    for window in 1..=windows {
        let mut written =
            (0..accounts).filter(|number| number % WRITTEN_ONE_OF == window % WRITTEN_ONE_OF);
        for slot in 0..(accounts / WRITTEN_ONE_OF).div_ceil(SLOT_ACCOUNTS) {
            let number = BASE + window * 10_000 + slot;
            let mut open = store.begin_slot(number, parent)?;
            let (mut added, mut removed) = (LatticeSum::new(kernel), LatticeSum::new(kernel));
            let mut count = 0;
            for account_number in written.by_ref().take(SLOT_ACCOUNTS as usize) {
                let keys = (key(account_number), owner_of(account_number));
                // Each account comes in one window of all.
                let (old, new) = (
                    account(0, account_number, &keys, &data),
                    account(window, account_number, &keys, &data),
                );
                added.add(&[new]);
                removed.add(&[old]);
                totals.capitalization += window;
                open.write(&new)?;
                count += 1;
            }
            totals.lattice.mix_in(&added.finish());
            totals.lattice.mix_out(&removed.finish());
            let stated = statement(&store, number, parent, &totals, count)?;
            let committed = open.commit(&stated)?;
            committed.wait()?;
            parent = committed.id();
            store.root(parent)?.wait()?;
        }
        store.flush()?;
    }
    Ok(store.close()?)
}

fn statement(
    store: &Store,
    number: Slot,
    parent: SlotId,
    totals: &StateTotals,
    accounts_written: u64,
) -> Result<SlotStatement, Failure> {
    let parent = store.slot(parent).ok_or("the parent is known")?;
    let parts = BankHashParts {
        parent_hash: parent.bank.bank_hash,
        signature_count: 0,
        last_blockhash: Hash::default(),
        lattice: Some(&totals.lattice),
        accounts_delta_hash: None,
        epoch_accounts_hash: None,
        hard_forks: &[],
        parent_slot: parent.number,
        slot: number,
    };
    let bank = BankFields {
        slot: number,
        parent_slot: parent.number,
        bank_hash: bank_hash(&parts, BankHashScheme::Lattice)?,
        parent_bank_hash: parent.bank.bank_hash,
        ..BankFields::default()
    };
    let (lattice, capitalization) = (totals.lattice.clone(), totals.capitalization);
    Ok(SlotStatement { bank, lattice, capitalization, accounts_written })
}

fn base(store: &Store, accounts: u64, data: &[u8]) -> Result<(SlotId, StateTotals), Failure> {
    let mut restoring = store.begin_restore(BASE)?;
    let mut writer = restoring.writers(1, accounts * 400)?.remove(0);
    let mut sum = LatticeSum::new(Kernel::chosen()?);
    let mut totals = StateTotals { num_accounts: accounts, ..StateTotals::default() };
    let mut rows = Vec::with_capacity(usize::try_from(accounts)?);
    for number in 0..accounts {
        let keys = (key(number), owner_of(number));
        let account = account(0, number, &keys, data);
        sum.add(&[account]);
        totals.capitalization += account.lamports;
        totals.total_data_len += account.data.len() as u64;
        rows.push((keys.0, writer.write(&account, BASE)?, keys.1));
    }
    totals.lattice = sum.finish();
    let records = vec![writer.finish()?];
    rows.sort_unstable_by_key(|row| row.0);
    let mut by_pubkey = restoring.run::<BY_PUBKEY>()?;
    for (key, locator, _) in &rows {
        by_pubkey.push(&Row { key: key.0, slot: BASE, locator: *locator })?;
    }
    let by_pubkey = by_pubkey.finish([])?;
    rows.sort_unstable_by_key(|row| (row.2, row.0));
    let mut by_owner = restoring.run::<BY_OWNER>()?;
    for (pubkey, locator, owner) in &rows {
        let mut key = [0; 64];
        key[..32].copy_from_slice(&owner.0);
        key[32..].copy_from_slice(&pubkey.0);
        by_owner.push(&Row { key, slot: BASE, locator: *locator })?;
    }
    let by_owner = Some(by_owner.finish([])?);
    let (mut manifest, mut status_cache) = (restoring.content()?, restoring.content()?);
    manifest.write(b"none")?;
    status_cache.write(b"none")?;
    let facts = BaseFacts {
        bank: BankFields { slot: BASE, ..BankFields::default() },
        totals: totals.clone(),
        epoch_schedule: EpochSchedule {
            slots_per_epoch: 432_000,
            leader_schedule_slot_offset: 432_000,
            warmup: false,
            first_normal_epoch: 0,
            first_normal_slot: 0,
        },
        hard_forks: Vec::new(),
        archives: Vec::new(),
        is_anchored: false,
    };
    let id = restoring.adopt(Adopted {
        facts,
        records,
        manifest: manifest.finish()?,
        status_cache: status_cache.finish()?,
        verdict: Vec::new(),
        by_pubkey,
        by_owner,
    })?;
    Ok((id, totals))
}
