//! Which members an archive may hold (the allow-list of formats.md section 3), and the content of
//! the `version` member.
//!
//! Stricter than the reference client 4.2.2 in three points, none of which a writer uses: numbers
//! have no leading zeros and no sign, slashes are not doubled, and nothing but a folder's one
//! trailing slash is left out of a path.
//!
//! What it does *not* do: count. Members that come twice or not at all are for whoever sees the
//! whole archive (check C5).

use std::fmt;

use icecore_types::Slot;

use crate::{Error, tar::TarKind};

/// The most members of an archive: the reference client 4.2.2 refuses more ("too many files in
/// snapshot").
pub const MEMBERS_MAX: u64 = 5_000_000;

/// What the `version` member holds at most.
pub const VERSION_BYTES_MAX: usize = 8;

/// The one version there is.
pub const VERSION: &str = "1.2.0";

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// `version`
    Version,
    /// The folder `snapshots`
    SnapshotsFolder,
    /// `snapshots/status_cache`
    StatusCache,
    /// The folder `snapshots/<slot>`
    SlotFolder(Slot),
    /// `snapshots/<slot>/<slot>`
    Manifest {
        /// The folder's number.
        folder: Slot,
        /// The file's number, the same unless the archive is damaged (check C5).
        file: Slot,
    },
    /// The folder `accounts`, which archives since 2.x do not have as a member.
    AccountsFolder,
    /// `accounts/<slot>.<id>`
    Storage {
        /// The slot in which the storage's account versions were written.
        slot: Slot,
        /// Unique on the node that wrote it, of no other meaning.
        id: u64,
    },
}

impl fmt::Display for MemberKind {
    /// The path, as the reference client writes it: of the two folders that its archives have, one
    /// with a slash behind it and one without.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version => f.pad("version"),
            Self::SnapshotsFolder => f.pad("snapshots/"),
            Self::StatusCache => f.pad("snapshots/status_cache"),
            Self::SlotFolder(slot) => write!(f, "snapshots/{slot}"),
            Self::Manifest { folder, file } => write!(f, "snapshots/{folder}/{file}"),
            Self::AccountsFolder => f.pad("accounts/"),
            Self::Storage { slot, id } => write!(f, "accounts/{slot}.{id}"),
        }
    }
}

/// A member that does not belong into an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("member '{path}' ({kind}): {fault}")]
pub struct MemberError {
    /// The path, cut to 128 characters, control characters escaped.
    pub path: String,
    /// Its type.
    pub kind: TarKind,
    /// Why it does not belong.
    pub fault: MemberFault,
}

/// Why a member does not belong into an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemberFault {
    /// The path begins with a slash.
    #[error("its path is absolute")]
    Absolute,
    /// A component is `..`.
    #[error("its path leaves the archive with '..'")]
    Parent,
    /// A component is `.`.
    #[error("its path has a '.' in it")]
    Dot,
    /// No member has such a name.
    #[error("an archive holds no member of that name")]
    Name,
    /// The name is right, the type is not.
    #[error("a member of that name has another type")]
    Type,
    /// A number has leading zeros or does not fit 64 bits.
    #[error("a number in its name has leading zeros or does not fit 64 bits")]
    Number,
}

/// Says what the member at `path` is, or why it does not belong.
pub fn classify(path: &str, kind: TarKind) -> Result<MemberKind, MemberError> {
    classified(path, kind).map_err(|fault| MemberError {
        path: path.chars().take(128).flat_map(char::escape_debug).collect(),
        kind,
        fault,
    })
}

fn classified(path: &str, kind: TarKind) -> Result<MemberKind, MemberFault> {
    if path.starts_with('/') {
        return Err(MemberFault::Absolute);
    }
    if path.split('/').any(|component| component == "..") {
        return Err(MemberFault::Parent);
    }
    if path.split('/').any(|component| component == ".") {
        return Err(MemberFault::Dot);
    }
    let is_folder = kind == TarKind::Directory;
    let path = match path.strip_suffix('/') {
        Some(folder) if is_folder => folder,
        Some(_) => return Err(MemberFault::Name),
        None => path,
    };
    // The longest path has three components; a fourth holds whatever goes beyond.
    let mut parts = path.splitn(4, '/');
    let parts = [parts.next(), parts.next(), parts.next(), parts.next()];
    let member = match parts {
        [Some("version"), None, ..] => MemberKind::Version,
        [Some("snapshots"), None, ..] => MemberKind::SnapshotsFolder,
        [Some("snapshots"), Some("status_cache"), None, _] => MemberKind::StatusCache,
        [Some("snapshots"), Some(slot), None, _] => MemberKind::SlotFolder(number(slot)?),
        [Some("snapshots"), Some(folder), Some(file), None] => {
            MemberKind::Manifest { folder: number(folder)?, file: number(file)? }
        }
        [Some("accounts"), None, ..] => MemberKind::AccountsFolder,
        [Some("accounts"), Some(name), None, _] => {
            let (slot, id) = name.split_once('.').ok_or(MemberFault::Name)?;
            MemberKind::Storage { slot: number(slot)?, id: number(id)? }
        }
        _ => return Err(MemberFault::Name),
    };
    let fits = match member {
        MemberKind::SnapshotsFolder | MemberKind::SlotFolder(_) | MemberKind::AccountsFolder => {
            is_folder
        }
        MemberKind::Version | MemberKind::StatusCache => kind == TarKind::Regular,
        // Archives of 2.1 can hold these as sparse members.
        MemberKind::Manifest { .. } | MemberKind::Storage { .. } => {
            matches!(kind, TarKind::Regular | TarKind::Sparse)
        }
    };
    if fits { Ok(member) } else { Err(MemberFault::Type) }
}

fn number(digits: &str) -> Result<u64, MemberFault> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(MemberFault::Name);
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return Err(MemberFault::Number);
    }
    digits.parse().map_err(|_| MemberFault::Number)
}

/// Checks the content of the `version` member (check C4): `1.2.0`, which white space may surround
/// and a `v` or `V` precede, in at most [`VERSION_BYTES_MAX`] bytes.
pub fn parse_version(bytes: &[u8]) -> Result<(), Error> {
    let text = str::from_utf8(bytes).unwrap_or_default().trim();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    if bytes.len() <= VERSION_BYTES_MAX && text == VERSION {
        return Ok(());
    }
    let head = &bytes[..bytes.len().min(16)];
    Err(Error::Version { found: head.escape_ascii().to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_of_an_archive_are_known() {
        use TarKind::{Directory, Regular, Sparse};
        for (path, kind, member) in [
            ("version", Regular, MemberKind::Version),
            ("snapshots/", Directory, MemberKind::SnapshotsFolder),
            ("snapshots", Directory, MemberKind::SnapshotsFolder),
            ("snapshots/status_cache", Regular, MemberKind::StatusCache),
            ("snapshots/46", Directory, MemberKind::SlotFolder(46)),
            ("snapshots/0/", Directory, MemberKind::SlotFolder(0)),
            ("snapshots/46/47", Regular, MemberKind::Manifest { folder: 46, file: 47 }),
            ("snapshots/46/46", Sparse, MemberKind::Manifest { folder: 46, file: 46 }),
            ("accounts/", Directory, MemberKind::AccountsFolder),
            ("accounts/46.0", Regular, MemberKind::Storage { slot: 46, id: 0 }),
            (
                "accounts/18446744073709551615.7",
                Sparse,
                MemberKind::Storage { slot: u64::MAX, id: 7 },
            ),
        ] {
            assert_eq!(classify(path, kind), Ok(member), "{path}");
            assert_eq!(classify(&member.to_string(), kind), Ok(member), "{member}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        use MemberFault::{Absolute, Dot, Name, Number, Parent, Type};
        use TarKind::{Directory, Other, Regular, Sparse};
        for (path, kind, fault) in [
            ("", Regular, Name),
            ("/evil", Regular, Absolute),
            ("/accounts/1.1", Regular, Absolute),
            ("accounts/../../evil", Regular, Parent),
            ("..", Directory, Parent),
            ("./version", Regular, Dot),
            ("accounts/./1.1", Regular, Dot),
            (".", Directory, Dot),
            ("hello.txt", Regular, Name),
            ("version/", Regular, Name),
            ("accounts//1.1", Regular, Name),
            ("accounts//", Directory, Name),
            ("accounts/abc", Regular, Name),
            ("accounts/1", Regular, Name),
            ("accounts/1.", Regular, Name),
            ("accounts/.1", Regular, Name),
            ("accounts/1.1.1", Regular, Name),
            ("accounts/1.1/1", Regular, Name),
            ("accounts/+1.1", Regular, Name),
            ("accounts/\u{661}.1", Regular, Name),
            ("snapshots/46/46/46", Regular, Name),
            ("snapshots/46/status_cache", Regular, Name),
            ("snapshots/46/", Regular, Name),
            ("accounts/01.1", Regular, Number),
            ("accounts/1.00", Regular, Number),
            ("accounts/18446744073709551616.1", Regular, Number),
            ("snapshots/046", Directory, Number),
            ("accounts/1.1", Other(b'2'), Type),
            ("accounts/1.1", Directory, Type),
            ("accounts/1.1/", Directory, Type),
            ("version", Sparse, Type),
            ("version", Directory, Type),
            ("snapshots/status_cache", Sparse, Type),
            ("snapshots", Regular, Type),
            ("snapshots/46", Regular, Type),
            ("accounts", Other(b'2'), Type),
        ] {
            let error = classify(path, kind).expect_err(path);
            assert_eq!(error.fault, fault, "{path} {kind}");
        }
        let error = classify("a\nb", Other(b'1')).expect_err("no such member");
        assert_eq!(
            error.to_string(),
            "member 'a\\nb' (type '1'): an archive holds no member of that name"
        );
    }

    #[test]
    fn one_version_is_read() {
        for good in ["1.2.0", " 1.2.0\n", "v1.2.0", "V1.2.0\n", "v1.2.0\r\n"] {
            assert_eq!(parse_version(good.as_bytes()), Ok(()));
        }
        for bad in ["1.3.0", "", "1.2", "vv1.2.0", "v 1.2.0", "1.2.0    ", "   1.2.0 ", "v"] {
            let found = bad.to_owned();
            assert_eq!(parse_version(bad.as_bytes()), Err(Error::Version { found }));
        }
        let error = parse_version(b"\xff1.2.0").expect_err("not text");
        assert_eq!(error.to_string(), "the snapshot version is '\\xff1.2.0', not 1.2.0");
    }
}
