//! The sums over a state: what manifests and names state of it, counted account by account through
//! the `blake3` crate, so that a fault of our kernels cannot hide in generated archives.

use icecore_types::{AccountRef, LatticeHash};

use crate::blake3_sum;

/// Sums over live accounts.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(super) lattice: LatticeHash,
    pub(super) lamports: u64,
    pub(crate) accounts: u64,
    pub(crate) data_bytes: u64,
}

impl State {
    pub(super) fn add(&mut self, account: &AccountRef<'_>) {
        if account.is_tombstone() {
            return;
        }
        blake3_sum::add(&mut self.lattice, &blake3_sum::output(account));
        self.lamports += account.lamports;
        self.accounts += 1;
        self.data_bytes += account.data.len() as u64;
    }

    pub(super) fn remove(&mut self, account: &AccountRef<'_>) {
        if account.is_tombstone() {
            return;
        }
        blake3_sum::subtract(&mut self.lattice, &blake3_sum::output(account));
        self.lamports -= account.lamports;
        self.accounts -= 1;
        self.data_bytes -= account.data.len() as u64;
    }
}
