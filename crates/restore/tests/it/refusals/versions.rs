//! Which version of an account counts, closed accounts, and a pair's storages.

use icecore_restore::CheckId::*;

use super::{
    Case,
    Reference::{Accepts, Refuses},
    edits::{closed, everything_in, into_slot, one_of_slot, without_tombstones},
};
use crate::{
    case::From::{Full, Pair},
    support::{append, field, records},
};

pub(super) const VERSIONS: &[Case] = &[
    Case {
        name: "no-tombstones",
        reference: Accepts,
        from: Full,
        edit: |subject| without_tombstones(&mut subject.forms.full),
        fails: &[],
        warns: &[M12],
        why: "the lengths of the storages are no longer the listed ones",
    },
    Case {
        name: "older-duplicate-in-lower-slot",
        reference: Accepts,
        from: Full,
        edit: |subject| {
            let mut older = one_of_slot(&subject.forms.full, 22);
            older[field::LAMPORTS].copy_from_slice(&5u64.to_le_bytes());
            into_slot(&mut subject.forms.full, 4, &older);
        },
        fails: &[],
        warns: &[M12],
        why: "the length of the storage is no longer the listed one",
    },
    Case {
        name: "zero-lamport-in-lower-slot",
        reference: Accepts,
        from: Full,
        edit: |subject| {
            let closed = closed(&one_of_slot(&subject.forms.full, 22));
            into_slot(&mut subject.forms.full, 4, &closed);
        },
        fails: &[],
        warns: &[M12],
        why: "the length of the storage is no longer the listed one",
    },
    Case {
        name: "zero-lamport-in-higher-slot",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let closed = closed(&one_of_slot(&subject.forms.full, 22));
            into_slot(&mut subject.forms.full, 45, &closed);
        },
        fails: &[S1, S2],
        warns: &[M12],
        why: "",
    },
    Case {
        name: "same-record-in-higher-slot",
        reference: Accepts,
        from: Full,
        edit: |subject| {
            let same = one_of_slot(&subject.forms.full, 22);
            into_slot(&mut subject.forms.full, 45, &same);
        },
        fails: &[],
        warns: &[M12],
        why: "the length of the storage is no longer the listed one",
    },
    Case {
        name: "same-key-twice-in-one-storage-identical",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let same = one_of_slot(&subject.forms.full, 22);
            into_slot(&mut subject.forms.full, 22, &same);
        },
        fails: &[A2],
        warns: &[M12],
        why: "",
    },
    Case {
        name: "same-key-twice-in-one-storage-older-first",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            let mut older = one_of_slot(full, 22);
            older[field::LAMPORTS].copy_from_slice(&5u64.to_le_bytes());
            let storage = full.storage_of(22);
            let newer = std::mem::take(&mut full.member(&storage).content);
            append(&mut full.member(&storage).content, &older);
            append(&mut full.member(&storage).content, &newer);
        },
        fails: &[A2],
        warns: &[M12],
        why: "",
    },
    Case {
        name: "zero-lamport-not-default",
        reference: Accepts,
        from: Full,
        edit: |subject| {
            let mut closed = closed(&one_of_slot(&subject.forms.full, 22));
            closed[field::PUBKEY].copy_from_slice(&[7; 32]);
            closed[field::DATA_LEN].copy_from_slice(&16u64.to_le_bytes());
            closed.extend([7; 16]);
            into_slot(&mut subject.forms.full, 4, &closed);
        },
        fails: &[],
        warns: &[M12],
        why: "the length of the storage is no longer the listed one",
    },
    Case {
        name: "inc-with-storage-of-full-slot",
        reference: Accepts,
        from: Pair,
        edit: |subject| {
            let storage = subject.forms.full.storage_of(22);
            let same = subject.forms.full.member(&storage).clone();
            subject.forms.above().members.push(same);
        },
        fails: &[],
        warns: &[M3, M12],
        why: "it replaces the full archive's whole storage without a word",
    },
    Case {
        name: "inc-with-storage-of-full-slot-fewer-rows",
        reference: Refuses,
        from: Pair,
        edit: |subject| {
            let storage = subject.forms.full.storage_of(22);
            let mut fewer = subject.forms.full.member(&storage).clone();
            let all = records(&subject.forms.full);
            let second = all.iter().filter(|at| at.slot == 22).nth(1).expect("several records");
            fewer.content.truncate(second.range.start);
            subject.forms.above().members.push(fewer);
        },
        fails: &[S1, S2],
        warns: &[M3, M12],
        why: "",
    },
    Case {
        name: "all-tombstones-removed-from-full",
        reference: Accepts,
        from: Pair,
        edit: |subject| {
            without_tombstones(&mut subject.forms.full);
            subject.forms.full.relist();
        },
        fails: &[],
        warns: &[],
        why: "",
    },
    Case {
        name: "all-tombstones-removed-from-inc",
        reference: Refuses,
        from: Pair,
        edit: |subject| without_tombstones(subject.forms.above()),
        fails: &[S1, S2],
        warns: &[M12],
        why: "",
    },
    Case {
        name: "one-storage-holding-everything_slot_46",
        reference: Accepts,
        from: Full,
        edit: |subject| everything_in(&mut subject.forms.full, 46),
        fails: &[],
        warns: &[M12],
        why: "the storages are not the listed ones",
    },
    Case {
        name: "one-storage-holding-everything_slot_1",
        reference: Accepts,
        from: Full,
        edit: |subject| everything_in(&mut subject.forms.full, 1),
        fails: &[],
        warns: &[M12],
        why: "the storages are not the listed ones",
    },
];
