//! What a reader in another process pins is kept, until it ends or is killed.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    time::Duration,
};

use icecore_store::{At, Store};

use crate::{chain, kills::start};

const READS_IN: &str = "ICECORE_TEST_STORE_READS_IN";

fn read_until_killed(folder: &Path) {
    let store = Store::read(folder, chain::options()).expect("opened for reading");
    let view = store.view(At::Root).expect("view");
    chain::check(&view).expect("read");
    std::io::stdout().write_all(b"reading\n").expect("somebody listens");
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn pins_of_a_process_that_was_killed_are_freed() {
    if let Some(folder) = std::env::var_os(READS_IN) {
        return read_until_killed(Path::new(&folder));
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let folder = folder.path().join("store");
    let store = chain::create(&folder);
    let mut child = start(READS_IN, &folder, "pins::pins_of_a_process_that_was_killed_are_freed");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    while lines.next().expect("it reads").expect("read") != "reading" {}
    let held = |process: u32| {
        store.leases().into_iter().filter(|lease| lease.process == Some(process)).count()
    };
    assert_eq!(held(child.id()), 1, "{:?}", store.leases());
    assert_eq!(store.leases()[0].slot, chain::BASE);
    child.kill().expect("killed");
    child.wait().expect("it has ended");
    assert_eq!(held(child.id()), 0, "{:?}", store.leases());
}
