//! The content of one member, and nothing read behind it.

use std::{ops::ControlFlow, path::Path};

use icecore_archive::{
    members::{MemberKind, classify},
    tar::TarEvent,
};
use icecore_restore::read_archive;

use crate::{exit::Failure, options::CommonOptions};

/// What became of the member.
pub(super) enum Found {
    /// All of it was given.
    Whole,
    /// Whoever took it has had enough.
    Stopped,
    /// The archive is damaged before the member's end.
    Cut(String),
    /// The archive has no such member.
    Missing,
}

/// Gives the content of the first member that `is_wanted` to `take`, in pieces.
pub(super) fn read_member(
    common: &CommonOptions,
    file: &Path,
    is_wanted: impl Fn(&MemberKind) -> bool + Sync,
    mut take: impl FnMut(&[u8]) -> ControlFlow<()> + Send,
) -> Result<Found, Failure> {
    let watch = common.watch_stream()?;
    let mut is_open = false;
    let mut found = Found::Missing;
    let end = read_archive(file, &common.scan(), &watch.progress, |event| {
        match event {
            TarEvent::Member(member) => {
                let kind = classify(&member.path, member.kind);
                is_open = kind.is_ok_and(|kind| is_wanted(&kind));
            }
            TarEvent::Data(bytes) if is_open && take(bytes).is_break() => {
                found = Found::Stopped;
                return ControlFlow::Break(());
            }
            TarEvent::MemberEnd if is_open => {
                found = Found::Whole;
                return ControlFlow::Break(());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    watch.finish()?;
    Ok(match (found, end.damage) {
        (Found::Missing, Some(damage)) => Found::Cut(damage.to_string()),
        (found, _) => found,
    })
}
