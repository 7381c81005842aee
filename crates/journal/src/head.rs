//! Heads: what a store's whole history comes to at one moment, and heads that are signed.
//!
//! A head names the store, how far it was, and one digest over all its frames. Whoever keeps a head
//! (or gets one from someone whose key is trusted) can check any event, receipt or later head
//! against it without the store (see `proof`).
//!
//! - The bytes of a head have fixed places; the signature covers them, with a context before them,
//!   so that it is good for nothing else.
//! - A signed head is one record of 256 bytes, so that a file of them is read by index. Its check
//!   value tells damage apart from forgery.
//! - Verification is strict: keys of small order and signatures with other forms are refused.
//!
//! What it does *not* do: make or keep keys, decide when to sign, or tell whose key it is.

use std::fmt;

use ed25519_dalek::{Signature, Signer, VerifyingKey};

use crate::{
    Malformed,
    digest::{Digest, StoreId, write_hex},
    format::fields::{array_at, digest_at, put, u16_at, u32_at, u64_at},
    proof::ProofError,
};

/// Bytes of a signed head.
pub const SIGNED_HEAD_BYTES: usize = 256;

const HEAD_MAGIC: [u8; 4] = *b"ICEH";
const FORMAT: u16 = 1;

// Places in the record; the table is in docs/formats/journal/proofs.md.
const CHECK: usize = 4;
const FORMAT_AT: usize = 8;
const ZERO_AFTER_FORMAT: usize = 10;
const STORE_ID: usize = 16;
const FRAME_COUNT: usize = 32;
const END_SEQUENCE: usize = 40;
const TIME: usize = 48;
const ZERO_AFTER_TIME: usize = 56;
const LAST: usize = 64;
const MOUNTAIN_ROOT: usize = 96;
const KEY_ID: usize = 128;
const ZERO_AFTER_KEY_ID: usize = 136;
const SIGNATURE: usize = 192;
const _: () = assert!(SIGNATURE + 64 == SIGNED_HEAD_BYTES);

/// What stands before the signed bytes.
const CONTEXT: [u8; 32] = *b"icecore journal 1 head\0\0\0\0\0\0\0\0\0\0";
/// Signed bytes of the record: from its format up to the zeros before the signature.
const SIGNED_BYTES: usize = SIGNATURE - FORMAT_AT;

/// A store's history up to one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The store.
    pub store_id: StoreId,
    /// Frames so far.
    pub frame_count: u64,
    /// Every sequence below is in one of them.
    pub end_sequence: u64,
    /// When the head was taken, not before its last frame, in nanoseconds since 1970.
    pub time: u64,
    /// Digest of the last frame; what stands before frame 0 when there is none.
    pub last: Digest,
    /// Root of the mountain range over all frames.
    pub mountain_root: Digest,
}

/// Which key signed: the first 8 bytes of the BLAKE3 of the public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

/// An Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// The key with these bytes.
    ///
    /// # Errors
    /// [`ProofError::Key`] when they are no point of the curve, or one of small order, for which
    /// anyone can sign.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, ProofError> {
        match VerifyingKey::from_bytes(bytes) {
            Ok(key) if !key.is_weak() => Ok(Self(key)),
            _ => Err(ProofError::Key),
        }
    }

    /// The 32 bytes of the key.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// What signed heads name it by.
    pub fn id(&self) -> KeyId {
        KeyId(array_at(blake3::hash(self.0.as_bytes()).as_bytes(), 0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(self.0.as_bytes(), f)
    }
}

/// An Ed25519 secret key. It is wiped from memory when dropped, and never shown.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key with these secret bytes; any 32 are a key.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(secret))
    }

    /// The key that others verify with.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public_key().id())
    }
}

/// A head, and the signature of whoever vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedHead {
    /// What is signed.
    pub head: Head,
    /// The key that signed it.
    pub key_id: KeyId,
    signature: [u8; 64],
}

impl SignedHead {
    /// Signs a head.
    pub fn sign(head: Head, key: &SigningKey) -> Self {
        let mut signed = Self { head, key_id: key.public_key().id(), signature: [0; 64] };
        signed.signature = key.0.sign(&signed.message()).to_bytes();
        signed
    }

    /// Gives the head if the owner of the key signed it.
    ///
    /// # Errors
    /// [`ProofError::OtherKey`] when another key is named, [`ProofError::Signature`] when the
    /// signature is not that key's over this head.
    pub fn verify(&self, key: &PublicKey) -> Result<&Head, ProofError> {
        if self.key_id != key.id() {
            return Err(ProofError::OtherKey { named: self.key_id, given: key.id() });
        }
        let signature = Signature::from_bytes(&self.signature);
        let verified = key.0.verify_strict(&self.message(), &signature);
        verified.map(|()| &self.head).map_err(|_| ProofError::Signature)
    }

    /// The record; its table is in `docs/formats/journal/proofs.md`.
    pub fn encode(&self) -> [u8; SIGNED_HEAD_BYTES] {
        let mut bytes = [0; SIGNED_HEAD_BYTES];
        put(&mut bytes, 0, HEAD_MAGIC);
        put(&mut bytes, FORMAT_AT, FORMAT.to_le_bytes());
        put(&mut bytes, STORE_ID, self.head.store_id.0);
        put(&mut bytes, FRAME_COUNT, self.head.frame_count.to_le_bytes());
        put(&mut bytes, END_SEQUENCE, self.head.end_sequence.to_le_bytes());
        put(&mut bytes, TIME, self.head.time.to_le_bytes());
        put(&mut bytes, LAST, self.head.last.0);
        put(&mut bytes, MOUNTAIN_ROOT, self.head.mountain_root.0);
        put(&mut bytes, KEY_ID, self.key_id.0);
        put(&mut bytes, SIGNATURE, self.signature);
        let check = crc32fast::hash(&bytes[FORMAT_AT..]);
        put(&mut bytes, CHECK, check.to_le_bytes());
        bytes
    }

    /// Reads a record. The signature is not looked at: see [`SignedHead::verify`].
    ///
    /// # Errors
    /// When the bytes are damaged, or of a format that this version does not know.
    pub fn decode(bytes: &[u8; SIGNED_HEAD_BYTES]) -> Result<Self, Malformed> {
        let malformed = |at: usize, what| Malformed::new(at as u64, what);
        if bytes[..4] != HEAD_MAGIC {
            return Err(malformed(0, "no signed head begins here"));
        }
        if u32_at(bytes, CHECK) != crc32fast::hash(&bytes[FORMAT_AT..]) {
            return Err(malformed(CHECK, "a signed head does not check"));
        }
        if u16_at(bytes, FORMAT_AT) != FORMAT {
            return Err(malformed(FORMAT_AT, "a signed head has a format that is not known here"));
        }
        for zeros in
            [ZERO_AFTER_FORMAT..STORE_ID, ZERO_AFTER_TIME..LAST, ZERO_AFTER_KEY_ID..SIGNATURE]
        {
            if bytes[zeros.clone()].iter().any(|byte| *byte != 0) {
                return Err(malformed(zeros.start, "a signed head has bytes that must be zero"));
            }
        }
        let head = Head {
            store_id: StoreId(array_at(bytes, STORE_ID)),
            frame_count: u64_at(bytes, FRAME_COUNT),
            end_sequence: u64_at(bytes, END_SEQUENCE),
            time: u64_at(bytes, TIME),
            last: digest_at(bytes, LAST),
            mountain_root: digest_at(bytes, MOUNTAIN_ROOT),
        };
        let (key_id, signature) = (KeyId(array_at(bytes, KEY_ID)), array_at(bytes, SIGNATURE));
        Ok(Self { head, key_id, signature })
    }

    /// What the signature is over.
    fn message(&self) -> [u8; CONTEXT.len() + SIGNED_BYTES] {
        let mut message = [0; CONTEXT.len() + SIGNED_BYTES];
        put(&mut message, 0, CONTEXT);
        let record: [u8; SIGNED_BYTES] = array_at(&self.encode(), FORMAT_AT);
        put(&mut message, CONTEXT.len(), record);
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            store_id: StoreId([1; 16]),
            frame_count: 2,
            end_sequence: 3,
            time: 4,
            last: Digest([5; 32]),
            mountain_root: Digest([6; 32]),
        }
    }

    #[test]
    fn a_signed_head_survives_its_bytes_and_verifies() {
        let key = SigningKey::from_secret(&[9; 32]);
        let signed = SignedHead::sign(head(), &key);
        let again = SignedHead::decode(&signed.encode()).expect("just encoded");
        assert_eq!(again, signed);
        assert_eq!(again.verify(&key.public_key()), Ok(&head()));
        let public = PublicKey::from_bytes(&key.public_key().to_bytes());
        assert_eq!(public, Ok(key.public_key()));
    }

    #[test]
    fn a_signed_head_with_any_bit_flipped_fails_even_with_its_check_mended() {
        let key = SigningKey::from_secret(&[9; 32]);
        let bytes = SignedHead::sign(head(), &key).encode();
        for bit in 0..SIGNED_HEAD_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(SignedHead::decode(&flipped).is_err(), "bit {bit}");
            if bit / 8 >= FORMAT_AT {
                let check = crc32fast::hash(&flipped[FORMAT_AT..]);
                put(&mut flipped, CHECK, check.to_le_bytes());
                let verified = SignedHead::decode(&flipped)
                    .is_ok_and(|signed| signed.verify(&key.public_key()).is_ok());
                assert!(!verified, "bit {bit}");
            }
        }
    }

    #[test]
    fn another_key_is_named_in_the_error() {
        let (key, other) = (SigningKey::from_secret(&[9; 32]), SigningKey::from_secret(&[8; 32]));
        let signed = SignedHead::sign(head(), &key);
        let error = signed.verify(&other.public_key()).expect_err("another key");
        let (named, given) = (key.public_key().id(), other.public_key().id());
        assert_eq!(error, ProofError::OtherKey { named, given });
        let claimed = SignedHead { key_id: given, ..signed };
        assert_eq!(claimed.verify(&other.public_key()), Err(ProofError::Signature));
    }

    #[test]
    fn keys_for_which_anyone_can_sign_are_refused() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(PublicKey::from_bytes(&neutral), Err(ProofError::Key));
        assert_eq!(PublicKey::from_bytes(&[0; 32]), Err(ProofError::Key));
    }

    #[test]
    fn a_secret_key_is_not_shown() {
        let shown = format!("{:?}", SigningKey::from_secret(&[0x5a; 32]));
        assert!(!shown.contains("5a5a") && !shown.contains("90, 90"), "{shown}");
    }
}
