//! What the operating system refused, and where.

use std::{io, path::PathBuf};

/// An operation that the operating system refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder operation failed.
    #[error("{}: cannot {action}{}: {source}{}", path.display(), at(*offset), hint(source))]
    Path {
        /// What was worked on.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Where in the file, in bytes.
        offset: Option<u64>,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The name to publish under is taken.
    #[error("{}: exists already; nothing is ever replaced: move it away or choose another folder", path.display())]
    Exists {
        /// The taken name.
        path: PathBuf,
    },
}

impl Error {
    pub(crate) fn new(path: impl Into<PathBuf>, action: &'static str, source: io::Error) -> Self {
        Self::Path { path: path.into(), action, offset: None, source }
    }

    pub(crate) fn at(
        path: impl Into<PathBuf>,
        action: &'static str,
        offset: u64,
        source: io::Error,
    ) -> Self {
        Self::Path { path: path.into(), action, offset: Some(offset), source }
    }

    /// Whether nothing is at the path.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Path { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether nobody listens at a socket any more.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Path { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// Whether a reader closed the other end of a pipe: the quiet end of an output.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Path { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn at(offset: Option<u64>) -> String {
    offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default()
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free space there or name another folder"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; name another folder",
        _ if source.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            "; name a folder on another file system"
        }
        io::ErrorKind::PermissionDenied => "; check the permissions of the file and its folders",
        io::ErrorKind::NotFound => "; check the path",
        _ => "",
    }
}
