//! Host directories and files in a container's tree (`-v HOST:GUEST`).
//!
//! An inode holds a host descriptor that was opened with `O_PATH`, and every operation is about a
//! single name in such a descriptor, never followed if it is a link (`O_NOFOLLOW`): there is no path
//! on the host that a link, a rename or a race could lead astray. Symbolic links are
//! followed by the kernel, in the container's own tree, and `..` goes to the inode that a
//! directory was found from, so neither ever asks the host.
//!
//! # Owners
//!
//! When minke runs as root, owners are the host's. Otherwise the user who runs it appears as root of
//! the container, everyone else as `nobody` (65534), and whatever a container makes belongs to
//! the user.
//!
//! # What the host's inodes cannot do
//!
//! As on a mount with `nodev` and `nosuid`: device nodes, fifos and sockets are seen, but none can be
//! made, the host's are never opened, and set-id bits of files are neither shown nor set.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use minke_abi::{Errno, Result};
use minke_kernel::vfs::{FileSystem, FileSystemStatistics, Inode, new_device};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::errno;

mod file;
mod node;

use node::Node;

/// Host descriptors that one bind holds for inodes and open files: bounds what a guest that walks
/// deep or opens much can take from the sandbox process.
const DESCRIPTORS_MAX: usize = 8192;
/// Who is not the user that runs minke. Linux: `DEFAULT_OVERFLOWUID`.
const NOBODY: u32 = 65_534;

/// A directory or a file of the host as a file system.
pub struct HostDirectory {
    root: Arc<Node>,
}

/// What the nodes of a bind share.
struct Shared {
    device: u64,
    /// The host's number of the file system that the bind begins in.
    host_device: u64,
    owners: Owners,
    descriptors: AtomicUsize,
    /// `/proc/self/fd`, to open the very inode that a descriptor holds.
    own_descriptors: OwnedFd,
    /// Live directories by host device and inode, so that one that is moved is known again. The
    /// lock is held too while a directory's place is changed, so that places never form a circle.
    directories: Mutex<Directories>,
}

type Directories = BTreeMap<(u64, u64), Weak<Node>>;

/// How owners of the host appear in the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owners {
    /// minke is root: as they are.
    Same,
    /// minke is a user, who appears as root.
    UserIsRoot { uid: u32, gid: u32 },
}

impl Owners {
    fn of_this_process() -> Owners {
        let uid = rustix::process::geteuid();
        if uid.is_root() {
            return Owners::Same;
        }
        Owners::UserIsRoot {
            uid: uid.as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }

    fn shown(self, uid: u32, gid: u32) -> (u32, u32) {
        let Owners::UserIsRoot {
            uid: own_uid,
            gid: own_gid,
        } = self
        else {
            return (uid, gid);
        };
        let shown = |id, own| if id == own { 0 } else { NOBODY };
        (shown(uid, own_uid), shown(gid, own_gid))
    }
}

impl HostDirectory {
    /// Opens a directory or a file of the host; links in its path are followed, as its user typed it.
    pub fn open(path: &Path) -> Result<Arc<HostDirectory>> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let descriptor = openat(CWD, path, flags, Mode::empty()).map_err(errno)?;
        let own = openat(
            CWD,
            "/proc/self/fd",
            flags | OFlags::DIRECTORY,
            Mode::empty(),
        )
        .map_err(errno)?;
        let status = rustix::fs::fstat(&descriptor).map_err(errno)?;
        let shared = Arc::new(Shared {
            device: new_device(),
            host_device: status.st_dev,
            owners: Owners::of_this_process(),
            descriptors: AtomicUsize::new(0),
            own_descriptors: own,
            directories: Mutex::default(),
        });
        let root = Node::top(&shared, descriptor)?;
        Ok(Arc::new(HostDirectory { root }))
    }
}

impl FileSystem for HostDirectory {
    fn kind(&self) -> &'static str {
        "bind"
    }

    fn root(&self) -> Arc<dyn Inode> {
        Arc::clone(&self.root) as Arc<dyn Inode>
    }

    fn statistics(&self) -> Result<FileSystemStatistics> {
        let statistics = rustix::fs::fstatfs(self.root.descriptor()).map_err(errno)?;
        Ok(FileSystemStatistics {
            magic: statistics.f_type.cast_unsigned(),
            block_size: statistics.f_bsize.cast_unsigned(),
            blocks: statistics.f_blocks,
            blocks_free: statistics.f_bavail,
            inodes: statistics.f_files,
            inodes_free: statistics.f_ffree,
        })
    }
}

impl Shared {
    /// Opens the inode that a descriptor holds, whatever its name is by now.
    fn reopen(&self, descriptor: impl AsFd, flags: OFlags) -> Result<OwnedFd> {
        let name = number_of(descriptor);
        let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        openat(&self.own_descriptors, name, flags, Mode::empty()).map_err(errno)
    }

    fn lock_directories(&self) -> MutexGuard<'_, Directories> {
        self.directories
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a descriptor's name in `/proc/self/fd`.
fn number_of(descriptor: impl AsFd) -> String {
    use rustix::fd::AsRawFd;
    descriptor.as_fd().as_raw_fd().to_string()
}

/// A counted host descriptor.
struct Descriptor {
    shared: Arc<Shared>,
    owned: OwnedFd,
}

impl Descriptor {
    /// Counts a descriptor; `ENFILE` when the bind holds too many, and the descriptor is closed.
    fn new(shared: &Arc<Shared>, owned: OwnedFd) -> Result<Descriptor> {
        let fits = |count: usize| Some(count + 1).filter(|sum| *sum <= DESCRIPTORS_MAX);
        shared
            .descriptors
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map_err(|_| Errno::ENFILE)?;
        Ok(Descriptor {
            shared: Arc::clone(shared),
            owned,
        })
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.shared.descriptors.fetch_sub(1, Ordering::Relaxed);
    }
}
