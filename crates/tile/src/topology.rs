//! The declared graph of a pipeline: workspaces, links, objects and tiles, and who uses what.
//!
//! A topology is a description: nothing of it takes memory or runs before [`run`](crate::run()) is
//! called with a sound one. [`TopologyBuilder::build`] computes where everything lies and refuses
//! what is not sound, naming the parts.
//!
//! Invariants of a built topology:
//! - Every link has one producer and at least one consumer, all declared, none twice.
//! - Reliable links form no cycle, unless one of them is declared as feedback.
//! - Whatever a tile in a process uses lies in shared workspaces; what it may only read, it cannot
//!   write.
//! - Offsets and sizes are known; nothing grows later.
//!
//! What it does *not* do: know what tiles compute.

pub(crate) mod layout;
mod print;
mod validate;

pub(crate) use layout::LinkLayout;
pub(crate) use layout::{Layout, TileLayout};

use crate::{Error, workspace::Backing};

/// Most tiles of one topology.
pub const TILES_MAX: usize = 512;

/// A region of memory that links and objects lie in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceDeclaration {
    /// Its name.
    pub name: String,
    /// Private to this process, or shared with tiles in processes of their own.
    pub backing: Backing,
    /// Whether processes that join may write there.
    pub processes_may_write: bool,
}

impl WorkspaceDeclaration {
    pub(crate) fn may_be_written_by_processes(&self) -> bool {
        self.backing == Backing::Shared && self.processes_may_write
    }
}

/// A stream from one tile to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkDeclaration {
    /// Its name.
    pub name: String,
    /// The workspace of its descriptors and its own data region; its fragments lie there.
    pub workspace: String,
    /// The workspace where consumers publish how far they are.
    pub progress_workspace: String,
    /// Fragments in flight, at most: a power of two.
    pub depth: u32,
    /// Bytes of its own data region; 0 when its fragments lie in the region of another link.
    pub data_bytes: usize,
    /// Leads backwards on purpose: whoever uses it must never wait for its credits.
    pub is_feedback: bool,
}

/// Memory with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectDeclaration {
    /// Its name.
    pub name: String,
    /// The workspace it lies in.
    pub workspace: String,
    /// Its size.
    pub bytes: usize,
}

/// How a tile uses a link or an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// Publishes to a link.
    Produces,
    /// Consumes from a link, reliably.
    Consumes,
    /// Reads an object.
    Reads,
    /// Writes an object.
    Writes,
}

/// Where a tile runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On a thread of its own.
    Thread,
    /// On a thread together with the other tiles that name this host.
    Fused(String),
    /// As a process of its own.
    Process,
}

/// A stage of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileDeclaration {
    /// What it does.
    pub kind: String,
    /// Which of its kind.
    pub instance: usize,
    /// Where it runs.
    pub place: Place,
    /// The core it is pinned to, if any.
    pub core: Option<usize>,
    /// Bytes of its arena.
    pub arena_bytes: usize,
    /// Names of its own counters.
    pub counters: &'static [&'static str],
    /// Whether it runs code of the caller, which nobody can close in.
    pub is_unconfined: bool,
    /// What it uses, in the order in which its ports are numbered.
    pub uses: Vec<(Use, String)>,
}

impl TileDeclaration {
    /// A tile on a thread of its own that uses nothing yet.
    pub fn new(kind: &str, instance: usize) -> Self {
        Self {
            kind: kind.to_string(),
            instance,
            place: Place::Thread,
            core: None,
            arena_bytes: 0,
            counters: &[],
            is_unconfined: false,
            uses: Vec::new(),
        }
    }

    /// Its name: kind and instance.
    pub fn name(&self) -> String {
        format!("{}:{}", self.kind, self.instance)
    }

    /// Where it runs.
    pub fn place(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// The core it is pinned to.
    pub fn core(mut self, core: Option<usize>) -> Self {
        self.core = core;
        self
    }

    /// Bytes of its arena.
    pub fn arena_bytes(mut self, bytes: usize) -> Self {
        self.arena_bytes = bytes;
        self
    }

    /// Names of its own counters, at most [`OWN_COUNTERS_MAX`](crate::OWN_COUNTERS_MAX).
    pub fn counters(mut self, names: &'static [&'static str]) -> Self {
        self.counters = names;
        self
    }

    /// It runs code of the caller, so its thread is not closed in.
    pub fn unconfined(mut self) -> Self {
        self.is_unconfined = true;
        self
    }

    /// It publishes to this link.
    pub fn produces(self, link: &str) -> Self {
        self.uses(Use::Produces, link)
    }

    /// It consumes this link.
    pub fn consumes(self, link: &str) -> Self {
        self.uses(Use::Consumes, link)
    }

    /// It reads this object.
    pub fn reads(self, object: &str) -> Self {
        self.uses(Use::Reads, object)
    }

    /// It writes this object.
    pub fn writes(self, object: &str) -> Self {
        self.uses(Use::Writes, object)
    }

    fn uses(mut self, how: Use, what: &str) -> Self {
        self.uses.push((how, what.to_string()));
        self
    }

    /// The links it uses in one way, in order.
    pub(crate) fn links(&self, how: Use) -> impl Iterator<Item = &str> {
        self.uses.iter().filter(move |(used, _)| *used == how).map(|(_, name)| name.as_str())
    }

    /// The thread or process that runs it.
    pub fn host(&self) -> String {
        match &self.place {
            Place::Fused(host) => host.clone(),
            Place::Thread | Place::Process => self.name(),
        }
    }

    pub(crate) fn is_process(&self) -> bool {
        self.place == Place::Process
    }
}

/// Collects declarations.
#[derive(Debug, Clone, Default)]
pub struct TopologyBuilder {
    pub(crate) name: String,
    pub(crate) workspaces: Vec<WorkspaceDeclaration>,
    pub(crate) links: Vec<LinkDeclaration>,
    pub(crate) objects: Vec<ObjectDeclaration>,
    pub(crate) tiles: Vec<TileDeclaration>,
}

impl TopologyBuilder {
    /// Nothing declared yet.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_string(), ..Self::default() }
    }

    /// A workspace of this process.
    pub fn private(self, name: &str) -> Self {
        self.workspace(name, Backing::Private, false)
    }

    /// A workspace that processes join; they may write there or only read.
    pub fn shared(self, name: &str, processes_may_write: bool) -> Self {
        self.workspace(name, Backing::Shared, processes_may_write)
    }

    fn workspace(mut self, name: &str, backing: Backing, processes_may_write: bool) -> Self {
        let name = name.to_string();
        self.workspaces.push(WorkspaceDeclaration { name, backing, processes_may_write });
        self
    }

    /// A link.
    pub fn link(mut self, link: LinkDeclaration) -> Self {
        self.links.push(link);
        self
    }

    /// An object.
    pub fn object(mut self, name: &str, workspace: &str, bytes: usize) -> Self {
        let (name, workspace) = (name.to_string(), workspace.to_string());
        self.objects.push(ObjectDeclaration { name, workspace, bytes });
        self
    }

    /// A tile. Tiles are started from the last to the first and finished from the first to the
    /// last: declare them in the order in which data flows.
    pub fn tile(mut self, tile: TileDeclaration) -> Self {
        self.tiles.push(tile);
        self
    }

    /// Validates what was declared and computes where everything lies.
    ///
    /// # Errors
    /// [`Error::Topology`], naming the parts that do not fit together.
    pub fn build(self) -> Result<Topology, Error> {
        validate::validate(&self).map_err(Error::Topology)?;
        let layout = layout::lay_out(&self);
        Ok(Topology { declared: self, layout })
    }
}

/// A sound topology.
#[derive(Debug, Clone)]
pub struct Topology {
    pub(crate) declared: TopologyBuilder,
    pub(crate) layout: Layout,
}

impl Topology {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.declared.name
    }

    /// Its workspaces.
    pub fn workspaces(&self) -> &[WorkspaceDeclaration] {
        &self.declared.workspaces
    }

    /// Its links.
    pub fn links(&self) -> &[LinkDeclaration] {
        &self.declared.links
    }

    /// Its tiles.
    pub fn tiles(&self) -> &[TileDeclaration] {
        &self.declared.tiles
    }

    /// Bytes of all workspaces and arenas together.
    pub fn footprint_bytes(&self) -> usize {
        let arenas: usize = self.declared.tiles.iter().map(|tile| tile.arena_bytes).sum();
        self.layout.workspace_bytes.iter().sum::<usize>() + arenas
    }

    /// Hosts in the order of their first tile, each with the numbers of its tiles.
    pub(crate) fn hosts(&self) -> Vec<(String, Vec<usize>)> {
        let mut hosts: Vec<(String, Vec<usize>)> = Vec::new();
        for (number, tile) in self.declared.tiles.iter().enumerate() {
            let host = tile.host();
            match hosts.iter_mut().find(|(name, _)| *name == host) {
                Some((_, tiles)) => tiles.push(number),
                None => hosts.push((host, vec![number])),
            }
        }
        hosts
    }
}

#[cfg(test)]
mod tests;
