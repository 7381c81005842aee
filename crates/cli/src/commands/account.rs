//! `icecore account`: accounts that are asked for by their address: the newest version, or that of a
//! store's slot.

mod display;

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
};

use clap::Args;
use icecore_store::AccountVersion;
use icecore_types::{Account, Pubkey, Slot};

use crate::{
    exit::{Exit, Failure},
    filters::{DataFilters, Filter},
    options::CommonOptions,
    output::Answer,
    rows::{AbsentRow, AccountRow, BASE58_BYTES_MAX, Encoding, Live},
    scan::Scan,
    source::SourceOptions,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The addresses
    #[arg(required = true, value_name = "PUBKEY")]
    pubkeys: Vec<Pubkey>,

    #[command(flatten)]
    source: SourceOptions,

    /// How to write account data [default: base64; for people what fits]
    #[arg(long, value_enum, value_name = "ENCODING")]
    encoding: Option<Encoding>,
}

/// An account that was found.
struct Found {
    account: Account,
    slot: Slot,
}

/// All that were found.
struct Answers {
    found: HashMap<Pubkey, Found>,
    /// Of a store: the slot whose state was read.
    at_slot: Option<Slot>,
    /// Whether what was not found is absent for sure.
    is_whole: bool,
}

impl Answers {
    fn live<'a>(&'a self, pubkey: &'a Pubkey) -> Option<Live<'a>> {
        let Found { account, slot } = self.found.get(pubkey)?;
        Some(Live { account: account.borrowed(pubkey), slot: *slot, at_slot: self.at_slot })
    }
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let mut seen = HashSet::new();
    let asked: Vec<Pubkey> =
        options.pubkeys.iter().copied().filter(|pubkey| seen.insert(*pubkey)).collect();
    let answers = find(common, &options.source, &asked)?;

    if options.encoding == Some(Encoding::Base58) {
        let bytes =
            |pubkey: &Pubkey| answers.live(pubkey).map_or(0, |live| live.account.data.len());
        if let Some(pubkey) = asked.iter().find(|pubkey| bytes(pubkey) > BASE58_BYTES_MAX) {
            return Err(Failure::Usage(format!(
                "{pubkey} has {} bytes of data, more than the {BASE58_BYTES_MAX} that are shown in base58: take base64",
                bytes(pubkey),
            )));
        }
    }

    let mut answer = Answer::new(common.output);
    let mut shown = 0;
    for pubkey in &asked {
        match answers.live(pubkey) {
            Some(live) if answer.is_display() => {
                if shown > 0 {
                    answer.line("")?;
                }
                shown += 1;
                display::block(&live, options.encoding, common.verbose, &mut answer)?;
            }
            Some(live) => {
                let encoding = options.encoding.unwrap_or(Encoding::Base64);
                let row = AccountRow::new(&live, encoding);
                // One object for one answer, a line each for many.
                match asked.len() {
                    1 => answer.object(&row)?,
                    _ => answer.row(&row)?,
                }
            }
            None if answer.is_display() => {}
            None => {
                let (absent, at_slot) = (answers.is_whole.then_some(true), answers.at_slot);
                answer.row(&AbsentRow { pubkey: *pubkey, absent, at_slot })?;
            }
        }
    }
    answer.finish()?;
    let absent = asked.iter().filter(|pubkey| !answers.found.contains_key(pubkey));
    let mut exit = Exit::Good;
    for pubkey in absent {
        match answers.is_whole {
            true => eprintln!("icecore: {pubkey}: absent (closed, or never there)"),
            false => eprintln!("icecore: {pubkey}: absent, or of an owner that is not kept"),
        }
        exit = if answers.is_whole { Exit::Bad } else { Exit::Incomplete };
    }
    Ok(exit)
}

/// The accounts that are there, and the slot of the store that they are of.
fn find(
    common: &CommonOptions,
    source: &SourceOptions,
    asked: &[Pubkey],
) -> Result<Answers, Failure> {
    let mut scan = Scan::open(common, source, false)?;
    let mut found = HashMap::new();
    if let Scan::Store(reading) = &scan {
        for (pubkey, version) in asked.iter().zip(reading.get_many(asked)?) {
            if let Some(AccountVersion { written, account, .. }) = version {
                found.insert(*pubkey, Found { account, slot: written });
            }
        }
        let at_slot = Some(reading.slot());
        return Ok(Answers { found, at_slot, is_whole: reading.is_whole() });
    }
    if let Scan::Indexed(indexed) = &mut scan {
        indexed.get_many(asked, |live| {
            let (pubkey, account) = live.account.to_owned();
            found.insert(pubkey, Found { account, slot: live.slot });
        })?;
        scan.finish()?;
        return Ok(Answers { found, at_slot: None, is_whole: true });
    }
    let wanted: HashSet<&Pubkey> = asked.iter().collect();
    let any = DataFilters::default();
    scan.for_each(&Filter::new(&[], &any), |live| {
        if wanted.contains(live.account.pubkey) {
            let (pubkey, account) = live.account.to_owned();
            found.insert(pubkey, Found { account, slot: live.slot });
        }
        // An account is live once.
        Ok(match found.len() == wanted.len() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    })?;
    scan.finish()?;
    Ok(Answers { found, at_slot: None, is_whole: true })
}
