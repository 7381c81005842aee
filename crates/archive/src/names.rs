//! The names of archive files: class, slots, hash and container (formats.md section 1, "Names").
//!
//! `snapshot-<slot>-<hash>.<extension>` and `incremental-snapshot-<base>-<slot>-<hash>.<extension>`,
//! slots in decimal digits, the hash in base58. The reference client 4.2.2 takes `tar.zst` and
//! `tar.lz4`; plain `tar` is taken here as well, for archives of older clients.
//!
//! What it does *not* do: believe the name. The hash and slots are compared with the content
//! elsewhere, and the content decides how it is decompressed.

use std::{fmt, str::FromStr};

use icecore_types::{Hash, Slot};

/// How the extension says that the tar stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// `.tar.zst`
    Zstd,
    /// `.tar.lz4`
    Lz4,
    /// `.tar`, of older clients.
    None,
}

impl Compression {
    /// The extension, without a leading dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Zstd => "tar.zst",
            Self::Lz4 => "tar.lz4",
            Self::None => "tar",
        }
    }
}

/// What the name of an archive says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArchiveName {
    /// All accounts at a slot.
    Full {
        /// The slot.
        slot: Slot,
        /// Checksum of the state, see check M4.
        hash: Hash,
        /// By the extension.
        compression: Compression,
    },
    /// The account versions written after `base`, up to `slot`.
    Incremental {
        /// Slot of the full archive on which this one builds.
        base: Slot,
        /// The slot.
        slot: Slot,
        /// Checksum of the state at `slot`, see check M4.
        hash: Hash,
        /// By the extension.
        compression: Compression,
    },
}

/// Why a file name is not an archive's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name has not the shape of an archive's.
    #[error("'{name}' is not the name of a snapshot archive")]
    Shape {
        /// The name, cut to 255 characters.
        name: String,
    },
    /// A slot does not fit 64 bits.
    #[error("'{name}': the slot {digits} does not fit 64 bits")]
    SlotTooLarge {
        /// The name, cut to 255 characters.
        name: String,
        /// The digits as they stand, cut to 40 characters.
        digits: String,
    },
    /// The hash is not 32 bytes of base58.
    #[error("'{name}': {error}")]
    Hash {
        /// The name, cut to 255 characters.
        name: String,
        /// What is wrong with it.
        error: icecore_types::Base58Error,
    },
    /// An archive of a container that only clients before 3.0 read.
    #[error("'{name}': {extension} archives are not read; recompress to tar.zst")]
    Unread {
        /// The name, cut to 255 characters.
        name: String,
        /// `tar.gz` or `tar.bz2`.
        extension: &'static str,
    },
}

/// Containers of older clients which are known and not read.
const UNREAD_EXTENSIONS: [&str; 2] = ["tar.gz", "tar.bz2"];

impl ArchiveName {
    /// Reads a file name (no folder).
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let shape = || NameError::Shape { name: cut(name) };
        let (stem, extension) = name.split_once('.').ok_or_else(shape)?;
        let (incremental, rest) = match stem.strip_prefix("incremental-snapshot-") {
            Some(rest) => (true, rest),
            None => (false, stem.strip_prefix("snapshot-").ok_or_else(shape)?),
        };
        let mut parts = rest.split('-');
        let mut part = || parts.next().filter(|part| !part.is_empty());
        let base = if incremental { Some(part().ok_or_else(shape)?) } else { None };
        let (slot, hash) = part().zip(part()).ok_or_else(shape)?;
        if parts.next().is_some() || !hash.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(shape());
        }

        let base = base.map(|digits| parse_slot(name, digits)).transpose()?;
        let slot = parse_slot(name, slot)?;
        let compression = match [Compression::Zstd, Compression::Lz4, Compression::None]
            .into_iter()
            .find(|compression| compression.extension() == extension)
        {
            Some(compression) => compression,
            None => {
                return Err(
                    match UNREAD_EXTENSIONS.into_iter().find(|known| *known == extension) {
                        Some(extension) => NameError::Unread { name: cut(name), extension },
                        None => shape(),
                    },
                );
            }
        };
        let hash = hash.parse().map_err(|error| NameError::Hash { name: cut(name), error })?;
        Ok(match base {
            Some(base) => Self::Incremental { base, slot, hash, compression },
            None => Self::Full { slot, hash, compression },
        })
    }

    /// The slot of the state.
    pub fn slot(&self) -> Slot {
        match self {
            Self::Full { slot, .. } | Self::Incremental { slot, .. } => *slot,
        }
    }

    /// The slot of the full archive on which an incremental builds; `None` for a full one.
    pub fn base(&self) -> Option<Slot> {
        match self {
            Self::Full { .. } => None,
            Self::Incremental { base, .. } => Some(*base),
        }
    }

    /// The hash in the name.
    pub fn hash(&self) -> &Hash {
        match self {
            Self::Full { hash, .. } | Self::Incremental { hash, .. } => hash,
        }
    }

    /// What the extension says.
    pub fn compression(&self) -> Compression {
        match self {
            Self::Full { compression, .. } | Self::Incremental { compression, .. } => *compression,
        }
    }

    /// Whether this is an incremental archive.
    pub fn is_incremental(&self) -> bool {
        self.base().is_some()
    }
}

impl fmt::Display for ArchiveName {
    /// The file name; slots come without leading zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(base) = self.base() {
            write!(f, "incremental-snapshot-{base}-")?;
        } else {
            write!(f, "snapshot-")?;
        }
        let extension = self.compression().extension();
        write!(f, "{}-{}.{extension}", self.slot(), self.hash())
    }
}

impl FromStr for ArchiveName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::parse(name)
    }
}

fn parse_slot(name: &str, digits: &str) -> Result<Slot, NameError> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NameError::Shape { name: cut(name) });
    }
    digits.parse().map_err(|_| NameError::SlotTooLarge {
        name: cut(name),
        digits: digits.chars().take(40).collect(),
    })
}

fn cut(name: &str) -> String {
    name.chars().take(255).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "2pRN9jNHGRLkRp4n6uySxy7KFY41E81qZenhu21ef2FZ";

    #[test]
    fn names_are_read_and_given_back() {
        for (name, base, slot, compression) in [
            (format!("snapshot-46-{HASH}.tar.zst"), None, 46, Compression::Zstd),
            (format!("snapshot-0-{HASH}.tar.lz4"), None, 0, Compression::Lz4),
            (format!("snapshot-{}-{HASH}.tar", u64::MAX), None, u64::MAX, Compression::None),
            (format!("incremental-snapshot-46-62-{HASH}.tar.zst"), Some(46), 62, Compression::Zstd),
        ] {
            let parsed = ArchiveName::parse(&name).expect("a good name");
            assert_eq!(parsed.base(), base);
            assert_eq!(parsed.slot(), slot);
            assert_eq!(parsed.compression(), compression);
            assert_eq!(parsed.hash().to_string(), HASH);
            assert_eq!(parsed.is_incremental(), base.is_some());
            assert_eq!(parsed.to_string(), name);
        }
        let zeros = ArchiveName::parse(&format!("snapshot-0046-{HASH}.tar.zst"));
        assert_eq!(zeros.expect("digits are digits").slot(), 46);
    }

    #[test]
    fn other_names_are_refused() {
        let shape = |name: String| {
            let error = ArchiveName::parse(&name).expect_err("not an archive's name");
            assert_eq!(error, NameError::Shape { name });
        };
        for stem in [
            "snapshot-46-",
            "snapshot--",
            "snapshot-+46-",
            "snapshot-46-62-",
            "incremental-snapshot-62-",
            "incremental-snapshot-1-2-3-",
            "tmp-snapshot-archive-46-",
            "tmp-snapshot-archive-snapshot-46-",
            "xsnapshot-46-",
            "Snapshot-46-",
            "remote/snapshot-46-",
        ] {
            shape(format!("{stem}{HASH}.tar.xz"));
            if stem != "snapshot-46-" {
                shape(format!("{stem}{HASH}.tar.zst"));
            }
        }
        for name in ["", "version", "snapshot", "snapshot-46.tar.zst", "snapshot-46-.tar.zst"] {
            shape(name.to_owned());
        }
        for end in ["tar.zst.part", "tar.zst ", "tar.ZST", "zst", "", "x.tar.zst"] {
            shape(format!("snapshot-46-{HASH}.{end}"));
        }
        shape(format!("snapshot-46-{HASH}"));
        shape(format!("snapshot-46-{HASH}\u{e9}.tar.zst"));
    }

    #[test]
    fn what_is_nearly_right_is_told_apart() {
        let gz = format!("snapshot-46-{HASH}.tar.gz");
        let bz2 = format!("incremental-snapshot-46-62-{HASH}.tar.bz2");
        for name in [gz, bz2] {
            let error = ArchiveName::parse(&name).expect_err("not read");
            assert!(matches!(error, NameError::Unread { .. }), "{error}");
        }
        let error = ArchiveName::parse(&format!("snapshot-18446744073709551616-{HASH}.tar.zst"));
        assert!(matches!(error, Err(NameError::SlotTooLarge { .. })));
        let error = ArchiveName::parse("snapshot-46-0OIl.tar.zst").expect_err("0 is not base58");
        assert_eq!(
            error.to_string(),
            "'snapshot-46-0OIl.tar.zst': '0OIl' is not the base58 form of 32 bytes"
        );
    }
}
