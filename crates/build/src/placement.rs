//! Placing: where selected files go in the image.
//!
//! Spec: Dockerfile reference, "COPY", "Destination"; BuildKit's file copies (`tonistiigi/fsutil` copy, prepareTargetDir()).

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use minke_image::tree::{NodeKind, ResolveError, Tree};
use minke_image::{Attributes, EntryMetadata};

use crate::context::Link;
use crate::mode::ModeChange;
use crate::origin::Content;
use crate::owner::Owner;
use crate::select::{Entry, Selection};

/// The permissions of directories that the builder makes itself. Docker: 0755.
const DIRECTORY_MODE: u32 = 0o755;

/// Where files go, and what they become on the way.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Absolute, cleaned.
    pub(crate) destination: PathBuf,
    /// Whether the destination was written as a directory: `dir/`, `.`.
    pub(crate) is_directory: bool,
    /// Who owns everything; none leaves each file its owner.
    pub(crate) owner: Option<Owner>,
    /// What becomes of the files' own permissions.
    pub(crate) mode: Option<ModeChange>,
    /// The time that replaces the files' own.
    pub(crate) mtime_s: Option<u64>,
}

/// An entry of the layer to be.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) metadata: EntryMetadata,
    pub(crate) content: Content,
    pub(crate) attributes: Option<Arc<Attributes>>,
}

impl Placed {
    fn is_directory(&self) -> bool {
        matches!(self.content, Content::Directory)
    }
}

/// Entries of a layer by path from the root, directories before what is in them.
pub(crate) type Placement = BTreeMap<PathBuf, Placed>;

/// Why files cannot go where they should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("`/{}` is a directory, and a file cannot replace it", .0.display())]
    FileOverDirectory(PathBuf),
    #[error("`/{}` is not a directory, and a directory cannot replace it", .0.display())]
    DirectoryOverFile(PathBuf),
    #[error("several files cannot become the one file `/{}`", .0.display())]
    SeveralFiles(PathBuf),
}

/// Places files in a tree and collects what changes.
pub(crate) struct Placer<'tree> {
    tree: &'tree Tree,
    target: &'tree Target,
    /// The time of directories that the builder makes: the newest of what goes in.
    newest_mtime_s: u64,
    /// The permissions of directories that have to be made.
    directory_mode: u32,
    placement: Placement,
    /// The files that have several names, with the number of the selection: what two sources name stays apart.
    links: BTreeMap<PathBuf, (usize, Link)>,
}

impl<'tree> Placer<'tree> {
    pub(crate) fn new(tree: &'tree Tree, target: &'tree Target, newest_mtime_s: u64) -> Self {
        Self {
            tree,
            target,
            newest_mtime_s,
            directory_mode: DIRECTORY_MODE,
            placement: Placement::new(),
            links: BTreeMap::new(),
        }
    }

    /// Places selections in their order: later ones replace earlier ones.
    pub(crate) fn place(mut self, selections: &[&Selection]) -> Result<Placement, PlaceError> {
        let destination = self.tree.resolve(&self.target.destination)?;
        for (number, selection) in selections.iter().enumerate() {
            self.directory_mode = self.directory_mode_of(selection);
            match selection {
                Selection::Directory { entries } | Selection::Unpacked { entries } => {
                    self.make_directory(&destination)?;
                    let change = self.change_of(selection);
                    for entry in entries {
                        let path = destination.join(&entry.relative);
                        let link = entry.link.map(|link| (path.clone(), (number, link)));
                        self.entry(path, entry, change)?;
                        self.links.extend(link);
                    }
                }
                Selection::File { name, entry } if self.is_directory(&destination) => {
                    self.make_directory(&destination)?;
                    let change = self.change_of(selection);
                    self.entry(destination.join(name), entry, change)?;
                }
                Selection::File { .. } if self.placement.contains_key(&destination) => {
                    return Err(PlaceError::SeveralFiles(destination));
                }
                Selection::File { entry, .. } => {
                    let change = self.change_of(selection);
                    self.entry(destination.clone(), entry, change)?;
                }
                Selection::Archive { .. } => unreachable!("archives are taken apart before"),
            }
        }
        self.link();
        Ok(self.placement)
    }

    /// Makes the later names of a file hard links to its first. BuildKit: `fsutil` copy, `inodes`.
    fn link(&mut self) {
        let mut first: BTreeMap<(usize, Link), PathBuf> = BTreeMap::new();
        for (path, link) in std::mem::take(&mut self.links) {
            let placed = self.placement.get_mut(&path);
            match (first.get(&link).cloned(), placed) {
                (Some(target), Some(placed)) => placed.content = Content::HardLink { target },
                _ => drop(first.insert(link, path)),
            }
        }
    }

    /// What an archive holds keeps its permissions. BuildKit: solver/llbsolver/file/unpack.go, unpack().
    fn change_of(&self, selection: &Selection) -> Option<&'tree ModeChange> {
        match selection {
            Selection::Unpacked { .. } => None,
            _ => self.target.mode.as_ref(),
        }
    }

    /// A number is for the directories that are made on the way too. BuildKit: `tonistiigi/fsutil` copy, Copy().
    fn directory_mode_of(&self, selection: &Selection) -> u32 {
        match self.change_of(selection) {
            Some(ModeChange::Set(mode)) => *mode,
            _ => DIRECTORY_MODE,
        }
    }

    /// Makes a directory with those above it, and returns what that changes. For `WORKDIR`.
    pub(crate) fn directory(mut self) -> Result<Placement, PlaceError> {
        let destination = self.tree.resolve(&self.target.destination)?;
        if !self.tree.is_directory(&destination) {
            self.make_directory(&destination)?;
        }
        Ok(self.placement)
    }

    fn is_directory(&self, path: &Path) -> bool {
        self.target.is_directory || self.tree.is_directory(path) || self.is_placed_directory(path)
    }

    fn is_placed_directory(&self, path: &Path) -> bool {
        self.placement.get(path).is_some_and(Placed::is_directory)
    }

    fn entry(
        &mut self,
        path: PathBuf,
        entry: &Entry,
        change: Option<&ModeChange>,
    ) -> Result<(), PlaceError> {
        let is_directory = matches!(entry.content, Content::Directory);
        let below = self.placement.get(&path).map(Placed::is_directory);
        let in_tree = self
            .tree
            .get(&path)
            .map(|node| node.kind == NodeKind::Directory);
        let was_directory = below
            .or(in_tree)
            .or_else(|| path.as_os_str().is_empty().then_some(true));
        match (was_directory, is_directory) {
            (Some(true), false) => return Err(PlaceError::FileOverDirectory(path)),
            (Some(false), true) => return Err(PlaceError::DirectoryOverFile(path)),
            _ => {}
        }
        if let Some(parent) = path.parent() {
            self.make_directory(parent)?;
        }
        let owner = self.target.owner.unwrap_or(entry.owner);
        let metadata = EntryMetadata {
            mode: change.map_or(entry.mode, |change| change.of(entry.mode, is_directory)),
            uid: owner.uid,
            gid: owner.gid,
            mtime_s: self.target.mtime_s.unwrap_or(entry.mtime_s),
        };
        // What was there before may have had other names.
        self.links.remove(&path);
        let placed = Placed {
            metadata,
            content: entry.content.clone(),
            attributes: entry.attributes.clone(),
        };
        self.placement.insert(path, placed);
        Ok(())
    }

    /// Puts a directory and those above it into the layer: as they are where the image has them, else new ones.
    fn make_directory(&mut self, path: &Path) -> Result<(), PlaceError> {
        if path.as_os_str().is_empty() || self.is_placed_directory(path) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.make_directory(parent)?;
        }
        let owner = self.target.owner.unwrap_or_default();
        let mut attributes = None;
        let metadata = match self.tree.get(path) {
            Some(node) if node.kind == NodeKind::Directory => {
                attributes.clone_from(&node.attributes);
                node.metadata
            }
            Some(_) => return Err(PlaceError::DirectoryOverFile(path.to_owned())),
            None if self.placement.contains_key(path) => {
                return Err(PlaceError::DirectoryOverFile(path.to_owned()));
            }
            None => EntryMetadata {
                mode: self.directory_mode,
                uid: owner.uid,
                gid: owner.gid,
                mtime_s: self.target.mtime_s.unwrap_or(self.newest_mtime_s),
            },
        };
        self.placement.insert(
            path.to_owned(),
            Placed {
                metadata,
                content: Content::Directory,
                attributes,
            },
        );
        Ok(())
    }
}

/// Joins a path of the image to the working directory and cleans it as text, as Go's `filepath.Join` does.
pub(crate) fn absolute(working_directory: &str, path: &str) -> PathBuf {
    let mut cleaned = PathBuf::from("/");
    for part in Path::new(working_directory).join(path).components() {
        match part {
            Component::Normal(part) => cleaned.push(part),
            Component::ParentDir => drop(cleaned.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    cleaned
}
