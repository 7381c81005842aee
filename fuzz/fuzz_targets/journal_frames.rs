//! Any bytes as the content of a chain segment: stepping through them never panics, never reads
//! outside, and always comes forward; what is taken for a frame can be taken apart.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| icecore_journal::fuzzing::frames(bytes));
