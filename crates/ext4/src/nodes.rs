//! Inodes in memory: each once, shared by all who use it, kept while it is open, changed or recently used.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::files::map::FileMap;
use crate::layout::{FileType, Inode, InodeNumber};
use crate::numbered::Numbered;
use crate::{Error, Place};

/// Parts of the cache.
const SHARDS: usize = 16;
/// Inodes that a part keeps beside those that are in use.
const NODES_MAX: usize = 512;

/// An inode in memory.
pub(crate) struct Node {
    pub(crate) number: InodeNumber,
    /// How often it is open: it is not freed until nobody has it open.
    pub(crate) opened: AtomicU32,
    state: RwLock<NodeState>,
}

/// An inode at hand: what is done through it need not look it up by its number. It keeps no inode that lost its last name; see
/// [`FileSystem::open_inode`](crate::FileSystem::open_inode).
#[derive(Clone)]
pub struct InodeHandle(pub(crate) Arc<Node>);

/// What a [`Node`]'s lock guards.
pub(crate) struct NodeState {
    pub(crate) inode: Inode,
    /// Where its blocks are; `None` until somebody asks.
    pub(crate) map: Option<FileMap>,
    /// Blocks of content that have not been written to the device, by their place in the file.
    pub(crate) pages: BTreeMap<u32, Box<[u8]>>,
    /// How many of `pages` have no block yet.
    pub(crate) unmapped_pages: u64,
    /// How many free blocks are kept for them.
    pub(crate) reserved: u64,
    /// The inode differs from the device's.
    pub(crate) is_changed: bool,
    /// It was freed; whoever still has it finds nothing.
    pub(crate) is_freed: bool,
}

impl Node {
    pub(crate) fn new(number: InodeNumber, inode: Inode) -> Node {
        Node {
            number,
            opened: AtomicU32::new(0),
            state: RwLock::new(NodeState {
                inode,
                map: None,
                pages: BTreeMap::new(),
                unmapped_pages: 0,
                reserved: 0,
                is_changed: false,
                is_freed: false,
            }),
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, NodeState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, NodeState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NodeState {
    pub(crate) fn file_type(&self, number: InodeNumber) -> Result<FileType, Error> {
        let kind = self.inode.file_type();
        kind.ok_or(Error::corrupt(
            Place::Inode(number),
            "a mode of no known kind",
        ))
    }

    /// The map, which the caller has loaded.
    pub(crate) fn map(&self) -> &FileMap {
        self.map
            .as_ref()
            .expect("the map was loaded before the lock was given out")
    }

    /// The map to be changed, which the caller has loaded.
    pub(crate) fn map_mut(&mut self) -> &mut FileMap {
        self.map
            .as_mut()
            .expect("the map was loaded before the lock was given out")
    }
}

/// A part of the inodes in memory.
struct Shard {
    nodes: HashMap<InodeNumber, Arc<Node>, Numbered>,
    /// So many make it look for some to drop.
    nodes_max: usize,
}

impl Default for Shard {
    fn default() -> Shard {
        Shard {
            nodes: HashMap::default(),
            nodes_max: NODES_MAX,
        }
    }
}

/// All inodes in memory.
pub(crate) struct Nodes {
    shards: [RwLock<Shard>; SHARDS],
    /// Those that differ from the device, in the order of the device.
    changed: Mutex<BTreeMap<InodeNumber, Arc<Node>>>,
}

impl Nodes {
    pub(crate) fn new() -> Nodes {
        Nodes {
            shards: std::array::from_fn(|_| RwLock::default()),
            changed: Mutex::default(),
        }
    }

    /// Returns an inode, read by `load` if it is not here.
    pub(crate) fn get(
        &self,
        number: InodeNumber,
        load: impl FnOnce() -> Result<Inode, Error>,
    ) -> Result<Arc<Node>, Error> {
        let shard = &self.shards[number.0 as usize % SHARDS];
        if let Some(node) = shard
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .nodes
            .get(&number)
        {
            return Ok(Arc::clone(node));
        }
        // Under the lock, so that nobody writes the inode back and forgets it between.
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = shard.nodes.get(&number) {
            return Ok(Arc::clone(node));
        }
        let node = Arc::new(Node::new(number, load()?));
        shard.keep(&node);
        Ok(node)
    }

    /// Returns an inode if it is here.
    pub(crate) fn held(&self, number: InodeNumber) -> Option<Arc<Node>> {
        let shard = &self.shards[number.0 as usize % SHARDS];
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        shard.nodes.get(&number).map(Arc::clone)
    }

    /// Keeps an inode that was just made, in place of what was known of its number.
    pub(crate) fn insert(&self, node: &Arc<Node>) {
        let shard = &self.shards[node.number.0 as usize % SHARDS];
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        shard.keep(node);
    }

    /// Drops an inode that was freed.
    pub(crate) fn forget(&self, number: InodeNumber) {
        self.lock_changed().remove(&number);
        let shard = &self.shards[number.0 as usize % SHARDS];
        shard
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .nodes
            .remove(&number);
    }

    fn lock_changed(&self) -> MutexGuard<'_, BTreeMap<InodeNumber, Arc<Node>>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an inode differs from the device.
    pub(crate) fn mark_changed(&self, node: &Arc<Node>, state: &mut NodeState) {
        if !state.is_changed {
            state.is_changed = true;
            self.lock_changed().insert(node.number, Arc::clone(node));
        }
    }

    /// Returns the inodes that differ from the device.
    pub(crate) fn changed(&self) -> Vec<Arc<Node>> {
        self.lock_changed().values().cloned().collect()
    }

    /// Notes that an inode is as the device has it.
    pub(crate) fn mark_written(&self, node: &Node, state: &mut NodeState) {
        state.is_changed = false;
        self.lock_changed().remove(&node.number);
    }
}

impl Shard {
    fn keep(&mut self, node: &Arc<Node>) {
        if self.nodes.len() >= self.nodes_max {
            self.evict();
        }
        self.nodes.insert(node.number, Arc::clone(node));
    }

    /// Drops inodes that nobody uses: changed ones are in the other table too, open ones are counted.
    fn evict(&mut self) {
        self.nodes.retain(|_, node| {
            Arc::strong_count(node) > 1 || node.opened.load(Ordering::Relaxed) > 0
        });
        // Those in use stay: looking through them again and again would take for ever.
        self.nodes_max = NODES_MAX.max(2 * self.nodes.len());
    }
}
