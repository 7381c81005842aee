//! What writes an archive. The service takes any; tests take their own.

use std::{io::Write, path::Path};

use icecore_restore::{Options, Progress};
use icecore_store::View;

use crate::{Composed, Error, Extent, WriteOptions, prove, write_archive};

/// Writes archives of views, and looks at what was written.
pub trait Make: Sync {
    /// Writes an archive; nothing gets a name, nothing is synced.
    ///
    /// # Errors
    /// Why it cannot be made.
    fn write(
        &self,
        view: &View,
        extent: Extent,
        output: &mut (dyn Write + Send),
        progress: &Progress,
    ) -> Result<Composed, Error>;

    /// Looks at what was written to a file.
    ///
    /// # Errors
    /// What is wrong with it.
    fn prove(&self, written: &Path, composed: &Composed, progress: &Progress) -> Result<(), Error>;

    /// The extension of its archives.
    fn compression(&self) -> icecore_archive::names::Compression;
}

/// Archives as `snapshot create` makes them. A full one is verified; an incremental one is read back and
/// must be what was written: verifying it would mean to read its full archive each time.
#[derive(Debug, Clone)]
pub struct Archives {
    /// How they are packed, and whether they are looked at.
    pub write: WriteOptions,
    /// Cores, memory, scratch folder.
    pub options: Options,
}

impl Make for Archives {
    fn write(
        &self,
        view: &View,
        extent: Extent,
        mut output: &mut (dyn Write + Send),
        progress: &Progress,
    ) -> Result<Composed, Error> {
        write_archive(view, extent, &mut output, &self.write, &self.options, progress)
    }

    fn prove(&self, written: &Path, composed: &Composed, progress: &Progress) -> Result<(), Error> {
        match self.write.verify {
            true => prove(written, composed, None, &self.options, progress).map(|_| ()),
            false => Ok(()),
        }
    }

    fn compression(&self) -> icecore_archive::names::Compression {
        self.write.packing.compression()
    }
}
