//! Runs: nothing panics or hangs, and what a check takes answers every question.

#![no_main]

use icecore_store::run::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzzing::run(bytes));
