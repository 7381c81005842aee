//! Hashes of keys that nobody can choose to collide.
//!
//! Keys are multiplied with secret numbers that the system draws, one half of a key with the other.
//!
//! What it does *not* do: give the same hash in another run, or resist one who learns the secret.

use std::hash::{BuildHasher, RandomState};

use icecore_types::Pubkey;

use crate::spill::item::read_u64;

/// A hash of keys, another one each time that one is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyHash {
    secret: [u64; 6],
}

impl KeyHash {
    /// With a new secret.
    pub(crate) fn new() -> Self {
        let state = RandomState::new();
        Self { secret: std::array::from_fn(|number| state.hash_one(number)) }
    }

    /// The hash of a key; never zero.
    pub(crate) fn of(&self, key: &Pubkey) -> u64 {
        let word = |number: usize| read_u64(&key.0, 8 * number) ^ self.secret[number];
        let halves = [fold(word(0), word(1)), fold(word(2), word(3))];
        fold(halves[0] ^ self.secret[4], halves[1] ^ self.secret[5]).max(1)
    }
}

/// Both halves of a product, put together.
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    product as u64 ^ (product >> 64) as u64
}
