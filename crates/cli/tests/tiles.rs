//! Tiles as a user meets them: what is shown of them, and how a run ends that is interrupted,
//! killed, or refused something by the system.
//!
//! A run is held in its middle by standard input that is not closed.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

const FULL: &str = "snapshot-46-2pRN9jNHGRLkRp4n6uySxy7KFY41E81qZenhu21ef2FZ.tar.zst";

/// How long anything here may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tiny")
}

fn icecore(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icecore"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    icecore(arguments).output().expect("the binary runs")
}

fn verify_tiny(arguments: &[&str]) -> Output {
    let folder = tiny();
    run(&[&["snapshot", "verify", text_of(&folder)], arguments].concat())
}

fn text_of(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("not killed by a signal")
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("text")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("one object")
}

/// Waits until it holds.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// State and parent of a process, if it is there: `/proc/PID/stat` after the name in brackets.
fn look_at(process: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

fn is_gone(process: u32) -> bool {
    look_at(process).is_none_or(|(state, _)| state == 'Z' || state == 'X')
}

fn children_of(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc is there on Linux");
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter(|process| look_at(*process).is_some_and(|(_, of)| of == parent)).collect()
}

fn signal(name: &str, process: u32) {
    let status = Command::new("kill").args([name, &process.to_string()]).status();
    assert!(status.expect("kill runs").success());
}

/// A verification that waits for the rest of its standard input.
struct Held {
    child: Child,
    input: ChildStdin,
    decompressors: Vec<u32>,
}

fn hold(arguments: &[&str]) -> Held {
    let all = [&["snapshot", "verify", "-", "--archive-name", FULL], arguments].concat();
    let mut command = icecore(&all);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut input = child.stdin.take().expect("piped");
    let bytes = fs::read(tiny().join(FULL)).expect("bundled");
    input.write_all(&bytes[..bytes.len() / 2]).expect("written");
    let parent = child.id();
    wait_until("a decompressor is a process of its own", || !children_of(parent).is_empty());
    // All tiles are ready a moment later, and wait.
    thread::sleep(Duration::from_millis(500));
    Held { child, input, decompressors: children_of(parent) }
}

impl Held {
    /// How it ends, with what it said and what its processes are.
    fn end(self) -> (Output, Vec<u32>) {
        let Self { child, input, decompressors } = self;
        drop(input);
        (child.wait_with_output().expect("it ends"), decompressors)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("readable");
    entries.map(|entry| entry.expect("readable").file_name().into_string().expect("text")).collect()
}

/// The names of a topology's tiles, as given.
fn tiles(topology: &Value) -> Vec<&str> {
    let tiles = topology["tiles"].as_array().expect("tiles");
    tiles.iter().map(|tile| tile["name"].as_str().expect("text")).collect()
}

/// The topology as JSON.
fn topology(arguments: &[&str]) -> Value {
    let all = [&["debug", "topology", "restore", "--output", "json"], arguments].concat();
    let output = run(&all);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    json(&output)
}

#[test]
fn a_topology_is_what_was_asked_for() {
    let plan = topology(&["--tiles", "decompress=3,hash=2,read+split", "--cores", "0"]);
    let (fused, decompressors) = (["read:0", "split:0"], 3);
    for tile in plan["tiles"].as_array().expect("tiles") {
        let name = tile["name"].as_str().expect("text");
        assert_eq!(tile["core"], 0, "{name}");
        assert_eq!(tile["is_process"], name.starts_with("decompress:"), "{name}");
        assert_eq!(tile["host"] == "read+split", fused.contains(&name), "{name}");
    }
    let names = tiles(&plan);
    let count = |kind: &str| names.iter().filter(|name| name.starts_with(kind)).count();
    assert_eq!((count("decompress:"), count("hash:"), count("parse:")), (decompressors, 2, 1));

    let four = topology(&["--threads", "4"]);
    assert_eq!(tiles(&four).iter().filter(|name| name.starts_with("hash:")).count(), 4);
    let one = topology(&["--threads", "4", "--one-frame"]);
    assert_eq!(tiles(&one).iter().filter(|name| name.starts_with("decompress:")).count(), 1);
}

#[test]
fn a_topology_is_shown_to_people_and_as_a_picture() {
    let table = run(&["debug", "topology", "restore"]);
    assert!(text(&table.stdout).starts_with("topology restore, "));
    assert!(text(&table.stdout).contains("\nchunks "));
    let picture = run(&["debug", "topology", "restore", "--graphviz"]);
    assert!(text(&picture.stdout).starts_with("digraph \"restore\" {"));
    assert!(text(&picture.stdout).contains("\"read:0\" -> \"split:0\""));
    let unknown = run(&["debug", "topology", "other"]);
    assert_eq!(code(&unknown), 2);
    assert!(text(&unknown.stderr).contains("there are: restore"), "{}", text(&unknown.stderr));
}

#[test]
fn tiles_and_cores_that_cannot_be_are_wrong_usage() {
    for (wrong, said) in [
        (["--tiles", "hash=0"], "give a number from 1 to 32"),
        (["--tiles", "read=2"], "'decompress' and 'hash' only"),
        (["--cores", "999"], "there is no core 999 for this process; it may use "),
        (["--sandbox", "maybe"], "say on, off or log"),
    ] {
        let output = verify_tiny(&wrong);
        assert_eq!(code(&output), 2, "{wrong:?}");
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
    }
}

#[test]
fn the_hardware_is_told_with_reasons() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let all = ["debug", "hardware", "/proc", "--scratch", text_of(folder.path())];
    let shown = run(&all);
    assert_eq!(code(&shown), 0);
    for what in ["cores", "simd", "memory", "huge pages", "seccomp", "landlock", "io_uring"] {
        assert!(text(&shown.stdout).contains(&format!("\n{what} ")), "{what}");
    }
    let hardware = json(&run(&[&all[..], &["--output", "json"]].concat()));
    let [scratch, proc] = &hardware["direct_reads"].as_array().expect("two folders")[..] else {
        panic!("{hardware}");
    };
    assert_eq!(scratch["folder"], text_of(folder.path()));
    assert_eq!((&proc["folder"], &proc["available"]), (&"/proc".into(), &false.into()));
    assert!(proc["reason"].as_str().is_some_and(|why| why.contains("/proc")), "{proc}");
    assert!(!hardware["cores"].as_array().expect("a list").is_empty());
    assert!(names(folder.path()).is_empty());
}

#[test]
fn what_tiles_did_is_shown_at_the_end_of_a_phase() {
    let output = verify_tiny(&["--monitor"]);
    assert_eq!(code(&output), 0);
    let lines: Vec<_> = text(&output.stderr).lines().collect();
    let tables = lines.iter().filter(|line| line.contains("  held back  ")).count();
    assert!((1..=4).contains(&tables), "one for each phase, but short ones together: {lines:?}");
    for what in ["    read:0 ", "    decompress:0 ", " records/s", "    links  chunks "] {
        assert!(lines.iter().any(|line| line.contains(what)), "{what}: {lines:?}");
    }
    assert!(lines.iter().any(|line| line.ends_with("< holds back the rest")), "{lines:?}");
    assert_eq!(text(&verify_tiny(&[]).stderr).matches("held back").count(), 0);
}

#[test]
fn metrics_are_written_whatever_the_verdict() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("metrics.json");
    for (extra, exit) in [(&[][..], 0), (&["--expected-slot", "61"][..], 1)] {
        let output = verify_tiny(&[&["--metrics", text_of(&path)], extra].concat());
        assert_eq!(code(&output), exit);
        let metrics = fs::read(&path).expect("written");
        let metrics: Value = serde_json::from_slice(&metrics).expect("one object");
        let pipelines = metrics["pipelines"].as_array().expect("a list");
        assert_eq!(pipelines.len(), 1, "{metrics}");
        let tiles = pipelines[0]["tiles"].as_array().expect("a list");
        let hash = |tile: &&Value| tile["tile"].as_str().is_some_and(|it| it.starts_with("hash:"));
        let records = tiles.iter().filter(hash).map(|tile| tile["own"][0][1].as_u64());
        assert_eq!(records.sum::<Option<u64>>(), Some(778), "every record of both archives");
        fs::remove_file(&path).expect("removed");
    }
    assert_eq!(names(folder.path()), Vec::<String>::new());
    let output = verify_tiny(&["--metrics", "/nowhere/metrics.json"]);
    assert_eq!(code(&output), 4);
    assert_eq!(text(&output.stdout), "", "told before the work");
}

#[test]
fn the_report_says_how_tiles_were_closed_in() {
    let line = |output: &Output| {
        let found = text(&output.stdout).lines().find(|line| line.starts_with("sandbox "));
        found.expect("a line").to_string()
    };
    let off = verify_tiny(&["--sandbox", "off", "--tiles", "decompress=1,hash=2"]);
    assert_eq!(
        line(&off),
        "sandbox off: decompress:0 in a process of its own (seccomp off, landlock off); \
         seccomp off, landlock off on 5 threads"
    );
    for mode in ["on", "log"] {
        let output = verify_tiny(&["--sandbox", mode, "-v"]);
        assert_eq!(code(&output), 0);
        let start = format!("sandbox {mode}: decompress:0 in a process of its own");
        assert!(line(&output).starts_with(&start), "{}", line(&output));
        let stdout = text(&output.stdout);
        assert!(stdout.contains("\n  decompress:0  process  "), "{stdout}");
        assert!(stdout.contains("\nread by "), "{stdout}");
        assert!(stdout.contains(" to scratch files for want of memory"), "{stdout}");
    }
    let work = json(&verify_tiny(&["--output", "json"]));
    let hosts = work["work"]["hosts"].as_array().expect("a list");
    assert!(hosts.iter().any(|host| host["host"] == "decompress:0" && host["is_process"] == true));
    let known = ["enforced", "absent"];
    assert!(hosts.iter().all(|host| known.iter().any(|word| host["seccomp"] == **word)));
}

#[test]
fn ctrl_c_ends_in_order_though_standard_input_stalls() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let metrics = folder.path().join("metrics.json");
    let scratch = text_of(folder.path());
    let mut held = hold(&["--scratch", scratch, "--metrics", text_of(&metrics)]);
    signal("-INT", held.child.id());
    wait_until("it ends though standard input is open", || {
        held.child.try_wait().expect("waited for").is_some()
    });
    let (output, decompressors) = held.end();
    assert_eq!(code(&output), 130, "{}", text(&output.stderr));
    assert!(text(&output.stderr).ends_with("icecore: interrupted\n"));
    assert_eq!(text(&output.stdout), "");
    assert!(decompressors.iter().all(|process| is_gone(*process)));
    assert_eq!(names(folder.path()), ["metrics.json"]);
}

#[test]
fn a_decompressor_that_is_killed_is_no_verdict() {
    let mut held = hold(&[]);
    for process in &held.decompressors {
        signal("-KILL", *process);
    }
    wait_until("it ends though standard input is open", || {
        held.child.try_wait().expect("waited for").is_some()
    });
    let (output, _) = held.end();
    assert_eq!(code(&output), 4, "{}", text(&output.stdout));
    let said = text(&output.stderr);
    assert!(said.contains("icecore: tile decompress:"), "{said}");
    assert!(said.contains("was killed by signal 9"), "{said}");
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn killed_it_leaves_no_process_and_no_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let metrics = folder.path().join("metrics.json");
    let scratch = text_of(folder.path());
    let mut held = hold(&["--scratch", scratch, "--metrics", text_of(&metrics)]);
    assert!(!held.decompressors.iter().any(|process| is_gone(*process)));
    signal("-KILL", held.child.id());
    held.child.wait().expect("it ends");
    wait_until("no process is left", || held.decompressors.iter().all(|one| is_gone(*one)));
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn a_full_disk_for_scratch_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let is_allowed = Command::new("unshare").args(["-rm", "true"]).status();
    if !is_allowed.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no file system can be mounted here");
        return;
    }
    let script = "mount -t tmpfs -o size=4k none \"$SCRATCH\" && exec \"$@\" < \"$ARCHIVE\"";
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_icecore")]);
    command.args(["snapshot", "verify", "-", "--archive-name", FULL]);
    command.args(["--scratch", text_of(folder.path())]);
    command.env("ARCHIVE", tiny().join(FULL)).env("SCRATCH", folder.path());
    let output = command.output().expect("it runs");
    assert_eq!(code(&output), 4, "{}", text(&output.stdout));
    let said = text(&output.stderr);
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains("free space there or name another folder"), "{said}");
}

#[test]
fn a_folder_that_takes_no_scratch_is_told_before_the_work() {
    for (folder, what_to_do) in
        [("/proc", "name a folder on another file system"), ("/nowhere/at/all", "check the path")]
    {
        let all = ["snapshot", "verify", "-", "--archive-name", FULL, "--scratch", folder];
        let output = run(&all);
        assert_eq!(code(&output), 4, "{folder}");
        let said = text(&output.stderr);
        assert!(said.starts_with(&format!("icecore: {folder}: cannot make a scratch")), "{said}");
        assert!(said.contains(what_to_do), "{said}");
    }
}

#[test]
fn a_pipe_that_closes_ends_a_table_quietly() {
    for arguments in [&["debug", "topology", "restore"][..], &["debug", "hardware"]] {
        let mut command = icecore(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!((code(&output), text(&output.stderr)), (0, ""), "{arguments:?}");
    }
}
