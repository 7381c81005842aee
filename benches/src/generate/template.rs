//! The bundled archives as templates: their manifest, status cache and live accounts, moved to any
//! later slot, so that every check that compares them with one another still passes.
//!
//! What moves: slots, ticks, block height and epochs of the manifest; the slots of the status
//! cache; the sysvars clock, slot hashes and slot history. Every slot before the new one was
//! rooted, as far as slot history and status cache go.
//!
//! What does *not* move: stakes, vote accounts and their votes, the blockhash queue.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use icecore_archive::{
    manifest::{Manifest, VoteAccount},
    members::{MemberKind, classify},
    status_cache::{SlotResults, StatusCache},
    tar::TarEvent,
};
use icecore_programs::{
    sysvar::{Clock, SLOT_HISTORY_BITS, SlotHashes, SlotHistory},
    vote::VoteState,
};
use icecore_restore::{Options, Pair, Progress, live_accounts, read_archive};
use icecore_types::{Account, Epoch, Pubkey, Slot, programs};

use crate::Failure;

/// Slots that a status cache covers (`MAX_CACHE_ENTRIES` of the reference client 4.2.2).
const STATUS_SLOTS_MAX: u64 = 300;

/// Epochs with stakes that clients keep.
const EPOCHS_MAX: u64 = 6;

/// An archive to make others from.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pub(super) manifest: Manifest,
    pub(super) status_cache: StatusCache,
    /// The live accounts at its slot, by address.
    pub(super) accounts: Vec<(Pubkey, Account)>,
}

/// The folder of the bundled archives.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tiny")
}

impl Template {
    /// The full archive, or the state of the pair.
    pub(super) fn read(incremental: bool) -> Result<Self, Failure> {
        let (mut full, mut above) = (None, None);
        for entry in icecore_disk::list(folder())? {
            if entry.name.starts_with("snapshot-") {
                full = Some(folder().join(&entry.name));
            } else if entry.name.starts_with("incremental-") {
                above = Some(folder().join(&entry.name));
            }
        }
        let full = full.ok_or("testdata/tiny has no full archive")?;
        let above = above.ok_or("testdata/tiny has no incremental archive")?;
        let above = incremental.then_some(&*above);
        let (manifest, status_cache) = read_members(above.unwrap_or(&full))?;
        let pair = Pair::files(&full, above)?;
        let progress = Progress::default();
        let mut accounts = Vec::new();
        live_accounts(pair, Options::for_cores(1), &progress)?.for_each(&progress, |live| {
            accounts.push(live.account.to_owned());
            ControlFlow::Continue(())
        })?;
        accounts.sort_by_key(|(pubkey, _)| *pubkey);
        Ok(Self { manifest, status_cache, accounts })
    }

    /// A vote account with stake.
    pub(super) fn vote_account(&self) -> &VoteAccount {
        let (_, vote_account) = self
            .manifest
            .bank
            .stakes
            .vote_accounts
            .iter()
            .find(|(_, vote_account)| vote_account.stake > 0)
            .expect("the bundled bank has a staked vote account");
        vote_account
    }

    /// Moves everything to a slot at or after its own; `with_past` gives it stakes of all epochs
    /// that clients keep.
    pub(super) fn move_to(&mut self, slot: Slot, with_past: bool) {
        self.move_manifest(slot, with_past);
        self.move_status_cache(slot);
        self.move_sysvars(slot);
    }

    fn move_manifest(&mut self, slot: Slot, with_past: bool) {
        let Manifest { bank, accounts_db, extra, .. } = &mut self.manifest;
        let scalars = &mut bank.scalars;
        let schedule = scalars.epoch_schedule;
        let slots = slot.checked_sub(scalars.slot).expect("it moves forward");
        let epochs = schedule.epoch_of(slot) - schedule.epoch_of(scalars.slot);
        scalars.slot = slot;
        // Clients before 4.0 compare it; newer ones do not read it.
        scalars.epoch = schedule.epoch_of(slot);
        scalars.block_height += slots;
        scalars.max_tick_height = (slot + 1) * scalars.ticks_per_slot;
        scalars.tick_height = scalars.max_tick_height;
        bank.hashes.parent_slot = slot - 1;
        bank.stakes.scalars.epoch = schedule.epoch_of(slot);
        accounts_db.scalars.slot = slot;

        let stakes = &mut extra.versioned_epoch_stakes;
        stakes.sort_by_key(|(epoch, _)| *epoch);
        for (epoch, _) in stakes.iter_mut() {
            *epoch += epochs;
        }
        let (mut first, oldest) = stakes.first().expect("a bank has epoch stakes").clone();
        let last = schedule.leader_schedule_epoch(slot);
        while with_past && first > 0 && last - first + 1 < EPOCHS_MAX {
            first -= 1;
            stakes.insert(0, (first, oldest.clone()));
        }
        for (epoch, stakes) in stakes {
            stakes.stakes.scalars.epoch = *epoch;
            let votes = stakes.stakes.vote_accounts.iter();
            stakes.epoch_authorized_voters = votes
                .filter(|(_, vote)| vote.stake > 0)
                .filter_map(|(key, vote)| {
                    Some((*key, authorized_voter(&vote.account.data, *epoch)?))
                })
                .collect();
        }
    }

    fn move_status_cache(&mut self, slot: Slot) {
        let slots = &mut self.status_cache.slots;
        slots.sort_by_key(|entry| std::cmp::Reverse(entry.slot));
        let count = STATUS_SLOTS_MAX.min(slot + 1);
        slots.truncate(usize::try_from(count).expect("300 at most"));
        for (number, entry) in (0..).zip(slots.iter_mut()) {
            entry.slot = slot - number;
        }
        let without = slots.len() as u64..count;
        slots.extend(without.map(|number| SlotResults {
            slot: slot - number,
            is_root: true,
            blockhashes: Vec::new(),
        }));
    }

    fn move_sysvars(&mut self, slot: Slot) {
        let schedule = self.manifest.bank.scalars.epoch_schedule;
        let clock = self.data(programs::SYSVAR_CLOCK);
        clock[..8].copy_from_slice(&slot.to_le_bytes());
        clock[16..24].copy_from_slice(&schedule.epoch_of(slot).to_le_bytes());
        clock[24..32].copy_from_slice(&schedule.leader_schedule_epoch(slot).to_le_bytes());
        let moved = Clock::decode(clock).map(|clock| (clock.slot, clock.epoch));
        assert_eq!(moved, Some((slot, schedule.epoch_of(slot))), "the clock has moved");

        let hashes = self.data(programs::SYSVAR_SLOT_HASHES);
        let count = u64::from_le_bytes(*hashes.first_chunk().expect("it begins with a count"));
        for (number, entry) in (0..count).zip(hashes[8..].as_chunks_mut::<40>().0) {
            entry[..8].copy_from_slice(&(slot - 1 - number).to_le_bytes());
        }
        let newest = SlotHashes::decode(hashes).and_then(|hashes| hashes.newest());
        assert_eq!(newest.map(|(slot, _)| slot), Some(slot - 1), "the slot hashes have moved");

        let history = self.data(programs::SYSVAR_SLOT_HISTORY);
        let bits = 9..9 + usize::try_from(SLOT_HISTORY_BITS / 8).expect("128 KiB");
        history[bits.clone()].fill(0);
        for known in slot.saturating_sub(SLOT_HISTORY_BITS - 1)..=slot {
            let bit = known % SLOT_HISTORY_BITS;
            history[bits.start + usize::try_from(bit / 8).expect("128 KiB")] |= 1 << (bit % 8);
        }
        history[bits.end + 8..][..8].copy_from_slice(&(slot + 1).to_le_bytes());
        let moved = SlotHistory::decode(history).expect("its shape is what it was");
        assert!(moved.newest_slot() == slot && moved.contains(slot), "the history has moved");
    }

    fn data(&mut self, key: Pubkey) -> &mut Vec<u8> {
        let found = self
            .accounts
            .binary_search_by_key(&key, |(key, _)| *key)
            .expect("the bundled bank has all sysvars that a check reads");
        &mut self.accounts[found].1.data
    }
}

/// Whom a vote account authorizes for an epoch.
pub(super) fn authorized_voter(vote_data: &[u8], epoch: Epoch) -> Option<Pubkey> {
    VoteState::decode(vote_data)?.authorized_voter_for(epoch)
}

/// Manifest and status cache of an archive.
fn read_members(path: &Path) -> Result<(Manifest, StatusCache), Failure> {
    let (mut manifest, mut status_cache) = (Vec::new(), Vec::new());
    let mut current = None;
    read_archive(path, &Options::for_cores(1), &Progress::default(), |event| {
        match event {
            TarEvent::Member(member) => current = classify(&member.path, member.kind).ok(),
            TarEvent::Data(bytes) => match current {
                Some(MemberKind::Manifest { .. }) => manifest.extend_from_slice(bytes),
                Some(MemberKind::StatusCache) => status_cache.extend_from_slice(bytes),
                _ => {}
            },
            TarEvent::MemberEnd | TarEvent::PaddingNotZero { .. } | TarEvent::EndBlocks => {}
        }
        ControlFlow::Continue(())
    })?;
    Ok((Manifest::decode(&manifest)?.0, StatusCache::decode(&status_cache)?))
}
