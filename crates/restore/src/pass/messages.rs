//! What tiles of a pass tell each other besides an archive's bytes: frames, faults, ends.
//!
//! Little-endian integers of fixed width, no lengths that could be wrong. What a decompressor says
//! comes from another process; [`end_from_bytes`] takes any bytes.

use icecore_archive::container::{ContainerKind, WalkEnd};

use super::ContainerReport;
use crate::damage::Damage;

/// From the splitter to the parser: what comes next, in the order of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// The bytes of a frame, from this decompressor.
    Frame { decompressor: u32 },
    /// A frame that nobody wants: its bytes do not come.
    PassedOver,
    /// The container is damaged.
    Fault(Damage),
    /// The container has ended.
    End(ContainerReport),
}

/// Bytes of the longest message.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1024;

impl Order {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Frame { decompressor } => [&[0][..], &decompressor.to_le_bytes()].concat(),
            Self::PassedOver => vec![3],
            Self::Fault(damage) => [&[1][..], &damage.to_bytes()].concat(),
            Self::End(report) => {
                let ContainerReport { kind, frames, skippable_frames, bytes, trailing_bytes } =
                    *report;
                let mut message = vec![2, code(kind)];
                for number in [frames, skippable_frames, bytes, trailing_bytes] {
                    message.extend_from_slice(&number.to_le_bytes());
                }
                message
            }
        }
    }

    /// From bytes that this process made.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let number = |at: usize| {
            let word = bytes[at..].first_chunk().expect("the splitter writes whole messages");
            u64::from_le_bytes(*word)
        };
        match bytes {
            [0, decompressor @ ..] => {
                let word = decompressor.first_chunk().expect("the splitter writes whole messages");
                Self::Frame { decompressor: u32::from_le_bytes(*word) }
            }
            [3] => Self::PassedOver,
            [1, damage @ ..] => Self::Fault(Damage::from_bytes(damage)),
            [2, kind, ..] => Self::End(ContainerReport {
                kind: kind_of(*kind),
                frames: number(2),
                skippable_frames: number(10),
                bytes: number(18),
                trailing_bytes: number(26),
            }),
            _ => unreachable!("the splitter writes no other messages"),
        }
    }
}

/// From the splitter to a decompressor: what the pieces that follow are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// One zstd frame, which begins there in the file.
    Frame { offset: u64 },
    /// A whole container of another kind.
    Stream(ContainerKind),
}

impl Content {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Frame { offset } => [&[0][..], &offset.to_le_bytes()].concat(),
            Self::Stream(kind) => vec![1 + code(kind)],
        }
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        match bytes {
            [0, offset @ ..] => {
                let word = offset.first_chunk().expect("the splitter writes whole messages");
                Self::Frame { offset: u64::from_le_bytes(*word) }
            }
            [kind, ..] => Self::Stream(kind_of(kind - 1)),
            [] => unreachable!("the splitter writes whole messages"),
        }
    }
}

/// From a decompressor to the parser: what it saw of a container that is one stream.
pub(crate) fn end_to_bytes(end: WalkEnd) -> Vec<u8> {
    [end.data_frames, end.skippable_frames, end.trailing_bytes]
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

/// The same from bytes of another process: what is missing is 0.
pub(crate) fn end_from_bytes(bytes: &[u8]) -> WalkEnd {
    let number = |index: usize| {
        let word = bytes.get(index * 8..).and_then(|rest| rest.first_chunk());
        word.map_or(0, |word| u64::from_le_bytes(*word))
    };
    WalkEnd { data_frames: number(0), skippable_frames: number(1), trailing_bytes: number(2) }
}

fn code(kind: ContainerKind) -> u8 {
    match kind {
        ContainerKind::Zstd => 0,
        ContainerKind::Lz4 => 1,
        ContainerKind::Tar => 2,
    }
}

fn kind_of(code: u8) -> ContainerKind {
    match code {
        0 => ContainerKind::Zstd,
        1 => ContainerKind::Lz4,
        _ => ContainerKind::Tar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check_id::CheckId;

    #[test]
    fn messages_come_back_from_their_bytes() {
        let report = ContainerReport {
            kind: ContainerKind::Lz4,
            frames: 1,
            skippable_frames: 2,
            bytes: u64::MAX,
            trailing_bytes: 4,
        };
        let damage = Damage { check: CheckId::C2, sentence: "x".repeat(2000) };
        for order in [Order::Frame { decompressor: 7 }, Order::PassedOver, Order::End(report)] {
            assert_eq!(Order::from_bytes(&order.to_bytes()), order);
        }
        assert!(Order::Fault(damage).to_bytes().len() <= MESSAGE_BYTES_MAX);
        for content in [
            Content::Frame { offset: 1 << 40 },
            Content::Stream(ContainerKind::Zstd),
            Content::Stream(ContainerKind::Lz4),
            Content::Stream(ContainerKind::Tar),
        ] {
            assert_eq!(Content::from_bytes(&content.to_bytes()), content);
        }
        let end = WalkEnd { data_frames: 1, skippable_frames: 2, trailing_bytes: 3 };
        assert_eq!(end_from_bytes(&end_to_bytes(end)), end);
        assert_eq!(end_from_bytes(b"short"), WalkEnd::default());
    }
}
