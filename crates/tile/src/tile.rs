//! The one shape of every tile.
//!
//! | part | when |
//! |---|---|
//! | footprint | in the declaration ([`TileDeclaration`](crate::TileDeclaration)): links, objects, arena |
//! | [`init_privileged`](Tile::init_privileged) | once, in its thread, before the sandbox closes |
//! | [`policy`](Tile::policy) | once, then: what it may ask of the kernel |
//! | [`init_unprivileged`](Tile::init_unprivileged) | once, in the sandbox |
//! | [`on_control`](Tile::on_control) | at each command |
//! | [`on_fragment`](Tile::on_fragment) | for each fragment of an input that it [`wants`](Tile::wants) |
//! | [`on_credit`](Tile::on_credit) | each turn of an attempt: go on with what waits for credits |
//! | [`housekeeping`](Tile::housekeeping) | now and then, and before it sleeps |
//! | metrics | counted by the run loop; its own, declared by name, by [`Ports::counters`] |
//!
//! A tile never waits: it does what inputs and credits allow, says whether it did anything, and is
//! called again when something has changed.

use std::error::Error as StdError;

use crate::{
    arena::Arena,
    control::Control,
    link::{Fragment, Producer},
    metrics::Counters,
    object::Object,
    sandbox::Policy,
};

/// Why a tile failed: any error, given to whoever runs the topology as it is.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Whether a turn did anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Something was done: ask again soon.
    Worked,
    /// Nothing can be done before input, credit or a command comes.
    Idle,
}

/// Whether a command is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is.
    Now,
    /// Work is left; ask again after the next turn. Only [`Control::Finish`] may take that long.
    Later,
}

/// What a tile reaches the others by.
pub struct Ports {
    /// Its outputs, in the order declared.
    pub outputs: Vec<Producer>,
    /// The objects that it uses, in the order declared.
    pub objects: Vec<Object>,
    /// Its arena.
    pub arena: Arena,
    /// Its counters.
    pub counters: Counters,
}

/// A stage of a pipeline.
pub trait Tile {
    /// Before the sandbox closes. What is opened here and owned by the tile stays open when the tile
    /// ends, because the sandbox refuses to close it: let whoever runs the topology own it.
    fn init_privileged(&mut self) -> Result<(), Cause> {
        Ok(())
    }

    /// What it may ask of the kernel besides using its memory and sleeping.
    fn policy(&self) -> Policy {
        Policy::none()
    }

    /// In the sandbox.
    fn init_unprivileged(&mut self, ports: &mut Ports) -> Result<(), Cause> {
        let _ = ports;
        Ok(())
    }

    /// A command. [`Control::Finish`] comes when every input is empty for good.
    fn on_control(&mut self, control: Control, ports: &mut Ports) -> Result<Answer, Cause>;

    /// Whether it can take a fragment of this input now.
    fn wants(&self, input: usize) -> bool {
        let _ = input;
        true
    }

    /// A fragment. It may be kept; its memory is used again when it is dropped.
    fn on_fragment(
        &mut self,
        input: usize,
        fragment: Fragment,
        ports: &mut Ports,
    ) -> Result<(), Cause>;

    /// Goes on with what it has.
    fn on_credit(&mut self, ports: &mut Ports) -> Result<Activity, Cause> {
        let _ = ports;
        Ok(Activity::Idle)
    }

    /// Now and then.
    fn housekeeping(&mut self, ports: &mut Ports) {
        let _ = ports;
    }
}
