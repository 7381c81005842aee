//! The AVX-512 vector: 16 lanes.

use std::arch::x86_64::*;

use super::{
    group::{ChainingValues, Chunks, GROUP, LaneSums, RootNodes},
    input::Block,
    vector::Vector,
    wide::{self, entry_points},
};

/// 16 words. Exists only where the CPU has AVX-512 F and BW.
#[derive(Clone, Copy)]
struct Avx512(__m512i);

entry_points!(Avx512, #[target_feature(enable = "avx512f,avx512bw")]);

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

impl Vector for Avx512 {
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        // SAFETY: the caller's CPU has the features.
        Self(unsafe { _mm512_set1_epi32(word as i32) })
    }

    #[inline(always)]
    unsafe fn load(words: &[u32]) -> Self {
        let words = &words[..16];
        // SAFETY: the caller's CPU has the features, and 16 words are there.
        Self(unsafe { _mm512_loadu_si512(words.as_ptr().cast()) })
    }

    /// Transposes 16 rows of 16 words: pairs of words, then of pairs, then quarters of vectors.
    #[inline(always)]
    unsafe fn load_blocks(blocks: &[Block], stride: usize) -> [Self; 16] {
        // SAFETY: the caller's CPU has the features; a block is 64 bytes, aligned to 64.
        unsafe {
            let zero = _mm512_setzero_si512();
            let mut rows = [zero; 16];
            for (lane, row) in rows.iter_mut().enumerate() {
                *row = _mm512_load_si512(blocks[lane * stride].0.as_ptr().cast());
            }
            // fours[4g + w] holds in its quarter q word 4q + w of the lanes 4g to 4g + 3.
            let mut fours = [zero; 16];
            for group in [0, 4, 8, 12] {
                let [a, b, c, d] = [rows[group], rows[group + 1], rows[group + 2], rows[group + 3]];
                let [ab, cd] = [_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d)];
                fours[group] = _mm512_unpacklo_epi64(ab, cd);
                fours[group + 1] = _mm512_unpackhi_epi64(ab, cd);
                let [ab, cd] = [_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d)];
                fours[group + 2] = _mm512_unpacklo_epi64(ab, cd);
                fours[group + 3] = _mm512_unpackhi_epi64(ab, cd);
            }
            let mut words = [Self(zero); 16];
            for w in 0..4 {
                let [a, b, c, d] = [fours[w], fours[w + 4], fours[w + 8], fours[w + 12]];
                // Even quarters of the lanes 0 to 7 and of 8 to 15, then the odd ones.
                let [ab, cd] =
                    [_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(c, d)];
                words[w] = Self(_mm512_shuffle_i32x4::<0x88>(ab, cd));
                words[w + 8] = Self(_mm512_shuffle_i32x4::<0xdd>(ab, cd));
                let [ab, cd] =
                    [_mm512_shuffle_i32x4::<0xdd>(a, b), _mm512_shuffle_i32x4::<0xdd>(c, d)];
                words[w + 4] = Self(_mm512_shuffle_i32x4::<0x88>(ab, cd));
                words[w + 12] = Self(_mm512_shuffle_i32x4::<0xdd>(ab, cd));
            }
            words
        }
    }

    #[inline(always)]
    fn store(self, words: &mut [u32]) {
        let words = &mut words[..16];
        // SAFETY: a value of this type proves the features, and there is room for 16 words.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), self.0) }
    }

    methods! {
        add(self, other) = _mm512_add_epi32;
        add_halves(self, other) = _mm512_add_epi16;
        xor(self, other) = _mm512_xor_si512;
        and(self, other) = _mm512_and_si512;
        rotate_right_16(self) = _mm512_ror_epi32::<16>;
        rotate_right_12(self) = _mm512_ror_epi32::<12>;
        rotate_right_8(self) = _mm512_ror_epi32::<8>;
        rotate_right_7(self) = _mm512_ror_epi32::<7>;
    }
}
