//! A reader's side of the control page, in the writer's process or in another.
//!
//! A page may hold anything: whatever it says is read once, into locals, and checked there.

use std::sync::Arc;

use icecore_disk::{ProcessIdentity, SharedPage};

use crate::{
    StoreId,
    layer::{Ordering, Page, Word},
};

use super::{
    CATALOG, ControlError, Frontier, GROUP_WORDS, HEARTBEAT, PinHandle, SEQUENCE, WriterIdentity,
    group, pins, unpack,
};

/// Reads how far the journal is durable, and pins what is to be kept.
#[derive(Debug, Clone)]
pub(crate) struct ControlReader<P = Arc<dyn SharedPage>> {
    page: P,
    store_id: StoreId,
}

impl<P: Page> ControlReader<P> {
    /// A reader of the page of this store. It reads nothing yet.
    pub(crate) fn new(page: P, store_id: StoreId) -> Self {
        Self { page, store_id }
    }

    /// How far other processes may read. Gives up, with [`ControlError::Unsettled`], when a writer
    /// has died in the middle of a change.
    pub(crate) fn frontier(&self) -> Result<Frontier, ControlError> {
        self.read().map(|(_, frontier)| frontier)
    }

    /// Who writes, or was the last to.
    pub(crate) fn writer(&self) -> Result<WriterIdentity, ControlError> {
        self.read().map(|(writer, _)| writer)
    }

    /// Number of the manifest that holds now. It means nothing before a writer has set the page up.
    pub(crate) fn catalog(&self) -> u64 {
        let number = self.page.words()[CATALOG].load();
        P::Word::fence(Ordering::Acquire);
        number
    }

    /// When the writer last showed that it is at work, in nanoseconds since 1970.
    pub(crate) fn heartbeat(&self) -> u64 {
        self.page.words()[HEARTBEAT].load()
    }

    fn read(&self) -> Result<(WriterIdentity, Frontier), ControlError> {
        let words = self.page.words();
        let group = words.first_chunk::<GROUP_WORDS>().expect("the page begins with them");
        let (writer, frontier) = unpack(&group::read(&words[SEQUENCE], group)?)?;
        if writer.store_id != self.store_id {
            return Err(ControlError::OtherStore);
        }
        Ok((writer, frontier))
    }
}

impl<P: Page + Clone> ControlReader<P> {
    /// Asks the writer to keep what `value` stands for, for `lease` nanoseconds from `now` on, one
    /// day at most. The page has to be writable. After that, the caller looks whether what it
    /// pinned is still there: whether [`catalog`](Self::catalog) is still what it was.
    pub(crate) fn pin(
        &self,
        owner: ProcessIdentity,
        value: u64,
        now: u64,
        lease: u64,
    ) -> Result<PinHandle<P>, ControlError> {
        pins::pin(&self.page, owner, value, now, lease)
    }
}
