//! The manifest: which files a journal consists of and in which order, and who it is. It is small
//! and replaced whole, by a rename; whoever has it knows every file that belongs to the journal.
//!
//! Invariants:
//! - There is one way to write a manifest: what was read writes the same bytes again.
//! - What is read, and what is written, is consistent: [`Manifest::check`] judges both.
//! - Every list has a bound, and the file has one.
//!
//! It is not derived: the id, the secret and the gaps stand nowhere else.
//!
//! What it does *not* do: look at the files that it names, or decide when it is rewritten.

use std::fmt;

use crate::{
    Malformed, StoreId,
    format::{
        pieces::{Piece, Pieces, put_list, put_text},
        sealed,
    },
};

mod check;
mod segments;
#[cfg(test)]
mod tests;

pub(crate) use segments::{
    ChainSegment, DataSegment, Gap, KindName, Lineage, REASON_BYTES_MAX, REPLACED_BY_MAX, Retired,
    SegmentState, Session,
};

/// Bytes of a manifest at most.
pub(crate) const MANIFEST_BYTES_MAX: usize = 256 << 20;
/// Chain and data segments at most, together.
pub(crate) const SEGMENTS_MAX: usize = 1 << 20;
/// Gaps at most; neighbours are merged by whoever drops events.
pub(crate) const GAPS_MAX: usize = 1 << 16;
/// Ids given out to files that are being made, at most.
pub(crate) const PENDING_MAX: usize = 1024;
/// Files at most that were replaced and are still there.
pub(crate) const RETIRED_MAX: usize = 1 << 16;
/// Bulk sessions at most that are begun and neither adopted nor aborted.
pub(crate) const SESSIONS_MAX: usize = 1024;
/// Registered kinds at most.
pub(crate) const KINDS_MAX: usize = 4096;
/// Bytes of a kind's name at most.
pub(crate) const KIND_NAME_BYTES_MAX: usize = 64;
/// Bytes of an owner's name at most.
pub(crate) const OWNER_BYTES_MAX: usize = 64;

const FILE: sealed::Kind = sealed::Kind {
    magic: *b"ICMF",
    version: 1,
    bytes_max: MANIFEST_BYTES_MAX,
    not_this_kind: "this is no manifest of a journal",
};

/// What a journal consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Counts up with every rewrite.
    pub(crate) number: u64,
    pub(crate) store_id: StoreId,
    /// What it is a copy or a fork of (rule R10).
    pub(crate) lineage: Option<Lineage>,
    pub(crate) secret: Secret,
    /// Nanoseconds since 1970.
    pub(crate) created: u64,
    /// Bit set of the index kinds that were declared at creation.
    pub(crate) indexes: u32,
    /// The program that owns the journal; empty: nobody. Tools change only what nobody owns.
    pub(crate) owner: String,
    /// Of the last writer: every writer takes the next one.
    pub(crate) epoch: u64,
    /// Whether the last writer closed the journal and nothing is left to be recovered.
    pub(crate) is_clean: bool,
    /// The id of the next file. Ids are never reused.
    pub(crate) next_segment: u32,
    /// Ids given out to files that are being made.
    pub(crate) pending: Vec<u32>,
    pub(crate) kinds: Vec<KindName>,
    /// In the order of their events.
    pub(crate) chain: Vec<ChainSegment>,
    pub(crate) data: Vec<DataSegment>,
    /// Dropped parts of the chain, in order.
    pub(crate) gaps: Vec<Gap>,
    /// Bulk sessions that are begun and neither adopted nor aborted.
    pub(crate) sessions: Vec<Session>,
    /// Files that were replaced and are removed when nobody reads them any more, in the order in
    /// which they were replaced.
    pub(crate) retired: Vec<Retired>,
}

/// What keys the hashes of stream keys: who does not know it cannot make them collide.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Manifest {
    /// The file. Refuses what [`decode`](Self::decode) would not read again: a list that is too
    /// long, or something inconsistent.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Malformed> {
        self.check()?;
        let mut out = sealed::begin();
        out.extend(self.number.to_le_bytes());
        out.extend(self.store_id.0);
        out.extend(self.secret.0);
        out.extend(self.created.to_le_bytes());
        out.extend(self.epoch.to_le_bytes());
        out.extend(self.indexes.to_le_bytes());
        out.extend(self.next_segment.to_le_bytes());
        out.push(self.is_clean.into());
        out.push(self.lineage.is_some().into());
        if let Some(lineage) = &self.lineage {
            lineage.put(&mut out);
        }
        put_text(&mut out, &self.owner);
        put_list(&mut out, &self.pending);
        put_list(&mut out, &self.kinds);
        put_list(&mut out, &self.chain);
        put_list(&mut out, &self.data);
        put_list(&mut out, &self.gaps);
        put_list(&mut out, &self.sessions);
        put_list(&mut out, &self.retired);
        sealed::finish(out, &FILE)
    }

    /// Reads a whole file; takes any bytes.
    pub(crate) fn decode(file: &[u8]) -> Result<Self, Malformed> {
        sealed::open(file, &FILE)?;
        let mut pieces = Pieces::new(file, sealed::BODY);
        let mut manifest = Self {
            number: pieces.u64()?,
            store_id: pieces.store_id()?,
            secret: Secret(pieces.array()?),
            created: pieces.u64()?,
            epoch: pieces.u64()?,
            indexes: pieces.u32()?,
            next_segment: pieces.u32()?,
            is_clean: pieces.flag()?,
            lineage: None,
            owner: String::new(),
            pending: Vec::new(),
            kinds: Vec::new(),
            chain: Vec::new(),
            data: Vec::new(),
            gaps: Vec::new(),
            sessions: Vec::new(),
            retired: Vec::new(),
        };
        if pieces.flag()? {
            manifest.lineage = Some(Lineage::take(&mut pieces)?);
        }
        manifest.owner = pieces.text(OWNER_BYTES_MAX)?;
        manifest.pending = pieces.list(PENDING_MAX)?;
        manifest.kinds = pieces.list(KINDS_MAX)?;
        manifest.chain = pieces.list(SEGMENTS_MAX)?;
        manifest.data = pieces.list(SEGMENTS_MAX)?;
        manifest.gaps = pieces.list(GAPS_MAX)?;
        manifest.sessions = pieces.list(SESSIONS_MAX)?;
        manifest.retired = pieces.list(RETIRED_MAX)?;
        pieces.end()?;
        manifest.check()?;
        Ok(manifest)
    }
}

/// For the fuzz target only.
pub(crate) mod fuzzing {
    use super::*;

    /// Any bytes, as they are and in an envelope whose sums are right: no panic, and what is read
    /// is written again byte for byte.
    pub fn manifest(bytes: &[u8]) {
        let mut file = sealed::begin();
        file.extend(bytes.get(sealed::BODY..).unwrap_or_default());
        let sealed = sealed::finish(file, &FILE).unwrap_or_default();
        for file in [bytes, &sealed] {
            if let Ok(manifest) = Manifest::decode(file) {
                assert_eq!(manifest.encode().as_deref(), Ok(file), "it is written as it was read");
            }
        }
    }
}
