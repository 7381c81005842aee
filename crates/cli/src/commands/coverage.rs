//! `icecore coverage`: what a store keeps: stretches of slots, base points, gaps, forks.

use clap::Args;
use icecore_store::{Coverage, Error, SlotInfo, SlotState, Store};
use icecore_types::{Hash, Pubkey, Slot};
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::{Answer, Table},
    reading,
    source::StoreOptions,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    store: StoreOptions,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Json {
    first: Slot,
    last: Slot,
    /// The bank hash of the last slot, the root.
    bank_hash: Hash,
    /// Stretches of slots without a gap, oldest first.
    windows: Vec<Window>,
    base_points: Vec<Slot>,
    gaps: Vec<Gap>,
    /// Complete slots that are kept off the final chain, or may become part of it.
    forks: Vec<Fork>,
    /// Owners whose accounts are kept; none: all are.
    program_accounts: Vec<Pubkey>,
}

#[derive(Debug, Serialize)]
struct Window {
    first: Slot,
    last: Slot,
    base_point: Option<Slot>,
    deltas: usize,
    rows: u64,
}

#[derive(Debug, Serialize)]
struct Gap {
    first: Slot,
    last: Slot,
}

#[derive(Debug, Serialize)]
struct Fork {
    slot: Slot,
    parent_slot: Slot,
    bank_hash: Hash,
    /// False: it was abandoned, and is kept for a while.
    alive: bool,
}

fn fork(slot: &SlotInfo) -> Option<Fork> {
    let alive = match slot.state {
        SlotState::Committed => true,
        SlotState::Abandoned => false,
        SlotState::Open | SlotState::Dead | SlotState::Rooted => return None,
    };
    let bank = &slot.bank;
    Some(Fork {
        slot: slot.number,
        parent_slot: bank.parent_slot,
        bank_hash: bank.bank_hash,
        alive,
    })
}

fn json(store: &Store) -> Result<Json, Error> {
    let Coverage { first, last, windows, gaps } = store.coverage();
    let (Some(first), Some(last), Some(root)) = (first, last, store.root_slot()) else {
        return Err(Error::Empty);
    };
    let mut forks: Vec<_> = store.slots().iter().filter_map(fork).collect();
    forks.sort_by_key(|fork| (fork.slot, fork.bank_hash));
    Ok(Json {
        first,
        last,
        bank_hash: root.bank.bank_hash,
        base_points: windows.iter().filter_map(|window| window.base).collect(),
        windows: windows
            .iter()
            .map(|window| Window {
                first: window.first,
                last: window.last,
                base_point: window.base,
                deltas: window.deltas,
                rows: window.rows,
            })
            .collect(),
        gaps: gaps.iter().map(|gap| Gap { first: gap.first, last: gap.last }).collect(),
        forks,
        program_accounts: store.kept_owners().to_vec(),
    })
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let store = reading::open(&options.store.store)?;
    let json = json(&store)?;
    let mut answer = Answer::new(common.output);
    match answer.is_display() {
        true => display(&json, &mut answer)?,
        false => answer.object(&json)?,
    }
    answer.finish()?;
    Ok(Exit::Good)
}

fn display(json: &Json, answer: &mut Answer) -> Result<(), Failure> {
    answer.line(format!("slots {} to {}", json.first, json.last))?;
    answer.line(format!("root  {} {}", json.last, json.bank_hash))?;
    answer.line("")?;
    let mut stretches: Vec<(Slot, Vec<String>)> = json
        .windows
        .iter()
        .map(|window| {
            let what = match window.base_point {
                Some(_) => "base point and what follows",
                None => "what follows",
            };
            let row = [
                window.first.to_string(),
                window.last.to_string(),
                what.to_string(),
                window.deltas.to_string(),
                window.rows.to_string(),
            ];
            (window.first, row.to_vec())
        })
        .collect();
    stretches.extend(json.gaps.iter().map(|gap| {
        (gap.first, vec![gap.first.to_string(), gap.last.to_string(), "gap".to_string()])
    }));
    stretches.sort();
    let mut table = Table::new(&[">first", ">last", "", ">deltas", ">rows"]);
    for (_, row) in stretches {
        table.row(row);
    }
    for line in table.lines() {
        answer.line(line)?;
    }
    if json.forks.is_empty() {
        return Ok(());
    }
    answer.line("")?;
    let mut table = Table::new(&[">fork", ">parent", "is", "bank hash"]);
    for fork in &json.forks {
        let is = if fork.alive { "alive" } else { "abandoned" };
        let (slot, parent) = (fork.slot.to_string(), fork.parent_slot.to_string());
        table.row([slot, parent, is.to_string(), fork.bank_hash.to_string()]);
    }
    for line in table.lines() {
        answer.line(line)?;
    }
    Ok(())
}
