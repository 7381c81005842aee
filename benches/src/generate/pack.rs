//! The way out: members to a tar stream, the tar stream to zstd frames, frames to a file.
//!
//! Nothing is held but the input of a frame (several frames) or a block (one frame).

use std::io::Write;

use icecore_disk::{Output, Publish};
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer};

use crate::Failure;

/// Bytes of a tar block.
const BLOCK_BYTES: usize = 512;

/// Bytes of tar in one of several frames, as the reference client writes them from 4.3 on.
const FRAME_BYTES: usize = 32 << 20;

/// Bytes that are compressed at once in a single frame.
const STREAM_BYTES: usize = 1 << 20;

/// The reference client's default level.
const LEVEL: i32 = 1;

/// How the tar stream is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Frames {
    /// One frame without checksum, as the reference client writes it up to 4.2.
    Single,
    /// Frames of 32 MiB with checksum and content size, that can be decompressed side by side.
    Multi,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
}

/// An archive being written.
pub(super) struct Pack {
    output: Output,
    context: CCtx<'static>,
    frames: Frames,
    /// What waits to be compressed.
    waiting: Vec<u8>,
    compressed: Vec<u8>,
    tar_bytes: u64,
}

impl Pack {
    pub(super) fn new(output: Output, frames: Frames) -> Result<Self, Failure> {
        let mut context = CCtx::create();
        let (has_checksum, room) = match frames {
            Frames::Single => (false, STREAM_BYTES),
            Frames::Multi => (true, FRAME_BYTES),
        };
        for parameter in
            [CParameter::CompressionLevel(LEVEL), CParameter::ChecksumFlag(has_checksum)]
        {
            context.set_parameter(parameter).map_err(zstd_safe::get_error_name)?;
        }
        let waiting = Vec::with_capacity(room);
        let compressed = Vec::with_capacity(zstd_safe::compress_bound(room));
        Ok(Self { output, context, frames, waiting, compressed, tar_bytes: 0 })
    }

    /// Begins a member; its content is to be written next.
    pub(super) fn member(&mut self, path: &str, kind: Kind, bytes: u64) -> Result<(), Failure> {
        self.write(&header(path, kind, bytes))
    }

    /// Fills the last block of a member's content.
    pub(super) fn end_member(&mut self) -> Result<(), Failure> {
        let block = BLOCK_BYTES as u64;
        let padding = self.tar_bytes.next_multiple_of(block) - self.tar_bytes;
        self.write(&[0; BLOCK_BYTES][..usize::try_from(padding).expect("less than a block")])
    }

    /// A whole member.
    pub(super) fn file(&mut self, path: &str, content: &[u8]) -> Result<(), Failure> {
        self.member(path, Kind::File, content.len() as u64)?;
        self.write(content)?;
        self.end_member()
    }

    /// Appends to the tar stream.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        self.tar_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = self.waiting.capacity() - self.waiting.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.waiting.extend_from_slice(now);
            bytes = later;
            if self.waiting.len() == self.waiting.capacity() {
                self.compress()?;
            }
        }
        Ok(())
    }

    /// Compresses what waits.
    fn compress(&mut self) -> Result<(), Failure> {
        match self.frames {
            Frames::Multi => {
                self.context
                    .compress2(&mut self.compressed, &self.waiting)
                    .map_err(zstd_safe::get_error_name)?;
                self.output.write_all(&self.compressed)?;
            }
            Frames::Single => {
                let mut input = InBuffer::around(&self.waiting);
                while input.pos < self.waiting.len() {
                    let mut output = OutBuffer::around(&mut self.compressed);
                    self.context
                        .compress_stream(&mut output, &mut input)
                        .map_err(zstd_safe::get_error_name)?;
                    self.output.write_all(output.as_slice())?;
                }
            }
        }
        self.waiting.clear();
        Ok(())
    }

    /// Ends the tar stream and gives the file its name; the bytes of the tar stream.
    pub(super) fn finish(mut self) -> Result<u64, Failure> {
        self.write(&[0; 2 * BLOCK_BYTES])?;
        if !self.waiting.is_empty() {
            self.compress()?;
        }
        if self.frames == Frames::Single {
            loop {
                let mut output = OutBuffer::around(&mut self.compressed);
                let left =
                    self.context.end_stream(&mut output).map_err(zstd_safe::get_error_name)?;
                self.output.write_all(output.as_slice())?;
                if left == 0 {
                    break;
                }
            }
        }
        self.output.publish(Publish::Replace)?;
        Ok(self.tar_bytes)
    }
}

/// A header block as the reference client writes it for storages: path, size, type and checksum,
/// everything else empty.
fn header(path: &str, kind: Kind, bytes: u64) -> [u8; BLOCK_BYTES] {
    let mut header = [0; BLOCK_BYTES];
    header[..path.len()].copy_from_slice(path.as_bytes());
    header[124..136].copy_from_slice(format!("{bytes:011o}\0").as_bytes());
    header[156] = if kind == Kind::Folder { b'5' } else { b'0' };
    header[257..265].copy_from_slice(b"ustar  \0");
    header[148..156].fill(b' ');
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}
