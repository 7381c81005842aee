//! The AVX2 vector: 8 lanes.

use std::arch::{asm, x86_64::*};

use super::{
    group::{ChainingValues, Chunks, GROUP, LaneSums, RootNodes},
    input::Block,
    vector::Vector,
    wide::{self, entry_points},
};

/// 8 words. Exists only where the CPU has AVX2.
#[derive(Clone, Copy)]
struct Avx2(__m256i);

entry_points!(Avx2, #[target_feature(enable = "avx2")]);

/// Defines safe methods on vectors from intrinsics that only need the CPU's features.
macro_rules! methods {
    ($($name:ident($($argument:ident),*) = $intrinsic:expr;)*) => {$(
        #[inline(always)]
        fn $name($($argument: Self),*) -> Self {
            // SAFETY: a value of this type proves the features; the intrinsics need nothing else.
            Self(unsafe { $intrinsic($($argument.0),*) })
        }
    )*};
}

/// Where each byte of a word comes from when it is rotated right by `bytes`.
const fn byte_rotation(bytes: u8) -> [u8; 32] {
    let mut from = [0; 32];
    let mut byte = 0;
    while byte < 32 {
        from[byte as usize] = byte % 16 / 4 * 4 + (byte + bytes) % 4;
        byte += 1;
    }
    from
}

/// Rotates words right by whole bytes, with one shuffle instead of two shifts.
///
/// Through assembly, since the compiler makes two shuffles of a rotation by 16.
#[inline]
#[target_feature(enable = "avx2")]
fn rotate_bytes<const BYTES: u8>(words: __m256i) -> __m256i {
    let from = const { byte_rotation(BYTES) };
    let rotated;
    // SAFETY: 32 bytes are there, and the instruction only writes its output register.
    unsafe {
        let from = _mm256_loadu_si256(from.as_ptr().cast());
        asm!(
            "vpshufb {rotated}, {words}, {from}",
            rotated = lateout(ymm_reg) rotated,
            words = in(ymm_reg) words,
            from = in(ymm_reg) from,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    rotated
}

/// Rotates words right; `LEFT` is 32 less `RIGHT`.
#[inline]
#[target_feature(enable = "avx2")]
fn rotate_bits<const RIGHT: i32, const LEFT: i32>(words: __m256i) -> __m256i {
    const { assert!(RIGHT + LEFT == 32) };
    _mm256_or_si256(_mm256_srli_epi32::<RIGHT>(words), _mm256_slli_epi32::<LEFT>(words))
}

impl Vector for Avx2 {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        // SAFETY: the caller's CPU has AVX2.
        Self(unsafe { _mm256_set1_epi32(word as i32) })
    }

    #[inline(always)]
    unsafe fn load(words: &[u32]) -> Self {
        let words = &words[..8];
        // SAFETY: the caller's CPU has AVX2, and 8 words are there.
        Self(unsafe { _mm256_loadu_si256(words.as_ptr().cast()) })
    }

    /// Transposes 8 rows of 8 words twice: pairs of words, then of pairs, then halves of vectors.
    #[inline(always)]
    unsafe fn load_blocks(blocks: &[Block], stride: usize) -> [Self; 16] {
        // SAFETY: the caller's CPU has AVX2; a block is 64 bytes, aligned to 64, so both halves are
        // aligned to 32.
        unsafe {
            let zero = _mm256_setzero_si256();
            let mut words = [Self(zero); 16];
            for first in [0, 8] {
                let mut rows = [zero; 8];
                for (lane, row) in rows.iter_mut().enumerate() {
                    *row = _mm256_load_si256(blocks[lane * stride].0[first * 4..].as_ptr().cast());
                }
                // fours[4g + w] holds in its half h word 4h + w of the lanes 4g to 4g + 3.
                let mut fours = [zero; 8];
                for group in [0, 4] {
                    let [a, b, c, d] =
                        [rows[group], rows[group + 1], rows[group + 2], rows[group + 3]];
                    let [ab, cd] = [_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d)];
                    fours[group] = _mm256_unpacklo_epi64(ab, cd);
                    fours[group + 1] = _mm256_unpackhi_epi64(ab, cd);
                    let [ab, cd] = [_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d)];
                    fours[group + 2] = _mm256_unpacklo_epi64(ab, cd);
                    fours[group + 3] = _mm256_unpackhi_epi64(ab, cd);
                }
                for w in 0..4 {
                    let [low, high] = [fours[w], fours[w + 4]];
                    words[first + w] = Self(_mm256_permute2x128_si256::<0x20>(low, high));
                    words[first + 4 + w] = Self(_mm256_permute2x128_si256::<0x31>(low, high));
                }
            }
            words
        }
    }

    #[inline(always)]
    fn store(self, words: &mut [u32]) {
        let words = &mut words[..8];
        // SAFETY: a value of this type proves AVX2, and there is room for 8 words.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), self.0) }
    }

    methods! {
        add(self, other) = _mm256_add_epi32;
        add_halves(self, other) = _mm256_add_epi16;
        xor(self, other) = _mm256_xor_si256;
        and(self, other) = _mm256_and_si256;
        rotate_right_16(self) = rotate_bytes::<2>;
        rotate_right_12(self) = rotate_bits::<12, 20>;
        rotate_right_8(self) = rotate_bytes::<1>;
        rotate_right_7(self) = rotate_bits::<7, 25>;
    }
}
