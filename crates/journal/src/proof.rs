//! Proofs: what shows to someone without the store that an event, a frame or an older head belongs
//! to the history that a [`Head`](crate::Head) states.
//!
//! - [`FrameProof`]: a frame's header and the root of its leaves give its digest; partners lead
//!   from there to the root of the mountain range.
//! - [`EventProof`]: partners lead from the event's record to the root of its frame's leaves; then
//!   as above.
//! - [`ConsistencyProof`]: the history of one head begins with that of an older one.
//!
//! Verification is pure, needs no more than proof and head, and looks at every field of the proof:
//! one that differs in any bit fails. What it is worth is what the head is worth.
//!
//! Each proof has bytes of its own (`docs/formats/journal/proofs.md`), which are read strictly:
//! what decodes encodes to the same bytes.
//!
//! What it does *not* do: read a store, or say who vouches for a head (see `head`).

mod consistency;
mod event;
mod frame;
pub(crate) mod fuzzing;
mod inclusion;
mod wire;

pub use consistency::ConsistencyProof;
pub use event::{EventProof, VerifiedEvent};
pub use frame::{FrameProof, VerifiedFrame};
pub(crate) use inclusion::InclusionProof;

use crate::head::KeyId;

#[cfg(test)]
mod tests;

/// Why something is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The proof leads to another head than the one given.
    #[error(
        "the proof is for a history of {proof} frames and the head given has {head}; take the head it was made for, or make a proof for this head"
    )]
    OtherHead {
        /// Frames of the history that the proof was made for.
        proof: u64,
        /// Frames of the head given.
        head: u64,
    },
    /// The heads are of different stores, or in the wrong order.
    #[error(
        "the two heads cannot be of one history: {what}; compare heads of one store, the older one first"
    )]
    Heads {
        /// What shows it.
        what: &'static str,
    },
    /// The record is not the one that the proof is about.
    #[error(
        "the bytes are not the record of the event that the proof is about; they, or the proof, were changed"
    )]
    Record,
    /// The frame's header is damaged, or its digest is not that of its content in this store.
    #[error(
        "the frame in the proof is not authentic: {what}; the proof is of another store, or was changed"
    )]
    Frame {
        /// What is wrong with it.
        what: &'static str,
    },
    /// What the proof is about is not part of the head's history.
    #[error(
        "this is not part of the history that the head states: proof or head were changed, or the store's history was rewritten"
    )]
    NotInHistory,
    /// The older history is not the beginning of the newer one.
    #[error(
        "the newer history does not begin with the older one: a proof or head was changed, or the store's history was rewritten"
    )]
    NotConsistent,
    /// The receipt says something else than the proof.
    #[error(
        "the receipt and the proven frame differ in {what}; the receipt is of another batch, or was changed"
    )]
    Receipt {
        /// In what they differ.
        what: &'static str,
    },
    /// The bytes are no public key, or one that vouches for nothing.
    #[error(
        "the bytes are not an Ed25519 public key that can be trusted; check where the key came from"
    )]
    Key,
    /// The head was signed with another key.
    #[error("the head names key {named} and the key given is {given}; give the key that signed it")]
    OtherKey {
        /// The key that the head names.
        named: KeyId,
        /// The key given.
        given: KeyId,
    },
    /// The signature is not that of the key over this head.
    #[error(
        "the signature does not fit the head: the head was changed, or the key's owner did not sign it"
    )]
    Signature,
}
