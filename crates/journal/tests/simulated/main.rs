//! Journals on a simulated disk: against a model, through crashes, losses of power, faults and rot.
//!
//! Every case is made from a seed, and a failed one names it.

mod crashes;
mod defects;
mod driver;
mod faults;
mod model;
mod once_wrong;
mod random;
mod rot;
mod rules;
mod workloads;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use icecore_journal::{CreateOptions, Indexes, Options};

/// Where the journals lie.
const FOLDER: &str = "/state/journal";

fn folder() -> &'static Path {
    Path::new(FOLDER)
}

/// Small segments and few stream heads, so that segments end and heads are forgotten soon.
fn options() -> Options {
    Options {
        background: false,
        segment_bytes_max: 64 << 10,
        stream_heads_max: 8,
        ..Options::default()
    }
}

fn create_options() -> CreateOptions {
    CreateOptions { indexes: Indexes::ALL, ..CreateOptions::default() }
}

/// Runs a case for each of the seeds.
fn for_seeds(seeds: std::ops::Range<u64>, case: impl Fn(u64)) {
    for seed in seeds {
        let ended = catch_unwind(AssertUnwindSafe(|| case(seed)));
        assert!(ended.is_ok(), "the case with seed {seed} failed, see above");
    }
}
