//! `icecore restore`: archives, verified, into a store as base points.
//!
//! The store is made if there is none. A bad verdict, Ctrl-C or a full disk leave it as it was.

use std::path::{Path, PathBuf};

use clap::Args;
use icecore_archive::{choose::Candidate, names::ArchiveName};
use icecore_restore::{
    Error, Options as ScanOptions, Pair, Preflight, Report, candidates, path_of, restore_into,
};
use icecore_store::{At, BaseFit, CreateOptions, Options as StoreOpening, Store};
use icecore_types::{Hash, Pubkey, Slot};
use serde::Serialize;

use super::verify::{self, Json, Judging};
use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::Answer,
    size::human,
    source::{StoreOptions, pair_of},
    writing,
};

#[derive(Debug, Args)]
#[command(
    after_help = "Base points are restored in order, oldest first. What the store holds already is not \
restored again. Between two base points that no feed covers lies a gap. An incremental archive alone \
stands on the base point that the store keeps of its full archive, which is not read again."
)]
pub(crate) struct Options {
    /// A full archive and perhaps an incremental one on it, or a folder (its best pair), or an
    /// incremental archive whose full one the store keeps as a base point
    #[arg(required = true, num_args = 1..=2, value_name = "FULL [INCREMENTAL] | INCREMENTAL | DIR")]
    archives: Vec<PathBuf>,

    #[command(flatten)]
    store: StoreOptions,

    /// With a folder: every archive in it, oldest first, each as a base point
    #[arg(long)]
    all: bool,

    /// In a new store: keep only accounts that this program owns; given again: or that one
    #[arg(long, value_name = "PROGRAM")]
    program_accounts: Vec<Pubkey>,

    /// In a new store: leave out the index by owner, and read all accounts to find a program's
    #[arg(long)]
    no_owner_order: bool,

    #[command(flatten)]
    judging: Judging,
}

/// The answer for one base point.
#[derive(Serialize)]
struct Row<'a> {
    base_point: Slot,
    /// False: the store holds it already.
    restored: bool,
    archives: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Json<'a>>,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    // What is wrong with names and options costs no store.
    let pairs = options.pairs()?;
    let scan = options.judging.scan(common)?;
    let store = options.open(pairs.first().is_some_and(Pair::is_alone))?;
    let restored = restore_all(common, options, &store, pairs, &scan);
    let closed = store.close();
    let exit = restored?;
    closed?;
    Ok(exit)
}

impl Options {
    /// The archives, in the order in which they are restored.
    fn pairs(&self) -> Result<Vec<Pair>, Failure> {
        let folder = match (self.all, &self.archives[..]) {
            (false, [archive]) if is_incremental(archive) => {
                return Ok(vec![Pair::alone(archive)?]);
            }
            (false, archives) => return Ok(vec![pair_of(archives)?]),
            (true, [folder]) if icecore_disk::is_folder(folder) => folder,
            (true, _) => return Err(Failure::Usage("--all goes with one folder".into())),
        };
        let mut all = candidates(folder)?;
        all.sort_by_key(|found| (found.name.slot(), found.name.is_incremental(), found.remote));
        let full_of = |base: Slot| {
            all.iter().find(|found| !found.name.is_incremental() && found.name.slot() == base)
        };
        let pair = |found: &Candidate| -> Result<Pair, Failure> {
            let path = path_of(folder, found);
            match found.name.base() {
                None => Ok(Pair::files(path, None)?),
                Some(base) => match full_of(base) {
                    Some(full) => Ok(Pair::files(path_of(folder, full), Some(&path))?),
                    // The store may keep its state.
                    None => Ok(Pair::alone(path)?),
                },
            }
        };
        match all.is_empty() {
            true => Err(Error::NoArchive { folder: folder.clone() }.into()),
            false => all.iter().map(pair).collect(),
        }
    }

    /// Opens the store, or makes it, unless it must be there already.
    fn open(&self, must_be_there: bool) -> Result<Store, Failure> {
        let folder = &self.store.store;
        match Store::open(folder, StoreOpening::default()) {
            Ok(store) => {
                writing::tell(store.opened());
                self.check(&store)?;
                Ok(store)
            }
            Err(icecore_store::Error::NoStore { .. }) if !must_be_there => {
                let create = CreateOptions {
                    kept_owners: self.program_accounts.clone(),
                    owner_order: !self.no_owner_order,
                };
                Ok(Store::create(folder, &create, StoreOpening::default())?)
            }
            Err(error) => Err(writing::taken(error, folder)),
        }
    }

    /// Refuses options that a store which is there cannot follow.
    fn check(&self, store: &Store) -> Result<(), Failure> {
        let sorted = |owners: &[Pubkey]| {
            let mut owners = owners.to_vec();
            owners.sort_unstable();
            owners
        };
        let refused = |what: &str| {
            Err(Failure::Usage(format!(
                "{}: {what} is chosen when a store is made, and this one is there",
                self.store.store.display()
            )))
        };
        if !self.program_accounts.is_empty()
            && sorted(&self.program_accounts) != sorted(store.kept_owners())
        {
            return refused("--program-accounts");
        }
        if self.no_owner_order && store.has_owner_order() {
            return refused("--no-owner-order");
        }
        Ok(())
    }
}

fn restore_all(
    common: &CommonOptions,
    options: &Options,
    store: &Store,
    pairs: Vec<Pair>,
    scan: &ScanOptions,
) -> Result<Exit, Failure> {
    let mut answer = Answer::new(common.output);
    let many = pairs.len() > 1;
    for mut pair in pairs {
        let last = pair.incremental.as_ref().unwrap_or(&pair.full);
        let slot = last.name().slot();
        let archives = archives_of(store, &pair);
        if is_held(store, slot, last.name().hash(), last.label())? {
            match answer.is_display() {
                true => answer.line(format!("slot {slot} is held already: nothing to restore"))?,
                false => {
                    let row = Row { base_point: slot, restored: false, archives, verdict: None };
                    tell(&row, many, &mut answer)?;
                }
            }
            continue;
        }
        let (report, seconds) = match options.all && stands_on_kept(store, &pair) {
            true => restore_alone(common, options, store, pair, scan)?,
            false => restore(common, options, store, &mut pair, scan)?,
        };
        let json = Json::of(&report, seconds);
        options.judging.write_report(&json)?;
        let exit = verify::exit(&report);
        if answer.is_display() {
            verify::display(&report, seconds, common.verbose, &mut answer)?;
            answer.line("")?;
            answer.line(match exit {
                Exit::Good => format!(
                    "restored: slot {slot} is a base point of {}",
                    options.store.store.display()
                ),
                _ => "nothing was restored".to_string(),
            })?;
        } else {
            let restored = exit == Exit::Good;
            tell(
                &Row { base_point: slot, restored, archives, verdict: Some(json) },
                many,
                &mut answer,
            )?;
        }
        if exit != Exit::Good {
            answer.finish()?;
            return Ok(exit);
        }
    }
    answer.finish()?;
    Ok(Exit::Good)
}

/// The names that a base point gets: those of the archives, or with an incremental one alone that of the
/// full archive which the store keeps.
fn archives_of(store: &Store, pair: &Pair) -> Vec<String> {
    let kept = pair.full.name().base().and_then(|base| store.keep_base(base).ok());
    let kept = kept.map(|kept| kept.facts().archives.clone()).unwrap_or_default();
    let sources = [Some(&pair.full), pair.incremental.as_ref()].into_iter().flatten();
    kept.into_iter().chain(sources.map(|source| source.label().to_string())).collect()
}

/// Whether the store keeps all of a full archive's state as a base point, so that the incremental one
/// is enough.
fn stands_on_kept(store: &Store, pair: &Pair) -> bool {
    let Ok(kept) = store.keep_base(pair.full.name().slot()) else { return false };
    let name = ArchiveName::parse(&kept.facts().archives[0]);
    let is_same = name.is_ok_and(|name| name.hash() == pair.full.name().hash());
    pair.incremental.is_some() && store.kept_owners().is_empty() && is_same
}

/// Restores the incremental archive of a pair onto the base point of its full one; where that cannot
/// be, both.
fn restore_alone(
    common: &CommonOptions,
    options: &Options,
    store: &Store,
    pair: Pair,
    scan: &ScanOptions,
) -> Result<(Report, f64), Failure> {
    let Pair { full, incremental } = pair;
    let incremental = incremental.expect("asked before");
    let mut alone = Pair { full: incremental, incremental: None };
    match restore(common, options, store, &mut alone, scan) {
        Err(Failure::Restore(Error::NeedsFull { .. })) => {
            let mut pair = Pair { full, incremental: Some(alone.full) };
            restore(common, options, store, &mut pair, scan)
        }
        done => done,
    }
}

/// Whether a path is called like an incremental archive.
fn is_incremental(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| ArchiveName::parse(&name.to_string_lossy()).ok());
    name.is_some_and(|name| name.is_incremental())
}

/// One object for one answer, a line each for many.
fn tell(row: &Row<'_>, many: bool, answer: &mut Answer) -> Result<(), Failure> {
    match many {
        true => answer.row(row)?,
        false => answer.object(row)?,
    }
    Ok(())
}

/// Whether the store holds the state that an archive of this name has. What cannot be restored is
/// refused before anything is read.
fn is_held(store: &Store, slot: Slot, hash: &Hash, label: &str) -> Result<bool, Failure> {
    let Some(root) = store.root_slot().filter(|root| slot <= root.number) else {
        return Ok(false);
    };
    let of_base = |base: &icecore_store::BaseFacts| {
        base.bank.slot == slot && base.archives.last().is_some_and(|last| last == label)
    };
    if root.number == slot && store.base().is_some_and(|base| of_base(&base)) {
        return Ok(true);
    }
    let view = store.view(At::Slot(slot));
    let held = view.as_ref().ok().filter(|view| view.slot().number == slot);
    match held {
        // Its name states the lattice hash of the accounts, or, of an old one, something else: then the
        // store is asked once more when the bank hash is known.
        Some(view) if icecore_hash::lattice_checksum(&view.totals()?.lattice) == *hash => Ok(true),
        Some(_) => Ok(false),
        None => Ok(store.check_base(slot, &Hash::default())? == BaseFit::Held),
    }
}

/// Restores an archive or a pair; gives the verdict, which may be bad, and how long it took.
fn restore(
    common: &CommonOptions,
    options: &Options,
    store: &Store,
    pair: &mut Pair,
    scan: &ScanOptions,
) -> Result<(Report, f64), Failure> {
    let disk = writing::disk();
    let preflight = Preflight::of(pair, scan, &*disk, &options.store.store)?;
    let watch = common.watch_work(told(&preflight, &options.store.store))?;
    preflight.check()?;
    let restored = restore_into(pair, scan, store, &watch.progress, |report| {
        serde_json::to_vec(&Json::of(report, watch.seconds())).expect("a verdict is plain JSON")
    });
    let report = match restored {
        Ok(restored) => restored.report,
        Err(Error::Bad { report }) => *report,
        Err(error) => return Err(error.into()),
    };
    let seconds = watch.seconds();
    watch.finish()?;
    Ok((report, seconds))
}

/// What will be needed, for a person.
fn told(preflight: &Preflight, folder: &Path) -> String {
    let room = match preflight.store_bytes {
        Some(bytes) => format!("about {}", human(bytes)),
        None => "nobody knows how much".to_string(),
    };
    let tight = if preflight.is_tight() { "; that may not be enough" } else { "" };
    format!(
        "needs: {room} in {}, which has room for {}; {} of memory{tight}",
        folder.display(),
        human(preflight.available_bytes),
        human(preflight.memory_bytes),
    )
}
