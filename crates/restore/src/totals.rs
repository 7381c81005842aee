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

/// Sums batches of accounts up.
pub(crate) struct Summer {
    lattice: LatticeSum,
    rest: Totals,
}

impl Summer {
    pub(crate) fn new(kernel: Kernel) -> Self {
        Self { lattice: LatticeSum::new(kernel), rest: Totals::default() }
    }

    pub(crate) fn add(&mut self, accounts: &[AccountRef<'_>]) {
        self.lattice.add(accounts);
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
        self.rest.lattice = self.lattice.finish();
        self.rest
    }
}
