//! A tile in a process of its own: the running binary executed again.
//!
//! 1. The parent gives the child the workspaces it needs as descriptors and says in one argument
//!    what lies where ([`Invitation`]).
//! 2. The child maps them, drops everything else, closes itself in and runs the same loop as a
//!    thread would.
//!
//! A binary that wants tiles as processes calls [`enter`] first thing in `main`.

use std::{
    cell::Cell,
    os::fd::BorrowedFd,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use serde::{Deserialize, Serialize};

use crate::{
    Error, Topology,
    control::{Listener, TileState, write_text},
    host::{HostLinks, run_host},
    process::{Child, Launch, is_tile_process, launch, settle_in},
    run::panic_text,
    sandbox::{SandboxMode, Violation, enter_process, restrict_filesystem},
    seat::{Memory, SeatLayout},
    tile::{Cause, Tile},
    topology::layout::Extent,
};

/// Address space of a tile's process beyond the workspaces it maps: what foreign code may take.
pub const PROCESS_BYTES_MAX: u64 = 1 << 30;

static HAS_ENTERED: AtomicBool = AtomicBool::new(false);

/// What a child is told.
#[derive(Debug, Serialize, Deserialize)]
struct Invitation {
    kind: String,
    seat: SeatLayout,
    coordinator_bell: Extent,
    workspaces: Vec<Guest>,
    sandbox: String,
}

/// A workspace as a child maps it.
#[derive(Debug, Serialize, Deserialize)]
struct Guest {
    number: usize,
    name: String,
    bytes: usize,
    writable: bool,
}

/// Makes a tile of a kind that can be a process.
pub type MakeTile = fn(kind: &str) -> Option<Box<dyn Tile>>;

/// In a process that was started to be a tile: is that tile, and gives the exit code when it has
/// ended. In any other process: notes that tiles can be processes, and gives nothing.
pub fn enter(make: MakeTile) -> Option<u8> {
    let Some(argument) = is_tile_process() else {
        HAS_ENTERED.store(true, Ordering::Relaxed);
        return None;
    };
    // A parent that lives hears of it by the exit code; nobody else is there to be told.
    Some(match be_a_tile(&argument, make) {
        Ok(()) => 0,
        Err(_) => 1,
    })
}

/// Whether this binary can be executed again to be a tile.
pub fn can_be_processes() -> bool {
    HAS_ENTERED.load(Ordering::Relaxed)
}

fn be_a_tile(argument: &str, make: MakeTile) -> Result<(), Error> {
    let broken = |what: &str| Error::Topology(format!("invitation of a tile: {what}"));
    let invitation: Invitation =
        serde_json::from_str(argument).map_err(|error| broken(&error.to_string()))?;
    let workspaces_bytes: usize = invitation.workspaces.iter().map(|guest| guest.bytes).sum();
    let bytes_max = PROCESS_BYTES_MAX + workspaces_bytes as u64;
    let descriptors = settle_in(invitation.workspaces.len(), Some(bytes_max))?;
    let mut workspaces = Vec::new();
    for (guest, descriptor) in invitation.workspaces.iter().zip(descriptors) {
        workspaces.resize_with(workspaces.len().max(guest.number + 1), || None);
        workspaces[guest.number] = Some(crate::workspace::Workspace::join(
            &guest.name,
            descriptor,
            guest.bytes,
            guest.writable,
        )?);
    }
    let memory = Memory(workspaces);
    let own = invitation.seat.own;
    let (text, listener) = (memory.words(&own.text), Listener::new(memory.words(&own.control)));
    let coordinator = memory.bell(&invitation.coordinator_bell);
    let ran = catch_unwind(AssertUnwindSafe(|| run_seat(invitation, memory, make)));
    let problem = match ran {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(cause)) => cause.to_string(),
        Err(panic) => panic_text(panic.as_ref()),
    };
    write_text(&text, &problem);
    listener.tell(TileState::Broken);
    coordinator.ring();
    Err(broken(&problem))
}

/// From the mapped memory on, whatever goes wrong can be told.
fn run_seat(invitation: Invitation, memory: Memory, make: MakeTile) -> Result<(), Cause> {
    let Invitation { kind, seat, coordinator_bell, workspaces: _, sandbox } = invitation;
    let mut tile = make(&kind).ok_or_else(|| {
        format!("'{kind}' is no kind of tile that this binary can be as a process")
    })?;
    let mode: SandboxMode = sandbox.parse()?;
    let links = HostLinks {
        bell: memory.bell(&seat.own.bell),
        coordinator: memory.bell(&coordinator_bell),
        causes: None,
        violation: Violation::new(),
        may_spin: false,
        at_work: Cell::new(0),
    };
    tile.init_privileged()?;
    let policy = tile.policy();
    let mut seats = [seat.seat(&memory, tile)];
    // Where the kernel lacks one of the two the parent says so in its report.
    let _landlock = restrict_filesystem(mode, &policy)?;
    let _entered = enter_process(mode, &policy)?;
    run_host(&mut seats, &links);
    Ok(())
}

/// Starts the process of a tile.
pub(crate) fn invite(
    topology: &Topology,
    number: usize,
    memory: &Memory,
    executable: &Path,
    sandbox: SandboxMode,
) -> Result<Child, Error> {
    let tile = &topology.declared.tiles[number];
    let seat = SeatLayout::of(topology, number);
    let coordinator_bell = topology.layout.coordinator_bell.expect("laid out");
    let mut numbers = seat.workspaces();
    numbers.push(coordinator_bell.workspace);
    numbers.sort_unstable();
    numbers.dedup();
    let guest = |number: &usize| {
        let declared = &topology.declared.workspaces[*number];
        Guest {
            number: *number,
            name: declared.name.clone(),
            bytes: topology.layout.workspace_bytes[*number],
            writable: declared.processes_may_write,
        }
    };
    let descriptors: Vec<BorrowedFd<'_>> = numbers
        .iter()
        .map(|number| {
            let workspace = memory.0[*number].as_ref().expect("the parent has all workspaces");
            workspace.fd().expect("validated: a process uses shared workspaces only")
        })
        .collect();
    let invitation = Invitation {
        kind: tile.kind.clone(),
        seat,
        coordinator_bell,
        workspaces: numbers.iter().map(guest).collect(),
        sandbox: sandbox.to_string(),
    };
    launch(Launch {
        executable: executable.to_path_buf(),
        argument: serde_json::to_string(&invitation).expect("plain numbers and names"),
        descriptors,
        name: format!("{} {}", topology.name(), tile.name()),
        core: tile.core,
    })
}
