//! `icecore snapshot verify`: a verdict on archives.

mod sandbox;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;
use icecore_disk::{Output, Publish};
use icecore_restore::{
    Answer as Verdicts, Expected, Genesis, Outcome, Pair, Report, Source, Verdict, verify,
};
use icecore_types::{Hash, Slot};
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::Answer,
    size::human,
    source::pair_of,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A full archive and perhaps an incremental one on it, a folder (its best pair), or '-'
    #[arg(required = true, num_args = 1..=2, value_name = "FULL [INCREMENTAL] | DIR | -")]
    archives: Vec<PathBuf>,

    /// With '-': the file name that the archive on standard input bears
    #[arg(long, value_name = "NAME")]
    archive_name: Option<String>,

    #[command(flatten)]
    judging: Judging,
}

/// What archives are held against, and where the verdict goes.
#[derive(Debug, Args)]
pub(crate) struct Judging {
    /// A ledger folder, for its genesis
    #[arg(short, long, value_name = "DIR")]
    ledger: Option<PathBuf>,

    /// Anchor: the bank hash that the last archive must have
    #[arg(long, value_name = "HASH")]
    expected_bank_hash: Option<Hash>,

    /// The slot that the last archive must have
    #[arg(long, value_name = "SLOT")]
    expected_slot: Option<Slot>,

    /// The capitalization that the last archive must have
    #[arg(long, value_name = "LAMPORTS")]
    expected_capitalization: Option<u64>,

    /// The genesis hash that the ledger must have
    #[arg(long, value_name = "HASH", requires = "ledger")]
    expected_genesis_hash: Option<Hash>,

    /// Warnings are failures
    #[arg(long)]
    strict: bool,

    /// Write the verdict as JSON to a file, too
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl Judging {
    /// Options for the library, with what is expected.
    pub(super) fn scan(&self, common: &CommonOptions) -> Result<icecore_restore::Options, Failure> {
        let mut scan = common.scan();
        scan.strict = self.strict;
        scan.expected = Expected {
            bank_hash: self.expected_bank_hash,
            slot: self.expected_slot,
            capitalization: self.expected_capitalization,
            genesis_hash: self.expected_genesis_hash,
        };
        scan.genesis = self.ledger.as_deref().map(Genesis::read).transpose()?;
        Ok(scan)
    }

    /// Writes the verdict to a file, if it is to go to one.
    pub(super) fn write_report(&self, json: &Json<'_>) -> Result<(), Failure> {
        let Some(path) = &self.report else { return Ok(()) };
        let mut file = Output::create(path)?;
        serde_json::to_writer_pretty(&mut file, json).map_err(std::io::Error::from)?;
        file.write_all(b"\n")?;
        Ok(file.publish(Publish::Replace)?)
    }
}

impl Options {
    fn pair(&self, scratch: Option<&Path>) -> Result<Pair, Failure> {
        let is_standard = self.archives.iter().any(|path| path == "-");
        match (is_standard, &self.archive_name, &self.archives[..]) {
            (true, Some(name), [_]) => {
                let full = Source::standard(name, scratch)?;
                if full.name().is_incremental() {
                    let text = "an incremental archive cannot be verified without its full one";
                    return Err(Failure::Usage(text.into()));
                }
                Ok(Pair { full, incremental: None })
            }
            (true, None, _) => Err(Failure::Usage(
                "'-' needs --archive-name: the name states slot and hash".into(),
            )),
            (true, Some(_), _) => {
                Err(Failure::Usage("only one archive can come on standard input".into()))
            }
            (false, Some(_), _) => Err(Failure::Usage("--archive-name goes with '-'".into())),
            (false, None, paths) => pair_of(paths),
        }
    }
}

/// The JSON answer: the last archive's verdict on top, then one for each archive.
#[derive(Serialize)]
pub(super) struct Json<'a> {
    #[serde(flatten)]
    last: Verdict,
    archives: &'a [Verdict],
    seconds: f64,
    work: &'a icecore_restore::Work,
}

impl<'a> Json<'a> {
    pub(super) fn of(report: &'a Report, seconds: f64) -> Self {
        // The verdict on top is the worst one: a pair on a bad full archive is bad.
        let mut last = report.last().clone();
        last.verdict = report.answer();
        last.anchored = last.verdict == Verdicts::Anchored;
        Self { last, archives: &report.archives, seconds, work: &report.work }
    }
}

/// What a command ends with that came to a verdict.
pub(super) fn exit(report: &Report) -> Exit {
    match report.answer() {
        Verdicts::Bad => Exit::Bad,
        Verdicts::Consistent | Verdicts::Anchored => Exit::Good,
    }
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let mut pair = options.pair(common.scratch.as_deref())?;
    let scan = options.judging.scan(common)?;
    let watch = common.watch_scan(false)?;
    let report = verify(&mut pair, &scan, &watch.progress)?;
    let seconds = watch.seconds();
    watch.finish()?;
    let json = Json::of(&report, seconds);
    options.judging.write_report(&json)?;
    let mut answer = Answer::new(common.output);
    if answer.is_display() {
        display(&report, seconds, common.verbose, &mut answer)?;
    } else {
        answer.object(&json)?;
    }
    answer.finish()?;
    Ok(exit(&report))
}

/// Writes a verdict for a person.
pub(super) fn display(
    report: &Report,
    seconds: f64,
    verbose: bool,
    answer: &mut Answer,
) -> Result<(), Failure> {
    for verdict in &report.archives {
        archive(verdict, verbose, answer)?;
    }
    answer.line("covered by no check:")?;
    for what in report.last().not_covered {
        answer.line(format!("  - {what}"))?;
    }
    answer.line("")?;

    let work = &report.work;
    answer.line(sandbox::line(&work.sandbox, &work.hosts))?;
    if verbose {
        for line in sandbox::hosts(&work.hosts).lines() {
            answer.line(format!("  {line}"))?;
        }
        answer.line(format!("read by {}", work.reading))?;
        answer.line(format!(
            "{} to scratch files for want of memory, {} bins of keys split",
            human(work.bytes_spilled),
            work.bins_split,
        ))?;
    }
    answer.line("")?;

    let last = report.last();
    let word = report.answer().word();
    match report.answer() {
        Verdicts::Bad => {
            let failed: Vec<_> = report
                .archives
                .iter()
                .flat_map(|verdict| verdict.failures().map(move |check| (verdict.kind, check.id)))
                .map(|(kind, id)| format!("{id} ({kind})"))
                .collect();
            answer.line(format!("{word}: slot {}, failed {}", last.slot, failed.join(", ")))?;
        }
        Verdicts::Consistent => {
            answer
                .line(format!("{word}: slot {}, all that can be recomputed agrees", last.slot))?;
        }
        Verdicts::Anchored => answer.line(format!(
            "{word}: slot {}, all that can be recomputed agrees, and so does the given bank hash",
            last.slot
        ))?,
    }
    if !last.anchored {
        answer.line(
            "not anchored to a bank hash from outside (--expected-bank-hash): a forgery can be consistent",
        )?;
    }
    let speed = report.work.bytes_unpacked as f64 / seconds.max(1e-9) / 1e9;
    answer.line(format!(
        "{seconds:.2} s, {speed:.2} GB/s of {} unpacked, {} records, {} kernel",
        human(report.work.bytes_unpacked),
        report.work.records,
        report.work.kernel,
    ))?;
    Ok(())
}

fn archive(verdict: &Verdict, verbose: bool, answer: &mut Answer) -> Result<(), Failure> {
    answer.line(&verdict.archive)?;
    let base = verdict.base_slot.map(|base| format!(" on {base}")).unwrap_or_default();
    answer.line(format!(
        "  {} at slot {}{base}: {}",
        verdict.kind,
        verdict.slot,
        verdict.verdict.word()
    ))?;
    let (stated, computed) = (&verdict.stated, &verdict.recomputed);
    beside("snapshot hash", stated.snapshot_hash, computed.snapshot_hash, answer)?;
    beside("bank hash", stated.bank_hash, computed.bank_hash, answer)?;
    let capitalization = stated.capitalization.map(u128::from);
    beside("capitalization", capitalization, computed.capitalization, answer)?;
    if let (Some(accounts), Some(bytes)) = (verdict.num_accounts, verdict.total_data_len) {
        answer.line(format!("  {:15} {accounts}, {} of data", "accounts", human(bytes)))?;
    }
    for check in &verdict.checks {
        let told = matches!(check.outcome, Outcome::Fail | Outcome::Warn);
        if told || verbose {
            answer.line(format!(
                "  {:4} {:3} {}: {}",
                check.outcome.word(),
                check.id,
                check.id.title(),
                check.detail
            ))?;
        }
    }
    for outcome in [Outcome::Pass, Outcome::Skipped] {
        let ids: Vec<_> = verdict
            .checks
            .iter()
            .filter(|check| check.outcome == outcome)
            .map(|check| match outcome {
                Outcome::Skipped => format!("{} ({})", check.id, check.detail),
                _ => check.id.to_string(),
            })
            .collect();
        if !ids.is_empty() && !verbose {
            answer.line(format!("  {:4} {}", outcome.word(), ids.join(" ")))?;
        }
    }
    answer.line("")?;
    Ok(())
}

/// A value as stated and as recomputed.
fn beside<T: PartialEq + std::fmt::Display>(
    what: &str,
    stated: Option<T>,
    computed: Option<T>,
    answer: &mut Answer,
) -> Result<(), Failure> {
    let text = match (stated, computed) {
        (Some(stated), Some(computed)) if stated == computed => {
            format!("{stated} (stated and recomputed)")
        }
        (Some(stated), Some(computed)) => format!("{stated} stated, {computed} recomputed"),
        (Some(stated), None) => format!("{stated} stated, not recomputed"),
        (None, Some(computed)) => format!("{computed} recomputed, not stated"),
        (None, None) => return Ok(()),
    };
    answer.line(format!("  {what:15} {text}"))?;
    Ok(())
}
