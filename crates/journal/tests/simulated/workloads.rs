//! Random work, nothing going wrong.

use icecore_disk::SimulatedDisk;

use crate::{
    driver::{Driver, Style},
    for_seeds,
    once_wrong::has_groups,
};

const STYLE: Style = Style { streams: 40, payload_bytes_max: 4000, with_reopening: true };

#[test]
fn a_journal_does_what_its_model_does() {
    for_seeds(0..40, |seed| {
        let mut driver = Driver::new(SimulatedDisk::new(seed), seed, STYLE);
        driver.start().expect("nothing is wrong");
        for _ in 0..300 {
            driver.step().expect("nothing is wrong");
        }
        driver.check().expect("nothing is wrong");
        driver.check_keys().expect("nothing is wrong");
        assert_eq!(driver.errors, [""; 0]);
    });
    // One of them long enough that merged indexes are merged again.
    let mut driver = Driver::new(SimulatedDisk::new(99), 99, STYLE);
    driver.start().expect("nothing is wrong");
    for _ in 0..2000 {
        driver.step().expect("nothing is wrong");
    }
    driver.check().expect("nothing is wrong");
    assert!(has_groups(&driver.disk), "the work was enough for groups of segments");
}
