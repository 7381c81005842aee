//! Reading extents: any part, without reading the whole.
//!
//! 1. The list of the chunks' digests is read and compared with the digest that the event gives.
//! 2. The chunks that hold the wanted part are read and compared with the list.
//!
//! What is not what was written is an error with file and offset, never an answer.

use std::{borrow::Cow, ops::Range, sync::Arc};

use crate::{
    Digest, Error, Event, Extent,
    extent_digest::ChunkDigests,
    extents::{DIGEST_BYTES, Layout, files::ReadFile},
    history::History,
    segment::data_path,
};

/// An extent whose list of digests has been read and checked: parts of it cost no more than their
/// own bytes.
#[derive(Debug)]
pub struct ExtentReader {
    file: Arc<ReadFile>,
    layout: Layout,
    digests: ChunkDigests,
}

impl History {
    /// Prepares reading an extent in parts.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there is no such extent where it should be;
    /// [`Error::ExtentDropped`] when it was dropped.
    pub fn open_extent(&self, extent: &Extent) -> Result<ExtentReader, Error> {
        self.with_located(extent, |located| self.open_in_place(located))
    }

    /// Prepares reading an extent where it was written.
    pub(crate) fn open_in_place(&self, extent: &Extent) -> Result<ExtentReader, Error> {
        let path = || data_path(&self.folder, extent.segment);
        let corrupt = |what| Error::Corrupt { path: path(), offset: extent.offset, what };
        let open = || self.catalog().data.file(&*self.disk, &self.folder, extent.segment);
        let file = self.retry(open).map_err(|error| match error {
            Error::Disk(error) if error.is_absent() => {
                corrupt("a data segment that an event names is missing")
            }
            error => error,
        })?;
        ExtentReader::open(file, extent)
    }

    /// Reads a part of an extent.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when what is there is not what was written; [`Error::Unfit`] when the
    /// range exceeds the extent.
    pub fn read_extent(&self, extent: &Extent, range: Range<u64>) -> Result<Vec<u8>, Error> {
        self.open_extent(extent)?.read(range)
    }

    /// An event's payload, wherever it lies.
    ///
    /// # Errors
    /// As [`Self::read_extent`].
    pub fn payload<'a>(&self, event: &'a Event) -> Result<Cow<'a, [u8]>, Error> {
        if !event.is_payload_in_extent() {
            return Ok(Cow::Borrowed(event.payload()));
        }
        let extents = event.extents();
        let extent = extents.first().expect("checked when the event was read");
        let reader = self.open_extent(extent)?;
        Ok(Cow::Owned(reader.read(0..reader.bytes())?))
    }
}

impl ExtentReader {
    /// Reads the list of digests and checks it.
    pub(crate) fn open(file: Arc<ReadFile>, extent: &Extent) -> Result<Self, Error> {
        let layout = Layout::of(extent.offset, extent.bytes).ok_or_else(|| {
            file.corrupt(extent.offset, "an event names an extent where none can lie")
        })?;
        let list = file.read(layout.digests, layout.end - layout.digests)?;
        let digests = list
            .chunks_exact(DIGEST_BYTES)
            .map(|digest| Digest(digest.try_into().expect("chunks are exact")))
            .collect();
        let digests =
            ChunkDigests::bind(digests, extent.bytes, &extent.digest).ok_or_else(|| {
                file.corrupt(layout.digests, "the digests of an extent are not what its event says")
            })?;
        drop(list);
        Ok(Self { file, layout, digests })
    }

    /// Bytes of the extent.
    pub fn bytes(&self) -> u64 {
        self.digests.bytes()
    }

    /// Something in the extent is wrong, at so many bytes from its start.
    pub(crate) fn corrupt(&self, at: u64, what: &'static str) -> Error {
        self.file.corrupt(self.layout.start + at, what)
    }

    /// Reads a part.
    ///
    /// # Errors
    /// As [`History::read_extent`].
    pub fn read(&self, range: Range<u64>) -> Result<Vec<u8>, Error> {
        if range.start > range.end || range.end > self.bytes() {
            return Err(Error::Unfit { what: "a part of an extent is asked for that it has not" });
        }
        let whole = self.digests.whole_chunks(range.clone());
        let start = self.layout.start + whole.start;
        let chunks = self.file.read(start, whole.end - whole.start)?;
        self.digests.verify(whole.start, &chunks).map_err(|at| {
            self.file
                .corrupt(self.layout.start + at, "a chunk of an extent is not what was written")
        })?;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let part = (range.start - whole.start) as usize..(range.end - whole.start) as usize;
        Ok(match chunks {
            Cow::Owned(chunks) if part == (0..chunks.len()) => chunks,
            chunks => chunks[part].to_vec(),
        })
    }
}
