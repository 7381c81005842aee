//! Opening the file to be read, and finding out whether to read it past the page cache.
//!
//! A file that lies in the page cache is read from there: that is about ten times as fast as a good
//! disk. Any other is read directly, which costs a fifth of the processor time and leaves the cache
//! to those who need it.
//!
//! One descriptor serves: direct reads are switched on and off on the open file, so that no second
//! opening could meet another file of the same name.
//!
//! What it does *not* do: keep a byte of what it reads to find out.

use std::{
    fs,
    io::{self, IoSliceMut},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Advice, OFlags, fadvise, fcntl_getfl, fcntl_setfl},
    io::{ReadWriteFlags, preadv2},
};

use super::{DirectMode, memory::Memory, piece::BLOCK_BYTES};
use crate::{Error, File};

/// Positions at which a file is looked for in the page cache; all must be there.
const CACHE_SAMPLES: u64 = 16;

/// An open regular file.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) file: fs::File,
    pub(super) path: PathBuf,
    /// Its size when it was opened.
    pub(super) bytes: u64,
    /// Reads bypass the page cache.
    pub(super) direct: bool,
}

impl Source {
    pub(super) fn open(path: &Path, mode: DirectMode) -> Result<Self, Error> {
        let (file, bytes) = File::open(path)?.into_parts();
        let direct = match mode {
            DirectMode::Off => false,
            DirectMode::Auto => !is_cached(&file, bytes) && set_direct(&file, true).is_ok(),
            DirectMode::On => set_direct(&file, true).map(|()| true).map_err(|source| {
                Error::new(path, "read past the page cache (O_DIRECT)", source)
            })?,
        };
        if !direct {
            set_direct(&file, false)
                .map_err(|source| Error::new(path, "switch to the page cache", source))?;
            // A hint to read further ahead: a file system that has no use for it refuses it.
            let _ = fadvise(&file, 0, None, Advice::Sequential);
        }
        Ok(Self { file, path: path.to_path_buf(), bytes, direct })
    }
}

/// Whether samples from all over the file are in the page cache, as far as the kernel tells.
fn is_cached(file: &fs::File, bytes: u64) -> bool {
    // Told that reads are far apart, the kernel does not read ahead because of a sample.
    let _ = fadvise(file, 0, None, Advice::Random);
    let mut byte = [0];
    let mut is_there = |offset| {
        // Bytes that are not in memory are not waited for: the answer is an error.
        let read = preadv2(file, &mut [IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT);
        matches!(read, Ok(1))
    };
    bytes > 0 && (0..CACHE_SAMPLES).all(|sample| is_there(bytes / CACHE_SAMPLES * sample))
}

/// Switches direct reads on or off; on, one block is read: some file systems refuse only that.
pub(crate) fn set_direct(file: &fs::File, direct: bool) -> io::Result<()> {
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, direct);
    fcntl_setfl(file, flags)?;
    if direct {
        file.read_at(Memory::map(BLOCK_BYTES)?.bytes_mut(), 0)?;
    }
    Ok(())
}
