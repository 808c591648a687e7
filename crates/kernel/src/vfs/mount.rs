//! Mounts: how file systems join into one tree, and where in it an inode was found.
//!
//! Mounts are only added, while a container is set up. A directory or file that something is
//! mounted on is found by its inode number in the mount that it belongs to; a 64-bit filter keeps
//! every other step of a path walk away from the lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use minke_abi::linux::{FileType, PATH_MAX};
use minke_abi::{Errno, Result};

use crate::calls::paths::Follow;
use crate::process::Credentials;
use crate::vfs::walk::{Place, Walk};
use crate::vfs::{FileSystem, Inode, Name, NewInode, Ownership};

/// How a file system is mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    pub is_read_only: bool,
    /// What `/proc/mounts` shows as the device.
    pub source: String,
}

/// A file system in its place. Linux: `struct mount`.
pub struct Mount {
    pub id: u32,
    pub file_system: Arc<dyn FileSystem>,
    pub options: MountOptions,
    /// Where it is mounted; `None` for the root.
    pub mount_point: Option<Arc<Location>>,
    /// The top of the file system, kept so that every task sees the same object.
    pub root: Arc<dyn Inode>,
    /// What is mounted on inodes of this mount.
    covers: RwLock<Vec<Arc<Mount>>>,
    /// Bit `number % 64` is set when an inode of that number may be covered.
    covered_filter: AtomicU64,
}

/// An inode and the way that led to it. Linux: `struct path`.
pub struct Location {
    pub mount: Arc<Mount>,
    pub inode: Arc<dyn Inode>,
    /// The directory that a file was found in. `None` for directories, which know it
    /// themselves and follow when they are moved.
    pub parent: Option<Arc<dyn Inode>>,
    /// The name in `parent`; empty without one.
    pub name: Name,
}

impl Location {
    /// Makes the location of a directory, or of an object whose name does not matter.
    pub fn of_inode(mount: Arc<Mount>, inode: Arc<dyn Inode>) -> Arc<Location> {
        Arc::new(Location {
            mount,
            inode,
            parent: None,
            name: Name::new(),
        })
    }

    /// Returns the absolute path below `root`: `ENOENT` when it was removed, `ENAMETOOLONG`
    /// from `PATH_MAX` on. Linux: `d_path()`.
    pub fn path_below(&self, root: &Location) -> Result<Vec<u8>> {
        let mut names: Vec<Name> = Vec::new();
        let mut place = Place::of(self);
        if let Some(parent) = &self.parent {
            names.push(self.name.clone());
            place.inode = Arc::clone(parent);
        }
        let root = Place::of(root);
        while !place.is_same(&root) {
            if names.len() > PATH_MAX / 2 {
                return Err(Errno::ENAMETOOLONG);
            }
            if place.is_mount_root() {
                let Some(point) = place.mount.mount_point.clone() else {
                    break;
                };
                place = Place::of(&point);
                if let Some(parent) = &point.parent {
                    names.push(point.name.clone());
                    place.inode = Arc::clone(parent);
                }
                continue;
            }
            names.push(place.inode.name()?);
            place.inode = place.inode.parent()?;
        }
        let path = joined(&names);
        if path.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        Ok(path)
    }
}

/// Joins names, last first, to an absolute path.
fn joined(names: &[Name]) -> Vec<u8> {
    if names.is_empty() {
        return b"/".to_vec();
    }
    let mut path = Vec::with_capacity(names.iter().map(|n| n.len() + 1).sum());
    for name in names.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    path
}

impl Mount {
    fn new(
        id: u32,
        file_system: Arc<dyn FileSystem>,
        options: MountOptions,
        mount_point: Option<Arc<Location>>,
    ) -> Arc<Mount> {
        let root = file_system.root();
        Arc::new(Mount {
            id,
            file_system,
            options,
            mount_point,
            root,
            covers: RwLock::default(),
            covered_filter: AtomicU64::new(0),
        })
    }

    /// Makes a mount that has no place in any tree, for files without names.
    pub(crate) fn detached(file_system: Arc<dyn FileSystem>) -> Arc<Mount> {
        /// The number of such a mount, which no other has.
        const ID: u32 = u32::MAX;
        Mount::new(ID, file_system, MountOptions::default(), None)
    }

    /// Returns the mount that covers an inode of this mount, if one does.
    pub fn covering(&self, inode: &dyn Inode) -> Option<Arc<Mount>> {
        let filter = self.covered_filter.load(Ordering::Acquire);
        if filter == 0 {
            return None;
        }
        let number = inode.number();
        if filter & filter_bit(number) == 0 {
            return None;
        }
        let covers = self.covers.read().unwrap_or_else(PoisonError::into_inner);
        covers
            .iter()
            .find(|mount| mount.covers_number(number))
            .cloned()
    }

    fn covers_number(&self, number: u64) -> bool {
        self.mount_point
            .as_ref()
            .is_some_and(|point| point.inode.number() == number)
    }

    fn cover(&self, mount: Arc<Mount>, number: u64) {
        self.covers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(mount);
        self.covered_filter
            .fetch_or(filter_bit(number), Ordering::Release);
    }
}

fn filter_bit(number: u64) -> u64 {
    1 << (number % 64)
}

/// All mounts of a container. Linux: `struct mnt_namespace`.
pub struct MountTree {
    mounts: Mutex<Vec<Arc<Mount>>>,
}

impl MountTree {
    /// Makes a tree of one mount.
    pub fn new(root: Arc<dyn FileSystem>, options: MountOptions) -> Arc<MountTree> {
        Arc::new(MountTree {
            mounts: Mutex::new(vec![Mount::new(1, root, options, None)]),
        })
    }

    /// Returns the top of the tree: where a container's processes have their root.
    pub fn root(&self) -> Arc<Location> {
        let mount = Arc::clone(&self.lock()[0]);
        let inode = Arc::clone(&mount.root);
        Location::of_inode(mount, inode)
    }

    /// Returns the mounts in the order in which they were made.
    pub fn mounts(&self) -> Vec<Arc<Mount>> {
        self.lock().clone()
    }

    /// Finds what an absolute path names, as root and without processes.
    pub fn find(&self, path: &[u8]) -> Result<Arc<Location>> {
        self.find_as(path, Follow::Yes)
    }

    /// The same, but a link at the path's end is what is found.
    pub fn find_unfollowed(&self, path: &[u8]) -> Result<Arc<Location>> {
        self.find_as(path, Follow::No)
    }

    fn find_as(&self, path: &[u8], follow: Follow) -> Result<Arc<Location>> {
        let root = self.root();
        let credentials = Credentials::root();
        let mut walk = Walk::new(&root, &root, &credentials, None, path)?;
        walk.find_location(follow)
    }

    /// Mounts a file system on an existing directory or file, given by its absolute path.
    ///
    /// A directory takes a directory and a file a file: `ENOTDIR` otherwise.
    pub fn mount(
        &self,
        path: &[u8],
        file_system: Arc<dyn FileSystem>,
        options: MountOptions,
    ) -> Result<()> {
        let point = self.find(path)?;
        let is_directory = |inode: &Arc<dyn Inode>| inode.file_type() == FileType::Directory;
        if is_directory(&point.inode) != is_directory(&file_system.root()) {
            return Err(Errno::ENOTDIR);
        }
        let mut mounts = self.lock();
        let id = mounts.len() as u32 + 1;
        let mount = Mount::new(id, file_system, options, Some(Arc::clone(&point)));
        point.mount.cover(Arc::clone(&mount), point.inode.number());
        mounts.push(mount);
        Ok(())
    }

    /// Makes what a mount needs below it: the directories of an absolute path, and its last
    /// component as an empty directory or file, unless they exist. Read-only mounts do not matter.
    pub fn make_mount_point(&self, path: &[u8], kind: FileType) -> Result<()> {
        let mut made = Vec::with_capacity(path.len());
        let mut names = path
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
            .peekable();
        while let Some(name) = names.next() {
            let parent = self.find(if made.is_empty() { b"/" } else { &made })?;
            made.push(b'/');
            made.extend_from_slice(name);
            match self.find(&made) {
                Err(Errno::ENOENT) => {}
                found => {
                    found?;
                    continue;
                }
            }
            let is_file = names.peek().is_none() && kind != FileType::Directory;
            make_plain(&parent.inode, name, is_file)?;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Mount>>> {
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_plain(parent: &Arc<dyn Inode>, name: &[u8], is_file: bool) -> Result<()> {
    let (new, mode) = if is_file {
        (NewInode::Regular, 0o644)
    } else {
        (NewInode::Directory, 0o755)
    };
    let ownership = Ownership {
        uid: 0,
        gid: 0,
        mode,
    };
    parent.create(name, &new, ownership).map(drop)
}

impl Drop for MountTree {
    /// Breaks the circle of a mount, its mount point and the mount that this lies in.
    fn drop(&mut self) {
        for mount in self.mounts() {
            mount
                .covers
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
        }
    }
}
