//! Index files: nothing panics or hangs, and what is found forward is found backward.

#![no_main]

use icecore_journal::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzzing::index_file(bytes));
