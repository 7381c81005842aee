//! The names of the simulated disk: folders, what they hold, and what of that is durable.
//!
//! Invariants:
//! - A file is a node; names lead to nodes, and a rename moves a name. A node whose name is taken
//!   away stays until the machine starts again, for who has it open.
//! - A change of names is atomic: one edit, or two for a rename. It is pending until every folder
//!   that it edits was synced. A loss of power leaves any subset of the pending changes done,
//!   except that changes of the same name reach the medium in their order.
//!
//! What it does *not* do: know links, permissions, or how to remove a folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use rustix::io::Errno;

use super::{content::Content, page::Page, random::Random};
use crate::{FolderEntry, Publish};

pub(super) type NodeId = u64;

/// The folder in which all paths begin.
const ROOT: NodeId = 0;

#[derive(Debug, Clone)]
enum Node {
    File(FileNode),
    Folder(Folder),
}

/// A file, with its page if it is mapped.
#[derive(Debug, Clone, Default)]
pub(super) struct FileNode {
    pub(super) content: Content,
    pub(super) page: Option<Arc<Page>>,
}

#[derive(Debug, Clone, Default)]
struct Folder {
    live: BTreeMap<OsString, NodeId>,
    durable: BTreeMap<OsString, NodeId>,
}

#[derive(Debug, Clone)]
struct Edit {
    folder: NodeId,
    name: OsString,
    /// Where the name leads from now on; nowhere, if it is taken away.
    node: Option<NodeId>,
    is_synced: bool,
}

/// Edits that happen together.
#[derive(Debug, Clone)]
struct Change {
    edits: Vec<Edit>,
}

impl Change {
    fn shares_a_name_with(&self, other: &Self) -> bool {
        let is_same = |a: &Edit, b: &Edit| a.folder == b.folder && a.name == b.name;
        self.edits.iter().any(|edit| other.edits.iter().any(|other| is_same(edit, other)))
    }
}

/// All names and files.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    nodes: BTreeMap<NodeId, Node>,
    /// Changes that are not durable, in order.
    pending: Vec<Change>,
}

impl Tree {
    pub(super) fn new() -> Self {
        let nodes = BTreeMap::from([(ROOT, Node::Folder(Folder::default()))]);
        Self { nodes, pending: Vec::new() }
    }

    /// The node at a path; relative paths begin at the root as well.
    pub(super) fn find(&self, path: &Path) -> Result<NodeId, Errno> {
        let mut node = ROOT;
        for name in names(path)? {
            node = *self.folder(node)?.live.get(&name).ok_or(Errno::NOENT)?;
        }
        Ok(node)
    }

    /// The file at a path.
    pub(super) fn find_file(&self, path: &Path) -> Result<NodeId, Errno> {
        let node = self.find(path)?;
        match self.nodes[&node] {
            Node::File(_) => Ok(node),
            Node::Folder(_) => Err(Errno::ISDIR),
        }
    }

    /// The folder at a path.
    pub(super) fn find_folder(&self, path: &Path) -> Result<NodeId, Errno> {
        let node = self.find(path)?;
        self.folder(node).map(|_| node)
    }

    fn folder(&self, node: NodeId) -> Result<&Folder, Errno> {
        match &self.nodes[&node] {
            Node::Folder(folder) => Ok(folder),
            Node::File(_) => Err(Errno::NOTDIR),
        }
    }

    fn folder_mut(&mut self, node: NodeId) -> &mut Folder {
        match self.nodes.get_mut(&node) {
            Some(Node::Folder(folder)) => folder,
            _ => panic!("only folders are edited, and they are never removed"),
        }
    }

    /// The folder that a path lies in, and its name there.
    fn place(&self, path: &Path) -> Result<(NodeId, OsString), Errno> {
        let mut names = names(path)?;
        let name = names.pop().ok_or(Errno::BUSY)?;
        let folder = self.find(&names.iter().collect::<PathBuf>())?;
        self.folder(folder)?;
        Ok((folder, name))
    }

    /// An open file.
    pub(super) fn file(&self, node: NodeId) -> &FileNode {
        match &self.nodes[&node] {
            Node::File(file) => file,
            Node::Folder(_) => panic!("only files are opened"),
        }
    }

    /// The same, to change it.
    pub(super) fn file_mut(&mut self, node: NodeId) -> &mut FileNode {
        match self.nodes.get_mut(&node) {
            Some(Node::File(file)) => file,
            _ => panic!("only files are opened, and they stay while the machine runs"),
        }
    }

    pub(super) fn create_file(&mut self, path: &Path) -> Result<NodeId, Errno> {
        let (folder, name) = self.place(path)?;
        if self.folder(folder)?.live.contains_key(&name) {
            return Err(Errno::EXIST);
        }
        Ok(self.add(folder, name, Node::File(FileNode::default())))
    }

    pub(super) fn create_folder(&mut self, path: &Path) -> Result<(), Errno> {
        if let Ok(node) = self.find(path) {
            return self.folder(node).map(|_| ()).map_err(|_| Errno::EXIST);
        }
        let (folder, name) = self.place(path)?;
        self.add(folder, name, Node::Folder(Folder::default()));
        Ok(())
    }

    fn add(&mut self, folder: NodeId, name: OsString, node: Node) -> NodeId {
        let id = self.nodes.last_key_value().expect("the root is there").0 + 1;
        self.nodes.insert(id, node);
        self.change(vec![Edit { folder, name, node: Some(id), is_synced: false }]);
        id
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path, mode: Publish) -> Result<(), Errno> {
        let (old_folder, old_name) = self.place(from)?;
        let (folder, name) = self.place(to)?;
        let node = self.find(from)?;
        if let Some(taken) = self.folder(folder)?.live.get(&name).copied() {
            match (mode, &self.nodes[&taken]) {
                (Publish::New, _) => return Err(Errno::EXIST),
                _ if taken == node => return Ok(()),
                (Publish::Replace, Node::Folder(_)) => return Err(Errno::ISDIR),
                (Publish::Replace, Node::File(_)) if self.folder(node).is_ok() => {
                    return Err(Errno::NOTDIR);
                }
                (Publish::Replace, Node::File(_)) => {}
            }
        }
        if names(to)?.starts_with(&names(from)?) {
            return Err(Errno::INVAL);
        }
        self.change(vec![
            Edit { folder: old_folder, name: old_name, node: None, is_synced: false },
            Edit { folder, name, node: Some(node), is_synced: false },
        ]);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> Result<(), Errno> {
        self.find_file(path)?;
        let (folder, name) = self.place(path)?;
        self.change(vec![Edit { folder, name, node: None, is_synced: false }]);
        Ok(())
    }

    fn change(&mut self, edits: Vec<Edit>) {
        for Edit { folder, name, node, .. } in &edits {
            let live = &mut self.folder_mut(*folder).live;
            match node {
                Some(node) => live.insert(name.clone(), *node),
                None => live.remove(name),
            };
        }
        self.pending.push(Change { edits });
    }

    pub(super) fn sync_folder(&mut self, path: &Path) -> Result<(), Errno> {
        let folder = self.find(path)?;
        self.folder(folder)?;
        for edit in self.pending.iter_mut().flat_map(|change| &mut change.edits) {
            edit.is_synced |= edit.folder == folder;
        }
        let ready = |change: &Change| change.edits.iter().all(|edit| edit.is_synced);
        let chosen = self.pending.iter().map(ready).collect();
        self.make_durable(chosen);
        Ok(())
    }

    /// Makes the chosen changes durable, with the earlier changes of the same names.
    fn make_durable(&mut self, mut chosen: Vec<bool>) {
        assert_eq!(chosen.len(), self.pending.len());
        for later in (0..chosen.len()).rev() {
            for earlier in 0..if chosen[later] { later } else { 0 } {
                chosen[earlier] |= self.pending[later].shares_a_name_with(&self.pending[earlier]);
            }
        }
        for (change, is_chosen) in std::mem::take(&mut self.pending).into_iter().zip(chosen) {
            if !is_chosen {
                self.pending.push(change);
                continue;
            }
            for Edit { folder, name, node, .. } in change.edits {
                let durable = &mut self.folder_mut(folder).durable;
                match node {
                    Some(node) => durable.insert(name, node),
                    None => durable.remove(&name),
                };
            }
        }
    }

    pub(super) fn list(&self, path: &Path) -> Result<Vec<FolderEntry>, Errno> {
        let entries = &self.folder(self.find(path)?)?.live;
        let mut list: Vec<_> = entries
            .iter()
            .filter_map(|(name, node)| {
                let (is_file, bytes) = match &self.nodes[node] {
                    Node::File(file) => (true, file.content.bytes()),
                    Node::Folder(_) => (false, 0),
                };
                Some(FolderEntry { name: name.to_str()?.to_string(), is_file, bytes })
            })
            .collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(list)
    }

    /// All files that have a name, in the order of their paths.
    pub(super) fn files(&self) -> Vec<(PathBuf, NodeId)> {
        let mut files = Vec::new();
        let mut folders = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, folder)) = folders.pop() {
            let folder = self.folder(folder).expect("only folders are put there");
            for (name, node) in &folder.live {
                match self.nodes[node] {
                    Node::File(_) => files.push((path.join(name), *node)),
                    Node::Folder(_) => folders.push((path.join(name), *node)),
                }
            }
        }
        files.sort();
        files
    }

    /// Bytes of all files that have a name.
    pub(super) fn used_bytes(&self) -> u64 {
        self.files().iter().map(|(_, node)| self.file(*node).content.bytes()).sum()
    }

    /// Takes what was stored into mapped pages into their files, and unmaps them if told to.
    pub(super) fn absorb_pages(&mut self, is_unmapped: bool) {
        for node in self.nodes.values_mut() {
            if let Node::File(file) = node {
                file.absorb_page();
                if is_unmapped {
                    file.page = None;
                }
            }
        }
    }

    /// What is left when the power goes. Nothing must be mapped.
    pub(super) fn lose_power(&mut self, random: &mut Random) {
        let chosen = random.some_of(self.pending.len());
        self.make_durable(chosen);
        self.pending.clear();
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => file.content.lose_power(random),
                Node::Folder(folder) => folder.live = folder.durable.clone(),
            }
        }
        self.forget_nameless();
    }

    fn forget_nameless(&mut self) {
        let mut named = BTreeSet::from([ROOT]);
        let mut folders = vec![ROOT];
        while let Some(node) = folders.pop() {
            if let Node::Folder(folder) = &self.nodes[&node] {
                folders.extend(folder.live.values().filter(|node| named.insert(**node)));
            }
        }
        self.nodes.retain(|node, _| named.contains(node));
    }
}

impl FileNode {
    /// Takes what was stored into the mapped page into the file.
    pub(super) fn absorb_page(&mut self) {
        if let Some(page) = &self.page {
            page.store_into(&mut self.content);
        }
    }

    /// Shows in the mapped page what was written into the file.
    pub(super) fn show_in_page(&self) {
        if let Some(page) = &self.page {
            page.load_from(&self.content);
        }
    }
}

/// The names on the way to a path.
fn names(path: &Path) -> Result<Vec<OsString>, Errno> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => names.push(name.to_os_string()),
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::INVAL),
        }
    }
    Ok(names)
}
