//! What a tile can do to the others: nothing but fail.

use std::{
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use icecore_disk::Stopwatch;
use icecore_tile::{Error, SandboxMode, probe};

use crate::{
    fault::{CALLS, Fault, How, Moment},
    kit::{Plan, attempt, children, children_of, of_tile, state_and_parent},
    panics,
    tiles::Load,
};

/// Argument that makes this binary run a pipeline for ever.
pub(crate) const ENDLESS: &str = "be-a-pipeline-without-end";

/// Longest time until something else than the answer of a tile is seen.
const SOON: Duration = Duration::from_secs(5);

fn endless(plan: Plan) -> Plan {
    Plan { load: Load { endless: Some(1), ..plan.load }, ..plan }
}

pub(crate) fn run_for_ever() {
    let _never = endless(Plan::with_processes()).attempts(1);
}

fn kill(process: i32) {
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::kill(process, libc::SIGKILL) }, 0);
}

pub(crate) fn a_process_that_is_killed_is_an_error() {
    for passes in [1, 2] {
        let plan = endless(Plan { passes, ..Plan::with_processes() });
        let (ended, _) = plan.run(&|| false, |controller| {
            let metrics = Arc::clone(controller.metrics());
            controller.start(1)?;
            while metrics.read().tiles.last().expect("a sink").fragments_in < 1000 {
                thread::sleep(Duration::from_millis(1));
            }
            let clock = Stopwatch::start();
            let found = children();
            assert_eq!(found.len(), passes);
            kill(found[0]);
            let ended = controller.finish();
            assert!(clock.elapsed() < SOON, "{:?}", clock.elapsed());
            let (tile, words) = of_tile(&ended);
            assert!(tile.starts_with("pass:"));
            assert!(words.starts_with("its process was killed by signal 9 (SIGKILL"), "{words}");
            // Nobody can take its place.
            let again = of_tile(&controller.start(2));
            assert_eq!(again.0, tile);
            ended
        });
        assert!(ended.is_err());
    }
}

pub(crate) fn a_process_that_panics_is_an_error_with_its_words() {
    for moment in [Moment::Start, Moment::Fragment, Moment::Credit, Moment::Finish, Moment::Next] {
        let fault = Fault { how: How::Panic, moment, attempt: 2 };
        let plan = Plan::with_processes().fault("pass:0", fault);
        let (ends, _) = plan
            .run(&|| false, |controller| Ok([1, 2, 3].map(|number| attempt(controller, number))));
        let ends = ends.expect("it starts");
        assert!(ends[0].is_ok(), "{ends:?}");
        let expected = (plan.pass_name(0), format!("panicked: struck at {moment:?}"));
        assert_eq!(of_tile(&ends[1]), expected);
        assert!(ends[2].is_err());
    }
}

pub(crate) fn a_process_that_scribbles_harms_nobody() {
    let mut good = 0;
    for (number, moment) in
        (1..=9).zip([Moment::Credit, Moment::Fragment, Moment::Finish].iter().cycle())
    {
        let before = panics();
        let fault = Fault { how: How::Scribble, moment: *moment, attempt: number };
        let plan = Plan::with_processes().fault("pass:0", fault);
        let clock = Stopwatch::start();
        // It may have scribbled on its own commands and wait for ever: that is not told from work.
        let interrupt = || clock.elapsed() > Duration::from_secs(2);
        let (ended, got) = plan.run(&interrupt, |controller| attempt(controller, number));
        assert!(clock.elapsed() < Duration::from_secs(20), "{:?}", clock.elapsed());
        assert_eq!(panics(), before, "no thread of this process panics: {ended:?}");
        if ended.is_ok() {
            assert_eq!(got, plan.expected(number..=number));
            good += 1;
        }
    }
    assert!(good < 9, "scribbling is noticed");
}

pub(crate) fn a_process_that_listens_to_nobody_is_ended() {
    let fault = Fault { how: How::Spin, moment: Moment::Finish, attempt: 1 };
    let plan = Plan::with_processes().fault("pass:0", fault);
    let clock = Stopwatch::start();
    let interrupt = || clock.elapsed() > Duration::from_millis(500);
    let (ended, _) = plan.run(&interrupt, |controller| attempt(controller, 1));
    assert!(matches!(ended, Err(Error::Interrupted)), "{ended:?}");
    assert!(clock.elapsed() < Duration::from_secs(10), "{:?}", clock.elapsed());
    // The same when nobody asks: what the caller does not wait for any more is ended.
    let (left, _) = plan.run(&|| false, |controller| controller.start(1));
    left.expect("it started");
}

pub(crate) fn a_binary_that_is_no_tile_is_an_error() {
    let plan = Plan { executable: "/bin/true", ..Plan::with_processes() };
    let (ended, _) = plan.run(&|| false, |_| Ok(()));
    let expected = ("pass:0".to_string(), "its process ended with code 0".to_string());
    assert_eq!(of_tile(&ended), expected);
    let plan = Plan { executable: "/nowhere/tile", ..Plan::with_processes() };
    let (ended, _) = plan.run(&|| false, |_| Ok(()));
    let words = ended.expect_err("it is not there").to_string();
    assert!(words.contains("pass:0") && words.contains("/nowhere/tile"), "{words}");
}

pub(crate) fn a_thread_that_makes_a_forbidden_call_is_told() {
    let moments = [Moment::Start, Moment::Fragment, Moment::Finish, Moment::House];
    for ((how, name), moment) in CALLS.into_iter().zip(moments) {
        for tile in ["source:0", "pass:0", "sink:1"] {
            if tile == "source:0" && moment == Moment::Fragment {
                continue;
            }
            let plan = Plan::new().fault(tile, Fault { how, moment, attempt: 2 });
            let fused = plan.clone().fuse("both", &["sink:0", tile]);
            for plan in [plan, fused] {
                if moment == Moment::House {
                    // It comes when it comes: between commands too.
                    let (ended, _) = plan.run(&|| false, |controller| {
                        controller.start(2)?;
                        thread::sleep(Duration::from_millis(500));
                        controller.finish()
                    });
                    told(&ended, tile, name);
                    continue;
                }
                let ends = plan.attempts(3);
                assert!(ends[0].is_ok() && ends[2].is_ok(), "{tile} {name}: {ends:?}");
                told(&ends[1], tile, name);
            }
        }
    }
    let before = Fault { how: How::Open, moment: Moment::Init, attempt: 0 };
    let (ended, _) = Plan::new().fault("pass:0", before).run(&|| false, |_| Ok(()));
    told(&ended, "pass:0", "openat");
}

fn told(ended: &Result<(), Error>, tile: &str, call: &str) {
    let (of, words) = of_tile(ended);
    assert_eq!(of, tile);
    assert!(words.contains(&format!("forbidden system call {call}")), "{words}");
}

pub(crate) fn a_process_that_makes_a_forbidden_call_is_killed() {
    for (how, _) in CALLS {
        let fault = Fault { how, moment: Moment::Fragment, attempt: 2 };
        let plan = Plan::with_processes().fault("pass:0", fault);
        let (ends, _) =
            plan.run(&|| false, |controller| Ok([1, 2].map(|number| attempt(controller, number))));
        let ends = ends.expect("it starts");
        assert!(ends[0].is_ok(), "{ends:?}");
        let (tile, words) = of_tile(&ends[1]);
        assert_eq!(tile, plan.pass_name(0));
        assert!(words.contains("signal 31 (SIGSYS: a forbidden system call)"), "{words}");
    }
}

pub(crate) fn whoever_is_not_confined_may_do_anything() {
    for (how, _) in CALLS {
        let fault = Fault { how, moment: Moment::Fragment, attempt: 1 };
        let threads = Plan::new().fault("pass:0", fault);
        let processes = Plan::with_processes().fault("pass:0", fault);
        for sandbox in [SandboxMode::Off, SandboxMode::Log] {
            for plan in [&threads, &processes] {
                let ends = Plan { sandbox, ..plan.clone() }.attempts(1);
                assert!(ends[0].is_ok(), "{how:?} {sandbox}: {ends:?}");
            }
        }
        let unconfined = vec!["pass:0".to_string()];
        let ends = Plan { unconfined, ..threads.clone() }.attempts(1);
        assert!(ends[0].is_ok(), "{how:?}: {ends:?}");
    }
}

pub(crate) fn how_hosts_are_closed_in_is_told() {
    assert!(probe().seccomp, "these tests need it");
    let plan = Plan { unconfined: vec!["sink:1".to_string()], ..Plan::with_processes() };
    let plan = plan.fuse("ends", &["source:0", "sink:0"]);
    let (hosts, _) = plan.run(&|| false, |controller| Ok(controller.sandbox()));
    let mut hosts = hosts.expect("it starts");
    hosts.sort_by(|a, b| a.host.cmp(&b.host));
    let told: Vec<_> =
        hosts.iter().map(|host| (&host.host[..], host.is_process, &host.seccomp[..])).collect();
    let expected =
        [("ends", false, "enforced"), ("pass:0", true, "enforced"), ("sink:1", false, "off")];
    assert_eq!(told, expected);
    assert_eq!(hosts[0].landlock, hosts[1].landlock);
    assert_eq!(hosts[2].landlock, "off");
}

pub(crate) fn nothing_outlives_a_parent_that_is_killed() {
    let mut command = Command::new("/proc/self/exe");
    command.arg(ENDLESS).stdout(Stdio::null()).stderr(Stdio::null());
    let mut parent = command.spawn().expect("this binary");
    let clock = Stopwatch::start();
    let child = loop {
        if let [child] = children_of(parent.id())[..] {
            break child;
        }
        assert!(clock.elapsed() < SOON, "it starts its process");
        thread::sleep(Duration::from_millis(5));
    };
    // Until data flows.
    thread::sleep(Duration::from_millis(300));
    assert!(state_and_parent(child).is_some_and(|(state, _)| state != 'Z'));
    parent.kill().expect("it is ours");
    parent.wait().expect("it is ours");
    let clock = Stopwatch::start();
    while state_and_parent(child).is_some_and(|(state, _)| state != 'Z') {
        assert!(clock.elapsed() < SOON, "it dies with its parent");
        thread::sleep(Duration::from_millis(5));
    }
}
