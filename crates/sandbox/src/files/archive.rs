//! A subtree as a tar.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use minke_abi::Errno;
use minke_abi::linux::{FileType, PATH_MAX};
use minke_kernel::vfs::{Inode, Mount};

use super::request::Links;
use super::{Files, FilesError, TreeWriter, at};

/// Whether what is mounted in a subtree belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mounts {
    Entered,
    LeftOut,
}

/// Something that is to be written.
struct Place {
    path: Vec<u8>,
    mount: Arc<Mount>,
    inode: Arc<dyn Inode>,
}

impl Files {
    /// Writes the root, without what is mounted in it. Docker: `docs/reference/commandline/container_export.md`.
    pub(super) fn export(&self, sink: &mut dyn Write) -> Result<(), FilesError> {
        let root = self.tree.root();
        let mut writer = TreeWriter::new(sink);
        let top = Place {
            path: Vec::new(),
            mount: Arc::clone(&root.mount),
            inode: Arc::clone(&root.inode),
        };
        write_below(top, Mounts::LeftOut, &mut writer)?;
        writer.finish()
    }

    /// Writes what a path names and what is in it, as `name`.
    pub(super) fn archive(
        &self,
        path: &[u8],
        name: &[u8],
        links: Links,
        sink: &mut dyn Write,
    ) -> Result<(), FilesError> {
        let found = self.find(path, links).map_err(at(path))?;
        let mut writer = TreeWriter::new(sink);
        let top = Place {
            path: name.to_vec(),
            mount: Arc::clone(&found.mount),
            inode: Arc::clone(&found.inode),
        };
        write(&top, &mut writer)?;
        if found.inode.file_type() == FileType::Directory {
            write_below(top, Mounts::Entered, &mut writer)?;
        }
        writer.finish()
    }
}

fn write<W: Write>(place: &Place, writer: &mut TreeWriter<W>) -> Result<(), FilesError> {
    let metadata = place.inode.metadata().map_err(at(&place.path))?;
    writer.object(&place.path, &place.inode, &metadata)
}

/// A directory, and what of it is still to be written. As many are held as a path is deep.
struct Level {
    directory: Place,
    names: std::collections::btree_set::IntoIter<Vec<u8>>,
}

/// Writes what is in a directory, each directory before what is in it. What is removed meanwhile is left out.
fn write_below<W: Write>(
    top: Place,
    mounts: Mounts,
    writer: &mut TreeWriter<W>,
) -> Result<(), FilesError> {
    let mut levels = vec![Level::of(top)?];
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.names.next() else {
            levels.pop();
            continue;
        };
        let Some(child) = level.directory.child(&name, mounts)? else {
            continue;
        };
        match write(&child, writer) {
            Err(FilesError::File {
                errno: Errno::ENOENT,
                ..
            }) => continue,
            written => written?,
        }
        if child.inode.file_type() == FileType::Directory {
            levels.push(Level::of(child)?);
        }
    }
    Ok(())
}

impl Level {
    fn of(directory: Place) -> Result<Level, FilesError> {
        Ok(Level {
            names: names(&directory)?.into_iter(),
            directory,
        })
    }
}

fn names(directory: &Place) -> Result<BTreeSet<Vec<u8>>, FilesError> {
    let mut names = BTreeSet::new();
    let read = directory
        .inode
        .read_directory(0, &mut |entry| names.insert(entry.name.to_vec()));
    match read {
        Ok(()) | Err(Errno::ENOENT) => Ok(names),
        Err(errno) => Err(at(&directory.path)(errno)),
    }
}

impl Place {
    /// Finds what a directory has under a name; `None` when that is gone.
    fn child(&self, name: &[u8], mounts: Mounts) -> Result<Option<Place>, FilesError> {
        let path = match self.path.is_empty() {
            true => name.to_vec(),
            false => [&self.path, &b"/"[..], name].concat(),
        };
        if path.len() >= PATH_MAX {
            return Err(at(&path)(Errno::ENAMETOOLONG));
        }
        let inode = match self.inode.lookup(name) {
            Err(Errno::ENOENT) => return Ok(None),
            found => found.map_err(at(&path))?,
        };
        let mut place = Place {
            path,
            mount: Arc::clone(&self.mount),
            inode,
        };
        if mounts == Mounts::Entered {
            while let Some(mount) = place.mount.covering(&*place.inode) {
                place.inode = Arc::clone(&mount.root);
                place.mount = mount;
            }
        }
        Ok(Some(place))
    }
}
