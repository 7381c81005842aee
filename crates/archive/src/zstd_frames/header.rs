//! The header of a zstd frame (RFC 8878, sections 3.1.1.1 and 3.1.2).

use super::{WINDOW_BYTES_MAX, ZstdFault};
use crate::container::{SKIPPABLE_HEADER_BYTES, ZSTD_MAGIC, could_begin, is_skippable};

/// The longest header: magic, descriptor, window, dictionary id, content size.
pub(crate) const HEADER_BYTES_MAX: usize = 4 + 1 + 1 + 4 + 8;

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Where the frame begins in the file.
    pub offset: u64,
    /// What it is.
    pub kind: FrameKind,
}

/// What a zstd frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// Compressed content.
    Data {
        /// How far back the content refers, at most [`WINDOW_BYTES_MAX`].
        window_bytes: u64,
        /// Bytes of the content, where the frame states them. Not to be believed.
        content_bytes: Option<u64>,
        /// Whether the frame ends with a checksum of its content.
        has_checksum: bool,
        /// The dictionary that the frame needs; no archive has one.
        dictionary_id: Option<u32>,
    },
    /// Content that readers skip.
    Skippable {
        /// Bytes of the content, header apart.
        bytes: u32,
    },
}

/// What the bytes at a frame's place are.
pub(crate) enum Parsed {
    /// This many bytes are needed in all, more than were given.
    Needs(usize),
    /// No frame begins here.
    NotAFrame,
    /// A header of so many bytes.
    Header { kind: FrameKind, bytes: usize },
}

/// Reads the header at the start of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed, ZstdFault> {
    if !could_begin(bytes, ZSTD_MAGIC) {
        return Ok(Parsed::NotAFrame);
    }
    let Some((magic, rest)) = bytes.split_first_chunk() else {
        return Ok(Parsed::Needs(4));
    };
    if is_skippable(u32::from_le_bytes(*magic)) {
        return Ok(match rest.first_chunk() {
            None => Parsed::Needs(SKIPPABLE_HEADER_BYTES),
            Some(size) => Parsed::Header {
                kind: FrameKind::Skippable { bytes: u32::from_le_bytes(*size) },
                bytes: SKIPPABLE_HEADER_BYTES,
            },
        });
    }

    let Some((&descriptor, rest)) = rest.split_first() else {
        return Ok(Parsed::Needs(5));
    };
    if descriptor & 0x08 != 0 {
        return Err(ZstdFault::ReservedBit);
    }
    let is_single_segment = descriptor & 0x20 != 0;
    let window_length = usize::from(!is_single_segment);
    let dictionary_length = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_length = match descriptor >> 6 {
        0 => usize::from(is_single_segment),
        code => 1 << code,
    };
    let fields_length = window_length + dictionary_length + content_length;
    let Some(fields) = rest.get(..fields_length) else {
        return Ok(Parsed::Needs(5 + fields_length));
    };
    let (window, fields) = fields.split_at(window_length);
    let (dictionary, content) = fields.split_at(dictionary_length);

    let content_bytes = match content_length {
        0 => None,
        // Two bytes count from 256 on: what is less fits one.
        2 => Some(little_endian(content) + 256),
        _ => Some(little_endian(content)),
    };
    let window_bytes = match window.first() {
        Some(descriptor) => {
            let base = 1u64 << (10 + (descriptor >> 3));
            base + base / 8 * u64::from(descriptor & 7)
        }
        // A single segment is its own window.
        None => content_bytes.expect("a single segment states its size"),
    };
    if window_bytes > WINDOW_BYTES_MAX {
        return Err(ZstdFault::Window { window_bytes });
    }
    let dictionary_id = little_endian(dictionary) as u32;
    Ok(Parsed::Header {
        kind: FrameKind::Data {
            window_bytes,
            content_bytes,
            has_checksum: descriptor & 0x04 != 0,
            dictionary_id: (dictionary_id != 0).then_some(dictionary_id),
        },
        bytes: 5 + fields_length,
    })
}

/// At most 8 bytes as a number.
fn little_endian(bytes: &[u8]) -> u64 {
    let fold = |number, byte: &u8| number << 8 | u64::from(*byte);
    bytes.iter().rev().fold(0, fold)
}
