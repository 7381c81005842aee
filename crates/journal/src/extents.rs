//! Large content beside the chain: data segments and the extents in them.

use std::path::Path;

use icecore_disk::{Access, Disk};

use crate::{
    Batch, Error, Extent, extent_digest::ExtentHasher, journal::Shared, segment::data_path,
};

/// Whether an extent is there and what its digest says.
pub(crate) fn is_sound(disk: &dyn Disk, folder: &Path, extent: &Extent) -> Result<bool, Error> {
    let file = match disk.open(&data_path(folder, extent.segment), Access::Read) {
        Ok(file) => file,
        Err(error) if error.is_absent() => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let (mut hasher, mut at) = (ExtentHasher::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    while at < extent.bytes {
        let wanted = buffer.len().min(usize::try_from(extent.bytes - at).unwrap_or(usize::MAX));
        let read = file.read_at(extent.offset + at, &mut buffer[..wanted])?;
        if read == 0 {
            return Ok(false);
        }
        hasher.update(&buffer[..read]);
        at += read as u64;
    }
    Ok(hasher.finish().root() == extent.digest)
}

impl Shared {
    pub(crate) fn write_payloads(&self, _batch: &Batch) -> Result<Vec<u8>, Error> {
        Err(Error::Unfit { what: "not yet" })
    }
}
