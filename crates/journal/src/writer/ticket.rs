//! The promise that a submitted batch gets: its place is known, what is left is to wait.

use std::sync::Arc;

use crate::{Error, Receipt, journal::Shared, writer::watermarks::Stage};

/// How far an append has to come before it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Durability {
    /// It has its place. It can still be lost: with the process, or when the disk refuses it.
    Buffered,
    /// The operating system has it: it survives the process, not a loss of power.
    Written,
    /// It survives a loss of power.
    #[default]
    Durable,
}

/// A batch that was accepted.
#[derive(Debug)]
#[must_use = "a batch is durable only after waiting for it"]
pub struct Ticket {
    pub(crate) shared: Arc<Shared>,
    pub(crate) receipt: Receipt,
    pub(crate) generation: u64,
}

impl Ticket {
    /// What the batch got: its sequences, its frame.
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// Waits until the batch has come so far.
    ///
    /// # Errors
    /// [`Error::TakenBack`] when a write failed and the batch is not part of the journal;
    /// [`Error::Poisoned`] when a sync failed, after which nobody can say whether it is durable.
    pub fn wait(&self, durability: Durability) -> Result<(), Error> {
        let end = self.receipt.end_sequence();
        match durability {
            Durability::Buffered => self.check(),
            Durability::Written => self.shared.write_to(end, self.generation),
            Durability::Durable => self.shared.sync_to(end, self.generation),
        }
    }

    /// Whether the batch has come so far, without waiting.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub fn has(&self, durability: Durability) -> Result<bool, Error> {
        let stage = match durability {
            Durability::Buffered => Stage::Accepted,
            Durability::Written => Stage::Written,
            Durability::Durable => Stage::Durable,
        };
        let has_come = self.shared.watermarks.at(stage) >= self.receipt.end_sequence();
        // Afterwards: sequences that were taken back come as far as that as others.
        self.check()?;
        Ok(has_come)
    }

    fn check(&self) -> Result<(), Error> {
        self.shared.check_ticket(self.receipt.end_sequence(), self.generation)
    }
}
