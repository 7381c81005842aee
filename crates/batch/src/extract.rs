//! Members of an archive to files.
//!
//! Steps:
//! 1. The archive is read until all that were asked for have come.
//! 2. Each goes to a file under a temporary name, called as the last part of its path: `version`,
//!    `status_cache`, the slot (the manifest), `SLOT.ID` (a storage).
//! 3. When all are whole they get their names, without replacing anything.
//!
//! What it does *not* do: verify the archive, or make folders. Members that do not belong into an
//! archive cannot be had: no path leads out of the folder.

use std::{
    io::Write,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use icecore_archive::{
    members::{MemberKind, classify},
    tar::TarEvent,
};
use icecore_restore::{Options, Progress, read_archive};

use crate::{Error, bank_members::damaged, target::Target};

/// A member that was extracted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// Its path in the archive.
    pub member: String,
    /// The file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
}

/// Members on their way, in the order in which they were asked for.
struct Wanted<'a> {
    members: Vec<(&'a str, Option<(Target, u64)>)>,
    folder: &'a Path,
    /// The one whose content comes.
    current: Option<usize>,
    complete: usize,
}

/// Extracts members into `folder`; the same one may be named more than once.
///
/// # Errors
/// [`Error::NoMember`], when a file is there already, when the archive is damaged before all have
/// come, or the operating system refuses; then nothing is left behind.
pub fn extract(
    archive: &Path,
    members: &[String],
    folder: &Path,
    options: &Options,
    progress: &Progress,
) -> Result<Vec<Extracted>, Error> {
    let mut wanted =
        Wanted { members: Vec::with_capacity(members.len()), folder, current: None, complete: 0 };
    for member in members {
        if wanted.members.iter().all(|(known, _)| known != member) {
            wanted.members.push((member, None));
        }
    }
    let mut refused = None;
    let end = read_archive(archive, options, progress, |event| {
        wanted.event(event).unwrap_or_else(|error| {
            refused = Some(error);
            ControlFlow::Break(())
        })
    })?;
    if let Some(error) = refused {
        return Err(error);
    }
    if wanted.complete < wanted.members.len() {
        let label = archive.file_name().unwrap_or_default().to_string_lossy();
        if let Some(damage) = end.damage {
            return Err(damaged(&label, damage.to_string()));
        }
        let absent = wanted.members.iter().find(|(_, target)| target.is_none());
        let (member, _) = absent.expect("what has begun is complete at an archive's end");
        return Err(Error::NoMember { archive: label.into_owned(), member: member.to_string() });
    }
    let publish = |(member, target): (&str, Option<(Target, u64)>)| {
        let (target, bytes) = target.expect("all are complete");
        Ok(Extracted { member: member.to_string(), path: target.publish()?, bytes })
    };
    wanted.members.into_iter().map(publish).collect()
}

impl Wanted<'_> {
    fn event(&mut self, event: TarEvent<'_>) -> Result<ControlFlow<()>, Error> {
        match event {
            TarEvent::Member(member) => {
                self.current = None;
                let Ok(kind) = classify(&member.path, member.kind) else {
                    return Ok(ControlFlow::Continue(()));
                };
                let path = kind.to_string();
                let Some(at) = self.members.iter().position(|(wanted, _)| *wanted == path) else {
                    return Ok(ControlFlow::Continue(()));
                };
                let is_file = !matches!(
                    kind,
                    MemberKind::SnapshotsFolder
                        | MemberKind::SlotFolder(_)
                        | MemberKind::AccountsFolder
                );
                if is_file && self.members[at].1.is_none() {
                    let (_, name) = path.rsplit_once('/').unwrap_or(("", &path));
                    let target = Target::create(self.folder, name.to_string())?;
                    self.members[at].1 = Some((target, 0));
                    self.current = Some(at);
                }
            }
            TarEvent::Data(data) => {
                if let Some((target, bytes)) =
                    self.current.and_then(|at| self.members[at].1.as_mut())
                {
                    target.output.write_all(data)?;
                    *bytes += data.len() as u64;
                }
            }
            TarEvent::MemberEnd if self.current.take().is_some() => {
                self.complete += 1;
                if self.complete == self.members.len() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }
}
