//! The envelope of small files that are replaced whole: the manifest and checkpoints.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | magic: which kind of file |
//! | 4 | 4 | CRC-32 of everything from byte 8 on |
//! | 8 | 2 | version of the body |
//! | 10 | 6 | zero |
//! | 16 | 8 | bytes of the body |
//! | 24 | 32 | BLAKE3 of bytes 0..4, bytes 8..24 and the body |
//! | 56 | | the body, up to the end of the file |
//!
//! Invariants:
//! - The envelope is the same in all versions. So damage is told apart from a file of a newer
//!   version: the sums are judged first, the version after them.
//! - Nothing of the body is given out before both sums agree.
//!
//! The CRC is there for whoever only wants to know quickly; the digest is what decides.
//!
//! What it does *not* do: protect from somebody who writes another file with right sums.

use crate::{
    Malformed,
    format::fields::{array_at, put, u16_at, u32_at, u64_at},
};

const CHECK: usize = 4;
const COVERED: usize = 8;
const VERSION: usize = 8;
const ZEROS: usize = 10;
const BODY_BYTES: usize = 16;
const DIGEST: usize = 24;
/// Where the body begins.
pub(crate) const BODY: usize = 56;

/// A kind of file: what it begins with, and which version this program writes and reads.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) magic: [u8; 4],
    pub(crate) version: u16,
    /// Bytes of a whole file at most.
    pub(crate) bytes_max: usize,
    /// What to say when the file begins with something else.
    pub(crate) not_this_kind: &'static str,
}

/// Starts a file: room for the envelope, to append the body to.
pub(crate) fn begin() -> Vec<u8> {
    vec![0; BODY]
}

/// Closes the envelope around a body that was appended to what [`begin`] gave.
pub(crate) fn finish(mut file: Vec<u8>, kind: &Kind) -> Result<Vec<u8>, Malformed> {
    if file.len() > kind.bytes_max {
        return Err(Malformed::new(kind.bytes_max as u64, "the file would be too large"));
    }
    let body_bytes = (file.len() - BODY) as u64;
    put(&mut file, 0, kind.magic);
    put(&mut file, VERSION, kind.version.to_le_bytes());
    put(&mut file, BODY_BYTES, body_bytes.to_le_bytes());
    let digest = digest(&file);
    put(&mut file, DIGEST, digest);
    let check = crc32fast::hash(&file[COVERED..]);
    put(&mut file, CHECK, check.to_le_bytes());
    Ok(file)
}

/// Checks the envelope of a whole file; its body is what follows from [`BODY`] on.
pub(crate) fn open(file: &[u8], kind: &Kind) -> Result<(), Malformed> {
    if file.len() < BODY {
        return Err(Malformed::new(file.len() as u64, "the file ends within its first 56 bytes"));
    }
    if file.len() > kind.bytes_max {
        return Err(Malformed::new(kind.bytes_max as u64, "the file is too large"));
    }
    if file[..4] != kind.magic {
        return Err(Malformed::new(0, kind.not_this_kind));
    }
    if u64_at(file, BODY_BYTES) != (file.len() - BODY) as u64 {
        return Err(Malformed::new(BODY_BYTES as u64, "the file has not the size that it states"));
    }
    if u32_at(file, CHECK) != crc32fast::hash(&file[COVERED..]) {
        return Err(Malformed::new(CHECK as u64, "the file does not agree with its CRC-32"));
    }
    if array_at::<32>(file, DIGEST) != digest(file) {
        return Err(Malformed::new(
            DIGEST as u64,
            "the file does not agree with its BLAKE3 digest",
        ));
    }
    if u16_at(file, VERSION) != kind.version {
        return Err(Malformed::new(
            VERSION as u64,
            "a file of a version that this program does not know; use the program that wrote it",
        ));
    }
    if file[ZEROS..BODY_BYTES].iter().any(|byte| *byte != 0) {
        return Err(Malformed::new(ZEROS as u64, "bytes that have to be zero are not"));
    }
    Ok(())
}

fn digest(file: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&file[..CHECK]);
    hasher.update(&file[COVERED..DIGEST]);
    hasher.update(&file[BODY..]);
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind =
        Kind { magic: *b"TEST", version: 3, bytes_max: 100, not_this_kind: "no test file" };

    fn file() -> Vec<u8> {
        let mut file = begin();
        file.extend(b"the body of it");
        finish(file, &KIND).expect("it is small")
    }

    /// Makes both sums right again.
    fn mend(file: &mut [u8]) {
        let digest = digest(file);
        put(file, DIGEST, digest);
        let check = crc32fast::hash(&file[COVERED..]);
        put(file, CHECK, check.to_le_bytes());
    }

    #[test]
    fn what_was_closed_opens_and_each_flipped_bit_and_each_cut_is_refused() {
        let file = file();
        assert_eq!(open(&file, &KIND), Ok(()));
        for bit in 0..file.len() * 8 {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&damaged, &KIND).is_err(), "bit {bit}");
        }
        for bytes in 0..file.len() {
            assert!(open(&file[..bytes], &KIND).is_err(), "{bytes} bytes");
        }
        let longer = [&file[..], &[0]].concat();
        assert!(open(&longer, &KIND).is_err());
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let mut newer = file();
        put(&mut newer, VERSION, 4u16.to_le_bytes());
        assert_eq!(open(&newer, &KIND).expect_err("damaged").at, CHECK as u64);
        mend(&mut newer);
        assert_eq!(open(&newer, &KIND).expect_err("newer").at, VERSION as u64);
    }

    #[test]
    fn the_digest_decides_even_where_the_crc_agrees() {
        let mut other = file();
        other[BODY] ^= 1;
        let check = crc32fast::hash(&other[COVERED..]);
        put(&mut other, CHECK, check.to_le_bytes());
        assert_eq!(open(&other, &KIND).expect_err("another body").at, DIGEST as u64);
    }

    #[test]
    fn zeros_have_to_be_zero_and_sizes_are_bounded() {
        let mut file = file();
        file[ZEROS + 2] = 1;
        mend(&mut file);
        assert_eq!(open(&file, &KIND).expect_err("not zero").at, ZEROS as u64);
        let mut large = begin();
        large.resize(101, 7);
        assert!(finish(large.clone(), &KIND).is_err());
        assert!(open(&large, &KIND).is_err());
    }
}
