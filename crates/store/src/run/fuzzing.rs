//! Any bytes as a run: what a fuzzer runs, and what a test builds upon.
//!
//! The bytes become the blocks of a file; checksums, identity and the footer's digest are set right, so
//! that what is behind them is reached.
//!
//! What it does *not* do: judge answers. Nothing panics or hangs, and what `check` takes can be read.
