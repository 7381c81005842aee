//! What must hold for any bytes that are taken for a proof, a receipt or a signed head; for
//! fuzzing.
//!
//! What it does *not* do: make bytes, or anything for users of the crate.

use crate::{
    digest::{Digest, StoreId},
    head::{Head, PublicKey, SignedHead},
    proof::{ConsistencyProof, EventProof, FrameProof},
    receipt::Receipt,
};

/// Proofs, receipts and signed heads: no panic, what decodes encodes to the same bytes, and nothing
/// verifies against a head that was not made from it.
pub fn journal_proof(bytes: &[u8]) {
    // Each proof states how many frames its head has; the head says the same, to get further.
    let head = |frame_count| Head {
        store_id: StoreId([7; 16]),
        frame_count,
        end_sequence: u64::MAX,
        time: u64::MAX,
        last: Digest([1; 32]),
        mountain_root: Digest([2; 32]),
    };
    if let Ok(proof) = EventProof::decode(bytes) {
        assert_eq!(proof.encode(), bytes);
        let record = bytes.get(160..).unwrap_or_default();
        assert!(proof.verify(record, &head(proof.frame_count())).is_err());
    }
    if let Ok(proof) = FrameProof::decode(bytes) {
        assert_eq!(proof.encode(), bytes);
        assert!(proof.verify(&head(proof.frame_count())).is_err());
    }
    if let Ok(proof) = ConsistencyProof::decode(bytes) {
        assert_eq!(proof.encode(), bytes);
        let (old, new) = (head(proof.old_frame_count()), head(proof.new_frame_count()));
        if old.frame_count != new.frame_count {
            assert!(proof.verify(&old, &new).is_err());
        }
    }
    if let Ok(receipt) = Receipt::decode(bytes) {
        assert_eq!(receipt.encode(), bytes);
        assert_eq!(receipt.sequences().count(), receipt.stream_versions.len());
    }
    if let Some(record) = bytes.first_chunk()
        && let Ok(signed) = SignedHead::decode(record)
    {
        assert_eq!(signed.encode(), *record);
        if let Some(key) = bytes.last_chunk()
            && let Ok(key) = PublicKey::from_bytes(key)
        {
            let is_vouched_for = signed.verify(&key).is_ok();
            assert!(!is_vouched_for || signed.key_id == key.id());
        }
    }
}
