//! Records, and storages as files.

use icecore_restore::CheckId::*;

use super::{
    Case,
    Reference::{Accepts, Refuses},
    edits::{add, change, plain, remove, tombstone, trailing_zeros},
};
use crate::{case::From::Full, support::field};

pub(super) const STORAGES: &[Case] = &[
    Case {
        name: "data-byte-flipped",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            let at = plain(full);
            at.bytes_mut(full)[field::DATA] ^= 1;
        },
        fails: &[S2],
        warns: &[],
        why: "",
    },
    Case {
        name: "lamports-plus-1",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            let at = plain(full);
            let lamports = &mut at.bytes_mut(full)[field::LAMPORTS];
            let more = u64::from_le_bytes(lamports.try_into().expect("8 bytes")) + 1;
            lamports.copy_from_slice(&more.to_le_bytes());
        },
        fails: &[S1, S2],
        warns: &[],
        why: "",
    },
    Case {
        name: "rent_epoch-changed",
        reference: Accepts,
        from: Full,
        edit: |subject| change(&mut subject.forms.full, field::RENT_EPOCH.start),
        fails: &[],
        warns: &[],
        why: "",
    },
    Case {
        name: "stored-hash-changed",
        reference: Accepts,
        from: Full,
        edit: |subject| change(&mut subject.forms.full, field::HASH.start),
        fails: &[],
        warns: &[],
        why: "",
    },
    Case {
        name: "write_version-changed",
        reference: Accepts,
        from: Full,
        edit: |subject| change(&mut subject.forms.full, field::WRITE_VERSION.start),
        fails: &[],
        warns: &[],
        why: "",
    },
    Case {
        name: "executable-byte-2",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            let at = plain(full);
            at.bytes_mut(full)[field::EXECUTABLE] = 2;
        },
        // Of an account that was not executable, so that its hash changes, too.
        fails: &[A1, S2],
        warns: &[],
        why: "",
    },
    Case {
        name: "data_len-huge",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            let at = plain(full);
            at.bytes_mut(full)[field::DATA_LEN].fill(0xff);
        },
        fails: &[A1, S1, S2],
        warns: &[],
        why: "",
    },
    Case {
        name: "data_len-11MiB",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            let at = plain(full);
            let bytes = (11u64 << 20).to_le_bytes();
            at.bytes_mut(full)[field::DATA_LEN].copy_from_slice(&bytes);
        },
        fails: &[A1, S1, S2],
        warns: &[],
        why: "",
    },
    Case {
        name: "storage-truncated-1-byte",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            let storage = full.storage_of(22);
            full.member(&storage).content.pop();
        },
        fails: &[A1, S1, S2],
        warns: &[M12],
        why: "",
    },
    Case {
        name: "storage-empty-file",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            let storage = full.storage_of(22);
            full.member(&storage).content.clear();
        },
        fails: &[A1, S1, S2],
        warns: &[M12],
        why: "",
    },
    Case {
        name: "storage-missing",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let storage = subject.forms.full.storage_of(22);
            remove(&mut subject.forms.full, &storage);
        },
        fails: &[S1, S2],
        warns: &[M12],
        why: "",
    },
    Case {
        name: "storage-trailing-8-zero-bytes",
        reference: Accepts,
        from: Full,
        edit: |subject| trailing_zeros(&mut subject.forms.full, 8),
        fails: &[],
        warns: &[M12],
        why: "clients before 4.2 refuse it: the length is not the listed one",
    },
    Case {
        name: "storage-trailing-200-zero-bytes",
        reference: Accepts,
        from: Full,
        edit: |subject| trailing_zeros(&mut subject.forms.full, 200),
        fails: &[],
        warns: &[M12],
        why: "clients before 4.2 refuse it: the length is not the listed one",
    },
    Case {
        name: "storage-extra-slot-not-in-manifest",
        reference: Accepts,
        from: Full,
        edit: |subject| add(&mut subject.forms.full, "accounts/26.900", &tombstone()),
        fails: &[],
        warns: &[M12],
        why: "2.3 aborts on it: the storage is not listed",
    },
    Case {
        name: "storage-same-slot-twice",
        reference: Refuses,
        from: Full,
        edit: |subject| add(&mut subject.forms.full, "accounts/22.900", &tombstone()),
        fails: &[C5],
        warns: &[M12],
        why: "",
    },
    Case {
        name: "storage-renamed-id",
        reference: Accepts,
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            let storage = full.storage_of(22);
            full.member(&storage).path = "accounts/22.900".to_string();
        },
        fails: &[],
        warns: &[M12],
        why: "2.3 aborts on it: the id is not the listed one",
    },
    Case {
        name: "storage-slot-above-snapshot-slot",
        reference: Accepts,
        from: Full,
        edit: |subject| add(&mut subject.forms.full, "accounts/50.900", &tombstone()),
        fails: &[],
        warns: &[M12, A3],
        why: "an account version cannot have been written after the snapshot",
    },
];
