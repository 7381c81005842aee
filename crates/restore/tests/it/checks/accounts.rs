//! A1 to A3, S1, S2: account records, and what they sum up to.

use std::collections::BTreeSet;

use icecore_restore::CheckId::*;
use icecore_types::{AccountRef, Pubkey, RECORD_HEADER_BYTES, programs};

use super::says;
use crate::{
    case::{
        Case,
        From::{Full, Pair},
    },
    support::{Forms, Member, append, encode, field, records, seal},
};

pub(super) const ACCOUNTS: &[Case] = &[
    Case {
        name: "A1: an executable byte of 2",
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            let mut records = records(full).into_iter();
            let program = records.find(|at| at.bytes(full)[field::EXECUTABLE] == 1);
            let program = program.expect("an archive has programs");
            program.bytes_mut(full)[field::EXECUTABLE] = 2;
            let place = program.place(full);
            let archive = full.file_name("tar.zst");
            says(&[&format!("{archive}: {place}: expected executable 0 or 1, found 2")])
        },
        fails: &[A1],
        warns: &[],
    },
    Case {
        name: "A1: something behind the last record",
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            let storage = full.storage_of(22);
            append(&mut full.member(&storage).content, &[0, 0, 7]);
            subject.forms.rehash();
            says(&[
                "accounts/22.22: record",
                "at byte 3834: expected whole records, then zeros or nothing, found what follows the last record is not zero",
            ])
        },
        fails: &[A1],
        warns: &[],
    },
    Case {
        name: "A1: a storage without a byte",
        from: Full,
        edit: |subject| {
            subject.forms.full.members.push(Member::file("accounts/26.900", Vec::new()));
            subject.forms.rehash();
            says(&["accounts/26.900: record 0 at byte 0: expected", "the storage is empty"])
        },
        fails: &[A1],
        warns: &[],
    },
    Case {
        name: "A2: an account twice in a storage",
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            let all = records(full);
            let first = all.iter().find(|at| at.slot == 22).expect("the storage has records");
            let again = first.bytes(full).to_vec();
            let storage = full.storage_of(22);
            append(&mut full.member(&storage).content, &again);
            subject.forms.rehash();
            let full = &subject.forms.full;
            let all = records(full);
            let last = all.iter().rfind(|at| at.slot == 22).expect("just appended");
            let place = last.place(full);
            says(&[&format!(
                "{place}: expected each key once in a storage, found the key of record 0 again"
            )])
        },
        fails: &[A2],
        warns: &[],
    },
    Case {
        name: "A3: a storage of a later slot",
        from: Full,
        edit: |subject| {
            let [pubkey, owner] = [Pubkey([7; 32]), Pubkey::default()];
            let closed = encode(&AccountRef {
                pubkey: &pubkey,
                lamports: 0,
                owner: &owner,
                executable: false,
                rent_epoch: 0,
                data: &[],
            });
            assert_eq!(closed.len(), RECORD_HEADER_BYTES);
            subject.forms.full.members.push(Member::file("accounts/50.900", closed));
            subject.forms.rehash();
            says(&["accounts/50.900 is of a later slot"])
        },
        fails: &[],
        warns: &[A3],
    },
    Case {
        name: "S1: another capitalization",
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            full.edit_manifest(|manifest| manifest.bank.scalars.capitalization += 1);
            says(&["expected 400018209179083190, found 400018209179083189"])
        },
        fails: &[S1],
        warns: &[],
    },
    Case {
        name: "S2: another lattice hash, sealed",
        from: Full,
        edit: |subject| {
            subject.forms.full.edit_manifest(|manifest| {
                let lattice = manifest.extra.accounts_lt_hash.as_mut().expect("stated");
                lattice.lanes[1000] = lattice.lanes[1000].wrapping_add(1);
            });
            seal(&mut subject.forms.full);
            let stated = subject.forms.full.hash;
            let found = "2pRN9jNHGRLkRp4n6uySxy7KFY41E81qZenhu21ef2FZ";
            says(&[&format!("checksum of the lattice hash: expected {stated}, found {found}")])
        },
        fails: &[S2],
        warns: &[],
    },
    Case {
        name: "S2: another byte of data",
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            // Neither a sysvar nor anything that the manifest caches.
            let plain = records(full).into_iter().find(|at| {
                let bytes = at.bytes(full);
                let owner = &bytes[field::OWNER];
                let others = [programs::STAKE, programs::VOTE, programs::SYSVAR];
                bytes.len() > field::DATA && others.iter().all(|other| other.0 != *owner)
            });
            plain.expect("there are others").bytes_mut(full)[field::DATA] ^= 1;
            says(&["expected 2pRN9jNHGRLkRp4n6uySxy7KFY41E81qZenhu21ef2FZ, found"])
        },
        fails: &[S2],
        warns: &[],
    },
    Case {
        name: "S2: the pair's sum with an older account",
        from: Pair,
        edit: |subject| {
            // A closed account of the incremental archive that the full one has: without its
            // tombstone it lives on.
            let Forms { full, incremental } = &mut subject.forms;
            let incremental = incremental.as_mut().expect("a pair");
            let living: BTreeSet<_> = records(full)
                .into_iter()
                .filter(|at| at.bytes(full)[field::LAMPORTS] != [0; 8])
                .map(|at| at.pubkey)
                .collect();
            let closed = records(incremental).into_iter().find(|at| {
                at.bytes(incremental)[field::LAMPORTS] == [0; 8] && living.contains(&at.pubkey)
            });
            closed.expect("the set closes accounts").bytes_mut(incremental)[field::PUBKEY]
                .copy_from_slice(&[7; 32]);
            says(&["checksum of the lattice hash"])
        },
        // Lamports come back to life with it.
        fails: &[S1, S2],
        warns: &[],
    },
];
