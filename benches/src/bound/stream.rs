//! A zstd archive's tar stream, decompressed as one stream on this thread. Only the decompressor's
//! own time is counted; reading the file is not.

use std::path::Path;

use icecore_disk::{File, Stopwatch};
use zstd_safe::{DCtx, InBuffer, OutBuffer};

use crate::Failure;

/// Bytes that are read at once.
const INPUT_BYTES: usize = 1 << 20;

/// Decompresses a file.
pub(crate) struct Decoder {
    file: File,
    /// Bytes read of the file.
    offset: u64,
    context: DCtx<'static>,
    input: Vec<u8>,
    /// How much of the input was read from the file, and how much of that has been taken.
    filled: usize,
    taken: usize,
    /// Whether the decompressor may hold more than it could give.
    may_hold_more: bool,
    output: Vec<u8>,
    seconds: f64,
    bytes: u64,
}

impl Decoder {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        Ok(Self {
            file: File::open(path)?,
            offset: 0,
            context: DCtx::create(),
            input: vec![0; INPUT_BYTES],
            filled: 0,
            taken: 0,
            may_hold_more: false,
            output: vec![0; DCtx::out_size()],
            seconds: 0.0,
            bytes: 0,
        })
    }

    /// The next bytes of the tar stream; `None` at its end.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        loop {
            if self.taken == self.filled && !self.may_hold_more {
                self.filled = self.file.read_at(self.offset, &mut self.input)?;
                self.offset += self.filled as u64;
                self.taken = 0;
                if self.filled == 0 {
                    return Ok(None);
                }
            }
            let mut input = InBuffer::around(&self.input[self.taken..self.filled]);
            let mut output = OutBuffer::around(&mut self.output[..]);
            let stopwatch = Stopwatch::start();
            self.context
                .decompress_stream(&mut output, &mut input)
                .map_err(zstd_safe::get_error_name)?;
            self.seconds += stopwatch.seconds();
            let written = output.pos();
            self.taken += input.pos;
            self.may_hold_more = written == self.output.len();
            if written > 0 {
                self.bytes += written as u64;
                return Ok(Some(&self.output[..written]));
            }
        }
    }

    /// Seconds that decompression took so far.
    pub(crate) fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Bytes of tar so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}
