//! The run loop: one thread or process that runs one tile, or several that are fused.
//!
//! Each turn, for each tile:
//! 1. A new command is carried out. A start discards what an attempt before it left in the inputs.
//! 2. What consumers have released is seen, so that held fragments are let go.
//! 3. Up to [`BURST`] fragments of each input that the tile wants are handed to it.
//! 4. It goes on with what it has.
//! 5. If it was told to finish and its inputs are empty, it is asked whether it has.
//!
//! A host without work spins for a moment, then sleeps on its bell until a neighbour rings or
//! [`HOUSEKEEPING`] is over. An error makes the tile failed: it says so, drops what comes and waits
//! to be told to fail; the others on the same host go on. A panic ends the host.
//!
//! What it does *not* do: decide anything about other tiles; the coordinator does.

use std::{
    cell::Cell,
    sync::{Arc, Mutex},
    time::Duration,
};

use icecore_disk::Stopwatch;

use crate::{
    bell::Bell,
    control::{Control, Listener, Order, TileState, write_text},
    layer::Words,
    link::Consumer,
    metrics::Regime,
    sandbox::{Violation, ViolationReport},
    tile::{Activity, Answer, Cause, Ports, Tile},
};

/// Fragments taken from one input in one turn, at most.
pub const BURST: usize = 16;

/// The longest sleep. A neighbour in a process that was broken into may fail to ring; nothing else
/// needs this.
pub const HOUSEKEEPING: Duration = Duration::from_millis(200);

/// Turns without work before a host sleeps, when there is a core for every host.
const SPINS: u32 = 200;

/// Fragments that a failed tile lets go in one turn, at most.
const DROPPED_MAX: usize = 1 << 16;

/// Where a failed tile's cause is left for the coordinator.
pub(crate) type Causes = Mutex<Vec<(usize, Cause)>>;

/// A system call that the sandbox stopped.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox stopped it: {0}; run with --sandbox off if the kernel is to blame")]
struct Stopped(ViolationReport);

/// Fragments of the attempt before are still held when the next one starts.
#[derive(Debug, thiserror::Error)]
#[error(
    "input {input}: {count} fragments of the attempt before were not let go, by this tile or by one \
     that it passed them on to"
)]
struct NotLetGo {
    input: usize,
    count: u64,
}

/// One tile with all that it needs.
pub(crate) struct Seat<'env> {
    /// Its number in the topology.
    pub(crate) number: usize,
    pub(crate) tile: Box<dyn Tile + 'env>,
    pub(crate) inputs: Vec<Consumer>,
    pub(crate) ports: Ports,
    pub(crate) listener: Listener,
    pub(crate) text: Words,
    pub(crate) run: RunState,
    /// Whether its last turn ended for want of credits.
    pub(crate) is_held_back: bool,
    /// How long its last turn took.
    pub(crate) turn_time: Duration,
}

/// Where a tile is between its commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunState {
    Idle,
    Running,
    /// Asked to finish, and has not yet.
    Finishing(Order),
    Failed,
    Ended,
}

/// What a host is woken by, wakes, and reports to.
pub(crate) struct HostLinks {
    pub(crate) bell: Bell,
    pub(crate) coordinator: Bell,
    pub(crate) causes: Option<Arc<Causes>>,
    pub(crate) violation: Violation,
    /// Whether there is a core for each host, so that spinning takes nothing from others.
    pub(crate) may_spin: bool,
    /// The tile that has its turn: the one to name when there is a panic.
    pub(crate) at_work: Cell<usize>,
}

/// Runs until every tile was told to shut down.
pub(crate) fn run_host(seats: &mut [Seat<'_>], links: &HostLinks) {
    for seat in &mut *seats {
        links.at_work.set(seat.number);
        let made = seat.tile.init_unprivileged(&mut seat.ports);
        seat.judge(made.map(|()| Activity::Worked), links);
        if seat.run != RunState::Failed {
            seat.listener.tell(TileState::Idle);
        }
    }
    links.coordinator.ring();
    let spins_max = if links.may_spin { SPINS } else { 0 };
    let mut idle_turns = 0;
    let mut clock = Stopwatch::start();
    let mut kept_house = Stopwatch::start();
    loop {
        let round = clock;
        let mut worked = false;
        for seat in &mut *seats {
            let turn = seat.turn(links);
            let now = Stopwatch::start();
            seat.spend_turn(turn, now.since(&clock));
            clock = now;
            worked |= turn == Activity::Worked;
        }
        if seats.len() > 1 {
            let round = clock.since(&round);
            seats.iter_mut().for_each(|seat| seat.spend_rest(round));
        }
        if seats.iter().all(|seat| seat.run == RunState::Ended) {
            return;
        }
        idle_turns = if worked { 0 } else { idle_turns + 1 };
        let is_asleep_next = idle_turns > spins_max;
        if is_asleep_next || clock.since(&kept_house) > HOUSEKEEPING {
            seats.iter_mut().for_each(|seat| seat.keep_house(links));
            kept_house = clock;
        }
        if !is_asleep_next {
            if !worked {
                std::hint::spin_loop();
            }
            continue;
        }
        links.bell.sleep(HOUSEKEEPING, || seats.iter_mut().any(Seat::has_news));
        let now = Stopwatch::start();
        let slept = now.since(&clock);
        clock = now;
        for seat in &mut *seats {
            seat.ports.counters.slept();
            seat.ports.counters.spend(seat.idle_regime(), slept);
        }
        idle_turns = 0;
    }
}

/// What the sandbox stopped since this was asked. Asked before any answer: what was stopped must not
/// be committed.
fn stopped(links: &HostLinks) -> Result<(), Cause> {
    links.violation.taken().map_or(Ok(()), |report| Err(Box::new(Stopped(report)) as Cause))
}

impl Seat<'_> {
    /// One turn; what goes wrong makes the tile failed.
    fn turn(&mut self, links: &HostLinks) -> Activity {
        links.at_work.set(self.number);
        let refused = self.refused();
        let turn = self.try_turn(links);
        self.is_held_back = self.refused() > refused;
        self.judge(turn, links)
    }

    /// An error, or a forbidden system call, makes the tile failed.
    fn judge(&mut self, done: Result<Activity, Cause>, links: &HostLinks) -> Activity {
        match stopped(links).and(done) {
            Ok(activity) => activity,
            Err(cause) => {
                self.fail(cause, links);
                Activity::Worked
            }
        }
    }

    /// What it does now and then; what the sandbox stops in it is an error too.
    fn keep_house(&mut self, links: &HostLinks) {
        links.at_work.set(self.number);
        self.tile.housekeeping(&mut self.ports);
        self.ports.counters.arena(self.ports.arena.high_water());
        self.judge(Ok(Activity::Idle), links);
    }

    fn spend_turn(&mut self, turn: Activity, time: Duration) {
        let regime = match turn {
            Activity::Worked => Regime::Busy,
            Activity::Idle => self.idle_regime(),
        };
        self.ports.counters.spend(regime, time);
        self.turn_time = time;
    }

    /// While the other tiles of its host have their turns, it cannot work.
    fn spend_rest(&mut self, round: Duration) {
        let others = round.saturating_sub(self.turn_time);
        self.ports.counters.spend(self.idle_regime(), others);
    }

    fn idle_regime(&self) -> Regime {
        if self.is_held_back { Regime::HeldBack } else { Regime::Waiting }
    }

    fn refused(&self) -> u64 {
        self.ports.outputs.iter().map(|output| output.held_back()).sum()
    }

    fn try_turn(&mut self, links: &HostLinks) -> Result<Activity, Cause> {
        let mut activity = Activity::Idle;
        if let Some(order) = self.new_order() {
            self.carry_out(order, links)?;
            activity = Activity::Worked;
        }
        if self.run == RunState::Failed {
            self.drop_inputs();
        }
        if !matches!(self.run, RunState::Running | RunState::Finishing(_)) {
            return Ok(activity);
        }
        for output in &mut self.ports.outputs {
            output.credits()?;
        }
        for (number, input) in self.inputs.iter_mut().enumerate() {
            for _ in 0..BURST {
                if !self.tile.wants(number) {
                    break;
                }
                let Some(fragment) = input.next()? else { break };
                self.ports.counters.took(fragment.len());
                self.tile.on_fragment(number, fragment, &mut self.ports)?;
                activity = Activity::Worked;
            }
        }
        if self.tile.on_credit(&mut self.ports)? == Activity::Worked {
            activity = Activity::Worked;
        }
        let fragments = self.ports.outputs.iter().map(|output| output.published()).sum();
        let bytes = self.ports.outputs.iter().map(|output| output.published_bytes()).sum();
        self.ports.counters.gave(fragments, bytes);
        if let RunState::Finishing(order) = self.run
            && self.inputs.iter().all(|input| !input.ready())
            && self.tile.on_control(Control::Finish, &mut self.ports)? == Answer::Now
        {
            stopped(links)?;
            self.run = RunState::Running;
            self.answer(order, links);
            activity = Activity::Worked;
        }
        Ok(activity)
    }

    /// The last command, unless it is under way or is not for a failed tile.
    fn new_order(&self) -> Option<Order> {
        let order = self.listener.order()?;
        let is_new = match self.run {
            RunState::Finishing(under_way) => under_way != order,
            // It has said that it failed; an answer would say that it has done as told.
            RunState::Failed => matches!(order.control, Control::Fail | Control::Shutdown),
            RunState::Ended => false,
            RunState::Idle | RunState::Running => true,
        };
        is_new.then_some(order)
    }

    fn carry_out(&mut self, order: Order, links: &HostLinks) -> Result<(), Cause> {
        let control = order.control;
        match control {
            Control::Finish => {
                self.run = RunState::Finishing(order);
                return Ok(());
            }
            Control::Start(_) => {
                // Consumers were started before, so they have let everything go; producers are
                // started after this, so nothing of theirs is dropped here.
                for output in &mut self.ports.outputs {
                    output.reset()?;
                }
                for (number, input) in self.inputs.iter_mut().enumerate() {
                    match input.held() {
                        0 => input.skip_all()?,
                        count => return Err(Box::new(NotLetGo { input: number, count })),
                    }
                }
                self.tile.on_control(control, &mut self.ports)?;
                stopped(links)?;
                self.run = RunState::Running;
                self.listener.tell(TileState::Running);
            }
            Control::Next | Control::Done => {
                self.tile.on_control(control, &mut self.ports)?;
                stopped(links)?;
                self.run = RunState::Idle;
                self.listener.tell(TileState::Idle);
            }
            Control::Fail => {
                // What goes wrong while an attempt is dropped changes nothing any more.
                let _ = self.tile.on_control(control, &mut self.ports);
                let _ = stopped(links);
                self.run = RunState::Idle;
                self.listener.tell(TileState::Idle);
            }
            Control::Shutdown => {
                let _ = self.tile.on_control(control, &mut self.ports);
                self.run = RunState::Ended;
                self.listener.tell(TileState::Ended);
            }
        }
        self.answer(order, links);
        Ok(())
    }

    /// Lets go what comes to a failed tile, so that producers are not stuck before they are told.
    fn drop_inputs(&mut self) {
        for input in &mut self.inputs {
            for _ in 0..DROPPED_MAX {
                match input.next() {
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => break,
                }
            }
        }
    }

    fn answer(&mut self, order: Order, links: &HostLinks) {
        self.listener.answer(order);
        links.coordinator.ring();
    }

    fn fail(&mut self, cause: Cause, links: &HostLinks) {
        if self.run == RunState::Ended {
            return;
        }
        self.run = RunState::Failed;
        write_text(&self.text, &cause.to_string());
        if let Some(causes) = &links.causes {
            causes.lock().expect("no holder of this lock panics").push((self.number, cause));
        }
        self.listener.tell(TileState::Failed);
        links.coordinator.ring();
    }

    /// Whether a turn could do anything.
    fn has_news(&mut self) -> bool {
        if self.new_order().is_some() {
            return true;
        }
        match self.run {
            RunState::Running | RunState::Finishing(_) => {
                let input =
                    |(number, input): (usize, &Consumer)| input.ready() && self.tile.wants(number);
                self.inputs.iter().enumerate().any(input)
                    || self.ports.outputs.iter_mut().any(|output| output.has_news())
            }
            RunState::Failed => self.inputs.iter().any(|input| input.ready()),
            RunState::Idle | RunState::Ended => false,
        }
    }
}
