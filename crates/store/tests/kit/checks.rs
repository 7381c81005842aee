//! What a store answers, held against the model.

use std::{
    ops::{Bound, ControlFlow},
    sync::Arc,
};

use icecore_store::{At, Error, OwnerFilter, SlotId, View};
use icecore_types::{Hash, Pubkey, Slot};

use super::{
    model::{Answer, Held, State, contents},
    places::{self, Written},
    totals,
    world::{KEYS, OWNERS, World, owner, some_key},
};

/// A view and the state that it shows, whatever happens to the store.
#[derive(Debug)]
pub(crate) struct HeldView {
    pub(crate) view: View,
    pub(crate) state: Arc<State>,
}

fn collected(
    visit: impl FnOnce(
        &mut dyn FnMut(icecore_store::VisitedAccount<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error>,
) -> Result<State, Error> {
    let mut found = State::new();
    visit(&mut |visited| {
        let (pubkey, account) = visited.account.to_owned();
        let held = Held { slot: visited.slot, written: visited.written, account };
        assert!(found.insert(pubkey, held).is_none(), "each account comes once");
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

impl HeldView {
    /// Holds everything that can be asked of a view against the state.
    pub(crate) fn check(&self, random: &mut super::world::Random) -> Result<(), Error> {
        let (view, state) = (&self.view, &*self.state);
        let at = view.slot().number;
        let all = collected(|visit| view.scan(Bound::Unbounded, Bound::Unbounded, visit))?;
        assert_eq!(&all, state, "all accounts at {at}");
        let keys: Vec<Pubkey> = (0..KEYS).map(some_key).collect();
        let held = |found: Option<icecore_store::AccountVersion>| {
            found.map(|icecore_store::AccountVersion { slot, written, account }| Held {
                slot,
                written,
                account,
            })
        };
        for (pubkey, found) in keys.iter().zip(view.get_many(&keys)?) {
            assert_eq!(held(found).as_ref(), state.get(pubkey), "one of many at {at}");
        }
        let one = &keys[random.below(KEYS) as usize];
        assert_eq!(held(view.get(one)?).as_ref(), state.get(one), "{one} at {at}");
        let mut bounds = [random.below(KEYS), random.below(KEYS)].map(some_key);
        bounds.sort_unstable();
        let [from, to] = &bounds;
        let some = collected(|visit| view.scan(Bound::Excluded(from), Bound::Included(to), visit))?;
        let expected: State = state
            .iter()
            .filter(|(pubkey, _)| *pubkey > from && *pubkey <= to)
            .map(|(pubkey, held)| (*pubkey, held.clone()))
            .collect();
        assert_eq!(some, expected, "accounts from {from} to {to} at {at}");
        for number in 0..OWNERS {
            self.check_owner(&owner(number), &some_filter(random, state))?;
        }
        assert_eq!(view.totals()?, totals(&contents(state)), "totals at {at}");
        self.check_places(at - random.below(20).min(at))
    }

    /// The same accounts by the places of their records, and what of them is newer than a slot.
    fn check_places(&self, base: Slot) -> Result<(), Error> {
        let (view, state) = (&self.view, &*self.state);
        let at = view.slot().number;
        let written = |held: &Held| (held.written, held.account.clone());
        let all: Written = state.iter().map(|(key, held)| (*key, written(held))).collect();
        assert_eq!(places::live(view)?, all, "places at {at}");
        if let Some(mut newer) = places::written_after(view, base)? {
            newer.retain(|_, (_, account)| account.lamports > 0);
            let expected: Written = state
                .iter()
                .filter(|(_, held)| held.slot > base)
                .map(|(key, held)| (*key, written(held)))
                .collect();
            assert_eq!(newer, expected, "written after {base}, at {at}");
        }
        Ok(())
    }

    fn check_owner(&self, owner: &Pubkey, filter: &OwnerFilter) -> Result<(), Error> {
        let found = collected(|visit| self.view.scan_owner(owner, filter, visit))?;
        let expected: State = self
            .state
            .iter()
            .filter(|(_, held)| held.account.owner == *owner && filter.passes(&held.account.data))
            .map(|(pubkey, held)| (*pubkey, held.clone()))
            .collect();
        let at = self.view.slot().number;
        assert_eq!(found, expected, "accounts of {owner} at {at}, {filter:?}");
        Ok(())
    }

    /// What differs in another view.
    pub(crate) fn check_diff(&self, after: &Self) -> Result<(), Error> {
        let mut found = Vec::new();
        self.view.diff(&after.view, |change| {
            found.push((
                change.pubkey,
                change.before.map(|version| version.account),
                change.after.map(|version| version.account),
            ));
            ControlFlow::Continue(())
        })?;
        let (old, new) = (contents(&self.state), contents(&after.state));
        let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let expected: Vec<_> = keys
            .into_iter()
            .filter(|pubkey| old.get(pubkey) != new.get(pubkey))
            .map(|pubkey| (*pubkey, old.get(pubkey).cloned(), new.get(pubkey).cloned()))
            .collect();
        let (from, to) = (self.view.slot().number, after.view.slot().number);
        assert_eq!(found, expected, "from {from} to {to}");
        Ok(())
    }
}

fn some_filter(random: &mut super::world::Random, state: &State) -> OwnerFilter {
    let mut filter = OwnerFilter::default();
    let some = state.values().nth(random.below(state.len().max(1) as u64) as usize);
    let Some(data) = some.map(|held| &held.account.data) else { return filter };
    if random.below(3) == 0 {
        filter.data_size = Some(data.len() as u64);
    }
    if random.below(3) == 0 && !data.is_empty() {
        let at = random.below(data.len() as u64);
        let end = (at as usize + 2).min(data.len());
        filter.memcmp.push((at, data[at as usize..end].to_vec()));
    }
    filter
}

impl World {
    /// Opens a view and holds it against what has to be there.
    fn view_at(&self, number: Slot) -> Result<Option<HeldView>, Error> {
        let answer = self.durable.at(number);
        let view = match (self.store().view(At::Slot(number)), &answer) {
            (Ok(view), _) => view,
            (Err(Error::NotCovered { slot, first, last }), _) => {
                assert_eq!((slot, &answer), (number, &Answer::NotCovered(first, last)));
                return Ok(None);
            }
            (Err(Error::InGap { slot, first, last }), _) => {
                assert_eq!((slot, &answer), (number, &Answer::InGap(first, last)));
                return Ok(None);
            }
            (Err(Error::Empty), Answer::Empty) => return Ok(None),
            (Err(error), _) => return Err(error),
        };
        let Answer::Slot(id) = answer else {
            panic!("slot {number}: {answer:?}, but there is a view")
        };
        Ok(Some(self.held(view, id)))
    }

    fn held(&self, view: View, id: SlotId) -> HeldView {
        let slot = self.durable.slot(id);
        assert_eq!(view.slot().number, slot.number);
        assert_eq!(view.slot().bank.bank_hash, slot.bank_hash, "bank hash of {}", slot.number);
        HeldView { view, state: Arc::clone(&slot.ends) }
    }

    /// A view of any slot that is known.
    fn view_of(&self, id: SlotId) -> Result<Option<HeldView>, Error> {
        let is_known = self.is_known(id);
        let is_readable = self.durable.slots.get(&id).is_some_and(|slot| slot.is_complete());
        match self.store().view(At::Fork(id)) {
            Ok(view) => {
                assert!(is_known && is_readable, "slot {id:?} cannot be read yet, or not any more");
                Ok(Some(self.held(view, id)))
            }
            Err(Error::NoSuchSlot { slot }) => {
                assert!(slot == id && !is_known, "slot {id:?} is known");
                Ok(None)
            }
            Err(Error::SlotRefused { .. }) => {
                assert!(is_known && !is_readable, "slot {id:?} can be read");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Opens views here and there.
    pub(crate) fn some_views(&mut self) -> Result<Vec<HeldView>, Error> {
        let mut views = Vec::new();
        if let Some(root) = self.durable.root {
            let view = self.store().view(At::Root)?;
            views.push(self.held(view, root));
        }
        let highest = self.accepted.slots.values().map(|slot| slot.number).max().unwrap_or(5) + 4;
        let lowest = self.accepted.finals.keys().next().copied().unwrap_or(0).saturating_sub(2);
        for _ in 0..4 {
            let number = lowest + self.random.below(highest - lowest);
            views.extend(self.view_at(number)?);
            self.check_find_fork(number)?;
        }
        for _ in 0..4 {
            let ids: Vec<_> = self.accepted.slots.keys().copied().collect();
            if let Some(id) = self.random.of(&ids) {
                views.extend(self.view_of(*id)?);
            }
        }
        Ok(views)
    }

    fn check_find_fork(&mut self, number: Slot) -> Result<(), Error> {
        let of_number: Vec<(SlotId, Hash)> = self
            .accepted
            .slots
            .iter()
            .filter(|(id, slot)| slot.number == number && slot.is_complete() && self.is_known(**id))
            .map(|(id, slot)| (*id, slot.bank_hash))
            .collect();
        match (self.store().find_fork(number, None), &of_number[..]) {
            (Ok(found), [(id, _)]) => assert_eq!(found, *id),
            (Err(Error::NoFork { slot }), []) => assert_eq!(slot, number),
            (Err(Error::SeveralForks { slot, bank_hashes }), [_, _, ..]) => {
                assert_eq!(slot, number);
                assert_eq!(bank_hashes, of_number.iter().map(|found| found.1).collect::<Vec<_>>());
            }
            (Err(error @ (Error::Disk(_) | Error::Journal(_))), _) => return Err(error),
            (found, _) => panic!("{found:?}, but there are {of_number:?}"),
        }
        if let Some((_, hash)) = self.random.of(&of_number) {
            let last = of_number.iter().rev().find(|found| found.1 == *hash).expect("one of them");
            assert_eq!(self.store().find_fork(number, Some(*hash))?, last.0);
        }
        Ok(())
    }

    /// Histories of some accounts, coverage, and views here and there against each other.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        let views = self.some_views()?;
        for view in &views {
            view.check(&mut self.random)?;
        }
        for _ in 0..3 {
            if let (Some(from), Some(to)) =
                (self.random.clone().of(&views), self.random.of(&views[..]))
            {
                from.check_diff(to)?;
                to.check_diff(from)?;
            }
            self.random.next();
        }
        for _ in 0..3 {
            let pubkey = some_key(self.random.below(KEYS));
            let first = self.random.below(140);
            let slots = match self.random.below(2) {
                0 => 0..=u64::MAX,
                _ => first..=first + self.random.below(60),
            };
            let found = self.store().history_of(&pubkey, slots.clone())?;
            let expected = self.durable.history(&pubkey, &slots, |id| self.is_known(id));
            let found: Vec<_> = found
                .into_iter()
                .map(|version| {
                    let held = Held {
                        slot: version.slot,
                        written: version.written,
                        account: version.account,
                    };
                    assert_eq!(version.is_base, held.written != held.slot);
                    (version.slot, version.bank_hash, version.is_rooted, held)
                })
                .collect();
            assert_eq!(found, expected, "history of {pubkey} in {slots:?}");
        }
        self.check_coverage();
        Ok(())
    }

    fn check_coverage(&self) {
        let coverage = self.store().coverage();
        assert_eq!(coverage.first, self.durable.finals.keys().next().copied());
        assert_eq!(coverage.last, self.durable.root_number());
        let gaps: Vec<_> = coverage.gaps.iter().map(|gap| (gap.first, gap.last)).collect();
        assert_eq!(gaps, self.accepted.gaps);
        let bases: Vec<_> = coverage.windows.iter().filter_map(|window| window.base).collect();
        let is_base = |id: &&SlotId| self.durable.slot(**id).parent.is_none();
        let expected: Vec<_> = self.durable.finals.values().filter(is_base).collect();
        let expected: Vec<_> = expected.iter().map(|id| self.durable.slot(**id).number).collect();
        assert_eq!(bases, expected);
        for pair in coverage.windows.windows(2) {
            assert!(pair[0].first <= pair[0].last && pair[0].last <= pair[1].first, "{pair:?}");
        }
    }
}
