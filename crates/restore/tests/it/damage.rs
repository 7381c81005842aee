//! Any flipped bit, any cut: bad, an error, or no difference but in the closed list.
//!
//! The subject is changed in place in a file in memory, one position at a time, verified strictly
//! and restored. What the verification lets pass is decoded, before and after, and compared without
//! the fields of the closed list.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use icecore_archive::names::ArchiveName;
use icecore_restore::{Answer, Error, Report};
use tempfile::TempDir;

use crate::{
    decoded::{Decoded, differences, same_state},
    support::{Form, Forms, strict, tiny_full, tiny_incremental, verify_files_with, zstd},
};

/// How the archives lie in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    /// As the reference client wrote them.
    AsBundled,
    /// The plain tar stream.
    Tar,
}

/// Which archive is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// A full archive by itself.
    Full,
    /// The full archive of a pair.
    FullOfPair,
    /// The incremental archive of a pair.
    Incremental,
}

/// What is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    /// The bit of this number, counted from the file's first byte's lowest, is flipped.
    Flip(usize),
    /// So many bytes are left.
    Cut(usize),
}

/// Files that one thread damages.
struct Bench {
    _folder: TempDir,
    full: PathBuf,
    incremental: Option<PathBuf>,
    damaged: File,
    original: Vec<u8>,
    name: ArchiveName,
    /// The archives as they were.
    decoded: Decoded,
    forms: Forms,
    target: Target,
}

impl Bench {
    fn new(target: Target, packing: Packing) -> Self {
        let folder = match Path::new("/dev/shm") {
            memory if memory.is_dir() => tempfile::tempdir_in(memory),
            _ => tempfile::tempdir(),
        };
        let folder = folder.expect("a temporary folder");
        let place = |path: &Path| {
            let form = Form::read(path);
            match packing {
                Packing::AsBundled => {
                    let bytes = std::fs::read(path).expect("bundled");
                    form.write_as(folder.path(), "tar.zst", &bytes)
                }
                Packing::Tar => form.write_as(folder.path(), "tar", &form.tar()),
            }
        };
        let full = place(&tiny_full());
        let incremental = (target != Target::Full).then(|| place(&tiny_incremental()));
        let path = match target {
            Target::Full | Target::FullOfPair => &full,
            Target::Incremental => incremental.as_ref().expect("just written"),
        };
        let original = std::fs::read(path).expect("just written");
        let file = path.file_name().expect("a file").to_string_lossy();
        let name = ArchiveName::parse(&file).expect("a good name");
        let (decoded, _) = Decoded::of(name, &original).expect("a good archive");
        let forms = match target {
            Target::Full => Forms::full(),
            Target::FullOfPair | Target::Incremental => Forms::pair(),
        };
        let damaged = OpenOptions::new().read(true).write(true).open(path).expect("just written");
        Self { _folder: folder, full, incremental, damaged, original, name, decoded, forms, target }
    }

    fn verify(&self) -> Result<Report, Error> {
        verify_files_with(&self.full, self.incremental.as_deref(), &strict())
    }

    fn apply(&self, damage: Damage) {
        match damage {
            Damage::Flip(bit) => {
                let byte = self.original[bit / 8] ^ (1 << (bit % 8));
                self.damaged.write_all_at(&[byte], (bit / 8) as u64).expect("in memory");
            }
            Damage::Cut(bytes) => self.damaged.set_len(bytes as u64).expect("in memory"),
        }
    }

    fn restore(&self, damage: Damage) {
        match damage {
            Damage::Flip(bit) => {
                let byte = self.original[bit / 8];
                self.damaged.write_all_at(&[byte], (bit / 8) as u64).expect("in memory");
            }
            Damage::Cut(bytes) => {
                let lost = &self.original[bytes..];
                self.damaged.write_all_at(lost, bytes as u64).expect("in memory");
            }
        }
    }

    /// Verifies the damaged archives: how the answer came out, and whether it may.
    fn judge(&self, damage: Damage) -> Result<String, String> {
        self.apply(damage);
        let result = self.verify();
        self.restore(damage);
        match result {
            Ok(report) if report.answer() == Answer::Bad => Ok("bad".to_string()),
            Ok(_) => self.passed(damage),
            Err(error) => Ok(format!("error: {error}").chars().take(24).collect()),
        }
    }

    /// The verification let it pass: what differs?
    fn passed(&self, damage: Damage) -> Result<String, String> {
        let mut bytes = self.original.clone();
        match damage {
            Damage::Flip(bit) => bytes[bit / 8] ^= 1 << (bit % 8),
            Damage::Cut(length) => bytes.truncate(length),
        }
        let (decoded, form) =
            Decoded::of(self.name, &bytes).ok_or("passes, and does not decode".to_string())?;
        let mut place = differences(&self.decoded, &decoded).join(", ");
        if place.is_empty() {
            place = "nothing".to_string();
        }
        let before = (&self.forms.full, self.forms.incremental.as_ref());
        let after = match self.target {
            Target::Incremental => (&self.forms.full, Some(&form)),
            _ => (&form, self.forms.incremental.as_ref()),
        };
        if !same_state(before, after) {
            return Err(format!("passes with another state: {place}"));
        }
        match decoded.covered() == self.decoded.clone().covered() {
            true => Ok(format!("passes: {place}")),
            false => Err(format!("passes: {place}")),
        }
    }
}

/// What one verification may take, on a busy machine.
const SECONDS_MAX: Duration = Duration::from_secs(20);

/// What the whole test program may take.
const MEMORY_BYTES_MAX: u64 = 2 << 30;

/// How often each outcome came, and the first damage that had it.
type Outcomes = BTreeMap<String, (u64, Damage)>;

/// A run of damages over two threads; panics on what must not be.
fn run(what: &str, target: Target, packing: Packing, damages: &[Damage]) {
    let next = AtomicUsize::new(0);
    let counts: Mutex<Outcomes> = Mutex::default();
    let wrong: Mutex<Outcomes> = Mutex::default();
    let began = Instant::now();
    let slowest = Mutex::new((Duration::ZERO, Damage::Cut(0)));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let bench = Bench::new(target, packing);
                assert_ne!(
                    bench.verify().expect("sound archives").answer(),
                    Answer::Bad,
                    "the archives are sound before they are damaged"
                );
                let mut own = Outcomes::new();
                let mut own_wrong = Outcomes::new();
                while let Some(damage) = damages.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let began = Instant::now();
                    let (counts, key) = match bench.judge(*damage) {
                        Ok(key) => (&mut own, key),
                        Err(key) => (&mut own_wrong, key),
                    };
                    counts.entry(key).or_insert((0, *damage)).0 += 1;
                    let mut took = began.elapsed();
                    if took > SECONDS_MAX {
                        // The program may have been stopped meanwhile: what hangs hangs again.
                        let began = Instant::now();
                        let _ = bench.judge(*damage);
                        took = began.elapsed();
                    }
                    let mut slowest = slowest.lock().expect("nobody panics with it");
                    if took > slowest.0 {
                        *slowest = (took, *damage);
                    }
                }
                for (total, own) in [(&counts, own), (&wrong, own_wrong)] {
                    let mut total = total.lock().expect("nobody panics with it");
                    for (key, (count, damage)) in own {
                        total.entry(key).or_insert((0, damage)).0 += count;
                    }
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let slowest = slowest.into_inner().expect("nobody panicked with it");
    eprintln!("{what}: {} damages in {seconds:.1} s, the slowest {slowest:?}", damages.len());
    for (key, (count, damage)) in counts.into_inner().expect("nobody panicked with it") {
        eprintln!("  {count:8} {key} ({damage:?})");
    }
    let wrong = wrong.into_inner().expect("nobody panicked with it");
    for (key, (count, damage)) in &wrong {
        eprintln!("  {count:8} WRONG {key} ({damage:?})");
    }
    assert!(wrong.is_empty(), "{what}: damage beyond the closed list passes: {wrong:#?}");
    assert!(slowest.0 < SECONDS_MAX, "{what}: {slowest:?}");
    let memory = icecore_disk::memory_use().map(|memory| memory.peak);
    assert!(memory.is_none_or(|peak| peak < MEMORY_BYTES_MAX), "{what}: {memory:?} bytes");
}

/// How many positions are tried when not all of them are.
const SAMPLE: usize = 1000;

/// All positions, or a sample of them.
fn positions(what: &str, count: usize) -> Vec<usize> {
    match std::env::var("ICECORE_EXHAUSTIVE") {
        Ok(_) => (0..count).collect(),
        Err(_) => {
            let seed =
                std::env::var("ICECORE_SEED").map_or(1, |text| text.parse().expect("a number"));
            eprintln!("{what}: a sample of {SAMPLE} of {count}, ICECORE_SEED={seed}");
            let mut state = seed;
            (0..SAMPLE).map(|_| (random(&mut state) % count as u64) as usize).collect()
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

fn flips(target: Target, packing: Packing) {
    let what = format!("flips, {target:?}, {packing:?}");
    let bytes = Bench::new(target, packing).original.len();
    // One bit of every byte, all eight when ICECORE_EXHAUSTIVE is 8.
    let all_bits = std::env::var("ICECORE_EXHAUSTIVE").is_ok_and(|text| text == "8");
    let damages: Vec<_> = match all_bits {
        true => (0..bytes * 8).map(Damage::Flip).collect(),
        false => {
            let mut state = 0;
            let mut bit = || (random(&mut state) % 8) as usize;
            positions(&what, bytes).into_iter().map(|at| Damage::Flip(at * 8 + bit())).collect()
        }
    };
    run(&what, target, packing, &damages);
}

fn cuts(target: Target, packing: Packing) {
    let what = format!("cuts, {target:?}, {packing:?}");
    let bytes = Bench::new(target, packing).original.len();
    let damages: Vec<_> = positions(&what, bytes).into_iter().map(Damage::Cut).collect();
    run(&what, target, packing, &damages);
}

macro_rules! damage_tests {
    ($($name:ident: $what:ident $target:ident $packing:ident;)*) => {$(
        #[test]
        fn $name() {
            $what(Target::$target, Packing::$packing);
        }
    )*};
}

damage_tests! {
    a_flipped_bit_of_the_full_tar: flips Full Tar;
    a_flipped_bit_of_the_full_archive: flips Full AsBundled;
    a_flipped_bit_of_the_pairs_full_tar: flips FullOfPair Tar;
    a_flipped_bit_of_the_incremental_tar: flips Incremental Tar;
    a_flipped_bit_of_the_incremental_archive: flips Incremental AsBundled;
    a_cut_of_the_full_tar: cuts Full Tar;
    a_cut_of_the_full_archive: cuts Full AsBundled;
    a_cut_of_the_pairs_full_tar: cuts FullOfPair Tar;
    a_cut_of_the_incremental_tar: cuts Incremental Tar;
    a_cut_of_the_incremental_archive: cuts Incremental AsBundled;
}

#[test]
fn the_editor_gives_back_what_it_read() {
    for path in [tiny_full(), tiny_incremental()] {
        let form = Form::read(&path);
        let container = std::fs::read(&path).expect("bundled");
        let tar = crate::support::unpack(&container).expect("a good archive");
        assert_eq!(form.tar(), tar);
        assert_eq!(crate::support::unpack(&zstd(&tar)).expect("just packed"), tar);
    }
    let mut forms = Forms::pair();
    let before = forms.clone();
    forms.rehash();
    let hashes = |form: &Form| (form.hash, form.manifest().bank.hashes.hash);
    assert_eq!(hashes(&forms.full), hashes(&before.full));
    assert_eq!(hashes(forms.above()), hashes(&before.incremental.expect("a pair")));
}
