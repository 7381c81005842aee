//! `icecore snapshot stats`: what the live accounts are, by owner, size and slot.

mod plot;

use std::{
    io,
    io::Write,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use icecore_disk::{Output, Publish};
use icecore_restore::{LiveAccounts, OWNERS_MAX, Stats, StatsCollector, Tally, live_accounts};
use icecore_types::{Pubkey, Slot, programs::name_of};
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    filters::{DataFilters, Filter},
    moment::{AtOptions, Moment},
    options::CommonOptions,
    output::{Answer, Table},
    reading::Reading,
    size::human,
    source::{ONE_SLOT, pair_of},
};

/// What accounts are put together by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// The program that owns them.
    Owner,
    /// The length of their data, in powers of two.
    Size,
    /// The slot in which they were written last, in ranges.
    Slot,
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A full archive and perhaps an incremental one on it, or a folder (its best pair)
    #[arg(num_args = 1..=2, value_name = "FULL [INCREMENTAL] | DIR",
          required_unless_present = "store")]
    archives: Vec<PathBuf>,

    /// A store instead of archives
    #[arg(long, value_name = "DIR", conflicts_with_all = ["archives", "no_verify"])]
    store: Option<PathBuf>,

    #[command(flatten)]
    at: AtOptions,

    /// What to put accounts together by [default: all three]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "owner|size|slot")]
    by: Vec<By>,

    /// Owners shown, those of the most accounts, and the most ranges of slots
    #[arg(long, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    top: u32,

    /// Draw it to a file, too (40 bars of a kind at most)
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    /// Read the archives even if their verdict is bad
    #[arg(long)]
    no_verify: bool,
}

impl Options {
    fn wants(&self, by: By) -> bool {
        self.by.is_empty() || self.by.contains(&by)
    }
}

/// The answer. What was not asked for is left out.
#[derive(Debug, Serialize)]
struct Json {
    slot: Slot,
    num_accounts: u64,
    total_data_len: u64,
    capitalization: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_owner: Option<Vec<Owner>>,
    /// Of the owners that are not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_owners: Option<Others>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_size: Option<Vec<Size>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_slot: Option<Vec<Slots>>,
}

#[derive(Debug, Serialize)]
struct Owner {
    owner: Pubkey,
    name: Option<&'static str>,
    #[serde(flatten)]
    tally: Tally,
}

#[derive(Debug, Serialize)]
struct Others {
    /// How many owners; the least there are where they were too many to tell apart.
    owners: u64,
    #[serde(flatten)]
    tally: Tally,
}

#[derive(Debug, Serialize)]
struct Size {
    data_len_min: u64,
    data_len_max: u64,
    #[serde(flatten)]
    tally: Tally,
}

#[derive(Debug, Serialize)]
struct Slots {
    slot_first: Slot,
    slot_last: Slot,
    #[serde(flatten)]
    tally: Tally,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let (slot, stats) = match &options.store {
        Some(folder) => of_store(folder, options.at.asked().unwrap_or(Moment::Root))?,
        None => of_archives(common, options)?,
    };
    if stats.other_owners.count > 0 {
        eprintln!(
            "icecore: more than {OWNERS_MAX} owners: {} accounts of those met last are counted \
             with the others",
            stats.other_owners.count
        );
    }

    let json = json(&stats, slot, options);
    if let Some(path) = &options.plot {
        let mut file = Output::create(path)?;
        file.write_all(plot::svg(&json).as_bytes())?;
        file.publish(Publish::Replace)?;
    }
    let mut answer = Answer::new(common.output);
    if answer.is_display() {
        display(&json, &mut answer)?;
    } else {
        answer.object(&json)?;
    }
    answer.finish()?;
    Ok(Exit::Good)
}

fn of_archives(common: &CommonOptions, options: &Options) -> Result<(Slot, Stats), Failure> {
    if options.at.asked().is_some() {
        return Err(Failure::Usage(ONE_SLOT.into()));
    }
    let pair = pair_of(&options.archives)?;
    let watch = common.watch_scan(false)?;
    let mut accounts = match options.no_verify {
        true => LiveAccounts::open(pair, common.scan(), &watch.progress)?,
        false => live_accounts(pair, common.scan(), &watch.progress)?,
    };
    let stats = Stats::of(&mut accounts, &watch.progress)?;
    watch.finish()?;
    Ok((accounts.report().last().slot, stats))
}

fn of_store(folder: &Path, moment: Moment) -> Result<(Slot, Stats), Failure> {
    let reading = Reading::open(folder, moment)?;
    let mut collector = StatsCollector::default();
    let all = DataFilters::default();
    reading.for_each(&Filter::new(&[], &all), &mut |live| {
        collector.add(live.slot, &live.account);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((reading.slot(), collector.finish()))
}

fn json(stats: &Stats, slot: Slot, options: &Options) -> Json {
    let shown = stats.by_owner.len().min(options.top as usize);
    let (top, rest) = stats.by_owner.split_at(shown);
    let mut others = Others { owners: rest.len() as u64, tally: stats.other_owners };
    others.owners += u64::from(others.tally.count > 0);
    for (_, tally) in rest {
        others.tally += *tally;
    }
    let owner = |(owner, tally): &(Pubkey, Tally)| Owner {
        owner: *owner,
        name: name_of(owner),
        tally: *tally,
    };
    let mut data_len_min = 0;
    let size = |(data_len_max, tally): &(u64, Tally)| {
        let row = Size { data_len_min, data_len_max: *data_len_max, tally: *tally };
        data_len_min = data_len_max + 1;
        row
    };
    Json {
        slot,
        num_accounts: stats.total.count,
        total_data_len: stats.total.data_len,
        capitalization: stats.total.lamports,
        by_owner: options.wants(By::Owner).then(|| top.iter().map(owner).collect()),
        other_owners: options.wants(By::Owner).then_some(others),
        by_size: options.wants(By::Size).then(|| stats.by_size.iter().map(size).collect()),
        by_slot: options.wants(By::Slot).then(|| {
            let ranges = stats.slot_ranges(options.top).into_iter();
            ranges
                .map(|(range, tally)| Slots {
                    slot_first: *range.start(),
                    slot_last: *range.end(),
                    tally,
                })
                .collect()
        }),
    }
}

fn display(json: &Json, answer: &mut Answer) -> io::Result<()> {
    answer.line(format!(
        "slot {}: {} live accounts, {} of data, {} SOL",
        json.slot,
        json.num_accounts,
        human(json.total_data_len),
        sol(json.capitalization)
    ))?;
    let mut section = |title: &[&str], rows: Vec<(Vec<String>, Tally)>| {
        let columns = [title, &[">accounts", ">%", ">data", ">%", ">SOL"]].concat();
        let mut table = Table::new(&columns);
        for (labels, tally) in rows {
            let numbers = [
                tally.count.to_string(),
                share(tally.count, json.num_accounts),
                human(tally.data_len),
                share(tally.data_len, json.total_data_len),
                sol(tally.lamports),
            ];
            table.row(labels.into_iter().chain(numbers));
        }
        answer.line("")?;
        table.lines().into_iter().try_for_each(|line| answer.line(line))
    };
    if let (Some(owners), Some(others)) = (&json.by_owner, &json.other_owners) {
        let mut rows: Vec<_> = owners
            .iter()
            .map(|row| (vec![row.owner.to_string(), row.name.unwrap_or("").to_string()], row.tally))
            .collect();
        if others.tally.count > 0 {
            let label = format!("({} other owners)", others.owners);
            rows.push((vec![label, String::new()], others.tally));
        }
        section(&["owner", "name"], rows)?;
    }
    if let Some(sizes) = &json.by_size {
        let rows = sizes.iter().map(|row| (vec![size_label(row)], row.tally)).collect();
        section(&[">data bytes"], rows)?;
    }
    if let Some(slots) = &json.by_slot {
        let label = |row: &Slots| vec![row.slot_first.to_string(), row.slot_last.to_string()];
        let rows = slots.iter().map(|row| (label(row), row.tally)).collect();
        section(&[">from slot", ">to slot"], rows)?;
    }
    Ok(())
}

fn size_label(row: &Size) -> String {
    match row.data_len_min == row.data_len_max {
        true => row.data_len_max.to_string(),
        false => format!("{} to {}", row.data_len_min, row.data_len_max),
    }
}

/// A part in percent.
fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_string(),
        _ => format!("{:.1}", part as f64 * 100.0 / whole as f64),
    }
}

/// Lamports as SOL, exactly.
fn sol(lamports: u128) -> String {
    const LAMPORTS_PER_SOL: u128 = 1_000_000_000;
    format!("{}.{:09}", lamports / LAMPORTS_PER_SOL, lamports % LAMPORTS_PER_SOL)
}
