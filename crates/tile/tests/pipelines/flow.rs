//! What flows arrives: in order, byte by byte, however the tiles are placed.

use std::time::Duration;

use crate::{
    kit::{Plan, attempt, of_tile},
    tiles::{Load, Manner},
};

fn flows(plan: &Plan) {
    for end in plan.attempts(2) {
        end.expect("nothing goes wrong");
    }
}

pub(crate) fn all_bytes_arrive_in_order_at_every_sink() {
    for sinks in [1, 3] {
        for is_in_place in [false, true] {
            let manner = Manner { is_in_place, ..Manner::default() };
            flows(&Plan { sinks, manner, ..Plan::new() });
        }
    }
}

pub(crate) fn links_as_small_as_can_be_do() {
    let load = Load { fragments: 500, bytes_max: 64, endless: None };
    for depth in [1, 2] {
        flows(&Plan { depth, data_bytes: 64, load, ..Plan::new() });
    }
    let empty = Load { bytes_max: 0, ..load };
    flows(&Plan { data_bytes: 0, load: empty, ..Plan::new() });
    flows(&Plan { load: Load { fragments: 0, ..load }, ..Plan::new() });
}

pub(crate) fn a_slow_sink_holds_back_the_source_within_bounds() {
    let manner = Manner { pause: Duration::from_micros(500), ..Manner::default() };
    let load = Load { fragments: 300, bytes_max: 700, endless: None };
    let plan = Plan { manner, load, ..Plan::new() };
    let (ended, got) = plan.run(&|| false, |controller| {
        controller.start(1)?;
        let mut fullest = 0;
        for _ in 0..50 {
            let metrics = controller.metrics().read();
            assert!(metrics.links.iter().all(|link| link.occupied <= u64::from(plan.depth)));
            let [made, taken] = [0, 2].map(|tile| &metrics.tiles[tile]);
            let between = made.fragments_out.saturating_sub(taken.fragments_in);
            assert!(between <= 2 * u64::from(plan.depth) + 8, "{between} fragments in between");
            fullest = fullest.max(metrics.links[1].occupied);
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(fullest > 1, "something waited for the sinks");
        controller.finish()?;
        controller.next()
    });
    ended.expect("nothing goes wrong");
    assert_eq!(got, plan.expected(1..=1));
}

pub(crate) fn fragments_can_be_let_go_in_any_order() {
    for holds in [1, 4, 7] {
        flows(&Plan { manner: Manner { holds, ..Manner::default() }, ..Plan::new() });
    }
}

pub(crate) fn every_way_to_fuse_does_the_same() {
    let load = Load { fragments: 600, ..Plan::new().load };
    let plan = Plan { load, ..Plan::new() };
    // Each of the four tiles on one of up to four threads: every partition of the four.
    for code in 0..4usize.pow(4) {
        let hosts: Vec<_> = (0..4u32).map(|tile| code / 4usize.pow(tile) % 4).collect();
        let is_first_use = |tile: usize| {
            let most = hosts[..tile].iter().max().map_or(0, |most| most + 1);
            hosts[tile] <= most
        };
        if !(0..4).all(is_first_use) {
            continue;
        }
        let mut plan = plan.clone();
        for (tile, host) in ["source:0", "pass:0", "sink:0", "sink:1"].into_iter().zip(&hosts) {
            plan = plan.fuse(&format!("host {host}"), &[tile]);
        }
        flows(&plan);
    }
}

pub(crate) fn a_process_does_the_same() {
    flows(&Plan::with_processes());
    flows(&Plan { passes: 2, ..Plan::with_processes() });
    flows(&Plan { manner: Manner { holds: 5, ..Manner::default() }, ..Plan::with_processes() });
    flows(&Plan::with_processes().fuse("both", &["source:0", "sink:0", "sink:1"]));
}

pub(crate) fn bytes_that_a_process_can_write_are_copied_first() {
    let manner = Manner { is_in_place: true, ..Manner::default() };
    let plan = Plan { manner, sinks: 1, ..Plan::with_processes() };
    let ends = plan.attempts(1);
    let (tile, words) = of_tile(&ends[0]);
    assert_eq!(tile, "sink:0");
    assert!(words.starts_with("panicked: another process can write"), "{words}");
}

pub(crate) fn sixty_four_tiles_on_two_cores() {
    let cores = icecore_tile::available_cores();
    let mut two = rustix::thread::CpuSet::new();
    cores.iter().take(2).for_each(|core| two.set(*core));
    rustix::thread::sched_setaffinity(None, &two).expect("this test's own thread");
    let load = Load { fragments: 10_000, bytes_max: 200, endless: None };
    let plan = Plan { load, passes: 62, sinks: 1, ..Plan::new() };
    assert_eq!(plan.names().len(), 64);
    let (ended, got) = plan.run(&|| false, |controller| attempt(controller, 1));
    ended.expect("nothing goes wrong");
    assert_eq!(got, plan.expected(1..=1));
}
