//! Sysvars: what the runtime tells programs about the chain, one account each, owned by the sysvar
//! program and told apart by address.
//!
//! The data is the bincode form of the value (`solana-sysvar` 4.1 and the crates it names); a list
//! lies in an account of fixed size, so that zero bytes follow it while it is short.

mod clock;
mod epoch_rewards;
mod fees;
mod lists;
mod rent;
mod slot_history;

pub use clock::{Clock, LastRestartSlot};
pub use epoch_rewards::EpochRewards;
pub use fees::{Fees, Rewards};
use icecore_types::{Cursor, EpochSchedule, Wire};
pub use lists::{RecentBlockhashes, SlotHashes, StakeHistory};
pub use rent::Rent;
pub use slot_history::{SLOT_HISTORY_BITS, SlotHistory, SlotPresence};

/// Decodes the epoch schedule sysvar; `None` when the data is not one.
pub fn epoch_schedule(data: &[u8]) -> Option<EpochSchedule> {
    first(data)
}

/// The value with which `data` begins.
fn first<T: Wire>(data: &[u8]) -> Option<T> {
    Cursor::new(data).read().ok()
}
