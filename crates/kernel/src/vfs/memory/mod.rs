//! File systems in memory: tmpfs, and the overlay of a writable memory on a read-only tree.
//!
//! Both are one thing: an overlay is a tmpfs whose directories and files may begin as those of
//! a lower tree. What nobody changed is only looked up there; a change *pins* the [`Node`] in
//! memory ("copy-up"), under the same inode number and for all its names, and a file's bytes
//! stay in the lower file page by page until they are overwritten. So a merged directory can be renamed,
//! hard links survive, and a descriptor that was opened before a copy-up sees the changes: three
//! places where Linux's overlayfs differs from other file systems, and this one does not.
//!
//! # Lock order
//!
//! ```text
//! Shared::structure (rename, rmdir: only its holder locks two directories)
//!   directory entries
//!     pages of a file
//!     place of a directory, attributes, table of lower nodes
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use minke_abi::linux::FileType;
use minke_abi::{Errno, Result};

use crate::kernel::{MemoryBudget, Use};
use crate::platform::Clock;
use crate::vfs::{
    FileSystem, FileSystemStatistics, Inode, Ownership, Seals, Timestamp, new_device,
};

mod attributes;
mod directory;
mod lower;
mod node;
mod pages;
mod rename;

use attributes::Attributes;
use lower::LowerTable;
use node::{Content, Node};

pub use pages::PAGE_BYTES;

/// `TMPFS_MAGIC`.
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// `OVERLAYFS_SUPER_MAGIC`.
const OVERLAY_MAGIC: u64 = 0x794c_7630;
/// Inodes of a file system unless told otherwise: bounds what a guest that makes empty files costs.
const INODES_MAX: u64 = 1 << 20;
/// First inode number of what is made in an overlay; those of the lower tree are below.
const FIRST_OWN_NUMBER: u64 = 1 << 32;
/// What a node costs beside its data, as charged to the container.
const NODE_BYTES: u64 = size_of::<Node>() as u64 + 64;

/// What a file system in memory is given.
pub struct MemoryOptions {
    pub clock: Arc<dyn Clock>,
    /// The container's memory, of which files are a part.
    pub budget: Arc<MemoryBudget>,
    /// Bytes of file content (`size=`); without it, the container's memory is the limit.
    pub bytes_max: Option<u64>,
    /// Inodes (`nr_inodes=`); without it, a million.
    pub inodes_max: Option<u64>,
    /// Permission bits of the top directory; an overlay keeps those of its lower tree.
    pub root_mode: u32,
}

impl MemoryOptions {
    /// Options without limits of their own, for a top directory of mode 0755.
    pub fn new(clock: Arc<dyn Clock>, budget: Arc<MemoryBudget>) -> MemoryOptions {
        MemoryOptions {
            clock,
            budget,
            bytes_max: None,
            inodes_max: None,
            root_mode: 0o755,
        }
    }
}

/// A tmpfs or an overlay.
pub struct MemoryFileSystem {
    shared: Arc<Shared>,
    root: Arc<Node>,
}

/// What all nodes of a file system share.
struct Shared {
    device: u64,
    clock: Arc<dyn Clock>,
    budget: Arc<MemoryBudget>,
    bytes_max: Option<u64>,
    bytes: AtomicU64,
    inodes_max: u64,
    inodes: AtomicU64,
    next_number: AtomicU64,
    /// Held by whatever moves or removes directories. Linux: `s_vfs_rename_mutex`.
    structure: Mutex<()>,
    /// Live nodes that began in the lower tree; empty for a tmpfs.
    lower: LowerTable,
    has_lower: bool,
}

impl MemoryFileSystem {
    /// Makes an empty file system.
    pub fn tmpfs(options: MemoryOptions) -> Result<Arc<MemoryFileSystem>> {
        let mode = options.root_mode;
        let shared = Shared::new(options, 1, false);
        let attributes = Attributes::new(shared.now(), 0, 0, mode, FileType::Directory);
        let root = Node::create(
            &shared,
            Content::directory(),
            FileType::Directory,
            attributes,
        )?;
        Ok(Arc::new(MemoryFileSystem { shared, root }))
    }

    /// Makes a regular file that never had a name, to which seals can be added unless `Seals::SEAL` is given.
    pub(crate) fn make_nameless(
        &self,
        ownership: Ownership,
        seals: Seals,
    ) -> Result<Arc<dyn Inode>> {
        let node = self.shared.make_nameless(ownership, seals)?;
        Ok(node)
    }

    /// Makes a file system that begins as a read-only one and keeps changes in memory.
    ///
    /// The lower tree never changes, and its inode numbers are below 2³². Layers are merged
    /// into one lower tree before (see [`Tree`](crate::vfs::tree::Tree)).
    pub fn overlay(
        lower: &Arc<dyn FileSystem>,
        options: MemoryOptions,
    ) -> Result<Arc<MemoryFileSystem>> {
        let shared = Shared::new(options, FIRST_OWN_NUMBER, true);
        let root = Node::from_lower(&shared, &lower.root(), None)?;
        shared.lower.pin_new(&root);
        Ok(Arc::new(MemoryFileSystem { shared, root }))
    }
}

impl FileSystem for MemoryFileSystem {
    fn kind(&self) -> &'static str {
        if self.shared.has_lower {
            "overlay"
        } else {
            "tmpfs"
        }
    }

    fn root(&self) -> Arc<dyn Inode> {
        Arc::clone(&self.root) as Arc<dyn Inode>
    }

    fn statistics(&self) -> Result<FileSystemStatistics> {
        Ok(self.shared.statistics())
    }
}

impl Drop for MemoryFileSystem {
    /// Takes the tree apart node by node: directories and their parents refer to each other,
    /// and a guest may have nested them deeper than a recursive drop could go.
    fn drop(&mut self) {
        let mut nodes = vec![Arc::clone(&self.root)];
        nodes.extend(self.shared.lower.take_all());
        while let Some(node) = nodes.pop() {
            node.take_apart(&mut nodes);
        }
    }
}

impl Shared {
    fn new(options: MemoryOptions, first_number: u64, has_lower: bool) -> Arc<Shared> {
        Arc::new(Shared {
            device: new_device(),
            clock: options.clock,
            budget: options.budget,
            bytes_max: options.bytes_max,
            bytes: AtomicU64::new(0),
            inodes_max: options.inodes_max.unwrap_or(INODES_MAX),
            inodes: AtomicU64::new(0),
            next_number: AtomicU64::new(first_number),
            structure: Mutex::new(()),
            lower: LowerTable::default(),
            has_lower,
        })
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_nanoseconds(self.clock.realtime())
    }

    /// Takes room for content: `ENOSPC` over the file system's limit, `ENOMEM` over the container's.
    fn charge_content(&self, bytes: u64) -> Result<()> {
        let limit = self.bytes_max.unwrap_or(u64::MAX);
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= limit);
        self.bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map_err(|_| Errno::ENOSPC)?;
        self.budget.charge_for(Use::Pages, bytes).inspect_err(|_| {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        })
    }

    fn release_content(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.release_for(Use::Pages, bytes);
    }

    /// Takes an inode and its memory.
    fn charge_inode(&self) -> Result<()> {
        let fits = |count: u64| Some(count + 1).filter(|sum| *sum <= self.inodes_max);
        self.inodes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map_err(|_| Errno::ENOSPC)?;
        self.budget
            .charge_for(Use::Kernel, NODE_BYTES)
            .inspect_err(|_| {
                self.inodes.fetch_sub(1, Ordering::Relaxed);
            })
    }

    fn release_inode(&self) {
        self.inodes.fetch_sub(1, Ordering::Relaxed);
        self.budget.release_for(Use::Kernel, NODE_BYTES);
    }

    fn statistics(&self) -> FileSystemStatistics {
        let used = self.bytes.load(Ordering::Relaxed);
        let free_of_container = self.budget.bytes_max().saturating_sub(self.budget.used());
        let limit = self.bytes_max.unwrap_or(used + free_of_container);
        let free = limit.saturating_sub(used).min(free_of_container);
        let inodes = self.inodes.load(Ordering::Relaxed);
        FileSystemStatistics {
            magic: if self.has_lower {
                OVERLAY_MAGIC
            } else {
                TMPFS_MAGIC
            },
            block_size: PAGE_BYTES as u64,
            blocks: limit / PAGE_BYTES as u64,
            blocks_free: free / PAGE_BYTES as u64,
            inodes: self.inodes_max,
            inodes_free: self.inodes_max.saturating_sub(inodes),
        }
    }
}
