//! What a topology costs, and what it says about that.

use std::{sync::Arc, thread, time::Duration};

use icecore_tile::{Metrics, TileMetrics};

use crate::{
    kit::{Plan, attempt, children},
    tiles::{Load, Manner},
};

/// Processor time of this process so far.
fn processor_time() -> Duration {
    // SAFETY: all bits zero is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is valid to be written.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) }, 0);
    let of = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    of(usage.ru_utime) + of(usage.ru_stime)
}

/// Processor time of another process so far, in ticks of 10 ms.
fn ticks(process: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it lives");
    let (_, rest) = stat.rsplit_once(") ").expect("the name is in brackets");
    // `utime` and `stime`, fields 14 and 15; the rest begins with field 3 (proc(5)).
    let times = rest.split(' ').skip(11).take(2);
    times.map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

pub(crate) fn an_idle_topology_uses_no_processor() {
    let load = Load { fragments: 0, bytes_max: 0, endless: None };
    let plan = Plan { load, ..Plan::with_processes() };
    let (ended, _) = plan.run(&|| false, |controller| {
        let is_idle = || {
            thread::sleep(Duration::from_millis(100));
            let child = children()[0];
            let (own, others) = (processor_time(), ticks(child));
            thread::sleep(Duration::from_secs(1));
            let (own, others) = (processor_time() - own, ticks(child) - others);
            assert!(own < Duration::from_millis(20), "{own:?} of 1 s");
            assert!(others <= 2, "{others} ticks of 100");
        };
        // Before an attempt, in one without anything to do, and after it.
        is_idle();
        controller.start(1)?;
        is_idle();
        controller.finish()?;
        controller.next()?;
        is_idle();
        Ok(())
    });
    ended.expect("nothing goes wrong");
}

fn sum(tile: &TileMetrics) -> f64 {
    tile.busy_seconds + tile.waiting_seconds + tile.held_back_seconds
}

/// The sum of all tiles is what has passed, but for a last sleep that was not counted yet.
fn adds_up(metrics: &Metrics) {
    for tile in &metrics.tiles {
        let rest = metrics.seconds - sum(tile);
        assert!(
            (-0.01..0.3).contains(&rest),
            "{rest} s of {} are missing: {tile:?}",
            metrics.seconds
        );
    }
}

fn slow() -> Plan {
    let manner = Manner { pause: Duration::from_millis(1), ..Manner::default() };
    let load = Load { fragments: 600, bytes_max: 700, endless: None };
    Plan { manner, load, sinks: 1, ..Plan::new() }
}

pub(crate) fn times_add_up_and_the_slow_one_is_found() {
    let plan = slow();
    let (metrics, _) = plan.run(&|| false, |controller| {
        let reader = Arc::clone(controller.metrics());
        let watched = thread::spawn(move || {
            let mut last = 0;
            for _ in 0..20 {
                let now = reader.read().tiles[2].fragments_in;
                assert!(now >= last, "counters only grow");
                last = now;
                thread::sleep(Duration::from_millis(10));
            }
            last
        });
        attempt(controller, 1)?;
        assert!(watched.join().expect("it only looks") > 0);
        Ok(controller.metrics().read())
    });
    let metrics = metrics.expect("nothing goes wrong");
    adds_up(&metrics);
    assert_eq!(metrics.topology, "test");
    assert_eq!(metrics.bottleneck.as_deref(), Some("sink:0"));
    let [source, pass, sink] = &metrics.tiles[..] else { panic!("three tiles") };
    assert!(sink.busy_seconds > 0.6, "{sink:?}");
    assert!(source.held_back_seconds > 0.3 && pass.waiting_seconds > 0.3, "{metrics:?}");
    let total = plan.load.total(1);
    for (tile, out) in [(pass, total.fragments), (sink, 0)] {
        assert_eq!((tile.fragments_in, tile.bytes_in), (total.fragments, total.bytes));
        assert_eq!(tile.fragments_out, out);
    }
    assert_eq!((source.fragments_out, source.bytes_out), (total.fragments, total.bytes));
    assert_eq!(sink.own, [("bytes", total.bytes)]);
    assert!(sink.sleeps > 0 && source.sleeps > 0);
    assert!(metrics.links.iter().all(|link| link.fragments == total.fragments));
    // The last sink has let go of everything; the tile before it may not have looked yet.
    assert_eq!(metrics.links[1].occupied, 0);
}

pub(crate) fn a_topology_on_one_thread_adds_up_too() {
    let plan = slow().fuse("all", &["source:0", "pass:0", "sink:0"]);
    let (metrics, _) = plan.run(&|| false, |controller| {
        attempt(controller, 1)?;
        Ok(controller.metrics().read())
    });
    let metrics = metrics.expect("nothing goes wrong");
    adds_up(&metrics);
    assert_eq!(metrics.bottleneck.as_deref(), Some("sink:0"));
    let busy: f64 = metrics.tiles.iter().map(|tile| tile.busy_seconds).sum();
    assert!(busy <= metrics.seconds, "one thread: {busy} of {} s", metrics.seconds);
}
