//! What was done with a feed, for progress and for the summary at the end.
//!
//! What it does *not* do: say how much of it is durable.

/// What was done with a feed so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Bytes of the feed, uncompressed.
    pub bytes: u64,
    /// Slots that were written and committed.
    pub slots_committed: u64,
    /// Slots that were there already, their accounts not written again.
    pub slots_there: u64,
    /// Slots that ended without an end, recorded as dead.
    pub slots_dead: u64,
    /// Slots passed over: behind the store's root and not known to it, or on a parent that the store
    /// does not hold.
    pub slots_passed: u64,
    /// Accounts that were written, also those in slots that died.
    pub accounts_written: u64,
    /// Accounts of slots that were there already or passed over, not written.
    pub accounts_passed: u64,
    /// Slots that became final; not those that were final before.
    pub rooted: u64,
    /// Slots that were abandoned, dead ones apart; not those that were abandoned before.
    pub abandoned: u64,
}
