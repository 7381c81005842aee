//! Slots to epochs and back.
//!
//! A chain may begin with warm-up epochs: epoch `e` before `first_normal_epoch` has `32 * 2^e`
//! slots, so it begins at slot `32 * (2^e - 1)`; every later epoch has `slots_per_epoch`. The
//! arithmetic is that of the reference client (`solana-epoch-schedule` 3.x).
//!
//! Invariant: the fields may come from a hostile manifest. No function panics; whatever leaves the
//! range of `u64` saturates, and a `slots_per_epoch` of zero puts every slot from
//! `first_normal_slot` on into `first_normal_epoch`.
//!
//! What it does *not* do: judge whether the fields agree with each other.

use serde::Serialize;

use crate::{Epoch, Slot, wire_struct};

/// Slots of the first warm-up epoch (`MINIMUM_SLOTS_PER_EPOCH` of the reference client).
pub const SLOTS_PER_EPOCH_MIN: u64 = 32;

wire_struct! {
    /// The schedule as genesis, the manifest (formats.md section 1, A27) and the sysvar hold it:
    /// 33 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    pub struct EpochSchedule {
        /// Slots in an epoch after the warm-up.
        pub slots_per_epoch: u64,
        /// How many slots before an epoch its leader schedule is fixed.
        pub leader_schedule_slot_offset: u64,
        /// Whether the chain began with short epochs.
        pub warmup: bool,
        /// The first epoch after the warm-up, 0 without one.
        pub first_normal_epoch: Epoch,
        /// The first slot after the warm-up, 0 without one.
        pub first_normal_slot: Slot,
    }
}

impl EpochSchedule {
    /// The epoch in which `slot` lies.
    pub fn epoch_of(&self, slot: Slot) -> Epoch {
        match slot.checked_sub(self.first_normal_slot) {
            Some(normal_slots) => self
                .first_normal_epoch
                .saturating_add(normal_slots.checked_div(self.slots_per_epoch).unwrap_or(0)),
            None => warmup_epoch_of(slot),
        }
    }

    /// The first slot of `epoch`.
    pub fn first_slot(&self, epoch: Epoch) -> Slot {
        match epoch.checked_sub(self.first_normal_epoch) {
            None | Some(0) => warmup_slots(epoch).saturating_sub(SLOTS_PER_EPOCH_MIN),
            Some(normal_epochs) => normal_epochs
                .saturating_mul(self.slots_per_epoch)
                .saturating_add(self.first_normal_slot),
        }
    }

    /// The number of slots in `epoch`.
    pub fn slots_in(&self, epoch: Epoch) -> u64 {
        if epoch < self.first_normal_epoch { warmup_slots(epoch) } else { self.slots_per_epoch }
    }

    /// The last epoch whose leader schedule is known at `slot`: epoch stakes up to this epoch must
    /// be in a bank of that slot.
    pub fn leader_schedule_epoch(&self, slot: Slot) -> Epoch {
        match slot.checked_sub(self.first_normal_slot) {
            Some(normal_slots) => self.first_normal_epoch.saturating_add(
                normal_slots
                    .saturating_add(self.leader_schedule_slot_offset)
                    .checked_div(self.slots_per_epoch)
                    .unwrap_or(0),
            ),
            None => warmup_epoch_of(slot).saturating_add(1),
        }
    }
}

/// Slots of warm-up epoch `epoch`: `32 * 2^epoch`.
fn warmup_slots(epoch: Epoch) -> u64 {
    u32::try_from(epoch)
        .ok()
        .and_then(|exponent| 2u64.checked_pow(exponent))
        .map_or(u64::MAX, |doubled| doubled.saturating_mul(SLOTS_PER_EPOCH_MIN))
}

/// The warm-up epoch of `slot`: the `e` with `32 * 2^e <= slot + 32 < 32 * 2^(e + 1)`.
fn warmup_epoch_of(slot: Slot) -> Epoch {
    (slot.saturating_add(SLOTS_PER_EPOCH_MIN) / SLOTS_PER_EPOCH_MIN).ilog2().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cursor, Wire};

    /// 8,192 slots per epoch, reached after the doublings of epochs 0 to 7.
    const WITH_WARMUP: EpochSchedule = EpochSchedule {
        slots_per_epoch: 8192,
        leader_schedule_slot_offset: 8192,
        warmup: true,
        first_normal_epoch: 8,
        first_normal_slot: 32 * 255,
    };

    #[test]
    fn every_slot_lies_in_the_epoch_that_counts_it() {
        let mut slot = 0;
        for epoch in 0..12 {
            assert_eq!(WITH_WARMUP.first_slot(epoch), slot);
            let slots = WITH_WARMUP.slots_in(epoch);
            assert_eq!(slots, 32 << epoch.min(8));
            for within in slot..slot + slots {
                assert_eq!(WITH_WARMUP.epoch_of(within), epoch);
                assert_eq!(WITH_WARMUP.leader_schedule_epoch(within), epoch + 1);
            }
            slot += slots;
        }
    }

    #[test]
    fn mainnet_has_no_warmup() {
        let mainnet = EpochSchedule {
            slots_per_epoch: 432_000,
            leader_schedule_slot_offset: 432_000,
            warmup: false,
            first_normal_epoch: 0,
            first_normal_slot: 0,
        };
        assert_eq!(mainnet.epoch_of(431_999), 0);
        assert_eq!(mainnet.epoch_of(432_000), 1);
        assert_eq!(mainnet.first_slot(800), 345_600_000);
        assert_eq!(mainnet.leader_schedule_epoch(345_600_000), 801);
    }

    #[test]
    fn the_offset_fixes_a_schedule_ahead_of_its_epoch() {
        let schedule = EpochSchedule { leader_schedule_slot_offset: 4096, ..WITH_WARMUP };
        let first = schedule.first_slot(9);
        assert_eq!(schedule.leader_schedule_epoch(first), 9);
        assert_eq!(schedule.leader_schedule_epoch(first + 4095), 9);
        assert_eq!(schedule.leader_schedule_epoch(first + 4096), 10);
    }

    #[test]
    fn hostile_fields_saturate() {
        let values = [0, 1, 31, 32, 63, 64, u64::MAX - 1, u64::MAX];
        for slots_per_epoch in values {
            for first_normal_epoch in values {
                for first_normal_slot in values {
                    for argument in values {
                        let schedule = EpochSchedule {
                            slots_per_epoch,
                            leader_schedule_slot_offset: argument,
                            warmup: true,
                            first_normal_epoch,
                            first_normal_slot,
                        };
                        schedule.epoch_of(argument);
                        schedule.first_slot(argument);
                        schedule.slots_in(argument);
                        schedule.leader_schedule_epoch(argument);
                    }
                }
            }
        }
        let nothing = EpochSchedule { slots_per_epoch: 0, ..WITH_WARMUP };
        assert_eq!(nothing.epoch_of(u64::MAX), 8);
        assert_eq!(nothing.first_slot(u64::MAX), nothing.first_normal_slot);
        let late = EpochSchedule {
            first_normal_slot: u64::MAX,
            first_normal_epoch: u64::MAX,
            ..WITH_WARMUP
        };
        assert_eq!(late.epoch_of(u64::MAX - 1), 58);
        assert_eq!(late.first_slot(59), u64::MAX - 32);
        assert_eq!(late.slots_in(59), u64::MAX);
    }

    #[test]
    fn the_wire_shape_is_33_bytes() {
        let mut bytes = Vec::new();
        WITH_WARMUP.encode(&mut bytes);
        assert_eq!(bytes.len(), 33);
        assert_eq!(Cursor::new(&bytes).read(), Ok(WITH_WARMUP));
    }
}
