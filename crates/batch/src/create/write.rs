//! The archive of a view, into whatever is open for it.

use std::io::Write;

use icecore_archive::{
    manifest::Storage,
    members::MemberKind,
    names::ArchiveName,
    writing::{
        manifest::ManifestEdit,
        storage::{StorageEncoder, StorageSize},
    },
};
use icecore_hash::lattice_checksum;
use icecore_restore::{Options, Progress};
use icecore_store::{Locator, View, VisitedAccount};
use icecore_types::Hash;

use super::{
    CreatableSlots, Extent,
    plan::{AHEAD_RECORDS, Plan, Planned, PlannedStorage, spilled},
};
use crate::{
    Error, WriteOptions,
    bank_members::BankMembers,
    merge::with_epoch,
    packer::{Packer, pack},
    tar_packer::TarPacker,
};

/// An archive that was written, and has no name yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// What it is to be called.
    pub name: ArchiveName,
    /// The bank hash.
    pub bank_hash: Hash,
    /// The hash in the name of the full archive that an incremental one builds on.
    pub base_snapshot_hash: Option<Hash>,
    /// The sum of all lamports of the state.
    pub capitalization: u64,
    /// Live accounts in the archive.
    pub num_accounts: u64,
    /// Closed accounts in the archive.
    pub num_tombstones: u64,
    /// Frames, or what an lz4 or tar archive has in their place.
    pub frames: u64,
    /// Bytes of the tar stream.
    pub tar_bytes: u64,
    /// Its BLAKE3, for who looks at what was written: only of incremental archives, and unless
    /// [`WriteOptions::verify`] is off.
    pub tar_blake3: Option<Hash>,
}

/// What is known before anything is read.
struct Subject {
    name: ArchiveName,
    base_snapshot_hash: Option<Hash>,
    capitalization: u64,
    live: u64,
}

impl Subject {
    fn of(view: &View, extent: Extent, write: &WriteOptions) -> Result<Self, Error> {
        let slot = view.slot().number;
        if !view.kept_owners().is_empty() {
            return Err(Error::Filtered);
        }
        let (own, totals) = match view.final_slot(slot) {
            Err(icecore_store::Error::NotCovered { .. }) => return Err(Error::NotFinal { slot }),
            found => found?,
        };
        if own.event != view.slot().event {
            return Err(Error::NotFinal { slot });
        }
        let (hash, compression) = (lattice_checksum(&totals.lattice), write.packing.compression());
        let (name, base_snapshot_hash) = match extent {
            Extent::Full => (ArchiveName::Full { slot, hash, compression }, None),
            Extent::Incremental { base } => {
                let unfit = |why: &'static str| Error::Base { base, slot, why };
                if base >= slot {
                    return Err(unfit("it is not before that slot"));
                }
                let (found, totals) = view.final_slot(base)?;
                if found.number != base {
                    return Err(unfit("the store's chain has no block of that number"));
                }
                let name = ArchiveName::Incremental { base, slot, hash, compression };
                (name, Some(lattice_checksum(&totals.lattice)))
            }
        };
        let (capitalization, live) = (totals.capitalization, totals.num_accounts);
        Ok(Self { name, base_snapshot_hash, capitalization, live })
    }
}

/// The name that the archive of a view will have.
///
/// # Errors
/// As [`write_archive`], as far as that is known beforehand.
pub(super) fn name(
    view: &View,
    extent: Extent,
    write: &WriteOptions,
) -> Result<ArchiveName, Error> {
    Ok(Subject::of(view, extent, write)?.name)
}

/// Writes the archive of a view to an output that is open; nothing gets a name, nothing is synced. What
/// was written, [`prove`](super::prove) looks at.
///
/// # Errors
/// When the state cannot be had as an archive, which says what can; when the store is damaged, or
/// writing fails.
pub fn write_archive(
    view: &View,
    extent: Extent,
    output: &mut (impl Write + Send),
    write: &WriteOptions,
    options: &Options,
    progress: &Progress,
) -> Result<Composed, Error> {
    let Subject { name, base_snapshot_hash, capitalization, live } =
        Subject::of(view, extent, write)?;
    let slot = name.slot();
    let unsound = |what: &str| Error::Unsound { slot, what: what.to_string() };
    let Some(kept) = view.kept_bank()? else {
        let slots = Box::new(CreatableSlots::of(view, slot)?);
        return Err(Error::NoBank { slot, slots });
    };
    let bank = BankMembers::kept(format!("the bank of slot {slot}"), kept)?;
    let stated = &bank.stated;
    if stated.scalars.slot != slot
        || stated.hashes.hash != view.slot().bank.bank_hash
        || stated.scalars.capitalization != capitalization
        || lattice_checksum(&stated.lattice) != *name.hash()
    {
        return Err(unsound("the bank that came with it is another slot's, or another state's"));
    }
    progress.begin("plan");
    let plan = Plan::make(view, extent, write.pack, options, progress)?;
    if extent == Extent::Full
        && (plan.accounts != live || plan.lamports != u128::from(capitalization))
    {
        return Err(unsound("its accounts do not add up to what is known of them"));
    }
    let storages: Vec<_> = (1..)
        .zip(&plan.storages)
        .map(|(id, storage)| {
            (storage.slot, Storage { id, accounts_current_len: storage.size.bytes() })
        })
        .collect();
    let edit = ManifestEdit {
        storages: Some(&storages),
        scalars: Some(with_epoch(&stated.scalars)),
        incremental_snapshot_persistence: stated.persistence.map(|_| None),
        ..ManifestEdit::default()
    };
    progress.begin("write");
    progress.expect_bytes(plan.storages.iter().map(|storage| storage.size.bytes()).sum());
    let is_digested = write.verify && extent != Extent::Full;
    let mut digest = is_digested.then(blake3::Hasher::new);
    let body = |packer: &mut Packer| {
        let mut tar = TarPacker::new(packer).digested(digest.as_mut());
        bank.write(&edit, &mut tar)?;
        accounts(view, &plan, &mut tar, progress)?;
        Ok(tar.finish())
    };
    let (tar_bytes, frames) = pack(output, write, options.cores, body)?;
    Ok(Composed {
        name,
        bank_hash: stated.hashes.hash,
        base_snapshot_hash,
        capitalization,
        num_accounts: plan.accounts,
        num_tombstones: plan.tombstones,
        frames: frames.frames().len() as u64,
        tar_bytes,
        tar_blake3: digest.map(|digest| Hash(digest.finalize().into())),
    })
}

/// Writes all storages.
fn accounts(
    view: &View,
    plan: &Plan,
    tar: &mut TarPacker<'_>,
    progress: &Progress,
) -> Result<(), Error> {
    let mut records = plan.records()?;
    let mut next = || -> Result<Vec<Planned>, Error> {
        progress.check()?;
        let mut batch = Vec::with_capacity(AHEAD_RECORDS);
        while batch.len() < AHEAD_RECORDS
            && let Some(record) = records.next().map_err(spilled)?
        {
            batch.push(record);
        }
        view.fetch(&locators(&batch))?;
        Ok(batch)
    };
    let mut storages = Storages::new(plan);
    let mut ahead = next()?;
    while !ahead.is_empty() && !tar.has_stopped() {
        let batch = std::mem::replace(&mut ahead, next()?);
        view.read_records(&locators(&batch), |account| {
            storages.account(&account, tar);
        })?;
        progress.add_records(batch.len());
        progress.add_read(storages.take_bytes());
        if storages.differ {
            break;
        }
    }
    match tar.has_stopped() || storages.are_whole() {
        true => Ok(()),
        false => {
            let what = "a record was not the same when it was read again".to_string();
            Err(Error::Unsound { slot: view.slot().number, what })
        }
    }
}

fn locators(records: &[Planned]) -> Vec<Locator> {
    records.iter().map(Planned::locator).collect()
}

/// Storages as they are written, held against the plan.
struct Storages<'a> {
    planned: &'a [PlannedStorage],
    /// Storages that were begun; the last of them is the current one.
    begun: usize,
    /// Records that it lacks.
    records_left: u64,
    size: StorageSize,
    encoder: StorageEncoder,
    /// Bytes written since they were asked for.
    bytes: usize,
    /// Something is not what was planned; nothing is written from there on.
    differ: bool,
}

impl<'a> Storages<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self {
            planned: &plan.storages,
            begun: 0,
            records_left: 0,
            size: StorageSize::new(),
            encoder: StorageEncoder::new(),
            bytes: 0,
            differ: false,
        }
    }

    fn account(&mut self, account: &VisitedAccount<'_>, tar: &mut TarPacker<'_>) {
        if self.differ {
            return;
        }
        if self.records_left == 0 {
            self.begin(tar);
        }
        let Some(storage) = self.begun.checked_sub(1).and_then(|at| self.planned.get(at)) else {
            self.differ = true;
            return;
        };
        let (written, account) = (account.written, &account.account);
        self.size.add(account.lamports, account.data.len() as u64);
        self.records_left -= 1;
        // A tar member takes neither more nor less than was said of it.
        let is_too_long = self.size.bytes() > storage.size.bytes();
        let is_too_short = self.records_left == 0 && self.size != storage.size;
        let is_elsewhere = !(storage.first_slot..=storage.slot).contains(&written);
        if is_elsewhere || is_too_long || is_too_short {
            self.differ = true;
            return;
        }
        let before = self.encoder.bytes();
        self.encoder.account(account, &mut |bytes| tar.content(bytes));
        self.bytes += (self.encoder.bytes() - before) as usize;
    }

    /// Begins the next storage, if there is one.
    fn begin(&mut self, tar: &mut TarPacker<'_>) {
        let Some(storage) = self.planned.get(self.begun) else {
            self.differ = true;
            return;
        };
        self.begun += 1;
        let member = MemberKind::Storage { slot: storage.slot, id: self.begun as u64 };
        tar.member(member, storage.size.bytes());
        self.records_left = storage.records;
        (self.size, self.encoder) = Default::default();
    }

    fn take_bytes(&mut self) -> usize {
        std::mem::take(&mut self.bytes)
    }

    fn are_whole(&self) -> bool {
        !self.differ && self.records_left == 0 && self.begun == self.planned.len()
    }
}
