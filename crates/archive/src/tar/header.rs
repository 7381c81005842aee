//! One 512-byte tar header: v7, POSIX ustar, and what GNU tar made of it.

use super::TarFault;
use crate::zero::first_nonzero;

/// Headers and the padded content of members are multiples of this.
pub(crate) const BLOCK_BYTES: usize = 512;

/// One block of a tar stream.
pub(crate) type Block = [u8; BLOCK_BYTES];

const POSIX_MAGIC: &[u8] = b"ustar\x0000";
const GNU_MAGIC: &[u8] = b"ustar  \x00";

/// What a header says, numbers and text checked, meaning not.
pub(super) struct Header {
    pub(super) path: String,
    pub(super) flag: u8,
    pub(super) size: u64,
    /// Whether it is more than a v7 header, which knows no extensions.
    pub(super) is_extended: bool,
}

/// Whether the block's checksum is that of a header.
///
/// It is the sum of the block's bytes, the checksum's own counted as spaces. Some old writers added
/// them up as signed numbers.
pub(crate) fn has_checksum(block: &Block) -> bool {
    let Some(stated) = number(&block[148..156]) else {
        return false;
    };
    let spaces = 8 * u64::from(b' ');
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    let unsigned = sum(&block[..148]) + spaces + sum(&block[156..]);
    // A byte from 128 on counts 256 less when it is signed.
    let is_high = |byte: &&u8| **byte >= 0x80;
    let high = block[..148].iter().chain(&block[156..]).filter(is_high).count() as u64;
    stated == unsigned || unsigned.checked_sub(256 * high) == Some(stated)
}

/// Reads a header.
pub(super) fn parse(block: &Block) -> Result<Header, TarFault> {
    if !has_checksum(block) {
        return Err(TarFault::Checksum);
    }
    let size = number(&block[124..136]).ok_or(TarFault::Size)?;
    let flag = block[156];
    if flag == b'S' {
        check_sparse(block, size)?;
    }
    let is_extended = matches!(&block[257..265], POSIX_MAGIC | GNU_MAGIC);
    Ok(Header { path: path(block)?, flag, size, is_extended })
}

fn path(block: &Block) -> Result<String, TarFault> {
    let name = until_nul(&block[..100]);
    let prefix = match &block[257..265] {
        POSIX_MAGIC => until_nul(&block[345..500]),
        // GNU tar keeps other things at that place.
        _ => &[],
    };
    let mut path = text(prefix)?.to_owned();
    if !path.is_empty() {
        path.push('/');
    }
    path.push_str(text(name)?);
    Ok(path)
}

/// The bytes before the first NUL.
pub(super) fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A path's bytes as text.
pub(super) fn text(bytes: &[u8]) -> Result<&str, TarFault> {
    str::from_utf8(bytes).map_err(|_| TarFault::PathEncoding)
}

/// A numeric field: octal digits, between spaces perhaps, ended by a space, NUL or the field's end;
/// or, when the first bit is set, a big-endian number in the remaining bits. `None` for anything
/// else, for negative numbers, and for those that do not fit.
fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // The next bit is the sign.
        let high = (first & 0x40 == 0).then_some(u64::from(first & 0x3f))?;
        return rest
            .iter()
            .try_fold(high, |number, byte| Some(number.checked_mul(256)? | u64::from(*byte)));
    }
    let start = field.iter().position(|byte| *byte != b' ')?;
    let digits = &field[start..];
    let length = digits.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(digits.len());
    if length == 0 {
        return None;
    }
    // A field has at most 12 digits of 3 bits.
    digits[..length].iter().try_fold(0, |number, byte| match byte {
        b'0'..=b'7' => Some(number << 3 | u64::from(byte - b'0')),
        _ => None,
    })
}

/// Whether a sparse member's map leaves nothing out, so that its content is all there: extents
/// without gaps from 0 to the member's size.
///
/// Archives of 2.1 can hold sparse members (formats.md section 1, "version differences").
fn check_sparse(block: &Block, size: u64) -> Result<(), TarFault> {
    const MAP: std::ops::Range<usize> = 386..482;
    const EXTENT_BYTES: usize = 24;
    if &block[257..265] != GNU_MAGIC || block[482] != 0 {
        return Err(TarFault::Sparse);
    }
    let mut end = 0u64;
    for extent in block[MAP].chunks_exact(EXTENT_BYTES) {
        if first_nonzero(extent).is_none() {
            continue;
        }
        let (offset, bytes) = extent.split_at(EXTENT_BYTES / 2);
        match (number(offset), number(bytes)) {
            (Some(offset), Some(bytes)) if offset == end => {
                end = end.checked_add(bytes).ok_or(TarFault::Sparse)?;
            }
            _ => return Err(TarFault::Sparse),
        }
    }
    let real_size = number(&block[483..495]);
    if end != size || real_size != Some(size) {
        return Err(TarFault::Sparse);
    }
    Ok(())
}
