//! Accounts dealt out by groups into pieces of a scratch file, and read again.
//!
//! A piece begins with [`u32`] numbers: how many accounts there are before each group, and in all.
//! Then come the accounts, group by group.

use std::sync::Arc;

use icecore_store::Locator;
use icecore_types::Pubkey;

use super::{OfOther, OwnerOrder, Piece, Ranked};
use crate::{
    Error,
    spill::{
        Held, SpillError, SpillFile,
        item::Item,
        run::{Run, RunReader},
    },
};

/// Accounts of owners without a number that are given on together.
const OTHERS_MAX: usize = 1024;

/// Takes the accounts of one bin, by key.
pub(in super::super) struct BinAccounts<'a> {
    order: &'a OwnerOrder,
    bin: usize,
    accounts: Vec<Ranked>,
    accounts_max: usize,
    pieces: usize,
    others: Vec<OfOther>,
    _held: Held,
}

impl<'a> BinAccounts<'a> {
    pub(super) fn new(order: &'a OwnerOrder, bin: usize) -> Self {
        // Accounts, and the piece that is made of them.
        let bytes = size_of::<Ranked>() + Ranked::BYTES;
        let accounts_max = (order.memory.gather_bytes / bytes).max(1);
        let _held = order.file.hold(accounts_max * bytes);
        let (accounts, others) = (Vec::new(), Vec::new());
        Self { order, bin, accounts, accounts_max, pieces: 0, others, _held }
    }

    /// The next account, of an owner with a number.
    pub(in super::super) fn push(
        &mut self,
        owner: u32,
        key: &Pubkey,
        locator: Locator,
    ) -> Result<(), Error> {
        let rank = self.order.ranks.rank(owner);
        self.accounts.push(Ranked { rank, key: *key, locator });
        if self.accounts.len() == self.accounts_max {
            self.write()?;
        }
        Ok(())
    }

    /// The next account, of an owner without one.
    pub(in super::super) fn push_other(
        &mut self,
        owner: &Pubkey,
        key: &Pubkey,
        locator: Locator,
    ) -> Result<(), Error> {
        self.others.push(OfOther { owner: *owner, key: *key, locator });
        if self.others.len() == OTHERS_MAX {
            self.give_others()?;
        }
        Ok(())
    }

    /// The bin has ended.
    pub(in super::super) fn finish(mut self) -> Result<(), Error> {
        self.give_others()?;
        if !self.accounts.is_empty() {
            self.write()?;
        }
        Ok(())
    }

    fn give_others(&mut self) -> Result<(), Error> {
        if self.others.is_empty() {
            return Ok(());
        }
        let mut sorter = self.order.others.lock().expect("no holder of this lock panics");
        for other in self.others.drain(..) {
            sorter.push(other)?;
        }
        Ok(())
    }

    /// Writes what was gathered as one piece.
    fn write(&mut self) -> Result<(), Error> {
        let ranks = &self.order.ranks;
        let groups = ranks.groups().len();
        let mut before = vec![0u32; groups + 1];
        for account in &self.accounts {
            before[ranks.group_of(account.rank) + 1] += 1;
        }
        for group in 0..groups {
            before[group + 1] += before[group];
        }
        let head_bytes = before.len() * size_of::<u32>();
        let mut bytes = vec![0; head_bytes + self.accounts.len() * Ranked::BYTES];
        let (head, content) = bytes.split_at_mut(head_bytes);
        for (number, place) in before.iter().zip(head.as_chunks_mut().0) {
            *place = number.to_le_bytes();
        }
        for account in self.accounts.drain(..) {
            let next = &mut before[ranks.group_of(account.rank)];
            account.write(&mut content[*next as usize * Ranked::BYTES..][..Ranked::BYTES]);
            *next += 1;
        }
        let file = &self.order.file;
        let offset = file.reserve(bytes.len() as u64)?;
        file.write_at(offset, &bytes)?;
        let piece = Piece { bin: self.bin, number: self.pieces, offset };
        self.pieces += 1;
        self.order.pieces.lock().expect("no holder of this lock panics").push(piece);
        Ok(())
    }
}

/// Reads the accounts of a group from pieces.
pub(super) struct PieceReader<'a> {
    file: &'a Arc<SpillFile>,
    pieces: std::slice::Iter<'a, Piece>,
    group: usize,
    head_bytes: u64,
    buffer_bytes: usize,
    current: Option<RunReader<Ranked>>,
}

impl<'a> PieceReader<'a> {
    pub(super) fn new(
        file: &'a Arc<SpillFile>,
        pieces: &'a [Piece],
        (group, groups): (usize, usize),
        buffer_bytes: usize,
    ) -> Self {
        let head_bytes = ((groups + 1) * size_of::<u32>()) as u64;
        Self { file, pieces: pieces.iter(), group, head_bytes, buffer_bytes, current: None }
    }

    pub(super) fn next(&mut self) -> Result<Option<Ranked>, Error> {
        loop {
            if let Some(reader) = &mut self.current
                && let Some(account) = reader.next()?
            {
                return Ok(Some(account));
            }
            let Some(piece) = self.pieces.next() else { return Ok(None) };
            self.current = Some(self.open(piece)?);
        }
    }

    fn open(&self, piece: &Piece) -> Result<RunReader<Ranked>, SpillError> {
        let mut head = [[0; 4]; 2];
        let at = piece.offset + (self.group * size_of::<u32>()) as u64;
        self.file.read_at(at, head.as_flattened_mut())?;
        let [start, end] = head.map(|number| u64::from(u32::from_le_bytes(number)));
        let offset = piece.offset + self.head_bytes + start * Ranked::BYTES as u64;
        let run = Run { offset, count: end - start };
        Ok(RunReader::new(self.file, run, self.buffer_bytes))
    }
}
