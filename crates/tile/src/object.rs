//! Memory with a name that several tiles use: words that one of them writes and others read.
//!
//! For what is no stream: a figure that is looked at now and then, a table that is filled at start.
//! Reading and writing go by atomic words, so that nothing is torn; what belongs together has to be
//! told by the users' own protocol. What a process writes there is as hostile as what it publishes.

use std::sync::atomic::Ordering;

use crate::layer::Words;

/// An object as one tile sees it.
pub struct Object {
    words: Words,
    is_writable: bool,
}

impl Object {
    pub(crate) fn new(words: Words, is_writable: bool) -> Self {
        Self { words, is_writable }
    }

    /// How many words it has.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads a word; what its writer wrote before is seen, too.
    ///
    /// # Panics
    /// Beyond its end.
    pub fn load(&self, index: usize) -> u64 {
        self.words.load(index, Ordering::Acquire)
    }

    /// Writes a word.
    ///
    /// # Panics
    /// Beyond its end, and when the tile has declared that it only reads.
    pub fn store(&self, index: usize, value: u64) {
        assert!(self.is_writable, "the tile has declared that it only reads this object");
        self.words.store(index, value, Ordering::Release);
    }
}
