//! M1 to M6, M9, M10, M12: the manifest in itself, against the name, and a pair's two.

use icecore_archive::manifest::{HardFork, Manifest};
use icecore_restore::CheckId::*;
use icecore_types::Hash;

use super::says;
use crate::case::{
    Case,
    From::{Full, Pair},
};

pub(super) const MANIFEST: &[Case] = &[
    Case {
        name: "M1: a cut manifest",
        from: Full,
        edit: |subject| {
            subject.forms.full.manifest_bytes().content.truncate(30_000);
            says(&["the manifest ends at byte 30000"])
        },
        fails: &[M1],
        warns: &[],
    },
    Case {
        name: "M1: a byte without meaning",
        from: Full,
        edit: |subject| {
            // The tag of the queue's last blockhash.
            subject.forms.full.manifest_bytes().content[8] = 2;
            says(&["manifest byte 8, in", "2 is not a valid"])
        },
        fails: &[M1],
        warns: &[],
    },
    Case {
        name: "M1: bytes after the last field",
        from: Full,
        edit: |subject| {
            subject.forms.full.manifest_bytes().content.extend([1; 9]);
            says(&["9 bytes after its last field"])
        },
        fails: &[],
        warns: &[M1],
    },
    Case {
        name: "M2: the accounts database is of another slot",
        from: Full,
        edit: |subject| {
            subject.forms.full.edit_manifest(|manifest| manifest.accounts_db.scalars.slot += 1);
            says(&["slot of the accounts database: expected 46, found 47"])
        },
        fails: &[M2],
        warns: &[],
    },
    Case {
        name: "M2: the name is of another slot",
        from: Full,
        edit: |subject| {
            subject.forms.full.slot = 47;
            says(&["slot of the bank: expected 47, found 46"])
        },
        // The manifest's folder is that of the name's slot, too.
        fails: &[C5, M2],
        warns: &[],
    },
    Case {
        name: "M3: a full archive of another chain",
        from: Pair,
        edit: |subject| {
            let edit = |manifest: &mut Manifest| {
                manifest.bank.scalars.genesis_creation_time += 1;
            };
            subject.forms.above().edit_manifest(edit);
            says(&["genesis creation time: expected"])
        },
        fails: &[M3],
        warns: &[],
    },
    Case {
        name: "M3: another base",
        from: Pair,
        edit: |subject| {
            subject.forms.above().base = Some(45);
            says(&["slot of the full archive: expected 45, found 46"])
        },
        fails: &[M3],
        warns: &[],
    },
    Case {
        name: "M3: a storage of the full archive again",
        from: Pair,
        edit: |subject| {
            let storage = subject.forms.full.storage_of(22);
            let member = subject.forms.full.member(&storage).clone();
            subject.forms.above().members.push(member);
            subject.forms.rehash();
            says(&["accounts/22.22 is not above the base"])
        },
        fails: &[],
        warns: &[M3],
    },
    Case {
        name: "M4: another hash in the name",
        from: Full,
        edit: |subject| {
            subject.forms.full.hash = Hash([7; 32]);
            let expected = "2pRN9jNHGRLkRp4n6uySxy7KFY41E81qZenhu21ef2FZ";
            says(&[&format!("hash in the name: expected {expected}, found {}", Hash([7; 32]))])
        },
        fails: &[M4],
        warns: &[],
    },
    Case {
        name: "M5: another bank hash",
        from: Full,
        edit: |subject| {
            let edit = |hash: Hash| {
                move |manifest: &mut Manifest| {
                    manifest.bank.hashes.hash = hash;
                }
            };
            subject.forms.full.edit_manifest(edit(Hash([7; 32])));
            says(&[&format!(
                "the manifest states {}, its parts give 8UYXTfRpVJt8FbpbuK2zhNg7MkhM8fDNmDhSxhMstgve",
                Hash([7; 32])
            )])
        },
        fails: &[M5],
        warns: &[],
    },
    Case {
        name: "M5: another count of signatures",
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            full.edit_manifest(|manifest| manifest.bank.scalars.signature_count += 1);
            says(&["the manifest states 8UYXTfRpVJt8FbpbuK2zhNg7MkhM8fDNmDhSxhMstgve"])
        },
        fails: &[M5],
        warns: &[],
    },
    Case {
        name: "M6: a tick is missing",
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            full.edit_manifest(|manifest| manifest.bank.scalars.tick_height -= 1);
            says(&["tick_height: expected 3008, found 3007"])
        },
        fails: &[M6],
        warns: &[],
    },
    Case {
        name: "M6: a wrong epoch",
        from: Full,
        edit: |subject| {
            subject.forms.full.edit_manifest(|manifest| manifest.bank.scalars.epoch = 5);
            says(&["epoch: expected 1, found 5"])
        },
        fails: &[M6],
        warns: &[],
    },
    Case {
        name: "M9: an index twice",
        from: Full,
        edit: |subject| {
            subject.forms.full.edit_manifest(|manifest| {
                let hashes = &mut manifest.bank.blockhash_queue.hashes;
                let oldest = hashes.iter_mut().min_by_key(|(_, info)| info.hash_index);
                oldest.expect("a queue").1.hash_index += 1;
            });
            says(&["index 1 is followed by 1"])
        },
        fails: &[M9],
        warns: &[],
    },
    Case {
        name: "M9: another age",
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            full.edit_manifest(|manifest| manifest.bank.blockhash_queue.max_age = 301);
            says(&["max_age is 301, not 300"])
        },
        fails: &[],
        warns: &[M9],
    },
    Case {
        name: "M10: a hard fork to come",
        from: Full,
        edit: |subject| {
            let fork = HardFork { slot: 50, count: 1 };
            subject.forms.full.edit_manifest(|manifest| manifest.bank.hard_forks.push(fork));
            says(&["fork at 50, above the slot 46"])
        },
        fails: &[M10],
        warns: &[],
    },
    Case {
        name: "M12: another id",
        from: Full,
        edit: |subject| {
            subject.forms.full.edit_manifest(|manifest| {
                let storages = &mut manifest.accounts_db.storages;
                let own = storages.iter_mut().find(|(slot, _)| *slot == 22);
                own.expect("it is listed").1[0].id = 900;
            });
            says(&["accounts/22.22 is listed with id 900"])
        },
        fails: &[],
        warns: &[M12],
    },
    Case {
        name: "M12: another length",
        from: Full,
        edit: |subject| {
            subject.forms.full.edit_manifest(|manifest| {
                let storages = &mut manifest.accounts_db.storages;
                let own = storages.iter_mut().find(|(slot, _)| *slot == 22);
                own.expect("it is listed").1[0].accounts_current_len += 8;
            });
            says(&["accounts/22.22 has 3829 bytes, 3837 are listed"])
        },
        fails: &[],
        warns: &[M12],
    },
];
