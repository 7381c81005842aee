//! The reference client's answers to damaged or unusual archives, case by case, beside ours.
//!
//! Each case is the bundled set with one change, as Agave 4.2.2's own loader was asked. Wherever it
//! refuses, our answer is bad or an error; where it accepts and we warn or fail, the case says why.
//! Cases that the shared data hold as files are looked at there, too.

mod archive;
mod edits;
mod manifest;
mod storages;
mod versions;

use icecore_restore::{Answer, CheckId, Error, Verdict};

use self::{archive::ARCHIVE, manifest::MANIFEST, storages::STORAGES, versions::VERSIONS};
use crate::{
    case::{From, Subject},
    support::{archives_in, failed, shared, verify_files, warned, zstd},
};

/// What the reference client answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reference {
    Accepts,
    Refuses,
}

/// A case of the table.
struct Case {
    name: &'static str,
    reference: Reference,
    from: From,
    edit: fn(&mut Subject),
    fails: &'static [CheckId],
    warns: &'static [CheckId],
    /// Why we are stricter than the reference client.
    why: &'static str,
}

const TABLES: [&[Case]; 4] = [ARCHIVE, MANIFEST, STORAGES, VERSIONS];

fn problem(case: &Case, result: &Result<Vec<Verdict>, Error>) -> Option<String> {
    let name = case.name;
    let verdict = match result {
        Ok(verdicts) => verdicts.last().expect("at least one archive"),
        Err(error) => return Some(format!("{name}: {error}")),
    };
    let answer = verdict.verdict;
    if (failed(verdict), warned(verdict)) != (case.fails.to_vec(), case.warns.to_vec()) {
        let (failed, warned) = (failed(verdict), warned(verdict));
        return Some(format!("{name}: {answer:?}, failed {failed:?}, warned {warned:?}"));
    }
    if case.reference == Reference::Refuses && answer != Answer::Bad {
        return Some(format!("{name}: the reference client refuses it, we say {answer:?}"));
    }
    let is_stricter =
        case.reference == Reference::Accepts && !(case.fails.is_empty() && case.warns.is_empty());
    if is_stricter == case.why.is_empty() {
        return Some(format!("{name}: '{}' does not say why", case.why));
    }
    None
}

fn report(problems: Vec<String>) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn ours_are_at_least_as_strict() {
    let cases = TABLES.iter().flat_map(|table| table.iter());
    let problems = cases.filter_map(|case| {
        let mut subject = case.from.subject();
        (case.edit)(&mut subject);
        problem(case, &subject.verify())
    });
    report(problems.collect());
}

/// The one case that is an error: the reference client cannot parse the name, nor can we.
#[test]
fn a_name_that_is_not_base58_is_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("snapshot-46-0OIl.tar.zst");
    std::fs::write(&path, zstd(&From::Full.subject().forms.full.tar())).expect("it can be written");
    let error = verify_files(&path, None).expect_err("not base58");
    assert!(matches!(error, Error::Name { .. }), "{error}");
}

#[test]
fn the_reference_clients_own_damaged_archives() {
    let Some(folder) = shared("damaged") else { return };
    let read = |path: &std::path::Path| std::fs::read(path).expect("it can be read");
    let control = archives_in(&folder.join("control")).0;
    let mut problems = Vec::new();
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("it can be read") {
        let entry = entry.expect("it can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        let (full, incremental) = archives_in(&entry.path());
        let result = verify_files(&full, incremental.as_deref()).map(|report| report.archives);
        seen += 1;
        // A flipped bit of the compressed bytes, which decompress all the same.
        if name == "zst-bit-flip" {
            let verdict = &result.expect("it can be read")[0];
            assert_eq!(verdict.verdict, Answer::Bad);
            eprintln!("{name}: failed {:?}", failed(verdict));
            continue;
        }
        // One of the folders holds the undamaged archive.
        let is_control = incremental.is_none()
            && full.file_name() == control.file_name()
            && read(&full) == read(&control);
        let wanted = if is_control { "control" } else { &name };
        let mut cases = TABLES.iter().flat_map(|table| table.iter());
        match cases.find(|case| case.name == wanted) {
            Some(case) => problems.extend(problem(case, &result)),
            None => problems.push(format!("{name}: no case of that name")),
        }
    }
    report(problems);
    assert!(seen >= 30, "{seen} folders");
}
