//! Words that are seen all old or all new: a sequence lock.
//!
//! 1. The writer makes the sequence odd, writes the words, makes the sequence even.
//! 2. A reader reads the sequence, the words and the sequence again. If it was even and is the same,
//!    the words belong together.
//!
//! Invariants:
//! - One writer at a time: who writes holds the journal's lock.
//! - A writer that died in the middle leaves the sequence odd. Readers give up after
//!   [`Word::ATTEMPTS_MAX`] attempts; the next write makes it whole.
//!
//! Why the fences: without the writer's first, its words could be seen before the odd sequence;
//! without the reader's second, its words could be read after the sequence was read again.

use crate::layer::{Ordering, Word};

use super::ControlError;

/// Writes all words at once.
pub(super) fn write<W: Word, const N: usize>(sequence: &W, words: &[W; N], values: &[u64; N]) {
    let odd = sequence.load() | 1;
    sequence.store(odd, Ordering::Relaxed);
    W::fence(Ordering::Release);
    for (word, value) in words.iter().zip(values) {
        word.store(*value, Ordering::Relaxed);
    }
    sequence.store(odd.wrapping_add(1), Ordering::Release);
}

/// Reads all words as one write left them.
pub(super) fn read<W: Word, const N: usize>(
    sequence: &W,
    words: &[W; N],
) -> Result<[u64; N], ControlError> {
    for attempt in 0..W::ATTEMPTS_MAX {
        let before = sequence.load();
        if before.is_multiple_of(2) {
            W::fence(Ordering::Acquire);
            let values = std::array::from_fn(|index| words[index].load());
            W::fence(Ordering::Acquire);
            if sequence.load() == before {
                return Ok(values);
            }
        }
        W::pause(attempt);
    }
    Err(ControlError::Unsettled)
}
