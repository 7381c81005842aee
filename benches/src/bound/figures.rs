//! What was measured, the bound that follows from it, and how both are shown.

use std::path::PathBuf;

use icecore_restore::Report;
use serde_json::json;

use super::hash;

/// How much faster than the `blake3` crate a lattice kernel is taken to be (design.md, section 7).
/// With AVX2 only, where that crate has no wide code for its output, ours is faster than this, and
/// the bound is loose.
const KERNEL_RATIO: f64 = 1.6;

/// The best of several times, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Best(pub(super) f64);

impl Best {
    pub(super) fn none() -> Self {
        Self(f64::INFINITY)
    }

    pub(super) fn offer(&mut self, seconds: f64) {
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
pub(super) struct Figures {
    pub(super) cores: usize,
    pub(super) archives: Vec<Archive>,
    pub(super) hashed: hash::Hashed,
    /// `T_zstd`, of rounds as a whole.
    pub(super) decode: Best,
    pub(super) hash: Best,
    /// Our own kernel over the same records on one core.
    pub(super) own_hash: Best,
    pub(super) copy: Best,
    pub(super) verify: Best,
    pub(super) reference: Option<Best>,
    /// Anonymous and shared memory while verifying, in bytes: the highest of any round.
    pub(super) memory_bytes: u64,
    pub(super) report: Report,
}

impl Figures {
    pub(super) fn tar_bytes(&self) -> u64 {
        self.archives.iter().map(|archive| archive.tar_bytes).sum()
    }

    fn hash_bound(&self) -> f64 {
        self.hash.0 / KERNEL_RATIO
    }

    /// Seconds of work, shared by all cores.
    pub(super) fn shared_bound(&self) -> f64 {
        (self.decode.0 + self.hash_bound() + self.copy.0) / self.cores as f64
    }

    /// Seconds of the archive whose frames take longest.
    pub(super) fn decode_bound(&self) -> f64 {
        let side_by_side = |archive: &Archive| archive.frames.min(self.cores as u64) as f64;
        self.archives
            .iter()
            .map(|archive| archive.decode.0 / side_by_side(archive))
            .fold(0.0, f64::max)
    }

    pub(super) fn bound(&self) -> f64 {
        self.shared_bound().max(self.decode_bound())
    }

    pub(super) fn print(&self) {
        let row = |name: &str, text: String| println!("{name:<16}{text}");
        let seconds = self.verify.0;
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
        row("records", format!("{}, {} hashed", self.hashed.records, self.hashed.accounts));
        row("looked at again", self.report.work.records_looked_at_again.to_string());
        row("verdict", self.report.answer().word().to_string());
        row("T_zstd", format!("{:.3} s", self.decode.0));
        row(
            "T_hash",
            format!(
                "{:.3} s (blake3 {:.3} s, our kernel {:.3} s)",
                self.hash_bound(),
                self.hash.0,
                self.own_hash.0
            ),
        );
        row("T_copy", format!("{:.3} s", self.copy.0));
        row(
            "bound",
            format!(
                "{:.3} s on {} cores (work {:.3} s, decompression {:.3} s)",
                self.bound(),
                self.cores,
                self.shared_bound(),
                self.decode_bound()
            ),
        );
        row(
            "verify",
            format!(
                "{seconds:.3} s, {:.2} times the bound, {:.2} GB/s, {:.2} million accounts/s, \
                 {} kernel",
                seconds / self.bound(),
                self.tar_bytes() as f64 / seconds / 1e9,
                self.hashed.records as f64 / seconds / 1e6,
                self.report.work.kernel,
            ),
        );
        row("peak memory", format!("{} MiB, anonymous and shared", self.memory_bytes >> 20));
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
        json!({
            "archives": archives,
            "rounds": rounds,
            "cores": self.cores,
            "kernel": self.report.work.kernel,
            "verdict": self.report.answer().word(),
            "records": self.hashed.records,
            "records_hashed": self.hashed.accounts,
            "records_looked_at_again": self.report.work.records_looked_at_again,
            "tar_bytes": self.tar_bytes(),
            "zstd_seconds": self.decode.0,
            "blake3_seconds": self.hash.0,
            "hash_seconds": self.hash_bound(),
            "own_kernel_seconds": self.own_hash.0,
            "copy_seconds": self.copy.0,
            "bound_seconds": self.bound(),
            "verify_seconds": self.verify.0,
            "verify_by_bound": self.verify.0 / self.bound(),
            "verify_bytes_per_second": self.tar_bytes() as f64 / self.verify.0,
            "verify_records_per_second": self.hashed.records as f64 / self.verify.0,
            "peak_memory_bytes": self.memory_bytes,
            "reference_seconds": self.reference.map(|best| best.0),
        })
    }
}
