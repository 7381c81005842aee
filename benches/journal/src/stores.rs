//! Stores that are built once and then read in every round.

use std::{path::Path, sync::Arc};

use crate::{
    Failure,
    scratch::Scratch,
    subject::{self, Contender, Mode, Subject},
    workload::Workload,
};

/// How large the stores are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Sizes {
    /// Events of peers that take long to build; nobody has more than the others' number
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) slow_events: u64,
    /// Events of everybody else
    #[arg(long, default_value_t = 10_000_000)]
    pub(crate) events: u64,
    /// Streams
    #[arg(long, default_value_t = 1000)]
    pub(crate) streams: u64,
}

impl Sizes {
    /// Events that this one gets.
    pub(crate) fn of(&self, contender: Contender) -> u64 {
        match contender {
            Contender::Batpak => self.slow_events.min(self.events),
            Contender::Journal | Contender::Fjall | Contender::Redb => self.events,
        }
    }
}

/// Open stores, with their numbers of events.
pub(crate) struct Stores {
    pub(crate) open: Vec<(Contender, u64, Box<dyn Subject>)>,
    /// Removed when the stores are closed: fields are dropped in order.
    _scratch: Scratch,
}

impl Stores {
    /// Builds them in batches, or one by one where batches are the slower way; closes them, opens
    /// them again and readies them for reading.
    pub(crate) fn build(
        folder: &Path,
        only: &[Contender],
        sizes: &Sizes,
        workload: &Arc<Workload>,
    ) -> Result<Self, Failure> {
        let scratch = Scratch::new(folder, "stores")?;
        let mut open = Vec::new();
        for contender in subject::chosen(only) {
            let folder = scratch.path().join(contender.to_string());
            let events = sizes.of(contender);
            let subject = contender.open(&folder, workload, Mode::Buffered)?;
            contender.fill(&*subject, 0..events)?;
            subject.close()?;
            let subject = contender.open(&folder, workload, Mode::Buffered)?;
            subject.ready_to_read(events)?;
            open.push((contender, events, subject));
        }
        Ok(Self { open, _scratch: scratch })
    }
}
