//! Control pages: nobody panics or hangs, what is read is in bounds, a new writer repairs them.

#![no_main]

use icecore_journal::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzzing::control(bytes));
