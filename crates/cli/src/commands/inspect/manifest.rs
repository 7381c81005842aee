//! `--manifest`: every field of the manifest, written while the manifest streams by.
//!
//! The JSON is that of `icecore_archive::manifest::Manifest`, with two differences: a field that
//! the file does not hold is left out (`last_field` says which one is the last), and the number of
//! bytes behind the last field is told. Memory is that of the largest item, which is one vote
//! account.

use std::{io::Write, ops::ControlFlow, path::Path};

use base64::{display::Base64Display, engine::general_purpose::STANDARD};
use icecore_archive::{
    manifest::{ManifestDecoder, ManifestItem, StakesItem, StakesOf, VoteAccountRef},
    members::MemberKind,
};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::{
    one_member::{Found, read_member},
    outcome,
};
use crate::{
    document::Document,
    exit::{Exit, Failure},
    options::CommonOptions,
    output::Answer,
};

pub(super) fn run(common: &CommonOptions, file: &Path) -> Result<Exit, Failure> {
    let mut answer = Answer::new(common.output);
    let mut fields = Fields { document: Document::new(&mut answer, common.output) };
    let mut decoder = ManifestDecoder::new();
    let mut damage = None;
    let is_manifest = |kind: &MemberKind| matches!(kind, MemberKind::Manifest { .. });
    let found = read_member(common, file, is_manifest, |bytes| {
        if let Err(error) = decoder.feed(bytes, &mut |_, item| fields.visit(&item)) {
            damage = Some(error.to_string());
        }
        match damage.is_some() || fields.document.has_failed() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    if damage.is_none() {
        damage = match found {
            Found::Whole => match decoder.finish() {
                Ok(end) => {
                    fields.document.close_to_top();
                    fields.document.field("last_field", &end.last_field);
                    fields.document.field("trailing_bytes", &end.trailing_bytes);
                    None
                }
                Err(error) => Some(error.to_string()),
            },
            // The answer could not be written; finishing tells.
            Found::Stopped => None,
            Found::Cut(problem) => Some(problem),
            Found::Missing => Some("there is no manifest in it".to_string()),
        };
    }
    fields.document.finish(damage.as_deref())?;
    answer.finish()?;
    outcome(file, damage)
}

/// Items to fields.
struct Fields<W> {
    document: Document<W>,
}

impl<W: Write> Fields<W> {
    fn visit(&mut self, item: &ManifestItem<'_>) {
        use ManifestItem as Item;
        let document = &mut self.document;
        match item {
            Item::BlockhashQueue(head) => {
                document.object(Some("bank"));
                document.object(Some("blockhash_queue"));
                document.fields(head);
            }
            Item::BlockhashCount(count) => _ = document.list(Some("hashes"), *count),
            Item::Blockhash(hash, info) => _ = document.entry(&(hash, info)),
            Item::BlockhashMaxAge(max_age) => {
                document.field("max_age", max_age);
                document.end();
            }
            Item::AncestorCount(count) => _ = document.list(Some("ancestors"), *count),
            Item::Ancestor(slot, number) => _ = document.entry(&(slot, number)),
            Item::BankHashes(hashes) => document.fields(hashes),
            Item::HardForkCount(count) => _ = document.list(Some("hard_forks"), *count),
            Item::HardFork(fork) => _ = document.entry(fork),
            Item::BankScalars(scalars) => document.fields(scalars),
            Item::Stakes { of, item } => self.stakes(*of, item),
            Item::UnusedFirstCount(count) => {
                document.end();
                document.object(Some("unused_accounts"));
                document.list(Some("first"), *count);
            }
            Item::UnusedSecondCount(count) => _ = document.list(Some("second"), *count),
            Item::UnusedFirst(pubkey) | Item::UnusedSecond(pubkey) => _ = document.entry(pubkey),
            Item::UnusedThirdCount(count) => {
                if document.list(Some("third"), *count) {
                    document.end();
                }
            }
            Item::UnusedThird(pubkey, number) => {
                if document.entry(&(pubkey, number)) {
                    document.end();
                }
            }
            Item::BankEpochCount(count) => _ = document.list(Some("epoch_stakes"), *count),
            Item::BankEpoch(epoch) | Item::VersionedEpoch(epoch) => {
                document.list(None, 2);
                document.entry(epoch);
            }
            Item::IsDelta(is_delta) => {
                document.field("is_delta", is_delta);
                document.end();
            }
            Item::StorageSlotCount(count) => {
                document.object(Some("accounts_db"));
                document.list(Some("storages"), *count);
            }
            Item::StorageSlot { slot, storages } => {
                document.list(None, 2);
                document.entry(slot);
                document.list(None, *storages);
            }
            Item::Storage(storage) => _ = document.entry(storage),
            Item::AccountsDbScalars(scalars) => document.fields(scalars),
            Item::HistoricalRootCount(count) => {
                _ = document.list(Some("historical_roots"), *count);
            }
            Item::HistoricalRoot(slot) => _ = document.entry(slot),
            Item::HistoricalRootWithHashCount(count) => {
                _ = document.list(Some("historical_roots_with_hash"), *count);
            }
            Item::HistoricalRootWithHash(slot, hash) => _ = document.entry(&(slot, hash)),
            Item::LamportsPerSignature(lamports) => {
                document.end();
                document.object(Some("extra"));
                document.field("lamports_per_signature", lamports);
            }
            Item::IncrementalSnapshotPersistence(persistence) => {
                document.field("incremental_snapshot_persistence", persistence);
            }
            Item::EpochAccountsHash(hash) => document.field("epoch_accounts_hash", hash),
            Item::VersionedEpochCount(count) => {
                _ = document.list(Some("versioned_epoch_stakes"), *count);
            }
            Item::AccountsLatticeHash(hash) => {
                document.field("accounts_lt_hash", &hash.map(|bytes| Hex(&bytes[..])));
            }
            Item::BlockId(hash) => document.field("block_id", hash),
        }
    }

    fn stakes(&mut self, of: StakesOf, item: &StakesItem<'_>) {
        let document = &mut self.document;
        match item {
            StakesItem::VoteAccountCount(count) => {
                if of != StakesOf::Bank {
                    document.object(None);
                }
                document.object(Some("stakes"));
                document.list(Some("vote_accounts"), *count);
            }
            StakesItem::VoteAccount(account) => {
                _ = document.entry(&(account.account.pubkey, VoteAccount(account)));
            }
            StakesItem::DelegationCount(count) => {
                _ = document.list(Some("stake_delegations"), *count);
            }
            StakesItem::Delegation(pubkey, delegation) => {
                _ = document.entry(&(pubkey, delegation));
            }
            StakesItem::Stake(pubkey, stake) => _ = document.entry(&(pubkey, stake)),
            StakesItem::Scalars(scalars) => document.fields(scalars),
            StakesItem::HistoryCount(count) => _ = document.list(Some("stake_history"), *count),
            StakesItem::History(entry) => _ = document.entry(entry),
            StakesItem::TotalStake(total) => {
                document.end();
                document.field("total_stake", total);
            }
            StakesItem::NodeCount(count) => {
                _ = document.list(Some("node_id_to_vote_accounts"), *count);
            }
            StakesItem::Node { node, vote_accounts } => {
                document.list(None, 2);
                document.entry(node);
                document.object(None);
                document.list(Some("vote_accounts"), *vote_accounts);
            }
            StakesItem::NodeVoteAccount(vote_account) => _ = document.entry(vote_account),
            StakesItem::NodeTotalStake(total) => {
                document.field("total_stake", total);
                document.end();
            }
            StakesItem::AuthorizedVoterCount(count) => {
                if document.list(Some("epoch_authorized_voters"), *count) {
                    document.end();
                }
            }
            StakesItem::AuthorizedVoter(vote_account, voter) => {
                if document.entry(&(vote_account, voter)) {
                    document.end();
                }
            }
        }
    }
}

/// Bytes as hexadecimal digits.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A vote account without its address, the data in base64.
struct VoteAccount<'a>(&'a VoteAccountRef<'a>);

impl Serialize for VoteAccount<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = serializer.serialize_struct("VoteAccount", 2)?;
        json.serialize_field("stake", &self.0.stake)?;
        json.serialize_field("account", &Account(self.0))?;
        json.end()
    }
}

struct Account<'a>(&'a VoteAccountRef<'a>);

impl Serialize for Account<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let account = &self.0.account;
        let data = Base64Display::new(account.data, &STANDARD);
        let mut json = serializer.serialize_struct("Account", 5)?;
        json.serialize_field("lamports", &account.lamports)?;
        json.serialize_field("data", &format_args!("{data}"))?;
        json.serialize_field("owner", account.owner)?;
        json.serialize_field("executable", &account.executable)?;
        json.serialize_field("rent_epoch", &account.rent_epoch)?;
        json.end()
    }
}
