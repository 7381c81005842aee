//! Who leads which slots of an epoch.
//!
//! 1. Take the epoch's vote accounts with stake, by stake descending, then vote address
//!    descending; neighbours that agree in both count once.
//! 2. Seed ChaCha20 with the epoch: `u64` little-endian, then 24 zero bytes.
//! 3. For each group of four slots draw a number below the total stake and take the first account
//!    at which the running sum of stakes exceeds it. Drawing: the high half of the 128-bit product
//!    of the next `u64` and the total; redraw while the low half is above the zone, the largest
//!    range of low halves that gives every number the same chance.
//!
//! Source: formats.md section 2; `solana-leader-schedule` and `agave-random` 4.2.2.
//!
//! What it does *not* do: read nodes or stakes from vote accounts.

use std::cmp::Reverse;

use icecore_types::{Epoch, Pubkey, Slot};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{RngCore, SeedableRng},
};

/// Consecutive slots of one draw (`NUM_CONSECUTIVE_LEADER_SLOTS` of the reference client).
pub const SLOTS_PER_LEADER: u64 = 4;

/// The most draws that [`slot_leader`] makes, 155 mainnet epochs of 432,000 slots: the position in
/// the epoch may come from a hostile manifest, and each group before the slot costs a draw.
pub const LEADER_GROUPS_MAX: u64 = 1 << 24;

/// A vote account in an epoch's stakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StakedVoteAccount {
    /// The vote account's address.
    pub vote: Pubkey,
    /// The identity of the node that votes with it, from the vote state.
    pub node: Pubkey,
    /// Lamports delegated to it; accounts with none are passed over.
    pub stake: u64,
}

/// The leader of `slot`: the node identity.
///
/// `None` if nobody has stake or the stakes' sum leaves `u64` (there is no schedule then), if
/// `slot` lies before `first_slot_of_epoch`, or if it lies more than [`LEADER_GROUPS_MAX`] groups
/// of four after it.
pub fn slot_leader(
    epoch: Epoch,
    first_slot_of_epoch: Slot,
    slot: Slot,
    accounts: &[StakedVoteAccount],
) -> Option<Pubkey> {
    let group = slot.checked_sub(first_slot_of_epoch)? / SLOTS_PER_LEADER;
    if group >= LEADER_GROUPS_MAX {
        return None;
    }
    let mut draws = Draws::new(epoch, accounts)?;
    for _ in 0..group {
        draws.draw();
    }
    Some(draws.next_leader())
}

/// The leaders of an epoch's groups of four slots, the first group first; the last group may be
/// cut short by the epoch's end. `None` as for [`slot_leader`].
pub fn leader_schedule(
    epoch: Epoch,
    slots_in_epoch: u64,
    accounts: &[StakedVoteAccount],
) -> Option<LeaderSchedule> {
    Some(LeaderSchedule {
        draws: Draws::new(epoch, accounts)?,
        groups_left: slots_in_epoch.div_ceil(SLOTS_PER_LEADER),
    })
}

/// Draws one node identity per group of four slots as it is iterated: an epoch of any stated
/// length costs nothing before that.
#[derive(Debug, Clone)]
pub struct LeaderSchedule {
    draws: Draws,
    groups_left: u64,
}

impl Iterator for LeaderSchedule {
    type Item = Pubkey;

    fn next(&mut self) -> Option<Pubkey> {
        self.groups_left = self.groups_left.checked_sub(1)?;
        Some(self.draws.next_leader())
    }
}

/// The generator and what it draws from.
#[derive(Debug, Clone)]
struct Draws {
    generator: ChaCha20Rng,
    nodes: Vec<Pubkey>,
    weights: Weights,
}

impl Draws {
    fn new(epoch: Epoch, accounts: &[StakedVoteAccount]) -> Option<Self> {
        let mut staked: Vec<_> = accounts.iter().filter(|account| account.stake > 0).collect();
        staked.sort_unstable_by_key(|account| Reverse((account.stake, account.vote)));
        staked.dedup_by_key(|account| (account.stake, account.vote));
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&epoch.to_le_bytes());
        Some(Self {
            generator: ChaCha20Rng::from_seed(seed),
            nodes: staked.iter().map(|account| account.node).collect(),
            weights: Weights::new(staked.iter().map(|account| account.stake))?,
        })
    }

    fn draw(&mut self) -> u64 {
        self.weights.draw(&mut self.generator)
    }

    fn next_leader(&mut self) -> Pubkey {
        let drawn = self.draw();
        self.nodes[self.weights.index_of(drawn)]
    }
}

/// Running sums of positive weights, and the zone of unbiased draws below their total.
#[derive(Debug, Clone)]
struct Weights {
    running_sums: Vec<u64>,
    total: u64,
    zone: u64,
}

impl Weights {
    /// `None` if the total is zero or leaves `u64`.
    fn new(weights: impl Iterator<Item = u64>) -> Option<Self> {
        let mut total = 0u64;
        let mut running_sums = Vec::new();
        for weight in weights {
            total = total.checked_add(weight)?;
            running_sums.push(total);
        }
        // 2^64 mod total: so many low halves are in excess.
        let excess = total.wrapping_neg().checked_rem(total)?;
        Some(Self { running_sums, total, zone: u64::MAX - excess })
    }

    /// A number below the total, each with the same chance.
    fn draw(&self, generator: &mut impl RngCore) -> u64 {
        loop {
            let product = u128::from(generator.next_u64()) * u128::from(self.total);
            if product as u64 <= self.zone {
                return (product >> 64) as u64;
            }
        }
    }

    /// The first weight at which the running sum exceeds `drawn`.
    fn index_of(&self, drawn: u64) -> usize {
        self.running_sums.partition_point(|sum| *sum <= drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of the reference client's sampler (`agave-random` 4.2.2): weight `i` of
    /// `weight_count` is `i` to the power of `power`.
    fn drawn(weight_count: u64, power: u32) -> Vec<usize> {
        let weights = Weights::new((0..weight_count).map(|weight| weight.pow(power)));
        let weights = weights.expect("the weights have a sum");
        let mut generator = ChaCha20Rng::from_seed([16; 32]);
        (0..10).map(|_| weights.index_of(weights.draw(&mut generator))).collect()
    }

    #[test]
    fn the_sampler_draws_what_the_reference_draws() {
        assert_eq!(drawn(100, 0), [95, 2, 28, 92, 17, 64, 2, 78, 75, 42]);
        assert_eq!(drawn(1_000, 2), [983, 294, 658, 974, 561, 865, 309, 921, 912, 753]);
        assert_eq!(drawn(10_000, 1), [9757, 1596, 5346, 9621, 4207, 8052, 1716, 8842, 8712, 6540]);
    }

    #[test]
    fn weights_without_a_sum_are_refused() {
        assert!(Weights::new([].into_iter()).is_none());
        assert!(Weights::new([0, 0].into_iter()).is_none());
        assert!(Weights::new([u64::MAX, 1].into_iter()).is_none());
        assert!(Weights::new([u64::MAX].into_iter()).is_some());
    }

    #[test]
    fn hostile_positions_cost_nothing() {
        let accounts =
            [StakedVoteAccount { vote: Pubkey([1; 32]), node: Pubkey([2; 32]), stake: 3 }];
        assert_eq!(slot_leader(0, 0, u64::MAX, &accounts), None);
        assert_eq!(slot_leader(0, 10, 9, &accounts), None);
        assert_eq!(slot_leader(0, 10, 13, &accounts), Some(Pubkey([2; 32])));
        assert_eq!(slot_leader(0, 0, 0, &[]), None);
        let mut schedule = leader_schedule(0, u64::MAX, &accounts).expect("there is stake");
        assert_eq!(schedule.next(), Some(Pubkey([2; 32])));
        let short = leader_schedule(0, 33, &accounts).expect("there is stake");
        assert_eq!(short.count(), 9);
    }
}
