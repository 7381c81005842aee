//! The machine stops, at every operation, also of what is done about it.

use icecore_disk::SimulatedDisk;
use icecore_journal::Error;

use crate::{
    driver::{Driver, Style},
    for_seeds,
};

/// Short work with large payloads: segments end, and are sealed and merged, within few operations.
const STYLE: Style = Style { streams: 12, payload_bytes_max: 30_000, with_reopening: true };

const STEPS: usize = 40;

/// Does the work; ends early when the machine stops.
fn work(driver: &mut Driver, steps: usize) -> Result<(), Error> {
    driver.start()?;
    for _ in 0..steps {
        driver.step()?;
    }
    Ok(())
}

/// Operations that the work takes when nothing stops it.
fn operations(seed: u64) -> u64 {
    let disk = SimulatedDisk::new(seed);
    let mut driver = Driver::new(disk.clone(), seed, STYLE);
    work(&mut driver, STEPS).expect("nothing is wrong");
    disk.operations()
}

fn stopped(seed: u64, operation: u64) -> Driver {
    let disk = SimulatedDisk::new(seed);
    disk.crash_at(operation);
    let mut driver = Driver::new(disk.clone(), seed, STYLE);
    let ended = work(&mut driver, STEPS);
    assert!(ended.is_err() && disk.is_simulated_crash(), "{ended:?} at operation {operation}");
    driver
}

/// Opens what was left, compares it with the model, and works on; then the same after a loss of
/// power of that machine.
fn goes_on(driver: &Driver, disk: SimulatedDisk, seed: u64) -> Driver {
    let mut next = driver.go_on(disk, seed);
    next.start().expect("what a crash leaves can be opened");
    next
}

fn works_on(mut driver: Driver) {
    for _ in 0..6 {
        driver.step().expect("nothing is wrong any more");
    }
    driver.check().expect("nothing is wrong any more");
    let lost = driver.disk.power_loss(7);
    goes_on(&driver, lost, 8).check().expect("nothing is wrong any more");
}

#[test]
fn what_was_acknowledged_survives_a_crash_at_every_operation() {
    for_seeds(0..1, |seed| {
        let operations = operations(seed);
        for operation in 0..operations {
            let driver = stopped(seed, operation);
            let killed = driver.disk.kill();
            works_on(goes_on(&driver, killed, operation));
            for loss in 0..2 {
                let lost = driver.disk.power_loss(operation * 2 + loss);
                works_on(goes_on(&driver, lost, operation));
            }
        }
    });
}

#[test]
fn kill_then_power_loss() {
    for_seeds(10..12, |seed| {
        let operations = operations(seed);
        for operation in (0..operations).step_by(5) {
            let driver = stopped(seed, operation);
            // What is readable after a kill may not be on disk. Once it was seen, it has to be.
            let seen = goes_on(&driver, driver.disk.kill(), operation);
            for loss in 0..3 {
                let after = goes_on(&seen, seen.disk.power_loss(loss), operation);
                assert_eq!(after.model.end(), seen.model.end());
            }
        }
    });
}

#[test]
fn recovery_survives_crashes_at_each_of_its_operations_five_times_in_a_row() {
    for_seeds(20..21, |seed| {
        let operations = operations(seed);
        for operation in (operations / 3..operations).step_by(23) {
            let driver = stopped(seed, operation);
            let left = driver.disk.power_loss(operation);
            let whole = {
                let disk = left.power_loss(0);
                goes_on(&driver, disk.clone(), 0);
                disk.operations()
            };
            for first in 0..whole {
                let mut disk = left.power_loss(first);
                for again in 0..5 {
                    disk.crash_at((first + again * 5) % whole);
                    let mut next = driver.go_on(disk.clone(), first);
                    if next.start().is_ok() {
                        break;
                    }
                    // One half of the stops are kills, one half losses of power.
                    disk = if again % 2 == 0 { disk.power_loss(again) } else { disk.kill() };
                }
                works_on(goes_on(&driver, disk.kill(), first));
            }
        }
    });
}
