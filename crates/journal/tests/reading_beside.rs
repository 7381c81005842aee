//! Reading a journal in one process while another writes it, is killed, and comes back (rule R23).

use std::{
    env,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use icecore_disk::{Disk, SimulatedDisk};
use icecore_journal::{
    AppendOptions, Batch, By, CreateOptions, Durability, Error, Indexes, Journal, NewEvent,
    Options, Query, Reader,
};

fn options() -> Options {
    Options {
        background: false,
        segment_bytes_max: 64 << 10,
        stream_heads_max: 1 << 10,
        ..Options::default()
    }
}

fn payload(number: u64) -> Vec<u8> {
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(8 + (number * 37 % 500) as usize, number as u8);
    payload
}

fn append(journal: &Journal, number: u64, durability: Durability) {
    let stream = format!("stream-{}", number % 5);
    let payload = payload(number);
    let event = NewEvent::new(stream.as_bytes(), (number % 3) as u16, &payload);
    let options = AppendOptions { durability, ..AppendOptions::default() };
    let receipt = journal.append(&Batch::of(&event).expect("fits"), &options).expect("appended");
    assert_eq!(receipt.first_sequence, number);
}

/// Everything that a reader sees is what was appended; returns how much that is.
fn check(reader: &Reader) -> u64 {
    let end = reader.refresh().expect("what is durable checks");
    assert_eq!(reader.end(), end);
    let mut next = 0;
    for event in reader.history().scan(Query::new(By::Sequence)).expect("by sequence") {
        let event = event.expect("read");
        assert_eq!((event.sequence(), event.payload()), (next, &payload(next)[..]));
        next += 1;
    }
    assert_eq!(next, end);
    let of_stream = Query::new(By::Stream(b"stream-2".to_vec())).backward();
    let found = reader.history().scan(of_stream).expect("by stream").count() as u64;
    assert_eq!(found, (0..end).filter(|number| number % 5 == 2).count() as u64);
    end
}

#[test]
fn a_reader_sees_what_is_durable_and_nothing_else() {
    let disk = SimulatedDisk::new(3);
    let folder = Path::new("/journal");
    let writers: Arc<dyn Disk> = Arc::new(disk.clone());
    let readers: Arc<dyn Disk> = Arc::new(disk.with_process(77, 1));
    let absent = Reader::open_on(Arc::clone(&readers), folder);
    assert!(matches!(absent, Err(Error::NoJournal { .. })), "{absent:?}");
    let create = CreateOptions { indexes: Indexes::ALL, ..CreateOptions::default() };
    let journal = Journal::create_on(writers, folder, create, options()).expect("created");
    let reader = Reader::open_on(Arc::clone(&readers), folder).expect("opened beside");
    assert_eq!(check(&reader), 0);
    for number in 0..2000 {
        let durability = if number % 7 == 6 { Durability::Durable } else { Durability::Written };
        append(&journal, number, durability);
        if number % 50 == 0 {
            journal.tend().expect("tended");
        }
        if number % 97 == 0 {
            assert_eq!(check(&reader), journal.durable_end());
            assert!(reader.end() <= journal.end());
        }
    }
    // One that comes late sees the same, one that is there already comes along.
    let late = Reader::open_on(Arc::clone(&readers), folder).expect("opened beside");
    assert_eq!(check(&late), check(&reader));
    journal.close().expect("closed");
    assert_eq!(check(&reader), 2000);
    assert_eq!(check(&Reader::open_on(readers, folder).expect("opened alone")), 2000);
}

#[test]
fn after_a_crash_a_reader_sees_what_was_durable_until_a_writer_has_come_back() {
    for seed in 0..20 {
        let disk = SimulatedDisk::new(seed);
        let folder = Path::new("/journal");
        let writers: Arc<dyn Disk> = Arc::new(disk.clone());
        let create = CreateOptions { indexes: Indexes::ALL, ..CreateOptions::default() };
        let journal = Journal::create_on(writers, folder, create, options()).expect("created");
        for number in 0..300 + seed * 40 {
            let is_synced = number % 40 == 3 && number < 250 + seed * 40;
            let durability = if is_synced { Durability::Durable } else { Durability::Written };
            append(&journal, number, durability);
        }
        let durable = journal.durable_end();
        let killed = disk.kill();
        let lost = disk.power_loss(seed);
        drop(journal);
        for (disk, what) in [(killed, "killed"), (lost, "lost power")] {
            let disk: Arc<dyn Disk> = Arc::new(disk);
            let reader = Reader::open_on(Arc::clone(&disk), folder)
                .unwrap_or_else(|error| panic!("{what}, seed {seed}: {error}"));
            let seen = check(&reader);
            match what {
                "killed" => assert_eq!(seen, durable, "seed {seed}"),
                // The page may be older than what was acknowledged: what is seen is durable.
                _ => assert!(seen <= durable, "seed {seed}"),
            }
            let journal = Journal::open_on(disk, folder, options()).expect("recovered");
            assert!(journal.durable_end() >= durable, "{what}, seed {seed}");
            assert_eq!(check(&reader), journal.durable_end(), "{what}, seed {seed}");
            let next = journal.end();
            append(&journal, next, Durability::Durable);
            assert_eq!(check(&reader), next + 1, "{what}, seed {seed}");
        }
    }
}

/// Set in the process that writes.
const WRITER: &str = "ICECORE_TEST_WRITER_FOLDER";

/// Not a test of its own: what the other process runs.
#[test]
fn writer_of_two_processes() {
    let Some(folder) = env::var_os(WRITER).map(PathBuf::from) else { return };
    let options = Options { segment_bytes_max: 256 << 10, ..Options::default() };
    let journal = match Journal::open(&folder, options.clone()) {
        Err(Error::NoJournal { .. }) => {
            let create = CreateOptions { indexes: Indexes::ALL, ..CreateOptions::default() };
            Journal::create(&folder, create, options).expect("created")
        }
        opened => opened.expect("recovered"),
    };
    let mut number = journal.end();
    println!("from {number}");
    loop {
        let durability = match number % 50 {
            0 => Durability::Durable,
            _ => Durability::Buffered,
        };
        append(&journal, number, durability);
        number += 1;
        if number.is_multiple_of(50) {
            println!("durable {}", journal.durable_end());
        }
    }
}

fn start_writer(folder: &Path) -> Child {
    Command::new(env::current_exe().expect("a test runs"))
        .args(["--exact", "writer_of_two_processes", "--nocapture"])
        .env(WRITER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started")
}

/// Lines that the writer prints, until one that says what is waited for.
fn read_until(lines: &mut impl Iterator<Item = String>, prefix: &str) -> Option<u64> {
    lines.find_map(|line| line.strip_prefix(prefix)?.trim().parse().ok())
}

#[test]
fn two_processes() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let folder = folder.path().join("journal");
    let mut reader: Option<Reader> = None;
    let mut acknowledged = 0;
    for round in 0..12u64 {
        let mut writer = start_writer(&folder);
        let output = writer.stdout.take().expect("piped");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let from = read_until(&mut lines, "from ").expect("the writer has opened the journal");
        assert!(from >= acknowledged, "{acknowledged} were acknowledged, {from} are there");
        let reader = reader.get_or_insert_with(|| Reader::open(&folder).expect("opened beside"));
        // The reader reads while the other goes on, and while it is killed.
        let killer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(60 + round * 23 % 140));
            writer.kill().expect("killed");
            writer.wait().expect("ended");
            lines.filter_map(|line| line.strip_prefix("durable ")?.trim().parse().ok()).max()
        });
        let mut seen = 0;
        while !killer.is_finished() {
            let end = reader.refresh().expect("what is durable checks");
            assert!(end >= seen, "what is durable stays");
            seen = end;
            for sequence in end.saturating_sub(20)..end {
                let event = reader.read(sequence).expect("read");
                assert_eq!(event.payload(), payload(sequence));
            }
        }
        let told: Option<u64> = killer.join().expect("not panicked");
        acknowledged = acknowledged.max(told.unwrap_or(0)).max(seen);
        assert_eq!(
            reader.refresh().expect("what is durable checks"),
            acknowledged.max(reader.end())
        );
        check(reader);
    }
    assert!(acknowledged > 1000, "only {acknowledged} events in all rounds");
}
