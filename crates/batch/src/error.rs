//! Why no archive was made.

use std::{io, path::PathBuf};

use icecore_archive::seek_table::SeekTableError;
use icecore_restore::Report;
use icecore_types::Slot;

use crate::CreatableSlots;

/// Why no archive was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The archives cannot be read, or are not sound.
    #[error(transparent)]
    Restore(#[from] icecore_restore::Error),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] icecore_store::Error),
    /// The operating system refused.
    #[error(transparent)]
    Disk(#[from] icecore_disk::Error),
    /// The new archive cannot be written; the error says where it stopped.
    #[error("nothing was made: {0}")]
    Write(#[from] io::Error),
    /// The new archive would have more frames than a seek table lists.
    #[error("{0}; choose larger frames")]
    Frames(#[from] SeekTableError),
    /// What was written does not hold what it was made of: the disk or memory is at fault.
    #[error("{archive}: nothing was made: what was read back of it is not what was written")]
    Differs {
        /// The name of the new archive.
        archive: String,
    },
    /// The manifest has no lattice hash: it is of a client before 2.1.
    #[error("{archive}: the manifest has no lattice hash, by which the new archive would be named")]
    NoLattice {
        /// The archive.
        archive: String,
    },
    /// The bank hash is made of more than the lattice hash, or of something else.
    #[error(
        "{archive}: the bank hash is not made of the lattice hash alone, as those of clients since 3.0 are, so that it cannot be made anew"
    )]
    NotOfLatticeAlone {
        /// The archive.
        archive: String,
    },
    /// A member was asked for that the archive does not have.
    #[error(
        "{archive} has no file '{member}'; 'snapshot inspect FILE --members' lists what it has"
    )]
    NoMember {
        /// The archive.
        archive: String,
        /// The member.
        member: String,
    },
    /// A store does not keep what an archive has beside accounts.
    #[error(
        "no archive can be made of slot {slot}: the store does not keep its bank and status cache; {slots}"
    )]
    NoBank {
        /// The slot.
        slot: Slot,
        /// Of which slots archives can be made.
        slots: Box<CreatableSlots>,
    },
    /// The slot is not final.
    #[error("no archive can be made of slot {slot}: it is not final")]
    NotFinal {
        /// The slot.
        slot: Slot,
    },
    /// The store keeps some accounts only.
    #[error("no archive can be made of this store: it keeps the accounts of some programs only")]
    Filtered,
    /// An incremental archive cannot build on a slot.
    #[error("no incremental archive of slot {slot} can be made on slot {base}: {why}")]
    Base {
        /// The slot of the full archive.
        base: Slot,
        /// The slot.
        slot: Slot,
        /// Why not.
        why: &'static str,
    },
    /// No full archive is there for an incremental one.
    #[error(
        "{}: there is no full archive of an earlier state of this store on which an incremental one of slot {slot} could build; make one, or name a slot with --base", folder.display()
    )]
    NoBase {
        /// The slot.
        slot: Slot,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// A store's state is not what the store says of it.
    #[error(
        "nothing was made: slot {slot} of the store is not sound: {what}; run `icecore store check`"
    )]
    Unsound {
        /// The slot.
        slot: Slot,
        /// What is wrong.
        what: String,
    },
    /// What was written is not sound: a defect, or a state that was forged.
    #[error("nothing was made: the verdict on what was written is bad: {}", first_failure(report))]
    Bad {
        /// All of the verdict.
        report: Box<Report>,
    },
}

/// The first thing that is wrong.
fn first_failure(report: &Report) -> String {
    let failed = report.archives.iter().flat_map(|verdict| verdict.failures()).next();
    failed
        .map(|check| format!("{} {}: {}", check.id, check.id.title(), check.detail))
        .unwrap_or_default()
}
