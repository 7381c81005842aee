//! What a verdict says: of sound archives, of archives with one thing wrong, of archives with any
//! bit flipped or any end cut off.
//!
//! `ICECORE_EXHAUSTIVE=1` makes the damage tests go over every position instead of a sample
//! (`ICECORE_SEED`), one bit of each byte; `ICECORE_EXHAUSTIVE=8` flips all eight. Both are meant
//! for `--release`, `--nocapture` shows what came through and why it may.

mod archive_index;
mod case;
mod checks;
mod damage;
mod decoded;
mod into_store;
mod invariance;
mod memory;
mod onto_base;
mod refusals;
mod support;
mod truth;
mod writing;
