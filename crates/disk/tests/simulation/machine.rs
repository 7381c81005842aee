//! The clock, the randomness and the processes of the simulated machine.

use std::path::Path;

use icecore_disk::{Access, Disk, ProcessIdentity, SimulatedDisk};

use super::durable;

#[test]
fn the_clock_advances_a_microsecond_per_reading_and_as_told() {
    let disk = SimulatedDisk::new(1);
    let start = disk.now();
    assert_eq!(start, SimulatedDisk::new(2).now());
    assert_eq!(disk.now(), start + 1000);
    disk.advance(5_000_000_000);
    assert_eq!(disk.now(), start + 5_000_002_000);
    disk.set_now(7);
    assert_eq!((disk.now(), disk.kill().now()), (7, 1007));
}

#[test]
fn random_bytes_are_the_seeds() {
    let draw = |disk: &SimulatedDisk| {
        let mut bytes = [0; 20];
        disk.fill_random(&mut bytes);
        bytes
    };
    let disk = SimulatedDisk::new(1);
    let first = draw(&disk);
    assert_eq!(first, draw(&SimulatedDisk::new(1)));
    assert_ne!(first, draw(&SimulatedDisk::new(2)));
    assert_ne!(first, draw(&disk));
    assert_ne!(first, draw(&disk.kill()), "a new process draws other bytes");
}

#[test]
fn a_process_that_ends_frees_its_locks_and_calls_nothing_more() {
    let writer = SimulatedDisk::new(1);
    let reader = writer.with_process(2000, 3);
    let other = ProcessIdentity { id: 2000, start_time: 3 };
    assert_eq!((reader.process(), writer.is_alive(other)), (other, true));
    let file = durable(&writer, "/file", b"abc");
    let lock = writer.lock(Path::new("/lock")).expect("asked").expect("free");
    assert!(reader.lock(Path::new("/lock")).expect("asked").is_none());

    writer.set_alive(writer.process(), false);
    assert!(!reader.is_alive(writer.process()) && !writer.is_simulated_crash());
    assert!(file.write_at(0, b"x").is_err() && writer.list(Path::new("/")).is_err());
    let taken = reader.lock(Path::new("/lock")).expect("asked").expect("its holder has ended");
    drop(lock);
    assert!(reader.lock(Path::new("/lock")).expect("asked").is_none(), "held by the reader now");
    drop(taken);
    assert_eq!(reader.read_file("/file"), b"abc");

    let next = reader.kill();
    assert!(![writer.process(), other].contains(&next.process()));
    assert!(next.is_alive(next.process()) && !next.is_alive(other));
    assert!(next.lock(Path::new("/lock")).expect("asked").is_some());
    next.set_alive(other, true);
    assert!(next.is_alive(other));
}

#[test]
fn paths_begin_at_the_root_and_never_climb() {
    let disk = SimulatedDisk::new(1);
    disk.create(Path::new("file")).expect("created");
    assert!(disk.exists(Path::new("/file")) && disk.exists(Path::new("./file")));
    assert_eq!(disk.file_names(), [Path::new("/file")]);
    assert!(disk.open(Path::new("/folder/../file"), Access::Read).is_err());
}
