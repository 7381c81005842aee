//! What can be made to go wrong, and when.

use std::path::Path;

/// A fault that strikes once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub point: FaultPoint,
    /// What.
    pub kind: FaultKind,
}

/// When a fault strikes. It strikes only calls that its kind is about, and only one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultPoint {
    /// The operation with this number, from 0, as `operations` counts them. A read bears the number
    /// of the next operation.
    Operation(u64),
    /// A call about a path.
    Path {
        /// What the path contains; for a rename, either path.
        part: String,
        /// How many such calls are let pass before.
        passed: u64,
    },
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// `write_at` fails after a prefix of any number of bytes, from none to all but one.
    WriteFails {
        /// The answer, such as `EIO` or `ENOSPC`.
        errno: i32,
    },
    /// `create`, `create_folder`, `truncate`, `reserve` or `remove` fails and changes nothing.
    ChangeFails {
        /// The answer, such as `EIO` or `ENOSPC`.
        errno: i32,
    },
    /// `sync` fails with `EIO`. What was written is gone from reads, or can still be read; either
    /// way it is not durable, and a later sync does not make it so.
    SyncFails,
    /// `write_at` succeeds, and the bytes land whole sectors away: in the same file or in another.
    Misdirect,
    /// `read_at` fails with `EIO`.
    ReadFails,
    /// `rename` fails with `EIO` and changes nothing.
    RenameFails,
    /// `sync_folder` fails with `EIO`; the names stay as uncertain as they were, and a later one
    /// makes them durable.
    SyncFolderFails,
}

/// The calls that faults tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Write,
    Change,
    Sync,
    Read,
    Rename,
    SyncFolder,
}

impl Fault {
    /// Whether this call is the one; counts it if it is only like it.
    pub(super) fn strikes(&mut self, call: Call, operation: u64, paths: &[&Path]) -> bool {
        let about = match self.kind {
            FaultKind::WriteFails { .. } | FaultKind::Misdirect => Call::Write,
            FaultKind::ChangeFails { .. } => Call::Change,
            FaultKind::SyncFails => Call::Sync,
            FaultKind::ReadFails => Call::Read,
            FaultKind::RenameFails => Call::Rename,
            FaultKind::SyncFolderFails => Call::SyncFolder,
        };
        if about != call {
            return false;
        }
        match &mut self.point {
            FaultPoint::Operation(number) => *number == operation,
            FaultPoint::Path { part, passed } => {
                if !paths.iter().any(|path| path.to_string_lossy().contains(part.as_str())) {
                    return false;
                }
                let is_now = *passed == 0;
                *passed = passed.saturating_sub(1);
                is_now
            }
        }
    }

    /// The answer of a call that it struck.
    pub(super) fn errno(&self) -> i32 {
        match self.kind {
            FaultKind::WriteFails { errno } | FaultKind::ChangeFails { errno } => errno,
            _ => libc::EIO,
        }
    }
}
