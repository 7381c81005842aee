//! What the bytes of all proofs have in common: a prefix of 8 bytes, and lists of digests.

use crate::{Malformed, digest::Digest, format::fields::u16_at, merkle::PATH_DIGESTS_MAX};

const PROOF_MAGIC: [u8; 4] = *b"ICEP";
const FORMAT: u16 = 1;
/// Length of the prefix, in bytes.
pub(super) const PREFIX_BYTES: usize = 8;

/// Digests in a list at most: a path, and for consistency the subtree that it begins with.
const LIST_DIGESTS_MAX: usize = PATH_DIGESTS_MAX + 1;

/// What a proof shows, as its bytes say.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Frame = 1,
    Event = 2,
    Consistency = 3,
}

/// Magic, format and kind.
pub(super) fn prefix(kind: Kind) -> [u8; PREFIX_BYTES] {
    let mut bytes = [0; PREFIX_BYTES];
    bytes[..4].copy_from_slice(&PROOF_MAGIC);
    bytes[4..6].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[6..].copy_from_slice(&(kind as u16).to_le_bytes());
    bytes
}

/// Checks the prefix and gives the part of fixed length, prefix included, and what follows it.
pub(super) fn split<const FIXED_BYTES: usize>(
    bytes: &[u8],
    kind: Kind,
) -> Result<(&[u8; FIXED_BYTES], &[u8]), Malformed> {
    let Some((fixed, rest)) = bytes.split_first_chunk() else {
        return Err(Malformed::new(bytes.len() as u64, "a proof ends within its fixed part"));
    };
    if fixed[..4] != PROOF_MAGIC {
        return Err(Malformed::new(0, "no proof begins here"));
    }
    if u16_at(fixed, 4) != FORMAT {
        return Err(Malformed::new(4, "a proof has a format that is not known here"));
    }
    if u16_at(fixed, 6) != kind as u16 {
        return Err(Malformed::new(6, "a proof is of another kind than was asked for"));
    }
    Ok((fixed, rest))
}

/// Reads lists of digests that lie one after the other up to the end of the proof; the first lies
/// `at` bytes from its start.
pub(super) fn partners<const LISTS: usize>(
    bytes: &[u8],
    at: usize,
    counts: [u32; LISTS],
) -> Result<[Vec<Digest>; LISTS], Malformed> {
    let (digests, rest) = bytes.as_chunks::<32>();
    let counts = counts.map(|count| count as usize);
    let is_whole = counts.iter().all(|count| *count <= LIST_DIGESTS_MAX)
        && counts.iter().sum::<usize>() == digests.len()
        && rest.is_empty();
    if !is_whole {
        return Err(Malformed::new(at as u64, "a proof has not the digests that it states"));
    }
    let mut digests = digests.iter().copied().map(Digest);
    Ok(counts.map(|count| digests.by_ref().take(count).collect()))
}

/// Appends a list.
pub(super) fn put_partners(out: &mut Vec<u8>, partners: &[Digest]) {
    for digest in partners {
        out.extend_from_slice(&digest.0);
    }
}

/// How long a list is, as proofs state it.
pub(super) fn partner_count(partners: &[Digest]) -> [u8; 4] {
    let count = u32::try_from(partners.len()).expect("a list has at most 65 digests");
    count.to_le_bytes()
}
