//! Pins as callers see them: what somebody needs for a while and asks the writer to keep.
//!
//! There are two kinds, told apart by the highest bit of the value (see `control::pins`):
//! - *files*: the value is the number of a manifest. Files that were replaced since stay where they
//!   are, so that whoever reads by an older catalog finds all of it.
//! - *own*: the value is the journal's owner's. The journal lists it and heeds nothing.
//!
//! A pin is a lease: it ends with its time, with its process, or when it is dropped. Whether it held
//! all the time is known afterwards, with [`ReaderPin::is_held`].
//!
//! What is pinned is agreed on like this: the reader pins, *then* looks whether what it pinned is
//! still there. The writer says that it goes, *then* lists the pins, then lets go what nobody pinned.

use std::sync::Arc;

use icecore_disk::{Disk, ProcessIdentity};

use crate::{
    Error, Journal, Reader,
    control::{ControlReader, OWN_VALUES, PinHandle},
};

/// Times that a reader pins its catalog anew because the writer has replaced it.
const ATTEMPTS_MAX: usize = 8;

/// A pin of this process: given up when dropped.
#[derive(Debug)]
pub struct ReaderPin {
    handle: PinHandle,
    disk: Arc<dyn Disk>,
}

/// A pin whose value is the owner's, of any process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnPin {
    /// Who holds it.
    pub process: ProcessIdentity,
    /// What it means is between the owner's writer and its readers.
    pub value: u64,
    /// End of the lease, in nanoseconds since 1970.
    pub until: u64,
}

/// The value as it is on the page.
fn own(value: u64) -> Result<u64, Error> {
    match value < OWN_VALUES {
        true => Ok(OWN_VALUES | value),
        false => Err(Error::Unfit { what: "the value of a pin has 63 bits" }),
    }
}

impl Reader {
    /// Asks the writer to keep what `value` stands for, for `lease` nanoseconds, one day at most.
    /// What a value below 2^63 means is agreed on between the writer and its readers; the journal
    /// itself keeps nothing for it.
    ///
    /// # Errors
    /// [`Error::Control`] when there is no page to write to, or no room on it; [`Error::Unfit`] for
    /// a value of 64 bits.
    pub fn pin(&self, value: u64, lease: u64) -> Result<ReaderPin, Error> {
        self.take_pin(own(value)?, lease)
    }

    /// Asks the writer to leave the files that this reader knows of, for `lease` nanoseconds, one day
    /// at most: nothing that was not dropped by now is missed by a read that begins while the pin
    /// holds.
    ///
    /// # Errors
    /// As [`Self::pin`], and what reading the manifest says.
    pub fn pin_files(&self, lease: u64) -> Result<ReaderPin, Error> {
        for _ in 1..ATTEMPTS_MAX {
            let pin = self.take_pin(self.catalog().number, lease)?;
            if self.control()?.catalog() == self.catalog().number {
                return Ok(pin);
            }
            drop(pin);
            self.refresh_files()?;
        }
        // The page says nothing, or the writer does nothing else: what is gone by now is noticed.
        self.take_pin(self.catalog().number, lease)
    }

    fn control(&self) -> Result<&ControlReader, Error> {
        let follower = self.follower.as_ref().expect("a reader follows");
        Ok(follower.pins()?)
    }

    fn take_pin(&self, value: u64, lease: u64) -> Result<ReaderPin, Error> {
        let handle = self.control()?.pin(self.disk.process(), value, self.disk.now(), lease)?;
        Ok(ReaderPin { handle, disk: Arc::clone(&self.disk) })
    }
}

impl Journal {
    /// The pins with values of the owner, of all processes, this one included. To be called after
    /// readers can see that something goes, and before it goes: a pin that is not listed is lost.
    ///
    /// # Errors
    /// [`Error::Control`] when a slot of the page did not keep still: nothing may go then.
    pub fn pins(&self) -> Result<Vec<OwnPin>, Error> {
        let disk = &self.shared.disk;
        let pins = self.shared.control.live_pins(disk.now(), &|process| disk.is_alive(process))?;
        let own = pins.into_iter().filter(|pin| pin.value >= OWN_VALUES).map(|pin| OwnPin {
            process: pin.owner,
            value: pin.value & !OWN_VALUES,
            until: pin.until,
        });
        Ok(own.collect())
    }

    /// As [`Reader::pin`], in the process of the writer.
    ///
    /// # Errors
    /// As [`Reader::pin`].
    pub fn pin(&self, value: u64, lease: u64) -> Result<ReaderPin, Error> {
        let disk = &self.shared.disk;
        let handle = self.shared.control.pin(own(value)?, disk.now(), lease)?;
        Ok(ReaderPin { handle, disk: Arc::clone(disk) })
    }
}

impl ReaderPin {
    /// Whether it still holds: what was read before is good if so.
    pub fn is_held(&self) -> bool {
        self.handle.is_held(self.disk.now())
    }

    /// Prolongs the lease, from now on.
    ///
    /// # Errors
    /// [`Error::Control`] when it has been lost.
    pub fn renew(&mut self, lease: u64) -> Result<(), Error> {
        Ok(self.handle.renew(self.disk.now(), lease)?)
    }
}
