//! The factory on real archives. What it makes is loaded by the reference client, where this machine
//! has it, and verified by ours with warnings as failures.

mod extract;
mod full_disk;
mod merge;
mod minimize;
mod recompress;
mod support;
