//! What became of a container's root: a list of paths, or the tar of a layer.
//!
//! What the runtime itself made so that something can be mounted is none of it, as in Docker, whose `init` layer has that.
//!
//! Spec: OCI image-spec 1.1 layer.md, "Representing Changes", "Whiteouts"; Docker: `docs/reference/commandline/container_diff.md`.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use minke_abi::Errno;
use minke_abi::linux::FileType;
use minke_kernel::vfs::changes::{Before, Change, visit_changes};
use minke_kernel::vfs::{FileSystem, Inode};

use crate::disks::Lower;

use super::request::ChangeKind;
use super::{FilesError, TreeWriter, text};

/// A file of this name hides the one below whose name follows.
const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// A file of this name hides everything that lower layers have in its directory.
const WHITEOUT_OPAQUE: &[u8] = b".wh..wh..opq";

/// A container's root: what it began as, and what it is.
pub(crate) struct Root {
    pub(crate) upper: Arc<dyn FileSystem>,
    pub(crate) lower: Lower,
}

/// Says of a change whether it is none of the program's.
pub(crate) type IsHidden<'a> =
    dyn Fn(&[u8], &Arc<dyn Inode>, Before<'_>) -> Result<bool, Errno> + 'a;

impl Root {
    /// Tells of every change.
    pub(crate) fn visit(
        &self,
        visit: &mut dyn FnMut(&Change<'_>) -> Result<(), FilesError>,
    ) -> Result<(), FilesError> {
        let (lower, scope) = self.lower.open()?;
        visit_changes(&*self.upper, &*lower, &scope, visit)
    }

    /// Writes the changes as [`FilesRequest::Changes`](super::request::FilesRequest::Changes) says.
    pub(super) fn list_changes(
        &self,
        made: &RuntimePaths,
        sink: &mut dyn Write,
    ) -> Result<(), FilesError> {
        let mut sink = BufWriter::new(sink);
        self.visit(&mut |change| {
            let (kind, path) = match change {
                Change::Absent { path } => (ChangeKind::Deleted, path),
                Change::Present {
                    path,
                    inode,
                    before,
                    ..
                } => {
                    if made.is_made(path, inode, *before)? {
                        return Ok(());
                    }
                    match before {
                        Before::Nothing => (ChangeKind::Added, path),
                        Before::Other | Before::Same(_) => (ChangeKind::Changed, path),
                    }
                }
            };
            sink.write_all(&[kind.letter(), b'/'])?;
            sink.write_all(path)?;
            Ok(sink.write_all(&[0])?)
        })?;
        Ok(sink.flush()?)
    }

    /// Writes the changes as the tar of a layer, but those that `is_hidden` says.
    pub(crate) fn write_layer(
        &self,
        is_hidden: &IsHidden<'_>,
        sink: &mut dyn Write,
    ) -> Result<(), FilesError> {
        let mut writer = TreeWriter::new(sink);
        self.visit(&mut |change| match change {
            Change::Absent { path } => {
                let (directory, name) = split(path);
                writer.empty(&[directory, WHITEOUT_PREFIX, name].concat())
            }
            Change::Present {
                path,
                inode,
                metadata,
                before,
            } => {
                if is_hidden(path, inode, *before)? {
                    return Ok(());
                }
                if split(path).1.starts_with(WHITEOUT_PREFIX) {
                    return Err(FilesError::ReservedName { path: text(path) });
                }
                writer.object(path, inode, metadata)?;
                let is_directory = metadata.file_type == FileType::Directory;
                match before {
                    Before::Other if is_directory => {
                        writer.empty(&[path, &b"/"[..], WHITEOUT_OPAQUE].concat())
                    }
                    _ => Ok(()),
                }
            }
        })?;
        writer.finish()
    }
}

/// Returns the directory of a path, with its slash, and the name in it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = path.iter().rposition(|byte| *byte == b'/');
    path.split_at(slash.map_or(0, |slash| slash + 1))
}

/// The paths at which the runtime makes what is missing, without slashes around them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuntimePaths(BTreeSet<Vec<u8>>);

impl RuntimePaths {
    pub(crate) fn new<'a>(paths: impl Iterator<Item = &'a str>) -> RuntimePaths {
        let names = |path: &str| {
            let names = path.split('/');
            let names: Vec<&str> = names.filter(|it| !it.is_empty() && *it != ".").collect();
            names.join("/").into_bytes()
        };
        RuntimePaths(paths.map(names).filter(|path| !path.is_empty()).collect())
    }

    /// Whether one of them begins with this path.
    fn leads_through(&self, path: &[u8]) -> bool {
        let directory = [path, b"/"].concat();
        let mut after = self.0.range(directory.clone()..);
        after.next().is_some_and(|it| it.starts_with(&directory))
    }

    /// Whether a change is nothing but what the runtime made. Where the image has a file already, it makes none.
    pub(crate) fn is_made(
        &self,
        path: &[u8],
        inode: &Arc<dyn Inode>,
        before: Before<'_>,
    ) -> Result<bool, Errno> {
        let is_target = self.0.contains(path);
        if !is_target && !self.leads_through(path) {
            return Ok(false);
        }
        let is_directory = inode.file_type() == FileType::Directory;
        match before {
            Before::Other => Ok(false),
            Before::Nothing if is_directory => self.is_all_made(path, inode, None),
            Before::Nothing | Before::Same(_) if !is_directory => Ok(is_target),
            Before::Nothing => Ok(false),
            Before::Same(lower) => {
                let (now, then) = (inode.permissions()?, lower.permissions()?);
                Ok(now == then && self.is_all_made(path, inode, Some(lower))?)
            }
        }
    }

    /// Whether a directory has what it had, and beside that only what the runtime made.
    fn is_all_made(
        &self,
        path: &[u8],
        inode: &Arc<dyn Inode>,
        lower: Option<&Arc<dyn Inode>>,
    ) -> Result<bool, Errno> {
        let now = names(inode)?;
        let then = lower.map_or_else(|| Ok(BTreeSet::new()), names)?;
        if !then.is_subset(&now) {
            return Ok(false);
        }
        for name in now.difference(&then) {
            let child = [path, b"/", name].concat();
            let inode = inode.lookup(name)?;
            // As deep as the paths are.
            if !self.is_made(&child, &inode, Before::Nothing)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn names(directory: &Arc<dyn Inode>) -> Result<BTreeSet<Vec<u8>>, Errno> {
    let mut names = BTreeSet::new();
    directory.read_directory(0, &mut |entry| names.insert(entry.name.to_vec()))?;
    Ok(names)
}
