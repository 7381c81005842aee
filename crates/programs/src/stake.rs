//! Stake accounts: who may do what with a stake, and to which vote account it is delegated.
//!
//! Wire shape (`StakeStateV2` of `solana-stake-interface` 4.3): a `u32` tag and the state; the data
//! is always 200 bytes, of which the longest state fills 197.

use icecore_types::{Cursor, Delegation, Epoch, Pubkey, Stake, wire_struct};

wire_struct! {
    /// Who may move a stake: 64 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Authorized {
        /// Who may delegate, split and merge.
        pub staker: Pubkey,
        /// Who may withdraw and change both authorities.
        pub withdrawer: Pubkey,
    }
}

wire_struct! {
    /// Until when nothing may be withdrawn without the custodian: 48 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Lockup {
        /// In force while the clock's time, in seconds since 1970, is below this.
        pub unix_timestamp: i64,
        /// In force while the epoch is below this.
        pub epoch: Epoch,
        /// Whose signature lifts the lockup.
        pub custodian: Pubkey,
    }
}

wire_struct! {
    /// What every initialized stake account holds: 120 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Meta {
        /// Lamports that keep the account exempt from rent and are not staked.
        pub rent_exempt_reserve: u64,
        /// Who may move the stake.
        pub authorized: Authorized,
        /// Until when it is locked.
        pub lockup: Lockup,
    }
}

/// What a stake account holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StakeState {
    /// Nothing yet.
    Uninitialized,
    /// Authorities, and no delegation.
    Initialized(Meta),
    /// A delegation, with the flags of the stake program (a set of bits).
    Stake(Meta, Stake, u8),
    /// An obsolete pool of rewards.
    RewardsPool,
}

impl StakeState {
    /// Decodes account data; `None` when it is not a stake state.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(data);
        match cursor.read::<u32>().ok()? {
            0 => Some(Self::Uninitialized),
            1 => Some(Self::Initialized(cursor.read().ok()?)),
            2 => Some(Self::Stake(cursor.read().ok()?, cursor.read().ok()?, cursor.read().ok()?)),
            3 => Some(Self::RewardsPool),
            _ => None,
        }
    }

    /// The authorities, when the account is initialized.
    pub fn meta(&self) -> Option<&Meta> {
        match self {
            Self::Initialized(meta) | Self::Stake(meta, ..) => Some(meta),
            Self::Uninitialized | Self::RewardsPool => None,
        }
    }
}

/// Where a delegated state has its delegation: after the tag and the authorities.
const DELEGATION_OFFSET: usize = 4 + 120;

/// Bytes of a delegated state: tag, authorities, delegation, credits observed, flags.
const DELEGATED_BYTES: usize = DELEGATION_OFFSET + 64 + 8 + 1;

/// The delegation in a stake account's data, without decoding the rest; `None` when
/// [`StakeState::decode`] gives anything but [`StakeState::Stake`].
pub fn delegation(data: &[u8]) -> Option<Delegation> {
    let delegated = data.get(..DELEGATED_BYTES)?;
    if Cursor::new(delegated).read::<u32>().ok()? != 2 {
        return None;
    }
    Cursor::new(&delegated[DELEGATION_OFFSET..]).read().ok()
}
