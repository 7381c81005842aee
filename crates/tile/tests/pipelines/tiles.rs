//! The tiles of the tests: a source, a tile that passes on in place, and sinks that check.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use icecore_tile::{Activity, Answer, Cause, Control, Fragment, Mark, Ports, Tile};

use crate::fault::{Fault, Moment, Trap};

/// Fragments of a turn of the source, at most.
const TURN: usize = 16;

/// Fragments that wait in a tile that passes on, at most.
const WAITING_MAX: usize = 8;

/// Random numbers (splitmix64).
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Byte of an attempt's stream: every attempt has another one.
fn byte(attempt: u64, position: u64) -> u8 {
    (position.wrapping_add(attempt << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

/// What an attempt sends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub fragments: u64,
    pub bytes_max: usize,
    /// The attempt that never ends.
    pub endless: Option<u64>,
}

impl Load {
    fn sizes(self, attempt: u64) -> impl Iterator<Item = usize> {
        let mut random = Random(attempt);
        let sizes =
            std::iter::from_fn(move || Some(random.below(self.bytes_max as u64 + 1) as usize));
        let count = if self.endless == Some(attempt) { u64::MAX } else { self.fragments };
        sizes.zip(0..count).map(|(size, _)| size)
    }

    /// What a sink must have got of an attempt.
    pub(crate) fn total(self, attempt: u64) -> Got {
        let bytes = self.sizes(attempt).map(|size| size as u64).sum();
        Got { attempt, fragments: self.fragments, bytes }
    }
}

/// What a sink has got of an attempt, all checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Got {
    pub attempt: u64,
    pub fragments: u64,
    pub bytes: u64,
}

/// Where sinks leave what they got when an attempt is committed, by number.
pub(crate) type Catch = Arc<Mutex<Vec<(usize, Got)>>>;

/// Makes fragments of random sizes.
pub(crate) struct Source {
    pub load: Load,
    pub trap: Trap,
    attempt: u64,
    position: u64,
    sizes: Box<dyn Iterator<Item = usize>>,
    next: Option<usize>,
}

impl Source {
    pub(crate) fn new(load: Load, fault: Option<Fault>) -> Self {
        let sizes = Box::new(std::iter::empty());
        Self { load, trap: Trap::new(fault), attempt: 0, position: 0, sizes, next: None }
    }
}

impl Tile for Source {
    fn init_privileged(&mut self) -> Result<(), Cause> {
        self.trap.pass(Moment::Privileged)
    }

    fn init_unprivileged(&mut self, _: &mut Ports) -> Result<(), Cause> {
        self.trap.pass(Moment::Init)
    }

    fn on_control(&mut self, control: Control, _: &mut Ports) -> Result<Answer, Cause> {
        match control {
            Control::Start(attempt) => {
                self.trap.begin(attempt);
                self.trap.pass(Moment::Start)?;
                (self.attempt, self.position) = (attempt, 0);
                self.sizes = Box::new(self.load.sizes(attempt));
                self.next = self.sizes.next();
            }
            Control::Finish => {
                self.trap.pass(Moment::Finish)?;
                if self.next.is_some() {
                    return Ok(Answer::Later);
                }
            }
            Control::Next | Control::Done => self.trap.pass(Moment::Next)?,
            Control::Fail | Control::Shutdown => self.next = None,
        }
        Ok(Answer::Now)
    }

    fn on_fragment(&mut self, _: usize, _: Fragment, _: &mut Ports) -> Result<(), Cause> {
        unreachable!("it has no input")
    }

    fn on_credit(&mut self, ports: &mut Ports) -> Result<Activity, Cause> {
        self.trap.pass(Moment::Credit)?;
        let output = &mut ports.outputs[0];
        let mut activity = Activity::Idle;
        for _ in 0..TURN {
            let Some(size) = self.next else { break };
            let Some(space) = output.space(size)? else { break };
            for (place, position) in space[..size].iter_mut().zip(self.position..) {
                *place = byte(self.attempt, position);
            }
            output.publish(size, Mark::from_origin(self.attempt as u16));
            self.position += size as u64;
            self.next = self.sizes.next();
            activity = Activity::Worked;
        }
        Ok(activity)
    }

    fn housekeeping(&mut self, _: &mut Ports) {
        let _told_by_the_sandbox = self.trap.pass(Moment::House);
    }
}

/// Passes on what it gets, in place.
pub(crate) struct Pass {
    trap: Trap,
    waiting: VecDeque<Fragment>,
}

impl Pass {
    pub(crate) fn new(fault: Option<Fault>) -> Self {
        Self { trap: Trap::new(fault), waiting: VecDeque::with_capacity(WAITING_MAX) }
    }
}

impl Tile for Pass {
    fn init_privileged(&mut self) -> Result<(), Cause> {
        self.trap.pass(Moment::Privileged)
    }

    fn init_unprivileged(&mut self, _: &mut Ports) -> Result<(), Cause> {
        self.trap.pass(Moment::Init)
    }

    fn on_control(&mut self, control: Control, _: &mut Ports) -> Result<Answer, Cause> {
        match control {
            Control::Start(attempt) => {
                self.trap.begin(attempt);
                self.trap.pass(Moment::Start)?;
            }
            Control::Finish => {
                self.trap.pass(Moment::Finish)?;
                if !self.waiting.is_empty() {
                    return Ok(Answer::Later);
                }
            }
            Control::Next | Control::Done => self.trap.pass(Moment::Next)?,
            Control::Fail | Control::Shutdown => self.waiting.clear(),
        }
        Ok(Answer::Now)
    }

    fn wants(&self, _: usize) -> bool {
        self.waiting.len() < WAITING_MAX
    }

    fn on_fragment(&mut self, _: usize, fragment: Fragment, _: &mut Ports) -> Result<(), Cause> {
        self.trap.pass(Moment::Fragment)?;
        self.waiting.push_back(fragment);
        Ok(())
    }

    fn on_credit(&mut self, ports: &mut Ports) -> Result<Activity, Cause> {
        self.trap.pass(Moment::Credit)?;
        let mut activity = Activity::Idle;
        while let Some(first) = self.waiting.front() {
            if !ports.outputs[0].publish_held(first, 0..first.len(), first.mark())? {
                break;
            }
            self.waiting.pop_front();
            activity = Activity::Worked;
        }
        Ok(activity)
    }

    fn housekeeping(&mut self, _: &mut Ports) {
        let _told_by_the_sandbox = self.trap.pass(Moment::House);
    }
}

/// How a sink treats what it gets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// Time that it takes for each fragment.
    pub pause: Duration,
    /// So many fragments are kept, then let go in any order.
    pub holds: usize,
    /// Whether it looks at bytes where they lie.
    pub is_in_place: bool,
    /// Whether it keeps what it has when an attempt fails, which is wrong.
    pub is_stubborn: bool,
}

/// Checks every byte.
pub(crate) struct Sink {
    number: usize,
    manner: Manner,
    trap: Trap,
    catch: Catch,
    got: Got,
    copied: Vec<u8>,
    held: Vec<Fragment>,
    random: Random,
}

impl Sink {
    pub(crate) fn new(number: usize, manner: Manner, fault: Option<Fault>, catch: Catch) -> Self {
        let got = Got { attempt: 0, fragments: 0, bytes: 0 };
        let (copied, held) = (Vec::new(), Vec::new());
        let random = Random(number as u64);
        Self { number, manner, trap: Trap::new(fault), catch, got, copied, held, random }
    }

    fn check(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        let Got { attempt, bytes: before, .. } = self.got;
        match bytes.iter().zip(before..).find(|(found, at)| **found != byte(attempt, *at)) {
            Some((_, at)) => Err(format!("byte {at} of attempt {attempt} is wrong").into()),
            None => Ok(()),
        }
    }
}

impl Tile for Sink {
    fn init_privileged(&mut self) -> Result<(), Cause> {
        self.trap.pass(Moment::Privileged)
    }

    fn init_unprivileged(&mut self, _: &mut Ports) -> Result<(), Cause> {
        self.trap.pass(Moment::Init)
    }

    fn on_control(&mut self, control: Control, _: &mut Ports) -> Result<Answer, Cause> {
        match control {
            Control::Start(attempt) => {
                self.trap.begin(attempt);
                self.trap.pass(Moment::Start)?;
                self.got = Got { attempt, fragments: 0, bytes: 0 };
            }
            Control::Finish => {
                self.trap.pass(Moment::Finish)?;
                self.held.clear();
            }
            Control::Next | Control::Done => {
                self.trap.pass(Moment::Next)?;
                self.catch.lock().expect("nobody panics with it").push((self.number, self.got));
            }
            Control::Fail if self.manner.is_stubborn => {}
            Control::Fail | Control::Shutdown => self.held.clear(),
        }
        Ok(Answer::Now)
    }

    fn on_fragment(
        &mut self,
        _: usize,
        fragment: Fragment,
        ports: &mut Ports,
    ) -> Result<(), Cause> {
        self.trap.pass(Moment::Fragment)?;
        if fragment.mark() != Mark::from_origin(self.got.attempt as u16) {
            let (mark, attempt) = (fragment.mark(), self.got.attempt);
            return Err(format!("{mark:?} in attempt {attempt}").into());
        }
        if self.manner.is_in_place {
            self.check(fragment.bytes())?;
        } else {
            let mut copied = std::mem::take(&mut self.copied);
            copied.resize(fragment.len(), 0);
            fragment.copy_to(0, &mut copied);
            self.check(&copied)?;
            self.copied = copied;
        }
        self.got.fragments += 1;
        self.got.bytes += fragment.len() as u64;
        ports.counters.count(0, fragment.len() as u64);
        if !self.manner.pause.is_zero() {
            thread::sleep(self.manner.pause);
        }
        if self.manner.holds > 0 {
            self.held.push(fragment);
            // All of them: one that is kept for long would hold back the source, and so this sink.
            if self.held.len() == self.manner.holds {
                while !self.held.is_empty() {
                    let any = self.random.below(self.held.len() as u64) as usize;
                    self.held.swap_remove(any);
                }
            }
        }
        Ok(())
    }

    fn on_credit(&mut self, _: &mut Ports) -> Result<Activity, Cause> {
        self.trap.pass(Moment::Credit)?;
        Ok(Activity::Idle)
    }

    fn housekeeping(&mut self, _: &mut Ports) {
        let _told_by_the_sandbox = self.trap.pass(Moment::House);
    }
}

/// What this binary can be as a process.
pub(crate) fn process_tile(kind: &str) -> Option<Box<dyn Tile>> {
    kind.starts_with("pass").then(|| Box::new(Pass::new(Fault::of_kind(kind))) as Box<dyn Tile>)
}
