//! Live accounts to a full archive (decision 0034).
//!
//! Steps:
//! 1. A first look adds up what each storage of the archives keeps, so that its size is known, and
//!    sums the accounts if they are not all of them.
//! 2. The members of the bank are written: version, status cache, manifest with a true list of
//!    storages.
//! 3. A second look writes the accounts, storage by storage, as the archives have them.
//!
//! Invariants:
//! - Accounts stay in a storage of the slot in which they were last written; within it in order.
//! - Tombstones go, and storages that keep nothing: a full archive has no older version that could
//!   come back.
//! - Memory is one entry for each storage, of which an archive has at most
//!   [`MEMBERS_MAX`](icecore_archive::members::MEMBERS_MAX).

use std::{ops::ControlFlow, path::Path};

use icecore_archive::{
    manifest::Storage,
    members::{MemberKind, VERSION},
    names::ArchiveName,
    writing::{
        manifest::ManifestEdit,
        storage::{StorageEncoder, StorageSize},
        tar::{TarEncoder, member_bytes},
    },
};
use icecore_hash::{Kernel, LatticeSum};
use icecore_restore::{Answer, LiveAccount, LiveAccounts, Options, Pair, Progress, Source, verify};
use icecore_types::{AccountRef, Hash, LatticeHash, Slot};

use crate::{
    Error, WriteOptions,
    bank_members::{BankMembers, changed, damaged},
    packer::{Packer, pack},
    target::Target,
};

/// Which accounts are kept.
pub(crate) type Keep<'a> = &'a (dyn Fn(&AccountRef<'_>) -> bool + Sync);

/// A storage of the new archive.
#[derive(Debug, Clone, Copy)]
struct Planned {
    /// Which one of the archives it is: of the incremental one, and its number.
    from: (bool, u32),
    slot: Slot,
    size: StorageSize,
}

/// What the new archive will hold.
#[derive(Default)]
pub(crate) struct Survey {
    /// In the order of the archives.
    storages: Vec<Planned>,
    /// Accounts kept.
    pub(crate) accounts: u64,
    /// Their lamports.
    pub(crate) lamports: u64,
    /// Their lattice hash, if it was asked for.
    pub(crate) lattice: Option<LatticeHash>,
}

fn origin(live: &LiveAccount<'_>) -> (bool, u32) {
    (live.place.is_incremental(), live.place.storage())
}

impl Survey {
    /// The first look. With a kernel the lattice hash is summed.
    pub(crate) fn take(
        live: &mut LiveAccounts,
        keep: Keep<'_>,
        kernel: Option<Kernel>,
        progress: &Progress,
    ) -> Result<Self, Error> {
        let mut survey = Self::default();
        let mut sum = kernel.map(LatticeSum::new);
        live.for_each(progress, |live| {
            let account = &live.account;
            if keep(account) {
                let from = origin(&live);
                if survey.storages.last().is_none_or(|last| last.from != from) {
                    let size = StorageSize::new();
                    survey.storages.push(Planned { from, slot: live.slot, size });
                }
                let storage = survey.storages.last_mut().expect("just pushed, if there was none");
                storage.size.add(account.lamports, account.data.len() as u64);
                survey.accounts += 1;
                // Of a sum that does not fit the verdict was bad.
                survey.lamports = survey.lamports.saturating_add(account.lamports);
                if let Some(sum) = &mut sum {
                    sum.add(std::slice::from_ref(account));
                }
            }
            ControlFlow::Continue(())
        })?;
        survey.lattice = sum.map(|mut sum| sum.finish());
        Ok(survey)
    }

    /// The list of storages for the manifest, by slot; they are numbered as they come.
    pub(crate) fn list(&self, archive: &str) -> Result<Vec<(Slot, Storage)>, Error> {
        let mut list: Vec<_> = (1..)
            .zip(&self.storages)
            .map(|(id, storage)| {
                (storage.slot, Storage { id, accounts_current_len: storage.size.bytes() })
            })
            .collect();
        list.sort_unstable_by_key(|(slot, _)| *slot);
        match list.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => {
                let problem = format!("slot {} has more than one storage", pair[0].0);
                Err(damaged(archive, problem))
            }
            None => Ok(list),
        }
    }
}

/// What is to be written.
pub(crate) struct FullArchive<'a> {
    /// The archive that the bank is of.
    pub(crate) bank_of: &'a str,
    pub(crate) bank: &'a BankMembers,
    pub(crate) survey: &'a Survey,
    pub(crate) edit: ManifestEdit<'a>,
    pub(crate) keep: Keep<'a>,
    /// Checksum of the lattice hash, for the name.
    pub(crate) hash: Hash,
}

/// What was written.
pub(crate) struct Written {
    pub(crate) target: Target,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

impl FullArchive<'_> {
    /// Writes the archive into `folder` under a temporary name, and verifies it if asked to.
    pub(crate) fn write(
        &self,
        live: &mut LiveAccounts,
        folder: &Path,
        write: &WriteOptions,
        options: &Options,
        progress: &Progress,
    ) -> Result<Written, Error> {
        let slot = self.bank.stated.scalars.slot;
        let compression = write.packing.compression();
        let name = ArchiveName::Full { slot, hash: self.hash, compression };
        let mut target = Target::create(folder, name.to_string())?;
        let body = |packer: &mut Packer| {
            let mut tar = TarPacker { tar: TarEncoder::new(), packer, has_stopped: false };
            self.bank(slot, &mut tar)?;
            self.accounts(live, &mut tar, progress)?;
            tar.finish();
            Ok(())
        };
        let ((), frames) = pack(&mut target.output, write, options.cores, body)?;
        if write.verify {
            look_at(&target, options, progress)?;
        }
        let bytes = target.bytes()?;
        Ok(Written { target, frames: frames.frames().len() as u64, bytes })
    }

    /// The members that are no storages.
    fn bank(&self, slot: Slot, tar: &mut TarPacker<'_>) -> Result<(), Error> {
        tar.member(MemberKind::Version, VERSION.len() as u64);
        tar.content(VERSION.as_bytes());
        tar.member(MemberKind::SnapshotsFolder, 0);
        tar.member(MemberKind::StatusCache, self.bank.status_cache_bytes());
        self.bank.status_cache(&mut |bytes| tar.content(bytes))?;
        tar.member(MemberKind::SlotFolder(slot), 0);
        let bytes = self.bank.manifest(self.edit.clone(), &mut |_| {})?;
        tar.member(MemberKind::Manifest { folder: slot, file: slot }, bytes);
        self.bank.manifest(self.edit.clone(), &mut |bytes| tar.content(bytes))?;
        Ok(())
    }

    /// The second look.
    fn accounts(
        &self,
        live: &mut LiveAccounts,
        tar: &mut TarPacker<'_>,
        progress: &Progress,
    ) -> Result<(), Error> {
        let mut storages = (1u64..).zip(&self.survey.storages);
        let mut current: Option<&Planned> = None;
        let mut encoder = StorageEncoder::new();
        let mut size = StorageSize::new();
        let mut is_changed = false;
        live.for_each(progress, |live| {
            if !(self.keep)(&live.account) {
                return ControlFlow::Continue(());
            }
            if current.is_none_or(|storage| storage.from != origin(&live)) {
                is_changed |= current.is_some_and(|storage| size != storage.size);
                match storages.next() {
                    Some((id, storage)) if storage.from == origin(&live) && !is_changed => {
                        let member = MemberKind::Storage { slot: storage.slot, id };
                        tar.member(member, storage.size.bytes());
                        current = Some(storage);
                    }
                    _ => is_changed = true,
                }
                (encoder, size) = Default::default();
            }
            size.add(live.account.lamports, live.account.data.len() as u64);
            is_changed |= current.is_none_or(|storage| size.bytes() > storage.size.bytes());
            if is_changed || tar.has_stopped {
                return ControlFlow::Break(());
            }
            encoder.account(&live.account, &mut |bytes| tar.content(bytes));
            ControlFlow::Continue(())
        })?;
        is_changed |= current.is_some_and(|storage| size != storage.size);
        is_changed |= !tar.has_stopped && storages.next().is_some();
        if is_changed && !tar.has_stopped { Err(changed(self.bank_of)) } else { Ok(()) }
    }
}

/// Our own verdict on what was written.
fn look_at(target: &Target, options: &Options, progress: &Progress) -> Result<(), Error> {
    let full = Source::file_to_be(target.output.temporary_path(), &target.name)?;
    let report = verify(&mut Pair { full, incremental: None }, options, progress)?;
    match report.answer() {
        Answer::Bad => Err(Error::Bad { report: Box::new(report) }),
        Answer::Consistent | Answer::Anchored => Ok(()),
    }
}

/// Members on their way to a packer. Once that has stopped nothing is done any more.
struct TarPacker<'a> {
    tar: TarEncoder,
    packer: &'a mut Packer,
    has_stopped: bool,
}

impl TarPacker<'_> {
    fn member(&mut self, member: MemberKind, bytes: u64) {
        if self.has_stopped {
            return;
        }
        self.has_stopped = self.packer.member(member_bytes(bytes)).is_break();
        let Self { tar, packer, has_stopped } = self;
        tar.member(member, bytes, &mut |bytes| *has_stopped |= packer.write(bytes).is_break());
    }

    fn content(&mut self, bytes: &[u8]) {
        if self.has_stopped {
            return;
        }
        let Self { tar, packer, has_stopped } = self;
        tar.content(bytes, &mut |bytes| *has_stopped |= packer.write(bytes).is_break());
    }

    fn finish(self) {
        let Self { tar, packer, mut has_stopped } = self;
        if !has_stopped {
            tar.finish(&mut |bytes| has_stopped |= packer.write(bytes).is_break());
        }
    }
}
