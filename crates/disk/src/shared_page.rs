//! A page of a file that processes of one machine use as memory.
//!
//! Invariants:
//! - It is mapped shared: a store is seen by every process that has mapped the same file.
//! - Its words are only ever reached as atomics, by everybody.
//!
//! What it does *not* do: survive a loss of power with any promise, or reach other machines: it is
//! refused on network file systems. Who truncates the file ends the processes that have mapped it.

use std::{fs, io, os::unix::fs::OpenOptionsExt, path::Path, sync::atomic::AtomicU64};

use rustix::fs::OFlags;

use crate::{
    Access, Error, SharedPage,
    disk::{SHARED_PAGE_BYTES, SHARED_PAGE_WORDS},
    mapping::Region,
    real::network::is_on_network,
};

/// A mapped page.
#[derive(Debug)]
pub(crate) struct RealPage {
    region: Region,
}

impl RealPage {
    /// Opens, makes or fills up the file, and maps it.
    pub(crate) fn map(path: &Path, access: Access) -> Result<Self, Error> {
        let failed = |source| Error::new(path, "map", source);
        let is_written = access == Access::ReadWrite;
        let flags = i32::try_from(OFlags::NOFOLLOW.bits()).expect("open flags are an int");
        let file = fs::File::options()
            .read(true)
            .write(is_written)
            .create(is_written)
            .truncate(false)
            .custom_flags(flags)
            .open(path)
            .map_err(|source| Error::new(path, "open", source))?;
        if is_on_network(&file).map_err(failed)? {
            let text = "a network file system: processes do not share memory there; \
                        name a folder on a local disk";
            return Err(failed(io::Error::other(text)));
        }
        let bytes = file.metadata().map_err(failed)?.len();
        if bytes != SHARED_PAGE_BYTES as u64 {
            if !is_written || bytes > SHARED_PAGE_BYTES as u64 {
                let text = format!("{bytes} bytes, not {SHARED_PAGE_BYTES}");
                return Err(failed(io::Error::new(io::ErrorKind::InvalidData, text)));
            }
            file.set_len(SHARED_PAGE_BYTES as u64).map_err(failed)?;
        }
        let region = Region::map(&file, SHARED_PAGE_BYTES, access).map_err(failed)?;
        Ok(Self { region })
    }
}

impl SharedPage for RealPage {
    fn words(&self) -> &[AtomicU64; SHARED_PAGE_WORDS] {
        // SAFETY: the region is mapped until `self` is dropped, a page long and aligned to a page,
        // and everybody reaches it as atomic words, of which every bit pattern is good.
        unsafe { self.region.base().cast().as_ref() }
    }
}
