//! The side of a link that takes fragments.
//!
//! Invariants: everything the producer wrote is read once and checked before it is used: the count
//! against the ring, and each descriptor against the stream and the memory.
//!
//! What it does *not* do: wait; a host does, on its bell.

use std::sync::Arc;

use super::{
    fault::LinkFault,
    fragment::{Fragment, Holds},
    shape::{LINE_WORDS, LinkShape, Ring},
};
use crate::{
    bell::Bell,
    layer::{Region, Words},
};

/// One of the consumers of a link. It stays on the thread that takes the first fragment.
#[derive(Debug)]
pub(crate) struct Consumer {
    ring: Ring,
    depth: u64,
    holds: Arc<Holds>,
    /// Fragments known to be published.
    published: u64,
    /// Where the stream goes on.
    stream_offset: u64,
}

// SAFETY: what the fragments share with it is plain memory, and only touched after the check that
// this is the thread which took the first of them. Before that there are none.
unsafe impl Send for Consumer {}

impl Consumer {
    /// Consumer `index` of a fresh link. `progress` is that of all consumers. Fragments lie inside
    /// `memory`; `foreign` says that another process can write there. `producer_bell` is rung on
    /// every release that moves the progress.
    pub(crate) fn new(
        shape: LinkShape,
        ring: Words,
        progress: Words,
        index: usize,
        memory: Region,
        foreign: bool,
        producer_bell: Bell,
    ) -> Self {
        shape.check(&ring, &progress);
        assert!(index < shape.consumers, "consumer {index} of {}", shape.consumers);
        let line = progress.at(index * LINE_WORDS, LINE_WORDS);
        #[expect(clippy::arc_with_non_send_sync, reason = "it lives where its last user does")]
        let holds = Arc::new(Holds::new(shape.depth, line, memory, foreign, producer_bell));
        Self {
            ring: Ring::new(ring, shape.depth),
            depth: u64::from(shape.depth),
            holds,
            published: 0,
            stream_offset: 0,
        }
    }

    /// Takes the next fragment, if there is one.
    #[inline]
    #[allow(
        clippy::should_implement_trait,
        reason = "it can fail, and there is always a next time"
    )]
    pub(crate) fn next(&mut self) -> Result<Option<Fragment>, LinkFault> {
        self.holds.stay_on_thread();
        if self.published == self.taken() {
            self.look()?;
        }
        if self.published == self.taken() { Ok(None) } else { self.take().map(Some) }
    }

    /// Whether something is published that was not taken.
    #[inline]
    pub(crate) fn ready(&self) -> bool {
        self.ring.published() != self.taken()
    }

    /// Fragments taken.
    pub(crate) fn taken(&self) -> u64 {
        self.holds.taken()
    }

    /// Fragments from the first that is still held to the last taken.
    pub(crate) fn held(&self) -> u64 {
        self.taken() - self.holds.released()
    }

    /// Takes and releases all that is published now. Panics if a fragment taken before is still
    /// held: the caller would wait for itself.
    pub(crate) fn skip_all(&mut self) -> Result<(), LinkFault> {
        self.holds.stay_on_thread();
        assert_eq!(
            self.holds.released(),
            self.taken(),
            "fragments are dropped before the rest is skipped"
        );
        self.look()?;
        while self.taken() < self.published {
            drop(self.take()?);
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), LinkFault> {
        let found = self.ring.published();
        // The released ones can be overwritten, and only those.
        let (low, high) = (self.published, self.holds.released().saturating_add(self.depth));
        if !(low..=high).contains(&found) {
            return Err(LinkFault::Published { low, high, found });
        }
        self.published = found;
        Ok(())
    }

    #[inline]
    fn take(&mut self) -> Result<Fragment, LinkFault> {
        let sequence = self.taken();
        let descriptor = self.ring.descriptor(sequence);
        if descriptor.sequence != sequence {
            let found = descriptor.sequence;
            return Err(LinkFault::Sequence { expected: sequence, found });
        }
        let (expected, found) = (self.stream_offset, descriptor.stream_offset);
        if found != expected {
            return Err(LinkFault::StreamOffset { sequence, expected, found });
        }
        let (place, bytes) = (descriptor.place, descriptor.bytes);
        if !self.holds.region().holds(place, u64::from(bytes)) {
            return Err(LinkFault::Place { sequence, place, bytes });
        }
        // A producer would need many years to reach the end of the numbers.
        self.stream_offset = self.stream_offset.wrapping_add(u64::from(bytes));
        self.holds.take_next();
        Ok(Fragment::new(&self.holds, self.ring.slot(sequence), descriptor))
    }
}
