//! Readers that go away, and command lines that are wrong.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

use crate::support::*;

const PEOPLE_AND_MACHINES: [&str; 3] = ["display", "json", "json-compact"];

#[test]
fn a_closed_pipe_ends_quietly() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let set = Set::in_folder(&bundled());
    // More members than a pipe and all buffers hold: the reader is gone while they are written.
    let path = folder.path().join("many.tar");
    fs::write(&path, tar_of_many(20_000)).expect("it can be written");
    for arguments in [
        vec!["inspect", text(&path), "--members", "--output", "json"],
        vec!["inspect", text(&path), "--members"],
        vec!["inspect", text(&set.full), "--manifest", "--output", "json"],
        vec!["inspect", text(&set.full), "--manifest"],
        vec!["inspect", text(&set.full), "--status-cache", "--output", "json"],
        vec!["stats", text(&set.full)],
        vec!["diff", text(&set.full), text(&bundled())],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_icecore"))
            .arg("snapshot")
            .args(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut out = BufReader::with_capacity(16, child.stdout.take().expect("piped"));
        let mut first = String::new();
        if arguments[0] == "inspect" {
            out.read_line(&mut first).expect("a first line");
            assert!(!first.is_empty());
        }
        drop(out);
        let mut err = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut err).expect("text");
        child.wait().expect("it ends");
        assert!(!err.contains("panicked") && !err.contains("icecore:"), "{arguments:?}: {err}");
    }
}

/// A tar stream of many empty storages.
fn tar_of_many(count: u64) -> Vec<u8> {
    let mut stream = Vec::new();
    for slot in 0..count {
        let mut header = [0u8; 512];
        let path = format!("accounts/{slot}.{slot}");
        header[..path.len()].copy_from_slice(path.as_bytes());
        header[124..135].copy_from_slice(b"00000000000");
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        stream.extend(header);
    }
    stream.extend([0; 1024]);
    stream
}

#[test]
fn wrong_arguments_are_usage() {
    let set = Set::in_folder(&bundled());
    let (full, incremental) = (text(&set.full), text(&set.incremental));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let misnamed = folder.path().join("archive.tar.zst");
    fs::copy(&set.full, &misnamed).expect("it can be copied");
    for arguments in [
        vec!["inspect"],
        vec!["inspect", full, "--manifest", "--frames"],
        vec!["inspect", full, incremental],
        vec!["stats"],
        vec!["stats", full, "--top", "0"],
        vec!["stats", full, "--by", "color"],
        vec!["stats", incremental],
        vec!["stats", full, full],
        vec!["stats", text(&misnamed)],
        vec!["diff", full],
        vec!["diff", full, incremental],
        vec!["diff", full, &format!("{full},{full}")],
        vec!["diff", full, text(folder.path())],
    ] {
        let ran = icecore(&arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.err);
        assert_eq!(ran.out, "", "{arguments:?}");
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
    }
    for part in ["--manifest", "--members", "--frames", "--status-cache"] {
        for format in PEOPLE_AND_MACHINES {
            let ran = icecore(&["inspect", "no such file", part, "--output", format]);
            assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{part} {}", ran.err);
        }
    }
    assert_eq!(icecore(&["inspect", text(folder.path())]).code, 4);
}
