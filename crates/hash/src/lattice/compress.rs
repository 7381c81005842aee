//! BLAKE3's compression function in many lanes at once, over any vector (BLAKE3 specification,
//! section 2.2).

use super::vector::Vector;

/// Words of a block and of the compression state.
pub(super) const WORDS: usize = 16;

/// SHA-256's and BLAKE3's initial chaining value.
pub(super) const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Domain flags (BLAKE3 specification, table 3).
pub(super) const CHUNK_START: u32 = 1;
pub(super) const CHUNK_END: u32 = 2;
pub(super) const PARENT: u32 = 4;
pub(super) const ROOT: u32 = 8;

/// Which message word goes where, by round: BLAKE3's permutation, applied again and again.
const SCHEDULE: [[usize; WORDS]; 7] = {
    const PERMUTATION: [usize; WORDS] = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
    let mut schedule = [[0; WORDS]; 7];
    let mut round = 0;
    while round < 7 {
        let mut word = 0;
        while word < WORDS {
            schedule[round][word] = match round {
                0 => word,
                _ => schedule[round - 1][PERMUTATION[word]],
            };
            word += 1;
        }
        round += 1;
    }
    schedule
};

/// Four quarter-rounds on independent words: `a`, `b`, `c`, `d` name each one's state words.
#[inline(always)]
fn quarter_rounds<V: Vector>(
    state: &mut [V; WORDS],
    [a, b, c, d]: [[usize; 4]; 4],
    first: [V; 4],
    second: [V; 4],
) {
    for i in 0..4 {
        // The message goes first: it is there before the other operand.
        state[a[i]] = state[a[i]].add(first[i]).add(state[b[i]]);
    }
    for i in 0..4 {
        state[d[i]] = state[d[i]].xor(state[a[i]]).rotate_right_16();
    }
    for i in 0..4 {
        state[c[i]] = state[c[i]].add(state[d[i]]);
    }
    for i in 0..4 {
        state[b[i]] = state[b[i]].xor(state[c[i]]).rotate_right_12();
    }
    for i in 0..4 {
        state[a[i]] = state[a[i]].add(second[i]).add(state[b[i]]);
    }
    for i in 0..4 {
        state[d[i]] = state[d[i]].xor(state[a[i]]).rotate_right_8();
    }
    for i in 0..4 {
        state[c[i]] = state[c[i]].add(state[d[i]]);
    }
    for i in 0..4 {
        state[b[i]] = state[b[i]].xor(state[c[i]]).rotate_right_7();
    }
}

/// One round: columns, then diagonals.
#[inline(always)]
fn round<V: Vector, const ROUND: usize>(state: &mut [V; WORDS], message: &[V; WORDS]) {
    let word = |at: usize| message[SCHEDULE[ROUND][at]];
    quarter_rounds(
        state,
        [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]],
        [word(0), word(2), word(4), word(6)],
        [word(1), word(3), word(5), word(7)],
    );
    quarter_rounds(
        state,
        [[0, 1, 2, 3], [5, 6, 7, 4], [10, 11, 8, 9], [15, 12, 13, 14]],
        [word(8), word(10), word(12), word(14)],
        [word(9), word(11), word(13), word(15)],
    );
}

/// The state after all rounds. `counter` is the low word of the 64-bit counter; the high one is
/// always zero: no account has 2^32 chunks.
///
/// # Safety
/// The CPU has `V`'s instructions.
#[inline(always)]
pub(super) unsafe fn rounds<V: Vector>(
    values: &[V; 8],
    message: &[V; WORDS],
    counter: V,
    length: V,
    flags: V,
) -> [V; WORDS] {
    // SAFETY: as for this function.
    let [i0, i1, i2, i3, zero] = unsafe {
        [
            V::splat(INITIAL[0]),
            V::splat(INITIAL[1]),
            V::splat(INITIAL[2]),
            V::splat(INITIAL[3]),
            V::splat(0),
        ]
    };
    let [v0, v1, v2, v3, v4, v5, v6, v7] = *values;
    let mut state = [v0, v1, v2, v3, v4, v5, v6, v7, i0, i1, i2, i3, counter, zero, length, flags];
    round::<V, 0>(&mut state, message);
    round::<V, 1>(&mut state, message);
    round::<V, 2>(&mut state, message);
    round::<V, 3>(&mut state, message);
    round::<V, 4>(&mut state, message);
    round::<V, 5>(&mut state, message);
    round::<V, 6>(&mut state, message);
    state
}
