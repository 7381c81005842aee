//! What of the past goes, and when (rule R21).
//!
//! 1. How far the past may go: what the options say, or less far if a lease, a pin of another process
//!    or a fork that is kept reads from before.
//! 2. Windows that lie before are dropped whole. Of base points that are to be kept the complete run
//!    stays. Where much of the first window lies before, its complete run is *raised*: one of a later
//!    slot is made, and deltas are cut behind it.
//! 3. An event says from where on everything is kept; when it is durable, pins of other processes are
//!    asked once more: who pins afterwards sees the event.
//! 4. The run set is replaced. Records that no run leads to any more are garbage (see `compaction`).
//!
//! Views of this process keep the runs that they began with. A lease that is over is told so.
//!
//! What it does *not* do: anything, unless the store was opened with a [`Retention`].

use icecore_journal::{AppendOptions, Batch, Durability};
use icecore_types::Slot;

use crate::{
    Error, Retention, SlotState,
    events::{Horizon, encoded, kind, new_event, stream},
    run_set::{RunPair, Window},
    shared::{Shared, State},
};

/// The first window's complete run is raised when about this part of the live accounts has versions
/// before, or more: one eighth. So what is kept too long is bounded, and so is merging.
const RAISE_SHARE: u64 = 8;

/// What is kept: windows, as far as that is known before anything is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// As it is.
    Whole,
    /// Only its complete run.
    BasePoint,
    /// Nothing.
    Nothing,
}

/// A window, as far as it matters here.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    first: Slot,
    last: Option<Slot>,
    is_base: bool,
}

impl From<&Window> for Stretch {
    fn from(window: &Window) -> Self {
        Self { first: window.first(), last: window.last, is_base: window.base.is_some() }
    }
}

/// What becomes of windows when the past may go up to a slot, which itself stays readable.
fn keep_from(windows: &[Stretch], limit: Slot) -> Vec<Kept> {
    let mut kept = Vec::with_capacity(windows.len());
    for (place, window) in windows.iter().enumerate() {
        let is_before = windows.get(place + 1).is_some_and(|next| {
            next.first <= limit || window.last.is_some_and(|last| last < limit)
        });
        kept.push(if is_before { Kept::Nothing } else { Kept::Whole });
    }
    kept
}

/// The same when the states at base points stay: everything stays from the last base point on, or
/// from the one behind which somebody reads.
fn keep_bases(windows: &[Stretch], held: &[Slot]) -> Vec<Kept> {
    let Some(last) = windows.iter().rposition(|window| window.is_base) else {
        return vec![Kept::Whole; windows.len()];
    };
    let is_base = |slot: Slot| windows.iter().any(|base| base.is_base && base.first == slot);
    let needed = held.iter().copied().filter(|slot| !is_base(*slot));
    let limit = needed.fold(windows[last].first, Slot::min);
    let starts_at = |window: &Stretch| window.is_base && window.first <= limit;
    let start = windows.iter().rposition(starts_at).unwrap_or(0);
    let becomes = |(place, window): (usize, &Stretch)| match (place < start, window.is_base) {
        (false, _) => Kept::Whole,
        (true, true) => Kept::BasePoint,
        (true, false) => Kept::Nothing,
    };
    windows.iter().enumerate().map(becomes).collect()
}

impl Shared {
    /// Drops what is not to be kept.
    pub(crate) fn retain(&self) -> Result<(), Error> {
        if self.options.retention == Retention::Everything {
            return Ok(());
        }
        let _keeping = self.keeping.lock().expect("nobody panics while keeping");
        let state = self.state();
        let root = self.current_mirror_kept()?.tree.root().map(|root| root.number);
        let Some(root) = root else { return Ok(()) };
        let stretches: Vec<Stretch> = state.runs.windows.iter().map(Stretch::from).collect();
        let target = match self.options.retention {
            Retention::Everything => return Ok(()),
            Retention::Slots(slots) => root.saturating_sub(slots),
            Retention::BasePoints => stretches.last().map_or(0, |window| window.first),
        };
        let held = self.held(target)?;
        let limit = held.iter().copied().fold(target, Slot::min);
        let keeps_bases = self.options.retention == Retention::BasePoints;
        let kept = match keeps_bases {
            true => keep_bases(&stretches, &held),
            false => keep_from(&stretches, limit),
        };
        let mut windows = Vec::new();
        let mut has_changed = false;
        // Everything is kept from here on.
        let mut horizon = None;
        for (window, kept) in state.runs.windows.iter().zip(kept) {
            match kept {
                Kept::Nothing => has_changed = true,
                Kept::BasePoint => {
                    let (deltas, last) = (Vec::new(), Some(window.first()));
                    has_changed |= !window.deltas.is_empty() || window.last != last;
                    windows.push(Window { deltas, last, ..window.clone() });
                }
                Kept::Whole => {
                    let raised = match keeps_bases || horizon.is_some() {
                        true => None,
                        false => self.raised(&state, window, limit)?,
                    };
                    has_changed |= raised.is_some();
                    let window = raised.unwrap_or_else(|| window.clone());
                    horizon.get_or_insert(window.first());
                    windows.push(window);
                }
            }
        }
        let Some(slot) = horizon.filter(|_| has_changed) else { return Ok(()) };
        match self.announce(Horizon { slot, keeps_bases }, &held)? {
            true => self.exchange_runs(windows, &[]),
            false => {
                self.remove_stray_runs();
                Ok(())
            }
        }
    }

    /// The slots from which somebody reads, or may.
    fn held(&self, target: Slot) -> Result<Vec<Slot>, Error> {
        let mut held = self.leases.held(self.disk.now(), target);
        held.extend(self.pinned()?);
        let mirror = self.mirror();
        let forks = mirror.tree.nodes().filter(|node| {
            matches!(node.state, SlotState::Open | SlotState::Committed | SlotState::Abandoned)
        });
        held.extend(forks.filter_map(|node| mirror.tree.sight(node.id)).map(|(_, slot)| slot));
        Ok(held)
    }

    /// What readers in other processes have pinned.
    fn pinned(&self) -> Result<Vec<Slot>, Error> {
        Ok(self.chain().writer()?.pins()?.into_iter().map(|pin| pin.value).collect())
    }

    /// Says durably from where on everything is kept; false: somebody pinned a slot before meanwhile.
    fn announce(&self, horizon: Horizon, held: &[Slot]) -> Result<bool, Error> {
        let payload = encoded(&horizon);
        let event = new_event(stream::MOVES, kind::HORIZON, &payload, &[]);
        let options = AppendOptions {
            use_reserve: true,
            durability: Durability::Durable,
            ..AppendOptions::default()
        };
        self.chain().writer()?.append(&Batch::of(&event)?, &options)?;
        let pinned = self.pinned()?;
        if pinned.iter().any(|slot| *slot < horizon.slot && !held.contains(slot)) {
            return Ok(false);
        }
        let mut mirror = self.mirror();
        mirror.horizon = mirror.horizon.max(horizon.slot);
        if !horizon.keeps_bases {
            mirror.gaps.retain(|(_, last)| *last >= horizon.slot);
        }
        Ok(true)
    }

    /// The window from a later slot on, at or before `limit`, if that is worth it.
    fn raised(&self, state: &State, window: &Window, limit: Slot) -> Result<Option<Window>, Error> {
        let to = self.flushed_slot_at(window, limit.min(window.flushed_to()))?.number;
        let rows_before: u64 = window.deltas.iter().map(|delta| rows_up_to(delta, to)).sum();
        let live = window.complete.by_pubkey.info().rows;
        if to <= window.first() || rows_before == 0 || rows_before < live / RAISE_SHARE {
            return Ok(None);
        }
        let complete = self.merge_complete(state, window, to)?;
        let mut deltas = Vec::new();
        for delta in window.deltas.iter().filter(|delta| delta.to > to) {
            deltas.push(match delta.after < Some(to) {
                true => self.cut_delta(state, delta, to)?,
                false => delta.clone(),
            });
        }
        Ok(Some(Window { complete, deltas, base: None, last: window.last }))
    }
}

/// How many rows of a delta are of slots up to this one, about: as if each slot had as many.
fn rows_up_to(delta: &RunPair, slot: Slot) -> u64 {
    let (after, rows) = (delta.after.unwrap_or(0), delta.by_pubkey.info().rows);
    let (slots, before) =
        (delta.to.saturating_sub(after), slot.min(delta.to).saturating_sub(after));
    let share = u128::from(rows) * u128::from(before) / u128::from(slots.max(1));
    u64::try_from(share).expect("no more than all rows")
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kept::{BasePoint, Nothing, Whole};

    fn stretch(first: Slot, last: Option<Slot>, is_base: bool) -> Stretch {
        Stretch { first, last, is_base }
    }

    #[test]
    fn windows_go_whole_when_the_next_one_answers() {
        let windows = [
            stretch(100, Some(150), true),
            stretch(150, Some(180), false),
            stretch(200, Some(300), true),
            stretch(300, None, false),
        ];
        assert_eq!(keep_from(&windows, 149), [Whole; 4]);
        assert_eq!(keep_from(&windows, 150), [Nothing, Whole, Whole, Whole]);
        assert_eq!(keep_from(&windows, 180), [Nothing, Whole, Whole, Whole]);
        assert_eq!(keep_from(&windows, 181), [Nothing, Nothing, Whole, Whole], "a gap");
        assert_eq!(keep_from(&windows, 5000), [Nothing, Nothing, Nothing, Whole]);
        assert_eq!(keep_from(&windows, 0), [Whole; 4]);
        assert_eq!(keep_from(&[], 7), []);
    }

    #[test]
    fn base_points_stay_and_so_does_what_somebody_reads() {
        let windows = [
            stretch(100, Some(150), true),
            stretch(150, Some(180), false),
            stretch(200, Some(300), true),
            stretch(300, Some(320), false),
            stretch(400, None, true),
        ];
        let reduced = [BasePoint, Nothing, BasePoint, Nothing, Whole];
        assert_eq!(keep_bases(&windows, &[]), reduced);
        assert_eq!(keep_bases(&windows, &[200, 450]), reduced, "a base point is readable");
        assert_eq!(keep_bases(&windows, &[310]), [BasePoint, Nothing, Whole, Whole, Whole]);
        assert_eq!(keep_bases(&windows, &[160]), [Whole; 5]);
        assert_eq!(keep_bases(&windows[1..2], &[]), [Whole]);
        let raised = [stretch(170, Some(180), false), stretch(200, None, true)];
        assert_eq!(keep_bases(&raised, &[]), [Nothing, Whole]);
        assert_eq!(keep_bases(&raised, &[175]), [Whole, Whole]);
    }
}
