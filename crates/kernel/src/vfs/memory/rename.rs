//! Moving and removing directories, and moving names between directories.
//!
//! Whoever does so holds [`Shared::structure`](super::Shared), so that the directories above
//! stay where they are while they are looked at, and two directories can be locked in any order.

use std::sync::{Arc, MutexGuard, PoisonError};

use minke_abi::linux::FileType;
use minke_abi::{Errno, Result};

use super::directory::Directory;
use super::node::Node;
use crate::vfs::RenameFlags;

/// The end of a name's move: its old or its new place.
struct End<'a> {
    directory: &'a Arc<Node>,
    name: &'a [u8],
    node: Arc<Node>,
}

impl Node {
    fn lock_structure(&self) -> MutexGuard<'_, ()> {
        self.shared
            .structure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes an empty directory.
    pub(super) fn remove_empty_directory(&self, name: &[u8]) -> Result<()> {
        let _structure = self.lock_structure();
        let mut entries = self.entries_mut()?;
        let victim = self.find(&entries, name)?;
        victim.close_directory()?;
        self.pin_uncharged();
        entries.remove(name, &self.shared);
        self.note_removed_directory();
        Ok(())
    }

    /// Makes an empty directory one that was removed: `ENOTEMPTY` if it is not empty.
    fn close_directory(&self) -> Result<()> {
        let mut entries = self.entries_mut()?;
        if !entries.is_empty()? {
            return Err(Errno::ENOTEMPTY);
        }
        entries.close();
        drop(entries);
        self.place()?.is_removed = true;
        self.lose_link();
        Ok(())
    }

    fn note_removed_directory(&self) {
        let mut attributes = self.attributes();
        attributes.links = attributes.links.saturating_sub(1);
        attributes.note_entries(self.shared.now());
    }

    /// Moves a name of this directory. POSIX: `rename()`; Linux: `renameat2(2)`.
    pub(super) fn move_name(
        &self,
        name: &[u8],
        new_parent: &Arc<Node>,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<()> {
        let _structure = self.lock_structure();
        let this = self.this();
        let old = {
            let entries = self.entries()?;
            self.find(&entries, name)?
        };
        if old.is_self_or_above(new_parent) {
            return Err(Errno::EINVAL);
        }
        let mut directories = Locked::new(&this, new_parent)?;
        // Files may have come and gone before the locks were taken.
        let old = End {
            node: self.find(directories.old(), name)?,
            directory: &this,
            name,
        };
        let target = new_parent.find(directories.new_entries(), new_name);
        let target = match target {
            Err(Errno::ENOENT) => None,
            found => Some(End {
                node: found?,
                directory: new_parent,
                name: new_name,
            }),
        };
        match target {
            Some(_) if flags.contains(RenameFlags::NOREPLACE) => Err(Errno::EEXIST),
            None if flags.contains(RenameFlags::EXCHANGE) => Err(Errno::ENOENT),
            Some(target) if Arc::ptr_eq(&target.node, &old.node) => Ok(()),
            Some(target) if flags.contains(RenameFlags::EXCHANGE) => {
                exchange(&old, &target, &mut directories)
            }
            target => replace(&old, new_parent, new_name, target, &mut directories),
        }
    }

    /// Whether this node is a directory that is, or holds, another.
    fn is_self_or_above(&self, other: &Arc<Node>) -> bool {
        let mut current = Some(Arc::clone(other));
        while let Some(node) = current {
            if node.number == self.number {
                return true;
            }
            current = node.place().ok().and_then(|place| place.parent.clone());
        }
        false
    }

    fn adjust_links(&self, delta: i32) {
        let mut attributes = self.attributes();
        attributes.links = attributes.links.saturating_add_signed(delta);
        attributes.note_entries(self.shared.now());
    }
}

/// The entries of one or two directories, locked for a change.
struct Locked<'a> {
    old: std::sync::RwLockWriteGuard<'a, Directory>,
    /// `None` when both are the same directory.
    new: Option<std::sync::RwLockWriteGuard<'a, Directory>>,
}

impl<'a> Locked<'a> {
    fn new(old: &'a Arc<Node>, new: &'a Arc<Node>) -> Result<Locked<'a>> {
        Ok(Locked {
            old: old.entries_mut()?,
            new: if Arc::ptr_eq(old, new) {
                None
            } else {
                Some(new.entries_mut()?)
            },
        })
    }

    fn old(&self) -> &Directory {
        &self.old
    }

    fn new_entries(&self) -> &Directory {
        self.new.as_ref().unwrap_or(&self.old)
    }

    fn new_entries_mut(&mut self) -> &mut Directory {
        self.new.as_mut().unwrap_or(&mut self.old)
    }
}

/// Moves a name, over another one if there is one.
fn replace(
    old: &End<'_>,
    new_parent: &Arc<Node>,
    new_name: &[u8],
    target: Option<End<'_>>,
    directories: &mut Locked<'_>,
) -> Result<()> {
    let shared = &old.node.shared;
    pin_all(old, new_parent)?;
    directories.new_entries().charge(new_name, shared)?;
    let mut links_lost = 0;
    if let Some(target) = target {
        remove_target(old, &target).inspect_err(|_| Directory::refund(new_name, shared))?;
        links_lost = i32::from(target.node.kind == FileType::Directory);
        directories.new_entries_mut().remove(new_name, shared);
    }
    let new_entries = directories.new_entries_mut();
    new_entries.put(new_name, Arc::clone(&old.node));
    directories.old.remove(old.name, shared);
    let moved = i32::from(old.node.kind == FileType::Directory);
    old.node.set_place(new_parent, new_name);
    old.node.attributes().changed = shared.now();
    old.directory.adjust_links(-moved);
    new_parent.adjust_links(moved - links_lost);
    Ok(())
}

fn pin_all(old: &End<'_>, new_parent: &Arc<Node>) -> Result<()> {
    old.directory.pin()?;
    new_parent.pin()?;
    old.node.pin()
}

/// Takes the last or one of the names away from what a move replaces.
fn remove_target(old: &End<'_>, target: &End<'_>) -> Result<()> {
    let is_directory = |node: &Node| node.kind == FileType::Directory;
    match (is_directory(&old.node), is_directory(&target.node)) {
        (true, false) => Err(Errno::ENOTDIR),
        (false, true) => Err(Errno::EISDIR),
        (false, false) => {
            target.node.lose_link();
            Ok(())
        }
        // The old directory's own entries are locked already, and hold at least the old name.
        (true, true) if Arc::ptr_eq(&target.node, old.directory) => Err(Errno::ENOTEMPTY),
        (true, true) => target.node.close_directory(),
    }
}

/// Swaps two names (`RENAME_EXCHANGE`).
fn exchange(old: &End<'_>, target: &End<'_>, directories: &mut Locked<'_>) -> Result<()> {
    if target.node.is_self_or_above(old.directory) {
        return Err(Errno::EINVAL);
    }
    let shared = &old.node.shared;
    pin_all(old, target.directory)?;
    target.node.pin()?;
    directories.new_entries().charge(target.name, shared)?;
    directories
        .old()
        .charge(old.name, shared)
        .inspect_err(|_| Directory::refund(target.name, shared))?;
    let new_entries = directories.new_entries_mut();
    new_entries.remove(target.name, shared);
    new_entries.put(target.name, Arc::clone(&old.node));
    directories.old.remove(old.name, shared);
    directories.old.put(old.name, Arc::clone(&target.node));
    old.node.set_place(target.directory, target.name);
    target.node.set_place(old.directory, old.name);
    let now = shared.now();
    old.node.attributes().changed = now;
    target.node.attributes().changed = now;
    let directories_of = |node: &Node| i32::from(node.kind == FileType::Directory);
    let delta = directories_of(&old.node) - directories_of(&target.node);
    old.directory.adjust_links(-delta);
    target.directory.adjust_links(delta);
    Ok(())
}
