//! The tree that a stack of layers makes: names and metadata, without contents.
//!
//! The builder asks it whether a destination is a directory, and whether a command's program is there. A container's
//! own root is mounted by the sandbox, which reads the same tars.
//!
//! Spec: OCI image-spec 1.1 layer.md, "Applying Changesets" and "Whiteouts".

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Bound;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use tar::EntryType;

use crate::layer::{Attributes, EntryMetadata, attributes_of};
use crate::store::at;
use crate::{HeaderBytes, LayerFile, StoreError};

/// Bounds the entries of all layers together, which a foreign image decides.
const ENTRIES_MAX: usize = 4_000_000;
/// Bounds symbolic links in one lookup. Linux: fs/namei.c, `MAXSYMLINKS`.
const SYMLINKS_MAX: usize = 40;
/// A file of this name hides the one below whose name follows.
const WHITEOUT_PREFIX: &str = ".wh.";
/// A file of this name hides everything below its directory.
const WHITEOUT_OPAQUE: &str = ".wh..wh..opq";

/// What a path of the tree is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    Directory,
    /// A file whose content lies in a layer's tar.
    File {
        layer_index: usize,
        offset_bytes: u64,
        size_bytes: u64,
    },
    Symlink {
        target: PathBuf,
    },
    /// A device or a pipe.
    Special,
}

/// A path of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub kind: NodeKind,
    pub metadata: EntryMetadata,
    /// None where there are none, as mostly.
    pub attributes: Option<Arc<Attributes>>,
}

/// Names a file that has several paths: the layer that holds its content, and where in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    pub layer_index: usize,
    pub offset_bytes: u64,
}

impl Node {
    fn file_id(&self) -> Option<FileId> {
        match self.kind {
            NodeKind::File {
                layer_index,
                offset_bytes,
                ..
            } => Some(FileId {
                layer_index,
                offset_bytes,
            }),
            _ => None,
        }
    }
}

/// A root file system's names. Paths are relative to the root, the root itself is the empty path.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
    layers: Vec<LayerFile>,
    /// Files to which a hard link was made. Some of their paths may be gone since.
    linked: HashSet<FileId>,
}

/// A path that leads nowhere, whatever is added below it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    #[error("`/{}` is not a directory", .0.display())]
    NotDirectory(PathBuf),
    #[error("`/{}` has too many symbolic links", .0.display())]
    TooManySymlinks(PathBuf),
}

impl Tree {
    /// Reads the tree of these layers, lowest first.
    pub fn read(layers: &[LayerFile]) -> Result<Self, StoreError> {
        let mut tree = Self::default();
        layers.iter().try_for_each(|layer| tree.push(layer))?;
        Ok(tree)
    }

    /// Returns the layers, which [`NodeKind::File`] counts.
    pub fn layers(&self) -> &[LayerFile] {
        &self.layers
    }

    /// Adds a layer on top.
    pub fn push(&mut self, layer: &LayerFile) -> Result<(), StoreError> {
        let file = File::open(&layer.path).map_err(at("read", &layer.path))?;
        let malformed = |error: io::Error| StoreError::MalformedBlob {
            digest: layer.diff_id,
            reason: error.to_string(),
        };
        let headers = HeaderBytes::new();
        let mut archive = tar::Archive::new(headers.bound(BufReader::new(file)));
        let layer_index = self.layers.len();
        let mut changes = BTreeMap::new();
        for entry in archive.entries_with_seek().map_err(malformed)? {
            let mut entry = entry.map_err(malformed)?;
            let Some(path) = relative(&entry.path().map_err(malformed)?) else {
                headers.begin_headers();
                continue;
            };
            if self.nodes.len() + changes.len() >= ENTRIES_MAX {
                return Err(StoreError::TooLarge {
                    what: "the image".to_owned(),
                    max: ENTRIES_MAX as u64,
                    unit: "files",
                });
            }
            let change = self
                .change(&mut entry, layer_index, &changes)
                .map_err(malformed)?;
            changes.insert(path, change);
            headers.begin_headers();
        }
        self.layers.push(layer.clone());
        self.apply(changes);
        Ok(())
    }

    fn change<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        layer_index: usize,
        changes: &BTreeMap<PathBuf, Node>,
    ) -> io::Result<Node> {
        let link = || Ok::<_, io::Error>(entry.link_name()?.unwrap_or_default().into_owned());
        let kind = match entry.header().entry_type() {
            EntryType::Directory => NodeKind::Directory,
            EntryType::Symlink => NodeKind::Symlink { target: link()? },
            EntryType::Link => {
                let target = relative(&link()?).unwrap_or_default();
                let found = changes
                    .get(&target)
                    .or_else(|| self.nodes.get(&target))
                    .cloned();
                let node = found.ok_or_else(|| {
                    io::Error::other(format!(
                        "a hard link to `{}`, which is not there",
                        target.display()
                    ))
                })?;
                self.linked.extend(node.file_id());
                return Ok(node);
            }
            kind if kind.is_file() || kind.is_contiguous() => NodeKind::File {
                layer_index,
                offset_bytes: entry.raw_file_position(),
                size_bytes: entry.size(),
            },
            _ => NodeKind::Special,
        };
        let header = entry.header();
        let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let metadata = EntryMetadata {
            mode: header.mode()? & 0o7777,
            uid: number(header.uid()?),
            gid: number(header.gid()?),
            mtime_s: header.mtime()?,
        };
        Ok(Node {
            kind,
            metadata,
            attributes: attributes_of(entry)?,
        })
    }

    /// Whiteouts hide what lower layers have, wherever they stand in their own layer; so they go first.
    fn apply(&mut self, changes: BTreeMap<PathBuf, Node>) {
        for path in changes.keys() {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let parent = path.parent().unwrap_or(Path::new(""));
            if name == WHITEOUT_OPAQUE {
                self.remove_below(parent);
            } else if let Some(hidden) = name.strip_prefix(WHITEOUT_PREFIX) {
                self.remove(&parent.join(hidden));
            }
        }
        for (path, node) in changes {
            let is_whiteout = path.file_name().is_some_and(|name| {
                name.as_encoded_bytes()
                    .starts_with(WHITEOUT_PREFIX.as_bytes())
            });
            if !is_whiteout {
                self.insert(path, node);
            }
        }
    }

    /// Adds a node with the directories above it, replacing what was there.
    pub fn insert(&mut self, path: PathBuf, node: Node) {
        if !matches!(node.kind, NodeKind::Directory) {
            self.remove(&path);
        }
        // What stands above a file is a directory, whether or not the layer says so.
        for ancestor in path
            .ancestors()
            .skip(1)
            .filter(|ancestor| !ancestor.as_os_str().is_empty())
        {
            if !self.is_directory(ancestor) {
                let metadata = EntryMetadata {
                    mode: 0o755,
                    uid: 0,
                    gid: 0,
                    mtime_s: 0,
                };
                let directory = Node {
                    kind: NodeKind::Directory,
                    metadata,
                    attributes: None,
                };
                self.nodes.insert(ancestor.to_owned(), directory);
            }
        }
        self.nodes.insert(path, node);
    }

    /// Adds another path of a file that is in the tree.
    pub fn insert_link(&mut self, path: PathBuf, node: Node) {
        self.linked.extend(node.file_id());
        self.insert(path, node);
    }

    /// Returns the name of a file that may have other paths too.
    pub fn linked(&self, node: &Node) -> Option<FileId> {
        node.file_id().filter(|id| self.linked.contains(id))
    }

    fn remove(&mut self, path: &Path) {
        self.remove_below(path);
        self.nodes.remove(path);
    }

    fn remove_below(&mut self, path: &Path) {
        let below: Vec<PathBuf> = self
            .below(path)
            .map(|(below, _)| below.to_owned())
            .collect();
        for path in below {
            self.nodes.remove(&path);
        }
    }

    /// Returns everything under `path`, which no symbolic link is followed to. Paths order by part, so a subtree is one run.
    pub fn below<'tree>(
        &'tree self,
        path: &'tree Path,
    ) -> impl Iterator<Item = (&'tree Path, &'tree Node)> {
        let from = (Bound::Excluded(path), Bound::Unbounded);
        let run = self
            .nodes
            .range::<Path, _>(from)
            .take_while(move |(below, _)| below.starts_with(path));
        run.map(|(below, node)| (below.as_path(), node))
    }

    /// Returns the node at a resolved path; none for the root, which is always a directory.
    pub fn get(&self, path: &Path) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Returns whether a resolved path is a directory.
    pub fn is_directory(&self, path: &Path) -> bool {
        path.as_os_str().is_empty()
            || matches!(
                self.get(path),
                Some(Node {
                    kind: NodeKind::Directory,
                    ..
                })
            )
    }

    /// Returns the path that `path` means once every symbolic link in it is followed, within the root.
    ///
    /// Parts that are not there stay as they are. `..` above the root stays at the root. POSIX: 4.16 Pathname Resolution.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, ResolveError> {
        let mut pending: Vec<PathBuf> = parts(path);
        let mut resolved = PathBuf::new();
        let mut symlinks_count = 0;
        while let Some(part) = pending.pop() {
            if part == Path::new("..") {
                resolved.pop();
                continue;
            }
            let next = resolved.join(&part);
            match self.get(&next).map(|node| &node.kind) {
                Some(NodeKind::Symlink { target }) => {
                    symlinks_count += 1;
                    if symlinks_count > SYMLINKS_MAX {
                        return Err(ResolveError::TooManySymlinks(path.to_owned()));
                    }
                    if target.is_absolute() {
                        resolved = PathBuf::new();
                    }
                    pending.extend(parts(target));
                }
                Some(NodeKind::Directory) | None => resolved = next,
                Some(_) if pending.is_empty() => resolved = next,
                Some(_) => return Err(ResolveError::NotDirectory(next)),
            }
        }
        Ok(resolved)
    }

    /// Returns the file that a path means, symbolic links followed.
    pub fn file(&self, path: &Path) -> Option<&Node> {
        let node = self.get(&self.resolve(path).ok()?)?;
        matches!(node.kind, NodeKind::File { .. }).then_some(node)
    }

    /// Returns a file's content, cut at `bytes_max`; none if there is no such file.
    pub fn read_file(&self, path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(Node {
            kind:
                NodeKind::File {
                    layer_index,
                    offset_bytes,
                    size_bytes,
                },
            ..
        }) = self.file(path)
        else {
            return Ok(None);
        };
        let layer = &self.layers[*layer_index];
        let mut file = File::open(&layer.path).map_err(at("read", &layer.path))?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(*offset_bytes))
            .and_then(|_| {
                file.take((*size_bytes).min(bytes_max))
                    .read_to_end(&mut bytes)
            })
            .map_err(at("read", &layer.path))?;
        Ok(Some(bytes))
    }
}

/// Returns the parts of a path, last first, without `.` and the leading slash.
fn parts(path: &Path) -> Vec<PathBuf> {
    let parts = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    parts
        .rev()
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect()
}

/// Returns an entry's path relative to the root, or none for the root itself and for a path with `..`, which no layer should have.
fn relative(path: &Path) -> Option<PathBuf> {
    if path.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    let relative: PathBuf = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    (!relative.as_os_str().is_empty()).then_some(relative)
}
