//! What a journal consists of, from its manifest and its folder: nothing else is read.

use std::path::{Path, PathBuf};

use icecore_disk::Disk;

use super::sources::cursors;
use crate::{
    Digest, Error, StoreId,
    format::manifest::SegmentState,
    index::IndexKind,
    keeping::manifest_file,
    open::kept_indexes,
    segment::{chain_path, data_path, index_path},
};

/// A chain segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentOverview {
    /// The file.
    pub path: PathBuf,
    /// Its id.
    pub id: u32,
    /// Whether it is written to, or was when its writer ended.
    pub is_active: bool,
    /// Its first event.
    pub first_sequence: u64,
    /// First sequence behind its events; of an active one, as far as the manifest knows.
    pub end_sequence: u64,
    /// Its frames, in the same way.
    pub frames: u64,
    /// Time of its first frame, in nanoseconds since 1970.
    pub first_time: u64,
    /// Time of its last frame.
    pub last_time: u64,
    /// Size of the file in bytes; `None` when it is not there.
    pub bytes: Option<u64>,
    /// Size of its index file in bytes; `None` when there is none.
    pub index_bytes: Option<u64>,
}

/// A data segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataOverview {
    /// The file.
    pub path: PathBuf,
    /// Its id.
    pub id: u32,
    /// Size of the file in bytes; `None` when it is not there.
    pub bytes: Option<u64>,
}

/// Events that were dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapOverview {
    /// The first.
    pub first_sequence: u64,
    /// First sequence behind them.
    pub end_sequence: u64,
    /// When, in nanoseconds since 1970.
    pub time: u64,
    /// Why.
    pub reason: String,
}

/// What a journal is a copy of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineageOverview {
    /// The journal that was copied.
    pub parent: StoreId,
    /// Its events below this one were taken over.
    pub end_sequence: u64,
    /// Digest of its last frame that was.
    pub last: Digest,
}

/// What a journal consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// Its identity.
    pub store_id: StoreId,
    /// What it is a copy of.
    pub lineage: Option<LineageOverview>,
    /// The program that it belongs to; empty: nobody.
    pub owner: String,
    /// Of the last writer.
    pub epoch: u64,
    /// Whether the last writer closed it.
    pub is_clean: bool,
    /// When it was created, in nanoseconds since 1970.
    pub created: u64,
    /// By what events can be found.
    pub indexes: Vec<&'static str>,
    /// Registered kinds.
    pub kinds: Vec<(u16, String)>,
    /// Chain segments, in order.
    pub segments: Vec<SegmentOverview>,
    /// Data segments.
    pub data: Vec<DataOverview>,
    /// What was dropped, in order.
    pub gaps: Vec<GapOverview>,
    /// Names of cursors, and how far they have come.
    pub cursors: Vec<(String, u64)>,
}

/// Reads what a journal consists of.
///
/// # Errors
/// [`Error::NoJournal`]; [`Error::Corrupt`] when the manifest does not check.
pub fn overview(disk: &dyn Disk, folder: &Path) -> Result<Overview, Error> {
    let manifest = manifest_file::read(disk, folder)?;
    let entries = disk.list(folder)?;
    let bytes_of = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        entries.iter().find(|entry| entry.name == name).map(|entry| entry.bytes)
    };
    let segments = manifest.chain.iter().map(|segment| {
        let path = chain_path(folder, segment.id);
        SegmentOverview {
            id: segment.id,
            is_active: segment.state == SegmentState::Active,
            first_sequence: segment.first_sequence,
            end_sequence: segment.end_sequence,
            frames: segment.end_frame - segment.first_frame,
            first_time: segment.first_time,
            last_time: segment.last_time,
            bytes: bytes_of(&path),
            index_bytes: bytes_of(&index_path(folder, segment.id, segment.id)),
            path,
        }
    });
    let data = manifest.data.iter().map(|data| {
        let path = data_path(folder, data.id);
        DataOverview { id: data.id, bytes: bytes_of(&path), path }
    });
    let gaps = manifest.gaps.iter().map(|gap| GapOverview {
        first_sequence: gap.first_sequence,
        end_sequence: gap.end_sequence,
        time: gap.time,
        reason: gap.reason.clone(),
    });
    let cursors = cursors(disk, folder)?.into_iter().filter_map(|cursor| {
        let position = cursor.position.ok()?;
        Some((position.name, position.end_sequence))
    });
    Ok(Overview {
        store_id: manifest.store_id,
        lineage: manifest.lineage.map(|lineage| LineageOverview {
            parent: lineage.parent,
            end_sequence: lineage.end_sequence,
            last: lineage.last,
        }),
        owner: manifest.owner.clone(),
        epoch: manifest.epoch,
        is_clean: manifest.is_clean,
        created: manifest.created,
        indexes: kept_indexes(manifest.indexes).into_iter().map(name_of).collect(),
        kinds: manifest.kinds.clone(),
        segments: segments.collect(),
        data: data.collect(),
        gaps: gaps.collect(),
        cursors: cursors.collect(),
    })
}

fn name_of(kind: IndexKind) -> &'static str {
    match kind {
        IndexKind::Stream => "stream",
        IndexKind::Kind => "kind",
        IndexKind::Scope => "scope",
        IndexKind::Correlation => "correlation",
        IndexKind::Parent => "parent",
        IndexKind::Causation => "causation",
        IndexKind::Idempotency => "idempotency",
    }
}
