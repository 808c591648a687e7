//! Finding names and changing them: the driver first, then the cache and the places of directories.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use minke_abi::{Errno, Result};
use minke_ext4::{Error, RenameMode};

use super::Change;
use super::cache::Known;
use super::convert::{self, errno};
use super::node::Node;
use crate::vfs::{Inode, NewInode, Ownership, Passed, RenameFlags};

impl Node {
    /// Finds a name.
    pub(super) fn find(&self, name: &[u8]) -> Result<Arc<Node>> {
        if !self.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        loop {
            let ticket = match self.shared.names.get(self.number, name) {
                Known::Node(node) => return Ok(node),
                Known::Absent => return Err(Errno::ENOENT),
                Known::Nothing(ticket) => ticket,
            };
            let add = |node: Option<&Arc<Node>>| {
                let place = || {
                    if let Some(node) = node {
                        node.place_once(self, name);
                    }
                };
                let key = (self.number, name);
                self.shared.names.add(ticket, key, node, place)
            };
            let number = match self.shared.system.lookup(self.number, name) {
                Ok(number) => number,
                Err(Error::NotFound) => {
                    add(None);
                    return Err(Errno::ENOENT);
                }
                Err(error) => return Err(errno(error)),
            };
            match self.shared.node(number) {
                // A directory that was moved meanwhile would get the wrong place.
                Ok(node) if add(Some(&node)) || !node.is_directory() => return Ok(node),
                Ok(_) => {}
                // It was removed meanwhile, or the name leads to nothing.
                Err(Error::NotFound) if self.shared.names.is_current(ticket) => {
                    return Err(Errno::EIO);
                }
                Err(Error::NotFound) => {}
                Err(error) => return Err(errno(error)),
            }
        }
    }

    /// Goes through directories whose names are known; see [`Inode::pass`].
    pub(super) fn pass_known(
        &self,
        path: &[u8],
        may_enter: &dyn Fn(&dyn Inode) -> bool,
    ) -> Option<Passed> {
        let mut directory = self.number;
        let (mut name, mut rest) = split(path);
        loop {
            if matches!(name, b"." | b"..") {
                return None;
            }
            let (next, behind) = split(rest);
            let look = |node: &Arc<Node>| {
                let is_passed = node.is_directory() && may_enter(&**node);
                is_passed.then(|| (node.number, behind.is_empty().then(|| Arc::clone(node))))
            };
            let (number, end) = self.shared.names.peek(directory, name, look).flatten()?;
            if let Some(inode) = end {
                let length = path.len() - rest.len();
                return Some(Passed { inode, length });
            }
            (directory, name, rest) = (number, next, behind);
        }
    }

    /// Makes an object under a name that does not exist yet.
    pub(super) fn make(
        &self,
        name: &[u8],
        new: &NewInode<'_>,
        ownership: Ownership,
    ) -> Result<Arc<Node>> {
        let structure = self.shared.lock_structure();
        let (system, now) = (&self.shared.system, self.shared.driver_now());
        let converted = convert::ownership(ownership);
        let number = system
            .create(self.number, name, &convert::new_inode(new), converted, now)
            .map_err(errno)?;
        let node = self.shared.node(number).map_err(errno)?;
        node.place_once(self, name);
        self.shared.names.change(self.number, name, Some(&node));
        drop(structure);
        self.expect_access();
        self.shared.changed(Change::Metadata)?;
        Ok(node)
    }

    /// Makes a regular file without a name.
    pub(super) fn make_nameless(&self, ownership: Ownership) -> Result<Arc<Node>> {
        let structure = self.shared.lock_structure();
        let (system, now) = (&self.shared.system, self.shared.driver_now());
        let number = system
            .create_nameless(self.number, convert::ownership(ownership), now)
            .map_err(errno)?;
        let node = self.shared.node(number).map_err(errno);
        // The node keeps it open from here on.
        system.close_inode(number, now).map_err(errno)?;
        drop(structure);
        self.shared.changed(Change::Metadata)?;
        node
    }

    /// Gives a node another name.
    pub(super) fn add_link(&self, name: &[u8], target: &Arc<Node>) -> Result<()> {
        if target.is_directory() {
            return Err(Errno::EPERM);
        }
        let structure = self.shared.lock_structure();
        let (system, now) = (&self.shared.system, self.shared.driver_now());
        let linked = match target.is_linkable.load(Ordering::SeqCst) {
            true => system.link_nameless(self.number, name, target.number, now),
            false => system.link(self.number, name, target.number, now),
        };
        linked.map_err(errno)?;
        target.is_linkable.store(false, Ordering::SeqCst);
        self.shared.names.change(self.number, name, Some(target));
        drop(structure);
        self.expect_access();
        target.expect_access();
        self.shared.changed(Change::Metadata)
    }

    /// Removes a name that is not a directory.
    pub(super) fn remove_file(&self, name: &[u8]) -> Result<()> {
        let structure = self.shared.lock_structure();
        let victim = self.find(name)?;
        if victim.is_directory() {
            return Err(Errno::EISDIR);
        }
        let (system, now) = (&self.shared.system, self.shared.driver_now());
        system.unlink(self.number, name, now).map_err(errno)?;
        self.shared.names.change(self.number, name, None);
        drop(structure);
        self.expect_access();
        victim.expect_access();
        self.shared.changed(Change::Metadata)
    }

    /// Removes an empty directory.
    pub(super) fn remove_empty_directory(&self, name: &[u8]) -> Result<()> {
        let structure = self.shared.lock_structure();
        let victim = self.find(name)?;
        let (system, now) = (&self.shared.system, self.shared.driver_now());
        system
            .remove_directory(self.number, name, now)
            .map_err(errno)?;
        self.shared.names.change(self.number, name, None);
        victim.lock_place().is_removed = true;
        drop(structure);
        self.expect_access();
        self.shared.changed(Change::Metadata)
    }

    /// Moves a name. POSIX: `rename()`; Linux: `renameat2(2)`.
    pub(super) fn move_name(
        &self,
        name: &[u8],
        new_parent: &Arc<Node>,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<()> {
        let structure = self.shared.lock_structure();
        let source = self.find(name)?;
        let target = match new_parent.find(new_name) {
            Err(Errno::ENOENT) => None,
            found => Some(found?),
        };
        let is_exchange = flags.contains(RenameFlags::EXCHANGE);
        let mode = match &target {
            Some(_) if flags.contains(RenameFlags::NOREPLACE) => return Err(Errno::EEXIST),
            // Two names of one inode stay as they are.
            Some(target) if target.number == source.number => return Ok(()),
            _ if is_exchange => RenameMode::Exchange,
            _ => RenameMode::Replace,
        };
        // The driver believes the image's `..`; a broken one must not make a circle of places.
        let this = self.this();
        let moves_below =
            |node: &Node, end: &Arc<Node>| node.is_directory() && node.is_self_or_above(end);
        let target_moves_below = |it: &Arc<Node>| is_exchange && moves_below(it, &this);
        if moves_below(&source, new_parent) || target.as_ref().is_some_and(target_moves_below) {
            return Err(Errno::EINVAL);
        }
        let (system, now) = (&self.shared.system, self.shared.driver_now());
        let (old, new) = ((self.number, name), (new_parent.number, new_name));
        system.rename(old, new, mode, now).map_err(errno)?;
        let left = target.as_ref().filter(|_| is_exchange);
        self.shared.names.change(self.number, name, left);
        self.shared
            .names
            .change(new_parent.number, new_name, Some(&source));
        source.place_at(new_parent, new_name);
        match &target {
            Some(target) if is_exchange => target.place_at(&this, name),
            Some(target) => target.lock_place().is_removed = true,
            None => {}
        }
        drop(structure);
        [&this, new_parent, &source]
            .into_iter()
            .chain(&target)
            .for_each(|node| node.expect_access());
        self.shared.changed(Change::Metadata)
    }
}

/// Splits a path behind its first name and the slashes that follow.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let is_slash = |byte: &u8| *byte == b'/';
    let end = path.iter().position(is_slash).unwrap_or(path.len());
    let slashes = path[end..].iter().take_while(|byte| is_slash(byte));
    (&path[..end], &path[end + slashes.count()..])
}
