//! Giving a batch its place in the chain.
//!
//! Under one lock, in this order:
//!
//! 1. The idempotency key is looked up: a request that was accepted before gets its receipt again,
//!    whatever else has changed since; another request under the same key is a conflict.
//! 2. What the caller expects is checked: that nothing was taken back, what streams end with; then
//!    what the events refer to.
//! 3. Nothing can fail any more: sequences, places in streams and ancestry are filled in, leaves,
//!    root and digest are computed, and the frame stands in the buffer behind those before it.
//!
//! What has to be read for it is read before the lock where that is possible (parents), because what
//! has been read there does not change.
//!
//! What it does *not* do: write (see `flush`), or evaluate gates (see `append`).

use std::collections::HashMap;

use crate::{
    Digest, Error, Receipt,
    batch::Batch,
    format::{
        FRAME_ALIGNMENT,
        annex::put_idempotency,
        frame::{FRAME_HEADER_BYTES, FrameHeader, FrameScratch},
        record::{self, Ancestry, Record},
        walk::{Follow, align},
    },
    journal::Shared,
    keys::{IndexKeys, StreamId},
    merkle,
    stream_heads::StreamHeads,
    writer::watermarks::Stage,
};

/// What a caller expects of a stream when its batch is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// Nothing.
    Any,
    /// The stream has no event.
    NoStream,
    /// The stream has an event.
    StreamExists,
    /// The last event has this place in the stream.
    Exact(u64),
    /// The last event has this digest (see [`Event::digest`](crate::Event::digest)).
    LastEvent(Digest),
}

/// What the next batch builds on, and what was accepted and not yet written.
pub(crate) struct Accept {
    pub(crate) next: Follow,
    pub(crate) buffer: Vec<u8>,
    /// Keys of the streams of the events in `buffer`.
    pub(crate) streams: Vec<u64>,
    heads: StreamHeads,
    /// Idempotency keys that cannot be found in segments yet.
    recent_keys: HashMap<Box<[u8]>, (Digest, Receipt)>,
    /// Data segments that are being rewritten, or were: no event can adopt their extents any more.
    pub(crate) closed_data: Vec<u32>,
    scratch: FrameScratch,
}

impl std::fmt::Debug for Accept {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Accept").field("next", &self.next).finish_non_exhaustive()
    }
}

impl Accept {
    pub(crate) fn new(next: Follow, stream_heads_max: usize) -> Self {
        Self {
            next,
            buffer: Vec::new(),
            streams: Vec::new(),
            heads: StreamHeads::new(stream_heads_max),
            recent_keys: HashMap::new(),
            closed_data: Vec::new(),
            scratch: FrameScratch::default(),
        }
    }

    /// Forgets what was accepted behind `end`.
    pub(crate) fn take_back(&mut self, end: Follow) {
        self.next = end;
        self.buffer.clear();
        self.streams.clear();
        self.heads.clear();
        self.recent_keys.retain(|_, (_, receipt)| receipt.end_sequence() <= end.sequence);
    }
}

/// A batch with everything that could be found out before the lock.
pub(crate) struct Prepared<'a> {
    pub(crate) batch: &'a Batch,
    /// The batch's records, with extents of large payloads filled in.
    pub(crate) records: &'a [u8],
    pub(crate) streams: Vec<StreamId>,
    /// By place in the batch; only of events with parents. References into the batch are not
    /// resolved yet.
    pub(crate) ancestry: Vec<(u32, Ancestry)>,
    pub(crate) expectations: &'a [(&'a [u8], Expectation)],
    pub(crate) idempotency: Option<(&'a [u8], Digest)>,
    /// The generation that the caller knows.
    pub(crate) generation: Option<u64>,
    /// What else the annex holds.
    pub(crate) annex: Vec<u8>,
}

/// What became of a batch.
pub(crate) struct Accepted {
    pub(crate) receipt: Receipt,
    pub(crate) generation: u64,
    /// Bytes waiting to be written.
    pub(crate) buffered_bytes: usize,
}

impl Shared {
    pub(crate) fn accept(&self) -> crate::primitives::MutexGuard<'_, Accept> {
        self.accept.lock().expect("a panic while accepting ends all writing")
    }

    pub(crate) fn accept_batch(&self, prepared: &Prepared<'_>) -> Result<Accepted, Error> {
        let now = self.disk.now();
        let mut guard = self.accept();
        let accept = &mut *guard;
        self.watermarks.check()?;
        let written = self.watermarks.at(Stage::Written);
        accept.heads.published(written);
        if !accept.recent_keys.is_empty() {
            accept.recent_keys.retain(|_, (_, receipt)| receipt.end_sequence() > written);
        }
        let generation = self.watermarks.generation();
        if let Some((key, request)) = prepared.idempotency
            && let Some((known, receipt)) = self.known_request(accept, key)?
        {
            if known != request {
                return Err(Error::IdempotencyConflict { first_sequence: receipt.first_sequence });
            }
            let buffered_bytes = accept.buffer.len();
            return Ok(Accepted { receipt, generation, buffered_bytes });
        }
        if prepared.generation.is_some_and(|known| known != generation) {
            return Err(Error::OtherGeneration { end: accept.next.sequence });
        }
        for (stream, expectation) in prepared.expectations {
            self.check_expectation(accept, stream, *expectation)?;
        }
        self.check_references(accept, prepared)?;
        Self::check_adopted(accept, prepared)?;
        let versions = self.take_versions(accept, prepared)?;
        let receipt = self.make_frame(accept, prepared, versions, now);
        if let Some((key, request)) = prepared.idempotency {
            accept.recent_keys.insert(key.into(), (request, receipt.clone()));
        }
        self.watermarks.advance(Stage::Accepted, accept.next.sequence);
        Ok(Accepted { receipt, generation, buffered_bytes: accept.buffer.len() })
    }

    /// The request that was accepted under this key, if it is in the window.
    fn known_request(
        &self,
        accept: &Accept,
        key: &[u8],
    ) -> Result<Option<(Digest, Receipt)>, Error> {
        match accept.recent_keys.get(key) {
            Some(known) => Ok(Some(known.clone())),
            None => {
                let window = self.options.idempotency_window;
                self.request_in_segments(key, accept.next.sequence.saturating_sub(window))
            }
        }
    }

    fn check_expectation(
        &self,
        accept: &mut Accept,
        stream: &[u8],
        expectation: Expectation,
    ) -> Result<(), Error> {
        if expectation == Expectation::Any {
            return Ok(());
        }
        let id = self.identity.keys.stream_id(stream);
        let next = self.next_version(accept, &id, stream)?;
        let last = next.checked_sub(1);
        let is_met = match expectation {
            Expectation::Any => true,
            Expectation::NoStream => last.is_none(),
            Expectation::StreamExists => last.is_some(),
            Expectation::Exact(version) => last == Some(version),
            Expectation::LastEvent(digest) => {
                // The caller saw to it that what was accepted before is written. What was accepted
                // meanwhile and continues the stream makes the expectation fail, as it should.
                let event = self.last_in_stream(&id, stream)?;
                event.is_some_and(|event| {
                    Some(event.stream_version()) == last && event.digest() == digest
                })
            }
        };
        if is_met {
            return Ok(());
        }
        Err(Error::Unexpected { stream: stream.to_vec(), expectation, last })
    }

    /// Whether what the batch adopts is still where it was written.
    fn check_adopted(accept: &Accept, prepared: &Prepared<'_>) -> Result<(), Error> {
        let batch = prepared.batch;
        if accept.closed_data.is_empty() || !batch.has_extents && batch.large.is_empty() {
            return Ok(());
        }
        for (start, end) in batch.ranges() {
            let record =
                Record::decode(&prepared.records[start..end]).expect("records are made soundly");
            if record.extents().any(|extent| accept.closed_data.contains(&extent.segment)) {
                let what = "an event adopts an extent of a data segment that has been rewritten \
                            since; write the extent again";
                return Err(Error::Unfit { what });
            }
        }
        Ok(())
    }

    fn check_references(&self, accept: &Accept, prepared: &Prepared<'_>) -> Result<(), Error> {
        if !prepared.batch.has_references {
            return Ok(());
        }
        let end = accept.next.sequence;
        for (start, stop) in prepared.batch.ranges() {
            for reference in record::references(&prepared.records[start..stop]) {
                if reference & record::IN_BATCH == 0 && reference >= end {
                    return Err(Error::NoSuchEvent { sequence: reference, end });
                }
            }
        }
        Ok(())
    }

    /// The place that the stream's next event gets.
    fn next_version(
        &self,
        accept: &mut Accept,
        id: &StreamId,
        stream: &[u8],
    ) -> Result<u64, Error> {
        if let Some(version) = accept.heads.get(id) {
            return Ok(version);
        }
        let last = self.last_in_stream(id, stream)?;
        let version = last.map_or(0, |event| event.stream_version() + 1);
        accept.heads.insert(id, version, accept.next.sequence);
        Ok(version)
    }

    /// Gives every event its place in its stream. When something cannot be read, nothing has changed:
    /// all streams are asked for before the first is counted on.
    fn take_versions(
        &self,
        accept: &mut Accept,
        prepared: &Prepared<'_>,
    ) -> Result<Vec<u64>, Error> {
        let mut versions = Vec::with_capacity(prepared.streams.len());
        // Looked up all at once, the entries come from memory at the same time; one by one, between
        // writes to them, each would wait for its own.
        for (id, start) in prepared.streams.iter().zip(&prepared.batch.starts) {
            let stream = record::stream(&prepared.records[*start as usize..]);
            versions.push(self.next_version(accept, id, stream)?);
        }
        let end = accept.next.sequence + versions.len() as u64;
        for (id, version) in prepared.streams.iter().zip(&mut versions) {
            // One that was counted on already is never forgotten before it is written.
            *version = accept.heads.get(id).unwrap_or(*version);
            accept.heads.insert(id, *version + 1, end);
        }
        Ok(versions)
    }

    /// Makes the frame, at the end of the buffer. Cannot fail.
    fn make_frame(
        &self,
        accept: &mut Accept,
        prepared: &Prepared<'_>,
        versions: Vec<u64>,
        now: u64,
    ) -> Receipt {
        let base = accept.next.sequence;
        let start = accept.buffer.len();
        debug_assert_eq!(start as u64 % FRAME_ALIGNMENT, 0);
        accept.buffer.resize(start + FRAME_HEADER_BYTES, 0);
        accept.buffer.extend_from_slice(prepared.records);
        let frame = &mut accept.buffer[start..];
        for (index, ancestry) in &prepared.ancestry {
            let mut ancestry = *ancestry;
            if ancestry.jump & record::IN_BATCH != 0 {
                ancestry.jump = base + (ancestry.jump & !record::IN_BATCH);
            }
            let at = FRAME_HEADER_BYTES + prepared.batch.starts[*index as usize] as usize;
            record::assign_ancestry(&mut frame[at..], &ancestry);
        }
        for (index, (from, to)) in prepared.batch.ranges().enumerate() {
            let distance = FRAME_HEADER_BYTES + from;
            let record = &mut frame[distance..FRAME_HEADER_BYTES + to];
            if prepared.batch.has_references {
                record::assign_references(record, base);
            }
            record::assign_place(record, versions[index], distance as u32);
            record::seal(record, &self.identity.store_id, base + index as u64);
        }
        let annex_start = accept.buffer.len();
        accept.buffer.extend_from_slice(&prepared.annex);
        if let Some((key, request)) = prepared.idempotency {
            put_idempotency(&mut accept.buffer, &request, key);
        }
        let annex_bytes = accept.buffer.len() - annex_start;
        let frame_bytes = accept.buffer.len() - start;
        let mut header = FrameHeader {
            frame_bytes: frame_bytes as u32,
            event_count: prepared.batch.len() as u32,
            base_sequence: base,
            frame_number: accept.next.frame_number,
            time: now.max(accept.next.time),
            durable_end: self.watermarks.at(Stage::Durable),
            epoch: self.epoch,
            annex_bytes: annex_bytes as u32,
            previous: accept.next.last,
            digest: Digest::ZERO,
        };
        let frame = &accept.buffer[start..];
        let records = prepared
            .batch
            .ranges()
            .map(|(from, to)| &frame[FRAME_HEADER_BYTES + from + 4..FRAME_HEADER_BYTES + to]);
        let annex = Some(&accept.buffer[annex_start..]).filter(|annex| !annex.is_empty());
        let scratch = &mut accept.scratch;
        scratch.leaves.clear();
        scratch.hasher.leaves(records.chain(annex), &mut scratch.leaves);
        let root = merkle::root(&mut scratch.leaves);
        header.encode(&self.store_keys, &root, &mut accept.buffer[start..]);
        let aligned = align(accept.buffer.len() as u64, FRAME_ALIGNMENT) as usize;
        accept.buffer.resize(aligned, 0);
        accept.streams.extend(prepared.streams.iter().map(IndexKeys::stream));
        accept.next = accept.next.after(&header);
        Receipt::new(self.identity.store_id, &header, &versions)
    }

    /// Whether a batch that ends here is still part of the journal.
    pub(crate) fn check_ticket(&self, end: u64, generation: u64) -> Result<(), Error> {
        match self.watermarks.taken_back(generation, end) {
            Some(why) => Err(Error::TakenBack { end, why }),
            None => Ok(()),
        }
    }
}
