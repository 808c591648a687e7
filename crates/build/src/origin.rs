//! Origins: where `COPY` takes files from, and where their bytes are.
//!
//! A context is a directory of the host ([`Context`]); a stage, an image and an archive are trees whose contents lie in
//! files that never change ([`TreeOrigin`]). Selecting does not tell them apart.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minke_balenafile::IgnoreFile;
use minke_image::tree::{Node, NodeKind, Tree};
use minke_image::{Digest, FileStamp, LAYER_BYTES_MAX, Store};

use crate::context::{Context, ContextError, Kind, Status};
use crate::owner::Owner;

/// What an entry holds.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Directory,
    File { size_bytes: u64, bytes: Bytes },
    Symlink { target: PathBuf },
}

/// Where a file's bytes are.
#[derive(Debug, Clone)]
pub(crate) enum Bytes {
    /// In the context, where they had this digest when they were selected.
    Context { path: PathBuf, digest: Digest },
    /// A part of a file that never changes.
    Range {
        file: Arc<FrozenFile>,
        offset_bytes: u64,
    },
    /// In the Balenafile itself.
    Memory(Arc<[u8]>),
}

/// A file whose content is known by its digest.
#[derive(Debug)]
pub(crate) struct FrozenFile {
    pub(crate) file: File,
    pub(crate) digest: Digest,
}

/// Reads a part of a frozen file.
pub(crate) struct RangeReader<'file> {
    pub(crate) file: &'file File,
    pub(crate) offset_bytes: u64,
    pub(crate) rest_bytes: u64,
}

impl Read for RangeReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most =
            usize::try_from(self.rest_bytes).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        let count = self.file.read_at(&mut buffer[..most], self.offset_bytes)?;
        self.offset_bytes += count as u64;
        self.rest_bytes -= count as u64;
        Ok(count)
    }
}

/// A tree of files to select from. Paths are relative to its top.
pub(crate) trait Origin {
    /// Follows the symbolic links of a path, and returns the path without them and what is there.
    fn follow(&self, path: &Path) -> Result<(PathBuf, Status), ContextError>;

    /// Returns the sorted names of a directory with what they are. The path has no symbolic link.
    fn list(&self, path: &Path) -> Result<Vec<(OsString, Status)>, ContextError>;

    /// Returns what a file, directory or symbolic link holds. The path has no symbolic link before its end.
    fn content(&self, path: &Path, status: &Status) -> Result<Content, ContextError>;

    /// The patterns of what does not exist for the build.
    fn ignore(&self) -> &IgnoreFile;

    fn is_ignored(&self, path: &Path) -> bool {
        !path.as_os_str().is_empty() && self.ignore().is_ignored(&path.to_string_lossy())
    }
}

/// A directory of the host, and what is known of its files' contents.
pub(crate) struct ContextOrigin<'build> {
    context: &'build Context,
    /// Knows the digests of files that were read before.
    store: &'build Store,
    read: RefCell<Vec<(FileStamp, Digest)>>,
}

impl<'build> ContextOrigin<'build> {
    pub(crate) fn new(context: &'build Context, store: &'build Store) -> Self {
        Self {
            context,
            store,
            read: RefCell::default(),
        }
    }

    /// Returns the digests of what had to be read.
    pub(crate) fn into_read(self) -> Vec<(FileStamp, Digest)> {
        self.read.into_inner()
    }

    /// Returns a file's digest, from its content unless it looks as it did when that was last read.
    fn digest(&self, path: &Path, seen: &Status) -> Result<(Digest, u64), ContextError> {
        if let Some(digest) = self.known(seen.stamp.as_ref()) {
            return Ok((digest, seen.size_bytes));
        }
        let (file, status) = self.context.open_file(path)?;
        let (digest, size_bytes) =
            Digest::of_reader(file.take(LAYER_BYTES_MAX + 1)).map_err(ContextError::Io)?;
        if size_bytes > LAYER_BYTES_MAX {
            return Err(ContextError::Io(io::ErrorKind::FileTooLarge.into()));
        }
        if let Some(stamp) = status.stamp.filter(|stamp| stamp.size_bytes == size_bytes) {
            self.read.borrow_mut().push((stamp, digest));
        }
        Ok((digest, size_bytes))
    }

    /// A cache that cannot be read is as good as an empty one.
    fn known(&self, stamp: Option<&FileStamp>) -> Option<Digest> {
        self.store.file_digest(stamp?).ok().flatten()
    }
}

impl Origin for ContextOrigin<'_> {
    fn follow(&self, path: &Path) -> Result<(PathBuf, Status), ContextError> {
        self.context.follow(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, Status)>, ContextError> {
        self.context.list(path)
    }

    fn content(&self, path: &Path, status: &Status) -> Result<Content, ContextError> {
        Ok(match status.kind {
            Kind::Directory => Content::Directory,
            Kind::Symlink => Content::Symlink {
                target: self.context.read_link(path)?,
            },
            Kind::File | Kind::Special => {
                let (digest, size_bytes) = self.digest(path, status)?;
                let path = path.to_owned();
                Content::File {
                    size_bytes,
                    bytes: Bytes::Context { path, digest },
                }
            }
        })
    }

    fn ignore(&self) -> &IgnoreFile {
        self.context.ignore()
    }
}

/// The tree of a stage, an image or an archive.
#[derive(Debug)]
pub(crate) struct TreeOrigin {
    pub(crate) tree: Tree,
    /// What [`NodeKind::File`] counts.
    pub(crate) files: Vec<Arc<FrozenFile>>,
    pub(crate) ignore: IgnoreFile,
}

impl TreeOrigin {
    pub(crate) fn new(tree: Tree, files: Vec<Arc<FrozenFile>>) -> Self {
        Self {
            tree,
            files,
            ignore: IgnoreFile::default(),
        }
    }

    /// Opens the files of a tree of layers.
    pub(crate) fn of_layers(tree: Tree) -> io::Result<Self> {
        let open = |layer: &minke_image::LayerFile| {
            Ok(Arc::new(FrozenFile {
                file: File::open(&layer.path)?,
                digest: layer.diff_id,
            }))
        };
        let files: io::Result<_> = tree.layers().iter().map(open).collect();
        Ok(Self::new(tree, files?))
    }

    /// Returns the content of a file, cut at `bytes_max`; none if there is no such file.
    pub(crate) fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(NodeKind::File {
            layer_index,
            offset_bytes,
            size_bytes,
        }) = self.tree.file(path).map(|node| &node.kind)
        else {
            return Ok(None);
        };
        let mut reader = RangeReader {
            file: &self.files[*layer_index].file,
            offset_bytes: *offset_bytes,
            rest_bytes: (*size_bytes).min(bytes_max),
        };
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn status(&self, path: &Path) -> Result<Status, ContextError> {
        if path.as_os_str().is_empty() {
            return Ok(Status::of_top());
        }
        self.tree
            .get(path)
            .map(status_of)
            .ok_or(ContextError::NotFound)
    }
}

fn status_of(node: &Node) -> Status {
    let (kind, size_bytes) = match &node.kind {
        NodeKind::Directory => (Kind::Directory, 0),
        NodeKind::File { size_bytes, .. } => (Kind::File, *size_bytes),
        NodeKind::Symlink { .. } => (Kind::Symlink, 0),
        NodeKind::Special => (Kind::Special, 0),
    };
    Status {
        kind,
        mode: node.metadata.mode,
        owner: Owner {
            uid: node.metadata.uid,
            gid: node.metadata.gid,
        },
        mtime_s: node.metadata.mtime_s,
        size_bytes,
        stamp: None,
    }
}

impl Origin for TreeOrigin {
    fn follow(&self, path: &Path) -> Result<(PathBuf, Status), ContextError> {
        let resolved = self
            .tree
            .resolve(path)
            .map_err(|_| ContextError::NotDirectory)?;
        let status = self.status(&resolved)?;
        Ok((resolved, status))
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, Status)>, ContextError> {
        let below = self.tree.below(path);
        let children = below.filter(|(below, _)| below.parent() == Some(path));
        let named = children.map(|(below, node)| {
            let name = below.file_name().unwrap_or(OsStr::new("")).to_owned();
            (name, status_of(node))
        });
        Ok(named.collect())
    }

    fn content(&self, path: &Path, _status: &Status) -> Result<Content, ContextError> {
        if path.as_os_str().is_empty() {
            return Ok(Content::Directory);
        }
        let node = self.tree.get(path).ok_or(ContextError::NotFound)?;
        Ok(match &node.kind {
            NodeKind::Directory => Content::Directory,
            NodeKind::Symlink { target } => Content::Symlink {
                target: target.clone(),
            },
            NodeKind::File {
                layer_index,
                offset_bytes,
                size_bytes,
            } => Content::File {
                size_bytes: *size_bytes,
                bytes: Bytes::Range {
                    file: Arc::clone(&self.files[*layer_index]),
                    offset_bytes: *offset_bytes,
                },
            },
            NodeKind::Special => return Err(ContextError::Special),
        })
    }

    fn ignore(&self) -> &IgnoreFile {
        &self.ignore
    }
}
