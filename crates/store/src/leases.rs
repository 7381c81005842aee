//! Who reads what, and until when: views and pins of this process (rule R21).
//!
//! A lease keeps what can be read at its slot. When its time is over, versions may be dropped; it is
//! told so before, and reads through it fail from then on. Until somebody wants to drop something, a
//! lease that is over costs its holder nothing.
//!
//! What it does *not* do: know other processes. Their pins lie in the journal's control page.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use icecore_types::Slot;

/// A lease, for listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseInfo {
    /// The slot whose state is kept.
    pub slot: Slot,
    /// What it is for.
    pub purpose: String,
    /// Its end, in nanoseconds since 1970.
    pub until: u64,
    /// The process that holds it; `None`: this one.
    pub process: Option<u32>,
}

#[derive(Debug)]
struct Entry {
    slot: Slot,
    purpose: String,
    until: u64,
    has_expired: Arc<AtomicBool>,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    leases: BTreeMap<u64, Entry>,
}

/// A lease that is held; given up when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    leases: Arc<dyn Holder>,
    number: u64,
    has_expired: Arc<AtomicBool>,
}

/// Where a lease is given back.
pub(crate) trait Holder: std::fmt::Debug + Send + Sync {
    fn leases(&self) -> &Leases;
}

impl Leases {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().expect("nobody panics while holding it")
    }

    /// Takes a lease.
    pub(crate) fn take(holder: &Arc<dyn Holder>, slot: Slot, purpose: &str, until: u64) -> Lease {
        let has_expired = Arc::new(AtomicBool::new(false));
        let mut entries = holder.leases().entries();
        let number = entries.next;
        entries.next += 1;
        let entry = Entry {
            slot,
            purpose: purpose.to_string(),
            until,
            has_expired: Arc::clone(&has_expired),
        };
        entries.leases.insert(number, entry);
        drop(entries);
        Lease { leases: Arc::clone(holder), number, has_expired }
    }

    /// The slots that have to stay readable; leases that are over and in the way of `horizon` end now.
    pub(crate) fn held(&self, now: u64, horizon: Slot) -> Vec<Slot> {
        let mut held = Vec::new();
        for entry in self.entries().leases.values() {
            if entry.slot < horizon && entry.until <= now {
                entry.has_expired.store(true, Ordering::Release);
            } else {
                held.push(entry.slot);
            }
        }
        held
    }

    /// All leases.
    pub(crate) fn list(&self) -> Vec<LeaseInfo> {
        let info = |entry: &Entry| LeaseInfo {
            slot: entry.slot,
            purpose: entry.purpose.clone(),
            until: entry.until,
            process: None,
        };
        self.entries().leases.values().map(info).collect()
    }
}

impl Lease {
    /// Whether what it kept may be gone.
    pub(crate) fn has_expired(&self) -> bool {
        self.has_expired.load(Ordering::Acquire)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.leases().entries().leases.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Holder for Leases {
        fn leases(&self) -> &Leases {
            self
        }
    }

    #[test]
    fn a_lease_holds_until_its_time_is_over_and_somebody_wants_its_slot_gone() {
        let leases = Arc::new(Leases::default());
        let holder: Arc<dyn Holder> = Arc::clone(&leases) as _;
        let early = Leases::take(&holder, 100, "view", 50);
        let late = Leases::take(&holder, 200, "snapshot", 90);
        assert_eq!(leases.held(49, 300), [100, 200]);
        assert_eq!(leases.held(60, 100), [100, 200], "nothing below slot 100 is in its way");
        assert!(!early.has_expired());
        assert_eq!(leases.held(60, 101), [200]);
        assert!(early.has_expired() && !late.has_expired());
        assert_eq!(leases.list().len(), 2);
        drop((early, late));
        assert!(leases.list().is_empty() && leases.held(60, 300).is_empty());
    }
}
