//! The accounts that differ, as rows of each side, and both sides put together.

use std::{cmp::Ordering, ops::ControlFlow};

use icecore_types::Pubkey;

use super::account::{AccountDiff, AccountState};
use crate::{
    LiveAccount,
    spill::{
        SpillError,
        item::{Item, read_u64},
        sorted::SortedReader,
    },
};

/// An account of one side. Rows are compared by address: a side holds each once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pubkey: Pubkey,
    state: AccountState,
}

impl Row {
    pub(super) fn of(live: &LiveAccount<'_>) -> Self {
        let account = &live.account;
        let state = AccountState {
            lamports: account.lamports,
            owner: *account.owner,
            executable: account.executable,
            rent_epoch: account.rent_epoch,
            slot: live.slot,
            data_len: account.data.len() as u64,
            data_blake3: blake3::hash(account.data),
        };
        Self { pubkey: *account.pubkey, state }
    }
}

impl Ord for Row {
    fn cmp(&self, other: &Self) -> Ordering {
        self.pubkey.cmp(&other.pubkey)
    }
}

impl PartialOrd for Row {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.pubkey == other.pubkey
    }
}

impl Eq for Row {}

impl Item for Row {
    /// Three times 32, four numbers, one byte.
    const BYTES: usize = 129;

    fn write(&self, bytes: &mut [u8]) {
        let Self { pubkey, state } = self;
        bytes[..32].copy_from_slice(&pubkey.0);
        bytes[32..64].copy_from_slice(&state.owner.0);
        bytes[64..96].copy_from_slice(state.data_blake3.as_bytes());
        let numbers = [state.lamports, state.rent_epoch, state.slot, state.data_len];
        for (bytes, number) in bytes[96..128].as_chunks_mut::<8>().0.iter_mut().zip(numbers) {
            *bytes = number.to_le_bytes();
        }
        bytes[128] = u8::from(state.executable);
    }

    fn read(bytes: &[u8]) -> Self {
        let array = |at: usize| *bytes[at..].first_chunk::<32>().expect("129 bytes");
        let number = |index: usize| read_u64(bytes, 96 + 8 * index);
        let state = AccountState {
            lamports: number(0),
            owner: Pubkey(array(32)),
            executable: bytes[128] != 0,
            rent_epoch: number(1),
            slot: number(2),
            data_len: number(3),
            data_blake3: array(64).into(),
        };
        Self { pubkey: Pubkey(array(0)), state }
    }
}

/// Puts the rows of both sides together, by address, until `visit` breaks.
pub(super) fn join(
    before: &mut SortedReader<Row>,
    after: &mut SortedReader<Row>,
    visit: &mut impl FnMut(AccountDiff) -> ControlFlow<()>,
) -> Result<(), SpillError> {
    loop {
        let pubkey = match (before.peek(), after.peek()) {
            (None, None) => return Ok(()),
            (Some(one), None) | (None, Some(one)) => one.pubkey,
            (Some(one), Some(other)) => one.pubkey.min(other.pubkey),
        };
        let [before, after] = [&mut *before, &mut *after].map(|rows| match rows.peek() {
            Some(row) if row.pubkey == pubkey => rows.next(),
            _ => Ok(None),
        });
        let state = |row: Option<Row>| row.map(|row| row.state);
        if visit(AccountDiff::new(pubkey, state(before?), state(after?))).is_break() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_survives_its_bytes() {
        for executable in [false, true] {
            let state = AccountState {
                lamports: 1,
                owner: Pubkey([2; 32]),
                executable,
                rent_epoch: u64::MAX,
                slot: 4,
                data_len: 5,
                data_blake3: blake3::hash(b"6"),
            };
            let row = Row { pubkey: Pubkey([7; 32]), state };
            let mut bytes = [0; Row::BYTES];
            row.write(&mut bytes);
            let read = Row::read(&bytes);
            assert_eq!((read.pubkey, read.state), (row.pubkey, row.state));
        }
    }
}
