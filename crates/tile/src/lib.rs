//! Pipelines of tiles: stages that run as threads or processes and are joined by streams in shared
//! memory.
//!
//! - A [`Topology`] declares workspaces, links, objects and tiles; it is validated, and everything
//!   in it has its place, before anything runs.
//! - A [`Tile`] is a stage: one shape for all, never waiting, never growing.
//! - [`run()`] starts the tiles and gives the caller a [`Controller`], which drives attempts in
//!   lock-step and turns whatever goes wrong, up to the death of a process, into an error value.
//! - [`MetricsReader`] tells at any time what each tile does with its time.
//!
//! Isolation, and what it is worth: a tile in a process of its own has nothing but its memory and
//! a way to sleep. That is a boundary: code in it that was taken over can give wrong bytes, which
//! whoever consumes them has to judge anyway, and nothing else. Filters on the system calls of
//! threads, and landlock, are hardening: threads share one memory.
//!
//! What it does *not* do: know what tiles compute, open files, print, or end the process.

mod arena;
mod background;
mod bell;
mod control;
mod controller;
mod error;
mod host;
mod join;
mod layer;
mod link;
mod metrics;
mod object;
mod process;
mod run;
mod sandbox;
mod seat;
mod tile;
mod topology;
mod workspace;

pub use arena::{Arena, ArenaFull, Frame, List};
pub use background::give_way;
pub use control::Control;
pub use controller::{Controller, Interrupt};
pub use error::Error;
pub use host::{BURST, HOUSEKEEPING};
pub use join::{MakeTile, PROCESS_BYTES_MAX, can_be_processes, enter};
pub use link::{Credits, Fragment, LinkFault, Mark, Producer};
pub use metrics::{Counters, LinkMetrics, Metrics, MetricsReader, OWN_COUNTERS_MAX, TileMetrics};
pub use object::Object;
pub use process::Death;
pub use run::{HostSandbox, Maker, RunOptions, available_cores, run};
pub use sandbox::{Grant, LandlockStatus, Policy, Right, SandboxMode, Support, probe};
pub use tile::{Activity, Answer, Cause, Ports, Tile};
pub use topology::{
    LinkDeclaration, Place, TILES_MAX, TileDeclaration, Topology, TopologyBuilder, Use,
    WorkspaceDeclaration,
};
pub use workspace::Backing;
