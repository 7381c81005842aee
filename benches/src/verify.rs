//! A verdict on the best pair in a folder, against decompression alone and, where it is there,
//! against the reference client's loader.
//!
//! Each round measures all of them one after the other; the best of all rounds counts, as the
//! machine is shared. The loader is `oracle/bin/agaveload` in the shared folder (`ICECORE_SHARED`,
//! else `../shared`); it needs `genesis.bin` beside the archives.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use icecore_disk::memory_use;
use icecore_restore::{Options, Pair, Progress, candidates, path_of, verify};

/// Rounds, when none are given.
const ROUNDS: usize = 7;

#[derive(Default)]
struct Best(Option<f64>);

impl Best {
    fn offer(&mut self, seconds: f64) {
        self.0 = Some(self.0.map_or(seconds, |best| best.min(seconds)));
    }
}

/// `DIR [ROUNDS]`.
pub(crate) fn run(arguments: &[String]) {
    let folder = PathBuf::from(&arguments[0]);
    let rounds = arguments.get(1).map_or(ROUNDS, |text| text.parse().expect("a number of rounds"));
    let files = files(&folder);
    let compressed: Vec<_> =
        files.iter().map(|file| fs::read(file).expect("an archive that is there")).collect();
    let loader = loader();

    let (mut decode, mut own, mut reference) = (Best::default(), Best::default(), Best::default());
    let mut report = None;
    for _ in 0..rounds {
        let start = Instant::now();
        let bytes: u64 = compressed.iter().map(|archive| decompress(archive)).sum();
        assert!(bytes > 0, "archives hold something");
        decode.offer(start.elapsed().as_secs_f64());

        let mut pair = Pair::best_in(&folder).expect("a pair in the folder");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let start = Instant::now();
        let verified = verify(&mut pair, &Options::for_cores(cores), &Progress::default());
        own.offer(start.elapsed().as_secs_f64());
        report = Some(verified.expect("a verdict"));

        if let Some(seconds) = loader.as_deref().and_then(|loader| load(loader, &folder)) {
            reference.offer(seconds);
        }
    }

    let report = report.expect("one round at least");
    let (decode, own) = (decode.0.expect("measured"), own.0.expect("measured"));
    let work = &report.work;
    println!(
        "archives        {} bytes compressed, {} unpacked",
        work.bytes_read, work.bytes_unpacked
    );
    println!("records         {} ({} looked at again)", work.records, work.records_looked_at_again);
    println!("verdict         {}", report.answer().word());
    println!("decompression   {decode:.3} s on one core");
    println!(
        "verify          {own:.3} s, {:.2} GB/s, {:.2} million records/s, {} kernel, {:.2} times decompression",
        work.bytes_unpacked as f64 / own / 1e9,
        work.records as f64 / own / 1e6,
        work.kernel,
        own / decode,
    );
    match reference.0 {
        Some(seconds) => println!(
            "reference       {seconds:.3} s to load and verify, {:.2} times ours",
            seconds / own
        ),
        None => println!("reference       the loader is not there"),
    }
    if let Some(memory) = memory_use() {
        let held = compressed.iter().map(Vec::len).sum::<usize>() >> 20;
        println!(
            "peak memory     {} MiB, {held} MiB of it this benchmark's copy",
            memory.peak >> 20
        );
    }
}

/// The archives of the best pair.
fn files(folder: &Path) -> Vec<PathBuf> {
    let candidates = candidates(folder).expect("a folder");
    let (full, incremental) =
        icecore_archive::choose::best_pair(&candidates).expect("a pair in the folder");
    [Some(full), incremental].into_iter().flatten().map(|found| path_of(folder, found)).collect()
}

/// Decompresses a zstd archive as one stream; returns the bytes.
fn decompress(archive: &[u8]) -> u64 {
    let mut context = zstd_safe::DCtx::create();
    let mut output = vec![0u8; 1 << 17];
    let mut input = zstd_safe::InBuffer::around(archive);
    let mut bytes = 0;
    loop {
        let mut space = zstd_safe::OutBuffer::around(&mut output[..]);
        context.decompress_stream(&mut space, &mut input).expect("a sound archive");
        let written = space.pos();
        bytes += written as u64;
        if input.pos == archive.len() && written < output.len() {
            return bytes;
        }
    }
}

fn loader() -> Option<PathBuf> {
    let shared = match std::env::var_os("ICECORE_SHARED") {
        Some(shared) => PathBuf::from(shared),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
    };
    Some(shared.join("oracle/bin/agaveload")).filter(|loader| loader.exists())
}

/// Wall seconds that the reference client's loader states.
fn load(loader: &Path, folder: &Path) -> Option<f64> {
    let output = Command::new(loader).arg("--dir").arg(folder).arg("--json").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let value = text.split("\"wall_s\":").nth(1)?;
    value.split([',', '}']).next()?.trim().parse().ok()
}
