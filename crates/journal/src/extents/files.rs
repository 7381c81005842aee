//! Data segments as readers know them: what the manifest says, and the files that are open.
//!
//! - A sealed segment is mapped; another one is read by position. A segment that the manifest does
//!   not list is looked for under its name: events may adopt extents of files that it will list with
//!   its next change.
//! - At most [`FILES_OPEN_MAX`] files are open; of more, the one that was not asked for longest is
//!   closed when nobody reads it any more.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use icecore_disk::{Access, Disk, DiskFile, Mapping};

use crate::{
    Error,
    extents::segment_bytes::DataSegmentInfo,
    format::manifest::{DataSegment, Manifest},
    primitives::Mutex,
    segment::data_path,
};

/// Data segments that are open at a time.
const FILES_OPEN_MAX: usize = 64;

/// Parts of a file up to this long are read without asking first whether it has them.
const UNASKED_BYTES_MAX: usize = 64 << 10;

/// The data segments of a catalog.
#[derive(Debug, Default)]
pub(crate) struct DataSegments {
    listed: BTreeMap<u32, DataSegment>,
    /// Those that go when nobody reads them any more.
    retired: BTreeSet<u32>,
    /// The one asked for last comes last.
    open: Mutex<Vec<Arc<ReadFile>>>,
}

/// A data segment that is read.
#[derive(Debug)]
pub(crate) struct ReadFile {
    id: u32,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    is_sealed: bool,
    mapping: OnceLock<Mapping>,
}

impl DataSegments {
    /// Those of a manifest that belong to no unfinished bulk session.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let is_adopted = |segment: &&DataSegment| {
            !manifest.sessions.iter().any(|session| session.id == segment.session)
        };
        let adopted = manifest.data.iter().filter(is_adopted);
        Self {
            listed: adopted.map(|segment| (segment.id, segment.clone())).collect(),
            retired: manifest.retired.iter().map(|retired| retired.id).collect(),
            open: Mutex::default(),
        }
    }

    /// Where a sealed segment that is in use ends.
    pub(crate) fn end_of(&self, id: u32) -> Option<u64> {
        let segment = self.listed.get(&id)?;
        (segment.is_sealed && segment.replaced_by.is_empty()).then_some(segment.bytes)
    }

    /// The segments to which the live extents of one were moved; none: it is still in use.
    pub(crate) fn replaced_by(&self, id: u32) -> &[u32] {
        self.listed.get(&id).map_or(&[], |segment| &segment.replaced_by)
    }

    /// Those that were not rewritten, in order.
    pub(crate) fn in_use(&self) -> Vec<DataSegmentInfo> {
        let used = self.listed.values().filter(|segment| {
            segment.replaced_by.is_empty() && !self.retired.contains(&segment.id)
        });
        let info = |segment: &DataSegment| DataSegmentInfo {
            id: segment.id,
            bytes: segment.bytes,
            is_sealed: segment.is_sealed,
        };
        used.map(info).collect()
    }

    /// How many bytes a sealed segment has.
    pub(crate) fn bytes_of(&self, id: u32) -> Option<u64> {
        self.listed.get(&id).filter(|segment| segment.is_sealed).map(|segment| segment.bytes)
    }

    /// Opens a segment, unless it is open.
    pub(crate) fn file(
        &self,
        disk: &dyn Disk,
        folder: &Path,
        id: u32,
    ) -> Result<Arc<ReadFile>, Error> {
        let mut open = self.open.lock().expect("nobody panics while holding it");
        let file = match open.iter().position(|file| file.id == id) {
            Some(place) => open.remove(place),
            None => {
                if open.len() == FILES_OPEN_MAX {
                    open.remove(0);
                }
                let path = data_path(folder, id);
                let file = disk.open(&path, Access::Read)?;
                let is_sealed = self.listed.get(&id).is_some_and(|segment| segment.is_sealed);
                Arc::new(ReadFile { id, path, file, is_sealed, mapping: OnceLock::new() })
            }
        };
        open.push(Arc::clone(&file));
        Ok(file)
    }
}

impl ReadFile {
    /// Bytes of the segment.
    pub(crate) fn read(&self, offset: u64, bytes: u64) -> Result<Cow<'_, [u8]>, Error> {
        let ends = || ends_within(&self.path, offset);
        let range = usize::try_from(offset).ok().zip(usize::try_from(bytes).ok());
        let (start, length) = range.ok_or_else(ends)?;
        let end = start.checked_add(length).ok_or_else(ends)?;
        if self.is_sealed {
            return self.mapping()?.get(start..end).map(Cow::Borrowed).ok_or_else(ends);
        }
        read_positioned(&*self.file, &self.path, offset, length).map(Cow::Owned)
    }

    fn mapping(&self) -> Result<&Mapping, Error> {
        if let Some(mapping) = self.mapping.get() {
            return Ok(mapping);
        }
        // Two who map at once: the one who is late gives its mapping back.
        let mapping = self.file.map()?;
        Ok(self.mapping.get_or_init(|| mapping))
    }

    pub(crate) fn corrupt(&self, offset: u64, what: &'static str) -> Error {
        Error::Corrupt { path: self.path.clone(), offset, what }
    }
}

pub(crate) fn ends_within(path: &Path, offset: u64) -> Error {
    Error::Corrupt {
        path: path.to_path_buf(),
        offset,
        what: "a data segment ends within an extent",
    }
}

/// Reads a part of a data segment that may still grow.
pub(crate) fn read_positioned(
    file: &dyn DiskFile,
    path: &Path,
    offset: u64,
    bytes: usize,
) -> Result<Vec<u8>, Error> {
    // What the file does not have is not made room for.
    let end = offset.checked_add(bytes as u64);
    let held = if bytes > UNASKED_BYTES_MAX { file.bytes()? } else { u64::MAX };
    if end.is_none_or(|end| end > held) {
        return Err(ends_within(path, offset));
    }
    let mut content = vec![0; bytes];
    match file.read_at(offset, &mut content)? == bytes {
        true => Ok(content),
        false => Err(ends_within(path, offset)),
    }
}
