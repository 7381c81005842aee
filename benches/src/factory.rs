//! The snapshot factory over the best pair of a folder, against what this machine allows.
//!
//! Measured in every round, one after the other; the best of all rounds counts:
//!
//! - `decode`: zstd's own time for the archives' tar streams, on one core.
//! - `compress`: the library at level 1 over the same bytes, in pieces of 32 MiB dealt out to as many
//!   threads as there are cores; the wall time of packing alone.
//! - `write`: direct writes of as many bytes as the new archive has, and their sync; `read`: the files
//!   of a store in which the pair was restored, once, after something was made of it.
//! - Each command in a process of its own, with and without a look at what it wrote; memory is that of
//!   the process, and with the decompressors that it starts.
//! - The reference client's writer, which makes one full archive of a pair that it has loaded (the
//!   loading is not counted).
//!
//! Bounds: recompress `decode / cores + compress`; create `max(compress, read + write)`; merge `decode +
//! create`, where create stands for its bound. Merging is held against what creating took, too.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use icecore_archive::{choose::best_pair, writing::frame_plan::FRAME_BYTES_DEFAULT};
use icecore_batch::{Extent, WriteOptions, create, merge, recompress};
use icecore_disk::Stopwatch;
use icecore_restore::{Options, Pair, Progress, candidates, path_of, restore_into};
use icecore_store::{At, CreateOptions, Store};
use serde_json::{Value, json};
use zstd_safe::{CCtx, compress_bound, get_error_name};

use crate::{
    Failure,
    bound::{Best, Decoder, Sampler, loader},
    restore::write_of,
};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder with a full and an incremental archive
    folder: PathBuf,
    /// A folder for what is made; it is removed again
    scratch: PathBuf,
    /// Rounds; the best counts
    #[arg(default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// One command, in a process of its own.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArguments {
    #[arg(value_enum)]
    what: What,
    full: PathBuf,
    incremental: PathBuf,
    store: PathBuf,
    scratch: PathBuf,
    #[arg(long)]
    verify: bool,
}

/// What the factory makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Recompress,
    Merge,
    Create,
}

impl What {
    fn word(self) -> &'static str {
        match self {
            Self::Recompress => "recompress",
            Self::Merge => "merge",
            Self::Create => "create",
        }
    }
}

/// The level of the bound, which is the reference client's own.
const LEVEL: i32 = 1;

/// The best of a command's runs.
struct Measured {
    what: What,
    verify: bool,
    seconds: Best,
    own_bytes: u64,
    family_bytes: u64,
}

/// What an archive's bytes cost.
struct Costs {
    decode: Best,
    compress: Best,
    tar_bytes: u64,
}

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let candidates = candidates(&arguments.folder)?;
    let Some((full, Some(incremental))) = best_pair(&candidates) else {
        return Err(format!("{}: no pair of archives", arguments.folder.display()).into());
    };
    let [full, incremental] = [full, incremental].map(|found| path_of(&arguments.folder, found));
    let scratch = &arguments.scratch;
    std::fs::create_dir_all(scratch)?;
    let mut costs = [Costs::none(), Costs::none(), Costs::none()];
    let (mut write, mut read) = (Best::none(), Best::none());
    let mut reference = Best::none();
    let store = scratch.join("store");
    restore(&full, &incremental, &store)?;
    let mut commands: Vec<_> = [What::Recompress, What::Merge, What::Create]
        .into_iter()
        .flat_map(|what| [false, true].map(|verify| Measured::none(what, verify)))
        .collect();
    let merged = scratch.join("merged.tar.zst");
    for round in 0..arguments.rounds as usize {
        costs[0].offer(&full, cores)?;
        costs[1].offer(&incremental, cores)?;
        // Whoever comes first finds memory and caches as the bounds left them: they take turns.
        for place in 0..commands.len() {
            let place = (round + place) % commands.len();
            let command = &mut commands[place];
            let made = command.run([&full, &incremental, &store, scratch])?;
            match command.what == What::Merge && !command.verify {
                true => std::fs::rename(made, &merged)?,
                false => std::fs::remove_file(made)?,
            }
        }
        costs[2].offer(&merged, cores)?;
        write.offer(write_of(std::fs::metadata(&merged)?.len(), scratch)?);
        std::fs::remove_file(&merged)?;
        read.offer(read_of(&store)?);
        reference.offer(reference_of(&arguments.folder, scratch)?.unwrap_or(f64::INFINITY));
    }
    std::fs::remove_dir_all(&store)?;
    print(cores, &costs, [read, write], &commands, reference);
    Ok(())
}

fn print(
    cores: usize,
    [full, incremental, merged]: &[Costs; 3],
    [read, write]: [Best; 2],
    commands: &[Measured],
    reference: Best,
) {
    for (name, costs) in [("full", full), ("incremental", incremental), ("merged", merged)] {
        println!(
            "{name:<12} decode {:.3} s, compress {:.3} s on {cores} cores, {} bytes of tar",
            costs.decode.0, costs.compress.0, costs.tar_bytes
        );
    }
    println!("write        {:.3} s, the merged archive; read {:.3} s, the store", write.0, read.0);
    let create = merged.compress.0.max(read.0 + write.0);
    println!("create       {create:.3} s, its bound");
    println!(
        "\n{:<22} {:>8} {:>8} {:>8} {:>9} {:>20}",
        "command", "s", "bound", "/bound", "peak MiB", "with children MiB"
    );
    for command in commands {
        let bound = match command.what {
            What::Recompress => full.decode.0 / cores as f64 + full.compress.0,
            What::Merge => full.decode.0 + incremental.decode.0 + create,
            What::Create => create,
        };
        let name = match command.verify {
            true => format!("{}, verified", command.what.word()),
            false => command.what.word().to_string(),
        };
        let seconds = command.seconds.0;
        println!(
            "{name:<22} {seconds:>8.3} {bound:>8.3} {:>8.2} {:>9} {:>20}",
            seconds / bound,
            command.own_bytes >> 20,
            command.family_bytes >> 20
        );
    }
    let of = |what| commands.iter().find(|command| command.what == what && !command.verify);
    if let (Some(merged), Some(created)) = (of(What::Merge), of(What::Create)) {
        let parts = full.decode.0 + incremental.decode.0 + created.seconds.0;
        println!("merge by decode and create as measured: {:.2}", merged.seconds.0 / parts);
    }
    match reference.0.is_finite() {
        true => println!("reference's writer     {:>8.3}", reference.0),
        false => println!("reference's writer: is not there, or does not load the pair"),
    }
}

/// Runs once and prints what that took, as JSON.
pub(crate) fn run_once(arguments: &RunArguments) -> Result<(), Failure> {
    let RunArguments { what, full, incremental, store, scratch, verify } = arguments;
    let (options, progress) = (Options::default(), Progress::default());
    let write = WriteOptions { verify: *verify, ..WriteOptions::default() };
    let sampler = Sampler::start();
    let stopwatch = Stopwatch::start();
    let path = match what {
        What::Recompress => recompress(full, scratch, &write, &options, &progress)?.made.path,
        What::Merge => merge(full, incremental, scratch, &write, &options, &progress)?.made.path,
        What::Create => {
            let store = Store::open(store, icecore_store::Options::default())?;
            let path =
                create(&store, At::Root, Extent::Full, scratch, &write, &options, &progress)?.path;
            store.close()?;
            path
        }
    };
    let seconds = stopwatch.seconds();
    let peak = sampler.stop();
    println!(
        "{}",
        json!({
            "seconds": seconds,
            "own_bytes": peak.own_bytes,
            "family_bytes": peak.family_bytes,
            "path": path,
        })
    );
    Ok(())
}

impl Measured {
    fn none(what: What, verify: bool) -> Self {
        Self { what, verify, seconds: Best::none(), own_bytes: 0, family_bytes: 0 }
    }

    /// One run in a new process; says what was made.
    fn run(&mut self, paths: [&Path; 4]) -> Result<PathBuf, Failure> {
        let mut command = Command::new("/proc/self/exe");
        command.arg("factory-run").arg(self.what.word());
        command.args(paths);
        command.args(self.verify.then_some("--verify"));
        let output = command.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().into());
        }
        let run: Value = serde_json::from_slice(&output.stdout)?;
        let number = |name: &str| run[name].as_f64().ok_or("a run tells its time and memory");
        self.seconds.offer(number("seconds")?);
        self.own_bytes = self.own_bytes.max(number("own_bytes")? as u64);
        self.family_bytes = self.family_bytes.max(number("family_bytes")? as u64);
        Ok(run["path"].as_str().ok_or("a run tells what it made")?.into())
    }
}

impl Costs {
    fn none() -> Self {
        Self { decode: Best::none(), compress: Best::none(), tar_bytes: 0 }
    }

    /// Decodes an archive and packs its tar stream, a piece for each core at a time, so that memory
    /// does not depend on the archive.
    fn offer(&mut self, archive: &Path, cores: usize) -> Result<(), Failure> {
        let piece_bytes = FRAME_BYTES_DEFAULT as usize;
        let mut decoder = Decoder::open(archive)?;
        let mut contexts: Vec<_> = (0..cores).map(|_| CCtx::create()).collect();
        let mut outputs = vec![vec![0u8; compress_bound(piece_bytes)]; cores];
        let mut pieces = Vec::with_capacity(piece_bytes * cores + (1 << 20));
        let mut seconds = 0.0;
        loop {
            let more = decoder.next()?;
            let has_ended = more.is_none();
            pieces.extend_from_slice(more.unwrap_or_default());
            let count = match has_ended {
                true => pieces.len(),
                false if pieces.len() < piece_bytes * cores => continue,
                false => piece_bytes * cores,
            };
            // Of what is left at the end each core has its part.
            let part = piece_bytes.min(count.div_ceil(cores).max(1));
            let work = pieces[..count].chunks(part).zip(contexts.iter_mut().zip(&mut outputs));
            let stopwatch = Stopwatch::start();
            thread::scope(|scope| {
                let threads: Vec<_> = work
                    .map(|(piece, (context, output))| {
                        scope.spawn(move || context.compress(&mut output[..], piece, LEVEL))
                    })
                    .collect();
                threads.into_iter().try_for_each(|thread| {
                    let packed = thread.join().expect("packing does not panic");
                    packed.map(drop).map_err(get_error_name)
                })
            })?;
            seconds += stopwatch.seconds();
            pieces.drain(..count);
            if has_ended {
                break;
            }
        }
        self.decode.offer(decoder.seconds());
        self.compress.offer(seconds);
        self.tar_bytes = decoder.bytes();
        Ok(())
    }
}

/// Restores the pair into a new store.
fn restore(full: &Path, incremental: &Path, store: &Path) -> Result<(), Failure> {
    let made = CreateOptions::default();
    let store = Store::create(store, &made, icecore_store::Options::default())?;
    let mut pair = Pair::files(full, Some(incremental))?;
    let progress = Progress::default();
    restore_into(&mut pair, &Options::default(), &store, &progress, |_| b"{}".to_vec())?;
    Ok(store.close()?)
}

/// Seconds to read all files below a folder.
fn read_of(folder: &Path) -> Result<f64, Failure> {
    let mut buffer = vec![0; 1 << 20];
    let mut folders = vec![folder.to_path_buf()];
    let stopwatch = Stopwatch::start();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let found = std::fs::metadata(&path)?;
            if found.is_dir() {
                folders.push(path);
            } else if found.is_file() {
                let file = icecore_disk::File::open(&path)?;
                let mut offset = 0;
                while offset < file.bytes() {
                    offset += file.read_at(offset, &mut buffer)?.max(1) as u64;
                }
            }
        }
    }
    Ok(stopwatch.seconds())
}

/// Seconds that the reference client takes to write the pair as one full archive, once it is loaded;
/// `None` when it is not there or does not load it.
fn reference_of(folder: &Path, scratch: &Path) -> Result<Option<f64>, Failure> {
    let Some(loader) = loader() else { return Ok(None) };
    let target = scratch.join("reference");
    let mut command = Command::new(loader);
    command.arg("--dir").arg(folder).arg("--json").arg("--write-full").arg(&target);
    command.args(["--format", "zstd", "--zstd-level", "1"]);
    let output = command.output()?;
    if icecore_disk::exists(&target) {
        std::fs::remove_dir_all(&target)?;
    }
    // It logs to the same stream.
    let text = String::from_utf8(output.stdout)?;
    let answer = text.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(answer.and_then(|answer| answer["write_full"]["wall_s"].as_f64()))
}
