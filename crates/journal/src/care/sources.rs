//! The files of a journal, found even when the journal cannot be opened.
//!
//! The manifest says which segments count, and how much of each. Without it every chain segment in
//! the folder is taken, in the order of their first events; each counts up to where the next one
//! begins, and of two that begin at the same place the one of the later epoch: that is what a
//! recovery leaves when it has written the end of a segment again.
//!
//! What it does *not* do: change anything, or judge frames.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use icecore_disk::{Access, Disk, DiskFile};

use super::walk::{Found, Walker};
use crate::{
    Error, Head, Malformed, StoreId,
    digest::StoreKeys,
    format::{
        BLOCK_BYTES,
        checkpoint::Position,
        manifest::{ChainSegment, Manifest, SegmentState},
        segment_header::{ChainStart, Content, SEGMENT_HEADER_BYTES, SegmentHeader},
    },
    keeping::manifest_file::{self, manifest_path},
    segment::chain_path,
    signing::read_heads,
};

/// The folder of cursors' checkpoints.
pub(crate) const CURSORS_NAME: &str = "cursors";
/// Bytes of a checkpoint that is looked at, at most: larger files are no cursors'.
const CURSOR_BYTES_MAX: u64 = 4096;

/// A chain segment.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) id: u32,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) header: Result<SegmentHeader, Malformed>,
    /// Where what counts ends, in bytes.
    pub(crate) end: u64,
    /// Events from here on are those of the next segment.
    pub(crate) until: u64,
    pub(crate) info: Option<ChainSegment>,
}

impl Source {
    /// Where in the chain it begins, as far as that is known.
    pub(crate) fn start(&self) -> Option<&ChainStart> {
        match &self.header.as_ref().ok()?.content {
            Content::Chain(start) | Content::ReducedChain(start) => Some(start),
            Content::Data { .. } => None,
        }
    }

    fn first_sequence(&self) -> Option<u64> {
        let stated = self.start().map(|start| start.first_sequence);
        self.info.map(|info| info.first_sequence).or(stated)
    }

    /// Whether the manifest says that it is never written to again.
    pub(crate) fn is_closed(&self) -> bool {
        self.info.is_some_and(|info| info.state == SegmentState::Closed)
    }
}

/// What there is of a journal.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) store_id: StoreId,
    pub(crate) manifest: Result<Manifest, Error>,
    pub(crate) segments: Vec<Source>,
    /// Chain segments that the manifest names and that are not there.
    pub(crate) absent: Vec<PathBuf>,
    pub(crate) names: Vec<String>,
}

fn chain_id(name: &str) -> Option<u32> {
    name.strip_prefix("chain-")?.strip_suffix(".seg")?.parse().ok()
}

/// Reads the first block of a segment.
pub(crate) fn read_header(
    file: &dyn DiskFile,
) -> Result<Result<SegmentHeader, Malformed>, icecore_disk::Error> {
    let mut block = [0; SEGMENT_HEADER_BYTES];
    let read = file.read_at(0, &mut block)?;
    Ok(SegmentHeader::decode(&block[..read]))
}

impl Sources {
    /// Looks for the files of a journal.
    pub(crate) fn find(disk: &dyn Disk, folder: &Path) -> Result<Self, Error> {
        let listed = disk.list(folder).map_err(|error| match error.is_absent() {
            true => Error::NoJournal { folder: folder.to_path_buf() },
            false => error.into(),
        })?;
        let names: Vec<_> = listed.into_iter().map(|entry| entry.name).collect();
        let manifest = manifest_file::read(disk, folder);
        let mut found = Self {
            store_id: StoreId([0; 16]),
            segments: Vec::new(),
            absent: Vec::new(),
            manifest,
            names,
        };
        let ids: Vec<u32> = match &found.manifest {
            Ok(manifest) => {
                let chain = manifest.chain.iter().map(|segment| segment.id);
                chain.chain(manifest.pending.iter().copied()).collect()
            }
            Err(Error::Disk(_)) => return Err(found.manifest.expect_err("looked at just now")),
            Err(_) => found.names.iter().filter_map(|name| chain_id(name)).collect(),
        };
        for id in ids {
            found.add(disk, folder, id)?;
        }
        let no_journal = || Error::NoJournal { folder: folder.to_path_buf() };
        let headers = || found.segments.iter().filter_map(|source| source.header.as_ref().ok());
        found.store_id = match &found.manifest {
            Ok(manifest) => manifest.store_id,
            Err(_) => headers().next().ok_or_else(no_journal)?.store_id,
        };
        let store_id = found.store_id;
        let epoch = found.manifest.as_ref().ok().map(|manifest| manifest.epoch);
        found.segments.retain(|source| match (&source.header, source.info, epoch) {
            (_, Some(_), _) => true,
            // Files that were given out: those of the last writer may continue the chain.
            (Ok(header), None, Some(epoch)) => {
                header.store_id == store_id && header.epoch == epoch && source.start().is_some()
            }
            (Ok(header), None, None) => header.store_id == store_id,
            (Err(_), None, with_manifest) => with_manifest.is_none(),
        });
        found.order()?;
        Ok(found)
    }

    fn add(&mut self, disk: &dyn Disk, folder: &Path, id: u32) -> Result<(), Error> {
        let manifest = self.manifest.as_ref().ok();
        let info =
            manifest.and_then(|at| at.chain.iter().find(|segment| segment.id == id).copied());
        let path = chain_path(folder, id);
        let file = match disk.open(&path, Access::Read) {
            Ok(file) => file,
            Err(error) if error.is_absent() => {
                if info.is_some() {
                    self.absent.push(path);
                }
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let header = read_header(&*file)?;
        let bytes = file.bytes()?;
        let end = match info {
            Some(info) if info.state == SegmentState::Closed => info.bytes.min(bytes),
            _ => bytes,
        };
        self.segments.push(Source { id, file, header, end, until: u64::MAX, info });
        Ok(())
    }

    fn order(&mut self) -> Result<(), Error> {
        let mut placed = Vec::with_capacity(self.segments.len());
        for source in self.segments.drain(..) {
            let first = match source.first_sequence() {
                Some(first) => Some(first),
                None => first_sound(&source, self.store_id)?,
            };
            placed.push((first, source));
        }
        let epoch = |source: &Source| source.header.as_ref().map_or(0, |header| header.epoch);
        placed.sort_by_key(|(first, source)| (first.unwrap_or(u64::MAX), epoch(source), source.id));
        for place in 1..placed.len() {
            placed[place - 1].1.until = placed[place].0.unwrap_or(u64::MAX);
        }
        self.segments = placed.into_iter().map(|(_, source)| source).collect();
        Ok(())
    }
}

/// The first event of the first sound frame, for a segment that nothing else says the place of.
fn first_sound(source: &Source, store_id: StoreId) -> Result<Option<u64>, Error> {
    let keys = StoreKeys::new(&store_id);
    let mut first = None;
    let range = BLOCK_BYTES..source.end.max(BLOCK_BYTES);
    Walker::new(store_id, &keys).segment(&*source.file, range, &mut |_, found| {
        Ok(match found {
            Found::Frame { frame, .. } => {
                first = Some(frame.header.base_sequence);
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
    })?;
    Ok(first)
}

/// A cursor's checkpoint.
#[derive(Debug)]
pub(crate) struct CursorFile {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) position: Result<Position, Malformed>,
}

/// The cursors of a journal.
pub(crate) fn cursors(disk: &dyn Disk, folder: &Path) -> Result<Vec<CursorFile>, Error> {
    let folder = folder.join(CURSORS_NAME);
    if !disk.exists(&folder) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in disk.list(&folder)? {
        let path = folder.join(&entry.name);
        // What was being written when its writer ended is no checkpoint.
        if entry.name.ends_with(".new") {
            continue;
        }
        let file = match disk.open(&path, Access::Read) {
            Ok(file) => file,
            Err(error) if error.is_absent() => continue,
            Err(error) => return Err(error.into()),
        };
        let mut bytes = vec![0; file.bytes()?.min(CURSOR_BYTES_MAX) as usize];
        let read = file.read_at(0, &mut bytes)?;
        let position = Position::decode(&bytes[..read]);
        found.push(CursorFile { path, name: entry.name, position });
    }
    Ok(found)
}

/// Heads that lie with the journal; what cannot be read of them is an error.
pub(crate) fn kept_heads(disk: &dyn Disk, folder: &Path) -> Result<Vec<Head>, Error> {
    let mut heads = Vec::new();
    read_heads(disk, folder, |signed| {
        heads.push(signed.head);
        Ok(())
    })?;
    Ok(heads)
}

/// Where the manifest is, for messages.
pub(crate) fn manifest_of(folder: &Path) -> PathBuf {
    manifest_path(folder)
}
