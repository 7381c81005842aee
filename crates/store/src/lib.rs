//! Account state over the journal: restored at full speed, fork-aware, readable at any kept slot.

mod error;
mod locator;
mod record;

pub use error::Error;
pub use locator::{Locator, SizeClass};
pub use record::{Origin, RecordFault, RecordSeed, Version};
