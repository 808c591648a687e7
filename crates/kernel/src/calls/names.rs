//! Calls that make, move and remove names.
//!
//! Linux: `fs/namei.c`; the order of checks is that of `filename_create()`, `do_unlinkat()`,
//! `do_rmdir()`, `do_linkat()` and `do_renameat2()`, so that the first error is the same one.

use std::sync::Arc;

use minke_abi::linux::{FileType, PATH_MAX};
use minke_abi::{Errno, Result};

use crate::calls::paths::{Access, At, Follow, check_writable};
use crate::events::notify::{Happening, Notifier};
use crate::process::Credentials;
use crate::task::Task;
use crate::vfs::permission::{MODE_MASK, check, check_create, check_delete, check_link, inherited};
use crate::vfs::walk::{Last, LastKind, Walk};
use crate::vfs::{Inode, NewInode, Ownership, RenameFlags};

impl Task {
    /// Makes a regular file, directory, fifo, socket or device node; the umask applies. Linux: `mkdirat(2)`, `mknodat(2)`.
    pub fn make_node(&self, at: At, path: &[u8], new: &NewInode<'_>, mode: u32) -> Result<()> {
        let umask = self.process.standpoint().fs.umask;
        self.create(at, path, new, mode & !umask)
    }

    /// Makes a symbolic link at `path` that says `target`.
    pub fn symlink(&self, target: &[u8], at: At, path: &[u8]) -> Result<()> {
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        if target.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        if target.contains(&0) {
            return Err(Errno::EINVAL);
        }
        self.create(at, path, &NewInode::Symlink(target), 0o777)
    }

    fn create(&self, at: At, path: &[u8], new: &NewInode<'_>, mode: u32) -> Result<()> {
        let start = self.start(at, path)?;
        let (mut walk, credentials) = (start.walk(path)?, start.credentials());
        let is_directory = *new == NewInode::Directory;
        let last = free_name(&mut walk, is_directory)?;
        check_create(&**walk.place.inode, credentials)?;
        let is_device = matches!(new, NewInode::CharacterDevice(_) | NewInode::BlockDevice(_));
        if is_device && !credentials.is_privileged() {
            return Err(Errno::EPERM);
        }
        let allowed = if is_directory { 0o1777 } else { MODE_MASK };
        let directory = walk.place.inode.permissions()?;
        let (gid, mode) = inherited(&directory, credentials, mode & allowed, is_directory);
        let ownership = Ownership {
            uid: credentials.euid,
            gid,
            mode,
        };
        let name = walk.name(&last);
        walk.place.inode.create(name, new, ownership)?;
        let what = match is_directory {
            true => Happening::CREATE | Happening::ISDIR,
            false => Happening::CREATE,
        };
        let notifier = &self.process.kernel.notifier;
        notifier.tell_directory(&**walk.place.inode, name, what, 0);
        Ok(())
    }

    /// Gives a file another name. `follow` concerns the old path's last link.
    pub fn link(
        &self,
        old_at: At,
        old_path: &[u8],
        new_at: At,
        new_path: &[u8],
        follow: Follow,
    ) -> Result<()> {
        let credentials = self.process.credentials();
        let old = self.find(old_at, old_path, follow, &credentials)?;
        let start = self.start(new_at, new_path)?;
        let mut walk = start.walk_as(new_path, &credentials)?;
        let last = free_name(&mut walk, false)?;
        if old.mount.id != walk.place.mount.id {
            return Err(Errno::EXDEV);
        }
        check_link(&*old.inode, &credentials)?;
        check_create(&**walk.place.inode, &credentials)?;
        if old.is_directory() {
            return Err(Errno::EPERM);
        }
        let name = walk.name(&last);
        walk.place.inode.link(name, &old.inode)?;
        let notifier = &self.process.kernel.notifier;
        notifier.tell_file(&*old.inode, Happening::ATTRIB);
        notifier.tell_directory(&**walk.place.inode, name, Happening::CREATE, 0);
        Ok(())
    }

    /// Removes a name that is not a directory.
    pub fn unlink(&self, at: At, path: &[u8]) -> Result<()> {
        let start = self.start(at, path)?;
        let (mut walk, credentials) = (start.walk(path)?, start.credentials());
        let last = walk.walk_to_last()?;
        if last.kind != LastKind::Normal {
            return Err(Errno::EISDIR);
        }
        check_writable(&walk.place.mount)?;
        let victim = walk.look_up_last(&last)?.ok_or(Errno::ENOENT)?;
        let is_directory = victim.file_type() == FileType::Directory;
        if last.has_trailing_slash {
            return Err(if is_directory {
                Errno::EISDIR
            } else {
                Errno::ENOTDIR
            });
        }
        check_delete(&**walk.place.inode, &*victim, credentials)?;
        if is_directory {
            return Err(Errno::EISDIR);
        }
        check_not_covered(&walk, &victim)?;
        let name = walk.name(&last);
        walk.place.inode.unlink(name)?;
        let notifier = &self.process.kernel.notifier;
        notifier.tell_removed(&**walk.place.inode, name, &*victim);
        Ok(())
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, at: At, path: &[u8]) -> Result<()> {
        let start = self.start(at, path)?;
        let (mut walk, credentials) = (start.walk(path)?, start.credentials());
        let last = walk.walk_to_last()?;
        match last.kind {
            LastKind::Normal => {}
            LastKind::Dot => return Err(Errno::EINVAL),
            LastKind::DotDot => return Err(Errno::ENOTEMPTY),
            LastKind::Root => return Err(Errno::EBUSY),
        }
        check_writable(&walk.place.mount)?;
        let victim = walk.look_up_last(&last)?.ok_or(Errno::ENOENT)?;
        check_delete(&**walk.place.inode, &*victim, credentials)?;
        if victim.file_type() != FileType::Directory {
            return Err(Errno::ENOTDIR);
        }
        check_not_covered(&walk, &victim)?;
        let name = walk.name(&last);
        walk.place.inode.remove_directory(name)?;
        let notifier = &self.process.kernel.notifier;
        notifier.tell_removed(&**walk.place.inode, name, &*victim);
        Ok(())
    }

    /// Moves a name. Linux: `renameat2(2)`.
    pub fn rename(
        &self,
        old_at: At,
        old_path: &[u8],
        new_at: At,
        new_path: &[u8],
        flags: RenameFlags,
    ) -> Result<()> {
        let both = RenameFlags::NOREPLACE | RenameFlags::EXCHANGE;
        if flags.contains(both) || !both.contains(flags) {
            return Err(Errno::EINVAL);
        }
        let credentials = self.process.credentials();
        let old_start = self.start(old_at, old_path)?;
        let mut old = old_start.walk_as(old_path, &credentials)?;
        let old_last = old.walk_to_last()?;
        let new_start = self.start(new_at, new_path)?;
        let mut new = new_start.walk_as(new_path, &credentials)?;
        let new_last = new.walk_to_last()?;
        let ends = RenameEnds {
            old: &old,
            old_last: &old_last,
            new: &new,
            new_last: &new_last,
            flags,
        };
        if !ends.check(&credentials)? {
            return Ok(());
        }
        let moved = ends.moved(&self.process.kernel.notifier)?;
        old.place.inode.rename(
            old.name(&old_last),
            &new.place.inode,
            new.name(&new_last),
            flags,
        )?;
        if let Some(moved) = moved {
            ends.tell(&moved, &self.process.kernel.notifier);
        }
        Ok(())
    }
}

/// Walks to the directory of a name that is to be made, and checks that it can be. Linux: `filename_create()`.
fn free_name(walk: &mut Walk<'_>, is_directory: bool) -> Result<Last> {
    let last = walk.walk_to_last()?;
    if last.kind != LastKind::Normal {
        return Err(Errno::EEXIST);
    }
    if walk.look_up_last(&last)?.is_some() {
        return Err(Errno::EEXIST);
    }
    if last.has_trailing_slash && !is_directory {
        return Err(Errno::ENOENT);
    }
    check_writable(&walk.place.mount)?;
    Ok(last)
}

/// `EBUSY` for what something is mounted on.
fn check_not_covered(walk: &Walk<'_>, inode: &Arc<dyn Inode>) -> Result<()> {
    match walk.place.mount.covering(&**inode) {
        Some(_) => Err(Errno::EBUSY),
        None => Ok(()),
    }
}

/// Both ends of a rename, each in its directory.
struct RenameEnds<'a, 'p> {
    old: &'a Walk<'p>,
    old_last: &'a Last,
    new: &'a Walk<'p>,
    new_last: &'a Last,
    flags: RenameFlags,
}

impl RenameEnds<'_, '_> {
    /// Checks everything that the file system does not; `false` when there is nothing to do.
    fn check(&self, credentials: &Credentials) -> Result<bool> {
        if self.old.place.mount.id != self.new.place.mount.id {
            return Err(Errno::EXDEV);
        }
        self.check_last_kinds()?;
        check_writable(&self.old.place.mount)?;
        let old = self.old.look_up_last(self.old_last)?.ok_or(Errno::ENOENT)?;
        let new = self.new.look_up_last(self.new_last)?;
        self.check_slashes(&old, new.as_ref())?;
        self.check_not_inside(&old, new.as_ref())?;
        if new.as_ref().is_some_and(|n| n.number() == old.number()) {
            return Ok(false);
        }
        check_delete(&**self.old.place.inode, &*old, credentials)?;
        self.check_new(&old, new.as_ref(), credentials)?;
        self.check_moved_directory(&old, credentials)?;
        if let Some(new) = new.as_ref().filter(|_| self.is_exchange()) {
            self.check_moved_directory(new, credentials)?;
        }
        check_not_covered(self.old, &old)?;
        if let Some(new) = &new {
            check_not_covered(self.new, new)?;
        }
        Ok(true)
    }

    /// Returns what moves and what is in its way, if anybody is to be told.
    fn moved(&self, notifier: &Notifier) -> Result<Option<Moved>> {
        if !notifier.is_watched() {
            return Ok(None);
        }
        Ok(Some(Moved {
            old: self.old.look_up_last(self.old_last)?.ok_or(Errno::ENOENT)?,
            new: self.new.look_up_last(self.new_last)?,
        }))
    }

    /// Tells both directories, what was moved and what was replaced. Linux: `fsnotify_move()`.
    fn tell(&self, moved: &Moved, notifier: &Notifier) {
        let from = (&**self.old.place.inode, self.old.name(self.old_last));
        let to = (&**self.new.place.inode, self.new.name(self.new_last));
        tell_move(notifier, from, to, &*moved.old);
        match &moved.new {
            Some(new) if self.is_exchange() => tell_move(notifier, to, from, &**new),
            Some(new) => notifier.tell_replaced(&**new),
            None => {}
        }
    }

    fn is_exchange(&self) -> bool {
        self.flags.contains(RenameFlags::EXCHANGE)
    }

    fn check_last_kinds(&self) -> Result<()> {
        if self.old_last.kind != LastKind::Normal {
            return Err(Errno::EBUSY);
        }
        match self.new_last.kind {
            LastKind::Normal => Ok(()),
            _ if self.flags.contains(RenameFlags::NOREPLACE) => Err(Errno::EEXIST),
            _ => Err(Errno::EBUSY),
        }
    }

    fn check_slashes(&self, old: &Arc<dyn Inode>, new: Option<&Arc<dyn Inode>>) -> Result<()> {
        let is_exchange = self.is_exchange();
        if self.flags.contains(RenameFlags::NOREPLACE) && new.is_some() {
            return Err(Errno::EEXIST);
        }
        if is_exchange {
            let new = new.ok_or(Errno::ENOENT)?;
            if !is_directory(new) && self.new_last.has_trailing_slash {
                return Err(Errno::ENOTDIR);
            }
        }
        let new_slash = !is_exchange && self.new_last.has_trailing_slash;
        if !is_directory(old) && (self.old_last.has_trailing_slash || new_slash) {
            return Err(Errno::ENOTDIR);
        }
        Ok(())
    }

    /// A directory does not move below itself, nor onto one that it is in.
    fn check_not_inside(&self, old: &Arc<dyn Inode>, new: Option<&Arc<dyn Inode>>) -> Result<()> {
        if is_directory(old) && is_self_or_above(old, &self.new.place.inode)? {
            return Err(Errno::EINVAL);
        }
        let Some(new) = new.filter(|new| is_directory(new)) else {
            return Ok(());
        };
        if !is_self_or_above(new, &self.old.place.inode)? {
            return Ok(());
        }
        Err(if self.is_exchange() {
            Errno::EINVAL
        } else {
            Errno::ENOTEMPTY
        })
    }

    fn check_new(
        &self,
        old: &Arc<dyn Inode>,
        new: Option<&Arc<dyn Inode>>,
        credentials: &Credentials,
    ) -> Result<()> {
        let directory = &**self.new.place.inode;
        let Some(new) = new else {
            return check_create(directory, credentials);
        };
        check_delete(directory, &**new, credentials)?;
        if self.is_exchange() {
            return Ok(());
        }
        match (is_directory(old), is_directory(new)) {
            (true, false) => Err(Errno::ENOTDIR),
            (false, true) => Err(Errno::EISDIR),
            _ => Ok(()),
        }
    }

    /// Moving a directory to another one changes its `..`: that needs write permission on it.
    fn check_moved_directory(
        &self,
        moved: &Arc<dyn Inode>,
        credentials: &Credentials,
    ) -> Result<()> {
        let stays = self.old.place.inode.number() == self.new.place.inode.number();
        if stays || !is_directory(moved) {
            return Ok(());
        }
        check(&**moved, credentials, Access::WRITE)
    }
}

/// What a rename moves, and what had the name that it gets.
struct Moved {
    old: Arc<dyn Inode>,
    new: Option<Arc<dyn Inode>>,
}

/// A directory and a name in it.
type End<'a> = (&'a dyn Inode, &'a [u8]);

fn tell_move(notifier: &Notifier, from: End<'_>, to: End<'_>, inode: &dyn Inode) {
    let flag = match inode.file_type() {
        FileType::Directory => Happening::ISDIR,
        _ => Happening::empty(),
    };
    let cookie = notifier.next_cookie();
    notifier.tell_directory(from.0, from.1, Happening::MOVED_FROM | flag, cookie);
    notifier.tell_directory(to.0, to.1, Happening::MOVED_TO | flag, cookie);
    notifier.tell_file(inode, Happening::MOVE_SELF);
}

fn is_directory(inode: &Arc<dyn Inode>) -> bool {
    inode.file_type() == FileType::Directory
}

/// Whether a directory is, or holds, another one of its file system.
fn is_self_or_above(above: &Arc<dyn Inode>, below: &Arc<dyn Inode>) -> Result<bool> {
    let mut current = Arc::clone(below);
    loop {
        if current.number() == above.number() {
            return Ok(true);
        }
        let parent = current.parent()?;
        if parent.number() == current.number() {
            return Ok(false);
        }
        current = parent;
    }
}
