//! Adoption: what an event may say about extents, and payloads that become one.

use crate::{
    Batch, Error, Extent,
    extents::Layout,
    format::record::{self, Record, flags},
    journal::Shared,
};

impl Shared {
    /// Writes the payloads that are too large for the chain; returns the batch's records with their
    /// extents filled in. Nothing is accepted yet: what an error leaves behind is garbage.
    pub(crate) fn write_payloads(&self, batch: &Batch) -> Result<Vec<u8>, Error> {
        let mut records = batch.records.clone();
        for large in &batch.large {
            let extent = self.write_extent(&large.payload)?;
            let start = batch.starts[large.event as usize] as usize;
            record::assign_payload_extent(&mut records[start..], &extent);
        }
        Ok(records)
    }

    /// Whether every extent that the batch adopts lies where this journal has written one; what
    /// `own` knows lies in files that only the caller knows.
    pub(crate) fn check_extents(
        &self,
        batch: &Batch,
        own: impl Fn(&Extent) -> Option<u64>,
    ) -> Result<(), Error> {
        if !batch.has_extents {
            return Ok(());
        }
        for (start, end) in batch.ranges() {
            let record =
                Record::decode(&batch.records[start..end]).expect("records are made soundly");
            // The extent of a large payload is not written yet.
            let unwritten = usize::from(record.flags & flags::PAYLOAD_IN_EXTENT != 0);
            for extent in record.extents().skip(unwritten) {
                // The writer's own come first: what it forgets is in the catalog before.
                let end = self
                    .data_room
                    .end_of(extent.segment)
                    .or_else(|| own(&extent))
                    .or_else(|| self.catalog().data.end_of(extent.segment));
                let lies_within = Layout::of(extent.offset, extent.bytes)
                    .zip(end)
                    .is_some_and(|(layout, end)| layout.end <= end);
                if !lies_within {
                    return Err(Error::Unfit {
                        what: "an event adopts an extent that was not written to this journal",
                    });
                }
            }
        }
        Ok(())
    }
}
