//! What the tests share: where data lies, running the binary, reading what it writes.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use icecore_types::Pubkey;
use serde_json::Value;

pub(crate) const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
pub(crate) const CLOCK: &str = "SysvarC1ock11111111111111111111111111111111";
pub(crate) const SYSTEM: &str = "11111111111111111111111111111111";

pub(crate) fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tiny")
}

/// A folder of the shared data, if this machine has it.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("ICECORE_SHARED") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let path = root.join("data").join(folder);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

/// The largest set there is.
pub(crate) fn large() -> PathBuf {
    shared("small").unwrap_or_else(tiny)
}

/// A path in `folder` of a file whose name starts so.
pub(crate) fn starting(folder: &Path, start: &str) -> PathBuf {
    let mut entries = fs::read_dir(folder).expect("listed").map(|entry| entry.expect("listed"));
    let found = entries.find(|entry| entry.file_name().to_string_lossy().starts_with(start));
    found.unwrap_or_else(|| panic!("{start} in {}", folder.display())).path()
}

pub(crate) fn full_of(folder: &Path) -> PathBuf {
    starting(folder, "snapshot-")
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("listed");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("listed").file_name().into_string().expect("text")
    };
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}

pub(crate) fn icecore<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icecore"));
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    icecore(arguments).output().expect("the binary runs")
}

/// Arguments with the archives at their end.
pub(crate) fn from<'a>(arguments: &[&'a str], source: &'a Path) -> Vec<&'a OsStr> {
    let source = [OsStr::new("--from"), source.as_os_str()];
    arguments.iter().map(|argument| OsStr::new(*argument)).chain(source).collect()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

pub(crate) fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
}

/// Standard output of a run that ended well.
pub(crate) fn good<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> String {
    let output = run(arguments);
    assert_code(&output, 0);
    stdout(&output)
}

pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

pub(crate) fn export(source: &Path) -> Vec<Value> {
    json_lines(&good(from(&["accounts", "export", "--format", "jsonl"], source)))
}

pub(crate) fn string<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

pub(crate) fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} in {value}"))
}

pub(crate) fn data(row: &Value) -> Vec<u8> {
    STANDARD.decode(string(row, "data")).expect("base64")
}

pub(crate) fn keys(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| string(row, "pubkey")).collect()
}

/// Sources with the truth about them: folders of pairs, and their full archives alone.
pub(crate) fn truths() -> Vec<(PathBuf, Value)> {
    let mut folders = vec![(tiny(), tiny())];
    for set in ["tiny", "small", "old-2.3-lattice", "old-2.3-merkle"] {
        if let (Some(zstd), Some(lz4)) = (shared(set), shared(&format!("{set}/lz4"))) {
            folders.extend([(zstd.clone(), zstd.clone()), (lz4, zstd)]);
        }
    }
    let read = |folder: &Path, start| {
        let bytes = fs::read(starting(folder, start)).expect("read");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    let both = |(folder, truth): (PathBuf, PathBuf)| {
        [
            (full_of(&folder), read(&truth, "truth-full-")),
            (folder, read(&truth, "truth-incremental-")),
        ]
    };
    folders.into_iter().flat_map(both).collect()
}

pub(crate) fn list<'a>(truth: &'a Value, name: &str) -> &'a Vec<Value> {
    truth[name].as_array().expect("a list")
}

/// The bytes of an address.
pub(crate) fn key_bytes(text: &str) -> [u8; 32] {
    text.parse::<Pubkey>().expect("a key").0
}
