//! The bytes of data segments, for callers whose records carry checks of their own.
//!
//! - [`DataSegmentBytes`] is one open segment. Whoever holds it reads without any lock: a sealed
//!   segment is mapped, and so is another one as far as it was written.
//! - A segment that was rewritten can be opened until its file is removed; from then on the answer is
//!   [`Error::SegmentGone`], and the caller looks up again where its records are. Who has it open
//!   keeps what it has.
//!
//! What it does *not* do: check what it reads (see `read` for extents, which are checked by their
//! digests), or limit how many segments are open: a sealed one that is mapped costs
//! no descriptor.

use std::{borrow::Cow, fmt, path::PathBuf, sync::Arc};

use icecore_disk::{Access, DiskFile, GrowingMapping, Mapping};

use crate::{
    Error, Journal,
    extents::files::{DataSegments, ends_within, read_positioned},
    history::History,
    segment::data_path,
};

/// A data segment in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataSegmentInfo {
    /// Its number.
    pub id: u32,
    /// Bytes that it has, with its header and the lists of digests; of one that is still written to,
    /// where the room that was given out in it ends, as far as that is known here.
    pub bytes: u64,
    /// Whether it never changes again.
    pub is_sealed: bool,
}

/// A data segment that is open for reading. It goes to any thread.
pub struct DataSegmentBytes {
    id: u32,
    path: PathBuf,
    content: Content,
    is_sealed: bool,
}

enum Content {
    Mapped(Mapping),
    /// Of one that is written to: what was written before it is asked for is mapped.
    Growing(GrowingMapping, Arc<dyn DiskFile>),
    Positioned(Arc<dyn DiskFile>),
}

/// How much of a segment that is written to is mapped; what lies behind is read by position.
const GROWING_BYTES_MAX: usize = 1 << 30;

impl History {
    /// Opens a data segment, of any state, for reads at random places.
    ///
    /// # Errors
    /// [`Error::SegmentGone`] when there is none of this number (any more); [`Error::Corrupt`] when
    /// it is shorter than it was; what the disk said.
    pub fn data_segment(&self, id: u32) -> Result<Arc<DataSegmentBytes>, Error> {
        let open = || DataSegmentBytes::open(self, &self.catalog().data, id);
        let opened = self.retry(open).map_err(|error| match error {
            Error::Disk(error) if error.is_absent() => Error::SegmentGone { segment: id },
            error => error,
        });
        opened.map(Arc::new)
    }

    /// The data segments in use that the manifest lists, in the order of their numbers: not those
    /// that were rewritten, nor those of unfinished bulk sessions.
    pub fn data_segments(&self) -> Vec<DataSegmentInfo> {
        self.catalog().data.in_use()
    }
}

impl Journal {
    /// As [`History::data_segments`], and those that this writer writes to.
    pub fn data_segments(&self) -> Vec<DataSegmentInfo> {
        // The writer's own come first: what it forgets is in the catalog before.
        let own = self.shared.data_room.segments();
        let mut segments = self.shared.history.data_segments();
        segments.retain(|listed| !own.iter().any(|info| info.id == listed.id));
        segments.extend(own);
        segments.sort_unstable_by_key(|info| info.id);
        segments
    }
}

impl DataSegmentBytes {
    fn open(history: &History, listed: &DataSegments, id: u32) -> Result<Self, Error> {
        let path = data_path(&history.folder, id);
        let file = history.disk.open(&path, Access::Read)?;
        let Some(bytes) = listed.bytes_of(id) else {
            // It only grows while this process lives, and records are asked for when they are written.
            let content = match file.map_growing(GROWING_BYTES_MAX) {
                Ok(Some(growing)) => Content::Growing(growing, file),
                Ok(None) | Err(_) => Content::Positioned(file),
            };
            return Ok(Self { id, path, content, is_sealed: false });
        };
        if file.bytes()? < bytes {
            let what = "a data segment is shorter than the manifest says";
            return Err(Error::Corrupt { path, offset: bytes, what });
        }
        // Where files are not mapped, as on network file systems, it is read by position.
        let content = match file.map() {
            Ok(mapping) => {
                mapping.advise_random();
                Content::Mapped(mapping)
            }
            Err(_) => Content::Positioned(file),
        };
        Ok(Self { id, path, content, is_sealed: true })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its file.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Whether it was sealed when it was opened. One that was not can be opened again when it is: then
    /// it needs no descriptor, and no system call however long it is.
    pub fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// Whether it is read as memory, without system calls for each read.
    pub fn is_mapped(&self) -> bool {
        !matches!(self.content, Content::Positioned(_))
    }

    /// What of these bytes is memory, for hints that they will be read: of a segment that is written to
    /// only what was written may be asked for.
    pub fn in_memory(&self, offset: u64, bytes: usize) -> &[u8] {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        match &self.content {
            Content::Mapped(mapping) => {
                let start = start.min(mapping.len());
                &mapping[start..start.saturating_add(bytes).min(mapping.len())]
            }
            Content::Growing(growing, _) => {
                growing.get(start..start.saturating_add(bytes)).unwrap_or_default()
            }
            Content::Positioned(_) => &[],
        }
    }

    /// Bytes of the segment, unchecked.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the segment ends before; what the disk said.
    pub fn get(&self, offset: u64, bytes: usize) -> Result<Cow<'_, [u8]>, Error> {
        match &self.content {
            Content::Mapped(mapping) => {
                let start = usize::try_from(offset).ok();
                let end = start.and_then(|start| start.checked_add(bytes));
                let range = start.zip(end).map(|(start, end)| start..end);
                let found = range.and_then(|range| mapping.get(range));
                found.map(Cow::Borrowed).ok_or_else(|| ends_within(&self.path, offset))
            }
            Content::Growing(growing, file) => {
                let start = usize::try_from(offset).ok();
                let end = start.and_then(|start| start.checked_add(bytes));
                match start.zip(end).and_then(|(start, end)| growing.get(start..end)) {
                    Some(found) => Ok(Cow::Borrowed(found)),
                    None => read_positioned(&**file, &self.path, offset, bytes).map(Cow::Owned),
                }
            }
            Content::Positioned(file) => {
                read_positioned(&**file, &self.path, offset, bytes).map(Cow::Owned)
            }
        }
    }
}

impl fmt::Debug for DataSegmentBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DataSegmentBytes")
            .field("id", &self.id)
            .field("is_mapped", &self.is_mapped())
            .finish_non_exhaustive()
    }
}
