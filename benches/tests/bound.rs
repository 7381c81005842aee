//! The command as it is typed: only a binary that can be executed again has tiles as processes.

use std::{path::Path, process::Command};

use serde_json::Value;

const NAMES: [&str; 7] = [
    "default",
    "read+split+parse",
    "hash=1",
    "hash=4,decompress=2",
    "sandbox off",
    "16 MiB limit",
    "all on threads",
];

/// What is printed, and the JSON.
fn bound(arguments: &[&str]) -> (String, Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tiny");
    let scratch = tempfile::tempdir().expect("a folder");
    let json = scratch.path().join("figures.json");
    let output = Command::new(env!("CARGO_BIN_EXE_icecore-benches"))
        .arg("bound")
        .arg(folder)
        .arg("1")
        .args(arguments)
        .arg("--json")
        .arg(&json)
        // No reference client: it is not what is tested here.
        .env("ICECORE_SHARED", scratch.path())
        .output()
        .expect("it can be executed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json = std::fs::read_to_string(json).expect("it was asked for");
    (
        String::from_utf8(output.stdout).expect("text"),
        serde_json::from_str(&json).expect("it is JSON"),
    )
}

fn variant<'a>(json: &'a Value, name: &str) -> &'a Value {
    let variants = json["variants"].as_array().expect("a list");
    variants.iter().find(|one| one["variant"] == name).expect("it is measured")
}

fn hosts<'a>(json: &'a Value, name: &str) -> &'a [Value] {
    variant(json, name)["work"]["hosts"].as_array().expect("a list")
}

#[test]
fn every_variant_is_run_as_its_name_says_and_has_a_row() {
    let (printed, json) = bound(&[]);
    let archives = json["archives"].as_array().expect("a list");
    assert!(archives.len() == 2 && archives.iter().all(|archive| archive["frames"] == 1));
    for seconds in ["zstd_seconds", "blake3_seconds", "own_kernel_seconds", "copy_seconds"] {
        assert!(json[seconds].as_f64() > Some(0.0), "{seconds}");
    }
    assert!(json["records"].as_u64() > json["records_hashed"].as_u64(), "it has tombstones");
    assert_eq!(json["variants"].as_array().map(Vec::len), Some(NAMES.len()));
    for name in NAMES {
        let one = variant(&json, name);
        assert_eq!(one["verdict"], "consistent", "{name}");
        assert!(one["peak_memory_bytes"].as_u64() > Some(1 << 20), "{name}");
        assert!(one["by_bound"].as_f64() > Some(0.0), "{name}");
        assert!(one["by_strict_bound"].as_f64() > Some(0.0), "{name}");
        assert!(printed.lines().any(|line| line.starts_with(&format!("{name} "))), "{printed}");
        let processes = hosts(&json, name).iter().any(|host| host["is_process"] == true);
        assert_eq!(processes, name != "all on threads", "{name}");
        let off = hosts(&json, name).iter().all(|host| host["seccomp"] == "off");
        assert_eq!(off, name == "sandbox off", "{name}");
        let limit = if name == "16 MiB limit" { 16 << 20 } else { 128 << 20 };
        assert_eq!(one["memory_limit_bytes"], limit, "{name}");
    }
    assert_eq!(variant(&json, "hash=1")["work"]["hash_tiles"], 1);
    assert_eq!(variant(&json, "hash=4,decompress=2")["work"]["hash_tiles"], 4);
    assert_eq!(variant(&json, "hash=4,decompress=2")["work"]["decompress_tiles"], 2);
    assert!(hosts(&json, "read+split+parse").len() < hosts(&json, "default").len());
}

#[test]
fn without_variants_only_the_default_is_measured() {
    let (_, json) = bound(&["--no-variants"]);
    assert_eq!(json["variants"].as_array().map(Vec::len), Some(1));
    assert!(json["strict_bound_seconds"].as_f64() > Some(0.0));
    variant(&json, "default");
}
