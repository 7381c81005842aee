//! `icecore account`: the newest version of accounts that are asked for by their address.

mod display;

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
};

use clap::Args;
use icecore_restore::{LiveAccount, Place};
use icecore_types::{Account, Pubkey, Slot};

use crate::{
    exit::{Exit, Failure},
    options::{CommonOptions, SourceOptions},
    output::Answer,
    rows::{AbsentRow, AccountRow, BASE58_BYTES_MAX, Encoding},
    scan::Scan,
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
    place: Place,
}

impl Found {
    fn live<'a>(&'a self, pubkey: &'a Pubkey) -> LiveAccount<'a> {
        LiveAccount { account: self.account.borrowed(pubkey), slot: self.slot, place: self.place }
    }
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let mut seen = HashSet::new();
    let asked: Vec<Pubkey> =
        options.pubkeys.iter().copied().filter(|pubkey| seen.insert(*pubkey)).collect();
    let found = find(common, &options.source, &asked)?;

    if options.encoding == Some(Encoding::Base58) {
        let bytes = |pubkey: &Pubkey| found.get(pubkey).map_or(0, |found| found.account.data.len());
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
        match found.get(pubkey) {
            Some(found) if answer.is_display() => {
                if shown > 0 {
                    answer.line("")?;
                }
                shown += 1;
                let live = found.live(pubkey);
                display::block(&live, options.encoding, common.verbose, &mut answer)?;
            }
            Some(found) => {
                let encoding = options.encoding.unwrap_or(Encoding::Base64);
                let row = AccountRow::new(&found.live(pubkey), encoding);
                // One object for one answer, a line each for many.
                match asked.len() {
                    1 => answer.object(&row)?,
                    _ => answer.row(&row)?,
                }
            }
            None if answer.is_display() => {}
            None => answer.row(&AbsentRow { pubkey: *pubkey, absent: true })?,
        }
    }
    answer.finish()?;
    let absent: Vec<_> = asked.iter().filter(|pubkey| !found.contains_key(pubkey)).collect();
    for pubkey in &absent {
        eprintln!("icecore: {pubkey}: absent (closed, or never there)");
    }
    Ok(if absent.is_empty() { Exit::Good } else { Exit::Bad })
}

fn find(
    common: &CommonOptions,
    source: &SourceOptions,
    asked: &[Pubkey],
) -> Result<HashMap<Pubkey, Found>, Failure> {
    let wanted: HashSet<&Pubkey> = asked.iter().collect();
    let mut scan = Scan::open(common, source, false)?;
    let mut found = HashMap::new();
    scan.for_each(|live| {
        if wanted.contains(live.account.pubkey) {
            let (pubkey, account) = live.account.to_owned();
            found.insert(pubkey, Found { account, slot: live.slot, place: live.place });
        }
        // An account is live once.
        Ok(match found.len() == wanted.len() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    })?;
    scan.finish()?;
    Ok(found)
}
