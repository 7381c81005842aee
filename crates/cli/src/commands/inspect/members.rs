//! `--members`: a row for each member of the tar stream.

use std::{ops::ControlFlow, path::Path};

use icecore_archive::{
    members::{MemberError, MemberKind, classify},
    tar::{TarEvent, TarMember},
};
use icecore_restore::read_archive;
use serde::Serialize;

use super::outcome;
use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::Answer,
};

/// What a member is called.
pub(super) fn word(kind: &Result<MemberKind, MemberError>) -> &'static str {
    match kind {
        Ok(MemberKind::Version) => "version",
        Ok(
            MemberKind::SnapshotsFolder | MemberKind::SlotFolder(_) | MemberKind::AccountsFolder,
        ) => "folder",
        Ok(MemberKind::StatusCache) => "status_cache",
        Ok(MemberKind::Manifest { .. }) => "manifest",
        Ok(MemberKind::Storage { .. }) => "storage",
        Err(_) => "foreign",
    }
}

#[derive(Serialize)]
struct Row<'a> {
    /// Of its header, in the tar stream.
    offset: u64,
    size: u64,
    kind: &'static str,
    path: &'a str,
}

pub(super) fn run(common: &CommonOptions, file: &Path) -> Result<Exit, Failure> {
    let mut answer = Answer::new(common.output);
    let is_display = answer.is_display();
    let watch = common.watch_stream()?;
    let mut written = Ok(());
    let mut is_first = true;
    let mut foreign = None;
    let end = read_archive(file, &common.scan(), &watch.progress, |event| {
        let TarEvent::Member(TarMember { offset, path, kind, size, .. }) = event else {
            return ControlFlow::Continue(());
        };
        let kind = classify(&path, kind);
        let row = Row { offset, size, kind: word(&kind), path: &path };
        written = match is_display {
            true if is_first => {
                answer.line(format!("{:>15}  {:>15}  {:12}  path", "offset", "size", "kind"))
            }
            _ => Ok(()),
        }
        .and_then(|()| match is_display {
            true => answer.line(format!(
                "{offset:>15}  {size:>15}  {:12}  {}",
                row.kind,
                path.escape_debug()
            )),
            false => answer.row(&row),
        });
        is_first = false;
        if let Err(error) = kind
            && foreign.is_none()
        {
            foreign = Some(format!("tar, offset {offset}: {error}"));
        }
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written?;
    watch.finish()?;
    answer.finish()?;
    outcome(file, end.damage.map(|damage| damage.to_string()).or(foreign))
}
