//! Merging layers into one tree.
//!
//! Layers come lowest first, each as entries in any order. A later entry replaces an earlier
//! one of its name, except that a directory keeps what it holds. Whiteouts and opaque marks hide what
//! *lower* layers brought, whatever their place in their own layer.
//!
//! Entries come from strangers: paths are taken apart here and links are followed inside the
//! tree only, and there are limits on everything that is kept.
//!
//! Spec: OCI image-spec 1.1 layer.md, "Applying Changesets", "Whiteouts".

use std::collections::BTreeMap;
use std::sync::Arc;

use minke_abi::linux::{NAME_MAX, PATH_MAX, SYMLINKS_MAX};

use super::{ByteRange, Content, Data, Extended, Node, Tree};
use crate::vfs::{Name, Timestamp, new_device};

/// Entries of all layers together: bounds the memory that an image can ask for (some 200 bytes each).
const ENTRIES_MAX: usize = 2_000_000;
/// Bytes of link targets and extended attributes of all layers together.
const TEXT_BYTES_MAX: usize = 64 << 20;
/// Steps of path walks and names looked at for whiteouts, of all layers together: bounds the time
/// that a hostile image can take. An entry takes about ten.
const STEPS_MAX: usize = 100_000_000;
/// Permission bits of a directory that no layer has an entry for.
const IMPLICIT_DIRECTORY_MODE: u32 = 0o755;
/// The top directory.
const ROOT: u32 = 0;

/// What was wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    #[error("path `{0}` leaves the image by `..`")]
    Outside(String),
    #[error(
        "path `{0}` has a component longer than {NAME_MAX} bytes, a zero byte, or is longer than {PATH_MAX} bytes"
    )]
    BadName(String),
    #[error("path `{0}` goes through something that is not a directory")]
    NotDirectory(String),
    #[error("path `{0}` goes through more than {SYMLINKS_MAX} symbolic links")]
    TooManyLinks(String),
    #[error("hard link to `{0}`, which is no file of the image")]
    BadHardLink(String),
    #[error("more than {ENTRIES_MAX} entries")]
    TooManyEntries,
    #[error("more than {TEXT_BYTES_MAX} bytes of link targets and extended attributes")]
    TooMuchText,
    #[error("layers whose paths and whiteouts take more than {STEPS_MAX} steps")]
    TooMuchWork,
}

/// Owner, mode and time of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeOwner {
    pub uid: u32,
    pub gid: u32,
    /// The low twelve bits count.
    pub mode: u32,
    pub modified: Timestamp,
}

/// What an entry is.
pub enum TreeKind<'a> {
    Regular(ByteRange),
    Directory,
    Symlink(&'a [u8]),
    /// Another name for what an earlier entry has brought, of this layer or a lower one.
    HardLink(&'a [u8]),
    CharacterDevice(u64),
    BlockDevice(u64),
    Fifo,
}

/// An entry of a layer.
pub struct TreeEntry<'a> {
    pub owner: TreeOwner,
    pub kind: TreeKind<'a>,
    /// Extended attributes.
    pub extended: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A tree in the making.
pub struct TreeBuilder {
    nodes: Vec<Draft>,
    layer: u32,
    text_bytes: usize,
    steps: usize,
}

struct Draft {
    content: DraftContent,
    owner: TreeOwner,
    extended: Extended,
}

enum DraftContent {
    Directory {
        parent: u32,
        children: BTreeMap<Name, Child>,
    },
    Other(Content),
}

#[derive(Clone, Copy)]
struct Child {
    node: u32,
    /// The layer that brought the name last.
    layer: u32,
}

impl Default for TreeBuilder {
    fn default() -> TreeBuilder {
        TreeBuilder::new()
    }
}

impl TreeBuilder {
    /// Starts with an empty top directory and the first layer.
    pub fn new() -> TreeBuilder {
        TreeBuilder {
            nodes: vec![Draft::directory(ROOT)],
            layer: 0,
            text_bytes: 0,
            steps: 0,
        }
    }

    /// Ends a layer: what follows lies above it.
    pub fn next_layer(&mut self) {
        self.layer += 1;
    }

    /// Adds an entry under a path, which is relative to the top whether it begins with `/` or not.
    pub fn add(&mut self, path: &[u8], entry: TreeEntry<'_>) -> Result<(), TreeError> {
        let TreeEntry {
            owner,
            kind,
            extended,
        } = entry;
        let Some((directory, name)) = self.place_of(path)? else {
            return self.set_root(owner, extended);
        };
        let extended = self.charge_extended(extended)?;
        let content = match kind {
            TreeKind::Directory => {
                let node = self.directory_at(directory, name)?;
                self.set_owner(node, owner, extended);
                return Ok(());
            }
            TreeKind::HardLink(target) => {
                let node = self.hard_link_target(target)?;
                self.put(directory, name, node);
                return Ok(());
            }
            TreeKind::Symlink(target) => {
                self.charge_text(target.len())?;
                Content::Symlink(target.into())
            }
            TreeKind::Regular(range) => Content::Regular(range),
            TreeKind::CharacterDevice(id) => Content::CharacterDevice(id),
            TreeKind::BlockDevice(id) => Content::BlockDevice(id),
            TreeKind::Fifo => Content::Fifo,
        };
        let node = self.push(DraftContent::Other(content))?;
        self.set_owner(node, owner, extended);
        self.put(directory, name, node);
        Ok(())
    }

    /// Hides a path of lower layers (`.wh.NAME`). What does not exist is no error.
    pub fn white_out(&mut self, path: &[u8]) -> Result<(), TreeError> {
        if let Some((directory, name)) = self.place_of(path)? {
            return self.hide(directory, &[Name::from_slice(name)]);
        }
        Ok(())
    }

    /// Hides what lower layers have in a directory (`.wh..wh..opq`).
    pub fn make_opaque(&mut self, path: &[u8]) -> Result<(), TreeError> {
        let directory = match self.place_of(path)? {
            None => ROOT,
            Some((directory, name)) => self.directory_at(directory, name)?,
        };
        let names: Vec<Name> = self.children(directory).keys().cloned().collect();
        self.hide(directory, &names)
    }

    /// Ends the last layer.
    pub fn finish(self) -> Tree {
        let links = self.count_links();
        let nodes = self.nodes.into_iter().zip(links);
        Tree {
            data: Arc::new(Data {
                device: new_device(),
                nodes: nodes.map(|(draft, links)| draft.finish(links)).collect(),
            }),
        }
    }

    /// Counts the names that lead to each node from the top; for a directory, itself, its name
    /// and its subdirectories.
    fn count_links(&self) -> Vec<u32> {
        let mut links = vec![0_u32; self.nodes.len()];
        links[ROOT as usize] = 1;
        let mut directories = vec![ROOT];
        while let Some(directory) = directories.pop() {
            links[directory as usize] += 1;
            for child in self.children(directory).values() {
                links[child.node as usize] += 1;
                if self.nodes[child.node as usize].is_directory() {
                    links[directory as usize] += 1;
                    directories.push(child.node);
                }
            }
        }
        links
    }

    fn set_root(
        &mut self,
        owner: TreeOwner,
        extended: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<(), TreeError> {
        let extended = self.charge_extended(extended)?;
        self.set_owner(ROOT, owner, extended);
        Ok(())
    }

    fn set_owner(&mut self, node: u32, owner: TreeOwner, extended: Extended) {
        let draft = &mut self.nodes[node as usize];
        draft.owner = owner;
        draft.extended = extended;
    }

    fn push(&mut self, content: DraftContent) -> Result<u32, TreeError> {
        if self.nodes.len() >= ENTRIES_MAX {
            return Err(TreeError::TooManyEntries);
        }
        self.nodes.push(Draft {
            content,
            owner: TreeOwner::default(),
            extended: None,
        });
        Ok(self.nodes.len() as u32 - 1)
    }

    fn put(&mut self, directory: u32, name: &[u8], node: u32) {
        let layer = self.layer;
        self.children_mut(directory)
            .insert(Name::from_slice(name), Child { node, layer });
    }

    fn charge_text(&mut self, bytes: usize) -> Result<(), TreeError> {
        self.text_bytes = self.text_bytes.saturating_add(bytes);
        if self.text_bytes > TEXT_BYTES_MAX {
            return Err(TreeError::TooMuchText);
        }
        Ok(())
    }

    fn charge_steps(&mut self, steps: usize) -> Result<(), TreeError> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > STEPS_MAX {
            return Err(TreeError::TooMuchWork);
        }
        Ok(())
    }

    fn charge_extended(&mut self, all: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Extended, TreeError> {
        if all.is_empty() {
            return Ok(None);
        }
        self.charge_text(
            all.iter()
                .map(|(name, value)| name.len() + value.len())
                .sum(),
        )?;
        Ok(Some(all.into()))
    }

    /// Returns a directory of this name, which replaces anything else that has it.
    fn directory_at(&mut self, directory: u32, name: &[u8]) -> Result<u32, TreeError> {
        if let Some(child) = self.children(directory).get(name).copied()
            && self.nodes[child.node as usize].is_directory()
        {
            self.put(directory, name, child.node);
            return Ok(child.node);
        }
        let node = self.push_directory(directory)?;
        self.put(directory, name, node);
        Ok(node)
    }

    fn push_directory(&mut self, parent: u32) -> Result<u32, TreeError> {
        let node = self.push(DraftContent::Directory {
            parent,
            children: BTreeMap::new(),
        })?;
        self.nodes[node as usize].owner.mode = IMPLICIT_DIRECTORY_MODE;
        Ok(node)
    }

    fn hard_link_target(&mut self, target: &[u8]) -> Result<u32, TreeError> {
        let bad = || TreeError::BadHardLink(shown(target));
        let (directory, name) = self.place_of(target)?.ok_or_else(bad)?;
        let child = self.children(directory).get(name).ok_or_else(bad)?;
        if self.nodes[child.node as usize].is_directory() {
            return Err(bad());
        }
        Ok(child.node)
    }

    /// Returns the directory and the name that a path ends with; `None` for the top itself.
    ///
    /// Directories on the way are made when they are missing, and links are followed inside the tree, as
    /// by `openat2` with `RESOLVE_IN_ROOT`.
    fn place_of<'p>(&mut self, path: &'p [u8]) -> Result<Option<(u32, &'p [u8])>, TreeError> {
        check_path(path)?;
        let mut names = path.split(|byte| *byte == b'/').filter(is_name);
        let Some(last) = names.next_back() else {
            return Ok(None);
        };
        let mut pending: Vec<Name> = names.rev().map(Name::from_slice).collect();
        let mut directory = ROOT;
        let mut links_left = SYMLINKS_MAX;
        self.charge_steps(pending.len() + 1)?;
        while let Some(name) = pending.pop() {
            directory = match self.step(directory, &name, path)? {
                Step::Into(node) => node,
                Step::Link { target, from } => {
                    links_left = links_left
                        .checked_sub(1)
                        .ok_or_else(|| TreeError::TooManyLinks(shown(path)))?;
                    self.charge_steps(target.len())?;
                    pending.extend(target);
                    from
                }
            };
        }
        Ok(Some((directory, last)))
    }

    fn step(&mut self, directory: u32, name: &Name, path: &[u8]) -> Result<Step, TreeError> {
        if name[..] == *b".." {
            return Ok(Step::Into(self.parent_of(directory)));
        }
        let Some(child) = self.children(directory).get(name).copied() else {
            return self.directory_at(directory, name).map(Step::Into);
        };
        match &self.nodes[child.node as usize].content {
            DraftContent::Directory { .. } => Ok(Step::Into(child.node)),
            DraftContent::Other(Content::Symlink(target)) => {
                check_path_text(target)?;
                let is_absolute = target.first() == Some(&b'/');
                let names = target.split(|byte| *byte == b'/').filter(is_name);
                Ok(Step::Link {
                    target: names.rev().map(Name::from_slice).collect(),
                    from: if is_absolute { ROOT } else { directory },
                })
            }
            // A lower layer's file makes room for this layer's directory, as when unpacking.
            DraftContent::Other(_) if child.layer < self.layer => {
                self.directory_at(directory, name).map(Step::Into)
            }
            DraftContent::Other(_) => Err(TreeError::NotDirectory(shown(path))),
        }
    }

    fn parent_of(&self, directory: u32) -> u32 {
        match self.nodes[directory as usize].content {
            DraftContent::Directory { parent, .. } => parent,
            DraftContent::Other(_) => ROOT,
        }
    }

    /// Removes names as far as lower layers brought them.
    ///
    /// Of a directory that holds something of this layer, that much stays.
    fn hide(&mut self, directory: u32, names: &[Name]) -> Result<(), TreeError> {
        let mut order = Vec::new();
        for name in names {
            self.collect(directory, name, &mut order);
        }
        self.charge_steps(order.len())?;
        // Children come after their parents: backwards, so that a directory is seen once its own are gone.
        for (directory, name) in order.into_iter().rev() {
            let Some(child) = self.children(directory).get(&name).copied() else {
                continue;
            };
            let keeps_own = match &self.nodes[child.node as usize].content {
                DraftContent::Directory { children, .. } => !children.is_empty(),
                DraftContent::Other(_) => false,
            };
            if child.layer < self.layer && !keeps_own {
                self.children_mut(directory).remove(&name);
            }
        }
        Ok(())
    }

    /// Lists a name and all below it, parents first.
    fn collect(&self, directory: u32, name: &Name, order: &mut Vec<(u32, Name)>) {
        let start = order.len();
        order.push((directory, name.clone()));
        let mut next = start;
        while next < order.len() {
            let (directory, name) = &order[next];
            next += 1;
            let Some(child) = self.children(*directory).get(name) else {
                continue;
            };
            if let DraftContent::Directory { children, .. } =
                &self.nodes[child.node as usize].content
            {
                let node = child.node;
                order.extend(children.keys().map(|name| (node, name.clone())));
            }
        }
    }

    fn children(&self, directory: u32) -> &BTreeMap<Name, Child> {
        match &self.nodes[directory as usize].content {
            DraftContent::Directory { children, .. } => children,
            DraftContent::Other(_) => unreachable!("callers hold the index of a directory"),
        }
    }

    fn children_mut(&mut self, directory: u32) -> &mut BTreeMap<Name, Child> {
        match &mut self.nodes[directory as usize].content {
            DraftContent::Directory { children, .. } => children,
            DraftContent::Other(_) => unreachable!("callers hold the index of a directory"),
        }
    }
}

/// One component of a walk.
enum Step {
    Into(u32),
    Link {
        /// The target's components, last first.
        target: Vec<Name>,
        from: u32,
    },
}

impl Draft {
    fn directory(parent: u32) -> Draft {
        Draft {
            content: DraftContent::Directory {
                parent,
                children: BTreeMap::new(),
            },
            owner: TreeOwner {
                mode: IMPLICIT_DIRECTORY_MODE,
                ..TreeOwner::default()
            },
            extended: None,
        }
    }

    fn is_directory(&self) -> bool {
        matches!(self.content, DraftContent::Directory { .. })
    }

    fn finish(self, links: u32) -> Node {
        let content = match self.content {
            // No name leads here any more: hold no content for it.
            DraftContent::Other(_) if links == 0 => Content::Fifo,
            DraftContent::Other(content) => content,
            DraftContent::Directory { parent, children } => Content::Directory {
                parent,
                children: children
                    .into_iter()
                    .map(|(name, child)| (name, child.node))
                    .collect(),
            },
        };
        Node {
            content,
            mode: (self.owner.mode & 0o7777) as u16,
            uid: self.owner.uid,
            gid: self.owner.gid,
            links,
            modified: self.owner.modified,
            extended: self.extended,
        }
    }
}

fn is_name(component: &&[u8]) -> bool {
    !component.is_empty() && *component != b"."
}

/// Checks the path of an entry: `..` has no business there.
fn check_path(path: &[u8]) -> Result<(), TreeError> {
    if path.split(|byte| *byte == b'/').any(|name| name == b"..") {
        return Err(TreeError::Outside(shown(path)));
    }
    check_path_text(path)
}

fn check_path_text(path: &[u8]) -> Result<(), TreeError> {
    let is_long = |name: &[u8]| name.len() > NAME_MAX;
    let is_bad = path.len() >= PATH_MAX
        || path.contains(&0)
        || path.split(|byte| *byte == b'/').any(is_long);
    if is_bad {
        return Err(TreeError::BadName(shown(path)));
    }
    Ok(())
}

/// Bytes of a path that an error shows.
const SHOWN_BYTES_MAX: usize = 200;

fn shown(path: &[u8]) -> String {
    let part = &path[..path.len().min(SHOWN_BYTES_MAX)];
    String::from_utf8_lossy(part).into_owned()
}
