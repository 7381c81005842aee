//! The bytes of a slot feed: from a file or standard input, plain or compressed.
//!
//! The first bytes tell which; whatever is no container is given as it is, and the reader of feeds says
//! what is wrong with it. Decompression goes on in pieces, so that memory does not depend on the feed.
//!
//! What it does *not* do: know what is in a feed.

use std::{ops::ControlFlow, path::Path, time::Duration};

use icecore_archive::{
    container::{ContainerKind, Detection, detect},
    stream::ContainerDecoder,
};
use icecore_disk::{ReadOptions, SequentialReader, StandardInput};
use icecore_store::feed::MAGIC;

use crate::exit::Failure;

/// Bytes that are decompressed, or read from standard input, at a time.
const PIECE_BYTES: usize = 1 << 20;

/// How long standard input is waited for before the caller is asked whether to go on.
const PATIENCE: Duration = Duration::from_millis(100);

/// What takes bytes of a feed, with how many bytes of the file have been read.
pub(crate) type TakeRead<'a> = dyn FnMut(u64, &[u8]) -> Result<ControlFlow<()>, Failure> + 'a;

/// A slot feed that is read.
pub(crate) struct FeedInput {
    label: String,
    medium: Medium,
    format: Format,
    bytes_total: u64,
    bytes_read: u64,
}

enum Medium {
    File(Box<SequentialReader>),
    Standard { input: StandardInput, buffer: Vec<u8> },
}

enum Format {
    /// Too few bytes have come to tell.
    Unknown(Vec<u8>),
    Plain,
    Compressed {
        decoder: Box<ContainerDecoder>,
        piece: Vec<u8>,
    },
}

impl FeedInput {
    /// A file, or `-`: standard input.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let (medium, bytes_total) = match path == "-" {
            true => {
                let medium =
                    Medium::Standard { input: StandardInput::new(), buffer: vec![0; PIECE_BYTES] };
                (medium, 0)
            }
            false => {
                let reader = SequentialReader::open(path, ReadOptions::default())?;
                let bytes = reader.bytes();
                (Medium::File(Box::new(reader)), bytes)
            }
        };
        let label = if path == "-" { "standard input".into() } else { path.display().to_string() };
        Ok(Self { label, medium, format: Format::Unknown(Vec::new()), bytes_total, bytes_read: 0 })
    }

    /// What it is called.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Bytes of the file; 0 for standard input.
    pub(crate) fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    /// Gives all bytes of the feed to `take`, uncompressed, with how many have been read as they are;
    /// it is also asked, with no bytes, while there is nothing to read. `Break` ends it.
    pub(crate) fn for_each(&mut self, take: &mut TakeRead<'_>) -> Result<(), Failure> {
        loop {
            let bytes = match &mut self.medium {
                Medium::File(reader) => reader.next()?,
                Medium::Standard { input, buffer } => match input.read(PATIENCE, buffer)? {
                    None => {
                        if take(self.bytes_read, &[])?.is_break() {
                            return Ok(());
                        }
                        continue;
                    }
                    Some(0) => None,
                    Some(count) => Some(&buffer[..count]),
                },
            };
            let Some(bytes) = bytes else { break };
            self.bytes_read += bytes.len() as u64;
            let mut take = |piece: &[u8]| take(self.bytes_read, piece);
            if self.format.give(bytes, &self.label, &mut take)?.is_break() {
                return Ok(());
            }
        }
        self.format.end(&self.label, &mut |piece| take(self.bytes_read, piece))
    }
}

/// What takes bytes of a feed.
type Take<'a> = dyn FnMut(&[u8]) -> Result<ControlFlow<()>, Failure> + 'a;

fn damaged(label: &str, error: impl std::fmt::Display) -> Failure {
    Failure::Damaged(format!("{label}: {error}"))
}

impl Format {
    fn give(
        &mut self,
        bytes: &[u8],
        label: &str,
        take: &mut Take<'_>,
    ) -> Result<ControlFlow<()>, Failure> {
        match self {
            Self::Unknown(first) => {
                first.extend_from_slice(bytes);
                let is_plain = first.starts_with(&MAGIC);
                if !is_plain && detect(first) == Detection::NeedMore {
                    return Ok(ControlFlow::Continue(()));
                }
                let first = std::mem::take(first);
                *self = Self::of(&first);
                self.give(&first, label, take)
            }
            Self::Plain => take(bytes),
            Self::Compressed { decoder, piece } => {
                let mut input = bytes;
                loop {
                    let progress =
                        decoder.decode(&mut input, piece).map_err(|error| damaged(label, error))?;
                    let written = progress.written;
                    if written > 0 && take(&piece[..written])?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    if input.is_empty() && written < piece.len() && !progress.frame_done {
                        return Ok(ControlFlow::Continue(()));
                    }
                }
            }
        }
    }

    fn of(first: &[u8]) -> Self {
        match detect(first) {
            Detection::Known(kind @ (ContainerKind::Zstd | ContainerKind::Lz4)) => {
                let decoder = Box::new(ContainerDecoder::new(kind));
                Self::Compressed { decoder, piece: vec![0; PIECE_BYTES] }
            }
            _ => Self::Plain,
        }
    }

    /// There are no more bytes.
    fn end(&mut self, label: &str, take: &mut Take<'_>) -> Result<(), Failure> {
        match self {
            // As few as there are, the reader of feeds says what is missing.
            Self::Unknown(first) => take(&std::mem::take(first)).map(drop),
            Self::Plain => Ok(()),
            Self::Compressed { decoder, .. } => {
                let end = decoder.finish().map_err(|error| damaged(label, error))?;
                match end.trailing_bytes {
                    0 => Ok(()),
                    count => Err(damaged(
                        label,
                        format!("{count} bytes behind the last compressed frame belong to nothing"),
                    )),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &mut Format, pieces: &[&[u8]]) -> Result<Vec<u8>, Failure> {
        let mut read = Vec::new();
        let mut take = |bytes: &[u8]| {
            read.extend_from_slice(bytes);
            Ok(ControlFlow::Continue(()))
        };
        for piece in pieces {
            assert!(format.give(piece, "feed", &mut take)?.is_continue());
        }
        format.end("feed", &mut take)?;
        Ok(read)
    }

    fn compressed(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
        zstd_safe::compress(&mut out, bytes, 3).expect("there is room");
        out
    }

    #[test]
    fn plain_and_compressed_bytes_are_told_apart_however_they_come() {
        let feed = [&MAGIC[..], &vec![7; 3 << 20]].concat();
        let twice = [compressed(&feed[..1000]), compressed(&feed[1000..])].concat();
        for bytes in [&feed, &compressed(&feed), &twice] {
            for first in [1, 3, 8, bytes.len()] {
                let (head, tail) = bytes.split_at(first);
                let read = read(&mut Format::Unknown(Vec::new()), &[head, tail]).expect("sound");
                assert!(read == feed, "{} bytes, {first} at first", bytes.len());
            }
        }
        assert_eq!(read(&mut Format::Unknown(Vec::new()), &[b"SL"]).expect("few"), b"SL");
        assert_eq!(read(&mut Format::Unknown(Vec::new()), &[]).expect("none"), b"");
    }

    #[test]
    fn compressed_bytes_that_are_cut_or_followed_by_others_are_damaged() {
        let bytes = compressed(&MAGIC);
        let cut = read(&mut Format::Unknown(Vec::new()), &[&bytes[..bytes.len() - 1]]);
        assert!(matches!(cut, Err(Failure::Damaged(_))), "{cut:?}");
        let more = read(&mut Format::Unknown(Vec::new()), &[&bytes, b"more bytes behind it"]);
        assert!(matches!(more, Err(Failure::Damaged(_))), "{more:?}");
    }
}
