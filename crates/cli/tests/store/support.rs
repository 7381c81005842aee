//! The data, stores made of it, and the binary.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
pub(crate) const STAKE: &str = "Stake11111111111111111111111111111111111111";
pub(crate) const CLOCK: &str = "SysvarC1ock11111111111111111111111111111111";

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn tiny() -> PathBuf {
    root().join("testdata/tiny")
}

/// A full archive at slot 24, and what happened after it.
pub(crate) fn feed_tiny() -> PathBuf {
    root().join("testdata/feed-tiny")
}

pub(crate) fn feed() -> PathBuf {
    feed_tiny().join("slots.feed.zst")
}

/// The feed as it is uncompressed.
pub(crate) fn plain_feed() -> Vec<u8> {
    let compressed = fs::read(feed()).expect("read");
    let mut plain = Vec::with_capacity(32 << 20);
    zstd_safe::decompress(&mut plain, &compressed[..]).expect("sound");
    plain
}

/// What the reference client says of the feed.
pub(crate) fn truth() -> Value {
    let text = fs::read(feed_tiny().join("truth.json")).expect("read");
    serde_json::from_slice(&text).expect("JSON")
}

/// A store in a folder of its own.
pub(crate) struct Store {
    pub(crate) folder: TempDir,
}

impl Store {
    pub(crate) fn none() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// The base point of the feed.
    pub(crate) fn restored() -> Self {
        let store = Self::none();
        store.good(&["restore", text(&feed_tiny())]);
        store
    }

    /// All of the feed.
    pub(crate) fn fed() -> Self {
        let store = Self::restored();
        store.good(&["ingest", "slots", text(&feed())]);
        store
    }

    /// The feed up to a slot, with its forks alive.
    pub(crate) fn fed_until(slot: &str) -> Self {
        let store = Self::restored();
        store.good(&["ingest", "slots", text(&feed()), "--until", slot]);
        store
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// A command on this store.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = icecore(arguments);
        command.arg("--store").arg(self.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("the binary runs"))
    }

    /// What a command says that ends well.
    pub(crate) fn good(&self, arguments: &[&str]) -> String {
        self.run(arguments).code(0).out
    }

    /// The one object that a command answers with, and its exit code.
    pub(crate) fn json(&self, code: i32, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--output", "json"]].concat()).code(code);
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out))
    }

    /// The rows that a command answers with.
    pub(crate) fn rows(&self, code: i32, arguments: &[&str]) -> Vec<Value> {
        self.run(&[arguments, &["--output", "json-compact"]].concat()).code(code).rows()
    }
}

pub(crate) fn icecore(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icecore"));
    command.args(arguments).stdin(Stdio::null()).env_remove("ICECORE_STORE");
    command
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            exit: output.status.code(),
            out: String::from_utf8(output.stdout).expect("answers are text"),
            err: String::from_utf8(output.stderr).expect("what is told is text"),
        }
    }

    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.exit, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    pub(crate) fn told(self, what: &str) -> Self {
        assert!(self.err.contains(what), "{what} in\n{}", self.err);
        self
    }

    pub(crate) fn rows(&self) -> Vec<Value> {
        let row =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(row).collect()
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

pub(crate) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap_or_else(|| panic!("{name} in {value}"))
}

pub(crate) fn string<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

pub(crate) fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} in {value}"))
}

/// Compares fields by name.
pub(crate) fn assert_fields(found: &Value, expected: &Value, names: &[&str]) {
    for name in names {
        assert_eq!(found[name], expected[name], "{name} of {found}, expected {expected}");
    }
}

/// Sends a signal.
pub(crate) fn signal(name: &str, process: u32) {
    let done = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(done.expect("kill is there").success());
}
