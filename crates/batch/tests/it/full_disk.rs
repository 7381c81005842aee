//! A disk that takes no more. A limit on the size of files stands in for it: the shell sets it for a
//! process of its own, which is this test again.

use std::{path::PathBuf, process::Command};

use icecore_batch::{Error, Named, WriteOptions, merge, minimize, recompress};
use icecore_restore::Progress;

use crate::support::{archives_in, cores, folder, names, tiny};

/// Set in the process that has the limit: the folder to write into.
const FOLDER: &str = "ICECORE_TEST_FULL_DISK";

#[test]
fn a_full_disk_leaves_nothing_wherever_it_is_full() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return fails_in(PathBuf::from(folder));
    }
    // In blocks of 1,024 bytes; the smallest of the archives has about 20 of them.
    for blocks in (1..=15).step_by(2) {
        let folder = folder();
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let test = "full_disk::a_full_disk_leaves_nothing_wherever_it_is_full";
        let output = Command::new("bash")
            .args(["-c", &script, "bash"])
            .arg(std::env::current_exe().expect("it runs"))
            .args([test, "--exact"])
            .env(FOLDER, folder.path())
            .output()
            .expect("there is a shell");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{blocks}: {said}");
    }
}

/// All of them fail here, as writing does.
fn fails_in(to: PathBuf) {
    let (full, incremental) = archives_in(&tiny());
    let incremental = incremental.expect("the set has one");
    let (write, options, progress) = (WriteOptions::default(), cores(2), Progress::default());
    let is_written = |error: Error| matches!(error, Error::Write(_) | Error::Disk(_));
    let made = recompress(&full, &to, &write, &options, &progress);
    assert!(made.is_err_and(|error| matches!(error, Error::Write(_))));
    assert_eq!(names(&to), Vec::<String>::new());
    // Scratch files have the limit, too.
    let made = merge(&full, &incremental, &to, &write, &options, &progress);
    assert!(made.is_err_and(is_written));
    assert_eq!(names(&to), Vec::<String>::new());
    let archives = (full.as_path(), Some(incremental.as_path()));
    let made = minimize(archives, &Named::default(), &to, &write, &options, &progress);
    assert!(made.is_err_and(is_written));
    assert_eq!(names(&to), Vec::<String>::new());
}
