//! The publish tile: what happens to names and sizes in the snapshots folder, on a thread that may do
//! nothing else. It holds the descriptor of the folder and those of the pool's files.
//!
//! | step | what is done |
//! |---|---|
//! | publish | the file is synced, gets its name without replacing anything, the folder is synced; if that does not work, it loses the name again |
//! | retire | if nobody reads it: it loses its name to its placeholder's, the folder is synced |
//! | clear | if nobody reads it: the folder is synced, so that no name that it had comes back, and it is cut to nothing |
//!
//! Whether somebody reads a file is found out by a write lease ([`HeldFile::try_lease`]). Who opens a
//! file while it is being retired waits for that moment and then has the whole file as it was: retiring
//! does not touch content. Clearing comes a rest later ([`REST`](super::pool::REST)), and asks again: by
//! then no name leads to the file, so that nobody can come.
//!
//! Steps that do not work are answers, not failures of the tile: a full disk must not end the service.
//!
//! What it does *not* do: write what is in files, or decide which of them go.

use std::sync::{Arc, Mutex};

use icecore_disk::{Error, HeldFile, HeldFolder};
use icecore_tile::{
    Answer, Cause, Control, Controller, Fragment, Maker, Policy, Ports, Tile, TileDeclaration,
    Topology, TopologyBuilder,
};

/// What is to be done to a file of the pool, by its number there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Give it its name.
    Publish { file: usize, from: String, to: String },
    /// Take its name.
    Retire { file: usize, from: String, to: String },
    /// Cut it to nothing.
    Clear { file: usize },
}

/// What came of a step that worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// It is done.
    Yes,
    /// Somebody reads the file: nothing has changed.
    InUse,
    /// It has its name, which may be gone after a loss of power: the folder could not be synced, and the
    /// name could not be taken back.
    Named,
}

/// Carries out a step.
pub(crate) fn carry_out(
    step: &Step,
    folder: &HeldFolder,
    files: &[Arc<HeldFile>],
) -> Result<Done, Error> {
    match step {
        Step::Publish { file, from, to } => {
            files[*file].sync()?;
            publish(|from, to| folder.rename(from, to), || folder.sync(), from, to)
        }
        Step::Retire { file, from, to } => unless_read(&files[*file], || {
            folder.rename(from, to)?;
            folder.sync()
        }),
        Step::Clear { file } => unless_read(&files[*file], || {
            // A name that could not be made durable was taken back, and that may not be durable
            // either: after a loss of power it would lead to what the file holds by then.
            folder.sync()?;
            files[*file].truncate(0)
        }),
    }
}

/// Gives a file its name. What fails leaves it without: a file that is cleared as one that failed must
/// not be found under the name of an archive.
fn publish(
    rename: impl Fn(&str, &str) -> Result<(), Error>,
    sync: impl Fn() -> Result<(), Error>,
    from: &str,
    to: &str,
) -> Result<Done, Error> {
    rename(from, to)?;
    match sync() {
        Ok(()) => Ok(Done::Yes),
        Err(error) => match rename(to, from) {
            Ok(()) => Err(error),
            Err(_) => Ok(Done::Named),
        },
    }
}

/// Does something to a file while nobody else can have it open.
fn unless_read(file: &HeldFile, change: impl FnOnce() -> Result<(), Error>) -> Result<Done, Error> {
    if !file.try_lease()? {
        return Ok(Done::InUse);
    }
    let changed = change();
    file.end_lease()?;
    changed.map(|()| Done::Yes)
}

/// Where a step is laid for the tile, and its answer for whoever asked.
#[derive(Debug, Default)]
struct Desk {
    step: Mutex<Option<Step>>,
    answer: Mutex<Option<Result<Done, Error>>>,
}

struct PublishTile {
    folder: Arc<HeldFolder>,
    files: Vec<Arc<HeldFile>>,
    desk: Arc<Desk>,
}

impl Tile for PublishTile {
    fn policy(&self) -> Policy {
        let folder = self.folder.raw_fd();
        let names = Policy::none().rename(folder).sync(folder);
        self.files
            .iter()
            .map(|file| file.raw_fd())
            .fold(names, |policy, file| policy.sync(file).truncate(file).lease(file))
    }

    fn on_control(&mut self, control: Control, _: &mut Ports) -> Result<Answer, Cause> {
        if let Control::Start(_) = control {
            let step = self.desk.step.lock().expect("no holder of this lock panics").take();
            let step = step.expect("it is laid before the tile is started");
            let answer = carry_out(&step, &self.folder, &self.files);
            *self.desk.answer.lock().expect("no holder of this lock panics") = Some(answer);
        }
        Ok(Answer::Now)
    }

    fn on_fragment(&mut self, _: usize, _: Fragment, _: &mut Ports) -> Result<(), Cause> {
        unreachable!("it has no input")
    }
}

/// A folder and files, from which a tile is made, and through which it is asked.
pub(crate) struct Publishing {
    folder: Arc<HeldFolder>,
    files: Vec<Arc<HeldFile>>,
    desk: Arc<Desk>,
}

impl Publishing {
    pub(crate) fn new(folder: Arc<HeldFolder>, files: Vec<Arc<HeldFile>>) -> Self {
        Self { folder, files, desk: Arc::default() }
    }

    /// The topology of the one tile.
    pub(crate) fn topology() -> Topology {
        TopologyBuilder::new("publish")
            .private("local")
            .tile(TileDeclaration::new("publish", 0))
            .build()
            .expect("one tile that needs nothing is sound")
    }

    /// Makes the tile.
    pub(crate) fn makers<'env>(&self) -> Vec<(String, Maker<'env>)> {
        let (folder, files) = (Arc::clone(&self.folder), self.files.clone());
        let desk = Arc::clone(&self.desk);
        let make: Maker<'env> = Box::new(move || -> Result<Box<dyn Tile + 'env>, Cause> {
            Ok(Box::new(PublishTile { folder, files, desk }))
        });
        vec![("publish:0".to_string(), make)]
    }

    /// Has the tile carry out a step, and waits for its answer.
    ///
    /// # Errors
    /// The outer one: the tile has failed, and the service with it.
    pub(crate) fn ask(
        &self,
        step: Step,
        controller: &mut Controller<'_>,
    ) -> Result<Result<Done, Error>, icecore_tile::Error> {
        *self.desk.step.lock().expect("no holder of this lock panics") = Some(step);
        controller.start(0)?;
        controller.finish()?;
        controller.next()?;
        let answer = self.desk.answer.lock().expect("no holder of this lock panics").take();
        Ok(answer.expect("a tile that was started has answered"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_whose_folder_cannot_be_synced_loses_its_name_again_or_counts_as_published() {
        let at = tempfile::tempdir().expect("temporary folder");
        let folder = HeldFolder::open(at.path()).expect("opened").expect("free");
        drop(folder.create(".snapshot-0.partial").expect("created"));
        let rename = |from: &str, to: &str| folder.rename(from, to);
        let broken = || HeldFolder::open(at.path().join("none")).map(|_| ());
        let is_there = |name: &str| at.path().join(name).exists();
        let done = publish(rename, broken, ".snapshot-0.partial", "snapshot");
        assert!(done.is_err());
        assert!(is_there(".snapshot-0.partial") && !is_there("snapshot"));
        // Its old name is taken meanwhile.
        let broken = || {
            fs::write(at.path().join(".snapshot-0.partial"), b"").expect("written");
            broken()
        };
        let done = publish(rename, broken, ".snapshot-0.partial", "snapshot");
        assert_eq!(done.expect("it has its name"), Done::Named);
        assert!(is_there("snapshot"));
    }
}
