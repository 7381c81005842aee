//! What a store keeps, and what it gives back: retention, compaction, rebuilding, checking.

#[path = "../kit/mod.rs"]
mod kit;

mod built_on;
mod checking;
mod compaction;
mod crashes;
mod faults;
mod made;
mod rebuilding;
mod world;
