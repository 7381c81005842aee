//! The rules of the house that a machine can check: edges between crates, where `unsafe` may stand,
//! who opens files and reads clocks, module heads, file lengths, and that what the documents name
//! exists.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use icecore_restore::{CheckId, NOT_COVERED};

/// Lines of a source file without tests, at most.
const LINES_MAX: usize = 700;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The folders of all crates.
fn crates() -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(root().join("crates"))
        .expect("crates/")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

fn is_test(path: &Path) -> bool {
    let path = path.to_string_lossy();
    path.ends_with("tests.rs") || path.contains("/tests/")
}

/// A source's code up to its unit tests, comments and strings' contents included.
fn code(path: &Path) -> String {
    let text = read(path);
    match text.find("#[cfg(test)]\nmod tests") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

/// The same without comments.
fn code_without_comments(path: &Path) -> String {
    code(path)
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Which crates a crate may use (design section 3); nothing else.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("types", &[][..]),
        ("disk", &[][..]),
        ("hash", &["types"][..]),
        ("programs", &["types"][..]),
        ("archive", &["types"][..]),
        ("tile", &["disk"][..]),
        ("journal", &["disk"][..]),
        ("store", &["journal", "disk", "hash", "types"][..]),
        ("restore", &["store", "archive", "hash", "programs", "tile", "disk", "types"][..]),
        (
            "batch",
            &["restore", "store", "archive", "hash", "programs", "tile", "disk", "types"][..],
        ),
        (
            "cli",
            &[
                "archive", "batch", "disk", "hash", "journal", "programs", "restore", "store",
                "tile", "types",
            ][..],
        ),
    ])
}

#[test]
fn crates_use_only_what_they_may() {
    let allowed = allowed();
    for name in crates() {
        let manifest = read(&root().join("crates").join(&name).join("Cargo.toml"));
        let may = allowed.get(name.as_str()).unwrap_or_else(|| panic!("crate {name} is not known"));
        for line in manifest.lines().filter(|line| line.starts_with("icecore-")) {
            let used = line.trim_start_matches("icecore-");
            let used = used.split([' ', '=', '.']).next().expect("a name");
            assert!(may.contains(&used), "crates/{name} must not use {used}");
        }
    }
}

#[test]
fn unsafe_stands_only_where_it_may_and_says_why() {
    for name in crates() {
        for path in sources(&root().join("crates").join(&name)) {
            let text = read(&path);
            let lines: Vec<_> = text.lines().collect();
            for (number, line) in lines.iter().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let is_unsafe = code
                    .split(|character: char| !character.is_alphanumeric() && character != '_')
                    .any(|word| word == "unsafe");
                if !is_unsafe || code.contains("\"") {
                    continue;
                }
                let place = format!("{}:{}", path.display(), number + 1);
                assert!(["hash", "disk", "tile"].contains(&name.as_str()), "{place}: unsafe");
                if code.contains("unsafe fn") {
                    continue; // Its contract is in its doc comment; its body has blocks of its own.
                }
                let above = lines[number.saturating_sub(8)..=number].join("\n");
                assert!(above.contains("SAFETY:"), "{place}: unsafe without a reason");
            }
        }
    }
}

#[test]
fn only_disk_opens_files_and_reads_clocks() {
    const FORBIDDEN: &[&str] = &[
        "std::fs",
        "fs::",
        "File::open(",
        "File::create(",
        "OpenOptions",
        "Instant",
        "SystemTime",
        "getrandom(",
        "rand::rng",
        "thread_rng",
    ];
    for name in crates().into_iter().filter(|name| name != "disk") {
        for path in sources(&root().join("crates").join(&name).join("src")) {
            if is_test(&path) {
                continue;
            }
            // The crate's own words for it are the way to do it.
            let mut code = code_without_comments(&path).replace("icecore_disk::File::open(", "");
            // An index is read from bytes that it is given.
            code = code.replace("IndexFile::open(", "");
            // Shared memory is a file of the kernel's, without a name: one place makes it.
            if path.ends_with("tile/src/workspace.rs") {
                code = code.replace("use rustix::fs::{", "");
            }
            for word in FORBIDDEN {
                assert!(!code.contains(word), "{}: {word}", path.display());
            }
        }
    }
}

#[test]
fn only_the_binary_prints_and_nobody_ends_the_process() {
    for name in crates() {
        for path in sources(&root().join("crates").join(&name).join("src")) {
            let code = code_without_comments(&path);
            for word in ["process::exit", "todo!(", "unimplemented!("] {
                assert!(!code.contains(word), "{}: {word}", path.display());
            }
            if name != "cli" && !is_test(&path) {
                for word in ["println!(", "eprintln!(", "print!("] {
                    assert!(!code.contains(word), "{}: {word}", path.display());
                }
            }
        }
    }
}

#[test]
fn every_module_says_what_it_is_and_is_not_too_long() {
    for name in crates() {
        for path in sources(&root().join("crates").join(&name).join("src")) {
            let text = read(&path);
            assert!(text.starts_with("//!"), "{}: no module head", path.display());
            let lines = code(&path).lines().count();
            assert!(lines <= LINES_MAX, "{}: {lines} lines", path.display());
        }
    }
}

#[test]
fn the_tests_that_the_capabilities_name_exist() {
    let capabilities = read(&root().join("docs/capabilities.md"));
    let mut tests = String::new();
    for folder in ["crates", "fuzz", "benches"] {
        for path in sources(&root().join(folder)) {
            tests.push_str(&read(&path));
        }
    }
    let mut named = 0;
    for line in capabilities.lines().filter(|line| line.starts_with('|')) {
        // In the column of tests every `name` in backquotes is a function or a fuzz target.
        let Some(column) = line.split('|').nth(4) else { continue };
        for name in column.split('`').skip(1).step_by(2) {
            let known = tests.contains(&format!("fn {name}("))
                || root().join(format!("fuzz/fuzz_targets/{name}.rs")).exists();
            assert!(known, "docs/capabilities.md names {name}, which does not exist");
            named += 1;
        }
    }
    assert!(named >= 30, "only {named} tests are named");
}

#[test]
fn the_guide_has_every_check_and_the_whole_closed_list() {
    let guide = read(&root().join("docs/guide/verdict.md"));
    for check in CheckId::ALL {
        assert!(guide.contains(&format!("| {} | ", check.id())), "{}", check.id());
    }
    for what in NOT_COVERED {
        assert!(guide.contains(&format!("\n- {what}\n")), "{what}");
    }
}

#[test]
fn links_in_documents_lead_somewhere() {
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/capabilities.md",
        "docs/guide/verdict.md",
        "docs/guide/journal.md",
        "docs/guide/time-machine.md",
        "docs/guide/snapshot-factory.md",
        "docs/formats/journal.md",
        "interop/README.md",
    ] {
        let path = root().join(document);
        let text = read(&path);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") || link.starts_with('#') {
                continue;
            }
            let target = link.split('#').next().unwrap_or_default();
            let target = path.parent().expect("in a folder").join(target);
            assert!(target.exists(), "{document}: {link}");
        }
    }
}
