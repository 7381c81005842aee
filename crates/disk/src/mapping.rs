//! The bytes of a whole file as memory.
//!
//! Invariants:
//! - A mapped region is read only, covers the file as it was, and is unmapped when the last clone
//!   of its [`Mapping`] is dropped.
//! - An empty file is an empty slice; nothing is mapped for it.
//!
//! What it does *not* do: notice that a file changes. It is for files that nobody changes or
//! truncates any more. Where the file was truncated, or the disk fails to read a page, the kernel
//! ends the process with `SIGBUS`: who must survive a bad disk reads by position instead.

use std::{
    fmt, fs, io,
    ops::{Deref, Range},
    ptr::{self, NonNull},
    slice,
    sync::Arc,
};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

use crate::Access;

/// A whole file as memory, or a copy of it. Cloning shares it.
#[derive(Clone)]
pub struct Mapping {
    content: Arc<Content>,
}

enum Content {
    Mapped(Region),
    Copied(Vec<u8>),
}

impl Mapping {
    /// Bytes that stand in for a file: for disks that cannot map, and for tests.
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        Self { content: Arc::new(Content::Copied(bytes)) }
    }

    /// Maps the first `bytes` of a file, which must be all of it.
    pub(crate) fn of_file(file: &fs::File, bytes: usize) -> io::Result<Self> {
        if bytes == 0 {
            return Ok(Self::from_vec(Vec::new()));
        }
        let region = Region::map(file, bytes, Access::Read)?;
        Ok(Self { content: Arc::new(Content::Mapped(region)) })
    }

    /// Says that small pieces far apart will be read: nothing is read ahead then.
    pub fn advise_random(&self) {
        if let Content::Mapped(region) = &*self.content {
            region.advise_random();
        }
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &*self.content {
            Content::Mapped(region) => region.bytes(),
            Content::Copied(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_mapped = matches!(&*self.content, Content::Mapped(_));
        formatter
            .debug_struct("Mapping")
            .field("bytes", &self.len())
            .field("is_mapped", &is_mapped)
            .finish()
    }
}

/// Asks the processor for the cache line of the first byte, which will be read soon. A hint: nothing
/// waits for it, and on processors without such an instruction nothing happens.
#[inline]
pub fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction accesses nothing that the program could see, and never faults,
        // whatever the address is.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}

/// Bytes of a page of memory at least; a mask that is too fine does no harm.
const PAGE_BYTES: usize = 4096;

/// Whether the first byte can be read without waiting for a disk, as far as the kernel tells. It can
/// be otherwise a moment later.
pub fn is_resident(bytes: &[u8]) -> bool {
    if bytes.is_empty() {
        return true;
    }
    let page = bytes.as_ptr().map_addr(|address| address & !(PAGE_BYTES - 1));
    let mut state = 0u8;
    // SAFETY: the call accesses no memory but `state`, which has room for the one page asked for.
    let result = unsafe { libc::mincore(page.cast_mut().cast(), 1, &raw mut state) };
    // Where the kernel does not tell, nothing is gained by asking it to fetch.
    result != 0 || state & 1 != 0
}

/// Linux reads no more than its read-ahead for one advice (`force_page_cache_ra`, mm/readahead.c): 128
/// KiB unless it was told otherwise.
const ADVISED_BYTES_MAX: usize = 128 << 10;

/// Asks the kernel to fetch mapped bytes that will be read soon, all of them side by side. A hint:
/// nothing waits for it.
pub fn will_need(bytes: &[u8]) {
    for piece in bytes.chunks(ADVISED_BYTES_MAX) {
        let first = piece.as_ptr().map_addr(|address| address & !(PAGE_BYTES - 1));
        let length = piece.len() + (piece.as_ptr().addr() - first.addr());
        // SAFETY: this advice changes no content, and the range is within the pages of `bytes`.
        let advised = unsafe { madvise(first.cast_mut().cast(), length, Advice::WillNeed) };
        // Memory that is no file's is refused; it is there already.
        let _ = advised;
    }
}

/// Memory that is shared with a file; unmapped when it is dropped.
#[derive(Debug)]
pub(crate) struct Region {
    base: NonNull<u8>,
    bytes: usize,
}

impl Region {
    /// Maps the first `bytes` of a file. What lies behind its end must not be touched.
    pub(crate) fn map(file: &fs::File, bytes: usize, access: Access) -> io::Result<Self> {
        let protection = match access {
            Access::Read => ProtFlags::READ,
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        };
        // SAFETY: the kernel chooses the place, so no memory that is in use is replaced.
        let base = unsafe { mmap(ptr::null_mut(), bytes, protection, MapFlags::SHARED, file, 0) }?;
        let base = NonNull::new(base.cast()).expect("the kernel maps nothing at address zero");
        Ok(Self { base, bytes })
    }

    /// The first byte; aligned to a page of memory, which is 4096 bytes or a multiple.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the region is mapped, readable and this long until `self` is dropped, and only
        // files that nobody changes are read as bytes (the contract of `DiskFile::map`).
        unsafe { slice::from_raw_parts(self.base.as_ptr(), self.bytes) }
    }

    /// Bytes of it, while all of it may reach beyond its file.
    pub(crate) fn part(&self, range: Range<usize>) -> Option<&[u8]> {
        let length = range.end.checked_sub(range.start)?;
        if range.end > self.bytes {
            return None;
        }
        // SAFETY: the part lies in the region, which is mapped and readable until `self` is dropped.
        // Whoever asks knows that the file reaches there and that nobody changes these bytes.
        Some(unsafe { slice::from_raw_parts(self.base.as_ptr().add(range.start), length) })
    }

    pub(crate) fn advise_random(&self) {
        // SAFETY: the range is the mapped region, and this advice changes no content.
        let advised = unsafe { madvise(self.base.as_ptr().cast(), self.bytes, Advice::Random) };
        // A hint: a kernel that does not take it reads more than is needed.
        let _ = advised;
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the region was mapped with this length, and whoever borrowed it is gone.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.bytes) };
        unmapped.expect("a whole mapped region can be unmapped");
    }
}

// SAFETY: the region belongs to this value alone; reading it and unmapping it need no thread's own
// state.
unsafe impl Send for Region {}

// SAFETY: shared access only reads bytes, or goes through atomic words.
unsafe impl Sync for Region {}

#[cfg(test)]
mod tests {
    use std::{io::Write, thread};

    use super::*;

    fn file(content: &[u8]) -> fs::File {
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(content).expect("written");
        file
    }

    #[test]
    fn a_mapping_outlives_its_file_and_goes_to_other_threads() {
        let content: Vec<u8> = (0..10_000u32).map(|index| (index % 251) as u8).collect();
        let mapping = Mapping::of_file(&file(&content), content.len()).expect("mapped");
        mapping.advise_random();
        let other = mapping.clone();
        let seen = thread::spawn(move || other.to_vec()).join().expect("the thread ends");
        assert_eq!((&seen, &mapping[..]), (&content, &content[..]));
        assert_eq!(format!("{mapping:?}"), "Mapping { bytes: 10000, is_mapped: true }");
    }

    #[test]
    fn a_prefetch_of_anything_changes_nothing() {
        let bytes = [1, 2, 3];
        prefetch(&bytes);
        prefetch(&bytes[3..]);
        assert_eq!(bytes, [1, 2, 3]);
    }

    #[test]
    fn what_was_just_written_is_resident_and_hints_change_nothing() {
        let content = vec![7; 3 * PAGE_BYTES];
        let mapping = Mapping::of_file(&file(&content), content.len()).expect("mapped");
        for range in [0..0, 0..1, 5000..9000, 0..content.len()] {
            will_need(&mapping[range.clone()]);
            assert!(is_resident(&mapping[range]));
        }
        will_need(&[1, 2, 3]);
        assert!(is_resident(&[1, 2, 3]) && is_resident(&[]));
        assert_eq!(mapping[..], content);
    }

    #[test]
    fn an_empty_file_is_an_empty_slice_and_a_copy_is_its_bytes() {
        assert_eq!(&Mapping::of_file(&file(b""), 0).expect("mapped")[..], b"");
        let copy = Mapping::from_vec(vec![1, 2, 3]);
        copy.advise_random();
        assert_eq!(copy[..], [1, 2, 3]);
    }
}
