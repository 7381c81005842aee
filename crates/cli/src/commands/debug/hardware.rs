//! `icecore debug hardware`: what the machine offers, found out by asking and by trying.

use std::path::{Path, PathBuf};

use clap::Args;
use icecore_disk::{
    DirectMode, Machine, ReadMethod, ReadOptions, SequentialReader, machine, try_direct_reads,
};
use icecore_hash::Kernel;
use icecore_tile::{Support, available_cores, probe};
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::{Answer, Table},
    size::human,
};

/// A file that is always there to be read: this program.
const EXECUTABLE: &str = "/proc/self/exe";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Folders to try direct reads in, beside that for scratch files
    #[arg(value_name = "DIR")]
    folders: Vec<PathBuf>,
}

/// Something tried: whether it works, and if not, what the system said.
#[derive(Debug, Serialize)]
struct Trial {
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<PathBuf>,
    available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Trial {
    fn new<T>(folder: Option<&Path>, tried: Result<T, icecore_disk::Error>) -> Self {
        let reason = tried.err().map(|error| error.to_string());
        Self { folder: folder.map(Path::to_path_buf), available: reason.is_none(), reason }
    }

    fn words(&self) -> String {
        match &self.reason {
            None => "yes".to_string(),
            Some(reason) => format!("no: {reason}"),
        }
    }
}

/// The JSON answer.
#[derive(Debug, Serialize)]
struct Hardware {
    kernel_release: Option<String>,
    processor: Option<String>,
    cores: Vec<usize>,
    simd: Simd,
    memory_bytes: Option<u64>,
    memory_available_bytes: Option<u64>,
    page_bytes: Option<u64>,
    huge_page_bytes: Option<u64>,
    transparent_huge_pages: Option<String>,
    shared_huge_pages: Option<String>,
    seccomp: bool,
    landlock_abi: u32,
    io_uring: Trial,
    direct_reads: Vec<Trial>,
}

#[derive(Debug, Serialize)]
struct Simd {
    chosen: &'static str,
    available: Vec<&'static str>,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let chosen = Kernel::chosen().map_err(icecore_restore::Error::from)?;
    let hardware = look(common, options, chosen);
    let mut answer = Answer::new(common.output);
    if answer.is_display() {
        for line in table(&hardware).lines() {
            answer.line(line)?;
        }
    } else {
        answer.object(&hardware)?;
    }
    answer.finish()?;
    Ok(Exit::Good)
}

fn look(common: &CommonOptions, options: &Options, chosen: Kernel) -> Hardware {
    let machine: Machine = machine();
    let Support { seccomp, landlock_abi } = probe();
    let ring =
        ReadOptions { method: ReadMethod::Ring, direct: DirectMode::Off, ..ReadOptions::default() };
    let scratch = common.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let folders = [&scratch].into_iter().chain(&options.folders);
    Hardware {
        kernel_release: machine.kernel_release,
        processor: machine.processor,
        cores: available_cores(),
        simd: Simd {
            chosen: chosen.name(),
            available: Kernel::available().iter().map(|kernel| kernel.name()).collect(),
        },
        memory_bytes: machine.memory_bytes,
        memory_available_bytes: machine.memory_available_bytes,
        page_bytes: machine.page_bytes,
        huge_page_bytes: machine.huge_page_bytes,
        transparent_huge_pages: machine.transparent_huge_pages,
        shared_huge_pages: machine.shared_huge_pages,
        seccomp,
        landlock_abi,
        io_uring: Trial::new(None, SequentialReader::open(EXECUTABLE, ring)),
        direct_reads: folders
            .map(|folder| Trial::new(Some(folder), try_direct_reads(folder)))
            .collect(),
    }
}

fn table(hardware: &Hardware) -> Table {
    let unknown = || "unknown".to_string();
    let bytes = |bytes: Option<u64>| bytes.map_or_else(unknown, human);
    let words = |words: &Option<String>| words.clone().unwrap_or_else(unknown);
    let mut table = Table::new(&["what", "found"]);
    let mut row = |what: &str, found: String| table.row([what.to_string(), found]);
    row("kernel", words(&hardware.kernel_release));
    row("processor", words(&hardware.processor));
    let cores: Vec<_> = hardware.cores.iter().map(ToString::to_string).collect();
    row("cores", format!("{} to be had: {}", cores.len(), cores.join(", ")));
    let Simd { chosen, available } = &hardware.simd;
    row("simd", format!("{chosen} (of {})", available.join(", ")));
    let available = bytes(hardware.memory_available_bytes);
    row("memory", format!("{}, {available} available", bytes(hardware.memory_bytes)));
    let plain = |bytes: Option<u64>| bytes.map_or_else(unknown, |bytes| format!("{bytes} bytes"));
    row("pages", plain(hardware.page_bytes));
    row(
        "huge pages",
        format!(
            "{}; without asking: {}; shared memory: {}",
            plain(hardware.huge_page_bytes),
            words(&hardware.transparent_huge_pages),
            words(&hardware.shared_huge_pages)
        ),
    );
    row("seccomp", if hardware.seccomp { "yes" } else { "absent" }.to_string());
    row(
        "landlock",
        match hardware.landlock_abi {
            0 => "absent".to_string(),
            version => format!("yes, version {version}"),
        },
    );
    row("io_uring", hardware.io_uring.words());
    for trial in &hardware.direct_reads {
        let folder = trial.folder.as_deref().unwrap_or(Path::new(""));
        row("direct reads", format!("{}: {}", folder.display(), trial.words()));
    }
    table
}
