//! What makes a topology sound. The first thing that does not is told, with the parts it concerns.

use std::collections::BTreeMap;

use super::{Place, TILES_MAX, TileDeclaration, TopologyBuilder, Use, WorkspaceDeclaration};
use crate::{
    link::{CONSUMERS_MAX, DEPTH_MAX},
    workspace::Backing,
};

/// Largest workspace: 1 TiB; what is larger was computed wrongly.
const WORKSPACE_BYTES_MAX: usize = 1 << 40;

pub(super) fn validate(declared: &TopologyBuilder) -> Result<(), String> {
    names(declared)?;
    workspaces(declared)?;
    links(declared)?;
    places(declared)?;
    cycles(declared)?;
    order(declared)
}

fn names(declared: &TopologyBuilder) -> Result<(), String> {
    if declared.tiles.is_empty() {
        return Err(format!("'{}' has no tile", declared.name));
    }
    if declared.tiles.len() > TILES_MAX {
        return Err(format!("{} tiles, {TILES_MAX} are the most", declared.tiles.len()));
    }
    let lists = [
        ("workspace", declared.workspaces.iter().map(|one| one.name.clone()).collect::<Vec<_>>()),
        ("link", declared.links.iter().map(|one| one.name.clone()).collect()),
        ("object", declared.objects.iter().map(|one| one.name.clone()).collect()),
        ("tile", declared.tiles.iter().map(|one| one.name()).collect()),
    ];
    for (what, mut names) in lists {
        names.sort();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("{what} '{}' is declared twice", pair[0]));
        }
    }
    Ok(())
}

fn workspaces(declared: &TopologyBuilder) -> Result<(), String> {
    let known = |name: &str| declared.workspaces.iter().any(|workspace| workspace.name == name);
    let mut bytes: BTreeMap<&str, usize> = BTreeMap::new();
    for link in &declared.links {
        for workspace in [&link.workspace, &link.progress_workspace] {
            if !known(workspace) {
                return Err(format!("link '{}': no workspace '{workspace}'", link.name));
            }
        }
        let total = bytes.entry(&link.workspace).or_default();
        *total = total.saturating_add(link.data_bytes);
    }
    for object in &declared.objects {
        if !known(&object.workspace) {
            return Err(format!("object '{}': no workspace '{}'", object.name, object.workspace));
        }
        let total = bytes.entry(&object.workspace).or_default();
        *total = total.saturating_add(object.bytes);
    }
    if declared.workspaces.is_empty() {
        return Err(format!("'{}' has no workspace", declared.name));
    }
    if let Some(tile) = declared.tiles.iter().find(|tile| tile.is_process()) {
        for (may_be_written, needed) in
            [(true, "it may write"), (false, "out of its reach for the threads' own words")]
        {
            let is_one =
                |one: &WorkspaceDeclaration| one.may_be_written_by_processes() == may_be_written;
            if !declared.workspaces.iter().any(is_one) {
                let name = tile.name();
                return Err(format!(
                    "tile '{name}' is a process, but there is no workspace {needed}"
                ));
            }
        }
    }
    match bytes.into_iter().find(|(_, bytes)| *bytes > WORKSPACE_BYTES_MAX) {
        Some((name, bytes)) => Err(format!("workspace '{name}' would have {bytes} bytes")),
        None => Ok(()),
    }
}

fn links(declared: &TopologyBuilder) -> Result<(), String> {
    for tile in &declared.tiles {
        for (how, name) in &tile.uses {
            let is_known = match how {
                Use::Produces | Use::Consumes => declared.links.iter().any(|one| one.name == *name),
                Use::Reads | Use::Writes => declared.objects.iter().any(|one| one.name == *name),
            };
            if !is_known {
                return Err(format!("tile '{}' uses '{name}', which is not declared", tile.name()));
            }
            let times = tile.uses.iter().filter(|one| *one == &(*how, name.clone())).count();
            if times > 1 {
                return Err(format!("tile '{}' declares its use of '{name}' twice", tile.name()));
            }
        }
    }
    for link in &declared.links {
        let users = |how| {
            declared
                .tiles
                .iter()
                .filter(move |tile| tile.links(how).any(|name| name == link.name))
                .map(|tile| tile.name())
                .collect::<Vec<_>>()
        };
        let (producers, consumers) = (users(Use::Produces), users(Use::Consumes));
        let name = &link.name;
        match producers.len() {
            1 => {}
            0 => return Err(format!("link '{name}' has no producer")),
            _ => return Err(format!("link '{name}' has {}", several("producers", &producers))),
        }
        if consumers.is_empty() {
            return Err(format!("link '{name}' has no consumer"));
        }
        if consumers.len() > CONSUMERS_MAX {
            let count = consumers.len();
            return Err(format!("link '{name}' has {count} consumers, {CONSUMERS_MAX} at most"));
        }
        if !link.depth.is_power_of_two() || link.depth > DEPTH_MAX {
            let depth = link.depth;
            return Err(format!(
                "link '{name}': depth {depth} is no power of two up to {DEPTH_MAX}"
            ));
        }
    }
    Ok(())
}

fn several(what: &str, names: &[String]) -> String {
    format!("{} {what}: {}", names.len(), names.join(", "))
}

fn places(declared: &TopologyBuilder) -> Result<(), String> {
    let workspace = |name: &str| {
        declared.workspaces.iter().find(|one| one.name == name).expect("names were checked before")
    };
    for tile in &declared.tiles {
        let name = tile.name();
        for other in declared.tiles.iter().filter(|other| other.host() == tile.host()) {
            let are_fused =
                matches!((&tile.place, &other.place), (Place::Fused(_), Place::Fused(_)));
            if other.name() != name && !are_fused {
                let host = tile.host();
                return Err(format!("tiles '{name}' and '{}' share host '{host}'", other.name()));
            }
            if other.core != tile.core {
                let other = other.name();
                return Err(format!("fused tiles '{name}' and '{other}' name different cores"));
            }
        }
        if !tile.is_process() {
            continue;
        }
        if tile.is_unconfined {
            return Err(format!("tile '{name}' is a process, which is always closed in"));
        }
        for (how, used) in &tile.uses {
            let (needed, is_written) = match how {
                Use::Produces => {
                    let link = declared.links.iter().find(|one| one.name == *used);
                    (link.map(|link| link.workspace.clone()), true)
                }
                Use::Consumes => {
                    let link = declared.links.iter().find(|one| one.name == *used);
                    (link.map(|link| link.progress_workspace.clone()), true)
                }
                Use::Reads | Use::Writes => {
                    let object = declared.objects.iter().find(|one| one.name == *used);
                    (object.map(|object| object.workspace.clone()), *how == Use::Writes)
                }
            };
            let needed = needed.expect("uses were checked before");
            let needed = workspace(&needed);
            if needed.backing != Backing::Shared {
                return Err(format!(
                    "tile '{name}' is a process, but workspace '{}' of '{used}' is private",
                    needed.name
                ));
            }
            if is_written && !needed.processes_may_write {
                return Err(format!(
                    "tile '{name}' is a process and writes '{used}', but processes may only read \
                     workspace '{}'",
                    needed.name
                ));
            }
            if *how == Use::Consumes {
                let link = declared.links.iter().find(|one| one.name == *used);
                let data = workspace(&link.expect("uses were checked before").workspace);
                if data.backing != Backing::Shared {
                    let data = &data.name;
                    return Err(format!(
                        "tile '{name}' is a process, but workspace '{data}' of '{used}' is private"
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Looks for a cycle of links that are not declared as feedback, depth first.
fn cycles(declared: &TopologyBuilder) -> Result<(), String> {
    let count = declared.tiles.len();
    let mut next: Vec<Vec<(usize, &str)>> = vec![Vec::new(); count];
    for link in declared.links.iter().filter(|link| !link.is_feedback) {
        let users = |how| {
            let uses = move |tile: &TileDeclaration| tile.links(how).any(|name| name == link.name);
            (0..count).filter(move |number| uses(&declared.tiles[*number]))
        };
        for producer in users(Use::Produces) {
            next[producer].extend(users(Use::Consumes).map(|consumer| (consumer, &link.name[..])));
        }
    }
    // 0: not seen, 1: on the path, 2: done.
    let mut state = vec![0u8; count];
    for start in 0..count {
        let mut path = Vec::new();
        if let Some(found) = visit(start, &next, &mut state, &mut path) {
            let links: Vec<_> = found.iter().map(|name| format!("'{name}'")).collect();
            return Err(format!(
                "links {} form a cycle; a link that leads backwards must be declared as feedback",
                links.join(", ")
            ));
        }
    }
    Ok(())
}

/// Tiles are started and finished in their order, so it has to be that of the data.
fn order(declared: &TopologyBuilder) -> Result<(), String> {
    for link in declared.links.iter().filter(|link| !link.is_feedback) {
        let users = |how| {
            let uses = move |tile: &&TileDeclaration| tile.links(how).any(|name| name == link.name);
            declared.tiles.iter().enumerate().filter(move |(_, tile)| uses(tile))
        };
        let (from, producer) = users(Use::Produces).next().expect("a link has a producer");
        if let Some((_, consumer)) = users(Use::Consumes).find(|(to, _)| *to < from) {
            return Err(format!(
                "link '{}' leads from '{}' to '{}', which is declared before it: declare tiles in \
                 the order in which data flows",
                link.name,
                producer.name(),
                consumer.name()
            ));
        }
    }
    Ok(())
}

/// The links of a cycle that can be reached from a tile. Recursion goes as deep as there are tiles,
/// [`TILES_MAX`] at most.
fn visit<'a>(
    tile: usize,
    next: &[Vec<(usize, &'a str)>],
    state: &mut [u8],
    path: &mut Vec<(usize, &'a str)>,
) -> Option<Vec<&'a str>> {
    match state[tile] {
        2 => return None,
        1 => {
            let start = path.iter().position(|(from, _)| *from == tile).unwrap_or(0);
            return Some(path[start..].iter().map(|(_, link)| *link).collect());
        }
        _ => state[tile] = 1,
    }
    for (consumer, link) in &next[tile] {
        path.push((tile, link));
        if let Some(found) = visit(*consumer, next, state, path) {
            return Some(found);
        }
        path.pop();
    }
    state[tile] = 2;
    None
}
