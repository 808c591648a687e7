//! The entries of a directory: names made in memory, over those of a lower directory.

use std::collections::BTreeMap;
use std::sync::Arc;

use minke_abi::{Errno, Result};

use super::Shared;
use super::node::Node;
use crate::kernel::Use;
use crate::vfs::{DirectoryEntry, Inode, Name};

/// Cookies below are the lower directory's own, which counts its entries; names made in memory
/// follow. Small, because a guest's `telldir` may give 32 bits only.
const FIRST_OWN_COOKIE: u64 = 1 << 24;
/// What a name costs beside its bytes, as charged to the container.
const ENTRY_BYTES: u64 = 192;

/// A directory's entries.
pub(super) struct Directory {
    entries: BTreeMap<Name, Slot>,
    /// The same nodes in the order in which they came: reading goes on here after a cookie,
    /// whatever was made or removed meanwhile.
    by_cookie: BTreeMap<u64, (Name, Arc<Node>)>,
    next_cookie: u64,
    /// What the lower tree has here; `None` for a directory made in memory.
    lower: Option<Arc<dyn Inode>>,
    /// Nothing can be made here any more.
    pub(super) is_removed: bool,
}

/// What memory says of a name; it goes before what the lower tree says.
enum Slot {
    Node {
        node: Arc<Node>,
        cookie: u64,
    },
    /// The lower tree's name was removed.
    Whiteout,
}

/// What is known of a name without a look at the lower tree.
pub(super) enum Known {
    Node(Arc<Node>),
    Removed,
    /// Ask this lower directory.
    Lower(Arc<dyn Inode>),
}

impl Directory {
    pub(super) fn new(lower: Option<Arc<dyn Inode>>) -> Directory {
        Directory {
            entries: BTreeMap::new(),
            by_cookie: BTreeMap::new(),
            next_cookie: FIRST_OWN_COOKIE,
            lower,
            is_removed: false,
        }
    }

    /// Returns what is known of a name.
    pub(super) fn get(&self, name: &[u8]) -> Known {
        match (self.entries.get(name), &self.lower) {
            (Some(Slot::Node { node, .. }), _) => Known::Node(Arc::clone(node)),
            (Some(Slot::Whiteout), _) | (None, None) => Known::Removed,
            (None, Some(lower)) => Known::Lower(Arc::clone(lower)),
        }
    }

    /// Whether a name exists.
    pub(super) fn contains(&self, name: &[u8]) -> bool {
        match self.entries.get(name) {
            Some(slot) => matches!(slot, Slot::Node { .. }),
            None => self.is_in_lower(name),
        }
    }

    fn is_in_lower(&self, name: &[u8]) -> bool {
        self.lower
            .as_ref()
            .is_some_and(|lower| lower.lookup(name).is_ok())
    }

    /// Takes the memory for a name that [`Directory::put`] is to add.
    pub(super) fn charge(&self, name: &[u8], shared: &Shared) -> Result<()> {
        if self.is_removed {
            return Err(Errno::ENOENT);
        }
        shared
            .budget
            .charge_for(Use::Kernel, ENTRY_BYTES + name.len() as u64)
    }

    /// Gives the memory back: the name is not added after all.
    pub(super) fn refund(name: &[u8], shared: &Shared) {
        shared
            .budget
            .release_for(Use::Kernel, ENTRY_BYTES + name.len() as u64);
    }

    /// Gives a node a name that is not in use and was charged for.
    pub(super) fn put(&mut self, name: &[u8], node: Arc<Node>) {
        let name = Name::from_slice(name);
        let cookie = self.next_cookie;
        self.next_cookie += 1;
        self.by_cookie
            .insert(cookie, (name.clone(), Arc::clone(&node)));
        self.entries.insert(name, Slot::Node { node, cookie });
    }

    /// Removes a name that exists, leaving a whiteout over the lower tree's.
    pub(super) fn remove(&mut self, name: &[u8], shared: &Shared) {
        if let Some(Slot::Node { cookie, .. }) = self.entries.remove(name) {
            self.by_cookie.remove(&cookie);
            Directory::refund(name, shared);
        }
        // Whiteouts are not charged: removing must work when memory has run out, and there are
        // no more of them than names in the lower tree.
        if self.is_in_lower(name) {
            self.entries.insert(Name::from_slice(name), Slot::Whiteout);
        }
    }

    /// Whether no name is left.
    pub(super) fn is_empty(&self) -> Result<bool> {
        if !self.by_cookie.is_empty() {
            return Ok(false);
        }
        let mut is_empty = true;
        if let Some(lower) = &self.lower {
            lower.read_directory(0, &mut |entry| {
                is_empty = self.entries.contains_key(entry.name);
                is_empty
            })?;
        }
        Ok(is_empty)
    }

    /// Makes sure that nothing is found or made here any more: the directory was removed.
    pub(super) fn close(&mut self) {
        self.is_removed = true;
        self.lower = None;
        self.entries.clear();
    }

    /// Takes all nodes out, for the end of the file system.
    pub(super) fn take_nodes(&mut self, shared: &Shared) -> Vec<Arc<Node>> {
        self.entries.clear();
        let nodes = std::mem::take(&mut self.by_cookie).into_values();
        nodes
            .map(|(name, node)| {
                Directory::refund(&name, shared);
                node
            })
            .collect()
    }

    /// Lists entries after a cookie: the lower directory's first, then those made in memory.
    pub(super) fn list(
        &self,
        cookie: u64,
        emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        let mut wants_more = true;
        if let Some(lower) = self.lower.as_ref().filter(|_| cookie < FIRST_OWN_COOKIE) {
            lower.read_directory(cookie, &mut |entry| {
                if !self.entries.contains_key(entry.name) {
                    wants_more = emit(entry);
                }
                wants_more
            })?;
        }
        if !wants_more {
            return Ok(());
        }
        for (own_cookie, (name, node)) in self.by_cookie.range(cookie.saturating_add(1)..) {
            let entry = DirectoryEntry {
                inode: node.number,
                file_type: node.kind,
                name,
                next_cookie: *own_cookie,
            };
            if !emit(entry) {
                break;
            }
        }
        Ok(())
    }
}
