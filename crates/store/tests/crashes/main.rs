//! What a store is after crashes, faults of the disk, and rot.

#[path = "../kit/mod.rs"]
mod kit;

mod faults;
mod matrix;
mod rot;
