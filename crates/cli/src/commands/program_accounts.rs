//! `icecore program-accounts`: the live accounts that a program owns.

use std::ops::ControlFlow;

use clap::Args;
use icecore_types::Pubkey;

use crate::{
    exit::{Exit, Failure},
    filters::{DataFilters, Filter},
    options::CommonOptions,
    output::Answer,
    rows::{AccountRow, Encoding, Live},
    scan::Scan,
    source::SourceOptions,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The program
    #[arg(value_name = "PROGRAM")]
    program: Pubkey,

    #[command(flatten)]
    source: SourceOptions,

    #[command(flatten)]
    filters: DataFilters,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let mut scan = Scan::open(common, &options.source, true)?;
    let filter = Filter::new(&[options.program], &options.filters);
    let mut answer = Answer::new(common.output);
    let mut rows = 0u64;
    scan.for_each(&filter, |live| {
        match answer.is_display() {
            true => line(&live, rows == 0, &mut answer)?,
            false => answer.row(&AccountRow::new(&live, Encoding::Base64))?,
        }
        rows += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    answer.finish()?;
    scan.finish()?;
    eprintln!("{rows} accounts");
    Ok(Exit::Good)
}

/// A line of the table. Its widths are fixed, as rows are shown while they are found.
fn line(live: &Live<'_>, first: bool, answer: &mut Answer) -> Result<(), Failure> {
    let mut row = |pubkey: String, lamports: String, data_len: String, slot: String| {
        answer.line(format!("{pubkey:44}  {lamports:>20}  {data_len:>8}  {slot:>10}"))
    };
    if first {
        row("pubkey".into(), "lamports".into(), "data_len".into(), "slot".into())?;
    }
    let account = &live.account;
    row(
        account.pubkey.to_string(),
        account.lamports.to_string(),
        account.data.len().to_string(),
        live.slot.to_string(),
    )?;
    Ok(())
}
