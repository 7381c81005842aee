//! A topology for people (table), programs (JSON) and pictures (Graphviz).

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Place, TileDeclaration, Topology, Use};
use crate::workspace::Backing;

impl Topology {
    /// A table.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mebibytes = |bytes: usize| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        let total = mebibytes(self.footprint_bytes());
        let mut line = |line: String| {
            text.push_str(line.trim_end());
            text.push('\n');
        };
        line(format!("topology {}, {total}", self.name()));
        line(String::new());
        line(format!("{:<16} {:<10} {:>12}  processes", "workspace", "backing", "size"));
        for (workspace, bytes) in self.workspaces().iter().zip(&self.layout.workspace_bytes) {
            let (backing, processes) = match workspace.backing {
                Backing::Private => ("private", "none"),
                Backing::Shared if workspace.processes_may_write => ("shared", "write"),
                Backing::Shared => ("shared", "read"),
            };
            let size = mebibytes(*bytes);
            line(format!("{:<16} {backing:<10} {size:>12}  {processes}", workspace.name));
        }
        line(String::new());
        line(format!("{:<16} {:<22} {:<6} {:>10}  sandbox", "tile", "host", "core", "arena"));
        for tile in self.tiles() {
            let host = match &tile.place {
                Place::Thread => "thread".to_string(),
                Place::Fused(host) => format!("thread {host}"),
                Place::Process => "process".to_string(),
            };
            let core = tile.core.map_or("any".to_string(), |core| core.to_string());
            let arena = mebibytes(tile.arena_bytes);
            let is_open =
                |other: &TileDeclaration| other.is_unconfined && other.host() == tile.host();
            let sandbox = if self.tiles().iter().any(is_open) { "open" } else { "closed" };
            line(format!("{:<16} {host:<22} {core:<6} {arena:>10}  {sandbox}", tile.name()));
        }
        line(String::new());
        line(format!(
            "{:<28} {:>8} {:>12} {:<10} producer > consumers",
            "link", "depth", "data", "workspace"
        ));
        for (link, layout) in self.links().iter().zip(&self.layout.links) {
            let name = |number: &usize| self.tiles()[*number].name();
            let consumers: Vec<_> = layout.consumers.iter().map(name).collect();
            line(format!(
                "{:<28} {:>8} {:>12} {:<10} {} > {}",
                link.name,
                link.depth,
                mebibytes(link.data_bytes),
                link.workspace,
                name(&layout.producer),
                consumers.join(", "),
            ));
        }
        text
    }

    /// The same as JSON.
    pub fn json(&self) -> Value {
        let workspaces = self.workspaces().iter().zip(&self.layout.workspace_bytes);
        let links = self.links().iter().zip(&self.layout.links);
        let name = |number: &usize| self.tiles()[*number].name();
        json!({
            "topology": self.name(),
            "footprint_bytes": self.footprint_bytes(),
            "workspaces": workspaces.map(|(workspace, bytes)| json!({
                "name": workspace.name,
                "backing": match workspace.backing {
                    Backing::Private => "private",
                    Backing::Shared => "shared",
                },
                "processes_may_write": workspace.processes_may_write,
                "bytes": bytes,
            })).collect::<Vec<_>>(),
            "objects": self.declared.objects.iter().map(|object| json!({
                "name": object.name,
                "workspace": object.workspace,
                "bytes": object.bytes,
            })).collect::<Vec<_>>(),
            "tiles": self.tiles().iter().map(|tile| json!({
                "name": tile.name(),
                "host": tile.host(),
                "is_process": tile.is_process(),
                "core": tile.core,
                "arena_bytes": tile.arena_bytes,
                "is_unconfined": tile.is_unconfined,
                "uses": tile.uses.iter().map(|(how, what)| json!({
                    "how": match how {
                        Use::Produces => "produces",
                        Use::Consumes => "consumes",
                        Use::Reads => "reads",
                        Use::Writes => "writes",
                    },
                    "what": what,
                })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "links": links.map(|(link, layout)| json!({
                "name": link.name,
                "workspace": link.workspace,
                "progress_workspace": link.progress_workspace,
                "depth": link.depth,
                "data_bytes": link.data_bytes,
                "is_feedback": link.is_feedback,
                "producer": name(&layout.producer),
                "consumers": layout.consumers.iter().map(name).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        })
    }

    /// The same for Graphviz: hosts as boxes, processes in double lines.
    pub fn graphviz(&self) -> String {
        let mut text =
            format!("digraph \"{}\" {{\n  rankdir=LR;\n  node [shape=box];\n", self.name());
        for (number, (host, tiles)) in self.hosts().iter().enumerate() {
            let is_fused = tiles.len() > 1;
            if is_fused {
                let _ = writeln!(text, "  subgraph cluster_{number} {{ label=\"{host}\";");
            }
            for tile in tiles {
                let tile = &self.tiles()[*tile];
                let lines = if tile.is_process() { 2 } else { 1 };
                let _ = writeln!(text, "  \"{}\" [peripheries={lines}];", tile.name());
            }
            if is_fused {
                text.push_str("  }\n");
            }
        }
        for (link, layout) in self.links().iter().zip(&self.layout.links) {
            for consumer in &layout.consumers {
                let (from, to) =
                    (self.tiles()[layout.producer].name(), self.tiles()[*consumer].name());
                let _ = writeln!(text, "  \"{from}\" -> \"{to}\" [label=\"{}\"];", link.name);
            }
        }
        text.push_str("}\n");
        text
    }
}
