//! `icecore request`: asks the node that has a store open.

use clap::{Args, Subcommand};
use icecore_types::Slot;
use serde_json::Value;

use crate::{
    exit::{Exit, Failure},
    moment::ForkName,
    node::{Request, client},
    options::CommonOptions,
    output::Answer,
    source::StoreOptions,
};

#[derive(Debug, Subcommand)]
pub(crate) enum RequestCommand {
    /// Make a slot final, with its ancestors
    Root(Root),
    /// Give back the space of what is not kept
    Compact(StoreOptions),
    /// Make a full snapshot archive in the node's folder, and wait for it
    Snapshot(AtSlot),
    /// Make an incremental snapshot archive on the newest full one there, and wait for it
    Incremental(AtSlot),
    /// Read and hash all accounts, hold the lattice hash against the slot's, and wait for it
    AccountsHash(AtSlot),
    /// Ask who the node is and how far it has come
    Stats(StoreOptions),
}

#[derive(Debug, Args)]
pub(crate) struct Root {
    /// The slot
    #[arg(value_name = "SLOT[@BANK_HASH]")]
    slot: ForkName,

    #[command(flatten)]
    store: StoreOptions,
}

#[derive(Debug, Args)]
pub(crate) struct AtSlot {
    /// The slot; one to come: the first possible root at or past it [default: the newest that can be had]
    #[arg(value_name = "SLOT")]
    slot: Option<Slot>,

    #[command(flatten)]
    store: StoreOptions,
}

pub(crate) fn run(common: &CommonOptions, command: &RequestCommand) -> Result<Exit, Failure> {
    let (store, request) = match command {
        RequestCommand::Root(Root { slot, store }) => {
            (store, Request::Root { slot: slot.slot, bank_hash: slot.bank_hash })
        }
        RequestCommand::Compact(store) => (store, Request::Compact),
        RequestCommand::Snapshot(at) => (&at.store, Request::Snapshot { slot: at.slot }),
        RequestCommand::Incremental(at) => (&at.store, Request::Incremental { slot: at.slot }),
        RequestCommand::AccountsHash(at) => (&at.store, Request::AccountsHash { slot: at.slot }),
        RequestCommand::Stats(store) => (store, Request::Stats),
    };
    let Some(mut node) = client::connect(&store.store)? else {
        return Err(Failure::System(format!(
            "{}: no node has this store open; `icecore run` starts one",
            store.store.display()
        )));
    };
    let result = node.ask(&request)?;
    let mut answer = Answer::new(common.output);
    match answer.is_display() {
        true => fields("", &result).into_iter().try_for_each(|line| answer.line(line))?,
        false => answer.object(&result)?,
    }
    answer.finish()?;
    Ok(Exit::Good)
}

/// A line for each field; names of fields within fields are joined with dots.
fn fields(within: &str, value: &Value) -> Vec<String> {
    let of_field = |(name, value): (&String, &Value)| match within {
        "" => fields(name, value),
        within => fields(&format!("{within}.{name}"), value),
    };
    match value {
        Value::Object(object) => object.iter().flat_map(of_field).collect(),
        Value::Null => vec![format!("{within}: none")],
        Value::String(text) => vec![format!("{within}: {text}")],
        other => vec![format!("{within}: {other}")],
    }
}
