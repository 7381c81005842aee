//! T1, T2, Y1 to Y8, G1, K1: status cache, sysvars, and what is known from outside.

use icecore_archive::status_cache::StatusCache;
use icecore_restore::CheckId::*;
use icecore_types::{Hash, Pubkey, programs};

use super::says;
use crate::{
    case::{
        Case,
        From::{Full, Pair},
        Subject,
    },
    support::{field, genesis},
};

/// Adds 1 to the byte at `offset` of an account's data in the last archive, and makes everything
/// else agree.
fn change_data(subject: &mut Subject, pubkey: &Pubkey, offset: usize) {
    subject.forms.edit_record(pubkey, |record| {
        let byte = &mut record[field::DATA + offset];
        *byte = byte.wrapping_add(1);
    });
    subject.forms.rehash();
}

pub(super) const STATUS_AND_SYSVARS: &[Case] = &[
    Case {
        name: "T1: a slot that is not rooted",
        from: Full,
        edit: |subject| {
            subject.forms.full.edit_status_cache(|cache| {
                let slot = cache.slots.iter_mut().find(|slot| slot.slot == 22);
                slot.expect("a slot with transactions").is_root = false;
            });
            says(&["slot 22 is not rooted"])
        },
        fails: &[T1],
        warns: &[],
    },
    Case {
        name: "T1: a slot twice",
        from: Full,
        edit: |subject| {
            subject.forms.full.edit_status_cache(|cache| {
                let slot = cache.slots.iter().find(|slot| slot.slot == 22).cloned();
                cache.slots.push(slot.expect("a slot with transactions"));
            });
            says(&["slot 22 stands twice"])
        },
        fails: &[T1],
        warns: &[],
    },
    Case {
        name: "T1: bytes after the last entry",
        from: Full,
        edit: |subject| {
            let cache = subject.forms.full.member("snapshots/status_cache");
            cache.content.extend([0; 2]);
            says(&["6177"])
        },
        fails: &[T1],
        warns: &[],
    },
    Case {
        name: "T1: a slot to come",
        from: Full,
        edit: |subject| {
            subject.forms.full.edit_status_cache(|cache| {
                let mut slot = cache.slots[0].clone();
                slot.slot = 47;
                cache.slots.push(slot);
            });
            says(&["slot 47 is above the slot 46"])
        },
        // No history knows the future.
        fails: &[T1, T2],
        warns: &[],
    },
    Case {
        name: "T2: a slot is missing",
        from: Full,
        edit: |subject| {
            let cut = |cache: &mut StatusCache| {
                cache.slots.retain(|slot| slot.slot != 22);
            };
            subject.forms.full.edit_status_cache(cut);
            says(&["slot 22 is in the slot history and not cached"])
        },
        fails: &[T2],
        warns: &[],
    },
    Case {
        name: "Y1: another slot on the clock",
        from: Full,
        edit: |subject| {
            change_data(subject, &programs::SYSVAR_CLOCK, 0);
            says(&["slot: expected 47, found 46"])
        },
        fails: &[Y1],
        warns: &[],
    },
    Case {
        name: "Y1: another leader schedule epoch on the clock of a pair",
        from: Pair,
        edit: |subject| {
            change_data(subject, &programs::SYSVAR_CLOCK, 24);
            says(&["leader schedule epoch: expected 3, found 2"])
        },
        fails: &[Y1],
        warns: &[],
    },
    Case {
        name: "Y2: another epoch schedule",
        from: Full,
        edit: |subject| {
            change_data(subject, &programs::SYSVAR_EPOCH_SCHEDULE, 8);
            says(&["expected EpochSchedule {", "found EpochSchedule {"])
        },
        fails: &[Y2],
        warns: &[],
    },
    Case {
        name: "Y3: another rent",
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            full.edit_manifest(|manifest| {
                manifest.bank.scalars.rent_collector.rent.lamports_per_byte = 1;
            });
            says(&["expected (", "found (1, "])
        },
        fails: &[Y3],
        warns: &[],
    },
    Case {
        name: "Y4: another recent blockhash",
        from: Full,
        edit: |subject| {
            change_data(subject, &programs::SYSVAR_RECENT_BLOCKHASHES, 8);
            says(&["is not in the queue", "last blockhash: expected"])
        },
        fails: &[Y4],
        warns: &[],
    },
    Case {
        name: "Y5: another parent",
        from: Full,
        edit: |subject| {
            change_data(subject, &programs::SYSVAR_SLOT_HASHES, 16);
            says(&["parent bank hash: expected"])
        },
        fails: &[Y5],
        warns: &[],
    },
    Case {
        name: "Y6: another stake history",
        from: Full,
        edit: |subject| {
            change_data(subject, &programs::SYSVAR_STAKE_HISTORY, 16);
            says(&["expected (0, ", "found (0, "])
        },
        fails: &[Y6],
        warns: &[],
    },
    Case {
        name: "Y7: another newest slot",
        from: Full,
        edit: |subject| {
            change_data(subject, &programs::SYSVAR_SLOT_HISTORY, 131_097 - 8);
            says(&["newest slot: expected 47, found 46"])
        },
        fails: &[Y7],
        warns: &[],
    },
    Case {
        name: "Y8: a restart that was none",
        from: Full,
        edit: |subject| {
            change_data(subject, &programs::SYSVAR_LAST_RESTART_SLOT, 0);
            says(&["last hard fork: expected 1, found 0"])
        },
        fails: &[Y8],
        warns: &[],
    },
    Case {
        name: "G1: the genesis of another chain",
        from: Full,
        edit: |subject| {
            let mut genesis = genesis();
            genesis.creation_time += 1;
            subject.options.genesis = Some(genesis);
            says(&["creation time: expected"])
        },
        fails: &[G1],
        warns: &[],
    },
    Case {
        name: "G1: another genesis hash",
        from: Full,
        edit: |subject| {
            subject.options.genesis = Some(genesis());
            subject.options.expected.genesis_hash = Some(Hash([7; 32]));
            says(&[&format!("genesis hash: expected {}", Hash([7; 32]))])
        },
        fails: &[G1],
        warns: &[],
    },
    Case {
        name: "K1: another bank hash expected",
        from: Full,
        edit: |subject| {
            subject.options.expected.bank_hash = Some(Hash([7; 32]));
            let found = "8UYXTfRpVJt8FbpbuK2zhNg7MkhM8fDNmDhSxhMstgve";
            says(&[&format!("bank hash: expected {}, found {found}", Hash([7; 32]))])
        },
        fails: &[K1],
        warns: &[],
    },
    Case {
        name: "K1: another slot and capitalization expected of a pair",
        from: Pair,
        edit: |subject| {
            subject.options.expected.slot = Some(46);
            subject.options.expected.capitalization = Some(1);
            says(&["slot: expected 46, found 62", "capitalization: expected 1, found"])
        },
        fails: &[K1],
        warns: &[],
    },
];
