//! Time to open a store and the memory that this takes, after a clean close and after a crash.
//!
//! 1. Every store is built and closed, once, in a process of its own.
//! 2. In every round a process opens it, appends so many events that two segments of the journal
//!    are without their index, makes them durable, and is killed (`kill -9`).
//! 3. A new process opens what was left, says how long that took and how much anonymous memory it
//!    has, and closes cleanly. So does another one: that is the opening after a clean close.
//!
//! The page cache stays warm; a store grows by what each round appends.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Instant,
};

use crate::{
    Failure,
    best::Best,
    scratch::Scratch,
    stores::Sizes,
    subject::{self, Contender, Mode},
    table::{self, Better, Row, figure, grouped},
    workload::{PAYLOAD_BYTES, Workload},
};

/// What a process says when it can be killed.
const READY: &str = "ready";

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A folder on the disk to be measured
    folder: PathBuf,
    /// Rounds; the best counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    #[command(flatten)]
    sizes: Sizes,
    /// Events that are appended before every crash: one and a half segments of the journal
    #[arg(long, default_value_t = 300_000)]
    tail_events: u64,
    /// Who is measured; all, if not given
    #[arg(long, value_delimiter = ',')]
    only: Vec<Contender>,
}

/// What a process of `open` does.
#[derive(Debug, clap::Args)]
pub(crate) struct ProcessArguments {
    folder: PathBuf,
    contender: Contender,
    streams: u64,
    step: Step,
    first: u64,
    events: u64,
}

/// A step, each by a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Step {
    /// Appends and closes.
    Build,
    /// Appends, makes it durable, and waits to be killed.
    Crash,
    /// Opens, says what it took, closes.
    Open,
}

/// One of the stores.
struct Measured {
    contender: Contender,
    events: u64,
    folder: PathBuf,
    clean: Figures,
    crashed: Figures,
}

#[derive(Debug, Clone, Copy)]
struct Figures {
    seconds: Best,
    /// Anonymous memory of the process, the least of all rounds.
    memory_bytes: u64,
}

impl Figures {
    const NONE: Self = Self { seconds: Best::NONE, memory_bytes: u64::MAX };

    /// Takes what a process said.
    fn offer(&mut self, line: &str) -> Result<(), Failure> {
        let (seconds, memory_bytes) =
            line.trim().split_once(' ').ok_or("a process said nothing")?;
        self.seconds.offer(seconds.parse()?);
        self.memory_bytes = self.memory_bytes.min(memory_bytes.parse()?);
        Ok(())
    }
}

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let scratch = Scratch::new(&arguments.folder, "open")?;
    let mut stores = Vec::new();
    for contender in subject::chosen(&arguments.only) {
        let folder = scratch.path().join(contender.to_string());
        let events = arguments.sizes.of(contender);
        let store =
            Measured { contender, events, folder, clean: Figures::NONE, crashed: Figures::NONE };
        arguments.process(&store, Step::Build, 0, events)?;
        stores.push(store);
    }
    for round in 0..u64::from(arguments.rounds) {
        for store in &mut stores {
            let first = store.events + round * arguments.tail_events;
            arguments.process(store, Step::Crash, first, arguments.tail_events)?;
            store.crashed.offer(&arguments.process(store, Step::Open, 0, 0)?)?;
            store.clean.offer(&arguments.process(store, Step::Open, 0, 0)?)?;
        }
    }
    for (after, figures_of) in [
        ("a clean close", (|store| store.clean) as fn(&Measured) -> Figures),
        ("a crash", |store| store.crashed),
    ] {
        let rows: Vec<_> = stores
            .iter()
            .map(|store| {
                let figures = figures_of(store);
                Row {
                    name: store.contender.to_string(),
                    size: format!("{} events", grouped(store.events)),
                    figure: figures.seconds.seconds() * 1e3,
                    more: format!("{} MB of memory", figure(figures.memory_bytes as f64 / 1e6)),
                }
            })
            .collect();
        let title = format!("open after {after}, {PAYLOAD_BYTES}-byte payloads, warm");
        table::print(&title, "milliseconds", Better::Less, &rows);
    }
    Ok(())
}

impl Arguments {
    /// Runs a step in a process and returns the line that it says.
    fn process(
        &self,
        store: &Measured,
        step: Step,
        first: u64,
        events: u64,
    ) -> Result<String, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("open-process")
            .arg(&store.folder)
            .args([store.contender.to_string(), self.sizes.streams.to_string()])
            .args([format!("{step:?}").to_lowercase(), first.to_string(), events.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let line = first_line(&mut child)?;
        let is_to_be_killed = step == Step::Crash && line.trim() == READY;
        if is_to_be_killed {
            child.kill()?;
        }
        let status = child.wait()?;
        match status.success() || is_to_be_killed {
            true => Ok(line),
            false => {
                Err(format!("{}: the process for {step:?} failed: {status}", store.contender)
                    .into())
            }
        }
    }
}

fn first_line(child: &mut Child) -> Result<String, Failure> {
    let output = child.stdout.take().expect("it is piped");
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    Ok(line)
}

/// A process of its own.
pub(crate) fn run_process(arguments: &ProcessArguments) -> Result<(), Failure> {
    let workload = Arc::new(Workload::new(arguments.streams));
    let contender = arguments.contender;
    let events = arguments.first..arguments.first + arguments.events;
    let open = |mode| contender.open(&arguments.folder, &workload, mode);
    match arguments.step {
        Step::Build => {
            let subject = open(Mode::Buffered)?;
            contender.fill(&*subject, events)?;
            subject.close()?;
            say("closed")
        }
        Step::Crash => {
            let subject = open(Mode::Unsealed)?;
            contender.fill(&*subject, events)?;
            subject.sync()?;
            say(READY)?;
            loop {
                std::thread::park();
            }
        }
        Step::Open => {
            let start = Instant::now();
            let subject = open(Mode::Buffered)?;
            let seconds = start.elapsed().as_secs_f64();
            let memory = icecore_disk::memory_use().ok_or("/proc is not to be had")?;
            say(&format!("{seconds} {}", memory.resident))?;
            subject.close()
        }
    }
}

fn say(line: &str) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}
