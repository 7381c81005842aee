//! The factory on real archives. What it makes is loaded by the reference client, where this machine
//! has it, and verified by ours with warnings as failures.

mod create;
mod extract;
mod fed;
mod full_disk;
mod merge;
mod minimize;
mod packing;
mod recompress;
mod service;
mod support;
mod traps;
