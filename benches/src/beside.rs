//! What it costs a writer when a full archive is made beside it.
//!
//! 1. The best pair of a folder is restored into a store.
//! 2. A writer commits slots at mainnet's rate: 5,000 accounts in each of 2.5 slots per second, chosen at
//!    random among those of the store, each slot rooted once it is durable. What it states is computed
//!    beforehand; measured is a slot from its begin until it is durable, and of that its commit.
//! 3. Phases take turns: alone, and while the batch service makes the full archive of the base point, over
//!    and over. Only slots during which it worked count then.
//!
//! Printed are median and 99th percentile of all phases of a kind, and their ratios.

use std::{
    num::NonZeroUsize,
    ops::{Bound, ControlFlow},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use icecore_archive::choose::best_pair;
use icecore_batch::{
    Retention, WriteOptions,
    service::{Answer, Archives, Intervals, Kind, Outcome, Service, ServiceOptions, Wanted},
};
use icecore_disk::Stopwatch;
use icecore_hash::{BankHashParts, BankHashScheme, Kernel, LatticeSum, bank_hash};
use icecore_restore::{Options, Pair, Progress, candidates, path_of, restore_into};
use icecore_store::{At, BankFields, CreateOptions, SlotStatement, Store};
use icecore_tile::SandboxMode;
use icecore_types::{Account, Hash, Pubkey};
use serde_json::json;

use crate::{Failure, store::next};

/// Accounts of a slot, and slots a second: mainnet's.
const SLOT_ACCOUNTS: usize = 5000;
const SLOT_TIME: Duration = Duration::from_millis(400);

/// Accounts that the writer chooses from, at most.
const CHOSEN_MAX: usize = 400_000;

/// Longest data of such an account.
const DATA_LEN_MAX: usize = 400;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder with a full and an incremental archive
    folder: PathBuf,
    /// A folder for the store and what is made; it is removed again
    scratch: PathBuf,
    /// Slots of a phase
    #[arg(long, default_value_t = 100)]
    slots: u32,
    /// Pairs of phases
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Cores of the service [default: all]
    #[arg(long)]
    cores: Option<usize>,
}

/// Seconds that slots took.
#[derive(Default)]
struct Taken {
    slot: Vec<f64>,
    commit: Vec<f64>,
    /// Slots that began later than they should have.
    late: u32,
}

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let candidates = candidates(&arguments.folder)?;
    let Some((full, incremental)) = best_pair(&candidates) else {
        return Err(format!("{}: no full archive", arguments.folder.display()).into());
    };
    let full = path_of(&arguments.folder, full);
    let incremental = incremental.map(|found| path_of(&arguments.folder, found));
    std::fs::create_dir_all(&arguments.scratch)?;
    let store = restored(&full, incremental.as_deref(), &arguments.scratch.join("store"))?;
    let to = arguments.scratch.join("snapshots");
    std::fs::create_dir_all(&to)?;
    let scan = arguments.cores.map_or_else(Options::default, Options::for_cores);
    let archives = Archives {
        write: WriteOptions { verify: false, ..WriteOptions::default() },
        options: scan.clone(),
    };
    let one = NonZeroUsize::MIN;
    let options = ServiceOptions {
        folder: to.clone(),
        intervals: Intervals::default(),
        retention: Retention { full: one, incremental: one },
        epoch_accounts_hash: false,
        options: scan,
        sandbox: SandboxMode::On,
    };
    let service = Service::new(options, &archives, |told| eprintln!("{told}"));
    let mut writer = Writer::new(&store)?;
    let (mut alone, mut beside) = (Taken::default(), Taken::default());
    thread::scope(|scope| -> Result<(), Failure> {
        let running = scope.spawn(|| service.run(&store));
        let measured = (0..arguments.rounds).try_for_each(|_| {
            writer.phase(&store, arguments.slots, &mut alone, || true)?;
            let is_over = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| make_over_and_over(&store, &service, &to, &is_over));
                let is_made = || service.status().running.is_some();
                let done = writer.phase(&store, arguments.slots, &mut beside, is_made);
                is_over.store(true, Ordering::Relaxed);
                done
            })
        });
        service.stop();
        running.join().expect("the service does not panic")?;
        measured
    })?;
    let (alone, beside) = (alone.figures(), beside.figures());
    let ratios = |of: &str| {
        let ratio =
            |at: &str| beside[of][at].as_f64().zip(alone[of][at].as_f64()).map(|(b, a)| b / a);
        json!({ "median": ratio("median"), "p99": ratio("p99") })
    };
    let figures = json!({
        "alone": alone,
        "beside": beside,
        "ratio": { "slot": ratios("slot"), "commit": ratios("commit") },
    });
    println!("{figures:#}");
    drop(store);
    std::fs::remove_dir_all(&arguments.scratch)?;
    Ok(())
}

fn restored(full: &Path, incremental: Option<&Path>, at: &Path) -> Result<Store, Failure> {
    let store = Store::create(at, &CreateOptions::default(), icecore_store::Options::default())?;
    let mut pair = Pair::files(full, incremental)?;
    let verdict = |_: &icecore_restore::Report| b"{}".to_vec();
    restore_into(&mut pair, &Options::default(), &store, &Progress::default(), verdict)?;
    Ok(store)
}

/// Has the full archive of the base point made, removes it, and has it made again.
fn make_over_and_over(store: &Store, service: &Service<'_>, to: &Path, is_over: &AtomicBool) {
    let base = store.base().map(|base| base.bank.slot);
    while !is_over.load(Ordering::Relaxed) {
        let wanted = Wanted::Snapshot { kind: Kind::Full, slot: base };
        match service.request(store, wanted) {
            Ok(Answer::Accepted(waiting)) => {
                if let Outcome::Snapshot(made) = waiting.wait() {
                    // One that is gone already is no trouble.
                    let _ = std::fs::remove_file(to.join(&made.name.0));
                }
            }
            _ => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Commits slots of which each states what is true.
struct Writer {
    accounts: Vec<(Pubkey, Account)>,
    lattice: icecore_types::LatticeHash,
    capitalization: u64,
    kernel: Kernel,
    random: u64,
}

impl Writer {
    fn new(store: &Store) -> Result<Self, Failure> {
        let view = store.view(At::Root)?;
        let totals = view.totals()?;
        let mut accounts = Vec::new();
        view.scan(Bound::Unbounded, Bound::Unbounded, |found| {
            if found.account.data.len() <= DATA_LEN_MAX {
                accounts.push(found.account.to_owned());
            }
            match accounts.len() < CHOSEN_MAX {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        let (lattice, capitalization) = (totals.lattice, totals.capitalization);
        Ok(Self { accounts, lattice, capitalization, kernel: Kernel::chosen()?, random: 1 })
    }

    /// So many slots at their times; those that count go to `taken`.
    fn phase(
        &mut self,
        store: &Store,
        slots: u32,
        taken: &mut Taken,
        counts: impl Fn() -> bool,
    ) -> Result<(), Failure> {
        let clock = Stopwatch::start();
        for slot in 0..slots {
            let (chosen, stated) = self.slot(store)?;
            match (SLOT_TIME * slot).checked_sub(clock.elapsed()) {
                Some(early) => thread::sleep(early),
                None => taken.late += 1,
            }
            let counted = counts();
            let stopwatch = Stopwatch::start();
            let parent = store.root_slot().ok_or("the store has no state")?.id;
            let mut open = store.begin_slot(stated.bank.slot, parent)?;
            for place in chosen {
                let (pubkey, account) = &self.accounts[place];
                open.write(&account.borrowed(pubkey))?;
            }
            let commit = Stopwatch::start();
            let pending = open.commit(&stated)?;
            pending.wait()?;
            let (whole, commit) = (stopwatch.elapsed(), commit.elapsed());
            let id = pending.id();
            store.root(id)?.wait()?;
            if counted && counts() {
                taken.slot.push(whole.as_secs_f64());
                taken.commit.push(commit.as_secs_f64());
            }
        }
        Ok(())
    }

    /// Changes accounts; which, and what the slot states then.
    fn slot(&mut self, store: &Store) -> Result<(Vec<usize>, SlotStatement), Failure> {
        let parent = store.root_slot().ok_or("the store has no state")?;
        let mut chosen: Vec<usize> = (0..SLOT_ACCOUNTS)
            .map(|_| (next(&mut self.random) % self.accounts.len() as u64) as usize)
            .collect();
        chosen.sort_unstable();
        chosen.dedup();
        let [mut before, mut after] = [(); 2].map(|()| LatticeSum::new(self.kernel));
        for place in &chosen {
            let (pubkey, account) = &mut self.accounts[*place];
            before.add(&[account.borrowed(pubkey)]);
            account.lamports += 1;
            self.capitalization += 1;
            after.add(&[account.borrowed(pubkey)]);
        }
        self.lattice.mix_out(&before.finish());
        self.lattice.mix_in(&after.finish());
        let number = parent.number + 1;
        let last_blockhash = Hash([7; 32]);
        let base = store.base().ok_or("the store has no base point")?;
        let parts = BankHashParts {
            parent_hash: parent.bank.bank_hash,
            signature_count: 1,
            last_blockhash,
            lattice: Some(&self.lattice),
            accounts_delta_hash: None,
            epoch_accounts_hash: None,
            hard_forks: &base.hard_forks,
            parent_slot: parent.number,
            slot: number,
        };
        let bank = BankFields {
            slot: number,
            parent_slot: parent.number,
            bank_hash: bank_hash(&parts, BankHashScheme::Lattice)?,
            parent_bank_hash: parent.bank.bank_hash,
            last_blockhash,
            signature_count: 1,
            transaction_count: parent.bank.transaction_count + 1,
            block_height: parent.bank.block_height + 1,
        };
        let accounts_written = chosen.len() as u64;
        let (lattice, capitalization) = (self.lattice.clone(), self.capitalization);
        Ok((chosen, SlotStatement { bank, lattice, capitalization, accounts_written }))
    }
}

impl Taken {
    fn figures(mut self) -> serde_json::Value {
        let slots = self.slot.len();
        json!({
            "slots": slots,
            "late": self.late,
            "slot": figures(&mut self.slot),
            "commit": figures(&mut self.commit),
        })
    }
}

/// Median, 99th percentile and the longest, in seconds.
fn figures(seconds: &mut [f64]) -> serde_json::Value {
    seconds.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (seconds.len() as f64 * share) as usize;
        seconds.get(place.min(seconds.len().saturating_sub(1)))
    };
    json!({ "median": at(0.5), "p99": at(0.99), "max": seconds.last() })
}
