//! M7, M8, M11: leader, epoch stakes, stakes cache.

use icecore_restore::CheckId::*;
use icecore_types::Pubkey;

use super::says;
use crate::{
    case::{Case, From::Full},
    support::record,
};

pub(super) const STAKES: &[Case] = &[
    Case {
        name: "M7: another leader",
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            full.edit_manifest(|manifest| manifest.bank.scalars.leader_id = Pubkey([7; 32]));
            let leader = "ASCnFkJpJRPgxYWbWs5TtfL2RKopCYeoZtKMwomovvwc";
            says(&[&format!("leader: expected {leader}, found {}", Pubkey([7; 32]))])
        },
        fails: &[M7],
        warns: &[],
    },
    Case {
        name: "M8: a node with too much stake",
        from: Full,
        edit: |subject| {
            subject.forms.full.edit_manifest(|manifest| {
                let (_, stakes) = &mut manifest.extra.versioned_epoch_stakes[0];
                stakes.node_id_to_vote_accounts[0].1.total_stake += 1;
            });
            says(&[": stake of node "])
        },
        fails: &[M8],
        warns: &[],
    },
    Case {
        name: "M8: another authorized voter",
        from: Full,
        edit: |subject| {
            subject.forms.full.edit_manifest(|manifest| {
                let (_, stakes) = &mut manifest.extra.versioned_epoch_stakes[0];
                stakes.epoch_authorized_voters[0].1 = Pubkey([7; 32]);
            });
            says(&[": authorized voter of "])
        },
        fails: &[M8],
        warns: &[],
    },
    Case {
        name: "M8: no stakes for the next epoch",
        from: Full,
        edit: |subject| {
            subject.forms.full.edit_manifest(|manifest| {
                manifest.extra.versioned_epoch_stakes.retain(|(epoch, _)| *epoch != 2);
            });
            says(&["no stakes for epoch 2 (1 to 2 are needed)"])
        },
        fails: &[M8],
        warns: &[],
    },
    Case {
        name: "M8: stakes for an epoch to come",
        from: Full,
        edit: |subject| {
            subject.forms.full.edit_manifest(|manifest| {
                let stakes = manifest.extra.versioned_epoch_stakes[0].1.clone();
                manifest.extra.versioned_epoch_stakes.push((3, stakes));
            });
            says(&["stakes for epoch 3, above 2"])
        },
        fails: &[M8],
        warns: &[],
    },
    Case {
        name: "M11: another delegation",
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            let key = full.manifest().bank.stakes.stake_delegations[0].0;
            full.edit_manifest(|manifest| {
                manifest.bank.stakes.stake_delegations[0].1.deactivation_epoch = 9;
            });
            let place = record(full, &key).place(full);
            says(&[&format!("{place}: expected the cached delegation, found another delegation")])
        },
        fails: &[M11],
        warns: &[],
    },
    Case {
        name: "M11: another vote account",
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            let key = full.manifest().bank.stakes.vote_accounts[0].0;
            full.edit_manifest(|manifest| {
                manifest.bank.stakes.vote_accounts[0].1.account.lamports += 1;
            });
            let place = record(full, &key).place(full);
            says(&[&format!("{place}: expected the cached vote account, found another content")])
        },
        fails: &[M11],
        warns: &[],
    },
    Case {
        name: "M11: a delegation of nobody",
        from: Full,
        edit: |subject| {
            subject.forms.full.edit_manifest(|manifest| {
                manifest.bank.stakes.stake_delegations[0].0 = Pubkey([7; 32]);
            });
            let key = Pubkey([7; 32]);
            says(&[&format!("stake account {key} is cached and not among the accounts")])
        },
        fails: &[M11],
        warns: &[],
    },
];
