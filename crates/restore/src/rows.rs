//! Who wants to know which records count: they come key by key, in bins that threads settle side by
//! side.
//!
//! Invariants:
//! - Every bin is begun once, in ascending order; bins are worked on side by side.
//! - Within a bin keys ascend, and each comes once.
//!
//! What it does *not* do: anything; a verification wants no rows.

use crate::{
    Error,
    key_bins::{Entry, Mark},
};

/// Takes the records that count in the last archive's view.
pub(crate) trait Rows<M: Mark>: Sync {
    /// Takes those of one bin. Dropped before it is finished, it says that something failed.
    type Bin<'a>: BinRows<M>
    where
        Self: 'a;

    /// Begins a bin.
    fn begin(&self, bin: usize) -> Self::Bin<'_>;
}

/// Takes the records of one bin.
pub(crate) trait BinRows<M: Mark> {
    /// The next key's record; also one that closes its account. `is_only`: it is the key's only one.
    fn push(&mut self, newest: &Entry<M>, is_only: bool) -> Result<(), Error>;

    /// The bin has ended.
    fn finish(self) -> Result<(), Error>;
}

/// Nobody.
pub(crate) struct NoRows;

impl<M: Mark> Rows<M> for NoRows {
    type Bin<'a> = NoRows;

    fn begin(&self, _: usize) -> NoRows {
        NoRows
    }
}

impl<M: Mark> BinRows<M> for NoRows {
    #[inline]
    fn push(&mut self, _: &Entry<M>, _: bool) -> Result<(), Error> {
        Ok(())
    }

    fn finish(self) -> Result<(), Error> {
        Ok(())
    }
}
