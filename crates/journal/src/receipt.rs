//! Receipts: what the caller of an append is given, and can later show.
//!
//! A receipt says what was accepted: which sequences, in which frame, when, and where the events
//! stand in their streams. With a proof and a head it is checked without the store: the frame's
//! digest covers all of it.
//!
//! What it does *not* do: say that the batch is durable (the watermarks do), or carry the events.

use std::{ops::Range, sync::Arc};

use crate::{
    Malformed,
    digest::{Digest, StoreId},
    format::{
        fields::{array_at, digest_at, put, u16_at, u32_at, u64_at},
        frame::{FRAME_EVENTS_MAX, FrameHeader},
    },
    head::Head,
    proof::{EventProof, FrameProof, ProofError, VerifiedEvent, VerifiedFrame},
};

const RECEIPT_MAGIC: [u8; 4] = *b"ICER";
const FORMAT: u16 = 1;

// Places in the bytes; the table is in docs/formats/journal/proofs.md.
const FORMAT_AT: usize = 4;
const ZERO_AFTER_FORMAT: usize = 6;
const EVENT_COUNT: usize = 8;
const ZERO_AFTER_COUNT: usize = 12;
const STORE_ID: usize = 16;
const FIRST_SEQUENCE: usize = 32;
const FRAME_NUMBER: usize = 40;
const TIME: usize = 48;
const ZERO_AFTER_TIME: usize = 56;
const FRAME_DIGEST: usize = 64;
const FIXED_BYTES: usize = 96;

/// What was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The store.
    pub store_id: StoreId,
    /// Sequence of the first event; the others follow without a gap.
    pub first_sequence: u64,
    /// The batch's frame: its place in the chain.
    pub frame_number: u64,
    /// When it was accepted, in nanoseconds since 1970.
    pub time: u64,
    /// Digest of the frame.
    pub frame_digest: Digest,
    /// For each event its place in its stream.
    pub stream_versions: Arc<[u64]>,
}

impl Receipt {
    /// The receipt of a frame, whose events have these places in their streams.
    pub(crate) fn new(store_id: StoreId, header: &FrameHeader, stream_versions: &[u64]) -> Self {
        debug_assert_eq!(stream_versions.len(), header.event_count as usize, "one for each event");
        Self {
            store_id,
            first_sequence: header.base_sequence,
            frame_number: header.frame_number,
            time: header.time,
            frame_digest: header.digest,
            stream_versions: stream_versions.into(),
        }
    }

    /// Sequences of the events, in the order of the batch.
    pub fn sequences(&self) -> Range<u64> {
        self.first_sequence..self.end_sequence()
    }

    /// First sequence behind the events.
    pub fn end_sequence(&self) -> u64 {
        self.first_sequence + self.stream_versions.len() as u64
    }

    /// Checks against a head that the batch was accepted as the receipt says. Places in streams are
    /// part of the events: [`Receipt::verify_event`] checks them.
    ///
    /// # Errors
    /// What does not fit; see [`ProofError`].
    pub fn verify(&self, proof: &FrameProof, head: &Head) -> Result<(), ProofError> {
        self.compare(&proof.verify(head)?, head)
    }

    /// Checks against a head that the event with this record is part of the batch, and stands where
    /// the receipt says.
    ///
    /// # Errors
    /// What does not fit; see [`ProofError`].
    pub fn verify_event(
        &self,
        record_bytes: &[u8],
        proof: &EventProof,
        head: &Head,
    ) -> Result<VerifiedEvent, ProofError> {
        let event = proof.verify(record_bytes, head)?;
        self.compare(&event.frame, head)?;
        let index = (event.sequence - event.frame.first_sequence) as usize;
        if self.stream_versions[index] != event.stream_version {
            return Err(ProofError::Receipt { what: "the event's place in its stream" });
        }
        Ok(event)
    }

    fn compare(&self, frame: &VerifiedFrame, head: &Head) -> Result<(), ProofError> {
        let differences = [
            (self.store_id != head.store_id, "the store"),
            (self.frame_number != frame.frame_number, "the frame's number"),
            (self.first_sequence != frame.first_sequence, "the first sequence"),
            (self.stream_versions.len() != frame.event_count as usize, "the number of events"),
            (self.time != frame.time, "the time"),
            (self.frame_digest != frame.digest, "the frame's digest"),
        ];
        match differences.iter().find(|(differs, _)| *differs) {
            Some((_, what)) => Err(ProofError::Receipt { what }),
            None => Ok(()),
        }
    }

    /// The receipt's bytes; their table is in `docs/formats/journal/proofs.md`.
    ///
    /// # Panics
    /// When it has no events or more than a frame can have: no append gives such a receipt.
    pub fn encode(&self) -> Vec<u8> {
        let count = self.stream_versions.len();
        assert!((1..=FRAME_EVENTS_MAX).contains(&count), "a batch of {count} events");
        let mut out = vec![0; FIXED_BYTES];
        put(&mut out, 0, RECEIPT_MAGIC);
        put(&mut out, FORMAT_AT, FORMAT.to_le_bytes());
        put(&mut out, EVENT_COUNT, (count as u32).to_le_bytes());
        put(&mut out, STORE_ID, self.store_id.0);
        put(&mut out, FIRST_SEQUENCE, self.first_sequence.to_le_bytes());
        put(&mut out, FRAME_NUMBER, self.frame_number.to_le_bytes());
        put(&mut out, TIME, self.time.to_le_bytes());
        put(&mut out, FRAME_DIGEST, self.frame_digest.0);
        for version in self.stream_versions.iter() {
            out.extend_from_slice(&version.to_le_bytes());
        }
        out
    }

    /// Reads a receipt; `bytes` are exactly its own.
    ///
    /// # Errors
    /// When they are not the bytes of a receipt.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let malformed = |at: usize, what| Malformed::new(at as u64, what);
        let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else {
            return Err(malformed(bytes.len(), "a receipt ends within its fixed part"));
        };
        if fixed[..4] != RECEIPT_MAGIC {
            return Err(malformed(0, "no receipt begins here"));
        }
        if u16_at(fixed, FORMAT_AT) != FORMAT {
            return Err(malformed(FORMAT_AT, "a receipt has a format that is not known here"));
        }
        let are_zero = u16_at(fixed, ZERO_AFTER_FORMAT) == 0
            && u32_at(fixed, ZERO_AFTER_COUNT) == 0
            && u64_at(fixed, ZERO_AFTER_TIME) == 0;
        if !are_zero {
            return Err(malformed(ZERO_AFTER_FORMAT, "a receipt has bytes that must be zero"));
        }
        let count = u32_at(fixed, EVENT_COUNT) as usize;
        let (versions, odd) = rest.as_chunks::<8>();
        if !(1..=FRAME_EVENTS_MAX).contains(&count) || versions.len() != count || !odd.is_empty() {
            return Err(malformed(EVENT_COUNT, "a receipt has not the events that it states"));
        }
        let first_sequence = u64_at(fixed, FIRST_SEQUENCE);
        if first_sequence.checked_add(count as u64).is_none() {
            return Err(malformed(FIRST_SEQUENCE, "a receipt has sequences that cannot be"));
        }
        Ok(Self {
            store_id: StoreId(array_at(fixed, STORE_ID)),
            first_sequence,
            frame_number: u64_at(fixed, FRAME_NUMBER),
            time: u64_at(fixed, TIME),
            frame_digest: digest_at(fixed, FRAME_DIGEST),
            stream_versions: versions.iter().copied().map(u64::from_le_bytes).collect(),
        })
    }
}
