//! Live accounts to a full archive (decision 0034).
//!
//! Steps:
//! 1. The members of the bank are written: version, status cache, manifest with a true list of
//!    storages. How large each is was added up while the archives were verified.
//! 2. A second look writes the accounts, storage by storage, as the archives have them.
//!
//! Invariants:
//! - Accounts stay in a storage of the slot in which they were last written, unless the plan packs
//!   storages; within it in order.
//! - Tombstones go, and storages that keep nothing: a full archive has no older version that could
//!   come back.
//! - Memory is one entry for each storage, of which an archive has at most
//!   [`MEMBERS_MAX`](icecore_archive::members::MEMBERS_MAX).

use std::{ops::ControlFlow, path::Path};

use icecore_archive::{
    members::MemberKind,
    names::ArchiveName,
    writing::{
        manifest::ManifestEdit,
        storage::{StorageEncoder, StorageSize},
    },
};
use icecore_restore::{
    Answer, Choose, LiveAccount, LiveAccounts, Options, Pair, Progress, Source, verify,
};
use icecore_types::Hash;

use crate::{
    Error, WriteOptions,
    bank_members::{BankMembers, changed},
    packer::{Packer, pack},
    plan::{Part, Plan},
    tar_packer::TarPacker,
    target::{Made, Target},
};

fn origin(live: &LiveAccount<'_>) -> (bool, u32) {
    (live.place.is_incremental(), live.place.storage())
}

/// What is to be written.
pub(crate) struct FullArchive<'a> {
    /// The archive that the bank is of.
    pub(crate) bank_of: &'a str,
    pub(crate) bank: &'a BankMembers,
    pub(crate) plan: &'a Plan,
    pub(crate) edit: ManifestEdit<'a>,
    pub(crate) keep: Choose<'a>,
    /// Checksum of the lattice hash, for the name.
    pub(crate) hash: Hash,
}

impl FullArchive<'_> {
    /// Writes the archive into `folder`: under a temporary name, verified if asked to, published.
    pub(crate) fn make(
        &self,
        live: &mut LiveAccounts,
        folder: &Path,
        write: &WriteOptions,
        options: &Options,
        progress: &Progress,
    ) -> Result<Made, Error> {
        let slot = self.bank.stated.scalars.slot;
        let compression = write.packing.compression();
        let name = ArchiveName::Full { slot, hash: self.hash, compression };
        let mut target = Target::create(folder, name.to_string())?;
        let body = |packer: &mut Packer| {
            let mut tar = TarPacker::new(packer);
            self.bank.write(&self.edit, &mut tar)?;
            self.accounts(live, &mut tar, progress)?;
            tar.finish();
            Ok(())
        };
        let ((), frames) = pack(&mut target.output, write, options.cores, body)?;
        if write.verify {
            look_at(&target, options, progress)?;
        }
        target.publish_archive(&name, &frames, write.verify)
    }

    /// The second look.
    fn accounts(
        &self,
        live: &mut LiveAccounts,
        tar: &mut TarPacker<'_>,
        progress: &Progress,
    ) -> Result<(), Error> {
        let mut parts = self.plan.parts.iter();
        let mut current: Option<&Part> = None;
        let mut encoder = StorageEncoder::new();
        let mut size = StorageSize::new();
        let mut is_changed = false;
        live.for_each(progress, |live| {
            if !(self.keep)(&live.account) {
                return ControlFlow::Continue(());
            }
            if current.is_none_or(|part| part.from != origin(&live)) {
                is_changed |= current.is_some_and(|part| size.bytes() != part.bytes);
                match parts.next() {
                    Some(part) if part.from == origin(&live) && !is_changed => {
                        if current.is_none_or(|before| before.storage != part.storage) {
                            let storage = &self.plan.storages[part.storage];
                            let member = MemberKind::Storage { slot: storage.slot, id: storage.id };
                            tar.member(member, storage.bytes);
                            encoder = StorageEncoder::new();
                        }
                        current = Some(part);
                    }
                    _ => is_changed = true,
                }
                size = StorageSize::new();
            }
            size.add(live.account.lamports, live.account.data.len() as u64);
            is_changed |= current.is_none_or(|part| size.bytes() > part.bytes);
            if is_changed || tar.has_stopped() {
                return ControlFlow::Break(());
            }
            encoder.account(&live.account, &mut |bytes| tar.content(bytes));
            ControlFlow::Continue(())
        })?;
        is_changed |= current.is_some_and(|part| size.bytes() != part.bytes);
        is_changed |= !tar.has_stopped() && parts.next().is_some();
        if is_changed && !tar.has_stopped() { Err(changed(self.bank_of)) } else { Ok(()) }
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
