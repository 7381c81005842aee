//! What the other side of a link wrote, where it makes no sense.

/// The other side broke the protocol. The link cannot be used any further: end the run, and look at
/// the process on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkFault {
    /// A consumer took back a release, or released more than was published.
    #[error("consumer {consumer} says it released {found} fragments, not {low} to {high}")]
    Progress {
        /// Its index.
        consumer: usize,
        /// What it said before.
        low: u64,
        /// What is published.
        high: u64,
        /// What it says now.
        found: u64,
    },
    /// A consumer's bytes do not go with its fragments.
    #[error("consumer {consumer} says it released {found} bytes, not {low} to {high}")]
    ProgressBytes {
        /// Its index.
        consumer: usize,
        /// Bytes of the fragments that it released.
        low: u64,
        /// Bytes published.
        high: u64,
        /// What it says.
        found: u64,
    },
    /// The producer took back a fragment, or published over some that are not released.
    #[error("the producer says it published {found} fragments, not {low} to {high}")]
    Published {
        /// What it said before.
        low: u64,
        /// What the ring can hold.
        high: u64,
        /// What it says now.
        found: u64,
    },
    /// A descriptor is not the next one.
    #[error("the descriptor of fragment {expected} says it is fragment {found}")]
    Sequence {
        /// The sequence it should have.
        expected: u64,
        /// The sequence it has.
        found: u64,
    },
    /// A descriptor does not go on where the stream was.
    #[error("fragment {sequence} says it starts at stream byte {found}, not {expected}")]
    StreamOffset {
        /// Which fragment.
        sequence: u64,
        /// Where the stream was.
        expected: u64,
        /// Where it says it starts.
        found: u64,
    },
    /// A descriptor's bytes lie outside of the link's memory.
    #[error("fragment {sequence} says its {bytes} bytes are at {place}, outside the link's memory")]
    Place {
        /// Which fragment.
        sequence: u64,
        /// Where it says they lie.
        place: u64,
        /// How many it says they are.
        bytes: u32,
    },
}
