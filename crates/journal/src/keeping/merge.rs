//! Merging the indexes of sealed segments into groups, so that a search asks few of them.
//!
//! [`FAN`] neighbours of one size become one of the next: of n segments at most about
//! `FAN * log(n)` have to be asked. A merged file is derived from the files that it covers, and those
//! stay: whoever finds it wrong asks them.

use std::{path::Path, sync::Arc};

use icecore_disk::{Access, Disk};

use crate::{
    Error,
    format::manifest::{ChainSegment, Manifest, SegmentState},
    index::{IndexFile, MergeError, merge},
    journal::Shared,
    keeping::seal::{publish_index, write_index},
    segment::{Segment, group::Group, index_path, table::Identity},
};

/// Neighbours that are merged at a time.
const FAN: usize = 8;

/// The name of an index file says what it covers.
pub(crate) fn covered_ids(name: &str) -> Option<(u32, u32)> {
    let (first, last) = name.strip_prefix("index-")?.strip_suffix(".idx")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// The merged index files that fit the manifest: the largest ones, without overlap.
pub(crate) fn find_groups(
    disk: &dyn Disk,
    folder: &Path,
    manifest: &Manifest,
    identity: &Identity,
) -> Vec<Arc<Group>> {
    let chain: Vec<_> =
        manifest.chain.iter().filter(|info| info.state == SegmentState::Closed).collect();
    let mut found: Vec<_> = disk
        .list(folder)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|entry| covered_ids(&entry.name))
        .filter(|(first, last)| first != last)
        .filter_map(|ids| open_group(disk, folder, &chain, identity, ids))
        .collect();
    found.sort_by_key(|group| (group.covered().start, u64::MAX - group.covered().end));
    let mut groups: Vec<Arc<Group>> = Vec::new();
    for group in found {
        let start = groups.last().map_or(0, |last| last.covered().end);
        if group.covered().start >= start {
            groups.push(Arc::new(group));
        }
    }
    groups
}

/// Opens a merged index if it is of the very segments that the manifest names.
fn open_group(
    disk: &dyn Disk,
    folder: &Path,
    chain: &[&ChainSegment],
    identity: &Identity,
    (first, last): (u32, u32),
) -> Option<Group> {
    let first = chain.iter().position(|info| info.id == first)?;
    let last = chain.iter().position(|info| info.id == last)?;
    let (first, last) = (chain.get(first..=last)?.first()?, chain[last]);
    let mapping =
        disk.open(&index_path(folder, first.id, last.id), Access::Read).ok()?.map().ok()?;
    let file = IndexFile::open(mapping).ok()?;
    let covers = file.covers();
    let is_ours = covers.store_id == identity.store_id.0
        && covers.first_sequence == first.first_sequence
        && covers.end_sequence == last.end_sequence
        && covers.last_digest == last.last.0
        && identity.indexes.iter().all(|kind| file.has(*kind));
    is_ours.then(|| Group::new(file))
}

impl Shared {
    /// Merges until no [`FAN`] neighbours of one size are left.
    pub(crate) fn merge_indexes(&self) -> Result<(), Error> {
        let _one = self.keeper.sealing.lock().expect("a seal that panicked ends sealing");
        let mut remade = Vec::new();
        while let Some(ids) = self.next_to_merge() {
            match self.merge_files(&ids) {
                // Once: what is still wrong then is not the index files.
                Err(Error::Corrupt { .. }) if !remade.contains(&ids) => {
                    self.remake_indexes(&ids)?;
                    remade.push(ids);
                }
                merged => merged?,
            }
            let manifest = self.manifest.lock().expect("nobody panics while holding it").clone();
            let groups = find_groups(&*self.disk, &self.folder, &manifest, &self.identity);
            self.change_catalog(|catalog| catalog.groups = groups);
        }
        Ok(())
    }

    /// Writes one index file over those with these segment ids.
    fn merge_files(&self, ids: &[(u32, u32)]) -> Result<(), Error> {
        let files: Vec<_> = ids
            .iter()
            .map(|(first, last)| {
                let path = index_path(&self.folder, *first, *last);
                let mapping = self.disk.open(&path, Access::Read)?.map()?;
                IndexFile::open(mapping).map_err(|malformed| malformed.in_file(&path, 0))
            })
            .collect::<Result<_, Error>>()?;
        let (first, last) = (ids[0].0, ids[ids.len() - 1].1);
        publish_index(&*self.disk, &index_path(&self.folder, first, last), |sink| {
            let inputs: Vec<_> = files.iter().collect();
            merge(&inputs, sink).map_err(|error| match error {
                MergeError::Sink(error) => error,
                MergeError::Malformed { input, malformed } => {
                    let (first, last) = ids[input];
                    malformed.in_file(&index_path(&self.folder, first, last), 0)
                }
            })
        })
    }

    /// Makes index files anew of which one is wrong: those of segments from the segments, and those
    /// of groups by merging again.
    fn remake_indexes(&self, ids: &[(u32, u32)]) -> Result<(), Error> {
        let catalog = self.catalog();
        for (first, last) in ids {
            if first != last {
                self.disk.remove(&index_path(&self.folder, *first, *last))?;
                continue;
            }
            let sealed = catalog.segments.iter().find_map(|segment| match segment {
                Segment::Sealed(sealed) if sealed.info.id == *first => Some(sealed),
                _ => None,
            });
            let table = sealed.expect("chosen from this catalog").scan()?;
            write_index(&*self.disk, &self.folder, &self.identity, *first, &table)?;
        }
        Ok(())
    }

    /// Neighbours of one size that have index files: segment ids of each.
    fn next_to_merge(&self) -> Option<Vec<(u32, u32)>> {
        let catalog = self.catalog();
        let mut parts: Vec<(u32, u32, usize)> = Vec::new();
        let mut groups = catalog.groups.iter().peekable();
        for segment in &catalog.segments {
            let Segment::Sealed(sealed) = segment else { break };
            let start = sealed.info.first_sequence;
            while groups.peek().is_some_and(|group| group.covered().end <= start) {
                groups.next();
            }
            match groups.peek() {
                Some(group) if group.covered().contains(&start) => {
                    let covers = group.file().covers();
                    match parts.last_mut() {
                        Some((first, _, count)) if *first == covers.first_segment => *count += 1,
                        _ => parts.push((covers.first_segment, covers.last_segment, 1)),
                    }
                }
                _ => parts.push((sealed.info.id, sealed.info.id, 1)),
            }
        }
        parts
            .windows(FAN)
            .filter(|window| window.iter().all(|part| part.2 == window[0].2))
            // Reduced segments have ids of their own; an index file names the first and the last.
            .filter(|window| window.is_sorted_by(|part, next| part.1 < next.0))
            .map(|window| window.iter().map(|part| (part.0, part.1)).collect::<Vec<_>>())
            .find(|ids| {
                ids.iter()
                    .all(|(first, last)| self.disk.exists(&index_path(&self.folder, *first, *last)))
            })
    }
}
