//! How much data accounts hold: the distribution on mainnet, about a billion accounts with 308
//! bytes each on average, as Firedancer's `bench_accdb.c` states it: for every size up to a power
//! of two how many accounts of a thousand, and how many bytes they hold on average.
//!
//! The tail beyond 1 KiB, which holds half of all bytes, is not stated but for its share; here it
//! falls with the inverse of the size up to the 10 MiB that an account may hold, which gives the
//! average that is stated.

use icecore_types::DATA_BYTES_MAX;

use super::random::Random;

/// Bytes of a token account: two thirds of all accounts.
pub(super) const TOKEN_ACCOUNT_BYTES: u64 = 165;

/// Accounts of a thousand, and the shortest and longest data; evenly spread in between, around the
/// average stated.
const CLASSES: [(u64, u64, u64); 12] = [
    (76, 0, 0),
    (33, 1, 1),
    (5, 2, 2),
    (4, 4, 4),
    (2, 8, 8),
    (8, 9, 15),
    (31, 17, 27),
    (27, 38, 64),
    (113, 65, 111),
    (653, TOKEN_ACCOUNT_BYTES, TOKEN_ACCOUNT_BYTES),
    (20, 257, 437),
    (14, 513, 763),
];

/// The shortest data of the tail, so that the average of all accounts is 308 bytes.
const TAIL_BYTES_MIN: u64 = 1_365;

/// Draws the size of an account's data.
pub(super) fn draw(random: &mut Random) -> u64 {
    let mut rank = random.below(1000);
    for (share, shortest, longest) in CLASSES {
        if rank < share {
            return shortest + random.below(longest - shortest + 1);
        }
        rank -= share;
    }
    // Sizes above a bound are as rare as the bound is large: size = least / (1 - u), where u goes
    // so far that the largest size is reached.
    let limit = 1 << 32;
    let reach = limit - limit * TAIL_BYTES_MIN / DATA_BYTES_MAX;
    TAIL_BYTES_MIN * limit / (limit - random.below(reach))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_averages_that_are_stated_of_mainnet() {
        let mut random = Random::new([1, 2, 3]);
        let sizes: Vec<_> = (0..2_000_000).map(|_| draw(&mut random)).collect();
        let average = sizes.iter().sum::<u64>() / sizes.len() as u64;
        assert!((270..350).contains(&average), "{average}");
        let share =
            |most: u64| sizes.iter().filter(|size| **size <= most).count() * 1000 / sizes.len();
        assert!((945..960).contains(&share(256)), "{}", share(256));
        assert!((983..989).contains(&share(1024)), "{}", share(1024));
        assert!(sizes.iter().all(|size| *size <= DATA_BYTES_MAX));
        assert!(sizes.iter().any(|size| *size > 1 << 20), "the tail is long");
    }
}
