//! Manifest and status cache.

use icecore_restore::CheckId::*;
use icecore_types::{Hash, Pubkey};

use super::{
    Case,
    Reference::{Accepts, Refuses},
    edits::remove,
};
use crate::case::From::Full;

pub(super) const MANIFEST: &[Case] = &[
    Case {
        name: "manifest-list-len-wrong",
        reference: Accepts,
        from: Full,
        edit: |subject| {
            subject.forms.full.edit_manifest(|manifest| {
                manifest.accounts_db.storages[0].1[0].accounts_current_len += 8;
            });
        },
        fails: &[],
        warns: &[M12],
        why: "clients before 4.2 refuse it",
    },
    Case {
        name: "manifest-trailing-bytes",
        reference: Accepts,
        from: Full,
        edit: |subject| subject.forms.full.manifest_bytes().content.extend([7; 8]),
        fails: &[],
        warns: &[M1],
        why: "fields of a client that is not known yet, or damage",
    },
    Case {
        name: "manifest-truncated-block_id",
        reference: Accepts,
        from: Full,
        edit: |subject| {
            let manifest = &mut subject.forms.full.manifest_bytes().content;
            let block_id = 1 + 32;
            manifest.truncate(manifest.len() - block_id);
        },
        fails: &[],
        warns: &[],
        why: "",
    },
    Case {
        name: "manifest-truncated-in-block_id",
        reference: Accepts,
        from: Full,
        edit: |subject| {
            subject.forms.full.manifest_bytes().content.pop();
        },
        fails: &[M1],
        warns: &[],
        why: "no client ends a manifest within a field: it was cut",
    },
    Case {
        name: "manifest-truncated-in-lt_hash",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let manifest = &mut subject.forms.full.manifest_bytes().content;
            manifest.truncate(manifest.len() - 1000);
        },
        fails: &[M1],
        warns: &[],
        why: "",
    },
    Case {
        name: "manifest-no-lt_hash",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            full.edit_manifest(|manifest| manifest.extra.accounts_lt_hash = None);
        },
        // It states neither a lattice hash nor a Merkle one.
        fails: &[M4, M5, S2],
        warns: &[],
        why: "",
    },
    Case {
        name: "manifest-capitalization+1",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            full.edit_manifest(|manifest| manifest.bank.scalars.capitalization += 1);
        },
        fails: &[S1],
        warns: &[],
        why: "",
    },
    Case {
        name: "manifest-lt_hash-changed",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            subject.forms.full.edit_manifest(|manifest| {
                let lattice = manifest.extra.accounts_lt_hash.as_mut().expect("stated");
                lattice.lanes[0] ^= 1;
            });
        },
        fails: &[M4, M5, S2],
        warns: &[],
        why: "",
    },
    Case {
        name: "manifest-bank_hash-changed",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            full.edit_manifest(|manifest| manifest.bank.hashes.hash = Hash([7; 32]));
        },
        fails: &[M5],
        warns: &[],
        why: "",
    },
    Case {
        name: "manifest-leader-changed",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            full.edit_manifest(|manifest| manifest.bank.scalars.leader_id = Pubkey([7; 32]));
        },
        fails: &[M7],
        warns: &[],
        why: "",
    },
    Case {
        name: "manifest-missing",
        reference: Refuses,
        from: Full,
        edit: |subject| remove(&mut subject.forms.full, "snapshots/46/46"),
        fails: &[C5],
        warns: &[],
        why: "",
    },
    Case {
        name: "status_cache-missing",
        reference: Refuses,
        from: Full,
        edit: |subject| remove(&mut subject.forms.full, "snapshots/status_cache"),
        fails: &[C5],
        warns: &[],
        why: "",
    },
    Case {
        name: "status_cache-trailing",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            subject.forms.full.member("snapshots/status_cache").content.extend([0; 2]);
        },
        fails: &[T1],
        warns: &[],
        why: "",
    },
    Case {
        name: "status_cache-empty-vec",
        reference: Refuses,
        from: Full,
        edit: |subject| subject.forms.full.edit_status_cache(|cache| cache.slots.clear()),
        fails: &[T2],
        warns: &[],
        why: "",
    },
];
