//! Manifests of a journal: no panic, and what is read is consistent and written as it was.

#![no_main]

use icecore_journal::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzzing::manifest(bytes));
