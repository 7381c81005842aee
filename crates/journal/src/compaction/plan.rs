//! Which segments are rewritten, and what in them is alive.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{CompactionRule, EXTENTS_MAX, ExtentFate, INPUTS_MAX, locate::Place};
use crate::{
    By, Error, Event, Extent, Query, extents::Layout, format::BLOCK_BYTES, journal::Shared,
    kinds::reserved,
};

/// Extents of the chosen segments, by the place that events know.
pub(super) type Live = BTreeMap<(u32, u64), LiveExtent>;

/// An extent that an event has adopted.
#[derive(Debug)]
pub(super) struct LiveExtent {
    /// As the event says.
    pub(super) original: Extent,
    /// Where it lies now, unless it was dropped before.
    pub(super) located: Extent,
    pub(super) fate: ExtentFate,
}

/// What events have adopted in a segment.
#[derive(Debug, Clone, Copy, Default)]
struct Adopted {
    bytes: u64,
    extents: u64,
}

impl Shared {
    /// Segments to be rewritten: those that the rule names, or those with most garbage.
    pub(super) fn choose(self: &Arc<Self>, rule: &CompactionRule<'_>) -> Result<Vec<u32>, Error> {
        let candidates: BTreeMap<u32, u64> = {
            let manifest = self.manifest.lock().expect("nobody panics while holding it");
            let is_free = |id: u32, session: u64| {
                !manifest.sessions.iter().any(|unfinished| unfinished.id == session)
                    && !manifest.retired.iter().any(|retired| retired.id == id)
            };
            let sealed = manifest.data.iter().filter(|data| {
                data.is_sealed && data.replaced_by.is_empty() && is_free(data.id, data.session)
            });
            sealed.map(|data| (data.id, data.bytes)).collect()
        };
        if let Some(named) = rule.segments {
            let ids: BTreeSet<u32> = named.iter().copied().collect();
            if ids.len() > INPUTS_MAX || ids.iter().any(|id| !candidates.contains_key(id)) {
                let what = "at most 64 sealed data segments that are in use are rewritten at once";
                return Err(Error::Unfit { what });
            }
            return Ok(ids.into_iter().collect());
        }
        let mut adopted: BTreeMap<u32, Adopted> = BTreeMap::new();
        self.visit_adopted(None, |event, extent, place| {
            if let (Place::In(located), false) = (place, is_own(event)) {
                let in_segment = adopted.entry(located.segment).or_default();
                let bytes = Layout::of(located.offset, located.bytes);
                in_segment.bytes += bytes.map_or(extent.bytes, |layout| layout.end - layout.start);
                in_segment.extents += 1;
            }
            Ok(())
        })?;
        let mut shares: Vec<(u64, u32)> = candidates
            .iter()
            .map(|(id, bytes)| {
                let content = bytes.saturating_sub(BLOCK_BYTES).max(1);
                let live = adopted.get(id).map_or(0, |adopted| adopted.bytes);
                (content.saturating_sub(live) * 100 / content, *id)
            })
            .filter(|(percent, _)| *percent >= rule.garbage_percent_min.max(1))
            .collect();
        shares.sort_unstable_by(|one, next| next.cmp(one));
        let (mut bytes, mut extents) = (0_u64, 0);
        let mut chosen = Vec::new();
        for (_, id) in shares.into_iter().take(INPUTS_MAX) {
            let live = adopted.get(&id).copied().unwrap_or_default();
            if !chosen.is_empty()
                && (bytes.saturating_add(live.bytes) > rule.bytes_max
                    || extents + live.extents > EXTENTS_MAX)
            {
                break;
            }
            bytes += live.bytes;
            extents += live.extents;
            chosen.push(id);
        }
        Ok(chosen)
    }

    /// What events have adopted in these segments.
    pub(super) fn find_live(
        self: &Arc<Self>,
        ids: &[u32],
        rule: &CompactionRule<'_>,
    ) -> Result<Live, Error> {
        let mut live = Live::new();
        self.visit_adopted(Some(ids), |event, extent, place| {
            let (located, fate) = match place {
                // What an earlier compaction dropped stays so for whoever asks.
                Place::DroppedIn(segment) if ids.contains(&segment) => (*extent, ExtentFate::Drop),
                Place::In(located) if ids.contains(&located.segment) => match rule.decide {
                    // The directory of an earlier compaction is of no use beside the new one.
                    _ if is_own(event) => (located, ExtentFate::Drop),
                    None => (located, ExtentFate::Keep),
                    Some(decide) => (located, decide(event, extent)),
                },
                _ => return Ok(()),
            };
            let known = live.entry((extent.segment, extent.offset)).or_insert(LiveExtent {
                original: *extent,
                located,
                fate: ExtentFate::Drop,
            });
            match (&known.fate, &fate) {
                (ExtentFate::Drop, _) | (_, ExtentFate::Keep) => known.fate = fate,
                _ => {}
            }
            Ok(())
        })?;
        Ok(live)
    }

    /// Shows every extent that an event has adopted, and where it lies now; of some segments, only
    /// those that can lie there. Nobody else moves any meanwhile.
    fn visit_adopted(
        self: &Arc<Self>,
        only: Option<&[u32]>,
        mut visit: impl FnMut(&Event, &Extent, Place) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let data = Arc::clone(&self.catalog().data);
        // Without looking into directories: there can be many, and long ones.
        let may_lie_in = |ids: &[u32], extent: &Extent| {
            let is_chosen = |id: &u32| ids.contains(id);
            is_chosen(&extent.segment) || data.replaced_by(extent.segment).iter().any(is_chosen)
        };
        for event in self.history.scan(Query::new(By::Sequence))? {
            let event = event?;
            for extent in event.extents() {
                if only.is_some_and(|ids| !may_lie_in(ids, &extent)) {
                    continue;
                }
                visit(&event, &extent, data.place_of(&*self.disk, &self.folder, &extent)?)?;
            }
        }
        Ok(())
    }
}

/// Whether it is an event about a compaction: what it adopts are directories.
fn is_own(event: &Event) -> bool {
    event.kind() == reserved::COMPACTED
}
