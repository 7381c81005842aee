//! Whole topologies: what flows through them, what goes wrong in them, and what they cost.
//!
//! A tile in a process is this binary once more, so `main` belongs to [`icecore_tile::enter`] first,
//! and the tests are run by a few lines of their own. They run one after the other, because some
//! measure what the whole process uses. Each has a bound on its time.
//!
//! It understands what `cargo test` passes on: words that names must contain, `--exact`, `--list`;
//! all other options are ignored.

mod attempts;
mod cost;
mod fault;
mod flow;
mod isolation;
mod kit;
mod tiles;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use icecore_disk::Stopwatch;

/// Longest time of a test. They take seconds; this is for a busy machine.
const TEST_TIME_MAX: Duration = Duration::from_secs(120);

/// Panics in this process that no test expects are seen by the change of this count.
static PANICS: AtomicU32 = AtomicU32::new(0);

type Test = (&'static str, fn());

/// Names functions as tests.
macro_rules! tests {
    ($($module:ident: $($name:ident),* $(,)?;)*) => {
        &[$($((concat!(stringify!($module), "::", stringify!($name)), $module::$name),)*)*]
    };
}

const TESTS: &[Test] = tests! {
    flow:
        all_bytes_arrive_in_order_at_every_sink,
        links_as_small_as_can_be_do,
        a_slow_sink_holds_back_the_source_within_bounds,
        fragments_can_be_let_go_in_any_order,
        every_way_to_fuse_does_the_same,
        a_process_does_the_same,
        bytes_that_a_process_can_write_are_copied_first,
        sixty_four_tiles_on_two_cores;
    attempts:
        an_attempt_follows_a_failed_one_and_has_nothing_of_it,
        the_caller_can_fail_an_attempt,
        fused_tiles_fail_as_others_do,
        a_process_that_fails_goes_on,
        a_fragment_that_a_tile_keeps_is_told,
        a_panic_is_an_error_that_names_its_tile,
        what_goes_wrong_before_the_first_attempt_is_told,
        an_interrupt_ends_an_attempt_and_another_can_follow,
        done_is_the_end_of_the_last_attempt,
        a_body_that_panics_or_leaves_early_leaves_nothing_behind;
    isolation:
        a_process_that_is_killed_is_an_error,
        a_process_that_panics_is_an_error_with_its_words,
        a_process_that_scribbles_harms_nobody,
        a_process_that_listens_to_nobody_is_ended,
        a_binary_that_is_no_tile_is_an_error,
        a_thread_that_makes_a_forbidden_call_is_told,
        a_process_that_makes_a_forbidden_call_is_killed,
        whoever_is_not_confined_may_do_anything,
        how_hosts_are_closed_in_is_told,
        nothing_outlives_a_parent_that_is_killed;
    cost:
        an_idle_topology_uses_no_processor,
        times_add_up_and_the_slow_one_is_found,
        a_topology_on_one_thread_adds_up_too;
};

fn main() -> ExitCode {
    if let Some(code) = icecore_tile::enter(tiles::process_tile) {
        return ExitCode::from(code);
    }
    if cfg!(any(loom, feature = "shuttle")) {
        println!("memory is a model: nothing can be run on it");
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments == [isolation::ENDLESS] {
        isolation::run_for_ever();
        return ExitCode::SUCCESS;
    }
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let words: Vec<_> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |name: &str| {
        let fits =
            |word: &&String| if has("--exact") { name == **word } else { name.contains(&***word) };
        words.is_empty() || words.iter().any(fits)
    };
    let wanted: Vec<_> = TESTS.iter().filter(|(name, _)| is_wanted(name)).collect();
    if has("--list") {
        wanted.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    std::panic::set_hook(Box::new(|panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        let is_test = thread::current().name() == Some("test");
        if is_test {
            eprintln!("{panic}");
        }
    }));
    println!("\nrunning {} tests", wanted.len());
    let mut failed = 0;
    for test in &wanted {
        match passes(test) {
            Some(passed) => failed += u32::from(!passed),
            None => return ExitCode::FAILURE,
        }
    }
    println!("\ntest result: {failed} of {} failed\n", wanted.len());
    ExitCode::from(u8::from(failed > 0))
}

/// Whether a test passes; nothing when it does not end in time.
fn passes((name, test): &Test) -> Option<bool> {
    let (told, end) = mpsc::channel();
    let (clock, test) = (Stopwatch::start(), *test);
    let run = move || {
        let passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
        let _nobody_waits = told.send(passed);
    };
    thread::Builder::new().name("test".to_string()).spawn(run).expect("a thread");
    let passed = end.recv_timeout(TEST_TIME_MAX).ok();
    let word = passed.map_or("HANGS", |passed| if passed { "ok" } else { "FAILED" });
    println!("test {name} ... {word} ({:.1} s)", clock.seconds());
    passed
}

/// Panics of this process so far.
fn panics() -> u32 {
    PANICS.load(Ordering::SeqCst)
}
