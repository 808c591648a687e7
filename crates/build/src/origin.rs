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
use minke_image::{Attributes, Digest, FileDigest, FileStamp, LAYER_BYTES_MAX, Store};

use crate::context::{Context, ContextError, Kind, Link, Status};
use crate::owner::Owner;
use crate::schedule;

/// What an entry holds.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Directory,
    File {
        size_bytes: u64,
        bytes: Bytes,
    },
    Symlink {
        target: PathBuf,
    },
    /// Another name of a file that goes into the same layer before; only where files are placed.
    HardLink {
        target: PathBuf,
    },
}

/// Where a file's bytes are.
#[derive(Debug, Clone)]
pub(crate) enum Bytes {
    /// In the context, where they had this digest when they were selected.
    Context { path: Arc<Path>, digest: FileDigest },
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

/// A path that was selected, before its content is looked at.
#[derive(Debug)]
pub(crate) struct Found {
    /// Path below the source; empty for the source itself.
    pub(crate) relative: PathBuf,
    /// Path in the origin, without symbolic links.
    pub(crate) source: Arc<Path>,
    pub(crate) status: Status,
}

/// A tree of files to select from. Paths are relative to its top.
pub(crate) trait Origin {
    /// Follows the symbolic links of a path, and returns the path without them and what is there.
    fn follow(&self, path: &Path) -> Result<(PathBuf, Status), ContextError>;

    /// Returns the sorted names of a directory with what they are. The path has no symbolic link.
    fn list(&self, path: &Path) -> Result<Vec<(OsString, Status)>, ContextError>;

    /// Returns what a file, directory or symbolic link holds. The path has no symbolic link before its end.
    fn content(&self, path: &Path, status: &Status) -> Result<Content, ContextError>;

    /// Returns what each of several paths holds, or the first that cannot be read.
    fn contents(&self, found: &[Found]) -> Result<Vec<Content>, (PathBuf, ContextError)> {
        let contents = found.iter().map(|found| {
            let content = self.content(&found.source, &found.status);
            content.map_err(|error| (found.source.to_path_buf(), error))
        });
        contents.collect()
    }

    /// Returns the extended attributes of a path that are copied. Those of the host's files are the host's affair.
    fn attributes(&self, _path: &Path) -> Option<Arc<Attributes>> {
        None
    }

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
    read: RefCell<Vec<(FileStamp, FileDigest)>>,
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
    pub(crate) fn into_read(self) -> Vec<(FileStamp, FileDigest)> {
        self.read.into_inner()
    }

    /// Returns the digest of each file, from its content unless it looks as it did when that was last read; none for what is
    /// no file.
    fn digests(&self, found: &[Found]) -> Result<Vec<Option<ReadFile>>, (PathBuf, ContextError)> {
        let mut files = self.known(found);
        let is_unknown = |index: &usize| {
            files[*index].is_none()
                && matches!(found[*index].status.kind, Kind::File | Kind::Special)
        };
        let unknown: Vec<usize> = (0..found.len()).filter(is_unknown).collect();
        let context = self.context;
        let read = schedule::each(&unknown, |index| read(context, &found[*index].source));
        let read =
            read.map_err(|(index, error)| (found[unknown[index]].source.to_path_buf(), error))?;
        for (index, file) in unknown.into_iter().zip(read) {
            let stamped = file.stamp.map(|stamp| (stamp, file.digest));
            self.read.borrow_mut().extend(stamped);
            files[index] = Some(file);
        }
        Ok(files)
    }

    /// Returns what is known without reading. A cache that cannot be read is as good as an empty one.
    fn known(&self, found: &[Found]) -> Vec<Option<ReadFile>> {
        let stamps = found.iter().map(|found| found.status.file_stamp());
        let stamps: Vec<Option<FileStamp>> = stamps.collect();
        let Ok(known) = self.store.file_digests(&stamps) else {
            return vec![None; found.len()];
        };
        let file = |(digest, found): (Option<FileDigest>, &Found)| {
            digest.map(|digest| ReadFile {
                digest,
                size_bytes: found.status.size_bytes,
                stamp: found.status.stamp,
            })
        };
        known.into_iter().zip(found).map(file).collect()
    }
}

/// A file that was read, now or before.
#[derive(Debug, Clone, Copy)]
struct ReadFile {
    digest: FileDigest,
    size_bytes: u64,
    /// None if it grew or shrank meanwhile.
    stamp: Option<FileStamp>,
}

/// Reads a file for its digest.
fn read(context: &Context, path: &Path) -> Result<ReadFile, ContextError> {
    let (file, status) = context.open_file(path)?;
    let (digest, size_bytes) =
        FileDigest::of_reader(file.take(LAYER_BYTES_MAX + 1)).map_err(ContextError::Io)?;
    if size_bytes > LAYER_BYTES_MAX {
        return Err(ContextError::Io(io::ErrorKind::FileTooLarge.into()));
    }
    let stamp = status.stamp.filter(|stamp| stamp.size_bytes == size_bytes);
    Ok(ReadFile {
        digest,
        size_bytes,
        stamp,
    })
}

impl Origin for ContextOrigin<'_> {
    fn follow(&self, path: &Path) -> Result<(PathBuf, Status), ContextError> {
        self.context.follow(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, Status)>, ContextError> {
        self.context.list(path)
    }

    fn content(&self, path: &Path, status: &Status) -> Result<Content, ContextError> {
        let found = Found {
            relative: PathBuf::new(),
            source: path.into(),
            status: *status,
        };
        let contents = self.contents(&[found]).map_err(|(_, error)| error)?;
        contents.into_iter().next().ok_or(ContextError::NotFound)
    }

    fn contents(&self, found: &[Found]) -> Result<Vec<Content>, (PathBuf, ContextError)> {
        let digests = self.digests(found)?;
        let content = |(found, file): (&Found, Option<ReadFile>)| match file {
            Some(file) => Ok(Content::File {
                size_bytes: file.size_bytes,
                bytes: Bytes::Context {
                    path: Arc::clone(&found.source),
                    digest: file.digest,
                },
            }),
            None if found.status.kind == Kind::Symlink => {
                let target = self.context.read_link(&found.source);
                let target = target.map_err(|error| (found.source.to_path_buf(), error))?;
                Ok(Content::Symlink { target })
            }
            None => Ok(Content::Directory),
        };
        found.iter().zip(digests).map(content).collect()
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
        let node = self.tree.get(path).ok_or(ContextError::NotFound)?;
        Ok(self.status_of(node))
    }

    fn status_of(&self, node: &Node) -> Status {
        let link = self.tree.linked(node);
        Status {
            link: link.map(|file| Link(file.offset_bytes, file.layer_index as u64)),
            ..status_of(node)
        }
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
        link: None,
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
            (name, self.status_of(node))
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

    fn attributes(&self, path: &Path) -> Option<Arc<Attributes>> {
        self.tree.get(path)?.attributes.clone()
    }

    fn ignore(&self) -> &IgnoreFile {
        &self.ignore
    }
}
