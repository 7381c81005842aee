//! A link: a stream of fragments in shared memory, from one producer to reliable consumers.
//!
//! The producer writes a ring of descriptors, and a count of what it has published. Every consumer
//! writes one line that says how far it is, in fragments and in bytes. A fragment's bytes lie in a
//! workspace and stay where they are until every consumer has released them: in the producer's own
//! data region, or inside a fragment of another link, which the producer then holds.
//!
//! To publish: 1. have a free descriptor and room for the bytes (the slowest consumer decides);
//! 2. write the bytes; 3. write the descriptor; 4. publish the new count with release; 5. fence, and
//! ring the consumers that sleep. To consume: 1. read the count with acquire; 2. read the
//! descriptor, once, and check it; 3. use the bytes; 4. release: publish the lowest sequence that is
//! not released; 5. fence, and ring the producer if it sleeps.
//!
//! Invariants:
//! - Nothing is dropped and nothing is overwritten: what has no credit is refused.
//! - Each word is written by one side only. What the other side wrote is read once, checked, then
//!   used; what makes no sense is a [`LinkFault`], never a panic, an access out of bounds or a loop
//!   without end.
//! - Sequences and stream offsets start at 0 and only grow.
//! - There is one producer for a ring and one consumer for a progress line, and no one else writes
//!   the bytes of a data region. Whoever lays out the memory (the topology) keeps this; that bytes
//!   can be handed out as slices rests on it. Where another process can write the bytes
//!   or the progress lines, the link is foreign to its consumers, and their bytes must be copied.
//!
//! What it does *not* do: wait, allocate memory for bytes, or know what fragments mean.

mod consumer;
mod fault;
mod fragment;
mod producer;
mod room;
mod shape;

pub(crate) use consumer::Consumer;
pub use fault::LinkFault;
pub use fragment::Fragment;
pub use producer::{Credits, Producer};
pub use shape::Mark;
pub(crate) use shape::{CONSUMERS_MAX, DEPTH_MAX, LinkShape};

#[cfg(all(test, loom))]
mod loom;
#[cfg(all(test, feature = "shuttle", not(loom)))]
mod shuttle;
#[cfg(all(test, not(any(loom, feature = "shuttle"))))]
mod tests;
#[cfg(test)]
mod wiring;
