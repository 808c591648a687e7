//! ext2, ext3 and ext4 on a block device, mounted in the tree of a container.
//!
//! The driver is the crate `ext4`: it keeps inodes and blocks, caches content, and writes back what was changed. Here is what
//! only the virtual file system needs: one object for each inode that somebody holds, names that were looked up lately, where a directory
//! lies by now, and the times of access.
//!
//! What was changed becomes durable with [`Ext4FileSystem::write_back`], all at once: the sandbox calls it some seconds after
//! [`Ext4Options::on_dirty`] was called, and a guest's `fsync` does.
//!
//! | module | is |
//! |---|---|
//! | `node`, `place` | inodes, and where directories lie |
//! | `file` | open files |
//! | `names` | what changes names |
//! | `cache` | names that were looked up |
//! | `shares` | how much caches may hold |
//! | `convert` | errors, times and kinds of the driver as the kernel's |
//!
//! # Lock order
//!
//! ```text
//! Shared::structure (whatever changes names)
//!   a part of the cache of names
//!     place of a directory
//!   table of nodes
//! Shared::committing
//! ```
//! No node is dropped under a lock of the cache or the table: the last holder of a nameless inode frees it in the driver.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use minke_abi::Result;
use minke_ext4::{Access, Device, InodeNumber, WrittenIn};

use crate::kernel::MemoryBudget;
use crate::platform::Clock;
use crate::vfs::changes::Touched;
use crate::vfs::{FileSystem, FileSystemStatistics, Inode, Timestamp, new_device};

mod cache;
mod convert;
mod file;
mod names;
mod node;
mod place;
mod shares;

use cache::NameCache;
use convert::errno;
use node::Node;
use shares::Shares;

/// `EXT4_SUPER_MAGIC`.
const MAGIC: u64 = 0xef53;
/// Changes of names and attributes after which whoever makes the next one writes them back: bounds what waits in memory.
const CHANGES_MAX: u32 = 16_384;
/// Usual bytes of content that are kept in memory.
pub const CACHE_BYTES: usize = 32 << 20;
/// Parts of the table of nodes.
const SHARDS: usize = 16;

/// Which reads change the time of access.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessTimes {
    /// The first after a change, and one a day. Linux: `relatime`.
    #[default]
    Relative,
    /// None. Linux: `noatime`.
    Never,
}

/// How a file system is mounted.
pub struct Ext4Options {
    pub clock: Arc<dyn Clock>,
    /// The container's memory, of which what waits in fifos is a part; caches hold no more than parts of it.
    pub budget: Arc<MemoryBudget>,
    /// Every change is durable when the call that makes it returns. Linux: `sync`.
    pub is_synchronous: bool,
    pub access_times: AccessTimes,
    /// Bytes that files may have together, with what they need of metadata: `ENOSPC` beyond.
    pub bytes_max: Option<u64>,
    /// Bytes of content that are kept in memory though they are on the device, beside what the device has mapped; [`CACHE_BYTES`] if nothing
    /// speaks for more or less.
    pub cache_bytes_max: usize,
    /// Called when something has changed after all was durable; not to wait, and not to call the file system.
    pub on_dirty: Box<dyn Fn() + Send + Sync>,
}

/// A mounted file system.
pub struct Ext4FileSystem {
    shared: Arc<Shared>,
    root: Arc<Node>,
}

/// What all nodes share.
struct Shared {
    device: u64,
    system: minke_ext4::FileSystem<Arc<dyn Device>>,
    options: Ext4Options,
    /// Held by whatever changes names, so that places of directories change in the order of the names. Linux: `s_vfs_rename_mutex`.
    structure: Mutex<()>,
    names: NameCache,
    /// Nodes that somebody holds.
    nodes: [Mutex<HashMap<InodeNumber, Weak<Node>>>; SHARDS],
    is_dirty: AtomicBool,
    /// Changes of names and attributes since the last time that all was durable.
    changes: AtomicU32,
    /// Held while what was changed is made durable.
    committing: Mutex<()>,
}

/// What was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// Bytes of files, of which the driver bounds how many wait.
    Content,
    Metadata,
}

impl Ext4FileSystem {
    /// Opens the file system on a device. A journal that was left behind is replayed.
    ///
    /// # Errors
    /// As [`minke_ext4::FileSystem::open`], and if the top is no directory.
    pub fn mount(
        device: Arc<dyn Device>,
        access: Access,
        options: Ext4Options,
    ) -> std::result::Result<Arc<Ext4FileSystem>, minke_ext4::Error> {
        let now = Timestamp::from_nanoseconds(options.clock.realtime());
        let system = minke_ext4::FileSystem::open(device, access, convert::to_ext4(now))?;
        let shares = Shares::of(options.budget.bytes_max(), options.cache_bytes_max);
        system.limit_cache(shares.content_bytes);
        system.limit_waiting(shares.waiting_bytes);
        if let Some(bytes_max) = options.bytes_max {
            system.limit(bytes_max);
        }
        let shared = Arc::new(Shared {
            device: new_device(),
            system,
            options,
            structure: Mutex::new(()),
            names: NameCache::new(shares.names),
            nodes: std::array::from_fn(|_| Mutex::default()),
            is_dirty: AtomicBool::new(false),
            changes: AtomicU32::new(0),
            committing: Mutex::new(()),
        });
        let root = Node::read(&shared, InodeNumber::ROOT)?;
        if root.kind != minke_abi::linux::FileType::Directory {
            return Err(minke_ext4::Error::NotDirectory);
        }
        shared.keep(&root);
        Ok(Arc::new(Ext4FileSystem { shared, root }))
    }

    /// Judges the descriptors of all groups, as Linux does when it mounts; else each is judged when its group is first needed.
    ///
    /// # Errors
    /// As [`minke_ext4::FileSystem::check_groups`].
    pub fn check_groups(&self) -> std::result::Result<(), minke_ext4::Error> {
        self.shared.system.check_groups()
    }

    /// Makes all that was changed durable, in one commit; nothing to do if nothing was.
    ///
    /// # Errors
    /// What the device says; then it is tried again the next time, and nothing of it is durable.
    pub fn write_back(&self) -> Result<()> {
        self.shared.write_back()
    }

    /// As [`write_back`](Self::write_back), with a commit of the device even if nothing was changed since the last one.
    ///
    /// # Errors
    /// As there.
    pub fn commit(&self) -> Result<()> {
        self.shared.is_dirty.store(true, Ordering::Release);
        self.shared.write_back()
    }

    /// Finds out where this file system may differ from `base`, as which it began: outside of the result it does not, to its content.
    /// `written` tells which parts of a range of the device's bytes may have been written since.
    ///
    /// # Errors
    /// As [`minke_ext4::FileSystem::difference`].
    pub fn touched_since(
        &self,
        base: &Ext4FileSystem,
        written: &mut WrittenIn<'_>,
    ) -> std::result::Result<Touched, minke_ext4::Error> {
        let difference = self
            .shared
            .system
            .difference(&base.shared.system, written)?;
        let numbers = |inodes: HashSet<InodeNumber>| {
            let numbers = inodes.into_iter().map(|number| number.0.into());
            numbers.collect()
        };
        Ok(Touched {
            inodes: numbers(difference.inodes),
            directories: numbers(difference.directories),
        })
    }

    /// Whether something was changed that is not durable.
    pub fn is_dirty(&self) -> bool {
        self.shared.is_dirty.load(Ordering::Relaxed)
    }
}

impl FileSystem for Ext4FileSystem {
    fn kind(&self) -> &'static str {
        "ext4"
    }

    fn root(&self) -> Arc<dyn Inode> {
        Arc::clone(&self.root) as Arc<dyn Inode>
    }

    fn statistics(&self) -> Result<FileSystemStatistics> {
        let statistics = self.shared.system.statistics();
        Ok(FileSystemStatistics {
            magic: MAGIC,
            block_size: statistics.block_size.into(),
            blocks: statistics.blocks,
            blocks_free: statistics.blocks_free,
            inodes: statistics.inodes.into(),
            inodes_free: statistics.inodes_free.into(),
        })
    }
}

impl Drop for Ext4FileSystem {
    /// Lets go of the nodes that the cache holds, which hold the file system. What was not written back is lost.
    fn drop(&mut self) {
        self.shared.names.close();
    }
}

impl Shared {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanoseconds(self.options.clock.realtime())
    }

    /// The time as the driver wants it.
    fn driver_now(&self) -> minke_ext4::Timestamp {
        convert::to_ext4(self.now())
    }

    fn lock_structure(&self) -> MutexGuard<'_, ()> {
        self.structure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn shard(&self, number: InodeNumber) -> MutexGuard<'_, HashMap<InodeNumber, Weak<Node>>> {
        self.nodes[number.0 as usize % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the node of an inode: the one that somebody holds, or a new one.
    fn node(
        self: &Arc<Shared>,
        number: InodeNumber,
    ) -> std::result::Result<Arc<Node>, minke_ext4::Error> {
        if let Some(node) = self.live_node(number) {
            return Ok(node);
        }
        self.check_number(number)?;
        let made = Node::read(self, number)?;
        Ok(self.keep(&made))
    }

    fn live_node(&self, number: InodeNumber) -> Option<Arc<Node>> {
        self.shard(number).get(&number).and_then(Weak::upgrade)
    }

    /// Keeps a node where others find it, unless another was faster: that one is returned.
    fn keep(&self, made: &Arc<Node>) -> Arc<Node> {
        let mut shard = self.shard(made.number);
        if let Some(other) = shard.get(&made.number).and_then(Weak::upgrade) {
            return other;
        }
        shard.insert(made.number, Arc::downgrade(made));
        Arc::clone(made)
    }

    /// Drops what is known of a node that nobody holds any more.
    fn forget(&self, number: InodeNumber) {
        let mut shard = self.shard(number);
        // Another may have been made meanwhile.
        if shard
            .get(&number)
            .is_some_and(|node| node.strong_count() == 0)
        {
            shard.remove(&number);
        }
    }

    /// Refuses names of inodes that belong to the file system itself: whoever wrote to the journal or to the file of orphans would break it.
    fn check_number(&self, number: InodeNumber) -> std::result::Result<(), minke_ext4::Error> {
        let superblock = self.system.superblock();
        let is_own = number.0 < superblock.first_inode && number != InodeNumber::ROOT
            || number.0 == superblock.orphan_file_inode;
        match is_own {
            true => Err(minke_ext4::Error::Corrupt {
                place: minke_ext4::Place::Inode(number),
                reason: "a name of an inode of the file system itself",
            }),
            false => Ok(()),
        }
    }

    /// Notes that something was changed, after it was.
    fn changed(&self, change: Change) -> Result<()> {
        let is_new =
            !self.is_dirty.load(Ordering::Relaxed) && !self.is_dirty.swap(true, Ordering::AcqRel);
        if is_new {
            (self.options.on_dirty)();
        }
        let changes = match change {
            Change::Content => 0,
            Change::Metadata => self.changes.fetch_add(1, Ordering::Relaxed),
        };
        if self.options.is_synchronous {
            return self.write_back();
        }
        if changes >= CHANGES_MAX {
            // It fails again where somebody asks for it.
            let _ = self.write_back();
        }
        Ok(())
    }

    fn write_back(&self) -> Result<()> {
        let _committing = self
            .committing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !self.is_dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.changes.store(0, Ordering::Relaxed);
        self.system.sync(self.driver_now()).map_err(|error| {
            if !self.is_dirty.swap(true, Ordering::AcqRel) {
                (self.options.on_dirty)();
            }
            errno(error)
        })
    }
}
