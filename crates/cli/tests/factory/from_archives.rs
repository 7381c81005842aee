//! `icecore snapshot recompress`, `merge`, `minimize`, `extract` and `prune` as a user meets them.

use std::{fs, path::Path, process::Stdio, time::Duration};

use serde_json::Value;

use crate::support::{FULL, INCREMENTAL, command, folder, json, names, said, tiny};

const MERGED: &str = "snapshot-62-GUPZyWX5GESuh1SvBK7aPxfaegRaQSj87LoD5xNichro.tar.zst";

#[test]
fn a_merged_archive_can_be_verified_recompressed_and_taken_apart() {
    let to = folder();
    let pair: [&Path; 3] = [&tiny(FULL), &tiny(INCREMENTAL), to.path()];
    let made = json("snapshot merge @ @ -o @", &pair);
    assert_eq!((&made["slot"], &made["merged_base_slot"]), (&62.into(), &46.into()));
    assert_eq!(made["bank_hash"], "E56UEusXZfdrQBTzm1uukmCeEeJW6H6c2jqWJwWynWVF");
    assert_eq!((&made["num_accounts"], &made["verified"]), (&671.into(), &true.into()));
    assert_eq!(names(to.path()), [MERGED]);
    let verdict = json("snapshot verify @ --strict", &[&to.path().join(MERGED)]);
    assert_eq!(verdict["verdict"], "consistent");

    let again = folder();
    let merged = to.path().join(MERGED);
    let words = "snapshot recompress @ -o @ --snapshot-zstd-compression-level 5 --frame-size 64KiB";
    let made = json(words, &[&merged, again.path()]);
    assert_eq!((&made["slot"], &made["base_slot"]), (&62.into(), &Value::Null));
    assert!(made["frames"].as_u64().expect("a number") > 1);
    assert_eq!(names(again.path()), [MERGED]);

    let parts = folder();
    let words = "snapshot extract @ version snapshots/62/62 -o @";
    said(0, words, &[&again.path().join(MERGED), parts.path()]);
    assert_eq!(names(parts.path()), ["62", "version"]);
    assert_eq!(fs::read(parts.path().join("version")).expect("there"), b"1.2.0");
}

#[test]
fn a_minimized_archive_says_that_it_is_not_the_clusters_state() {
    let to = folder();
    let made = json("snapshot minimize @ -o @", &[&tiny(FULL), to.path()]);
    let flags = (&made["minimized"], &made["is_cluster_state"]);
    assert_eq!(flags, (&true.into(), &false.into()));
    let paths: [&Path; 3] = [&tiny(FULL), &tiny(INCREMENTAL), to.path()];
    let (out, _) = said(0, "snapshot minimize @ @ -o @", &paths);
    assert_eq!(out.lines().last(), Some("minimized: this is not the cluster's state"));
    assert_eq!(names(to.path()).len(), 2);
    let verdict = json("snapshot verify @", &[Path::new(made["file"].as_str().expect("a path"))]);
    assert_eq!(verdict["verdict"], "consistent");
}

#[test]
fn what_cannot_be_made_leaves_nothing_and_says_why_with_its_code() {
    let to = folder();
    let full = tiny(FULL);
    let from = folder();
    let cut = from.path().join(FULL);
    fs::write(&cut, &fs::read(&full).expect("bundled")[..20_000]).expect("written");
    let incremental = tiny(INCREMENTAL);
    let paths: [&Path; 2] = [&full, to.path()];
    for (code, words, paths) in [
        (1, "recompress @ -o @", &[&cut, to.path()][..]),
        (1, "merge @ @ -o @", &[&cut, &incremental, to.path()]),
        (1, "minimize @ -o @", &[&cut, to.path()]),
        (1, "extract @ accounts/1.999 -o @", &paths),
        (2, "recompress @ -o @ --snapshot-zstd-compression-level 23", &paths),
        (2, "recompress @ -o @ --frame-size 1k", &paths),
        (
            2,
            "recompress @ -o @ --snapshot-archive-format lz4 --snapshot-zstd-compression-level 3",
            &paths,
        ),
        (2, "merge @ @ -o @", &[&incremental, &incremental, to.path()]),
        (2, "prune @ --maximum-full-snapshots-to-retain 0", &[to.path()]),
        (4, "recompress @ -o @", &[&full, &to.path().join("absent/too")]),
        (4, "recompress @ -o @", &[&to.path().join(FULL), to.path()]),
    ] {
        let (_, told) = said(code, &format!("snapshot {words}"), paths);
        assert!(!told.is_empty(), "{words}");
        assert_eq!(names(to.path()), Vec::<String>::new(), "{words}");
    }
}

#[test]
fn pruning_says_what_goes_before_it_goes() {
    let to = folder();
    for name in [FULL, INCREMENTAL, MERGED] {
        fs::write(to.path().join(name), b"").expect("written");
    }
    let words = "snapshot prune @ --maximum-full-snapshots-to-retain 1";
    let planned = json(&format!("{words} --dry-run"), &[to.path()]);
    assert_eq!(planned["removed"].as_array().map(Vec::len), Some(2));
    assert_eq!(names(to.path()).len(), 3);
    let done = json(words, &[to.path()]);
    assert_eq!((&done["removed"], &done["kept"]), (&planned["removed"], &planned["kept"]));
    assert_eq!(names(to.path()), [MERGED]);
}

#[test]
fn whenever_a_merge_is_killed_nothing_half_bears_a_name_and_the_next_one_leaves_nothing_else() {
    let to = folder();
    let mut killed = 0;
    for wait in (0..400).step_by(20) {
        let paths: [&Path; 3] = [&tiny(FULL), &tiny(INCREMENTAL), to.path()];
        let mut command = command("snapshot merge @ @ -o @", &paths);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the binary runs");
        std::thread::sleep(Duration::from_millis(wait));
        // SIGKILL, unless it has ended.
        child.kill().expect("a child of ours");
        killed += u32::from(!child.wait().expect("a child of ours").success());
        let named: Vec<_> =
            names(to.path()).into_iter().filter(|name| !name.starts_with('.')).collect();
        if !named.is_empty() {
            assert_eq!(named, [MERGED]);
            let verdict = json("snapshot verify @ --strict", &[&to.path().join(MERGED)]);
            assert_eq!(verdict["verdict"], "consistent");
            fs::remove_file(to.path().join(MERGED)).expect("it is there");
        }
    }
    assert!(killed > 0);
    json("snapshot merge @ @ -o @", &[&tiny(FULL), &tiny(INCREMENTAL), to.path()]);
    assert_eq!(names(to.path()), [MERGED]);
}
