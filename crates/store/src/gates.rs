//! What has to hold before a slot is committed (design section 5).
//!
//! Each gate answers one question about the whole slot; all of them are asked, so that a slot that
//! does not fit says everything that is wrong with it. Refusals are recorded in the journal.

use std::any::Any;

use icecore_hash::lattice_checksum;
use icecore_journal::{Denial, Gate, Proposal};
use icecore_types::{Hash, LatticeHash, Slot};

use crate::bank::SlotStatement;

/// What the gates look at: what is stated, and what came out.
#[derive(Debug)]
pub(crate) struct CommitFacts {
    pub(crate) stated: SlotStatement,
    pub(crate) number: Slot,
    pub(crate) parent_number: Slot,
    pub(crate) parent_bank_hash: Hash,
    pub(crate) accounts_written: u64,
    pub(crate) lattice: LatticeHash,
    /// `None`: it leaves the range of 64 bits.
    pub(crate) capitalization: Option<u64>,
    pub(crate) bank_hash: Hash,
}

type Check = fn(&CommitFacts) -> Result<(), Denial>;

/// A gate: a name and a question.
struct CommitGate {
    name: &'static str,
    check: Check,
}

impl Gate for CommitGate {
    fn name(&self) -> &str {
        self.name
    }

    fn evaluate(&self, _: &Proposal<'_>, context: &dyn Any) -> Result<(), Denial> {
        let facts = context
            .downcast_ref::<CommitFacts>()
            .expect("a commit gives its gates what they look at");
        (self.check)(facts)
    }
}

fn deny(code: &'static str, message: String) -> Result<(), Denial> {
    Err(Denial::new(code, message))
}

fn parent(facts: &CommitFacts) -> Result<(), Denial> {
    let stated = &facts.stated.bank;
    if stated.slot != facts.number || stated.parent_slot != facts.parent_number {
        return deny(
            "other-slot",
            format!(
                "states slot {} on {}, was begun as {} on {}",
                stated.slot, stated.parent_slot, facts.number, facts.parent_number
            ),
        );
    }
    if stated.parent_bank_hash != facts.parent_bank_hash {
        return deny(
            "other-parent",
            format!(
                "states the parent's bank hash {}, but slot {} has {}",
                stated.parent_bank_hash, facts.parent_number, facts.parent_bank_hash
            ),
        );
    }
    Ok(())
}

fn accounts(facts: &CommitFacts) -> Result<(), Denial> {
    match facts.stated.accounts_written == facts.accounts_written {
        true => Ok(()),
        false => deny(
            "other-count",
            format!(
                "states {} accounts, {} were written",
                facts.stated.accounts_written, facts.accounts_written
            ),
        ),
    }
}

fn lattice(facts: &CommitFacts) -> Result<(), Denial> {
    match facts.stated.lattice == facts.lattice {
        true => Ok(()),
        false => deny(
            "other-lattice-hash",
            format!(
                "states the lattice hash {}, the accounts give {}",
                lattice_checksum(&facts.stated.lattice),
                lattice_checksum(&facts.lattice)
            ),
        ),
    }
}

fn capitalization(facts: &CommitFacts) -> Result<(), Denial> {
    match facts.capitalization {
        Some(sum) if sum == facts.stated.capitalization => Ok(()),
        Some(sum) => deny(
            "other-capitalization",
            format!("states {} lamports, the accounts give {sum}", facts.stated.capitalization),
        ),
        None => deny("other-capitalization", "lamports do not add up in 64 bits".to_string()),
    }
}

fn bank_hash(facts: &CommitFacts) -> Result<(), Denial> {
    match facts.stated.bank.bank_hash == facts.bank_hash {
        true => Ok(()),
        false => deny(
            "other-bank-hash",
            format!(
                "states the bank hash {}, its parts give {}",
                facts.stated.bank.bank_hash, facts.bank_hash
            ),
        ),
    }
}

/// The gates of a commit, in order.
pub(crate) const COMMIT_GATES: [&dyn Gate; 5] = [
    &CommitGate { name: "parent", check: parent },
    &CommitGate { name: "accounts-written", check: accounts },
    &CommitGate { name: "lattice-hash", check: lattice },
    &CommitGate { name: "capitalization", check: capitalization },
    &CommitGate { name: "bank-hash", check: bank_hash },
];
