//! Attempts in lock-step: what fails becomes the error, and the next attempt starts clean.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use icecore_disk::Stopwatch;
use icecore_tile::Error;

use crate::{
    fault::{Fault, How, Moment, Struck},
    kit::{Plan, attempt, children, is_struck, of_tile},
    tiles::{Load, Manner},
};

const MOMENTS: [Moment; 5] =
    [Moment::Start, Moment::Fragment, Moment::Credit, Moment::Finish, Moment::Next];

fn small() -> Plan {
    Plan { load: Load { fragments: 300, ..Plan::new().load }, ..Plan::new() }
}

/// What can happen to which tile.
fn strikes(plan: &Plan) -> Vec<(String, Moment)> {
    let all =
        plan.names().into_iter().flat_map(|tile| MOMENTS.map(|moment| (tile.clone(), moment)));
    // Nobody gives anything to the source.
    all.filter(|(tile, moment)| tile != "source:0" || *moment != Moment::Fragment).collect()
}

fn one_fails_of_three(plan: &Plan) {
    for (tile, moment) in strikes(plan) {
        // What some have committed when another one fails is the caller's to judge.
        if moment == Moment::Next {
            continue;
        }
        let fault = Fault { how: How::Error, moment, attempt: 2 };
        let ends = plan.clone().fault(&tile, fault).attempts(3);
        assert!(ends[0].is_ok() && ends[2].is_ok(), "{tile} {moment:?}: {ends:?}");
        assert!(is_struck(&ends[1], &tile, &Struck(moment)), "{tile} {moment:?}: {ends:?}");
    }
}

pub(crate) fn an_attempt_follows_a_failed_one_and_has_nothing_of_it() {
    one_fails_of_three(&small());
    // Slow and holding sinks: the failed attempt leaves much behind.
    let manner = Manner { holds: 7, pause: Duration::from_micros(20), ..Manner::default() };
    one_fails_of_three(&Plan { manner, ..small() });
}

pub(crate) fn the_caller_can_fail_an_attempt() {
    let endless = Load { endless: Some(2), ..small().load };
    for plan in [Plan::new(), Plan::with_processes()] {
        let plan = Plan { load: endless, ..plan };
        let (ended, got) = plan.run(&|| false, |controller| {
            attempt(controller, 1)?;
            controller.start(2)?;
            std::thread::sleep(Duration::from_millis(20));
            controller.fail()?;
            attempt(controller, 3)
        });
        ended.expect("nothing goes wrong");
        assert_eq!(got, plan.expected([1, 3].into_iter()));
    }
}

pub(crate) fn fused_tiles_fail_as_others_do() {
    one_fails_of_three(&small().fuse("all", &["source:0", "pass:0", "sink:0", "sink:1"]));
    one_fails_of_three(&small().fuse("two", &["pass:0", "sink:1"]));
}

pub(crate) fn a_process_that_fails_goes_on() {
    for moment in [Moment::Start, Moment::Fragment, Moment::Credit, Moment::Finish] {
        let fault = Fault { how: How::Error, moment, attempt: 2 };
        let plan = Plan { load: small().load, ..Plan::with_processes() }.fault("pass:0", fault);
        let ends = plan.attempts(3);
        assert!(ends[0].is_ok() && ends[2].is_ok(), "{moment:?}: {ends:?}");
        let said = of_tile(&ends[1]);
        assert_eq!(said, (plan.pass_name(0), format!("struck at {moment:?}")));
    }
}

pub(crate) fn a_fragment_that_a_tile_keeps_is_told() {
    let manner = Manner { holds: 5, is_stubborn: true, ..Manner::default() };
    let fault = Fault { how: How::Error, moment: Moment::Finish, attempt: 1 };
    let load = Load { fragments: 3, ..small().load };
    let ends = Plan { manner, load, sinks: 1, ..small() }.fault("sink:0", fault).attempts(2);
    assert!(is_struck(&ends[0], "sink:0", &Struck(Moment::Finish)), "{ends:?}");
    let (tile, words) = of_tile(&ends[1]);
    assert_eq!(tile, "sink:0");
    assert!(words.contains("3 fragments of the attempt before were not let go"), "{words}");
}

pub(crate) fn a_panic_is_an_error_that_names_its_tile() {
    let apart = small();
    let fused = small().fuse("all", &["source:0", "pass:0", "sink:0", "sink:1"]);
    for plan in [apart, fused] {
        for (tile, moment) in strikes(&plan) {
            let fault = Fault { how: How::Panic, moment, attempt: 2 };
            let (ends, _) = plan.clone().fault(&tile, fault).run(&|| false, |controller| {
                Ok([1, 2, 3].map(|number| attempt(controller, number)))
            });
            let ends = ends.expect("it starts");
            assert!(ends[0].is_ok(), "{tile} {moment:?}: {ends:?}");
            assert_eq!(of_tile(&ends[1]), (tile, format!("panicked: struck at {moment:?}")));
            assert!(of_tile(&ends[2]).1.contains("it has ended"), "{moment:?}: {ends:?}");
        }
    }
}

pub(crate) fn what_goes_wrong_before_the_first_attempt_is_told() {
    let fused = small().fuse("all", &["source:0", "pass:0", "sink:0", "sink:1"]);
    for plan in [small(), fused] {
        for tile in plan.names() {
            for moment in [Moment::Privileged, Moment::Init] {
                for how in [How::Error, How::Panic] {
                    let fault = Fault { how, moment, attempt: 0 };
                    let (ended, got) = plan.clone().fault(&tile, fault).run(&|| false, |_| {
                        panic!("nothing can be attempted");
                        #[expect(unreachable_code, reason = "says the type")]
                        Ok(())
                    });
                    assert!(got.is_empty());
                    let words = match how {
                        How::Panic => format!("panicked: struck at {moment:?}"),
                        _ => {
                            assert!(is_struck(&ended, &tile, &Struck(moment)), "{ended:?}");
                            format!("struck at {moment:?}")
                        }
                    };
                    assert_eq!(of_tile(&ended), (tile.clone(), words));
                }
            }
        }
    }
    for moment in [Moment::Privileged, Moment::Init] {
        for how in [How::Error, How::Panic] {
            let plan = Plan::with_processes().fault("pass:0", Fault { how, moment, attempt: 0 });
            let (ended, _) = plan.run(&|| false, |_| Ok(()));
            let (tile, words) = of_tile(&ended);
            assert_eq!(tile, plan.pass_name(0));
            assert!(words.ends_with(&format!("struck at {moment:?}")), "{words}");
        }
    }
}

pub(crate) fn an_interrupt_ends_an_attempt_and_another_can_follow() {
    for plan in [Plan::new(), Plan::with_processes()] {
        let load = Load { endless: Some(1), ..plan.load };
        let plan = Plan { load, ..plan };
        let (clock, is_asked) = (Stopwatch::start(), AtomicBool::new(true));
        let interrupt =
            || is_asked.load(Ordering::Relaxed) && clock.elapsed() > Duration::from_millis(300);
        let (ended, got) = plan.run(&interrupt, |controller| {
            let ended = attempt(controller, 1);
            assert!(matches!(ended, Err(Error::Interrupted)), "{ended:?}");
            assert!(clock.elapsed() < Duration::from_secs(3), "{:?}", clock.elapsed());
            let again = attempt(controller, 2);
            assert!(matches!(again, Err(Error::Interrupted)), "{again:?}");
            is_asked.store(false, Ordering::Relaxed);
            attempt(controller, 3)
        });
        ended.expect("nothing goes wrong any more");
        assert_eq!(got, plan.expected(3..=3));
    }
}

pub(crate) fn done_is_the_end_of_the_last_attempt() {
    let plan = small();
    let (ended, got) = plan.run(&|| false, |controller| {
        attempt(controller, 1)?;
        controller.start(2)?;
        controller.finish()?;
        controller.done()
    });
    ended.expect("nothing goes wrong");
    assert_eq!(got, plan.expected(1..=2));
}

pub(crate) fn a_body_that_panics_or_leaves_early_leaves_nothing_behind() {
    for plan in [Plan::new(), Plan::with_processes()] {
        let load = Load { endless: Some(1), ..plan.load };
        let plan = Plan { load, ..plan };
        let (left, _) = plan.run(&|| false, |controller| controller.start(1));
        left.expect("nothing goes wrong");
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            plan.run(&|| false, |controller| -> Result<(), Error> {
                controller.start(1)?;
                panic!("in the body")
            })
        }));
        let panic = panicked.expect_err("it goes on");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"in the body"));
        assert!(children().is_empty());
    }
}
