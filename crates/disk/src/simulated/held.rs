//! What [`HeldFolder`](crate::HeldFolder) and [`HeldFile`](crate::HeldFile) ask beyond what every disk
//! does.
//!
//! Invariants:
//! - A file keeps its number under all its names. One that has vanished in a loss of power may leave its
//!   number to a later one, as on a real disk.
//! - None of it is an operation: nothing of the medium changes.
//!
//! What it does *not* do: hold leases, or make second names.

use std::path::Path;

use rustix::io::Errno;

use super::{SimulatedDisk, SimulatedFile, enter};
use crate::{Error, Lock};

impl SimulatedDisk {
    /// Takes the lock of a folder that is there; `None`: somebody holds it.
    pub(crate) fn lock_folder(&self, path: &Path) -> Result<Option<Box<dyn Lock>>, Error> {
        let taken = self
            .world()
            .lock_folder(self.process, path)
            .map_err(|source| Error::new(path, "open the folder", source))?;
        Ok(taken.map(|lock| self.locked(lock)))
    }

    /// The number of what is at a path; `None`: nothing is.
    pub(crate) fn inode(&self, path: &Path) -> Result<Option<u64>, Error> {
        let world = self.world();
        let found = world.check(self.process).and_then(|()| match world.tree.find(path) {
            Err(Errno::NOENT) => Ok(None),
            found => Ok(Some(found?)),
        });
        found.map_err(|source| Error::new(path, "look at", source))
    }
}

impl SimulatedFile {
    /// Its number.
    pub(crate) fn inode(&self) -> Result<u64, Error> {
        let answer = enter(&self.world).check(self.opened.process);
        answer.map(|()| self.opened.node).map_err(|source| self.failed("look at", source))
    }

    /// How many names it has: one, or none.
    pub(crate) fn names(&self) -> Result<u64, Error> {
        let world = enter(&self.world);
        world.check(self.opened.process).map_err(|source| self.failed("look at", source))?;
        let files = world.tree.files();
        Ok(files.iter().filter(|(_, node)| *node == self.opened.node).count() as u64)
    }

    /// Whether somebody else has it open.
    pub(crate) fn is_being_read(&self) -> Result<bool, Error> {
        let answer = enter(&self.world).is_being_read(&self.opened);
        answer.map_err(|source| self.failed("lease", source))
    }
}
