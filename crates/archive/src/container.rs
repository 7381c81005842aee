//! Which container a file is: decided by its content, never by its name.
//!
//! zstd and lz4 share the magic numbers of skippable frames (0x184D2A50 to 0x184D2A5F), so a file
//! that begins with those says what it is only behind them. A tar stream has no magic at its start
//! that all writers agree on; it is known by the checksum of its first header.

use std::fmt;

use crate::tar::header;

/// What a container begins with, enough to decide.
pub const DETECT_BYTES: usize = 512;

pub(crate) const ZSTD_MAGIC: u32 = 0xfd2f_b528;
pub(crate) const LZ4_MAGIC: u32 = 0x184d_2204;
pub(crate) const LZ4_LEGACY_MAGIC: u32 = 0x184c_2102;

/// Bytes of a skippable frame's header: magic and content size, both `u32`.
pub(crate) const SKIPPABLE_HEADER_BYTES: usize = 8;

/// Whether `magic` begins a skippable frame, of zstd and lz4 alike.
pub(crate) fn is_skippable(magic: u32) -> bool {
    magic & 0xffff_fff0 == 0x184d_2a50
}

/// Whether `bytes` could be the first ones of a frame, as far as they go: one with this magic, or
/// a skippable one.
pub(crate) fn could_begin(bytes: &[u8], magic: u32) -> bool {
    let is_prefix_of = |magic: u32| bytes.iter().zip(magic.to_le_bytes()).all(|(a, b)| *a == b);
    // Of the 16 magics of skippable frames, the one that has the first byte.
    let skippable = 0x184d_2a00 | u32::from(bytes.first().copied().unwrap_or(0x50));
    is_prefix_of(magic) || is_skippable(skippable) && is_prefix_of(skippable)
}

/// A container of a tar stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContainerKind {
    /// zstd frames.
    Zstd,
    /// lz4 frames.
    Lz4,
    /// The tar stream itself.
    Tar,
}

impl fmt::Display for ContainerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Tar => "tar",
        })
    }
}

/// What the first bytes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detection {
    /// A container that is read.
    Known(ContainerKind),
    /// Something else.
    Unknown {
        /// What it is, as far as it can be told.
        what: &'static str,
    },
    /// The file begins with skippable frames that go further than the bytes given: the bytes at
    /// `offset` decide.
    Behind {
        /// Offset of the first frame that was not seen.
        offset: u64,
    },
    /// The bytes given are too few. At the end of a file: it is too short for any container.
    NeedMore,
}

/// How far a decoder came in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes written to the front of the output.
    pub written: usize,
    /// Whether a frame ended with this call.
    pub frame_done: bool,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WalkEnd {
    /// Frames with content, empty ones included.
    pub data_frames: u64,
    /// Skippable frames.
    pub skippable_frames: u64,
    /// Bytes after the last frame.
    pub trailing_bytes: u64,
}

/// Says what a file is from its first bytes; [`DETECT_BYTES`] are enough.
pub fn detect(first_bytes: &[u8]) -> Detection {
    let mut at = 0u64;
    loop {
        let rest = match usize::try_from(at).ok().and_then(|at| first_bytes.get(at..)) {
            Some(rest) => rest,
            None if first_bytes.len() < DETECT_BYTES => return Detection::NeedMore,
            None => return Detection::Behind { offset: at },
        };
        let Some(magic) = rest.first_chunk().map(|magic| u32::from_le_bytes(*magic)) else {
            if at > 0 && first_bytes.len() >= DETECT_BYTES {
                return Detection::Behind { offset: at };
            }
            return Detection::NeedMore;
        };
        match magic {
            ZSTD_MAGIC => return Detection::Known(ContainerKind::Zstd),
            LZ4_MAGIC => return Detection::Known(ContainerKind::Lz4),
            LZ4_LEGACY_MAGIC => return Detection::Unknown { what: "legacy lz4" },
            _ if !is_skippable(magic) && at > 0 => {
                return Detection::Unknown { what: "skippable frames and then something else" };
            }
            _ if !is_skippable(magic) => return detect_by_content(rest),
            _ => {}
        }
        let Some(size) = rest.get(4..).and_then(|rest| rest.first_chunk()) else {
            if first_bytes.len() >= DETECT_BYTES {
                return Detection::Behind { offset: at };
            }
            return Detection::NeedMore;
        };
        // `at` lay within the bytes given until here, so this cannot overflow.
        at += SKIPPABLE_HEADER_BYTES as u64 + u64::from(u32::from_le_bytes(*size));
    }
}

/// At least 4 bytes that are no frame's magic: tar, or something that is named if it is known.
fn detect_by_content(bytes: &[u8]) -> Detection {
    const OTHERS: [(&[u8], &str); 5] = [
        (b"\x1f\x8b", "gzip"),
        (b"BZh", "bzip2"),
        (b"\xfd7zX", "xz"),
        (b"PK\x03\x04", "zip"),
        (b"7z\xbc\xaf", "7z"),
    ];
    if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Detection::Unknown { what };
    }
    match bytes.first_chunk() {
        None => Detection::NeedMore,
        Some(block) if header::has_checksum(block) => Detection::Known(ContainerKind::Tar),
        Some(block) if block.iter().all(|byte| *byte == 0) => Detection::Unknown { what: "zeros" },
        Some(_) => Detection::Unknown { what: "of no known kind" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skippable(bytes: u32) -> Vec<u8> {
        let mut frame = 0x184d_2a5a_u32.to_le_bytes().to_vec();
        frame.extend(bytes.to_le_bytes());
        frame.extend(std::iter::repeat_n(7, bytes as usize));
        frame
    }

    #[test]
    fn magics_decide_and_others_are_named() {
        let known = |bytes: &[u8], kind| assert_eq!(detect(bytes), Detection::Known(kind));
        known(&ZSTD_MAGIC.to_le_bytes(), ContainerKind::Zstd);
        known(&LZ4_MAGIC.to_le_bytes(), ContainerKind::Lz4);
        for (bytes, name) in [
            (&b"\x1f\x8b\x08\x00"[..], "gzip"),
            (b"BZh91AY", "bzip2"),
            (b"\xfd7zXZ\x00", "xz"),
            (&LZ4_LEGACY_MAGIC.to_le_bytes(), "legacy lz4"),
            (&[0; 512], "zeros"),
            (&[1; 512], "of no known kind"),
        ] {
            assert_eq!(detect(bytes), Detection::Unknown { what: name });
        }
        for few in [&b""[..], b"\x28\xb5\x2f", &[0; 511], b"version"] {
            assert_eq!(detect(few), Detection::NeedMore);
        }
    }

    #[test]
    fn skippable_frames_are_looked_behind() {
        let mut bytes = skippable(0);
        bytes.extend(skippable(100));
        for cut in 0..bytes.len() {
            assert_eq!(detect(&bytes[..cut]), Detection::NeedMore);
        }
        let zstd = [&bytes[..], &ZSTD_MAGIC.to_le_bytes()].concat();
        assert_eq!(detect(&zstd), Detection::Known(ContainerKind::Zstd));
        let lz4 = [&bytes[..], &LZ4_MAGIC.to_le_bytes()].concat();
        assert_eq!(detect(&lz4), Detection::Known(ContainerKind::Lz4));
        let other = [&bytes[..], b"\x1f\x8b\x08\x00"].concat();
        assert!(matches!(detect(&other), Detection::Unknown { .. }));
        let long = skippable(5000);
        assert_eq!(detect(&long[..512]), Detection::Behind { offset: 5008 });
        assert_eq!(detect(&long[..511]), Detection::NeedMore);
        let to_the_end = skippable(504);
        assert_eq!(detect(&to_the_end), Detection::Behind { offset: 512 });
    }
}
