//! What goes with a slot beside its accounts: its bank and its status cache, kept as they are.
//!
//! Each is one extent, written as its bytes come. Its length is known beforehand.

use icecore_journal::{Extent, ExtentWriter};

use crate::{Error, OpenSlot};

/// Bytes of an attachment, at most: 4 GiB. Mainnet's manifest is about a tenth of that.
pub const ATTACHMENT_BYTES_MAX: u64 = 4 << 30;

/// What can go with a slot beside its accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// The bank: a manifest without storages.
    Bank,
    /// The status cache.
    StatusCache,
}

/// How far an attachment has come.
#[derive(Debug, Default)]
pub(crate) enum Attached {
    /// There is none.
    #[default]
    Nothing,
    /// Bytes are missing.
    Writing(Box<ExtentWriter>),
    /// It is complete.
    Done(Extent),
}

impl OpenSlot {
    /// Appends a piece to what goes with the slot, which has `bytes` in all.
    ///
    /// # Errors
    /// [`Error::SlotRefused`] beyond [`ATTACHMENT_BYTES_MAX`], or when more comes than was said; what
    /// the disk said.
    pub fn attach(&mut self, what: Attachment, bytes: u64, piece: &[u8]) -> Result<(), Error> {
        let refused = |why| Err(Error::SlotRefused { slot: self.number, why });
        if bytes > ATTACHMENT_BYTES_MAX {
            return refused("its bank or status cache is longer than 4 GiB");
        }
        let place = what as usize;
        let mut writer = match std::mem::take(&mut self.attached[place]) {
            Attached::Nothing => {
                let writer = self.shared.chain().writer()?.extent_writer(bytes)?;
                self.shared.underway.note(self.id, writer.position().0);
                Box::new(writer)
            }
            Attached::Writing(writer) => writer,
            Attached::Done(_) => {
                return refused("more comes of its bank or status cache than was said");
            }
        };
        if piece.len() as u64 > writer.remaining_bytes() {
            return refused("more comes of its bank or status cache than was said");
        }
        writer.write(piece)?;
        self.attached[place] = match writer.remaining_bytes() {
            0 => Attached::Done(writer.finish()?),
            _ => Attached::Writing(writer),
        };
        Ok(())
    }

    /// The extent of an attachment, if there is one.
    pub(crate) fn take_attached(&mut self, what: Attachment) -> Result<Option<Extent>, Error> {
        match std::mem::take(&mut self.attached[what as usize]) {
            Attached::Nothing => Ok(None),
            Attached::Done(extent) => Ok(Some(extent)),
            Attached::Writing(_) => {
                let why = "its bank or status cache is not complete";
                Err(Error::SlotRefused { slot: self.number, why })
            }
        }
    }
}
