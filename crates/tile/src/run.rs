//! Runs a topology: makes its memory, starts its hosts, lets the caller drive it, and ends it.
//!
//! 1. Workspaces are made; processes are started, then threads.
//! 2. Each thread makes its tiles, lets them open what they need, pins itself, closes itself in and
//!    runs the loop of its host.
//! 3. The caller's body drives attempts through the [`Controller`].
//! 4. However the body ends, all tiles are told to shut down; threads are joined and processes are
//!    gone before `run` returns.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use icecore_disk::Stopwatch;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

use crate::{
    Error, Topology,
    control::{Commander, Listener, TileState},
    controller::{Contact, Controller, Interrupt},
    host::{Causes, HostLinks, run_host},
    join::invite,
    metrics::{LinkGauge, MetricsReader, TileGauge},
    sandbox::{
        Entered, LandlockStatus, Policy, SandboxMode, Violation, enter_thread, probe,
        restrict_filesystem,
    },
    seat::{Memory, SeatLayout},
    tile::{Cause, Tile},
    workspace::Workspace,
};

/// Makes a tile on the thread that will run it.
pub type Maker<'env> = Box<dyn FnOnce() -> Result<Box<dyn Tile + 'env>, Cause> + Send + 'env>;

/// How to run.
pub struct RunOptions<'a> {
    /// Whether tiles are closed in.
    pub sandbox: SandboxMode,
    /// The binary that tiles in processes execute; it calls [`enter`](crate::join::enter).
    pub executable: PathBuf,
    /// Asked while the coordinator waits.
    pub interrupt: Interrupt<'a>,
}

/// How a host was closed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostSandbox {
    /// The thread or process.
    pub host: String,
    /// Whether it is a process of its own.
    pub is_process: bool,
    /// What the filter on system calls does: `enforced`, `logged`, `off`, `absent`.
    pub seccomp: String,
    /// What landlock does: `full`, `partial`, `absent`, `off`.
    pub landlock: String,
    /// What it may ask of the kernel besides memory and sleeping.
    pub allowed: Vec<String>,
}

/// Runs a topology with these tiles; those that are processes need no maker.
///
/// # Errors
/// Whatever `body` gives, and [`Error`] for what keeps the topology from being started.
///
/// # Panics
/// When a tile on a thread has no maker.
pub fn run<'env, R, E: From<Error>>(
    topology: &Topology,
    mut makers: Vec<(String, Maker<'env>)>,
    options: &RunOptions<'_>,
    body: impl FnOnce(&mut Controller<'_>) -> Result<R, E>,
) -> Result<R, E> {
    let memory = Arc::new(make_memory(topology)?);
    let causes = Arc::new(Causes::default());
    let sandbox = Arc::new(Mutex::new(Vec::new()));
    let coordinator = topology.layout.coordinator_bell.expect("laid out");
    let mut controller = Controller {
        contacts: Vec::new(),
        metrics: Arc::new(reader(topology, &memory)),
        children: Vec::new(),
        bell: memory.bell(&coordinator),
        causes: Arc::clone(&causes),
        interrupt: options.interrupt,
        sandbox: Arc::clone(&sandbox),
        broken: None,
    };
    for (number, tile) in topology.tiles().iter().enumerate() {
        let own = &topology.layout.tiles[number];
        let child = match tile.is_process() {
            true => {
                let child =
                    invite(topology, number, &memory, &options.executable, options.sandbox)?;
                controller.children.push(child);
                sandbox.lock().expect("no holder of this lock panics").push(HostSandbox {
                    host: tile.name(),
                    is_process: true,
                    seccomp: process_filter(options.sandbox).to_string(),
                    landlock: LandlockStatus::expected(options.sandbox).to_string(),
                    allowed: Vec::new(),
                });
                Some(controller.children.len() - 1)
            }
            false => None,
        };
        controller.contacts.push(Contact {
            name: tile.name(),
            commander: Commander::new(memory.words(&own.control)),
            bell: memory.bell(&own.bell),
            text: memory.words(&own.text),
            child,
        });
    }
    let hosts = topology.hosts();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let may_spin = hosts.len() <= cores;
    thread::scope(|scope| {
        let mut ending = Ending(controller);
        for (host, numbers) in hosts {
            if topology.tiles()[numbers[0]].is_process() {
                continue;
            }
            let mut host_makers = Vec::with_capacity(numbers.len());
            for number in &numbers {
                let name = topology.tiles()[*number].name();
                let position = makers.iter().position(|(of, _)| *of == name);
                let position = position.unwrap_or_else(|| panic!("tile {name} has no maker"));
                host_makers.push((*number, makers.swap_remove(position).1));
            }
            let start = HostStart {
                topology,
                host: host.clone(),
                makers: host_makers,
                memory: Arc::clone(&memory),
                sandbox: options.sandbox,
                report: Arc::clone(&sandbox),
                links: HostLinks {
                    bell: memory.bell(&topology.layout.tiles[numbers[0]].bell),
                    coordinator: memory.bell(&coordinator),
                    causes: Some(Arc::clone(&causes)),
                    violation: Violation::new(),
                    may_spin,
                    at_work: Cell::new(numbers[0]),
                },
            };
            thread::Builder::new()
                .name(host)
                .spawn_scoped(scope, move || start.run())
                .map_err(|source| Error::system("start a thread", source))?;
        }
        ending.0.wait_ready()?;
        body(&mut ending.0)
    })
}

/// Shuts everything down, also when the body panics or a thread could not be started.
struct Ending<'a>(Controller<'a>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.shut_down();
    }
}

fn make_memory(topology: &Topology) -> Result<Memory, Error> {
    let make = |(declared, bytes): (&crate::WorkspaceDeclaration, &usize)| {
        Workspace::create(&declared.name, *bytes, declared.backing).map(Some)
    };
    let workspaces = topology.workspaces().iter().zip(&topology.layout.workspace_bytes).map(make);
    Ok(Memory(workspaces.collect::<Result<_, _>>()?))
}

fn reader(topology: &Topology, memory: &Memory) -> MetricsReader {
    let tiles = topology.tiles().iter().zip(&topology.layout.tiles).map(|(tile, own)| TileGauge {
        name: tile.name(),
        host: tile.host(),
        words: memory.words(&own.metrics),
        counters: tile.counters,
    });
    let links = topology.links().iter().zip(&topology.layout.links).map(|(link, own)| LinkGauge {
        name: link.name.clone(),
        depth: u64::from(link.depth),
        ring: memory.words(&own.ring),
        progress: memory.words(&own.progress),
        consumers: own.consumers.len(),
    });
    MetricsReader {
        topology: topology.name().to_string(),
        clock: Stopwatch::start(),
        tiles: tiles.collect(),
        links: links.collect(),
    }
}

struct HostStart<'a, 'env> {
    topology: &'a Topology,
    host: String,
    makers: Vec<(usize, Maker<'env>)>,
    memory: Arc<Memory>,
    sandbox: SandboxMode,
    report: Arc<Mutex<Vec<HostSandbox>>>,
    links: HostLinks,
}

impl<'env> HostStart<'_, 'env> {
    fn run(mut self) {
        let numbers: Vec<_> = self.makers.iter().map(|(number, _)| *number).collect();
        let problem = match catch_unwind(AssertUnwindSafe(|| self.host())) {
            Ok(Ok(())) => return,
            Ok(Err(cause)) => cause,
            Err(panic) => panic_text(panic.as_ref()).into(),
        };
        let causes = self.links.causes.as_ref().expect("a thread leaves its causes here");
        let at_work = self.links.at_work.get();
        causes.lock().expect("no holder of this lock panics").push((at_work, problem));
        for number in numbers {
            let words = self.memory.words(&self.topology.layout.tiles[number].control);
            Listener::new(words).tell(TileState::Broken);
        }
        self.links.coordinator.ring();
    }

    fn host(&mut self) -> Result<(), Cause> {
        let mut seats = Vec::new();
        let mut policy = Policy::none();
        let (mut core, mut is_unconfined) = (None, false);
        for (number, maker) in self.makers.drain(..) {
            self.links.at_work.set(number);
            is_unconfined |= self.topology.tiles()[number].is_unconfined;
            core = self.topology.tiles()[number].core;
            let mut tile = maker()?;
            tile.init_privileged()?;
            policy = policy.merge(&tile.policy());
            seats.push(SeatLayout::of(self.topology, number).seat(&self.memory, tile));
        }
        if let Some(core) = core {
            let mut cores = CpuSet::new();
            cores.set(core);
            sched_setaffinity(None, &cores).map_err(|source| {
                Error::system(format!("pin '{}' to core {core}", self.host), source)
            })?;
        }
        let mode = if is_unconfined { SandboxMode::Off } else { self.sandbox };
        let landlock = restrict_filesystem(mode, &policy)?.status;
        let entered = enter_thread(mode, &policy, &self.links.violation)?;
        self.report.lock().expect("no holder of this lock panics").push(HostSandbox {
            host: self.host.clone(),
            is_process: false,
            seccomp: entered.to_string(),
            landlock: landlock.to_string(),
            allowed: policy.names(),
        });
        run_host(&mut seats, &self.links);
        Ok(())
    }
}

/// What the filter of a process does; the process itself has no way to tell.
fn process_filter(mode: SandboxMode) -> Entered {
    match mode {
        SandboxMode::Off => Entered::Off,
        _ if !probe().seccomp => Entered::Absent,
        SandboxMode::On => Entered::Enforced,
        SandboxMode::Log => Entered::Logged,
    }
}

/// The cores that this process may use.
pub fn available_cores() -> Vec<usize> {
    let Ok(cores) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|core| cores.is_set(*core)).collect()
}

/// What a panic said, for the error of its tile.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => format!("panicked: {text}"),
        (_, Some(text)) => format!("panicked: {text}"),
        _ => "panicked without a message".to_string(),
    }
}
