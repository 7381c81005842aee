//! Proofs, receipts and signed heads of the journal: no panic, what decodes encodes to the same
//! bytes, and nothing is shown against a head that it was not made for.

#![no_main]

use icecore_journal::fuzzing::journal_proof;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| journal_proof(bytes));
