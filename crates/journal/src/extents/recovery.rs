//! What an open makes of the data segments that a writer left behind.
//!
//! - Every data segment that the manifest names has to be there, whole.
//! - A segment that was open, and one under an id that was given out, becomes a sealed one with the
//!   bytes that it has. It is synced first: events may have adopted extents that are readable and
//!   not on the medium (rule R7). What nobody adopted in it is garbage.
//! - Syncing alone is not enough after a sync that failed: the kernel may hold pages that it calls
//!   clean and never wrote. What has to be on the medium is written again, byte for byte, first.
//! - Files of unfinished bulk sessions stay as they are: the journal decides on them when it is open
//!   (see `bulk`).
//!
//! Nothing is removed here.

use std::path::Path;

use icecore_disk::{Access, Disk, DiskFile, FolderEntry};

use crate::{
    Digest, Error, Extent, StoreId,
    extent_digest::ExtentHasher,
    extents::{DIGEST_BYTES, EXTENT_ALIGNMENT, Layout, room::list},
    format::{
        BLOCK_BYTES,
        manifest::{DataSegment, Manifest},
        segment_header::{Content, SEGMENT_HEADER_BYTES, SegmentHeader},
    },
    segment::data_path,
};

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

/// What a segment is lengthened by so that its length is sure to be synced.
const LENGTHENING: [u8; EXTENT_ALIGNMENT as usize] = [0; _];

/// Whether an extent is there, and it and its list of digests are what its event says.
pub(crate) fn is_sound(disk: &dyn Disk, folder: &Path, extent: &Extent) -> Result<bool, Error> {
    let Some(layout) = Layout::of(extent.offset, extent.bytes) else { return Ok(false) };
    let file = match disk.open(&data_path(folder, extent.segment), Access::Read) {
        Ok(file) => file,
        Err(error) if error.is_absent() => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    if file.bytes()? < layout.end {
        return Ok(false);
    }
    let (mut hasher, mut at) = (ExtentHasher::new(), 0);
    let mut buffer = vec![0; READ_BYTES];
    while at < extent.bytes {
        let wanted = buffer.len().min(usize::try_from(extent.bytes - at).unwrap_or(usize::MAX));
        let read = file.read_at(extent.offset + at, &mut buffer[..wanted])?;
        if read == 0 {
            return Ok(false);
        }
        hasher.update(&buffer[..read]);
        at += read as u64;
    }
    let digests = hasher.finish();
    let mut list = vec![0; digests.digests().len() * DIGEST_BYTES];
    let is_whole = file.read_at(layout.digests, &mut list)? == list.len();
    let is_list = |(stored, digest): (&[u8], &Digest)| stored == digest.0;
    Ok(is_whole
        && digests.root() == extent.digest
        && list.chunks_exact(DIGEST_BYTES).zip(digests.digests()).all(is_list))
}

/// Whether every data segment that the manifest names is there, as long as it says; the entries of
/// the folder are sorted by name.
pub(crate) fn check_files(
    folder: &Path,
    entries: &[FolderEntry],
    manifest: &Manifest,
) -> Result<(), Error> {
    for segment in &manifest.data {
        // Aborting a session removes its files first, and compaction those that it has replaced.
        let may_be_gone = !segment.replaced_by.is_empty()
            || manifest.retired.iter().any(|retired| retired.id == segment.id)
            || manifest.sessions.iter().any(|session| session.id == segment.session);
        let path = data_path(folder, segment.id);
        let name = path.file_name().and_then(|name| name.to_str()).expect("made of digits");
        let entry = entries.binary_search_by(|entry| entry.name.as_str().cmp(name));
        match entry.ok().map(|place| &entries[place]) {
            Some(entry) if entry.bytes >= segment.bytes => {}
            None if may_be_gone => {}
            Some(entry) => {
                let what = "a data segment is shorter than the manifest says";
                return Err(Error::Corrupt { path, offset: entry.bytes, what });
            }
            None => {
                let what = "a data segment that the manifest names is missing";
                return Err(Error::Corrupt { path, offset: 0, what });
            }
        }
    }
    Ok(())
}

/// The bulk session that a data segment's header names, 0 if none; `None` when there is no such file,
/// or its header is not one of this journal.
pub(crate) fn session_of(
    disk: &dyn Disk,
    folder: &Path,
    store_id: &StoreId,
    id: u32,
) -> Result<Option<u64>, Error> {
    let file = match disk.open(&data_path(folder, id), Access::Read) {
        Ok(file) => file,
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut block = [0; SEGMENT_HEADER_BYTES];
    let read = file.read_at(0, &mut block)?;
    Ok(match SegmentHeader::decode(&block[..read]) {
        Ok(SegmentHeader {
            store_id: store, segment, content: Content::Data { session }, ..
        }) if store == *store_id && segment == id => Some(session),
        _ => None,
    })
}

/// Writes an extent again where it lies, for who syncs it then, unless the manifest says that its
/// segment is sealed and so on the medium.
pub(crate) fn write_again(
    disk: &dyn Disk,
    folder: &Path,
    manifest: &Manifest,
    extent: &Extent,
) -> Result<(), Error> {
    let is_sealed = |segment: &DataSegment| segment.id == extent.segment && segment.is_sealed;
    let Some(layout) = Layout::of(extent.offset, extent.bytes) else { return Ok(()) };
    if manifest.data.iter().any(is_sealed) {
        return Ok(());
    }
    let file = disk.open(&data_path(folder, extent.segment), Access::ReadWrite)?;
    copy_in_place(&*file, layout.start, layout.end)
}

fn copy_in_place(file: &dyn DiskFile, start: u64, end: u64) -> Result<(), Error> {
    let mut buffer = vec![0; READ_BYTES];
    let mut at = start;
    while at < end {
        let wanted = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        let read = file.read_at(at, &mut buffer[..wanted])?;
        if read == 0 {
            break;
        }
        file.write_at(at, &buffer[..read])?;
        at += read as u64;
    }
    Ok(())
}

/// Makes a segment's header and its length last; returns how many bytes can be counted on.
fn lasting_bytes(file: &dyn DiskFile) -> Result<u64, Error> {
    let bytes = file.bytes()?;
    // Without a whole header there is no extent; zeros behind a part of it could make it whole.
    let has_extents = bytes > BLOCK_BYTES;
    if has_extents {
        copy_in_place(file, 0, BLOCK_BYTES)?;
        // A length, too, can be known to the kernel alone: one that is written now is not.
        file.write_at(bytes, &LENGTHENING)?;
    }
    file.sync()?;
    Ok(if has_extents { bytes + LENGTHENING.len() as u64 } else { 0 })
}

/// Makes sealed segments of what was open when the last writer ended.
pub(crate) fn take_over(
    disk: &dyn Disk,
    folder: &Path,
    manifest: &mut Manifest,
) -> Result<(), Error> {
    let open = manifest.data.iter().filter(|segment| !segment.is_sealed).map(|segment| segment.id);
    let ids: Vec<_> = open.chain(manifest.pending.iter().copied()).collect();
    let mut has_new_names = false;
    for id in ids {
        let file = match disk.open(&data_path(folder, id), Access::ReadWrite) {
            Ok(file) => file,
            // An id that was given out for nothing, or for a chain segment.
            Err(error) if error.is_absent() => continue,
            Err(error) => return Err(error.into()),
        };
        // A header that does not check says nothing; the extents have digests of their own.
        let session = session_of(disk, folder, &manifest.store_id, id)?.unwrap_or(0);
        if manifest.sessions.iter().any(|unfinished| unfinished.id == session) {
            continue;
        }
        let bytes = lasting_bytes(&*file)?;
        has_new_names = true;
        list(
            manifest,
            DataSegment { id, session, bytes, is_sealed: true, replaced_by: Vec::new() },
        );
    }
    if has_new_names {
        disk.sync_folder(folder)?;
    }
    Ok(())
}
