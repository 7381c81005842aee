//! A store that grows slot by slot, each with a bank and a status cache that nobody understands, and what
//! makes files of its states that are no archives: for tests of when and where, not of what.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use icecore_archive::names::{ArchiveName, Compression};
use icecore_batch::{Composed, Error, Extent, service::Make};
use icecore_hash::{
    BankHashParts, BankHashScheme, account_lattice_hash, bank_hash, lattice_checksum,
};
use icecore_restore::Progress;
use icecore_store::{
    Adopted, Attachment, BankFields, BaseFacts, CreateOptions, Options, Retention, SlotId,
    SlotStatement, StateTotals, Store, View,
    run::{BY_OWNER, BY_PUBKEY, Row},
};
use icecore_types::{Account, EpochSchedule, Hash, Pubkey, Slot};
use tempfile::TempDir;

use crate::support::folder;

/// Bytes of a file that is made of a state.
pub(crate) const CONTENT_BYTES: usize = 300_000;

/// Slots of an epoch.
pub(crate) const EPOCH_SLOTS: u64 = 64;

/// Accounts of the base point.
const ACCOUNTS: u64 = 500;

/// A store that grows.
pub(crate) struct Grown {
    pub(crate) store: Store,
    _folder: TempDir,
    state: Mutex<(SlotId, Slot, BTreeMap<Pubkey, Account>)>,
}

fn key(number: u64) -> Pubkey {
    Pubkey(blake3::hash(&number.to_le_bytes()).into())
}

fn account(lamports: u64) -> Account {
    Account {
        lamports,
        data: vec![lamports as u8; lamports as usize % 200],
        owner: key(1 << 40),
        executable: false,
        rent_epoch: u64::MAX,
    }
}

fn totals(accounts: &BTreeMap<Pubkey, Account>) -> StateTotals {
    let mut totals = StateTotals::default();
    for (pubkey, account) in accounts {
        totals.lattice.mix_in(&account_lattice_hash(&account.borrowed(pubkey)));
        totals.capitalization += account.lamports;
        totals.num_accounts += 1;
        totals.total_data_len += account.data.len() as u64;
    }
    totals
}

impl Grown {
    /// With a base point at a slot, that states what is true.
    pub(crate) fn new(base: Slot) -> Self {
        Self::stating(base, |_| {})
    }

    /// That keeps so many slots of the past, and drops others soon.
    pub(crate) fn keeping(base: Slot, slots: u64) -> Self {
        let options =
            Options { retention: Retention::Slots(slots), flush_versions: 1, ..Options::default() };
        Self::with(base, options, |_| {})
    }

    /// With a base point that states something else.
    pub(crate) fn stating(base: Slot, change: impl FnOnce(&mut StateTotals)) -> Self {
        Self::with(base, Options::default(), change)
    }

    fn with(base: Slot, options: Options, change: impl FnOnce(&mut StateTotals)) -> Self {
        let folder = folder();
        let path = folder.path().join("store");
        let store = Store::create(path, &CreateOptions::default(), options);
        let store = store.expect("made");
        let accounts: BTreeMap<_, _> =
            (0..ACCOUNTS).map(|number| (key(number), account(number + 1))).collect();
        let mut stated = totals(&accounts);
        change(&mut stated);
        let id = restore(&store, base, &accounts, stated);
        Self { store, _folder: folder, state: Mutex::new((id, base, accounts)) }
    }

    pub(crate) fn root(&self) -> Slot {
        self.state.lock().expect("nobody panics while holding it").1
    }

    /// One slot on the root, which becomes final.
    pub(crate) fn grow(&self, number: Slot) {
        self.grow_with(number, true);
    }

    pub(crate) fn grow_with(&self, number: Slot, has_bank: bool) {
        let mut state = self.state.lock().expect("nobody panics while holding it");
        let (parent, _, accounts) = &mut *state;
        let mut open = self.store.begin_slot(number, *parent).expect("begun");
        for write in 0..3 {
            let pubkey = key((number * 3 + write) % ACCOUNTS);
            let new = account(number * 10 + write + 1);
            open.write(&new.borrowed(&pubkey)).expect("written");
            accounts.insert(pubkey, new);
        }
        if has_bank {
            for (what, bytes) in [(Attachment::Bank, b"bank"), (Attachment::StatusCache, b"seen")] {
                open.attach(what, bytes.len() as u64, bytes).expect("attached");
            }
        }
        let stated = statement(&self.store, number, *parent, &totals(accounts));
        let id = open.commit(&stated).expect("accepted").id();
        self.store.root(id).expect("rooted").wait().expect("durable");
        (state.0, state.1) = (id, number);
    }
}

fn statement(store: &Store, number: Slot, parent: SlotId, totals: &StateTotals) -> SlotStatement {
    let parent = store.slot(parent).expect("known");
    let parts = BankHashParts {
        parent_hash: parent.bank.bank_hash,
        signature_count: 1,
        last_blockhash: Hash([3; 32]),
        lattice: Some(&totals.lattice),
        accounts_delta_hash: None,
        epoch_accounts_hash: None,
        hard_forks: &[],
        parent_slot: parent.number,
        slot: number,
    };
    SlotStatement {
        bank: BankFields {
            slot: number,
            parent_slot: parent.number,
            bank_hash: bank_hash(&parts, BankHashScheme::Lattice).expect("all parts"),
            parent_bank_hash: parent.bank.bank_hash,
            last_blockhash: Hash([3; 32]),
            signature_count: 1,
            transaction_count: number,
            block_height: number,
        },
        lattice: totals.lattice.clone(),
        capitalization: totals.capitalization,
        accounts_written: 3,
    }
}

fn restore(
    store: &Store,
    slot: Slot,
    accounts: &BTreeMap<Pubkey, Account>,
    stated: StateTotals,
) -> SlotId {
    let mut restoring = store.begin_restore(slot).expect("begun");
    let mut writer = restoring.writers(1, 0).expect("one").remove(0);
    let mut rows = Vec::new();
    for (pubkey, account) in accounts {
        let locator = writer.write(&account.borrowed(pubkey), slot).expect("written");
        rows.push((*pubkey, account.owner, locator));
    }
    let records = vec![writer.finish().expect("whole")];
    let mut by_pubkey = restoring.run::<BY_PUBKEY>().expect("begun");
    for (pubkey, _, locator) in &rows {
        by_pubkey.push(&Row { key: pubkey.0, slot, locator: *locator }).expect("in order");
    }
    let by_pubkey = by_pubkey.finish([]).expect("whole");
    rows.sort_unstable_by_key(|(pubkey, owner, _)| (*owner, *pubkey));
    let mut by_owner = restoring.run::<BY_OWNER>().expect("begun");
    for (pubkey, owner, locator) in &rows {
        let mut key = [0; 64];
        key[..32].copy_from_slice(&owner.0);
        key[32..].copy_from_slice(&pubkey.0);
        by_owner.push(&Row { key, slot, locator: *locator }).expect("in order");
    }
    let by_owner = Some(by_owner.finish([]).expect("whole"));
    let content = |bytes: &[u8]| {
        let mut writer = restoring.content().expect("begun");
        writer.write(bytes).expect("written");
        writer.finish().expect("whole")
    };
    let (manifest, status_cache) = (content(b"manifest"), content(b"seen"));
    let facts = BaseFacts {
        bank: BankFields {
            slot,
            parent_slot: slot - 1,
            bank_hash: Hash([1; 32]),
            ..BankFields::default()
        },
        totals: stated,
        epoch_schedule: EpochSchedule {
            slots_per_epoch: EPOCH_SLOTS,
            leader_schedule_slot_offset: EPOCH_SLOTS,
            warmup: false,
            first_normal_epoch: 0,
            first_normal_slot: 0,
        },
        hard_forks: Vec::new(),
        archives: vec![format!("snapshot-{slot}")],
        is_anchored: false,
    };
    let verdict = b"{}".to_vec();
    let adopted = Adopted { facts, records, manifest, status_cache, verdict, by_pubkey, by_owner };
    restoring.adopt(adopted).expect("adopted")
}

/// What is in the file that is made of a slot.
pub(crate) fn content(name: &ArchiveName) -> Vec<u8> {
    let mut content = vec![0; CONTENT_BYTES];
    let mut hasher = blake3::Hasher::new();
    hasher.update(name.to_string().as_bytes()).finalize_xof().fill(&mut content);
    content
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Writing fails so after so many bytes.
    Write(io::ErrorKind, usize),
    /// What was written is found broken.
    Prove,
    /// It goes on until it is interrupted, or another fault is set: then it has written too much.
    Endless,
}

/// Makes files of states that are no archives, with faults.
pub(crate) struct Fake {
    fault: Mutex<Fault>,
    pub(crate) writes: AtomicU64,
}

impl Fake {
    pub(crate) fn new() -> Self {
        Self { fault: Mutex::new(Fault::None), writes: AtomicU64::new(0) }
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().expect("nobody panics while holding it") = fault;
    }

    fn get(&self) -> Fault {
        *self.fault.lock().expect("nobody panics while holding it")
    }
}

impl Make for Fake {
    fn write(
        &self,
        view: &View,
        extent: Extent,
        output: &mut (dyn Write + Send),
        _: &Progress,
    ) -> Result<Composed, Error> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        let totals = view.totals()?;
        let (slot, hash) = (view.slot().number, lattice_checksum(&totals.lattice));
        let compression = self.compression();
        let name = match extent {
            Extent::Full => ArchiveName::Full { slot, hash, compression },
            Extent::Incremental { base } => {
                ArchiveName::Incremental { base, slot, hash, compression }
            }
        };
        let content = content(&name);
        match self.get() {
            Fault::Write(kind, room) => {
                output.write_all(&content[..room])?;
                return Err(io::Error::from(kind).into());
            }
            Fault::Endless => {
                while self.get() == Fault::Endless {
                    output.write_all(&content)?;
                    thread::sleep(Duration::from_millis(1));
                }
                output.write_all(&content)?;
            }
            Fault::None | Fault::Prove => output.write_all(&content)?,
        }
        Ok(Composed {
            name,
            bank_hash: view.slot().bank.bank_hash,
            base_snapshot_hash: None,
            capitalization: totals.capitalization,
            num_accounts: totals.num_accounts,
            num_tombstones: 0,
            frames: 1,
            tar_bytes: 0,
            tar_blake3: None,
        })
    }

    fn prove(&self, written: &Path, composed: &Composed, _: &Progress) -> Result<(), Error> {
        let read = fs::read(written)?;
        match self.get() != Fault::Prove && read == content(&composed.name) {
            true => Ok(()),
            false => Err(Error::Differs { archive: composed.name.to_string() }),
        }
    }

    fn compression(&self) -> Compression {
        Compression::Zstd
    }
}
