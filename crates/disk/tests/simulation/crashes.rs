//! Stopping the machine at each operation, killing its processes, and replaying by seed.

use std::{collections::BTreeSet, path::Path, sync::atomic::Ordering};

use icecore_disk::{Access, Disk, Error, Publish, SimulatedDisk};

use super::{SEEDS, durable, image, open, outcomes, set};

/// Something of everything; ends at the first error.
fn workload(disk: &SimulatedDisk) -> Result<(), Error> {
    let root = Path::new("/store");
    disk.create_folder(root)?;
    disk.sync_folder(Path::new("/"))?;
    let log = disk.create(&root.join("log"))?;
    log.reserve(20_000)?;
    for round in 0..6u8 {
        let mut bytes = vec![0; 900];
        disk.fill_random(&mut bytes);
        log.write_at(u64::from(round) * 900, &bytes)?;
        if round % 2 == 1 {
            log.sync()?;
        }
    }
    disk.sync_folder(root)?;
    let temporary = disk.create(&root.join("temporary"))?;
    temporary.write_at(0, b"content")?;
    temporary.sync()?;
    disk.rename(&root.join("temporary"), &root.join("current"), Publish::New)?;
    disk.sync_folder(root)?;
    log.truncate(3000)?;
    disk.remove(&root.join("current"))
}

#[test]
fn the_same_seed_and_calls_give_the_same_machine() {
    let run = |seed, operation, loss| {
        let disk = SimulatedDisk::new(seed);
        disk.crash_at(operation);
        workload(&disk).expect_err("it stops");
        (image(&disk), image(&disk.power_loss(loss)), image(&disk.kill()))
    };
    assert_eq!(run(1, 12, 2), run(1, 12, 2));
    let (live, _, killed) = run(1, 12, 2);
    assert_eq!(live, killed);
    assert_ne!(run(2, 12, 2).0, live, "another seed, other bytes and choices");
    let losses: BTreeSet<_> = (0..20).map(|loss| run(1, 12, loss).1).collect();
    assert!(losses.len() > 5, "{} different losses", losses.len());
}

#[test]
fn a_crash_at_each_operation_stops_everything_there() {
    let whole = SimulatedDisk::new(3);
    workload(&whole).expect("nothing is wrong");
    let operations = whole.operations();
    assert_eq!(operations, 21);
    for operation in 0..operations {
        let disk = SimulatedDisk::new(3);
        let survivor = disk.with_process(77, 1);
        let lock = disk.lock(Path::new("/lock")).expect("asked").expect("free");
        assert_eq!(disk.operations(), 1, "making the lock's file is one");
        let file = disk.open(Path::new("/lock"), Access::ReadWrite).expect("opened");
        disk.crash_at(operation + 1);
        let error = workload(&disk).expect_err("it stops");
        assert!(error.to_string().contains("the simulated machine is off"), "{error}");
        assert!(disk.is_simulated_crash());
        assert_eq!(disk.operations(), operation + 2, "nothing happens after it");
        assert!(file.read_at(0, &mut [0]).is_err() && file.bytes().is_err() && file.map().is_err());
        assert!(file.sync().is_err() && file.write_at(0, b"x").is_err());
        assert!(file.truncate(0).is_err() && file.reserve(1).is_err());
        assert!(survivor.list(Path::new("/")).is_err() && !disk.exists(Path::new("/lock")));
        assert!(
            disk.lock(Path::new("/lock")).is_err() && disk.available_bytes("/".as_ref()).is_err()
        );
        assert!(disk.shared_page(Path::new("/page"), Access::ReadWrite).is_err());
        drop(lock);
        for after in [disk.kill(), disk.power_loss(operation)] {
            assert!(!after.is_simulated_crash());
            assert_eq!(after.operations(), 0);
            after.create(Path::new("/new")).expect("it runs again");
        }
    }
}

#[test]
fn the_last_operation_happened_or_not_and_a_write_ends_between_two_sectors() {
    let mut seen = (set([]), set([]), set([]));
    for seed in 0..SEEDS {
        let disk = SimulatedDisk::new(seed);
        let file = durable(&disk, "/file", &[1; 100]);
        disk.crash_at(disk.operations());
        file.write_at(100, &[2; 2000]).expect_err("it stops");
        seen.0.insert(disk.read_file("/file").len());

        let disk = SimulatedDisk::new(seed);
        disk.crash_at(0);
        assert!(disk.create(Path::new("/file")).is_err());
        seen.1.insert(disk.kill().file_names().len());

        let disk = SimulatedDisk::new(seed);
        let file = durable(&disk, "/file", &[1; 512]);
        file.write_at(0, &[2; 512]).expect("written");
        disk.crash_at(disk.operations());
        file.sync().expect_err("it stops");
        seen.2.insert(disk.power_loss(seed).read_file("/file")[0]);
    }
    assert_eq!(seen.0, set([100, 512, 1024, 1536, 2048, 2100]));
    assert_eq!((seen.1, seen.2), (set([0, 1]), set([1, 2])));
}

#[test]
fn a_kill_keeps_everything_readable_and_makes_nothing_durable() {
    let disk = SimulatedDisk::new(4);
    let file = durable(&disk, "/file", &[1; 512]);
    file.write_at(0, &[2; 512]).expect("written");
    disk.create(Path::new("/new")).expect("created");
    let killed = disk.kill();
    assert_eq!(image(&killed), image(&disk));
    let lost = |disk: &SimulatedDisk| (disk.read_file("/file")[0], disk.file_names().len());
    assert_eq!(outcomes(&killed, lost), set([(1, 1), (1, 2), (2, 1), (2, 2)]));
    assert_eq!(outcomes(&killed.kill(), lost).len(), 4);
    open(&killed, "/file").sync().expect("synced");
    killed.sync_folder(Path::new("/")).expect("synced");
    assert_eq!(outcomes(&killed, lost), set([(2, 2)]));
    assert_eq!(outcomes(&disk, lost).len(), 4, "they are two machines");
}

#[test]
fn a_shared_page_outlives_a_kill_and_may_not_outlive_a_loss_of_power() {
    let disk = SimulatedDisk::new(5);
    let path = Path::new("/page");
    let page = disk.shared_page(path, Access::ReadWrite).expect("mapped");
    disk.sync_folder(Path::new("/")).expect("synced");
    open(&disk, "/page").sync().expect("synced");
    page.words()[0].store(1, Ordering::Relaxed);
    page.words()[511].store(1, Ordering::Relaxed);
    let word = |disk: &SimulatedDisk| {
        let page = disk.shared_page(path, Access::Read).expect("mapped");
        [0, 511].map(|index: usize| page.words()[index].load(Ordering::Relaxed))
    };
    assert_eq!(word(&disk.kill()), [1, 1]);
    assert_eq!(outcomes(&disk, word).len(), 4);
    open(&disk, "/page").sync().expect("synced");
    assert_eq!(outcomes(&disk, word), set([[1, 1]]));

    disk.crash_at(disk.operations());
    disk.sync_folder(Path::new("/")).expect_err("it stops");
    page.words()[0].store(2, Ordering::Relaxed);
    assert_eq!(word(&disk.kill()), [1, 1], "what is stored after the end is not seen");
}
