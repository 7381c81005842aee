//! Verification of the best pair in a folder, against what this machine allows (design.md,
//! section 7).
//!
//! In every round, one after the other: decompression on one core ([`stream`]), the `blake3` crate
//! over the same accounts on one core ([`hash`]), a memory copy, verification in every variant
//! ([`variants`]), and, where it is there, the reference client's loader. The best of all rounds
//! counts, as the machine is shared.
//!
//! `bound = max((T_zstd + T_hash + T_copy) / cores, longest decompression of an archive)`, where
//! `T_hash` is the crate's time by 1.6, and an archive's decompression takes its part of `T_zstd`
//! by as many of its frames as can be decompressed side by side. In the *strict* bound `T_hash` is
//! the time of our own kernel: nothing that is built around it can be faster.
//!
//! The loader is `oracle/bin/agaveload` in the shared folder (`ICECORE_SHARED`, else `../shared`);
//! it needs `genesis.bin` beside the archives.

mod figures;
mod hash;
mod memory;
mod stream;
mod variants;

use std::{
    io::Write,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::Command,
};

use self::{figures::Archive, variants::variants};
pub(crate) use self::{
    figures::{Best, Figures},
    memory::Sampler,
    stream::Decoder,
    variants::{RunArguments, run_once},
};
use crate::Failure;
use icecore_archive::zstd_frames::FrameKind;
use icecore_disk::{Output, Publish, Stopwatch};
use icecore_restore::{Frame, Progress, candidates, path_of, read_frames};

/// Bytes that are copied at once: more than any cache holds.
const COPY_BYTES: usize = 256 << 20;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder with the archives
    folder: PathBuf,
    /// Rounds; the best counts
    #[arg(default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only the default, not what differs from it in one thing
    #[arg(long)]
    no_variants: bool,
    /// Where to put the figures as JSON, too
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let figures = measure(&arguments.folder, arguments.rounds, !arguments.no_variants)?;
    figures.print();
    if let Some(path) = &arguments.json {
        let mut output = Output::create(path)?;
        output
            .write_all(serde_json::to_string_pretty(&figures.json(arguments.rounds))?.as_bytes())?;
        output.publish(Publish::Replace)?;
    }
    Ok(())
}

pub(crate) fn measure(folder: &Path, rounds: u32, all_variants: bool) -> Result<Figures, Failure> {
    let mut archives = archives(folder)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let loader = loader();
    let (mut decode, mut hash, mut copy) = (Best::none(), Best::none(), Best::none());
    let (mut own_hash, mut reference) = (Best::none(), None);
    let mut hashed = hash::Hashed::default();
    let mut variants = variants(cores, all_variants);
    for _ in 0..rounds {
        let mut seconds = 0.0;
        for archive in &mut archives {
            let mut decoder = stream::Decoder::open(&archive.path)?;
            while decoder.next()?.is_some() {}
            archive.decode.offer(decoder.seconds());
            archive.tar_bytes = decoder.bytes();
            seconds += decoder.seconds();
        }
        decode.offer(seconds);

        hashed = hash::Hashed::default();
        for archive in &archives {
            hash::of_archive(&archive.path, &mut hashed)?;
        }
        hash.offer(hashed.seconds);
        own_hash.offer(hashed.own_seconds);

        let bytes = archives.iter().map(|archive| archive.tar_bytes).sum();
        copy.offer(copy_of(bytes));

        for variant in &mut variants {
            variant.run(folder, cores)?;
        }

        if let Some(seconds) = loader.as_deref().and_then(|loader| load(loader, folder)) {
            reference.get_or_insert(Best::none()).offer(seconds);
        }
    }
    let figures =
        Figures { cores, archives, hashed, decode, hash, own_hash, copy, variants, reference };
    figures.check_that_variants_agree()?;
    Ok(figures)
}

/// The archives of the best pair.
fn archives(folder: &Path) -> Result<Vec<Archive>, Failure> {
    let candidates = candidates(folder)?;
    let (full, incremental) = icecore_archive::choose::best_pair(&candidates)
        .ok_or_else(|| format!("{}: no archives", folder.display()))?;
    let mut archives = Vec::new();
    for found in [Some(full), incremental].into_iter().flatten() {
        let path = path_of(folder, found);
        let mut frames = 0;
        read_frames(&path, &Progress::default(), |frame| {
            let Frame::Zstd { kind, .. } = frame else { return ControlFlow::Break(()) };
            frames += u64::from(matches!(kind, FrameKind::Data { .. }));
            ControlFlow::Continue(())
        })?;
        if frames == 0 {
            return Err(format!("{}: only zstd archives have a bound", path.display()).into());
        }
        archives.push(Archive { path, frames, tar_bytes: 0, decode: Best::none() });
    }
    Ok(archives)
}

/// Seconds to copy so many bytes once from memory to memory.
fn copy_of(bytes: u64) -> f64 {
    let source = vec![1u8; COPY_BYTES];
    let mut target = vec![2u8; COPY_BYTES];
    let stopwatch = Stopwatch::start();
    let mut left = bytes;
    while left > 0 {
        let now = left.min(COPY_BYTES as u64);
        let range = ..usize::try_from(now).expect("no more than the buffer has");
        target[range].copy_from_slice(std::hint::black_box(&source[range]));
        std::hint::black_box(&mut target);
        left -= now;
    }
    stopwatch.seconds()
}

/// The reference client's loader, if it is there.
pub(crate) fn loader() -> Option<PathBuf> {
    let shared = match std::env::var_os("ICECORE_SHARED") {
        Some(shared) => PathBuf::from(shared),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
    };
    Some(shared.join("oracle/bin/agaveload")).filter(|loader| icecore_disk::exists(loader))
}

/// Wall seconds that the reference client's loader states; `None` when it does not load the pair.
fn load(loader: &Path, folder: &Path) -> Option<f64> {
    if !icecore_disk::exists(folder.join("genesis.bin")) {
        return None;
    }
    let output = Command::new(loader).arg("--dir").arg(folder).arg("--json").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let value = text.split("\"wall_s\":").nth(1)?;
    value.split([',', '}']).next()?.trim().parse().ok()
}

/// Records and bytes of tar of an archive, as they are counted here.
#[cfg(test)]
pub(crate) fn records_of(path: &Path) -> (u64, u64) {
    let mut hashed = hash::Hashed::default();
    hash::of_archive(path, &mut hashed).expect("an archive");
    let mut decoder = stream::Decoder::open(path).expect("an archive");
    while decoder.next().expect("an archive").is_some() {}
    (hashed.records, decoder.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_whose_frames_go_side_by_side_is_bound_by_its_part() {
        let archive = |frames, seconds| Archive {
            path: PathBuf::new(),
            frames,
            tar_bytes: 1,
            decode: Best(seconds),
        };
        let mut figures = Figures {
            cores: 4,
            archives: Vec::new(),
            hashed: hash::Hashed::default(),
            decode: Best(9.0),
            hash: Best(3.2),
            own_hash: Best(1.0),
            copy: Best(1.0),
            variants: Vec::new(),
            reference: None,
        };
        for (archives, bound) in [
            (vec![archive(1, 8.0), archive(1, 1.0)], 8.0),
            (vec![archive(100, 8.0), archive(1, 1.0)], 2.0),
            (vec![archive(2, 8.0)], 4.0),
        ] {
            figures.archives = archives;
            assert_eq!(figures.decode_bound(), bound);
            // Work is (9 + 3.2 / 1.6 + 1) / 4 seconds, and strictly (9 + 1 + 1) / 4.
            assert_eq!(figures.bound(), bound.max(3.0));
            assert_eq!(figures.strict_bound(), bound.max(2.75));
        }
    }
}
