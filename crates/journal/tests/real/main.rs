//! A process that appends to a journal on a real disk is killed, again and again, and what it was
//! told is durable is there.
//!
//! The process is this program once more, told by an environment variable to be the one that is
//! killed. It writes to its standard output what was acknowledged.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use icecore_journal::{
    AppendOptions, Batch, By, CreateOptions, Durability, Journal, NewEvent, Options, Query,
};

const KILLED_IN: &str = "ICECORE_TEST_KILLED_IN";
const THREADS: usize = 3;
const KILLS: u64 = 50;

fn options() -> Options {
    Options {
        segment_bytes_max: 64 << 10,
        stream_heads_max: 8,
        sync_interval: Duration::from_millis(2),
        ..Options::default()
    }
}

fn payload(thread: usize, version: u64) -> Vec<u8> {
    let bytes = (version * 37 + thread as u64 * 11) % 3000 + 8;
    version.to_le_bytes().into_iter().cycle().take(bytes as usize).collect()
}

fn stream(thread: usize) -> Vec<u8> {
    format!("thread-{thread}").into_bytes()
}

/// Events of a thread's stream, having looked at every one of them.
fn count(journal: &Journal, thread: usize) -> u64 {
    let scan = journal.history().scan(Query::new(By::Stream(stream(thread)))).expect("indexed");
    let mut count = 0;
    for event in scan {
        let event = event.expect("every event can be read");
        assert_eq!(event.stream_version(), count);
        assert_eq!(event.payload(), payload(thread, count));
        count += 1;
    }
    count
}

/// Appends until it is killed: batches of up to three events, some of them acknowledged.
fn append_until_killed(folder: &Path) {
    let journal = Journal::open(folder, options()).expect("opened");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let mut version = count(&journal, thread);
            let journal = &journal;
            scope.spawn(move || {
                loop {
                    let mut batch = Batch::new();
                    for event in 0..1 + version % 3 {
                        let payload = payload(thread, version + event);
                        let stream = stream(thread);
                        batch.push(&NewEvent::new(&stream, 1, &payload)).expect("fits");
                    }
                    let durability = match version % 5 {
                        0 => Durability::Durable,
                        1 => Durability::Written,
                        _ => Durability::Buffered,
                    };
                    let options = AppendOptions { durability, ..AppendOptions::default() };
                    let receipt = journal.append(&batch, &options).expect("appended");
                    assert_eq!(receipt.stream_versions[0], version);
                    version += batch.len() as u64;
                    if durability == Durability::Durable {
                        let line = format!("durable {thread} {version}\n");
                        std::io::stdout().write_all(line.as_bytes()).expect("somebody listens");
                    }
                }
            });
        }
    });
}

/// Lets the process run for a while and kills it; what was acknowledged by then, for each thread.
fn run_and_kill(folder: &Path, round: u64) -> [u64; THREADS] {
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program)
        .args([
            "--exact",
            "what_was_acknowledged_is_there_after_each_of_fifty_kills",
            "--nocapture",
        ])
        .env(KILLED_IN, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut acknowledged = [0; THREADS];
    let mut note = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        if let ["durable", thread, version] = words[..] {
            let thread: usize = thread.parse().expect("a thread");
            acknowledged[thread] = version.parse().expect("a version");
        }
        words[0] == "durable"
    };
    while !note(&lines.next().expect("it appends").expect("read")) {}
    thread::sleep(Duration::from_micros(round * 7919 % 40_000));
    child.kill().expect("killed");
    for line in lines {
        note(&line.expect("read"));
    }
    child.wait().expect("it has ended");
    acknowledged
}

#[test]
fn what_was_acknowledged_is_there_after_each_of_fifty_kills() {
    if let Some(folder) = std::env::var_os(KILLED_IN) {
        return append_until_killed(Path::new(&folder));
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let folder = folder.path().join("journal");
    Journal::create(&folder, CreateOptions::default(), options()).expect("created");
    let mut before = [0; THREADS];
    for round in 0..KILLS {
        let acknowledged = run_and_kill(&folder, round);
        let journal = Journal::open(&folder, options()).expect("opened after a kill");
        assert_eq!(journal.recovery().unknown_files, [""; 0]);
        for thread in 0..THREADS {
            let found = count(&journal, thread);
            assert!(found >= acknowledged[thread] && found >= before[thread], "kill {round}");
            before[thread] = found;
        }
        if round % 5 == 4 {
            journal.close().expect("closed");
        }
    }
    assert!(before.iter().sum::<u64>() > 10 * KILLS, "{before:?}");
}
