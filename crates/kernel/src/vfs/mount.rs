//! Mounts: how file systems join into one tree, and where in it an inode was found.

use std::sync::{Arc, Mutex};

use minke_abi::Result;

use crate::vfs::{FileSystem, Inode};

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
}

/// An inode and the way that led to it. Linux: `struct path`.
pub struct Location {
    pub mount: Arc<Mount>,
    pub inode: Arc<dyn Inode>,
    /// The directory that it was found in; `None` at the root of its mount.
    pub parent: Option<Arc<Location>>,
    /// The name in `parent`; empty at the root of its mount.
    pub name: Box<[u8]>,
}

/// All mounts of a container. Linux: `struct mnt_namespace`.
pub struct MountTree {
    mounts: Mutex<Vec<Arc<Mount>>>,
}

impl MountTree {
    /// Makes a tree of one mount.
    pub fn new(root: Arc<dyn FileSystem>, options: MountOptions) -> Arc<MountTree> {
        let mount = Arc::new(Mount {
            id: 1,
            file_system: root,
            options,
            mount_point: None,
        });
        Arc::new(MountTree {
            mounts: Mutex::new(vec![mount]),
        })
    }

    /// Mounts a file system on an existing directory or file, given by its absolute path.
    pub fn mount(
        &self,
        path: &[u8],
        file_system: Arc<dyn FileSystem>,
        options: MountOptions,
    ) -> Result<()> {
        let _ = (path, file_system, options, &self.mounts);
        Err(minke_abi::Errno::ENOSYS)
    }
}
