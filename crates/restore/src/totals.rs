//! What adds up over accounts: lattice hash, lamports, counts, bytes of data.
//!
//! Totals form a group: a version that turns out to be replaced is taken out again. So the order in
//! which records are met does not matter, and several totals are kept and combined at the end.

use icecore_hash::{Kernel, LatticeSum};
use icecore_types::{AccountRef, LatticeHash};

/// Sums over account versions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Sum of the lattice hashes.
    pub lattice: LatticeHash,
    /// Sum of the lamports.
    pub lamports: u128,
    /// Versions with lamports.
    pub accounts: u64,
    /// Sum of their bytes of data.
    pub data_bytes: u64,
    /// Versions without lamports.
    pub tombstones: u64,
}

impl Totals {
    /// Adds.
    pub fn add(&mut self, other: &Self) {
        self.lattice.mix_in(&other.lattice);
        self.lamports = self.lamports.wrapping_add(other.lamports);
        self.accounts = self.accounts.wrapping_add(other.accounts);
        self.data_bytes = self.data_bytes.wrapping_add(other.data_bytes);
        self.tombstones = self.tombstones.wrapping_add(other.tombstones);
    }

    /// Takes out: the inverse of [`add`](Self::add).
    pub fn subtract(&mut self, other: &Self) {
        self.lattice.mix_out(&other.lattice);
        self.lamports = self.lamports.wrapping_sub(other.lamports);
        self.accounts = self.accounts.wrapping_sub(other.accounts);
        self.data_bytes = self.data_bytes.wrapping_sub(other.data_bytes);
        self.tombstones = self.tombstones.wrapping_sub(other.tombstones);
    }
}

/// The totals of a view.
#[derive(Debug, Clone, Default)]
pub(crate) struct ViewTotals {
    /// Of all accounts.
    pub(crate) all: Totals,
    /// Of those among them that a destination does not want.
    pub(crate) left_out: Totals,
}

impl ViewTotals {
    pub(crate) fn add(&mut self, other: &Self) {
        self.all.add(&other.all);
        self.left_out.add(&other.left_out);
    }

    /// Adds accounts that are all wanted, or all are not.
    pub(crate) fn add_accounts(&mut self, totals: &Totals, are_left_out: bool) {
        self.all.add(totals);
        if are_left_out {
            self.left_out.add(totals);
        }
    }

    /// Takes them out.
    pub(crate) fn subtract_accounts(&mut self, totals: &Totals, are_left_out: bool) {
        self.all.subtract(totals);
        if are_left_out {
            self.left_out.subtract(totals);
        }
    }
}

/// Whether accounts are hashed while archives are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hashing {
    /// The lattice hash of the state is recomputed, and must be the one that is stated.
    #[default]
    Recomputed,
    /// It is taken as stated: everything else is checked, but that accounts are what they were is not
    /// known. Totals have no lattice hash then.
    AsStated,
}

/// Sums batches of accounts up.
pub(crate) struct Summer {
    /// Unless the hash is taken as stated.
    lattice: Option<LatticeSum>,
    rest: Totals,
}

impl Summer {
    /// With the kernel to hash with, if accounts are to be hashed.
    pub(crate) fn new(kernel: Option<Kernel>) -> Self {
        Self { lattice: kernel.map(LatticeSum::new), rest: Totals::default() }
    }

    pub(crate) fn add(&mut self, accounts: &[AccountRef<'_>]) {
        if let Some(lattice) = &mut self.lattice {
            lattice.add(accounts);
        }
        for account in accounts {
            if account.is_tombstone() {
                self.rest.tombstones += 1;
            } else {
                self.rest.lamports += u128::from(account.lamports);
                self.rest.accounts += 1;
                self.rest.data_bytes += account.data.len() as u64;
            }
        }
    }

    pub(crate) fn finish(mut self) -> Totals {
        if let Some(mut lattice) = self.lattice {
            self.rest.lattice = lattice.finish();
        }
        self.rest
    }
}
