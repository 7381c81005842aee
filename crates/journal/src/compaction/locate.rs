//! Where an extent lies now.
//!
//! An event names the place where the extent was when it adopted it. If that segment was rewritten,
//! the manifest says by which ones, and the directory of one of these has the new place: always in
//! one step, since rewriting takes the old places along.

use std::{path::Path, sync::Arc};

use icecore_disk::Disk;

use super::directory::{Directory, Entry, FOOTER_BYTES, Fate, of_footer};
use crate::{
    Error, Extent, SegmentFile,
    extents::{
        files::{DataSegments, ReadFile},
        is_sound,
        read::ExtentReader,
    },
    history::History,
    segment::data_path,
};

/// Where an extent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    In(Extent),
    /// It was dropped, says the directory of this segment.
    DroppedIn(u32),
}

/// Times that looking for an extent begins anew because segments were replaced meanwhile.
const ATTEMPTS_MAX: usize = 8;

impl DataSegments {
    /// Where an extent lies now.
    pub(super) fn place_of(
        &self,
        disk: &dyn Disk,
        folder: &Path,
        extent: &Extent,
    ) -> Result<Place, Error> {
        let replaced_by = self.replaced_by(extent.segment);
        if replaced_by.is_empty() {
            return Ok(Place::In(*extent));
        }
        for segment in replaced_by {
            let directory = self.directory(disk, folder, *segment)?;
            let Some(entry) = directory.find(extent)? else { continue };
            let Entry { fate, offset, bytes, digest, .. } = entry;
            return Ok(match fate {
                Fate::Dropped => Place::DroppedIn(*segment),
                // What was moved has to be what the event says.
                Fate::Moved => Place::In(Extent { segment: *segment, offset, ..*extent }),
                Fate::Rewritten => Place::In(Extent { segment: *segment, offset, bytes, digest }),
            });
        }
        Err(Error::Corrupt {
            path: data_path(folder, extent.segment),
            offset: extent.offset,
            what: "the segment was rewritten, and an extent is not where it was moved to",
        })
    }

    fn directory(&self, disk: &dyn Disk, folder: &Path, segment: u32) -> Result<Directory, Error> {
        let bytes = self.bytes_of(segment).ok_or_else(|| Error::Corrupt {
            path: data_path(folder, segment),
            offset: 0,
            what: "a data segment was replaced by one that the manifest does not list as sealed",
        })?;
        read_directory(self.file(disk, folder, segment)?, segment, bytes)
    }

    /// Whether an extent is there and what its digest says, wherever it was moved to; one that was
    /// dropped on purpose is not missed.
    pub(crate) fn is_extent_sound(
        &self,
        disk: &dyn Disk,
        folder: &Path,
        extent: &Extent,
    ) -> Result<bool, Error> {
        match self.place_of(disk, folder, extent) {
            Ok(Place::In(located)) => is_sound(disk, folder, &located),
            Ok(Place::DroppedIn(_)) => Ok(true),
            Err(Error::Corrupt { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The directory of a segment that has so many bytes.
fn read_directory(file: Arc<ReadFile>, segment: u32, bytes: u64) -> Result<Directory, Error> {
    let start = bytes.saturating_sub(FOOTER_BYTES as u64);
    let footer = file.read(start, FOOTER_BYTES as u64)?;
    let footer = footer.first_chunk().expect("read whole");
    let directory =
        of_footer(segment, footer).map_err(|malformed| file.corrupt(start, malformed.what))?;
    Ok(Directory(ExtentReader::open(file, &directory)?))
}

impl History {
    /// Does something with an extent where it lies now; again if it was moved meanwhile.
    pub(crate) fn with_located<T>(
        &self,
        extent: &Extent,
        act: impl Fn(&Extent) -> Result<T, Error>,
    ) -> Result<T, Error> {
        for _ in 1..ATTEMPTS_MAX {
            let data = Arc::clone(&self.catalog().data);
            let result = self.locate(&data, extent).and_then(|located| act(&located));
            match result {
                Err(Error::Disk(error)) if error.is_absent() && self.follower.is_some() => {
                    self.refresh_files()?;
                }
                Err(_) if !Arc::ptr_eq(&data, &self.catalog().data) => {}
                result => return result,
            }
        }
        let data = Arc::clone(&self.catalog().data);
        self.locate(&data, extent).and_then(|located| act(&located))
    }

    fn locate(&self, data: &DataSegments, extent: &Extent) -> Result<Extent, Error> {
        match data.place_of(&*self.disk, &self.folder, extent)? {
            Place::In(located) => Ok(located),
            Place::DroppedIn(_) => {
                Err(Error::ExtentDropped { segment: extent.segment, offset: extent.offset })
            }
        }
    }

    /// Segments whose extents the directory of a new one has.
    pub(super) fn carried_segments(&self, file: &SegmentFile) -> Result<Vec<u32>, Error> {
        // The manifest need not know the segment yet.
        let read = self.catalog().data.file(&*self.disk, &self.folder, file.segment)?;
        let directory = read_directory(read, file.segment, file.bytes)?;
        let (mut carried, mut number) = (Vec::new(), 0);
        while number < directory.entries() {
            let segment = directory.entry(number)?.segment;
            carried.push(segment);
            number = directory.before((segment + 1, 0))?;
        }
        Ok(carried)
    }
}
