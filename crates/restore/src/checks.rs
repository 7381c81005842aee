//! The checks themselves: what an archive states against what was recomputed.
//!
//! Each function looks at [`Subject`] and adds to its findings; none reads a file. What was found
//! while the bytes streamed by (C2, C3, A1, ...) is in the findings already.

mod bank;
mod outside;
mod stakes;
mod status;
mod structure;
mod sysvars;

use icecore_archive::names::ArchiveName;
use icecore_types::{Hash, LatticeHash, Pubkey};

use crate::{
    account_facts::{NewestFacts, Sysvars},
    check_id::CheckId,
    findings::{Findings, WrongRecord},
    first_look::{ArchiveFacts, Wrong},
    genesis::Genesis,
    pass::{batch::Place, walk::StorageHead},
    spill::SpillError,
    totals::{Hashing, Totals},
    verify::Expected,
};

pub(crate) use structure::names_hash_by_merkle;

/// The state in an archive's view, as recomputed from account records.
pub(crate) struct State {
    pub(crate) totals: Totals,
    pub(crate) hashing: Hashing,
    /// Where the name is not that of a lattice hash.
    pub(crate) merkle: Option<Merkle>,
    /// The newest versions of stake and vote accounts.
    pub(crate) facts: NewestFacts,
    pub(crate) sysvars: Sysvars,
}

impl State {
    /// The lattice hash of the accounts, if they were hashed.
    pub(crate) fn lattice(&self) -> Option<&LatticeHash> {
        (self.hashing == Hashing::Recomputed).then_some(&self.totals.lattice)
    }
}

/// What was recomputed for an archive named by a Merkle accounts hash.
#[derive(Debug, Default)]
pub(crate) struct Merkle {
    /// Over what the name's hash is over.
    pub(crate) root: Hash,
    /// Over the slot's own writes: what goes into the bank hash.
    pub(crate) delta: Hash,
    /// Records whose own hash their content does not give.
    pub(crate) wrong: Vec<Wrong>,
    pub(crate) wrong_count: u64,
}

/// Everything about one archive that the checks look at.
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a ArchiveName,
    pub(crate) facts: &'a ArchiveFacts,
    /// The full archive's facts, when the subject is an incremental one.
    pub(crate) base: Option<&'a ArchiveFacts>,
    /// `None` when the records could not all be read, with the reason.
    pub(crate) state: Result<&'a State, &'a str>,
    pub(crate) naming: Naming<'a>,
    pub(crate) genesis: Option<&'a Genesis>,
    pub(crate) expected: Option<&'a Expected>,
}

/// What names a record by its place.
#[derive(Clone, Copy)]
pub(crate) struct Naming<'a> {
    pub(crate) full: (&'a str, &'a [StorageHead]),
    /// Or a base point that the only archive builds on, which has no storages.
    pub(crate) incremental: (&'a str, &'a [StorageHead]),
}

impl Naming<'_> {
    pub(crate) fn wrong(
        &self,
        place: Place,
        offset: u64,
        pubkey: Option<Pubkey>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> WrongRecord {
        let (archive, storages) = if place.is_incremental() { self.incremental } else { self.full };
        // Of a base point nothing is known of storages.
        let member = match storages.get(place.storage() as usize) {
            Some(storage) => format!("accounts/{}.{}", storage.slot, storage.id),
            None => "kept in the store".to_string(),
        };
        WrongRecord {
            archive: archive.to_string(),
            member,
            record: place.record(),
            offset,
            pubkey,
            expected: expected.into(),
            found: found.into(),
        }
    }
}

/// What the checks recomputed.
#[derive(Debug, Default)]
pub(crate) struct Computed {
    pub(crate) snapshot_hash: Option<Hash>,
    pub(crate) bank_hash: Option<Hash>,
    pub(crate) anchored: bool,
}

/// Makes all checks.
///
/// # Errors
/// When what was spilled cannot be read.
pub(crate) fn check(
    subject: &Subject<'_>,
    findings: &mut Findings,
) -> Result<Computed, SpillError> {
    let mut computed = Computed::default();
    structure::check(subject, findings);
    match &subject.facts.manifest {
        Some(manifest) => {
            bank::check(subject, manifest, findings, &mut computed);
            stakes::check(subject, manifest, findings)?;
            sysvars::check(subject, manifest, findings);
        }
        None => {
            for id in WITH_MANIFEST {
                findings.skip(*id, "no manifest was decoded");
            }
        }
    }
    status::check(subject, findings);
    outside::check(subject, findings, &mut computed);
    Ok(computed)
}

/// The checks that need a manifest.
const WITH_MANIFEST: &[CheckId] = &[
    CheckId::M2,
    CheckId::M4,
    CheckId::M5,
    CheckId::M6,
    CheckId::M7,
    CheckId::M8,
    CheckId::M9,
    CheckId::M10,
    CheckId::M11,
    CheckId::M12,
    CheckId::S1,
    CheckId::S2,
    CheckId::Y1,
    CheckId::Y2,
    CheckId::Y3,
    CheckId::Y4,
    CheckId::Y5,
    CheckId::Y6,
    CheckId::Y7,
    CheckId::Y8,
    CheckId::G1,
];
