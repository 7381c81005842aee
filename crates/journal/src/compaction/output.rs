//! Writing what is kept into new data segments.
//!
//! Extents are copied in the order of their old places; each is verified chunk by chunk as it is read,
//! and what was written has to have the same digest. Behind the last one come the directory and the
//! footer. All files are synced, read once more for the digests that the event records, and then the
//! folder is synced.

use std::sync::Arc;

use icecore_disk::DiskFile;

use super::{
    Compacted, ExtentFate,
    directory::{Entry, FOOTER_BYTES, Fate, footer},
    plan::Live,
};
use crate::{
    Digest, Error, Extent, SegmentFile,
    extents::{Layout, stream::ExtentStream},
    format::{BLOCK_BYTES, walk::align},
    journal::Shared,
    segment::data_path,
};

/// Bytes copied at a time.
const COPIED_AT_ONCE_BYTES: u64 = 1 << 20;

/// A new segment that is complete.
pub(super) struct OutputFile {
    pub(super) file: SegmentFile,
    pub(super) directory: Extent,
}

/// A new segment that is being written.
struct Output {
    id: u32,
    file: Arc<dyn DiskFile>,
    /// Where the next extent could start.
    end: u64,
    directory: Vec<u8>,
}

impl Shared {
    /// Writes all that is kept, durably. Nobody knows the files yet.
    pub(super) fn write_outputs(&self, live: &Live) -> Result<(Vec<OutputFile>, Compacted), Error> {
        let mut made = Vec::new();
        let written = self.write_outputs_to(live, &mut made);
        if written.is_err() {
            for id in made {
                // What is left is listed by the next open as garbage.
                if self.disk.remove(&data_path(&self.folder, id)).is_ok() {
                    let forget = |id: u32| {
                        self.change_manifest(|manifest| {
                            manifest.pending.retain(|pending| *pending != id);
                        })
                    };
                    let _ = forget(id);
                }
            }
        }
        written
    }

    fn write_outputs_to(
        &self,
        live: &Live,
        made: &mut Vec<u32>,
    ) -> Result<(Vec<OutputFile>, Compacted), Error> {
        let mut compacted = Compacted::default();
        let mut files = Vec::new();
        let mut output: Option<Output> = None;
        for ((segment, old_offset), part) in live {
            let bytes = match &part.fate {
                ExtentFate::Keep => part.located.bytes,
                ExtentFate::Drop => 0,
                ExtentFate::Rewrite(bytes) => bytes.len() as u64,
            };
            if output.as_ref().is_some_and(|output| !self.has_room_for(output, bytes)) {
                files.extend(output.take().map(|output| self.finish_output(output)).transpose()?);
            }
            let current = match &mut output {
                Some(output) => output,
                None => output.insert(self.begin_output(made)?),
            };
            let placed = match &part.fate {
                ExtentFate::Drop => {
                    compacted.dropped += 1;
                    None
                }
                ExtentFate::Rewrite(bytes) => {
                    compacted.rewritten += 1;
                    let mut stream = self.begin_extent(current, bytes.len() as u64)?;
                    stream.write(bytes)?;
                    Some(stream.finish()?)
                }
                ExtentFate::Keep => {
                    compacted.kept += 1;
                    Some(self.copy_extent(current, &part.located)?)
                }
            };
            let fate = match &placed {
                None => Fate::Dropped,
                Some(placed) if placed.digest == part.original.digest => Fate::Moved,
                Some(_) => Fate::Rewritten,
            };
            let (offset, bytes, digest) = match placed {
                Some(placed) => (placed.offset, placed.bytes, placed.digest),
                None => (0, 0, Digest::ZERO),
            };
            let entry =
                Entry { segment: *segment, old_offset: *old_offset, fate, offset, bytes, digest };
            current.directory.extend_from_slice(&entry.encode());
        }
        files.extend(output.map(|output| self.finish_output(output)).transpose()?);
        self.disk.sync_folder(&self.folder)?;
        compacted.outputs = files.iter().map(|output| output.file.segment).collect();
        compacted.bytes_after = files.iter().map(|output| output.file.bytes).sum();
        Ok((files, compacted))
    }

    fn begin_output(&self, made: &mut Vec<u32>) -> Result<Output, Error> {
        let (id, file) = self.create_data_file(0)?;
        made.push(id);
        Ok(Output { id, file, end: BLOCK_BYTES, directory: Vec::new() })
    }

    /// Whether an extent of so many bytes fits, with the directory behind it.
    fn has_room_for(&self, output: &Output, bytes: u64) -> bool {
        let end = Layout::of(self.next_start(output), bytes).map(|layout| layout.end);
        let with_directory = end.and_then(|end| {
            Layout::of(align(end, 8), output.directory.len() as u64 + 64).map(|layout| layout.end)
        });
        with_directory.is_some_and(|end| end <= self.options.data_segment_bytes_max)
    }

    fn next_start(&self, output: &Output) -> u64 {
        align(output.end, self.options.extent_alignment)
    }

    /// Room for the next extent.
    fn begin_extent(&self, output: &mut Output, bytes: u64) -> Result<ExtentStream, Error> {
        let start = self.next_start(output);
        let layout = Layout::of(start, bytes)
            .ok_or(Error::Unfit { what: "an extent and its segment have less than 32 GiB" })?;
        output.end = layout.end;
        Ok(ExtentStream::new(Arc::clone(&output.file), output.id, start))
    }

    fn copy_extent(&self, output: &mut Output, extent: &Extent) -> Result<Extent, Error> {
        let reader = self.open_in_place(extent)?;
        let mut stream = self.begin_extent(output, extent.bytes)?;
        let mut at = 0;
        while at < extent.bytes {
            let end = extent.bytes.min(at + COPIED_AT_ONCE_BYTES);
            stream.write(&reader.read(at..end)?)?;
            at = end;
        }
        let copied = stream.finish()?;
        assert_eq!(copied.digest, extent.digest, "each chunk was verified when it was read");
        Ok(copied)
    }

    fn finish_output(&self, mut output: Output) -> Result<OutputFile, Error> {
        let entries = std::mem::take(&mut output.directory);
        let mut stream = self.begin_extent(&mut output, entries.len() as u64)?;
        stream.write(&entries)?;
        let directory = stream.finish()?;
        let footer_start = align(output.end, 8);
        output.file.write_at(footer_start, &footer(&directory))?;
        output.file.sync()?;
        let bytes = footer_start + FOOTER_BYTES as u64;
        let digest = digest_of(&*output.file, bytes)?;
        let file = SegmentFile { segment: output.id, bytes, digest };
        Ok(OutputFile { file, directory })
    }
}

fn digest_of(file: &dyn DiskFile, bytes: u64) -> Result<Digest, Error> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; COPIED_AT_ONCE_BYTES as usize];
    let mut at = 0;
    while at < bytes {
        let wanted = (bytes - at).min(COPIED_AT_ONCE_BYTES) as usize;
        let read = file.read_at(at, &mut buffer[..wanted])?;
        if read < wanted {
            return Err(Error::Corrupt {
                path: file.path().to_path_buf(),
                offset: at + read as u64,
                what: "a data segment that was just written is too short",
            });
        }
        hasher.update(&buffer[..wanted]);
        at += wanted as u64;
    }
    Ok(Digest(*hasher.finalize().as_bytes()))
}
