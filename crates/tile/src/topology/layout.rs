//! Where everything of a topology lies: offsets in workspaces, computed up front.
//!
//! Everything begins at a cache line of its own (64 bytes), data regions at a page (4,096 bytes).

use serde::{Deserialize, Serialize};

use super::{TopologyBuilder, Use, WorkspaceDeclaration};
use crate::{
    bell::Bell,
    control::{CONTROL_WORDS, TEXT_WORDS},
    link::LinkShape,
    metrics::METRIC_WORDS,
};

const LINE_BYTES: usize = 64;
const PAGE_BYTES: usize = 4096;
const WORD_BYTES: usize = 8;

/// A piece of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extent {
    /// The number of the workspace.
    pub(crate) workspace: usize,
    /// From its start, in bytes.
    pub(crate) offset: usize,
    /// Its size.
    pub(crate) bytes: usize,
}

impl Extent {
    pub(crate) fn word_count(&self) -> usize {
        self.bytes / WORD_BYTES
    }
}

/// Where a link lies, and who uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LinkLayout {
    /// Fragments in flight, at most.
    pub(crate) depth: u32,
    /// Its data region.
    pub(crate) data: Extent,
    /// What the producer writes.
    pub(crate) ring: Extent,
    /// What consumers write.
    pub(crate) progress: Extent,
    /// The number of the producing tile.
    pub(crate) producer: usize,
    /// The numbers of the consuming tiles.
    pub(crate) consumers: Vec<usize>,
}

impl LinkLayout {
    pub(crate) fn shape(&self) -> LinkShape {
        LinkShape {
            depth: self.depth,
            data_bytes: self.data.bytes,
            consumers: self.consumers.len(),
        }
    }
}

/// Where a tile's own words lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TileLayout {
    /// Commands, written by the coordinator, and answers, written by the tile.
    pub(crate) control: Extent,
    /// The text of an error, written by the tile.
    pub(crate) text: Extent,
    /// Counters, written by the tile.
    pub(crate) metrics: Extent,
    /// The bell of its host.
    pub(crate) bell: Extent,
}

/// Where everything lies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    pub(crate) workspace_bytes: Vec<usize>,
    pub(crate) links: Vec<LinkLayout>,
    pub(crate) objects: Vec<Extent>,
    pub(crate) tiles: Vec<TileLayout>,
    /// The coordinator's bell: one where processes reach it, one where only threads do.
    pub(crate) coordinator_bell: Option<Extent>,
}

struct Cursor {
    used: Vec<usize>,
}

impl Cursor {
    fn take(&mut self, workspace: usize, bytes: usize, align: usize) -> Extent {
        let offset = self.used[workspace].next_multiple_of(align);
        self.used[workspace] = offset + bytes;
        Extent { workspace, offset, bytes }
    }

    fn words(&mut self, workspace: usize, count: usize) -> Extent {
        self.take(workspace, count * WORD_BYTES, LINE_BYTES)
    }
}

/// Lays out what was validated.
pub(super) fn lay_out(declared: &TopologyBuilder) -> Layout {
    let number = |name: &str| {
        let position = declared.workspaces.iter().position(|one| one.name == name);
        position.expect("names were validated")
    };
    let mut cursor = Cursor { used: vec![0; declared.workspaces.len()] };
    let mut layout = Layout::default();
    for link in &declared.links {
        let users = |how| {
            let uses =
                move |tile: &super::TileDeclaration| tile.links(how).any(|name| name == link.name);
            let numbers = (0..declared.tiles.len()).filter(move |n| uses(&declared.tiles[*n]));
            numbers.collect::<Vec<_>>()
        };
        let (producers, consumers) = (users(Use::Produces), users(Use::Consumes));
        let shape = LinkShape {
            depth: link.depth,
            data_bytes: link.data_bytes,
            consumers: consumers.len(),
        };
        let workspace = number(&link.workspace);
        layout.links.push(LinkLayout {
            depth: link.depth,
            ring: cursor.words(workspace, shape.ring_words()),
            progress: cursor.words(number(&link.progress_workspace), shape.progress_words()),
            data: cursor.take(workspace, link.data_bytes, PAGE_BYTES),
            producer: producers[0],
            consumers,
        });
    }
    for object in &declared.objects {
        let workspace = number(&object.workspace);
        layout.objects.push(cursor.take(workspace, object.bytes, PAGE_BYTES));
    }
    // Words that a process must reach lie where it may write; all others where it cannot.
    let place = |may_be_written: bool| {
        let is_one =
            |one: &WorkspaceDeclaration| one.may_be_written_by_processes() == may_be_written;
        declared.workspaces.iter().position(is_one)
    };
    let (shared, private) = (place(true), place(false));
    let any = private.or(shared).expect("there is a workspace, as validated");
    let is_process = |tile: usize| declared.tiles[tile].is_process();
    let has_process = (0..declared.tiles.len()).any(is_process);
    let mut bells: Vec<(String, Extent)> = Vec::new();
    for (tile_number, tile) in declared.tiles.iter().enumerate() {
        let home = match is_process(tile_number) {
            true => shared.expect("a process has a workspace it may write, as validated"),
            false => any,
        };
        let host = tile.host();
        let bell = match bells.iter().find(|(name, _)| *name == host) {
            Some((_, bell)) => *bell,
            None => {
                // A neighbour in a process must be able to wake the whole host.
                let meets_process = layout.links.iter().any(|link| {
                    let ends = link.consumers.iter().chain([&link.producer]);
                    ends.clone().any(|end| declared.tiles[*end].host() == host)
                        && ends.clone().any(|end| is_process(*end))
                });
                let home = match meets_process {
                    true => shared.expect("a process has a workspace it may write, as validated"),
                    false => home,
                };
                let bell = cursor.words(home, Bell::WORDS);
                bells.push((host, bell));
                bell
            }
        };
        layout.tiles.push(TileLayout {
            control: cursor.words(home, CONTROL_WORDS),
            text: cursor.words(home, TEXT_WORDS),
            metrics: cursor.words(home, METRIC_WORDS),
            bell,
        });
    }
    let home = if has_process { shared.expect("as above") } else { any };
    layout.coordinator_bell = Some(cursor.words(home, Bell::WORDS));
    layout.workspace_bytes =
        cursor.used.iter().map(|used| used.next_multiple_of(PAGE_BYTES).max(PAGE_BYTES)).collect();
    layout
}
