//! `icecore accounts export`: live accounts as rows, to stdout, a file or a folder of files.
//!
//! A file or folder is whole or not there, and nothing is ever replaced.

use std::{
    io::{BufWriter, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use icecore_disk::{ExportFolder, Output, Publish};
use icecore_types::Pubkey;

use crate::{
    exit::{Exit, Failure},
    filters::{DataFilters, Filter},
    options::{CommonOptions, Format},
    output::Answer,
    rows::{AccountFile, AccountRow, CSV_HEADER, Encoding, Live, write_csv},
    scan::{Asked, Scan},
    size::human,
    source::SourceOptions,
};

#[derive(Debug, Subcommand)]
pub(crate) enum AccountsCommand {
    /// Write all live accounts, or those of some programs, as rows
    Export(Options),
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    source: SourceOptions,

    /// Only accounts that this program owns; given again: or that one
    #[arg(long, value_name = "PROGRAM")]
    program_accounts: Vec<Pubkey>,

    #[command(flatten)]
    filters: DataFilters,

    /// How to write them
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: RowFormat,

    /// The file or folder to make, whole or not at all; it must be new [default: '-', stdout]
    #[arg(short, value_name = "PATH|-")]
    out: Option<PathBuf>,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// A JSON object on each line.
    Jsonl,
    /// Comma-separated values.
    Csv,
    /// A folder with a file for each account, as solana-test-validator --account-dir reads it.
    AccountDir,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let out = options.out.as_deref().filter(|path| *path != "-");
    if out.is_none() && options.format == RowFormat::AccountDir {
        return Err(Failure::Usage("account-dir makes a folder: name it with -o".into()));
    }
    let target = || Target::create(out, options.format);
    let asked = if options.program_accounts.is_empty() { Asked::All } else { Asked::Some };
    let (mut scan, mut target) =
        Scan::open_for(target, common, &options.source, asked, out.is_none())?;

    let filter = Filter::new(&options.program_accounts, &options.filters);
    let (mut rows, mut bytes) = (0u64, 0u64);
    target.begin(options.format)?;
    scan.for_each(&filter, |live| {
        target.row(options.format, &live)?;
        rows += 1;
        bytes += live.account.data.len() as u64;
        Ok(ControlFlow::Continue(()))
    })?;
    target.finish()?;
    scan.finish()?;
    eprintln!("{rows} accounts, {} of data", human(bytes));
    Ok(Exit::Good)
}

/// Where rows go.
enum Target {
    Standard(Answer),
    File(BufWriter<Output>),
    Folder(ExportFolder),
}

impl Target {
    /// Begins with what can fail early; nothing is written yet.
    fn create(path: Option<&Path>, format: RowFormat) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::Standard(Answer::new(Format::JsonCompact))) };
        if format == RowFormat::AccountDir {
            return Ok(Self::Folder(ExportFolder::create(path)?));
        }
        if icecore_disk::exists(path) {
            return Err(icecore_disk::Error::Exists { path: path.to_path_buf() }.into());
        }
        Ok(Self::File(BufWriter::with_capacity(1 << 20, Output::create(path)?)))
    }

    fn begin(&mut self, format: RowFormat) -> Result<(), Failure> {
        match self {
            _ if format != RowFormat::Csv => {}
            Self::Standard(out) => writeln!(out, "{CSV_HEADER}")?,
            Self::File(out) => writeln!(out, "{CSV_HEADER}")?,
            Self::Folder(_) => unreachable!("made for another format"),
        }
        Ok(())
    }

    fn row(&mut self, format: RowFormat, live: &Live<'_>) -> Result<(), Failure> {
        match self {
            Self::Standard(out) => write_row(format, live, out),
            Self::File(out) => write_row(format, live, out),
            Self::Folder(folder) => {
                let mut content =
                    serde_json::to_vec(&AccountFile::new(live)).map_err(std::io::Error::from)?;
                content.push(b'\n');
                Ok(folder.add(&format!("{}.json", live.account.pubkey), &content)?)
            }
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Standard(out) => Ok(out.finish()?),
            Self::File(out) => {
                let output = out.into_inner().map_err(|error| error.into_error())?;
                Ok(output.publish(Publish::New)?)
            }
            Self::Folder(folder) => Ok(folder.publish()?),
        }
    }
}

fn write_row(format: RowFormat, live: &Live<'_>, out: &mut impl Write) -> Result<(), Failure> {
    match format {
        RowFormat::Csv => write_csv(live, out)?,
        RowFormat::Jsonl | RowFormat::AccountDir => {
            serde_json::to_writer(&mut *out, &AccountRow::new(live, Encoding::Base64))
                .map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(())
}
