//! The ways in which verification is run beside each other, and what each of them took.
//!
//! A variant differs from the default in one thing, so that its row tells what that thing costs.
//!
//! Every run is a process of its own, this binary executed again: what one run frees, the allocator
//! keeps, and the next would have it in its peak. Only verification is timed, not the process.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use icecore_disk::Stopwatch;
use icecore_restore::{Isolation, Options, Pair, Placement, Progress, TilePlan, verify};
use icecore_tile::SandboxMode;
use serde_json::{Value, json};

use super::{figures::Best, memory::Sampler};
use crate::Failure;

/// A limit that makes most archives spill: the least that the command line takes.
const SMALL_LIMIT_BYTES: u64 = 16 << 20;

/// A way to verify, and the figures of all rounds.
pub(super) struct Variant {
    pub(super) name: &'static str,
    options: Options,
    pub(super) seconds: Best,
    /// Anonymous and shared memory while verifying, in bytes: the highest of any round.
    pub(super) memory_bytes: u64,
    /// What the last run printed.
    run: Value,
}

/// One run of one variant, in a process of its own.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArguments {
    folder: PathBuf,
    variant: String,
    cores: usize,
}

/// The default, and with `all` what differs from it in one thing.
pub(super) fn variants(cores: usize, all: bool) -> Vec<Variant> {
    let default = || Options::for_cores(cores);
    let tiles = |plan: &str| Options {
        tiles: plan.parse::<TilePlan>().expect("plans here are well-formed"),
        ..default()
    };
    let placed = |placement| Options { placement, ..default() };
    let mut named = vec![("default", default())];
    if all {
        named.extend([
            ("read+split+parse", tiles("read+split+parse")),
            ("hash=1", tiles("hash=1")),
            ("hash=4,decompress=2", tiles("hash=4,decompress=2")),
            (
                "sandbox off",
                placed(Placement { sandbox: SandboxMode::Off, ..Placement::default() }),
            ),
            ("16 MiB limit", Options { memory_bytes_max: SMALL_LIMIT_BYTES, ..default() }),
            (
                "all on threads",
                placed(Placement { isolation: Isolation::Threads, ..Placement::default() }),
            ),
        ]);
    }
    let variant = |(name, options)| Variant {
        name,
        options,
        seconds: Best::none(),
        memory_bytes: 0,
        run: Value::Null,
    };
    named.into_iter().map(variant).collect()
}

/// Verifies once and prints what that took, as JSON.
pub(crate) fn run_once(arguments: &RunArguments) -> Result<(), Failure> {
    let variant = variants(arguments.cores, true)
        .into_iter()
        .find(|variant| variant.name == arguments.variant)
        .ok_or_else(|| format!("there is no variant '{}'", arguments.variant))?;
    let sampler = Sampler::start();
    let stopwatch = Stopwatch::start();
    let report = Pair::best_in(&arguments.folder)
        .and_then(|mut pair| verify(&mut pair, &variant.options, &Progress::default()));
    let seconds = stopwatch.seconds();
    let peak_memory_bytes = sampler.stop().family_bytes;
    let report = report?;
    let run = json!({
        "seconds": seconds,
        "peak_memory_bytes": peak_memory_bytes,
        "answer": report.answer().word(),
        "archives": report.archives,
        "work": report.work,
    });
    println!("{run}");
    Ok(())
}

impl Variant {
    /// Verifies the best pair in a folder once, by [`run_once`] in a new process.
    pub(super) fn run(&mut self, folder: &Path, cores: usize) -> Result<(), Failure> {
        let output = Command::new("/proc/self/exe")
            .arg("bound-run")
            .arg(folder)
            .arg(self.name)
            .arg(cores.to_string())
            .output()?;
        if !output.status.success() {
            let problem = String::from_utf8_lossy(&output.stderr);
            return Err(format!("variant '{}': {}", self.name, problem.trim()).into());
        }
        self.run = serde_json::from_slice(&output.stdout)?;
        let told = "a run tells its time and memory";
        self.seconds.offer(self.run["seconds"].as_f64().ok_or(told)?);
        let bytes = self.run["peak_memory_bytes"].as_u64().ok_or(told)?;
        self.memory_bytes = self.memory_bytes.max(bytes);
        Ok(())
    }

    /// The worst answer of the last run.
    pub(super) fn answer(&self) -> &str {
        self.run["answer"].as_str().unwrap_or("unknown")
    }

    /// The verdicts of the last run.
    pub(super) fn verdicts(&self) -> &Value {
        &self.run["archives"]
    }

    /// The counters of the last run.
    pub(super) fn work(&self) -> &Value {
        &self.run["work"]
    }

    /// As JSON, with the bound and the strict one in seconds, and what was verified.
    pub(super) fn json(&self, bounds: [f64; 2], tar_bytes: u64, records: u64) -> Value {
        let seconds = self.seconds.0;
        json!({
            "variant": self.name,
            "seconds": seconds,
            "by_bound": seconds / bounds[0],
            "by_strict_bound": seconds / bounds[1],
            "bytes_per_second": tar_bytes as f64 / seconds,
            "records_per_second": records as f64 / seconds,
            "peak_memory_bytes": self.memory_bytes,
            "memory_limit_bytes": self.options.memory_bytes_max,
            "verdict": self.answer(),
            "work": self.work(),
        })
    }
}
