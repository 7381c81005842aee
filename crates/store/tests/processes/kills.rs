//! A process that writes slots, roots them and flushes is killed, again and again, while another one
//! reads beside it.
//!
//! The process is this program once more, told by an environment variable to be the one that is
//! killed. It writes to its standard output which roots were acknowledged as durable.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use icecore_store::Store;
use icecore_types::Slot;

use crate::chain;

const KILLED_IN: &str = "ICECORE_TEST_STORE_KILLED_IN";
const KILLS: u64 = 20;

/// Writes until it is killed.
fn write_until_killed(folder: &Path) {
    let store = Store::open(folder, chain::options()).expect("opened");
    let mut tips = vec![chain::tip(&store)];
    loop {
        let pending = chain::extend(&store, tips[tips.len() - 1]).expect("committed");
        tips.push(pending.id());
        if tips.len() > 3 {
            let root = tips[tips.len() - 3];
            tips.remove(0);
            let rooted = store.root(root).expect("rooted");
            let number = store.slot(root).expect("known").number;
            if number.is_multiple_of(5) {
                rooted.wait().expect("durable");
                let line = format!("durable {number}\n");
                std::io::stdout().write_all(line.as_bytes()).expect("somebody listens");
            }
            if number.is_multiple_of(37) {
                store.compact().expect("compacted");
            }
        }
    }
}

pub(crate) fn start(variable: &str, folder: &Path, test: &str) -> Child {
    let program = std::env::current_exe().expect("this program");
    Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .env(variable, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started")
}

/// Lets the process run for a while and kills it; the last root that was acknowledged by then.
fn run_and_kill(folder: &Path, round: u64) -> Slot {
    let mut child = start(KILLED_IN, folder, "kills::two_processes");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut acknowledged = 0;
    let mut note = |line: &str| {
        let number = line.strip_prefix("durable ");
        if let Some(number) = number {
            acknowledged = number.parse().expect("a slot");
        }
        number.is_some()
    };
    while !note(&lines.next().expect("it writes").expect("read")) {}
    std::thread::sleep(Duration::from_micros(round * 7919 % 120_000));
    child.kill().expect("killed");
    for line in lines {
        note(&line.expect("read"));
    }
    child.wait().expect("it has ended");
    acknowledged
}

#[test]
fn two_processes() {
    if let Some(folder) = std::env::var_os(KILLED_IN) {
        return write_until_killed(Path::new(&folder));
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let folder = folder.path().join("store");
    chain::create(&folder).close().expect("closed");
    let is_over = AtomicBool::new(false);
    // The highest root that the reader has seen.
    let seen = AtomicU64::new(0);
    // Whoever holds it may look beyond what is written.
    let looking = Mutex::new(());
    let mut roots = Vec::new();
    let looks = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let store = Store::read(&folder, chain::options()).expect("opened for reading");
            let mut looks = 0;
            while !is_over.load(Ordering::Relaxed) {
                let looks_now = looking.lock().expect("sound");
                store.refresh().expect("followed");
                let root = chain::check_some(&store, looks).expect("read beside the writer");
                assert!(root >= seen.swap(root, Ordering::Relaxed), "what was seen stays");
                looks += 1;
                drop(looks_now);
                // Whoever waits for the lock gets it: locks are not fair.
                std::thread::sleep(Duration::from_millis(1));
            }
            looks
        });
        for round in 0..KILLS {
            let acknowledged = run_and_kill(&folder, round);
            let _looking = looking.lock().expect("sound");
            let store = Store::open(&folder, chain::options()).expect("opened after a kill");
            let root = chain::check_some(&store, round).expect("read");
            let seen = seen.load(Ordering::Relaxed);
            assert!(root >= acknowledged && root >= seen, "{root}, {acknowledged}, {seen}");
            roots.push(root);
            if round % 4 == 3 {
                store.close().expect("closed");
            }
        }
        is_over.store(true, Ordering::Relaxed);
        reader.join().expect("sound")
    });
    assert!(looks > KILLS, "{looks}");
    assert!(roots.is_sorted() && roots[roots.len() - 1] > chain::BASE + 5 * KILLS, "{roots:?}");
}
