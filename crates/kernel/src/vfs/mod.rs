//! The virtual file system: inodes of many file systems, joined by mounts into one tree.
//!
//! A [`FileSystem`] makes [`Inode`]s; a directory's inode looks up, makes and removes single
//! names (never paths, never `.` or `..`). Paths, symbolic links, mounts, permissions and
//! read-only mounts are the business of this module alone, so a file system cannot get them
//! wrong. A [`Location`] is an inode together with the way that led to it.
//!
//! | module | is |
//! |---|---|
//! | [`memory`] | tmpfs, and the overlay of a writable memory on a read-only tree |
//! | [`tree`] | a read-only tree whose files are ranges of mapped bytes |
//! | [`ext4`] | ext2, ext3 and ext4 on block devices |
//! | [`changes`] | what became of a tree |
//! | [`proc`] | `/proc` |
//! | [`device`] | what the nodes of `/dev` stand for |
//! | `seals` | what may not be done with a file's content any more |
//! | `mount`, `walk`, `permission` | how paths become inodes, and who may |

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bitflags::bitflags;
use smallvec::SmallVec;

use minke_abi::linux::{FileType, OpenFlags};
use minke_abi::{Errno, Result};

use crate::descriptor::FileDescription;
use crate::file::File;
use crate::task::Task;

pub mod changes;
pub mod device;
pub mod ext4;
pub mod memory;
mod mount;
pub(crate) mod permission;
pub mod proc;
pub(crate) mod reopened;
mod seals;
pub mod tree;
pub(crate) mod walk;

pub use mount::{Location, Mount, MountOptions, MountTree};
pub use seals::{SealCell, Seals};
pub use walk::Resolve;

/// A file name; most fit in place.
pub type Name = SmallVec<[u8; 24]>;

/// A point in time as inodes keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    pub seconds: i64,
    pub nanoseconds: u32,
}

impl Timestamp {
    /// Converts from nanoseconds since 1970.
    pub fn from_nanoseconds(nanoseconds: u64) -> Timestamp {
        Timestamp {
            seconds: (nanoseconds / 1_000_000_000) as i64,
            nanoseconds: (nanoseconds % 1_000_000_000) as u32,
        }
    }
}

/// Attributes of an inode. Linux: `struct kstat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Number of the file system.
    pub device: u64,
    pub inode: u64,
    pub file_type: FileType,
    /// Permission bits with set-id and sticky bits: the low twelve bits of `st_mode`.
    pub mode: u32,
    pub links: u32,
    pub uid: u32,
    pub gid: u32,
    /// Which device a device node stands for.
    pub device_id: u64,
    pub size: u64,
    pub block_size: u32,
    /// Allocated blocks of 512 bytes.
    pub blocks: u64,
    pub accessed: Timestamp,
    pub modified: Timestamp,
    pub changed: Timestamp,
}

/// What a permission check reads of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// The low twelve bits of `st_mode`.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

/// Where a link of `/proc` leads, which is more than its text says.
pub enum MagicLink {
    /// To an object, whatever its path is by now.
    Location(Arc<Location>),
    /// To something open that has no place in the tree, such as a pipe.
    Description(Arc<FileDescription>),
    /// Along a path, as an ordinary link.
    Text(Vec<u8>),
}

/// What to change of an inode's attributes; `None` keeps. Permission was checked by the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributeChange {
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: Option<u64>,
    pub accessed: Option<Timestamp>,
    pub modified: Option<Timestamp>,
}

/// What to make in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewInode<'a> {
    Regular,
    Directory,
    Symlink(&'a [u8]),
    Fifo,
    Socket,
    CharacterDevice(u64),
    BlockDevice(u64),
}

/// Owner and mode of what is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    pub uid: u32,
    pub gid: u32,
    /// Permission bits; the umask has been applied.
    pub mode: u32,
}

/// Whether a file that is made without a name may get one. Linux: `O_TMPFILE`, with and without `O_EXCL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nameless {
    Linkable,
    ForGood,
}

bitflags! {
    /// Flags of `renameat2(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RenameFlags: u32 {
        const NOREPLACE = 1;
        const EXCHANGE = 2;
    }
}

/// A directory entry as [`Inode::read_directory`] hands it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryEntry<'a> {
    pub inode: u64,
    pub file_type: FileType,
    pub name: &'a [u8],
    /// Where reading goes on after this entry.
    pub next_cookie: u64,
}

/// Where [`Inode::pass`] has got to.
pub struct Passed {
    pub inode: Arc<dyn Inode>,
    /// Bytes of the path that are behind it: the last name begins there.
    pub length: usize,
}

/// An object of a file system. Linux: `struct inode` with its operations.
///
/// Names are single components. Every method may be called at the same time from several tasks.
pub trait Inode: Any + Send + Sync {
    /// Returns the attributes.
    fn metadata(&self) -> Result<Metadata>;

    /// Returns the kind; it never changes.
    fn file_type(&self) -> FileType;

    /// Returns the number that tells this inode from the others of its file system.
    fn number(&self) -> u64;

    /// Returns what permission checks need, cheaper than all attributes.
    fn permissions(&self) -> Result<Permissions> {
        let metadata = self.metadata()?;
        Ok(Permissions {
            mode: metadata.mode,
            uid: metadata.uid,
            gid: metadata.gid,
        })
    }

    /// Returns the directory that holds this directory now; itself at the top of the file system.
    fn parent(&self) -> Result<Arc<dyn Inode>> {
        Err(Errno::ENOTDIR)
    }

    /// Returns this directory's name in its parent; `ENOENT` once it was removed.
    fn name(&self) -> Result<Name> {
        Err(Errno::ENOTDIR)
    }

    /// Opens the object; permissions were checked, `O_CREAT` and `O_TRUNC` are already done.
    fn open(self: Arc<Self>, flags: OpenFlags) -> Result<Arc<dyn File>>;

    /// Changes attributes; the file system sets the change time itself.
    fn set_attributes(&self, change: &AttributeChange) -> Result<()>;

    /// Finds a name in a directory.
    fn lookup(&self, _name: &[u8]) -> Result<Arc<dyn Inode>> {
        Err(Errno::ENOTDIR)
    }

    /// Goes from this directory through those that `path` names, one in the other, up to that of its last name, if all of them are
    /// known, directories that `may_enter` lets pass, and there is one at least. Names are neither `.` nor `..`. Nothing is held
    /// but the last, so this is cheaper than a [`lookup`](Self::lookup) of each; `None` says nothing.
    fn pass(&self, _path: &[u8], _may_enter: &dyn Fn(&dyn Inode) -> bool) -> Option<Passed> {
        None
    }

    /// Makes an object under a name that does not exist yet, else `EEXIST`.
    fn create(
        &self,
        _name: &[u8],
        _new: &NewInode<'_>,
        _ownership: Ownership,
    ) -> Result<Arc<dyn Inode>> {
        Err(Errno::ENOTDIR)
    }

    /// Makes a regular file without a name; `EOPNOTSUPP` where there are none. Linux: `vfs_tmpfile()`.
    fn create_nameless(&self, _ownership: Ownership, _use_of: Nameless) -> Result<Arc<dyn Inode>> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Returns what may not be done with a file's content any more; `None` where that cannot be said (`F_GET_SEALS`).
    fn seals(&self) -> Option<&SealCell> {
        None
    }

    /// Adds seals; `EPERM` when no more may be added, `EINVAL` where there are none.
    fn add_seals(&self, _seals: Seals) -> Result<()> {
        Err(Errno::EINVAL)
    }

    /// Gives an existing object of this file system another name.
    fn link(&self, _name: &[u8], _target: &Arc<dyn Inode>) -> Result<()> {
        Err(Errno::ENOTDIR)
    }

    /// Removes a name that is not a directory.
    fn unlink(&self, _name: &[u8]) -> Result<()> {
        Err(Errno::ENOTDIR)
    }

    /// Removes an empty directory.
    fn remove_directory(&self, _name: &[u8]) -> Result<()> {
        Err(Errno::ENOTDIR)
    }

    /// Moves a name to a directory of the same file system.
    fn rename(
        &self,
        _name: &[u8],
        _new_parent: &Arc<dyn Inode>,
        _new_name: &[u8],
        _flags: RenameFlags,
    ) -> Result<()> {
        Err(Errno::ENOTDIR)
    }

    /// Lists entries from a cookie on (0: from the start, without `.` and `..`) until `emit` says `false`.
    fn read_directory(
        &self,
        _cookie: u64,
        _emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        Err(Errno::ENOTDIR)
    }

    /// Returns a symbolic link's target.
    fn read_link(&self) -> Result<Vec<u8>> {
        Err(Errno::EINVAL)
    }

    /// Returns where a link of `/proc` leads for a task; `None` for links that are just text.
    fn magic_link(&self, _task: &Task) -> Option<Result<MagicLink>> {
        None
    }

    /// Returns an extended attribute's value.
    fn extended_attribute(&self, _name: &[u8]) -> Result<Vec<u8>> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Sets or removes (`None`) an extended attribute.
    fn set_extended_attribute(&self, _name: &[u8], _value: Option<&[u8]>) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Lists the names of the extended attributes.
    fn extended_attributes(&self) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }

    /// Makes what was written durable.
    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

/// Numbers of file systems, as `st_dev` shows them. Linux: `get_anon_bdev()`.
static NEXT_DEVICE: AtomicU64 = AtomicU64::new(0x20);

/// Returns the `st_dev` of a new file system.
pub fn new_device() -> u64 {
    NEXT_DEVICE.fetch_add(1, Ordering::Relaxed)
}

/// Size and use of a file system. Linux: `struct kstatfs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSystemStatistics {
    /// `f_type`.
    pub magic: u64,
    pub block_size: u64,
    pub blocks: u64,
    pub blocks_free: u64,
    pub inodes: u64,
    pub inodes_free: u64,
}

/// A mountable tree of inodes. Linux: `struct super_block`.
pub trait FileSystem: Send + Sync {
    /// Returns the name that `/proc/mounts` shows, such as `tmpfs`.
    fn kind(&self) -> &'static str;

    /// Returns the top directory.
    fn root(&self) -> Arc<dyn Inode>;

    /// Returns size and use.
    fn statistics(&self) -> Result<FileSystemStatistics>;
}
