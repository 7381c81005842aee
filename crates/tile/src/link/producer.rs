//! The side of a link that publishes fragments.
//!
//! Its own table says what each fragment in flight occupies; what consumers write decides only how
//! many of them are released. So no consumer can free what it was not given, and a consumer that
//! claims too much harms its own reading only.
//!
//! What it does *not* do: wait for credit; it refuses, and the tile asks again when its bell rings.

use std::{ops::Range, slice, sync::atomic::Ordering};

use super::{
    fault::LinkFault,
    fragment::Fragment,
    room::Room,
    shape::{Descriptor, LINE_WORDS, LinkShape, Mark, PROGRESS_SEQUENCE, PROGRESS_STREAM, Ring},
};
use crate::{
    bell::Bell,
    layer::{Region, Words},
};

/// What can be published now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credits {
    /// Fragments.
    pub fragments: u32,
    /// Bytes of the largest [`Producer::space`].
    pub bytes: usize,
}

/// The producer of a link. It stays on a thread once it holds fragments of other links.
#[derive(Debug)]
pub struct Producer {
    ring: Ring,
    progress: Words,
    region: Region,
    consumer_bells: Vec<Bell>,
    room: Room,
    /// Bytes of the space last given, while nothing was published since.
    given: Option<usize>,
    /// What each fragment in flight occupies, by slot.
    slots: Box<[Slot]>,
    /// Fragments published, and where the stream goes on.
    published: Position,
    /// What all consumers have released, as far as known.
    released: Position,
    /// Fragments that each consumer was last seen to have released.
    seen: Vec<u64>,
    held_back: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Position {
    sequence: u64,
    stream_offset: u64,
}

/// What a fragment in flight occupies.
#[derive(Debug, Default)]
struct Slot {
    /// Stream offset behind it.
    end: u64,
    /// What to give back to the room.
    taken: usize,
    /// The fragment of another link whose bytes it is.
    held: Option<Fragment>,
}

// SAFETY: the only thing in it that is not Send are held fragments, which check on every touch that
// they are on the thread that took them.
unsafe impl Send for Producer {}

impl Producer {
    /// The producer of a fresh link. `progress` is that of all consumers, `region` the data region
    /// (in the workspace of held fragments; may be empty). The bells are those of the consumers'
    /// hosts, each needed once.
    pub(crate) fn new(
        shape: LinkShape,
        ring: Words,
        progress: Words,
        region: Region,
        consumer_bells: Vec<Bell>,
    ) -> Self {
        shape.check(&ring, &progress);
        assert_eq!(region.len(), shape.data_bytes, "bytes of the data region");
        Self {
            ring: Ring::new(ring, shape.depth),
            progress,
            room: Room::new(region.len()),
            region,
            consumer_bells,
            given: None,
            slots: (0..shape.depth).map(|_| Slot::default()).collect(),
            published: Position::default(),
            released: Position::default(),
            seen: vec![0; shape.consumers],
            held_back: 0,
        }
    }

    /// Looks how far the consumers are, drops what all of them have released, and says what can be
    /// published. A producer that holds fragments of other links calls this whenever it runs, or
    /// those links stay full.
    pub fn credits(&mut self) -> Result<Credits, LinkFault> {
        self.look()?;
        let fragments = u32::try_from(self.free_slots()).expect("a ring's depth is 32 bits");
        Ok(Credits { fragments, bytes: self.room.largest() })
    }

    /// At least `bytes` contiguous bytes to write to, if there is credit for a fragment with them.
    ///
    /// Asked again before anything is published, it gives the same place, maybe larger, with what
    /// was written there, unless `bytes` do not fit there. Panics if `bytes` are more than the
    /// region has.
    #[inline]
    pub fn space(&mut self, bytes: usize) -> Result<Option<&mut [u8]>, LinkFault> {
        let capacity = self.room.capacity();
        assert!(bytes <= capacity, "{bytes} bytes never fit into a region of {capacity}");
        let Some(start) = self.find(bytes)? else { return Ok(None) };
        let length = self.given.expect("what was found is given");
        let address = self.region.writable(self.region.start() + start, length);
        // SAFETY: the region checked the bounds. The bytes are in no fragment in flight, so nobody
        // reads them: whoever did has released them, which the acquire of `look` has seen. This
        // producer is the only writer, and `self` is borrowed while the slice lives.
        Ok(Some(unsafe { slice::from_raw_parts_mut(address, length) }))
    }

    /// Publishes the first `bytes` of the space last given and rings the consumers. Panics without
    /// such a space, if it is smaller, or if `bytes` do not fit into 32 bits.
    #[inline]
    pub fn publish(&mut self, bytes: usize, mark: Mark) {
        let given = self.given.take().expect("space is asked for before a fragment is published");
        assert!(bytes <= given, "{bytes} bytes published of {given} given");
        let place = self.room.here().start + self.region.start();
        let taken = self.room.take(bytes);
        self.send(place, bytes, mark, taken, None);
    }

    /// Publishes bytes `range` of another link's fragment where they lie, and holds the fragment
    /// until all consumers have released them; returns false without credit. A space given before
    /// has to be asked for again, with what was written there.
    ///
    /// Panics if the fragment lies in another workspace or has no such bytes.
    #[inline]
    pub fn publish_held(
        &mut self,
        fragment: &Fragment,
        range: Range<usize>,
        mark: Mark,
    ) -> Result<bool, LinkFault> {
        assert!(
            self.region.shares_workspace(fragment.memory()),
            "a fragment is passed on inside its own workspace"
        );
        assert!(
            range.start <= range.end && range.end <= fragment.len(),
            "bytes {range:?} of a fragment of {}",
            fragment.len()
        );
        if self.free_slots() == 0 {
            self.look()?;
        }
        if self.free_slots() == 0 {
            self.held_back += 1;
            return Ok(false);
        }
        self.given = None;
        let place = fragment.place() + range.start;
        self.send(place, range.len(), mark, 0, Some(fragment.clone()));
        Ok(true)
    }

    /// Fragments published.
    pub fn published(&self) -> u64 {
        self.published.sequence
    }

    /// The lowest sequence that a consumer has not released, as of the last look.
    pub fn consumed(&self, consumer: usize) -> u64 {
        self.seen[consumer]
    }

    /// Bytes published.
    pub fn published_bytes(&self) -> u64 {
        self.published.stream_offset
    }

    /// How often credit was refused.
    pub fn held_back(&self) -> u64 {
        self.held_back
    }

    /// Fragments and bytes published and not released by all, as of the last look.
    pub fn in_flight(&self) -> (u64, u64) {
        (
            self.published.sequence - self.released.sequence,
            self.published.stream_offset - self.released.stream_offset,
        )
    }

    /// Whether all consumers have released all that was published. Looks now.
    pub fn is_drained(&self) -> bool {
        self.progress_now().all(|found| found == self.published.sequence)
    }

    /// Whether some consumer has released something since the last look: what a host asks before it
    /// sleeps for want of credit. Looks now.
    pub(crate) fn has_news(&self) -> bool {
        !self.progress_now().eq(self.seen.iter().copied())
    }

    /// Forgets the space given, and releases what the consumers have released. After all of them
    /// have skipped to the end, the link is as good as new, except that its numbers go on.
    pub(crate) fn reset(&mut self) -> Result<(), LinkFault> {
        self.given = None;
        self.room.forget_place();
        self.look()
    }

    fn free_slots(&self) -> usize {
        self.slots.len() - (self.published.sequence - self.released.sequence) as usize
    }

    fn progress_now(&self) -> impl Iterator<Item = u64> {
        let sequences = (0..self.seen.len()).map(|index| index * LINE_WORDS + PROGRESS_SEQUENCE);
        sequences.map(|word| self.progress.load(word, Ordering::Acquire))
    }

    /// Start of the space for `bytes`; looks at the consumers only if what is known is not enough.
    #[inline]
    fn find(&mut self, bytes: usize) -> Result<Option<usize>, LinkFault> {
        let mut place = self.place(bytes);
        if place.is_none() {
            self.look()?;
            place = self.place(bytes);
        }
        self.given = place.map(|place| place.bytes);
        self.held_back += u64::from(place.is_none());
        Ok(place.map(|place| place.start))
    }

    #[inline]
    fn place(&mut self, bytes: usize) -> Option<super::room::Place> {
        if self.free_slots() == 0 { None } else { self.room.place(bytes) }
    }

    #[inline]
    fn send(
        &mut self,
        place: usize,
        bytes: usize,
        mark: Mark,
        taken: usize,
        held: Option<Fragment>,
    ) {
        let Position { sequence, stream_offset } = self.published;
        let end = stream_offset + bytes as u64;
        self.slots[self.ring.slot(sequence)] = Slot { end, taken, held };
        self.published = Position { sequence: sequence + 1, stream_offset: end };
        let place = place as u64;
        let bytes = u32::try_from(bytes).expect("a fragment's size fits into 32 bits");
        self.ring.publish(&Descriptor { sequence, stream_offset, place, bytes, mark });
        Bell::ring_all(&self.consumer_bells);
    }

    /// Reads and checks every consumer's progress, and releases what all of them have.
    fn look(&mut self) -> Result<(), LinkFault> {
        let mut lowest = self.published.sequence;
        for consumer in 0..self.seen.len() {
            lowest = lowest.min(self.look_at(consumer)?);
        }
        // At most one turn of the ring.
        while self.released.sequence < lowest {
            let slot = &mut self.slots[self.ring.slot(self.released.sequence)];
            self.released =
                Position { sequence: self.released.sequence + 1, stream_offset: slot.end };
            self.room.give_back(slot.taken);
            slot.held = None;
        }
        Ok(())
    }

    fn look_at(&mut self, consumer: usize) -> Result<u64, LinkFault> {
        let line = consumer * LINE_WORDS;
        let found = self.progress.load(line + PROGRESS_SEQUENCE, Ordering::Acquire);
        let (low, high) = (self.seen[consumer], self.published.sequence);
        if !(low..=high).contains(&found) {
            return Err(LinkFault::Progress { consumer, low, high, found });
        }
        self.seen[consumer] = found;
        self.check_bytes(consumer, found)?;
        Ok(found)
    }

    /// The bytes were written before the sequence: they may be newer, never older.
    fn check_bytes(&self, consumer: usize, sequence: u64) -> Result<(), LinkFault> {
        let word = consumer * LINE_WORDS + PROGRESS_STREAM;
        let found = self.progress.load(word, Ordering::Relaxed);
        let low = if sequence == self.released.sequence {
            self.released.stream_offset
        } else {
            self.slots[self.ring.slot(sequence - 1)].end
        };
        let high = self.published.stream_offset;
        if (low..=high).contains(&found) {
            Ok(())
        } else {
            Err(LinkFault::ProgressBytes { consumer, low, high, found })
        }
    }
}
