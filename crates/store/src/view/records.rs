//! Records by where they lie, in any order: what rows lead to is read as an archive wants it.
//!
//! What it does *not* do: know whether a record is what the view sees. Places come from
//! [`View::for_each_live`] and its like.

use icecore_types::Slot;

use super::{View, VisitedAccount};
use crate::{Error, locator::Locator};

/// Records whose first bytes are fetched into the processor's cache before they are looked at.
const HEADS_AHEAD: usize = 16;

/// What the first bytes of a record say. They are not checked: the record is, when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHead {
    /// The slot in which the version was last written (see
    /// [`AccountVersion::written`](crate::AccountVersion::written)).
    pub written: Slot,
    /// Its lamports.
    pub lamports: u64,
    /// Bytes of its data.
    pub data_bytes: u64,
}

impl View {
    /// Asks the disk for records that will be read soon, unless they seem to be in memory; neighbours
    /// in the list that lie near each other are fetched together.
    ///
    /// # Errors
    /// What the disk said.
    pub fn fetch(&self, locators: &[Locator]) -> Result<(), Error> {
        let (segments, history) = (&self.sight.state.runs.segments, &self.shared.history);
        match segments.seem_resident(history, locators)? {
            true => Ok(()),
            false => segments.fetch(history, locators),
        }
    }

    /// Gives the heads of records, in the order of the list.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when no record can lie there; [`Error::Expired`]; what the disk said.
    pub fn record_heads(
        &self,
        locators: &[Locator],
        mut visit: impl FnMut(Locator, RecordHead),
    ) -> Result<(), Error> {
        let (segments, history) = (&self.sight.state.runs.segments, &self.shared.history);
        for (place, locator) in locators.iter().enumerate() {
            if let Some(ahead) = locators.get(place + HEADS_AHEAD) {
                segments.prefetch_head(history, *ahead)?;
            }
            visit(*locator, segments.head(history, *locator)?);
        }
        self.check_lease()
    }

    /// Gives accounts, tombstones as well, in the order of the list. Each record is checked.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when what lies there is not what was written; [`Error::Expired`].
    pub fn read_records(
        &self,
        locators: &[Locator],
        mut visit: impl FnMut(VisitedAccount<'_>),
    ) -> Result<(), Error> {
        let (segments, history) = (&self.sight.state.runs.segments, &self.shared.history);
        for (place, locator) in locators.iter().enumerate() {
            if let Some(ahead) = locators.get(place + HEADS_AHEAD) {
                segments.prefetch_head(history, *ahead)?;
            }
            self.shared.record(segments, *locator, |version| {
                visit(VisitedAccount::of(version.slot, version));
            })?;
        }
        self.check_lease()
    }
}
