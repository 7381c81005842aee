//! A manifest with more stakes in it than its template: stake delegations, and vote accounts in the
//! bank's stakes cache and in the stakes of every epoch, as on mainnet, where they make up its 300
//! MB. What the cache holds also stands among the accounts.
//!
//! It is never held as a whole: its items are given one by one, as often as they are asked for.

use icecore_archive::manifest::{
    Manifest, ManifestItem, StakesItem, StakesOf, Storage, VoteAccount, VoteAccountRef,
};
use icecore_hash::{StakedVoteAccount, slot_leader};
use icecore_types::{Account, Epoch, Pubkey, Slot};

use super::{
    content::{Cached, Content},
    template::{Template, authorized_voter},
};
use crate::Failure;

/// Of a thousand bytes by which a manifest grows: those of stake delegations. On mainnet 1.2
/// million of them make up 115 MB of 300.
const DELEGATIONS_SHARE: u64 = 400;

/// Bytes of a delegation with its key.
const DELEGATION_BYTES: u64 = 32 + 64;

/// Bytes of a vote account apart from its data: key, stake, lamports, length, owner, executable,
/// rent epoch.
const VOTE_BYTES: u64 = 32 + 8 + 8 + 8 + 32 + 1 + 8;

/// Bytes of it in an epoch's maps besides: node, count, vote account, stake; vote account, voter.
const VOTE_IN_EPOCH_BYTES: u64 = 32 + 8 + 32 + 8 + 32 + 32;

/// Bytes of a listed storage.
const STORAGE_BYTES: u64 = 8 + 8 + 16;

/// Of the accounts at most every so many is cached in the manifest.
const CACHED_EVERY_MIN: u64 = 2;

/// How many stake and vote accounts bring a manifest to about `bytes`.
pub(super) fn plan(
    bytes: u64,
    accounts: u64,
    storages: u64,
    template: &Template,
) -> Result<Cached, Failure> {
    let manifest = &template.manifest;
    let there = manifest.encode().len() as u64 + storages * STORAGE_BYTES;
    let Some(more) = bytes.checked_sub(there).filter(|more| *more > 0) else {
        return Ok(Cached::default());
    };
    let vote_data_bytes = template.vote_account().account.data.len() as u64;
    let epochs = manifest.extra.versioned_epoch_stakes.len() as u64;
    let vote_bytes = (vote_data_bytes + VOTE_BYTES) * (epochs + 1) + VOTE_IN_EPOCH_BYTES * epochs;
    let limit = accounts / CACHED_EVERY_MIN;
    let delegations = (more * DELEGATIONS_SHARE / 1000 / DELEGATION_BYTES).clamp(1, limit.max(1));
    let votes = (more.saturating_sub(delegations * DELEGATION_BYTES) / vote_bytes).max(1);
    if votes + delegations > limit || votes > delegations {
        let text = format!(
            "a manifest of {bytes} bytes needs {votes} vote and {delegations} stake accounts, \
             {accounts} accounts are too few for it: ask for more accounts or a smaller manifest"
        );
        return Err(text.into());
    }
    Ok(Cached { votes, delegations })
}

/// The manifest of a template with more in it.
pub(super) struct Grown<'a> {
    pub(super) manifest: &'a mut Manifest,
    pub(super) content: &'a Content,
    pub(super) storages: &'a [(Slot, Storage)],
}

impl Grown<'_> {
    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> u64 {
        let mut bytes = 0;
        let mut buffer = Vec::new();
        self.items(&mut |item| {
            buffer.clear();
            item.encode(&mut buffer);
            bytes += buffer.len() as u64;
        });
        bytes
    }

    /// States the leader whom the stakes give.
    pub(super) fn set_leader(&mut self) -> Result<(), Failure> {
        let scalars = &self.manifest.bank.scalars;
        let schedule = scalars.epoch_schedule;
        let epoch = schedule.epoch_of(scalars.slot);
        let stakes = &self.manifest.extra.versioned_epoch_stakes;
        let (_, stakes) = stakes
            .iter()
            .find(|(known, _)| *known == epoch)
            .ok_or("the template has no stakes for its own epoch")?;
        let mut accounts: Vec<_> = stakes
            .stakes
            .vote_accounts
            .iter()
            .filter_map(|(vote, VoteAccount { stake, account })| {
                let node = icecore_programs::vote::node_of(&account.data)?;
                Some(StakedVoteAccount { vote: *vote, node, stake: *stake })
            })
            .collect();
        let cached = self.content.cached();
        accounts.extend((0..cached.votes).map(|number| StakedVoteAccount {
            vote: self.content.vote_key(number),
            node: self.content.node(number),
            stake: cached.stake_of(number),
        }));
        let leader = slot_leader(epoch, schedule.first_slot(epoch), scalars.slot, &accounts);
        self.manifest.bank.scalars.leader_id = leader.ok_or("nobody has stake")?;
        Ok(())
    }

    /// Gives the items in file order.
    pub(super) fn items(&self, visit: &mut dyn FnMut(ManifestItem<'_>)) {
        assert!(self.manifest.accounts_db.storages.is_empty(), "storages are listed here");
        self.manifest.items(&mut |item| match item {
            ManifestItem::StorageSlotCount(_) => self.listed_storages(visit),
            ManifestItem::Stakes { of, item } => {
                self.stakes(of, item, &mut |item| visit(ManifestItem::Stakes { of, item }));
            }
            item => visit(item),
        });
    }

    fn listed_storages(&self, visit: &mut dyn FnMut(ManifestItem<'_>)) {
        visit(ManifestItem::StorageSlotCount(self.storages.len() as u64));
        for (slot, storage) in self.storages {
            visit(ManifestItem::StorageSlot { slot: *slot, storages: 1 });
            visit(ManifestItem::Storage(*storage));
        }
    }

    /// An item of the template's, and what is added: behind a count its own entries.
    fn stakes(&self, of: StakesOf, item: StakesItem<'_>, visit: &mut dyn FnMut(StakesItem<'_>)) {
        let content = self.content;
        let Cached { votes, delegations } = *content.cached();
        let stake_of = |number| content.cached().stake_of(number);
        match item {
            StakesItem::VoteAccountCount(count) => {
                visit(StakesItem::VoteAccountCount(count + votes));
                let mut account = Account::default();
                for number in 0..votes {
                    content.write_vote(number, false, &mut account);
                    let pubkey = content.vote_key(number);
                    visit(StakesItem::VoteAccount(VoteAccountRef {
                        stake: stake_of(number),
                        account: account.borrowed(&pubkey),
                    }));
                }
            }
            // Of an epoch's stakes 4.x writes none.
            StakesItem::DelegationCount(count) if of == StakesOf::Bank => {
                visit(StakesItem::DelegationCount(count + delegations));
                for number in 0..delegations {
                    let delegation = content.delegation(number);
                    visit(StakesItem::Delegation(content.stake_key(number), delegation));
                }
            }
            StakesItem::TotalStake(total) => {
                let more: u64 = (0..votes).map(stake_of).sum();
                visit(StakesItem::TotalStake(total + more));
            }
            StakesItem::NodeCount(count) => {
                visit(StakesItem::NodeCount(count + votes));
                for number in 0..votes {
                    visit(StakesItem::Node { node: content.node(number), vote_accounts: 1 });
                    visit(StakesItem::NodeVoteAccount(content.vote_key(number)));
                    visit(StakesItem::NodeTotalStake(stake_of(number)));
                }
            }
            StakesItem::AuthorizedVoterCount(count) => {
                visit(StakesItem::AuthorizedVoterCount(count + votes));
                let (StakesOf::BankEpoch(epoch) | StakesOf::VersionedEpoch(epoch)) = of else {
                    unreachable!("only an epoch's stakes have authorized voters");
                };
                for number in 0..votes {
                    let voter = self.voter(number, epoch);
                    visit(StakesItem::AuthorizedVoter(content.vote_key(number), voter));
                }
            }
            item => visit(item),
        }
    }

    /// The voter whom an added vote account authorizes.
    fn voter(&self, number: u64, epoch: Epoch) -> Pubkey {
        let mut account = Account::default();
        self.content.write_vote(number, false, &mut account);
        authorized_voter(&account.data, epoch)
            .expect("the template's vote account authorizes somebody for every later epoch")
    }
}
