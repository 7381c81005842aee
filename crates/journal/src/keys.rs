//! What indexes are keyed by: 64 bits for whatever an event can be found by.
//!
//! Keys that callers choose are hashed with the journal's secret, so that nobody outside can make
//! them collide; numbers stand for themselves. A hit in an index is always confirmed by the event:
//! a collision costs a read, never a wrong answer.

use crate::{format::record::Record, index::IndexKind};

/// Hashes what callers choose.
#[derive(Clone)]
pub(crate) struct IndexKeys {
    secret: [u8; 32],
}

/// A stream, by 128 bits of a keyed hash: for the writer's cache, where nothing confirms a hit.
pub(crate) type StreamId = [u8; 16];

impl std::fmt::Debug for IndexKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("IndexKeys(secret)")
    }
}

impl IndexKeys {
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    fn hash(&self, kind: IndexKind, bytes: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(&[kind as u8]);
        hasher.update(bytes);
        *hasher.finalize().as_bytes()
    }

    /// What only who knows the secret can say of these bytes.
    pub(crate) fn seal(&self, bytes: &[u8]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        // No index has this number.
        hasher.update(&[u8::MAX]);
        hasher.update(bytes);
        *hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes")
    }

    pub(crate) fn stream_id(&self, stream: &[u8]) -> StreamId {
        *blake3::keyed_hash(&self.secret, stream)
            .as_bytes()
            .first_chunk()
            .expect("a hash has 32 bytes")
    }

    pub(crate) fn stream(id: &StreamId) -> u64 {
        u64::from_le_bytes(*id.first_chunk().expect("an id has 16 bytes"))
    }

    fn of_bytes(&self, kind: IndexKind, bytes: &[u8]) -> u64 {
        let hash = self.hash(kind, bytes);
        u64::from_le_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
    }

    pub(crate) fn scope(&self, scope: &[u8]) -> u64 {
        self.of_bytes(IndexKind::Scope, scope)
    }

    pub(crate) fn correlation(&self, correlation: u128) -> u64 {
        self.of_bytes(IndexKind::Correlation, &correlation.to_le_bytes())
    }

    pub(crate) fn idempotency(&self, key: &[u8]) -> u64 {
        self.of_bytes(IndexKind::Idempotency, key)
    }

    /// Calls `add` with each key of the event in one index.
    pub(crate) fn of_record(&self, kind: IndexKind, record: &Record<'_>, mut add: impl FnMut(u64)) {
        match kind {
            IndexKind::Stream => add(Self::stream(&self.stream_id(record.stream))),
            IndexKind::Kind => add(u64::from(record.kind)),
            IndexKind::Scope if record.scope.is_empty() => {}
            IndexKind::Scope => add(self.scope(record.scope)),
            IndexKind::Correlation => {
                if let Some(correlation) = record.correlation {
                    add(self.correlation(correlation));
                }
            }
            IndexKind::Parent => {
                let parents: Vec<_> = record.parents().collect();
                for (index, parent) in parents.iter().enumerate() {
                    // A parent that is named twice has the event as a child once.
                    if !parents[..index].contains(parent) {
                        add(*parent);
                    }
                }
            }
            IndexKind::Causation => {
                if let Some(causation) = record.causation {
                    add(causation);
                }
            }
            // Keyed by frame, not by event: see the table of the open segment.
            IndexKind::Idempotency => {}
        }
    }
}
