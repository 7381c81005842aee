//! Room in data segments, and how the manifest comes to know of them.
//!
//! 1. Who writes an extent takes room for it, under a lock: a range of the open data segment that
//!    nobody else gets. It is then written without a lock. What is not written stays a hole.
//! 2. A segment without enough room is *full*: nobody gets room there any more. It is *complete*
//!    when those who have room are done.
//! 3. The manifest lists data segments when it is changed for other reasons (a chain segment is
//!    sealed, the journal is closed), or when several are full: complete ones as sealed, with their size, others as open. Their
//!    files are synced first, so that no event that counts as durable from then on adopts what is
//!    not. Until then their ids are known as given out.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use icecore_disk::DiskFile;

use crate::{
    Error,
    extents::{
        DATA_SEGMENT_BYTES_END, Layout, files::DataSegments, segment_bytes::DataSegmentInfo,
    },
    format::{
        BLOCK_BYTES,
        manifest::{DataSegment, Manifest},
        segment_header::{Content, SegmentHeader},
        walk::align,
    },
    journal::Shared,
    primitives::{Mutex, MutexGuard},
    segment::data_path,
};

/// Full segments that the manifest does not call sealed, about: with so many it is changed for them.
const FULL_SEGMENTS_MAX: usize = 8;

/// The data segments that this writer began and the manifest does not call sealed.
#[derive(Debug, Default)]
pub(crate) struct DataRoom {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: Option<Arc<DataFile>>,
    full: Vec<Arc<DataFile>>,
}

/// A data segment that is written to.
#[derive(Debug)]
pub(crate) struct DataFile {
    pub(crate) id: u32,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where the next extent could start.
    end: AtomicU64,
    /// Those who have room and are not done.
    writers: AtomicUsize,
}

/// Room for one extent.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) segment: Arc<DataFile>,
    pub(crate) layout: Layout,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.segment.writers.fetch_sub(1, Ordering::Release);
    }
}

impl DataRoom {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    /// Where the room that was given out in a segment ends; `None` for a segment that is not here.
    pub(crate) fn end_of(&self, id: u32) -> Option<u64> {
        let state = self.state();
        let segment = state.open.iter().chain(&state.full).find(|segment| segment.id == id)?;
        Some(segment.end.load(Ordering::Relaxed))
    }

    /// The segments, in no order.
    pub(crate) fn segments(&self) -> Vec<DataSegmentInfo> {
        let state = self.state();
        let info = |segment: &Arc<DataFile>| DataSegmentInfo {
            id: segment.id,
            bytes: segment.end.load(Ordering::Relaxed),
            is_sealed: false,
        };
        state.open.iter().chain(&state.full).map(info).collect()
    }

    /// Gives no more room in the open segment.
    pub(crate) fn end_segment(&self) {
        let mut state = self.state();
        let open = state.open.take();
        state.full.extend(open);
    }

    /// What the manifest is to be told.
    pub(crate) fn listing(&self) -> Listing {
        let state = self.state();
        // Nobody gets room in a full segment: once it has no writers it never has again. Its last
        // extents may be missing, if writing them failed.
        let full = state.full.iter().map(|segment| {
            let is_complete = segment.writers.load(Ordering::Acquire) == 0;
            (Arc::clone(segment), is_complete.then(|| segment.file.bytes().ok()).flatten())
        });
        let open = state.open.iter().map(|segment| (Arc::clone(segment), None));
        Listing { segments: full.chain(open).collect() }
    }
}

/// Data segments as they are to be listed in the manifest; of complete ones how many bytes they have.
#[derive(Debug)]
pub(crate) struct Listing {
    segments: Vec<(Arc<DataFile>, Option<u64>)>,
}

impl Listing {
    /// What has to be synced before the manifest says so.
    pub(crate) fn files(&self) -> Vec<Arc<dyn DiskFile>> {
        self.segments.iter().map(|(segment, _)| Arc::clone(&segment.file)).collect()
    }

    /// Enters the segments; the folder has been synced.
    pub(crate) fn put_in(&self, manifest: &mut Manifest) {
        for (segment, bytes) in &self.segments {
            let listed = DataSegment {
                id: segment.id,
                session: 0,
                bytes: bytes.unwrap_or(0),
                is_sealed: bytes.is_some(),
                replaced_by: Vec::new(),
            };
            list(manifest, listed);
        }
    }
}

/// Enters a data segment in the manifest, in place of what it said of it.
pub(crate) fn list(manifest: &mut Manifest, segment: DataSegment) {
    manifest.pending.retain(|id| *id != segment.id);
    match manifest.data.iter_mut().find(|listed| listed.id == segment.id) {
        Some(listed) => *listed = segment,
        None => manifest.data.push(segment),
    }
}

impl Shared {
    /// Has the manifest list the data segments now.
    fn list_data(&self) -> Result<(), Error> {
        let listing = self.data_room.listing();
        self.sync_in_order(&listing.files(), true)?;
        self.change_manifest(|manifest| listing.put_in(manifest))?;
        self.data_listed(&listing);
        Ok(())
    }

    /// The listing is in the manifest.
    pub(crate) fn data_listed(&self, listing: &Listing) {
        let is_done = |segment: &Arc<DataFile>| {
            let mut listed = listing.segments.iter();
            listed.any(|(listed, bytes)| bytes.is_some() && Arc::ptr_eq(listed, segment))
        };
        // Readers know a segment from the catalog before the writer forgets it.
        if listing.segments.iter().any(|(_, bytes)| bytes.is_some()) {
            self.show_data();
        }
        self.data_room.state().full.retain(|segment| !is_done(segment));
    }

    /// Lets readers know what the manifest says of data segments.
    pub(crate) fn show_data(&self) {
        let data = {
            let manifest = self.manifest.lock().expect("nobody panics while holding it");
            Arc::new(DataSegments::of(&manifest))
        };
        self.change_catalog(|catalog| catalog.data = data);
    }

    /// Room for an extent in the open data segment, or in a new one.
    pub(crate) fn take_room(&self, bytes: u64) -> Result<Room, Error> {
        self.watermarks.check()?;
        let alignment = self.options.extent_alignment;
        let mut state = self.data_room.state();
        let open = state.open.as_ref().and_then(|open| {
            let start = align(open.end.load(Ordering::Relaxed), alignment);
            let layout = Layout::of(start, bytes)?;
            let has_room = layout.end <= self.options.data_segment_bytes_max;
            has_room.then(|| (Arc::clone(open), layout))
        });
        let is_new = open.is_none();
        let (segment, layout) = match open {
            Some(found) => found,
            None => {
                // A segment takes one extent of any size.
                let layout = Layout::of(BLOCK_BYTES, bytes)
                    .ok_or(Error::Unfit { what: "an extent has less than 32 GiB" })?;
                let (id, file) = self.create_data_file(0)?;
                self.sync_role.named();
                let (end, writers) = (AtomicU64::new(BLOCK_BYTES), AtomicUsize::new(0));
                let segment = Arc::new(DataFile { id, file, end, writers });
                let full = state.open.replace(Arc::clone(&segment));
                state.full.extend(full);
                (segment, layout)
            }
        };
        debug_assert!(layout.end <= DATA_SEGMENT_BYTES_END, "a layout lies in a segment");
        segment.end.store(layout.end, Ordering::Relaxed);
        segment.writers.fetch_add(1, Ordering::Relaxed);
        let full = state.full.len();
        drop(state);
        let room = Room { segment, layout };
        if full >= FULL_SEGMENTS_MAX && is_new {
            self.list_data()?;
        }
        Ok(room)
    }

    /// A new data segment with nothing but its header.
    pub(crate) fn create_data_file(&self, session: u64) -> Result<(u32, Arc<dyn DiskFile>), Error> {
        let id = self.take_segment_id()?;
        let path = data_path(&self.folder, id);
        let header = SegmentHeader {
            store_id: self.identity.store_id,
            epoch: self.epoch,
            segment: id,
            created: self.disk.now(),
            content: Content::Data { session },
        };
        let created = self.disk.create(&path).and_then(|file| {
            let written = file.write_at(0, &header.encode());
            if written.is_err() {
                // What is left is listed by the next open; the first error is what is heard of.
                let _ = self.disk.remove(&path);
            }
            written.map(|()| file)
        });
        // The id of one that failed is used up: along the chain ids go up.
        Ok((id, created?))
    }
}
