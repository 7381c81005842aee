//! `icecore token-holders`: who holds how much of a mint.
//!
//! One visit of all live accounts collects the mint and its token accounts, in whatever order they
//! come; nothing is shown unless the mint is there.
//!
//! What it does *not* do: add up the token accounts of one owner, apply the extensions that change
//! the amount shown to people (interest-bearing, scaled UI amount), or know what is held back in
//! fees or in confidential balances: both belong to the supply and to no holder's amount.

use std::ops::ControlFlow;

use clap::Args;
use icecore_programs::token::{Mint, TokenAccount, TokenAccountState};
use icecore_types::{AccountRef, Pubkey, Slot, programs};
use serde::{Serialize, Serializer};

use crate::{
    exit::{Exit, Failure},
    filters::{DataFilters, Filter, Memcmp},
    options::CommonOptions,
    output::Answer,
    rows::decimal,
    scan::Scan,
    source::SourceOptions,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The mint
    #[arg(value_name = "MINT")]
    mint: Pubkey,

    #[command(flatten)]
    source: SourceOptions,

    /// Token accounts with nothing in them, too
    #[arg(long)]
    all: bool,
}

/// A token account of the mint.
#[derive(Debug)]
struct Holder {
    address: Pubkey,
    owner: Pubkey,
    amount: u64,
    state: TokenAccountState,
    slot: Slot,
    token_2022: bool,
}

/// What the mint's account holds.
enum MintAccount {
    Mint { supply: u64, decimals: u8, token_2022: bool },
    Other { owner: Pubkey },
}

/// What one visit finds.
struct Collected {
    mint: Option<MintAccount>,
    holders: Vec<Holder>,
    /// Of a store: the slot whose state was read.
    at_slot: Option<Slot>,
}

/// A row of JSON.
#[derive(Debug, Serialize)]
struct Row {
    address: Pubkey,
    owner: Pubkey,
    #[serde(serialize_with = "as_text")]
    amount: u64,
    decimals: u8,
    ui_amount: String,
    state: TokenAccountState,
    slot: Slot,
}

/// The last line of JSON.
#[derive(Debug, Serialize)]
struct Last {
    summary: Summary,
}

#[derive(Debug, Serialize)]
struct Summary {
    #[serde(skip_serializing_if = "Option::is_none")]
    at_slot: Option<Slot>,
    mint: Pubkey,
    program: Pubkey,
    decimals: u8,
    #[serde(serialize_with = "as_text")]
    supply: u64,
    ui_supply: String,
    /// Token accounts with something in them.
    holders: u64,
    token_accounts: u64,
    /// What all of them hold.
    #[serde(serialize_with = "as_text")]
    held: u128,
    ui_held: String,
}

fn as_text<T: ToString, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let Collected { mint, mut holders, at_slot } = collect(common, options)?;
    let (supply, decimals, token_2022) = match mint {
        Some(MintAccount::Mint { supply, decimals, token_2022 }) => (supply, decimals, token_2022),
        Some(MintAccount::Other { owner }) => {
            let owner = match programs::name_of(&owner) {
                Some(name) => format!("{owner}, {name}"),
                None => owner.to_string(),
            };
            eprintln!("icecore: {}: no mint (its owner is {owner})", options.mint);
            return Ok(Exit::Bad);
        }
        None => {
            eprintln!("icecore: {}: absent (closed, or never there)", options.mint);
            return Ok(Exit::Bad);
        }
    };
    // Whatever the other token program's accounts say, they hold nothing of this mint.
    holders.retain(|holder| holder.token_2022 == token_2022);
    let held = holders.iter().map(|holder| u128::from(holder.amount)).sum();
    let token_accounts = holders.len() as u64;
    let with_something = holders.iter().filter(|holder| holder.amount > 0).count() as u64;
    if !options.all {
        holders.retain(|holder| holder.amount > 0);
    }
    holders.sort_unstable_by(|a, b| b.amount.cmp(&a.amount).then(a.address.cmp(&b.address)));

    let summary = Summary {
        at_slot,
        mint: options.mint,
        program: if token_2022 { programs::TOKEN_2022 } else { programs::TOKEN },
        decimals,
        supply,
        ui_supply: decimal(supply.into(), decimals),
        holders: with_something,
        token_accounts,
        held,
        ui_held: decimal(held, decimals),
    };
    let mut answer = Answer::new(common.output);
    if answer.is_display() {
        display(&holders, &summary, &mut answer)?;
    } else {
        for holder in &holders {
            answer.row(&row(holder, decimals))?;
        }
        answer.row(&Last { summary })?;
    }
    answer.finish()?;
    Ok(Exit::Good)
}

/// The mint and its token accounts, and the slot of the store that they are of.
fn collect(common: &CommonOptions, options: &Options) -> Result<Collected, Failure> {
    let mut scan = Scan::open(common, &options.source, false)?;
    let mut collected = Collected { mint: None, holders: Vec::new(), at_slot: None };
    let mut data = DataFilters::default();
    let programs = [programs::TOKEN, programs::TOKEN_2022];
    let filter = match &mut scan {
        Scan::Archives(_) => Filter::new(&[], &data),
        Scan::Indexed(indexed) => {
            let mint = &mut collected.mint;
            indexed.get_many(&[options.mint], |live| *mint = Some(mint_account(&live.account)))?;
            Filter::new(&programs, &data)
        }
        // A store finds them by their owners; only the mint has to be asked for.
        Scan::Store(reading) => {
            reading.check_kept(&programs)?;
            collected.at_slot = Some(reading.slot());
            let mint = reading.get_many(&[options.mint])?.remove(0);
            collected.mint = mint.map(|mint| mint_account(&mint.account.borrowed(&options.mint)));
            data.memcmp.push(Memcmp::at(0, options.mint.as_bytes()));
            Filter::new(&programs, &data)
        }
    };
    let Collected { mint, holders, .. } = &mut collected;
    scan.for_each(&filter, |live| {
        let account = &live.account;
        if *account.pubkey == options.mint {
            *mint = Some(mint_account(account));
        } else if let Some(holder) = holder(account, &options.mint, live.slot) {
            holders.push(holder);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    scan.finish()?;
    Ok(collected)
}

fn mint_account(account: &AccountRef<'_>) -> MintAccount {
    match Mint::decode(account.owner, account.data) {
        Some(mint) => MintAccount::Mint {
            supply: mint.supply,
            decimals: mint.decimals,
            token_2022: *account.owner == programs::TOKEN_2022,
        },
        None => MintAccount::Other { owner: *account.owner },
    }
}

fn holder(account: &AccountRef<'_>, mint: &Pubkey, slot: Slot) -> Option<Holder> {
    // The mint's address comes first: most accounts are told apart by it at once.
    if !account.data.starts_with(mint.as_bytes()) {
        return None;
    }
    let token = TokenAccount::decode(account.owner, account.data)?;
    Some(Holder {
        address: *account.pubkey,
        owner: token.owner,
        amount: token.amount,
        state: token.state,
        slot,
        token_2022: *account.owner == programs::TOKEN_2022,
    })
}

fn row(holder: &Holder, decimals: u8) -> Row {
    Row {
        address: holder.address,
        owner: holder.owner,
        amount: holder.amount,
        decimals,
        ui_amount: decimal(holder.amount.into(), decimals),
        state: holder.state,
        slot: holder.slot,
    }
}

fn display(holders: &[Holder], summary: &Summary, answer: &mut Answer) -> Result<(), Failure> {
    let amount = |holder: &Holder| decimal(holder.amount.into(), summary.decimals);
    let width = holders.iter().map(|holder| amount(holder).len()).max().unwrap_or(0);
    let width = width.max("amount".len());
    let mut line = |address: &str, owner: &str, amount: &str, slot: &str, state: &str| {
        let line = format!("{address:44}  {owner:44}  {amount:>width$}  {slot:>10}  {state}");
        answer.line(line.trim_end())
    };
    if !holders.is_empty() {
        line("address", "owner", "amount", "slot", "")?;
    }
    for holder in holders {
        let state = match holder.state {
            TokenAccountState::Frozen => "frozen",
            TokenAccountState::Initialized | TokenAccountState::Uninitialized => "",
        };
        let (address, owner) = (holder.address.to_string(), holder.owner.to_string());
        line(&address, &owner, &amount(holder), &holder.slot.to_string(), state)?;
    }
    if !holders.is_empty() {
        answer.line("")?;
    }
    let Summary { mint, ui_supply, decimals, holders, token_accounts, ui_held, .. } = summary;
    let program = programs::name_of(&summary.program).expect("both token programs have names");
    answer.line(format!("mint    {mint} ({program}, {decimals} decimals)"))?;
    answer.line(format!("supply  {ui_supply}"))?;
    answer.line(format!(
        "held    {ui_held} by {holders} holders ({} token accounts are empty)",
        token_accounts - holders
    ))?;
    Ok(())
}
