//! Lattice hashes through the `blake3` crate alone: the yardstick that no kernel of ours can bend.

use icecore_types::{AccountRef, LATTICE_BYTES, LatticeHash};

/// Data up to which the reference client collects an account's input before it hashes it, in bytes.
const COLLECTED_DATA_BYTES_MAX: usize = 200;

/// Bytes of an account's input besides its data.
const FIXED_BYTES: usize = 8 + 1 + 32 + 32;

/// The lattice hash of an account, tombstones included, as bytes.
pub(crate) fn output(account: &AccountRef<'_>) -> [u8; LATTICE_BYTES] {
    let mut output = [0; LATTICE_BYTES];
    hasher(account).finalize_xof().fill(&mut output);
    output
}

/// One account's input as the reference client feeds it: collected first if it is small.
pub(crate) fn hasher(account: &AccountRef<'_>) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    if account.data.len() <= COLLECTED_DATA_BYTES_MAX {
        let mut input = [0; COLLECTED_DATA_BYTES_MAX + FIXED_BYTES];
        let length = collect(account, &mut input);
        hasher.update(&input[..length]);
    } else {
        for piece in pieces(account, &account.lamports.to_le_bytes()) {
            hasher.update(piece);
        }
    }
    hasher
}

/// Writes an account's input to the start of `input`; its length.
pub(crate) fn collect(account: &AccountRef<'_>, input: &mut [u8]) -> usize {
    let mut length = 0;
    for piece in pieces(account, &account.lamports.to_le_bytes()) {
        input[length..][..piece.len()].copy_from_slice(piece);
        length += piece.len();
    }
    length
}

fn pieces<'a>(account: &AccountRef<'a>, lamports: &'a [u8; 8]) -> [&'a [u8]; 5] {
    let executable: &[u8; 1] = if account.executable { &[1] } else { &[0] };
    [lamports, account.data, executable, account.owner.as_bytes(), account.pubkey.as_bytes()]
}

/// Adds an output to a sum, lane by lane.
pub(crate) fn add(sum: &mut LatticeHash, output: &[u8; LATTICE_BYTES]) {
    for (lane, pair) in sum.lanes.iter_mut().zip(output.as_chunks::<2>().0) {
        *lane = lane.wrapping_add(u16::from_le_bytes(*pair));
    }
}

/// Takes an output out of a sum, lane by lane.
pub(crate) fn subtract(sum: &mut LatticeHash, output: &[u8; LATTICE_BYTES]) {
    for (lane, pair) in sum.lanes.iter_mut().zip(output.as_chunks::<2>().0) {
        *lane = lane.wrapping_sub(u16::from_le_bytes(*pair));
    }
}
