//! Base58 of byte strings that are not 32 bytes long.
//!
//! Long division by 58, quadratic in the length: for keys, not for data.

use std::fmt;

use crate::vote::BLS_PUBKEY_BYTES;

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Digits that any key needs at most: a digit holds more than 5.8 bits.
const DIGITS_MAX: usize = BLS_PUBKEY_BYTES * 8 * 10 / 58 + 1;

/// A BLS key shown in base58.
pub(super) struct Base58<'a>(pub(super) &'a [u8; BLS_PUBKEY_BYTES]);

impl fmt::Display for Base58<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Digits of the number, least significant first, of which `used` count.
        let mut digits = [0u8; DIGITS_MAX];
        let mut used = 0;
        for byte in self.0 {
            let mut carry = u32::from(*byte);
            let mut at = 0;
            while at < used || carry > 0 {
                carry += u32::from(digits[at]) << 8;
                digits[at] = u8::try_from(carry % 58).expect("below 58");
                carry /= 58;
                at += 1;
            }
            used = at;
        }
        let zeros = self.0.iter().take_while(|byte| **byte == 0).map(|_| &0);
        for digit in zeros.chain(digits[..used].iter().rev()) {
            fmt::Write::write_char(f, ALPHABET[usize::from(*digit)].into())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use icecore_types::Pubkey;

    use super::*;

    #[test]
    fn leading_zeros_are_ones_and_the_rest_is_the_number() {
        assert_eq!(Base58(&[0; 48]).to_string(), "1".repeat(48));
        let mut key = [0; 48];
        key[16..].fill(0xab);
        let expected = "1".repeat(16) + &Pubkey([0xab; 32]).to_string();
        assert_eq!(Base58(&key).to_string(), expected);
    }

    #[test]
    fn the_largest_key_fits() {
        let text = Base58(&[0xff; 48]).to_string();
        // 2^384 - 1 is put together again from its digits, modulo a prime.
        let modulus = 1_000_000_007u64;
        let value = text.bytes().fold(0, |value, character| {
            let digit = ALPHABET.iter().position(|known| *known == character);
            (value * 58 + digit.expect("base58") as u64) % modulus
        });
        let expected = (0..384).fold(1, |power, _| power * 2 % modulus) - 1;
        assert_eq!(value, expected);
    }
}
