//! The next version of each stream, for the writer: a cache of fixed size that never forgets what
//! no index can tell yet.
//!
//! What holds:
//! - a version that is given out is the newest that was put in;
//! - a stream that is not found has no version put in since its events were published: the index
//!   over published events knows it.
//!
//! 1. A stream's id is a keyed hash of its key. Some of its bits choose a *set* of [`WAYS`]
//!    entries, 80 others are compared, so nobody can choose streams that collide.
//! 2. In a set, the entry used last is first. A new one takes the place of the last.
//! 3. What leaves a set goes to the *overflow*, with the end of the events accepted by then, and is
//!    dropped from there when all of these are published. So the overflow has at most as many
//!    entries as were put in since the published end, and the writer bounds how far that is behind.
//!
//! An entry takes 16 bytes. Memory that no entry was put in is never written, and costs nothing.
//! For many streams the time goes into waiting for memory: asking for all streams of a batch before
//! putting any in lets these waits overlap.
//!
//! Not here: reading versions from indexes, and knowing what is published.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
};

/// Entries of a set: their comparands fill a cache line, their versions another.
const WAYS: usize = 8;
/// A set in words: first the comparands of all entries, then the versions.
const SET_WORDS: usize = 2 * WAYS;
/// Bits of the word with the version; the others hold the 16 more bits that are compared.
const VERSION_BITS: u32 = 48;
/// The version is kept one higher, so that 0 tells an entry that was never used.
const VERSION_MASK: u64 = (1 << VERSION_BITS) - 1;

/// What of a stream's id tells it from others: the bits that entries hold, and its set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    tag: u64,
    /// In the high 16 bits.
    more_tag: u64,
    set: usize,
}

/// A version that left its set.
#[derive(Debug, Clone, Copy)]
struct Overflowed {
    next_version: u64,
    /// Its events are published when the events below this are.
    end_sequence: u64,
}

/// Stream ids with the next version of each.
pub(crate) struct StreamHeads {
    /// All sets, from `start` on, with room for that.
    words: Vec<u64>,
    /// Where sets begin at a multiple of their size in memory, so that each is in two cache lines.
    start: usize,
    /// One less than the count of sets, a power of two.
    set_mask: usize,
    overflow: HashMap<Key, Overflowed>,
    /// Keys of the overflow, by the end of events with which they came in. One that came in again
    /// is there again, and counts with its last end.
    leaving: VecDeque<(u64, Key)>,
    /// End of the events published.
    published: u64,
}

impl fmt::Debug for StreamHeads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamHeads")
            .field("sets", &(self.set_mask + 1))
            .field("overflow", &self.overflow.len())
            .finish_non_exhaustive()
    }
}

impl StreamHeads {
    /// An empty cache of so many entries, 16 bytes each.
    ///
    /// # Panics
    /// If it is not a power of two, or less than [`WAYS`].
    pub(crate) fn new(entries: usize) -> Self {
        assert!(entries.is_power_of_two() && entries >= WAYS, "sets are chosen by bits");
        let words = vec![0_u64; 2 * entries + SET_WORDS];
        Self {
            start: words.as_ptr().align_offset(SET_WORDS * size_of::<u64>()) % SET_WORDS,
            set_mask: entries / WAYS - 1,
            words,
            overflow: HashMap::new(),
            leaving: VecDeque::new(),
            published: 0,
        }
    }

    /// The next version of a stream; `None` if published events tell it.
    pub(crate) fn get(&self, id: &[u8; 16]) -> Option<u64> {
        let key = self.key(id);
        let (tags, versions) = self.set(key);
        if let Some(way) = way_of(tags, versions, key) {
            return Some((versions[way] & VERSION_MASK) - 1);
        }
        if self.overflow.is_empty() {
            return None;
        }
        self.overflow.get(&key).map(|overflowed| overflowed.next_version)
    }

    /// Puts in the next version of a stream. All its events, and those of every version put in
    /// before, are below `end_sequence`, the end of the accepted events.
    pub(crate) fn insert(&mut self, id: &[u8; 16], next_version: u64, end_sequence: u64) {
        let key = self.key(id);
        if !self.overflow.is_empty() {
            self.overflow.remove(&key);
        }
        let (tags, versions) = self.set_mut(key);
        let way = way_of(tags, versions, key);
        if next_version >= VERSION_MASK {
            // Too large for an entry.
            if let Some(way) = way {
                versions[way] = 0;
            }
            return self.overflow(key, next_version, end_sequence);
        }
        let last = way.unwrap_or(WAYS - 1);
        let (last_tag, last_version) = (tags[last], versions[last]);
        for way in (0..last).rev() {
            tags[way + 1] = tags[way];
            versions[way + 1] = versions[way];
        }
        tags[0] = key.tag;
        versions[0] = key.more_tag | (next_version + 1);
        if way.is_none() && last_version & VERSION_MASK != 0 {
            let evicted =
                Key { tag: last_tag, more_tag: last_version & !VERSION_MASK, set: key.set };
            self.overflow(evicted, (last_version & VERSION_MASK) - 1, end_sequence);
        }
    }

    /// Events below `end_sequence` are published: an index tells the versions of their streams.
    pub(crate) fn published(&mut self, end_sequence: u64) {
        self.published = self.published.max(end_sequence);
        while let Some(&(end_sequence, key)) = self.leaving.front()
            && end_sequence <= self.published
        {
            self.leaving.pop_front();
            if self.overflow.get(&key).is_some_and(|entry| entry.end_sequence <= self.published) {
                self.overflow.remove(&key);
            }
        }
    }

    /// Forgets everything: published events tell all versions again, or those accepted since then
    /// are void.
    pub(crate) fn clear(&mut self) {
        *self = Self { published: self.published, ..Self::new((self.set_mask + 1) * WAYS) };
    }

    fn overflow(&mut self, key: Key, next_version: u64, end_sequence: u64) {
        if end_sequence <= self.published {
            return;
        }
        assert!(
            self.leaving.back().is_none_or(|&(before, _)| before <= end_sequence),
            "the end of accepted events never goes back"
        );
        self.overflow.insert(key, Overflowed { next_version, end_sequence });
        self.leaving.push_back((end_sequence, key));
    }

    fn key(&self, id: &[u8; 16]) -> Key {
        let low = u64::from_le_bytes(*id.first_chunk().expect("it has 16 bytes"));
        let high = u64::from_le_bytes(*id.last_chunk().expect("it has 16 bytes"));
        Key { tag: low, more_tag: high & !VERSION_MASK, set: high as usize & self.set_mask }
    }

    /// Comparands and versions of a set.
    fn set(&self, key: Key) -> (&[u64; WAYS], &[u64; WAYS]) {
        let words = &self.words[self.start + key.set * SET_WORDS..][..SET_WORDS];
        let (tags, versions) = words.split_at(WAYS);
        (tags.try_into().expect("half a set"), versions.try_into().expect("half a set"))
    }

    fn set_mut(&mut self, key: Key) -> (&mut [u64; WAYS], &mut [u64; WAYS]) {
        let words = &mut self.words[self.start + key.set * SET_WORDS..][..SET_WORDS];
        let (tags, versions) = words.split_at_mut(WAYS);
        (tags.try_into().expect("half a set"), versions.try_into().expect("half a set"))
    }
}

/// Which entry of a set is the stream's. Tags are compared without branches: where in the set it is
/// cannot be foreseen.
fn way_of(tags: &[u64; WAYS], versions: &[u64; WAYS], key: Key) -> Option<usize> {
    let mut equal = tags
        .iter()
        .enumerate()
        .fold(0_u32, |equal, (way, &tag)| equal | u32::from(tag == key.tag) << way);
    while equal != 0 {
        let way = equal.trailing_zeros() as usize;
        if versions[way] & !VERSION_MASK == key.more_tag && versions[way] & VERSION_MASK != 0 {
            return Some(way);
        }
        equal &= equal - 1;
    }
    None
}
