//! Decodes stakes item by item: the bank's (A29), or an epoch's with what only epochs have
//! (A31, C4).

use icecore_types::{AccountRef, Cursor, DATA_BYTES_MAX, Pubkey};
use zerocopy::transmute_ref;

use super::{
    item::{StakesItem, StakesOf, VoteAccountRef},
    stream::{Grammar, ItemError, entries_max, read_count},
};

/// Epochs of a stake history: the reference client keeps 512 (`MAX_ENTRIES` of the stake history
/// sysvar).
const STAKE_HISTORY_MAX: u64 = 512;

/// Vote accounts and delegations are bounded by what a manifest has room for. Their smallest
/// entries: an empty vote account, and a delegation with its key.
const VOTE_ACCOUNTS_MAX: u64 = entries_max(97);
const DELEGATIONS_MAX: u64 = entries_max(96);
/// Two keys, or a key and two numbers.
const NODES_MAX: u64 = entries_max(48);
const AUTHORIZED_VOTERS_MAX: u64 = entries_max(64);
const NODE_VOTE_ACCOUNTS_MAX: u64 = entries_max(32);

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    VoteAccountCount,
    VoteAccount,
    DelegationCount,
    Delegation,
    Scalars,
    HistoryCount,
    History,
    /// The end of the bank's stakes, the rest of an epoch's.
    TotalStake,
    NodeCount,
    Node,
    NodeVoteAccount,
    NodeTotalStake,
    AuthorizedVoterCount,
    AuthorizedVoter,
    End,
}

/// Decodes one set of stakes.
#[derive(Debug)]
pub(super) struct StakesDecoder {
    of: StakesOf,
    grammar: Grammar<At>,
}

impl StakesDecoder {
    /// Starts before the first item.
    pub(super) fn new(of: StakesOf) -> Self {
        Self { of, grammar: Grammar::new(At::VoteAccountCount) }
    }

    /// Whose stakes these are.
    pub(super) fn of(&self) -> StakesOf {
        self.of
    }

    /// Whether the last item has been decoded.
    pub(super) fn is_done(&self) -> bool {
        match self.of {
            StakesOf::Bank => self.grammar.at == At::TotalStake,
            StakesOf::BankEpoch(_) | StakesOf::VersionedEpoch(_) => self.grammar.at == At::End,
        }
    }

    /// The field to which the next item belongs.
    pub(super) fn field(&self) -> &'static str {
        match self.grammar.at {
            At::VoteAccountCount | At::VoteAccount => "stakes.vote_accounts",
            At::DelegationCount | At::Delegation => "stakes.stake_delegations",
            At::Scalars => "stakes.epoch",
            At::HistoryCount | At::History => "stakes.stake_history",
            At::TotalStake => "epoch_stakes.total_stake",
            At::NodeCount | At::Node | At::NodeVoteAccount | At::NodeTotalStake => {
                "epoch_stakes.node_id_to_vote_accounts"
            }
            At::AuthorizedVoterCount | At::AuthorizedVoter | At::End => {
                "epoch_stakes.epoch_authorized_voters"
            }
        }
    }

    /// Decodes the next item. Not to be called when [`is_done`](Self::is_done).
    pub(super) fn item<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
    ) -> Result<StakesItem<'a>, ItemError> {
        use StakesItem as Item;
        let grammar = &mut self.grammar;
        Ok(match grammar.at {
            At::VoteAccountCount => Item::VoteAccountCount(grammar.list(
                cursor,
                VOTE_ACCOUNTS_MAX,
                At::VoteAccount,
                At::DelegationCount,
            )?),
            At::VoteAccount => {
                let vote_account = read_vote_account(cursor)?;
                grammar.entry_done(At::DelegationCount);
                Item::VoteAccount(vote_account)
            }
            At::DelegationCount => Item::DelegationCount(grammar.list(
                cursor,
                DELEGATIONS_MAX,
                At::Delegation,
                At::Scalars,
            )?),
            At::Delegation => match self.of {
                StakesOf::Bank | StakesOf::BankEpoch(_) => {
                    let (pubkey, delegation) = grammar.entry(cursor, At::Scalars)?;
                    Item::Delegation(pubkey, delegation)
                }
                StakesOf::VersionedEpoch(_) => {
                    let (pubkey, stake) = grammar.entry(cursor, At::Scalars)?;
                    Item::Stake(pubkey, stake)
                }
            },
            At::Scalars => Item::Scalars(grammar.one(cursor, At::HistoryCount)?),
            At::HistoryCount => Item::HistoryCount(grammar.list(
                cursor,
                STAKE_HISTORY_MAX,
                At::History,
                At::TotalStake,
            )?),
            At::History => Item::History(grammar.entry(cursor, At::TotalStake)?),
            At::TotalStake => Item::TotalStake(grammar.one(cursor, At::NodeCount)?),
            At::NodeCount => Item::NodeCount(grammar.groups(
                cursor,
                NODES_MAX,
                At::Node,
                At::AuthorizedVoterCount,
            )?),
            At::Node => {
                let node = cursor.read()?;
                let vote_accounts = grammar.list(
                    cursor,
                    NODE_VOTE_ACCOUNTS_MAX,
                    At::NodeVoteAccount,
                    At::NodeTotalStake,
                )?;
                Item::Node { node, vote_accounts }
            }
            At::NodeVoteAccount => {
                Item::NodeVoteAccount(grammar.entry(cursor, At::NodeTotalStake)?)
            }
            At::NodeTotalStake => {
                let total = cursor.read()?;
                grammar.group_done(At::Node, At::AuthorizedVoterCount);
                Item::NodeTotalStake(total)
            }
            At::AuthorizedVoterCount => Item::AuthorizedVoterCount(grammar.list(
                cursor,
                AUTHORIZED_VOTERS_MAX,
                At::AuthorizedVoter,
                At::End,
            )?),
            At::AuthorizedVoter => {
                let (vote_account, voter) = grammar.entry(cursor, At::End)?;
                Item::AuthorizedVoter(vote_account, voter)
            }
            At::End => unreachable!("whoever calls asks first whether the stakes are done"),
        })
    }
}

/// Reads a vote account where it lies: address, stake, then the account.
fn read_vote_account<'a>(cursor: &mut Cursor<'a>) -> Result<VoteAccountRef<'a>, ItemError> {
    let pubkey: &Pubkey = transmute_ref!(cursor.array::<32>()?);
    let (stake, lamports) = cursor.read()?;
    let data_bytes = read_count(cursor, DATA_BYTES_MAX)?;
    let data = cursor.take(data_bytes as usize)?;
    let owner: &Pubkey = transmute_ref!(cursor.array::<32>()?);
    let (executable, rent_epoch) = cursor.read()?;
    Ok(VoteAccountRef {
        stake,
        account: AccountRef { pubkey, lamports, owner, executable, rent_epoch, data },
    })
}
