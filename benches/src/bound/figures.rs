//! What was measured, the bound that follows from it, and how both are shown.

use std::path::PathBuf;

use serde_json::json;

use super::{hash, variants::Variant};
use crate::Failure;

/// How much faster than the `blake3` crate a lattice kernel is taken to be (design.md, section 7).
/// With AVX2 only, where that crate has no wide code for its output, ours is faster than this, and
/// the bound is loose: that is what the strict one is for.
const KERNEL_RATIO: f64 = 1.6;

/// The best of several times, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Best(pub(crate) f64);

impl Best {
    pub(crate) fn none() -> Self {
        Self(f64::INFINITY)
    }

    pub(crate) fn offer(&mut self, seconds: f64) {
        self.0 = self.0.min(seconds);
    }
}

/// An archive to be verified.
pub(super) struct Archive {
    pub(super) path: PathBuf,
    pub(super) frames: u64,
    pub(super) tar_bytes: u64,
    pub(super) decode: Best,
}

/// The figures of all rounds.
pub(crate) struct Figures {
    pub(crate) cores: usize,
    pub(super) archives: Vec<Archive>,
    pub(super) hashed: hash::Hashed,
    /// `T_zstd`, of rounds as a whole.
    pub(super) decode: Best,
    pub(super) hash: Best,
    /// Our own kernel over the same records on one core.
    pub(super) own_hash: Best,
    pub(super) copy: Best,
    /// The default first.
    pub(super) variants: Vec<Variant>,
    pub(super) reference: Option<Best>,
}

impl Figures {
    pub(crate) fn tar_bytes(&self) -> u64 {
        self.archives.iter().map(|archive| archive.tar_bytes).sum()
    }

    /// Records of all archives.
    pub(crate) fn records(&self) -> u64 {
        self.hashed.records
    }

    /// `T_zstd`, `T_hash` and `T_copy`, in seconds.
    pub(crate) fn parts(&self) -> [f64; 3] {
        [self.decode.0, self.hash_bound(), self.copy.0]
    }

    /// Our own kernel over the same records on one core, in seconds.
    pub(crate) fn own_hash(&self) -> f64 {
        self.own_hash.0
    }

    /// Verification as it is by default, in seconds.
    pub(crate) fn verified(&self) -> f64 {
        self.default().seconds.0
    }

    fn hash_bound(&self) -> f64 {
        self.hash.0 / KERNEL_RATIO
    }

    /// Seconds of work, shared by all cores, when hashing takes so many.
    pub(super) fn shared_bound(&self, hash_seconds: f64) -> f64 {
        (self.decode.0 + hash_seconds + self.copy.0) / self.cores as f64
    }

    /// Seconds of the archive whose frames take longest.
    pub(crate) fn decode_bound(&self) -> f64 {
        let side_by_side = |archive: &Archive| archive.frames.min(self.cores as u64) as f64;
        self.archives
            .iter()
            .map(|archive| archive.decode.0 / side_by_side(archive))
            .fold(0.0, f64::max)
    }

    pub(super) fn bound(&self) -> f64 {
        self.shared_bound(self.hash_bound()).max(self.decode_bound())
    }

    /// The bound with our own kernel's time.
    pub(super) fn strict_bound(&self) -> f64 {
        self.shared_bound(self.own_hash.0).max(self.decode_bound())
    }

    fn default(&self) -> &Variant {
        self.variants.first().expect("the default is always measured")
    }

    /// A figure of a variant that says something else is worth nothing.
    pub(super) fn check_that_variants_agree(&self) -> Result<(), Failure> {
        let first = self.default();
        match self.variants.iter().find(|one| one.verdicts() != first.verdicts()) {
            Some(other) => Err(format!(
                "variants '{}' and '{}' come to different verdicts; compare 'icecore snapshot \
                 verify --output json' of both",
                first.name, other.name
            )
            .into()),
            None => Ok(()),
        }
    }

    pub(super) fn print(&self) {
        let row = |name: &str, text: String| println!("{name:<16}{text}");
        for archive in &self.archives {
            row(
                "archive",
                format!(
                    "{}: {} frames, {} bytes of tar",
                    archive.path.display(),
                    archive.frames,
                    archive.tar_bytes
                ),
            );
        }
        let default = self.default();
        row("records", format!("{}, {} hashed", self.hashed.records, self.hashed.accounts));
        row("looked at again", default.work()["records_looked_at_again"].to_string());
        row("verdict", default.answer().to_string());
        row("kernel", default.work()["kernel"].as_str().unwrap_or("unknown").to_string());
        row("T_zstd", format!("{:.3} s", self.decode.0));
        row(
            "T_hash",
            format!(
                "{:.3} s (blake3 {:.3} s), strictly {:.3} s (our kernel)",
                self.hash_bound(),
                self.hash.0,
                self.own_hash.0
            ),
        );
        row("T_copy", format!("{:.3} s", self.copy.0));
        for (name, bound, hash_seconds) in [
            ("bound", self.bound(), self.hash_bound()),
            ("strict bound", self.strict_bound(), self.own_hash.0),
        ] {
            row(
                name,
                format!(
                    "{bound:.3} s on {} cores (work {:.3} s, decompression {:.3} s)",
                    self.cores,
                    self.shared_bound(hash_seconds),
                    self.decode_bound()
                ),
            );
        }
        let seconds = default.seconds.0;
        row(
            "reference",
            match self.reference {
                Some(best) => {
                    format!(
                        "{:.3} s to load and verify, {:.2} times ours",
                        best.0,
                        best.0 / seconds
                    )
                }
                None => "does not load it, or is not there".to_string(),
            },
        );
        self.print_variants();
    }

    /// Memory is anonymous and shared; ratios are times the bound.
    fn print_variants(&self) {
        println!(
            "\n{:<20} {:>8} {:>8} {:>11} {:>8} {:>8} {:>9} {:>12}",
            "verify", "s", "GB/s", "M records/s", "/bound", "/strict", "peak MiB", "spilled MiB"
        );
        for variant in &self.variants {
            let seconds = variant.seconds.0;
            println!(
                "{:<20} {seconds:>8.3} {:>8.3} {:>11.2} {:>8.2} {:>8.2} {:>9} {:>12}",
                variant.name,
                self.tar_bytes() as f64 / seconds / 1e9,
                self.hashed.records as f64 / seconds / 1e6,
                seconds / self.bound(),
                seconds / self.strict_bound(),
                variant.memory_bytes >> 20,
                variant.work()["bytes_spilled"].as_u64().unwrap_or(0) >> 20,
            );
        }
    }

    pub(super) fn json(&self, rounds: u32) -> serde_json::Value {
        let archives: Vec<_> = self
            .archives
            .iter()
            .map(|archive| {
                json!({
                    "file": archive.path.file_name().map(|name| name.to_string_lossy()),
                    "frames": archive.frames,
                    "tar_bytes": archive.tar_bytes,
                    "zstd_seconds": archive.decode.0,
                })
            })
            .collect();
        let bounds = [self.bound(), self.strict_bound()];
        let (tar_bytes, records) = (self.tar_bytes(), self.hashed.records);
        let variants = self.variants.iter();
        let variants: Vec<_> =
            variants.map(|variant| variant.json(bounds, tar_bytes, records)).collect();
        let default = self.default();
        json!({
            "archives": archives,
            "rounds": rounds,
            "cores": self.cores,
            "kernel": default.work()["kernel"],
            "verdict": default.answer(),
            "records": records,
            "records_hashed": self.hashed.accounts,
            "tar_bytes": tar_bytes,
            "zstd_seconds": self.decode.0,
            "blake3_seconds": self.hash.0,
            "hash_seconds": self.hash_bound(),
            "own_kernel_seconds": self.own_hash.0,
            "copy_seconds": self.copy.0,
            "bound_seconds": self.bound(),
            "strict_bound_seconds": self.strict_bound(),
            "variants": variants,
            "reference_seconds": self.reference.map(|best| best.0),
        })
    }
}
