//! M7, M8, M11: leader, epoch stakes, stakes cache.

use std::collections::{BTreeMap, BTreeSet};

use icecore_hash::{StakedVoteAccount, slot_leader};
use icecore_types::{Epoch, Pubkey};

use super::{State, Subject};
use crate::{
    account_facts::{ByKey, Content, Fact},
    check_id::CheckId,
    findings::Findings,
    manifest_facts::{EpochStakes, ManifestFacts},
    spill::SpillError,
};

/// # Errors
/// When what was spilled cannot be read.
pub(super) fn check(
    subject: &Subject<'_>,
    manifest: &ManifestFacts,
    findings: &mut Findings,
) -> Result<(), SpillError> {
    leader(manifest, findings);
    epoch_stakes(manifest, findings);
    match subject.state {
        Ok(state) => cache(subject, manifest, state, findings),
        Err(reason) => {
            findings.skip(CheckId::M11, reason);
            Ok(())
        }
    }
}

/// M7.
fn leader(manifest: &ManifestFacts, findings: &mut Findings) {
    let id = CheckId::M7;
    let bank = &manifest.bank;
    let epoch = bank.epoch_schedule.epoch_of(bank.slot);
    let Some(stakes) = manifest.epoch_stakes.get(&epoch) else {
        return findings.warn(id, format!("no stakes for epoch {epoch}"));
    };
    let accounts: Vec<_> = stakes
        .votes
        .iter()
        .filter_map(|vote| {
            Some(StakedVoteAccount { vote: vote.vote, node: vote.node?, stake: vote.stake })
        })
        .collect();
    let first_slot = bank.epoch_schedule.first_slot(epoch);
    match slot_leader(epoch, first_slot, bank.slot, &accounts) {
        Some(leader) => {
            if findings.equal(id, "leader", leader, bank.leader_id) {
                findings.note(id, leader.to_string());
            }
        }
        None => findings.warn(
            id,
            format!(
                "no staked vote account in epoch {epoch}: the reference client refuses to boot"
            ),
        ),
    }
}

/// M8.
fn epoch_stakes(manifest: &ManifestFacts, findings: &mut Findings) {
    let id = CheckId::M8;
    let bank = &manifest.bank;
    let first = bank.epoch_schedule.epoch_of(bank.slot);
    let last = bank.epoch_schedule.leader_schedule_epoch(bank.slot);
    // The schedule may be hostile: never walk more epochs than stakes are kept for.
    for epoch in (first..=last).take(manifest.epoch_stakes.len() + 1) {
        if !manifest.epoch_stakes.contains_key(&epoch) {
            findings
                .fail(id, format!("no stakes for epoch {epoch} ({first} to {last} are needed)"));
        }
    }
    for (epoch, stakes) in &manifest.epoch_stakes {
        if *epoch > last {
            findings.fail(id, format!("stakes for epoch {epoch}, above {last}"));
        }
        one_epoch(*epoch, stakes, findings);
    }
    findings.note(id, format!("{} epochs", manifest.epoch_stakes.len()));
    if manifest.bank_epochs > 0 {
        // Clients before 2.3 wrote stakes there, too; those from 3.0 on refuse it.
        findings.note(id, format!("{} epochs in the bank's older field", manifest.bank_epochs));
    }
}

/// Sums and maps of one epoch: what the reference client derives from the vote accounts.
fn one_epoch(epoch: Epoch, stakes: &EpochStakes, findings: &mut Findings) {
    let id = CheckId::M8;
    let total: u128 = stakes.votes.iter().map(|vote| u128::from(vote.stake)).sum();
    findings.equal(id, &format!("epoch {epoch}: total stake"), total, stakes.total_stake.into());
    let mut keys = BTreeSet::new();
    if let Some(twice) = stakes.votes.iter().find(|vote| !keys.insert(vote.vote)) {
        findings.fail(id, format!("epoch {epoch}: vote account {} stands twice", twice.vote));
    }
    if stakes.repeated > 0 {
        findings
            .fail(id, format!("epoch {epoch}: {} authorized voters stand twice", stakes.repeated));
    }

    let staked = || stakes.votes.iter().filter(|vote| vote.stake > 0);
    let mut nodes: BTreeMap<Pubkey, (BTreeSet<Pubkey>, u128)> = BTreeMap::new();
    for vote in staked() {
        // The reference client passes over what holds no vote state with an authorized voter.
        let (Some(node), Some(_)) = (vote.node, vote.authorized_voter) else { continue };
        let (votes, stake) = nodes.entry(node).or_default();
        votes.insert(vote.vote);
        *stake += u128::from(vote.stake);
    }
    let mut seen = BTreeSet::new();
    for stated in &stakes.nodes {
        let node = stated.node;
        if !seen.insert(node) {
            findings.fail(id, format!("epoch {epoch}: node {node} stands twice"));
        }
        let (votes, stake) = nodes.remove(&node).unwrap_or_default();
        findings.equal(
            id,
            &format!("epoch {epoch}: stake of node {node}"),
            stake,
            stated.total_stake.into(),
        );
        let own: BTreeSet<_> = stated.votes.iter().copied().collect();
        if own != votes || own.len() != stated.votes.len() {
            findings.fail(id, format!("epoch {epoch}: vote accounts of node {node} differ"));
        }
    }
    if let Some(node) = nodes.keys().next() {
        findings.fail(id, format!("epoch {epoch}: node {node} has stake and is not in the map"));
    }

    let mut authorized: BTreeMap<_, _> =
        stakes.authorized_voters.iter().map(|(vote, voter)| (*vote, *voter)).collect();
    for vote in staked() {
        let stated = authorized.remove(&vote.vote);
        if let Some(expected) = vote.authorized_voter
            && stated != Some(expected)
        {
            findings.fail(
                id,
                format!("epoch {epoch}: authorized voter of {}: expected {expected}", vote.vote),
            );
        }
    }
    if let Some(vote) = authorized.keys().next() {
        findings.fail(id, format!("epoch {epoch}: authorized voter of {vote}, which has no stake"));
    }
}

/// M11.
fn cache(
    subject: &Subject<'_>,
    manifest: &ManifestFacts,
    state: &State,
    findings: &mut Findings,
) -> Result<(), SpillError> {
    let id = CheckId::M11;
    let bank = &manifest.bank;
    let cache = &manifest.stakes;
    if cache.is_empty() {
        // Seen in a real manifest of testnet; the accounts themselves are then all there is.
        findings.warn(id, "the manifest caches no stakes");
        return Ok(());
    }
    let epoch = bank.epoch_schedule.epoch_of(bank.slot);
    findings.equal(id, "epoch of the stakes", epoch, cache.epoch);
    let repeated = cache.repeated + cache.delegations.repeated();
    if repeated > 0 {
        findings.fail(id, format!("{repeated} keys stand twice"));
    }
    delegations(subject, manifest, state, findings)?;
    vote_accounts(subject, manifest, state, findings)?;
    findings.note(
        id,
        format!("{} delegations, {} vote accounts", cache.delegations.len(), cache.votes.len()),
    );
    Ok(())
}

/// Both lists are read side by side, by key; a second time if something is missing.
fn delegations(
    subject: &Subject<'_>,
    manifest: &ManifestFacts,
    state: &State,
    findings: &mut Findings,
) -> Result<(), SpillError> {
    let id = CheckId::M11;
    let delegations = &manifest.stakes.delegations;
    let mut found = 0;
    let (mut facts, mut cached) = (state.facts.reader()?, delegations.reader()?);
    while let Some(ByKey(Fact { spot, key, content })) = facts.next()? {
        let Content::Stake(delegation) = content else { continue };
        let Some(cached) = cached.of(&key)? else { continue };
        found += 1;
        if delegation != Some(cached) {
            let what = match delegation {
                Some(_) => "another delegation",
                None => "no delegation",
            };
            let wrong = subject.naming.wrong(
                spot.place,
                spot.offset,
                Some(key),
                "the cached delegation",
                what,
            );
            findings.wrong(id, wrong);
        }
    }
    if found < delegations.len() {
        let (mut facts, mut cached) = (state.facts.reader()?, delegations.reader()?);
        while let Some(cached) = cached.next()? {
            let key = cached.key;
            let fact = facts.skip_while(|ByKey(fact)| fact.key < key)?;
            let is_there =
                |ByKey(fact): ByKey| fact.key == key && matches!(fact.content, Content::Stake(_));
            if !fact.is_some_and(is_there) {
                let sentence = format!("stake account {key} is cached and not among the accounts");
                findings.fail(id, sentence);
            }
        }
    }
    Ok(())
}

fn vote_accounts(
    subject: &Subject<'_>,
    manifest: &ManifestFacts,
    state: &State,
    findings: &mut Findings,
) -> Result<(), SpillError> {
    let id = CheckId::M11;
    let cached = &manifest.stakes.votes;
    let mut missing: BTreeSet<&Pubkey> = cached.keys().collect();
    let mut facts = state.facts.reader()?;
    while let Some(ByKey(Fact { spot, key, content })) = facts.next()? {
        let Content::Vote { account, initialized } = content else { continue };
        missing.remove(&key);
        let (expected, what) = match cached.get(&key) {
            Some(digest) if *digest == account => continue,
            Some(_) => ("the cached vote account", "another content"),
            None if initialized && manifest.stakes.voters.contains(&key) => {
                ("a cached vote account, as stake is delegated to it", "none in the cache")
            }
            None => continue,
        };
        let wrong = subject.naming.wrong(spot.place, spot.offset, Some(key), expected, what);
        findings.wrong(id, wrong);
    }
    for key in missing {
        findings.fail(id, format!("vote account {key} is cached and not among the accounts"));
    }
    Ok(())
}
