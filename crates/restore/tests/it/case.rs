//! One case of a table: archives with something wrong, and what the verdict must say of them.

use icecore_restore::{Answer, CheckId, Error, Options, Verdict};

use crate::support::{Forms, failed, verify_files_with, warned, zstd};

/// Archives to be verified, and how.
pub(crate) struct Subject {
    pub(crate) forms: Forms,
    pub(crate) options: Options,
    /// What is done to the last archive's tar stream.
    pub(crate) tar: fn(Vec<u8>) -> Vec<u8>,
    /// How the last archive's tar stream is packed.
    pub(crate) pack: fn(&[u8]) -> Vec<u8>,
}

impl Subject {
    fn new(forms: Forms) -> Self {
        let options = Options::for_cores(1);
        Self { forms, options, tar: |tar| tar, pack: zstd }
    }

    /// Verifies; the verdicts of all archives.
    pub(crate) fn verify(mut self) -> Result<Vec<Verdict>, Error> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let is_pair = self.forms.incremental.is_some();
        let base = is_pair.then(|| self.forms.full.write(folder.path()));
        let last = self.forms.last();
        let bytes = (self.pack)(&(self.tar)(last.tar()));
        let last = last.write_as(folder.path(), "tar.zst", &bytes);
        let (full, incremental) = match &base {
            Some(base) => (base, Some(&*last)),
            None => (&last, None),
        };
        Ok(verify_files_with(full, incremental, &self.options)?.archives)
    }
}

/// What a case begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Full,
    Pair,
}

impl From {
    pub(crate) fn subject(self) -> Subject {
        Subject::new(match self {
            Self::Full => Forms::full(),
            Self::Pair => Forms::pair(),
        })
    }
}

/// A row of a table.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) from: From,
    /// Does the damage; gives what the failed and warned checks must say.
    pub(crate) edit: fn(&mut Subject) -> Vec<String>,
    /// Checks that must fail, and no others.
    pub(crate) fails: &'static [CheckId],
    /// Checks that must warn, and no others.
    pub(crate) warns: &'static [CheckId],
}

impl Case {
    /// What is wrong with our answer, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let mut subject = self.from.subject();
        let says = (self.edit)(&mut subject);
        let archive = subject.forms.last().file_name("tar.zst");
        let verdicts = match subject.verify() {
            Ok(verdicts) => verdicts,
            Err(error) => return Some(format!("{}: {error}", self.name)),
        };
        let verdict = verdicts.last().expect("at least one archive");
        let name = self.name;
        let details = || {
            let odd = verdict.checks.iter().filter(|check| {
                failed(verdict).contains(&check.id) || warned(verdict).contains(&check.id)
            });
            odd.map(|check| format!("\n    {} {}", check.id, check.detail)).collect::<String>()
        };
        if failed(verdict) != self.fails || warned(verdict) != self.warns {
            return Some(format!(
                "{name}: failed {:?}, warned {:?}; expected {:?} and {:?}{}",
                failed(verdict),
                warned(verdict),
                self.fails,
                self.warns,
                details()
            ));
        }
        let is_bad = verdict.verdict == Answer::Bad;
        if is_bad == self.fails.is_empty() {
            return Some(format!("{name}: {:?} with {:?} failed", verdict.verdict, self.fails));
        }
        let said = details();
        if let Some(phrase) = says.iter().find(|phrase| !said.contains(&***phrase)) {
            return Some(format!("{name}: '{phrase}' is not said{said}"));
        }
        for record in verdict.checks.iter().flat_map(|check| &check.records) {
            let is_said =
                verdict.checks.iter().any(|check| check.detail.contains(&record.to_string()));
            if !is_said || record.archive != archive || record.expected == record.found {
                return Some(format!("{name}: a record is told badly: {record:?}"));
            }
        }
        None
    }
}

/// Runs a table.
pub(crate) fn run(cases: &[Case]) {
    let problems: Vec<_> = cases.iter().filter_map(Case::problem).collect();
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}
