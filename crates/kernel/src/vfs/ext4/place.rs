//! Where directories lie: each knows its parent and its name there, and follows when it is moved.

use std::sync::{Arc, MutexGuard, PoisonError};

use minke_ext4::InodeNumber;

use super::node::Node;
use crate::vfs::Name;

/// A directory's own name. The top has no parent, and a directory that was not reached by its name yet neither.
#[derive(Default)]
pub(super) struct Place {
    pub(super) parent: Option<Arc<Node>>,
    pub(super) name: Name,
    pub(super) is_removed: bool,
}

impl Node {
    pub(super) fn lock_place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes where a directory was found, if nobody knows yet. Nothing for what may have many names.
    pub(super) fn place_once(&self, parent: &Node, name: &[u8]) {
        if !self.is_directory() || self.number == InodeNumber::ROOT {
            return;
        }
        let mut place = self.lock_place();
        if place.parent.is_none() {
            place.parent = Some(parent.this());
            place.name = Name::from_slice(name);
        }
    }

    /// Notes where a directory was moved to.
    pub(super) fn place_at(&self, parent: &Arc<Node>, name: &[u8]) {
        if !self.is_directory() {
            return;
        }
        let mut place = self.lock_place();
        let previous = place.parent.replace(Arc::clone(parent));
        place.name = Name::from_slice(name);
        drop(place);
        // The last holder of the old parent may be here: not under the lock.
        drop(previous);
    }

    /// Whether this node is a directory that is, or holds, another one.
    pub(super) fn is_self_or_above(&self, other: &Arc<Node>) -> bool {
        let mut current = Some(Arc::clone(other));
        while let Some(node) = current {
            if node.number == self.number {
                return true;
            }
            current = node.lock_place().parent.clone();
        }
        false
    }
}
