//! The four layouts of a vote state (formats.md section 4), read front to back.

use icecore_types::{Cursor, Epoch, Pubkey, Slot, WireError};

use super::{AuthorizedVoters, BLS_PUBKEY_BYTES, PriorVoter, VoteState, VoteStateV4, VoteVersion};
use super::{BlockTimestamp, Votes};
use crate::Rows;

/// Rows in the ring of former voters.
const PRIOR_VOTERS: usize = 32;

/// Bytes of a former voter: address and two epochs.
const PRIOR_VOTER_BYTES: usize = 32 + 8 + 8;

/// The same with a slot, in the first layout.
const PRIOR_VOTER_BYTES_V0: usize = PRIOR_VOTER_BYTES + 8;

/// Reads the state with which `data` begins; `None` for an unknown tag.
pub(super) fn state(data: &[u8]) -> Result<Option<VoteState<'_>>, WireError> {
    let mut cursor = Cursor::new(data);
    let cursor = &mut cursor;
    match cursor.read::<u32>()? {
        0 => v0(cursor).map(Some),
        1 => v1_or_v3(cursor, VoteVersion::V1_14_11).map(Some),
        2 => v1_or_v3(cursor, VoteVersion::V3).map(Some),
        3 => v4(cursor).map(Some),
        _ => Ok(None),
    }
}

fn v0<'a>(cursor: &mut Cursor<'a>) -> Result<VoteState<'a>, WireError> {
    let node = cursor.read()?;
    let authorized_voter = cursor.read()?;
    let authorized_voter_epoch = cursor.read()?;
    let prior_voters = cursor.take(PRIOR_VOTERS * PRIOR_VOTER_BYTES_V0)?;
    let _newest_prior_voter = cursor.read::<u64>()?;
    Ok(VoteState {
        version: VoteVersion::V0_23_5,
        node,
        withdrawer: cursor.read()?,
        commission: cursor.read()?,
        v4: None,
        votes: Votes::Lockouts(Rows::take_counted(cursor)?),
        root: cursor.read()?,
        authorized_voters: AuthorizedVoters::One(authorized_voter_epoch, authorized_voter),
        prior_voters,
        prior_voter_bytes: PRIOR_VOTER_BYTES_V0,
        epoch_credits: Rows::take_counted(cursor)?,
        last_timestamp: cursor.read()?,
    })
}

fn v1_or_v3<'a>(cursor: &mut Cursor<'a>, version: VoteVersion) -> Result<VoteState<'a>, WireError> {
    let node = cursor.read()?;
    let withdrawer = cursor.read()?;
    let commission = cursor.read()?;
    let votes = if version == VoteVersion::V3 {
        Votes::Landed(Rows::take_counted(cursor)?)
    } else {
        Votes::Lockouts(Rows::take_counted(cursor)?)
    };
    let root: Option<Slot> = cursor.read()?;
    let authorized_voters: Rows<'a, (Epoch, Pubkey)> = Rows::take_counted(cursor)?;
    let prior_voters = cursor.take(PRIOR_VOTERS * PRIOR_VOTER_BYTES)?;
    // Not as a boolean: the reference client jumps over the ring whatever this byte is.
    let _newest_and_is_empty = cursor.array::<{ 8 + 1 }>()?;
    let epoch_credits = Rows::take_counted(cursor)?;
    let last_timestamp: BlockTimestamp = cursor.read()?;
    Ok(VoteState {
        version,
        node,
        withdrawer,
        commission,
        v4: None,
        votes,
        root,
        authorized_voters: AuthorizedVoters::ByEpoch(authorized_voters),
        prior_voters,
        prior_voter_bytes: PRIOR_VOTER_BYTES,
        epoch_credits,
        last_timestamp,
    })
}

fn v4<'a>(cursor: &mut Cursor<'a>) -> Result<VoteState<'a>, WireError> {
    let node = cursor.read()?;
    let withdrawer = cursor.read()?;
    let v4 = VoteStateV4 {
        inflation_rewards_collector: cursor.read()?,
        block_revenue_collector: cursor.read()?,
        inflation_rewards_commission_bps: cursor.read()?,
        block_revenue_commission_bps: cursor.read()?,
        pending_delegator_rewards: cursor.read()?,
        bls_pubkey: bls_pubkey(cursor)?,
    };
    let percent = v4.inflation_rewards_commission_bps.div_ceil(100);
    Ok(VoteState {
        version: VoteVersion::V4,
        node,
        withdrawer,
        commission: u8::try_from(percent).unwrap_or(u8::MAX),
        v4: Some(v4),
        votes: Votes::Landed(Rows::take_counted(cursor)?),
        root: cursor.read()?,
        authorized_voters: AuthorizedVoters::ByEpoch(Rows::take_counted(cursor)?),
        prior_voters: &[],
        prior_voter_bytes: PRIOR_VOTER_BYTES,
        epoch_credits: Rows::take_counted(cursor)?,
        last_timestamp: cursor.read()?,
    })
}

fn bls_pubkey<'a>(
    cursor: &mut Cursor<'a>,
) -> Result<Option<&'a [u8; BLS_PUBKEY_BYTES]>, WireError> {
    // The tag alone first: the key is borrowed, which the wire shape of an option cannot do.
    if cursor.read::<bool>()? { cursor.array().map(Some) } else { Ok(None) }
}

/// The places of the ring that hold a former voter.
pub(super) fn prior_voters(
    ring: &[u8],
    row_bytes: usize,
) -> impl Iterator<Item = PriorVoter> + use<'_> {
    ring.chunks_exact(row_bytes)
        .map(|row| {
            Cursor::new(row)
                .read::<PriorVoter>()
                .expect("a row holds at least an address and two epochs")
        })
        .filter(|voter| !voter.authorized_pubkey.is_zero())
}
