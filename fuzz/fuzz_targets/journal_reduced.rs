//! What is left of chain segments: nothing panics, and what is read is written again byte for byte.

#![no_main]

use icecore_journal::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzzing::reduced(bytes));
