//! Slot feeds applied to a store in memory: what the reference client's feeds come to, feeds that are
//! given again, hostile ones.

mod again;
#[path = "../common/mod.rs"]
mod common;
mod gaps;
#[path = "../kit/mod.rs"]
mod kit;
mod mutator;
mod random;
mod real;
mod refusals;
mod stores;
mod twins;

use icecore_store::ingest::{Ingest, IngestError, IngestOptions, Refusal, Summary};

use crate::common::{
    messages::{Message, write},
    model::{Model, ModelError},
};

type Ingested = Result<Summary, IngestError<ModelError>>;

/// Applies a feed that comes in chunks.
fn ingest_chunks(
    model: &mut Model,
    bytes: &[u8],
    chunk_bytes: usize,
    options: IngestOptions,
) -> Ingested {
    let mut ingest = Ingest::new(model, options).map_err(|source| IngestError::Store {
        offset: 0,
        slot: 0,
        source,
    })?;
    for chunk in bytes.chunks(chunk_bytes) {
        if ingest.push(chunk)?.is_break() {
            break;
        }
    }
    assert!(ingest.counters().bytes <= bytes.len() as u64);
    ingest.finish()
}

fn ingest(model: &mut Model, messages: &[Message]) -> Ingested {
    ingest_chunks(model, &write(messages), usize::MAX, IngestOptions::default())
}

/// The refusal, with where in the feed its message begins and the slot.
fn refused(result: Ingested) -> (u64, u64, Refusal) {
    match result {
        Err(IngestError::Refused { offset, slot, refusal }) => (offset, slot, refusal),
        other => panic!("not a refusal: {other:?}"),
    }
}

/// What the store said, with where and about which slot.
fn store_said(result: Ingested) -> (u64, u64, ModelError) {
    match result {
        Err(IngestError::Store { offset, slot, source }) => (offset, slot, source),
        other => panic!("the store did not refuse: {other:?}"),
    }
}
