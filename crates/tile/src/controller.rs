//! The coordinator's side: it starts, finishes and ends attempts, and hears of whatever goes wrong.
//!
//! 1. [`start`](Controller::start) goes from the last tile to the first, so that whoever consumes
//!    is ready before anybody produces.
//! 2. [`finish`](Controller::finish) goes from the first to the last: a tile is told to finish when
//!    all before it have, so that an empty input stays empty.
//! 3. [`next`](Controller::next) or [`done`](Controller::done) commits.
//! 4. When a tile fails, a process dies or the run is interrupted, all tiles are told to fail; when
//!    they have, the error is returned, and another attempt may start. After a death or a panic
//!    none can.
//!
//! Each command waits for its answer before the next is given.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use icecore_disk::Stopwatch;

use crate::{
    Error,
    bell::Bell,
    control::{Commander, Control, TileState, read_text},
    host::Causes,
    layer::Words,
    metrics::MetricsReader,
    process::{Child, Death},
    run::HostSandbox,
    tile::Cause,
};

/// How often the coordinator looks for deaths and interruptions while it waits.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long tiles may take to drop a failed attempt, or to end: far more than any of them needs on
/// a busy machine. A process that takes longer is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A tile as the coordinator sees it.
pub(crate) struct Contact {
    pub(crate) name: String,
    pub(crate) commander: Commander,
    pub(crate) bell: Bell,
    pub(crate) text: Words,
    /// The process that runs it.
    pub(crate) child: Option<usize>,
}

/// A request to end, looked at while the coordinator waits.
pub type Interrupt<'a> = &'a (dyn Fn() -> bool + Sync);

/// Drives a running topology.
pub struct Controller<'a> {
    pub(crate) contacts: Vec<Contact>,
    pub(crate) metrics: Arc<MetricsReader>,
    pub(crate) children: Vec<Child>,
    pub(crate) bell: Bell,
    pub(crate) causes: Arc<Causes>,
    pub(crate) interrupt: Interrupt<'a>,
    pub(crate) sandbox: Arc<Mutex<Vec<HostSandbox>>>,
    /// Why no further attempt can start.
    pub(crate) broken: Option<String>,
}

/// What ends the wait for an answer.
enum Trouble {
    Tile(usize, Cause),
    Interrupted,
}

impl Controller<'_> {
    /// Waits until every tile has made itself ready.
    pub(crate) fn wait_ready(&mut self) -> Result<(), Error> {
        self.attempt(|this| {
            for number in 0..this.contacts.len() {
                this.wait(|this| this.contacts[number].commander.state() != TileState::Starting)?;
            }
            Ok(())
        })
    }

    /// Starts an attempt.
    ///
    /// # Errors
    /// [`Error::Tile`] and [`Error::Interrupted`], here and in every other command; the attempt has
    /// been dropped by then.
    pub fn start(&mut self, argument: u64) -> Result<(), Error> {
        if let Some(broken) = &self.broken {
            return Err(Error::Tile {
                tile: broken.clone(),
                source: "it has ended; the topology has to be run anew".into(),
            });
        }
        let order: Vec<_> = (0..self.contacts.len()).rev().collect();
        self.attempt(|this| this.tell_each(&order, Control::Start(argument)))
    }

    /// Waits until everything has flowed through.
    pub fn finish(&mut self) -> Result<(), Error> {
        let order: Vec<_> = (0..self.contacts.len()).collect();
        self.attempt(|this| this.tell_each(&order, Control::Finish))
    }

    /// Commits; another attempt will follow.
    #[expect(clippy::should_implement_trait, reason = "the word for it; nothing is iterated")]
    pub fn next(&mut self) -> Result<(), Error> {
        self.attempt(|this| this.commit(Control::Next))
    }

    /// Commits; no attempt will follow.
    pub fn done(&mut self) -> Result<(), Error> {
        self.attempt(|this| this.commit(Control::Done))
    }

    /// Drops the attempt.
    pub fn fail(&mut self) -> Result<(), Error> {
        self.drop_attempt();
        Ok(())
    }

    /// What reads the counters, from any thread, while the topology runs and after.
    pub fn metrics(&self) -> &Arc<MetricsReader> {
        &self.metrics
    }

    /// How each host was closed in.
    pub fn sandbox(&self) -> Vec<HostSandbox> {
        self.sandbox.lock().expect("no holder of this lock panics").clone()
    }

    fn tell_each(&mut self, order: &[usize], control: Control) -> Result<(), Trouble> {
        for number in order {
            self.tell(*number, control);
            self.wait(|this| this.contacts[*number].commander.is_answered())?;
        }
        Ok(())
    }

    fn commit(&mut self, control: Control) -> Result<(), Trouble> {
        // What went wrong after the last answer is not committed by anyone.
        self.look_for_trouble()?;
        for number in 0..self.contacts.len() {
            self.tell(number, control);
        }
        self.wait(|this| this.contacts.iter().all(|contact| contact.commander.is_answered()))
    }

    fn tell(&mut self, number: usize, control: Control) {
        let contact = &mut self.contacts[number];
        contact.commander.command(control);
        contact.bell.ring();
    }

    /// Runs a step; on trouble drops the attempt and tells what it was.
    fn attempt(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<(), Trouble>,
    ) -> Result<(), Error> {
        let Err(trouble) = step(self) else { return Ok(()) };
        self.drop_attempt();
        Err(match trouble {
            Trouble::Interrupted => Error::Interrupted,
            Trouble::Tile(number, source) => {
                Error::Tile { tile: self.contacts[number].name.clone(), source }
            }
        })
    }

    fn drop_attempt(&mut self) {
        let waited = Stopwatch::start();
        for number in 0..self.contacts.len() {
            self.tell(number, Control::Fail);
        }
        for number in 0..self.contacts.len() {
            while !self.contacts[number].commander.is_answered() {
                let is_gone = self.end_of(number).is_some() || self.state(number).has_left();
                let is_late = waited.elapsed() > GRACE;
                if is_gone || is_late {
                    let contact = &self.contacts[number];
                    self.broken.get_or_insert(contact.name.clone());
                    if let Some(child) = contact.child {
                        // Who does not listen has nothing more to say; a failure to kill shows
                        // when the topology ends.
                        let _ = self.children[child].kill();
                    }
                    break;
                }
                let contacts = &self.contacts;
                self.bell.sleep(LOOK_EVERY, || contacts[number].commander.is_answered());
            }
        }
        self.causes.lock().expect("no holder of this lock panics").clear();
    }

    fn wait(&mut self, is_done: impl Fn(&Self) -> bool) -> Result<(), Trouble> {
        loop {
            // Trouble first: a failed tile may have answered before it failed.
            self.look_for_trouble()?;
            if is_done(self) {
                return Ok(());
            }
            let this = &*self;
            this.bell.sleep(LOOK_EVERY, || is_done(this) || this.has_failed());
        }
    }

    fn state(&self, number: usize) -> TileState {
        self.contacts[number].commander.state()
    }

    fn has_failed(&self) -> bool {
        (0..self.contacts.len()).any(|number| self.state(number).is_trouble())
    }

    fn look_for_trouble(&mut self) -> Result<(), Trouble> {
        if (self.interrupt)() {
            return Err(Trouble::Interrupted);
        }
        // States before causes: a thread leaves its cause first.
        let states: Vec<_> = (0..self.contacts.len()).map(|number| self.state(number)).collect();
        // The first cause given is the first thing that went wrong; others follow from it.
        let mut causes = std::mem::take(&mut *self.causes.lock().expect("no holder panics"));
        if !causes.is_empty() {
            let (number, cause) = causes.remove(0);
            return Err(Trouble::Tile(number, cause));
        }
        for (number, state) in states.into_iter().enumerate() {
            let end = self.end_of(number);
            if end.is_some() || state.has_left() {
                self.broken.get_or_insert(self.contacts[number].name.clone());
            }
            let said = || Cause::from(read_text(&self.contacts[number].text));
            let cause = match (state, end) {
                (TileState::Failed, _) => said(),
                // A process that has panicked says so, then it ends.
                (TileState::Broken, None | Some(Ok(Death::Exited(_)))) => said(),
                (_, Some(Ok(death))) => format!("its process {death}").into(),
                (_, Some(Err(error))) => Box::new(error),
                (TileState::Ended, None) => "it has ended without being told to".into(),
                (TileState::Starting | TileState::Idle | TileState::Running, None) => continue,
            };
            return Err(Trouble::Tile(number, cause));
        }
        Ok(())
    }

    /// How the process of a tile ended, if it has one and it did.
    fn end_of(&mut self, number: usize) -> Option<Result<Death, Error>> {
        let child = self.contacts[number].child?;
        self.children[child].poll().transpose()
    }

    /// Ends all tiles, whatever state they are in.
    pub(crate) fn shut_down(&mut self) {
        for number in 0..self.contacts.len() {
            self.tell(number, Control::Shutdown);
        }
        let waited = Stopwatch::start();
        for number in 0..self.contacts.len() {
            // A broken topology has nothing to put in order.
            while self.broken.is_none()
                && self.contacts[number].child.is_some()
                && self.state(number) != TileState::Ended
                && self.end_of(number).is_none()
                && waited.elapsed() < GRACE
            {
                let commander = &self.contacts[number].commander;
                self.bell.sleep(LOOK_EVERY, || commander.state() == TileState::Ended);
            }
        }
        // A child that is still there is killed when it is dropped.
        self.children.clear();
    }
}
