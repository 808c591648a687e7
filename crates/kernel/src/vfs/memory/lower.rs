//! The live nodes of an overlay that began in its lower tree, by their lower inode number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::node::Node;

/// Unchanged nodes that are kept though nobody uses them, so that a loop over the same files
/// does not make them again and again.
const RECENT_NODES: usize = 256;

/// Makes every look-up of a lower inode give the same node.
#[derive(Default)]
pub(super) struct LowerTable {
    nodes: Mutex<LowerNodes>,
}

#[derive(Default)]
struct LowerNodes {
    by_number: BTreeMap<u64, Entry>,
    /// A ring of strong references; `next` is the oldest.
    recent: Vec<Arc<Node>>,
    next: usize,
}

enum Entry {
    /// Unchanged: can be made again from the lower tree.
    Unchanged(Weak<Node>),
    /// Changed: this is where it lives until its last name goes.
    Pinned(Arc<Node>),
}

impl LowerTable {
    /// Returns the node of a lower inode, making it with `make` when there is none.
    pub(super) fn get_or_make<E>(
        &self,
        number: u64,
        make: impl FnOnce() -> Result<Arc<Node>, E>,
    ) -> Result<Arc<Node>, E> {
        if let Some(node) = self.lock().get(number) {
            return Ok(node);
        }
        let made = make()?;
        let mut table = self.lock();
        if let Some(node) = table.get(number) {
            // Another task was faster; `made` is dropped after the lock, because its drop locks too.
            drop(table);
            return Ok(node);
        }
        let weak = Arc::downgrade(&made);
        table.by_number.insert(number, Entry::Unchanged(weak));
        let displaced = table.keep_recent(Arc::clone(&made));
        drop(table);
        drop(displaced);
        Ok(made)
    }

    /// Keeps a node that is not in the table yet.
    pub(super) fn pin_new(&self, node: &Arc<Node>) {
        let entry = Entry::Pinned(Arc::clone(node));
        self.lock().by_number.insert(node.number, entry);
    }

    /// Keeps a node from now on: it was changed.
    pub(super) fn pin(&self, number: u64) {
        if let Some(entry) = self.lock().by_number.get_mut(&number)
            && let Entry::Unchanged(weak) = entry
            && let Some(node) = weak.upgrade()
        {
            *entry = Entry::Pinned(node);
        }
    }

    /// Forgets a node: its last name has gone, so that no look-up leads to it.
    pub(super) fn forget(&self, number: u64) {
        let (removed, recent) = {
            let mut table = self.lock();
            let removed = table.by_number.remove(&number);
            let kept = table.recent.iter().position(|node| node.number == number);
            let recent = kept.map(|index| table.recent.swap_remove(index));
            table.next = 0;
            (removed, recent)
        };
        drop((removed, recent));
    }

    /// Removes what is left of a node that is being dropped.
    pub(super) fn clean(&self, number: u64) {
        let mut table = self.lock();
        if let Some(Entry::Unchanged(weak)) = table.by_number.get(&number)
            && weak.strong_count() == 0
        {
            table.by_number.remove(&number);
        }
    }

    /// Empties the table and returns the nodes that it kept.
    pub(super) fn take_all(&self) -> Vec<Arc<Node>> {
        let table = std::mem::take(&mut *self.lock());
        let pinned = table
            .by_number
            .into_values()
            .filter_map(|entry| match entry {
                Entry::Pinned(node) => Some(node),
                Entry::Unchanged(_) => None,
            });
        pinned.chain(table.recent).collect()
    }

    fn lock(&self) -> MutexGuard<'_, LowerNodes> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LowerNodes {
    fn get(&self, number: u64) -> Option<Arc<Node>> {
        match self.by_number.get(&number)? {
            Entry::Unchanged(weak) => weak.upgrade(),
            Entry::Pinned(node) => Some(Arc::clone(node)),
        }
    }

    /// Puts a node into the ring and returns the one whose place it takes.
    fn keep_recent(&mut self, node: Arc<Node>) -> Option<Arc<Node>> {
        if self.recent.len() < RECENT_NODES {
            self.recent.push(node);
            return None;
        }
        let index = self.next % RECENT_NODES;
        self.next = index + 1;
        Some(std::mem::replace(&mut self.recent[index], node))
    }
}
