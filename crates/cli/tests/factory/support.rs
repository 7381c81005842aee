//! Bundled archives, folders, and runs of the binary.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// The bundled pair.
pub(crate) const FULL: &str = "snapshot-46-2pRN9jNHGRLkRp4n6uySxy7KFY41E81qZenhu21ef2FZ.tar.zst";
pub(crate) const INCREMENTAL: &str =
    "incremental-snapshot-46-62-GUPZyWX5GESuh1SvBK7aPxfaegRaQSj87LoD5xNichro.tar.zst";

/// A bundled archive.
pub(crate) fn tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tiny").join(name)
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// What is in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

/// `icecore`, with paths where arguments are `@`.
pub(crate) fn command(words: &str, paths: &[&Path]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icecore"));
    command.stdin(Stdio::null()).env_remove("ICECORE_STORE");
    let mut paths = paths.iter();
    for word in words.split_whitespace() {
        match word {
            "@" => command.arg(paths.next().expect("a path for each")),
            word => command.arg(word),
        };
    }
    command
}

/// Runs it.
pub(crate) fn run(words: &str, paths: &[&Path]) -> Output {
    command(words, paths).output().expect("the binary runs")
}

/// What it says when it ends so.
pub(crate) fn said(code: i32, words: &str, paths: &[&Path]) -> (String, String) {
    let output = run(words, paths);
    let [out, told] = [output.stdout, output.stderr].map(String::from_utf8);
    let (out, told) = (out.expect("text"), told.expect("text"));
    assert_eq!(output.status.code(), Some(code), "{words}: {told}");
    (out, told)
}

/// The one object that it answers.
pub(crate) fn json(words: &str, paths: &[&Path]) -> Value {
    let (out, _) = said(0, &format!("{words} --output json-compact"), paths);
    serde_json::from_str(&out).expect("one object")
}
