//! A workspace: one block of memory that links and bells lie in.
//!
//! Invariants:
//! - All memory starts zeroed, and all-zero is a valid first state of every link and bell: a process
//!   that joins initialises nothing.
//! - A shared workspace can neither shrink nor grow, so no other process can take pages away under a
//!   reader. Joining checks that.
//!
//! What it does *not* do: lay anything out inside; a topology does.

use std::{
    fmt::Display,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use rustix::fs::{
    MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create,
};

use crate::{
    Error,
    layer::{Memory, Region, Words},
};

/// From this size on, sizes are rounded up to it: the x86-64 (and usual arm64) huge page.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// What no process may do to a shared workspace once it exists.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// Who can map a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// This process alone.
    Private,
    /// Every process that is given its descriptor.
    Shared,
}

/// A block of zeroed memory.
#[derive(Debug)]
pub(crate) struct Workspace {
    bytes: usize,
    memory: Arc<Memory>,
    file: Option<OwnedFd>,
}

impl Workspace {
    /// Creates one of `bytes` bytes, more than 0; the name is for people. Pages are used from when they are first touched.
    pub(crate) fn create(name: &str, bytes: usize, backing: Backing) -> Result<Self, Error> {
        let failed = |source| refused("create", name, bytes, source);
        let (memory, file) = match backing {
            Backing::Private => (Memory::private(mapped_bytes(bytes)), None),
            Backing::Shared => {
                let file = sealed_file(name, bytes).map_err(|errno| failed(errno.into()))?;
                (Memory::shared(file.as_fd(), mapped_bytes(bytes), true), Some(file))
            }
        };
        let memory = Arc::new(memory.map_err(failed)?);
        Ok(Self { bytes, memory, file })
    }

    /// Maps a shared workspace that another process created with this size.
    pub(crate) fn join(
        name: &str,
        file: OwnedFd,
        bytes: usize,
        writable: bool,
    ) -> Result<Self, Error> {
        let failed = |source| refused("join", name, bytes, source);
        check_file(&file, bytes).map_err(failed)?;
        let memory = Memory::shared(file.as_fd(), mapped_bytes(bytes), writable).map_err(failed)?;
        // The mapping lives on without its file, which a process in the sandbox could not close.
        drop(file);
        Ok(Self { bytes, memory: Arc::new(memory), file: None })
    }

    /// Bytes asked for.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The descriptor to hand to a process that joins; none if private or joined.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }

    /// `count` words from byte `offset` on, a multiple of 8; panics if they do not fit.
    pub(crate) fn words(&self, offset: usize, count: usize) -> Words {
        Words::new(self.memory.clone(), offset, count)
    }

    /// `bytes` bytes from byte `offset` on; panics if they do not fit.
    pub(crate) fn region(&self, offset: usize, bytes: usize) -> Region {
        Region::new(self.memory.clone(), offset, bytes)
    }
}

fn refused(action: &str, name: &str, bytes: usize, source: std::io::Error) -> Error {
    Error::system(format!("{action} workspace {name} of {bytes} bytes"), source)
}

/// Whole huge pages where there is room for one: the system backs only such mappings with them.
fn mapped_bytes(bytes: usize) -> usize {
    if bytes < HUGE_PAGE_BYTES { bytes } else { bytes.next_multiple_of(HUGE_PAGE_BYTES) }
}

fn sealed_file(name: &str, bytes: usize) -> rustix::io::Result<OwnedFd> {
    let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&file, mapped_bytes(bytes) as u64)?;
    fcntl_add_seals(&file, SEALS)?;
    Ok(file)
}

fn check_file(file: &OwnedFd, bytes: usize) -> std::io::Result<()> {
    let found = fstat(file)?.st_size;
    if u64::try_from(found).ok() != Some(mapped_bytes(bytes) as u64) {
        return Err(unsound(format!("its file has {found} bytes; join with the creator's size")));
    }
    if !fcntl_get_seals(file)?.contains(SEALS) {
        return Err(unsound("its file is not sealed; pass a file that a workspace created"));
    }
    Ok(())
}

fn unsound(reason: impl Display) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, reason.to_string())
}

#[cfg(all(test, not(any(loom, feature = "shuttle"))))]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    fn shared(bytes: usize) -> Workspace {
        Workspace::create("test", bytes, Backing::Shared).expect("memory")
    }

    fn file_of(workspace: &Workspace) -> OwnedFd {
        workspace.fd().expect("it is shared").try_clone_to_owned().expect("descriptors")
    }

    #[test]
    fn memory_starts_zeroed_and_views_stay_when_the_workspace_goes() {
        for backing in [Backing::Private, Backing::Shared] {
            let workspace = Workspace::create("test", 3 << 20, backing).expect("memory");
            assert_eq!(workspace.bytes(), 3 << 20);
            assert_eq!(workspace.fd().is_some(), backing == Backing::Shared);
            let (words, region) = (workspace.words(8, 4), workspace.region(24, 16));
            drop(workspace);
            assert!((0..4).all(|index| words.load(index, Ordering::Relaxed) == 0));
            words.store(2, 0x0102_0304_0506_0708, Ordering::Relaxed);
            assert_eq!(words.at(3, 1).swap(0, 5, Ordering::Relaxed), 0);
            assert_eq!(words.swap(3, 6, Ordering::Relaxed), 5);
            let mut bytes = [9; 16];
            region.copy_shared(24, &mut bytes);
            assert_eq!(bytes, [8, 7, 6, 5, 4, 3, 2, 1, 6, 0, 0, 0, 0, 0, 0, 0]);
        }
    }

    #[test]
    fn shared_copies_arrive_whole_from_and_to_any_alignment() {
        let workspace = shared(64);
        let words = workspace.words(0, 8);
        for index in 0..8 {
            let bytes = std::array::from_fn(|byte| (index * 8 + byte) as u8);
            words.store(index, u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
        for start in 0..64_usize {
            for end in start..=64 {
                let mut bytes = vec![0xFF; end - start];
                workspace.region(0, 64).copy_shared(start, &mut bytes);
                assert!(bytes.iter().copied().eq(start as u8..end as u8));
            }
        }
    }

    #[test]
    fn who_joins_sees_what_the_others_write() {
        let here = shared(4096);
        let there = Workspace::join("test", file_of(&here), 4096, true).expect("the same size");
        here.words(0, 1).store(0, 7, Ordering::Relaxed);
        assert_eq!(there.words(0, 2).load(0, Ordering::Relaxed), 7);
        there.words(8, 1).store(0, 8, Ordering::Relaxed);
        assert_eq!(here.words(0, 2).load(1, Ordering::Relaxed), 8);
    }

    #[test]
    fn another_size_or_a_file_that_can_shrink_is_refused() {
        let file = file_of(&shared(4096));
        let error = Workspace::join("test", file, 4097, true).expect_err("another size");
        assert_eq!(
            error.to_string(),
            "cannot join workspace test of 4097 bytes: its file has 4096 bytes; join with the \
             creator's size"
        );
        let open = memfd_create("open", MemfdFlags::CLOEXEC).expect("memory");
        ftruncate(&open, 4096).expect("memory");
        let error = Workspace::join("test", open, 4096, true).expect_err("no seals");
        assert!(error.to_string().ends_with("pass a file that a workspace created"), "{error}");
    }

    #[test]
    fn a_shared_file_neither_shrinks_nor_grows() {
        let file = file_of(&shared(4096));
        for bytes in [0, 4095, 4097] {
            assert_eq!(ftruncate(&file, bytes), Err(rustix::io::Errno::PERM));
        }
    }

    #[test]
    fn a_workspace_without_bytes_is_refused() {
        for backing in [Backing::Private, Backing::Shared] {
            let error = Workspace::create("none", 0, backing).expect_err("nothing to map");
            assert!(error.to_string().starts_with("cannot create workspace none of 0 bytes: "));
        }
    }

    #[test]
    #[should_panic(expected = "mapped for reading only")]
    fn words_mapped_for_reading_are_not_written() {
        let file = file_of(&shared(4096));
        let there = Workspace::join("test", file, 4096, false).expect("the same size");
        there.words(0, 1).store(0, 1, Ordering::Relaxed);
    }

    #[test]
    #[should_panic(expected = "mapped for reading only")]
    fn bytes_mapped_for_reading_are_not_written() {
        let file = file_of(&shared(4096));
        let there = Workspace::join("test", file, 4096, false).expect("the same size");
        there.region(0, 8).writable(0, 8);
    }

    #[test]
    #[should_panic(expected = "word 2 of 2")]
    fn words_end_where_their_view_ends() {
        shared(4096).words(0, 2).load(2, Ordering::Relaxed);
    }

    #[test]
    #[should_panic(expected = "words at 4088")]
    fn words_lie_inside_the_workspace() {
        shared(4096).words(4088, 2);
    }

    #[test]
    #[should_panic(expected = "bytes outside the region")]
    fn bytes_lie_inside_their_region() {
        shared(4096).region(8, 8).readable(4, 8);
    }
}
