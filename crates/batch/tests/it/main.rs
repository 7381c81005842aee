//! The factory on real archives. What it makes is loaded by the reference client, where this machine
//! has it, and verified by ours with warnings as failures.

mod recompress;
mod support;
