//! Nodes: the inodes of a mounted file system, each one object while somebody holds it.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use minke_abi::linux::{FileType, OpenFlags};
use minke_abi::{Errno, Result};
use minke_ext4::{AttributeMode, Error, InodeHandle, InodeNumber};

use super::convert::{self, errno};
use super::file::OpenFile;
use super::place::Place;
use super::{AccessTimes, Change, Shared};
use crate::file::File;
use crate::pipe::Fifo;
use crate::vfs::permission::without_set_id;
use crate::vfs::{
    AttributeChange, DirectoryEntry, Inode, Metadata, Name, Nameless, NewInode, Ownership, Passed,
    RenameFlags,
};

/// Set-user-id and set-group-id.
const SET_ID: u32 = 0o6000;
/// A time of access that is older is noted again, whatever happened. Linux: fs/inode.c `relatime_need_update()`.
const ACCESS_SECONDS_MAX: i64 = 24 * 60 * 60;

/// An inode. While it lives, the driver keeps the inode, even without a name.
pub(super) struct Node {
    pub(super) shared: Arc<Shared>,
    pub(super) number: InodeNumber,
    pub(super) kind: FileType,
    pub(super) inode: InodeHandle,
    this: Weak<Node>,
    /// Where a directory is; a leaf lock.
    pub(super) place: Mutex<Place>,
    /// The pipe of all who open the fifo.
    fifo: OnceLock<Arc<Fifo>>,
    /// The time of access is newer than every change, so that reading need not look.
    is_access_noted: AtomicBool,
    /// A write may have to take set-id bits away.
    may_have_set_id: AtomicBool,
    /// It was made without a name and may get one.
    pub(super) is_linkable: AtomicBool,
}

impl Node {
    /// Makes the node of an inode that the driver has.
    pub(super) fn read(
        shared: &Arc<Shared>,
        number: InodeNumber,
    ) -> std::result::Result<Arc<Node>, Error> {
        shared.system.open_inode(number)?;
        let system = &shared.system;
        let found = system
            .inode(number)
            .and_then(|inode| Ok((system.metadata_of(&inode)?, inode)));
        let (metadata, inode) = match found {
            Ok(found) => found,
            Err(error) => {
                system.close_inode(number, shared.driver_now())?;
                return Err(error);
            }
        };
        Ok(Arc::new_cyclic(|this| Node {
            shared: Arc::clone(shared),
            number,
            kind: convert::file_type(metadata.file_type),
            inode,
            this: Weak::clone(this),
            place: Mutex::default(),
            fifo: OnceLock::new(),
            is_access_noted: AtomicBool::new(false),
            may_have_set_id: AtomicBool::new(u32::from(metadata.mode) & SET_ID != 0),
            is_linkable: AtomicBool::new(false),
        }))
    }

    pub(super) fn this(&self) -> Arc<Node> {
        self.this
            .upgrade()
            .expect("a node is only called through its Arc")
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind == FileType::Directory
    }

    /// Returns the node behind an inode of the same file system, else `EXDEV`.
    pub(super) fn of_inode(&self, inode: &Arc<dyn Inode>) -> Result<Arc<Node>> {
        let any: Arc<dyn Any + Send + Sync> = Arc::clone(inode) as _;
        let node = any.downcast::<Node>().map_err(|_| Errno::EXDEV)?;
        if Arc::ptr_eq(&node.shared, &self.shared) {
            Ok(node)
        } else {
            Err(Errno::EXDEV)
        }
    }

    pub(super) fn stat(&self) -> Result<Metadata> {
        let system = &self.shared.system;
        let found = system.metadata_of(&self.inode).map_err(errno)?;
        let block_size = system.superblock().block_size_bytes();
        Ok(convert::metadata(self.shared.device, block_size, &found))
    }

    /// Notes that the inode was read, if its time of access is to tell.
    pub(super) fn note_access(&self) -> Result<()> {
        let is_told = self.shared.options.access_times == AccessTimes::Relative
            && self.shared.system.is_writable();
        if !is_told || self.is_access_noted.load(Ordering::Relaxed) {
            return Ok(());
        }
        // Before the look: a change that comes meanwhile takes it back.
        self.is_access_noted.store(true, Ordering::Relaxed);
        let metadata = self.stat()?;
        let now = self.shared.now();
        let is_due = metadata.accessed <= metadata.modified
            || metadata.accessed <= metadata.changed
            || now.seconds.saturating_sub(metadata.accessed.seconds) >= ACCESS_SECONDS_MAX;
        if !is_due {
            return Ok(());
        }
        self.shared
            .system
            .set_accessed(self.number, convert::to_ext4(now))
            .map_err(errno)?;
        self.shared.changed(Change::Metadata)
    }

    /// Notes that times of the inode have changed, or that somebody opens it: the next read looks at the time of access again.
    pub(super) fn expect_access(&self) {
        if self.is_access_noted.load(Ordering::Relaxed) {
            self.is_access_noted.store(false, Ordering::Relaxed);
        }
    }

    /// Takes away what a write takes from the mode, whoever writes, as tmpfs does here.
    pub(super) fn drop_set_id(&self) -> Result<()> {
        if !self.may_have_set_id.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mode = self.stat()?.mode;
        let cleared = without_set_id(mode);
        if cleared == mode {
            return Ok(());
        }
        self.change_mode_and_times(&AttributeChange {
            mode: Some(cleared),
            ..AttributeChange::default()
        })
    }

    fn change_mode_and_times(&self, change: &AttributeChange) -> Result<()> {
        let converted = minke_ext4::AttributeChange {
            mode: change.mode.map(|mode| mode as u16 & 0o7777),
            uid: change.uid,
            gid: change.gid,
            accessed: change.accessed.map(convert::to_ext4),
            modified: change.modified.map(convert::to_ext4),
        };
        let now = self.shared.driver_now();
        self.shared
            .system
            .set_attributes(self.number, &converted, now)
            .map_err(errno)?;
        if let Some(mode) = change.mode {
            self.may_have_set_id
                .store(mode & SET_ID != 0, Ordering::Relaxed);
        }
        Ok(())
    }

    fn take_parent(&mut self) -> Option<Arc<Node>> {
        let place = self.place.get_mut();
        place.unwrap_or_else(PoisonError::into_inner).parent.take()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.shared);
        shared.forget(self.number);
        let closed = shared.system.close_inode(self.number, shared.driver_now());
        match closed {
            Ok(minke_ext4::Closed::Kept) => {}
            // What could not be freed stays in the list of inodes without a name, and is freed when the file system is opened again.
            Ok(minke_ext4::Closed::Freed) | Err(_) => drop(shared.changed(Change::Metadata)),
        }
        // A chain of removed directories is dropped in a loop: a guest may have made it long.
        let mut next = self.take_parent();
        while let Some(parent) = next {
            next = Arc::into_inner(parent).and_then(|mut node| node.take_parent());
        }
    }
}

impl Inode for Node {
    fn metadata(&self) -> Result<Metadata> {
        self.stat()
    }

    fn file_type(&self) -> FileType {
        self.kind
    }

    fn number(&self) -> u64 {
        self.number.0.into()
    }

    fn parent(&self) -> Result<Arc<dyn Inode>> {
        if !self.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        let parent = self.lock_place().parent.clone();
        Ok(parent.unwrap_or_else(|| self.this()))
    }

    fn name(&self) -> Result<Name> {
        if !self.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        let place = self.lock_place();
        match place.is_removed {
            true => Err(Errno::ENOENT),
            false => Ok(place.name.clone()),
        }
    }

    fn open(self: Arc<Self>, flags: OpenFlags) -> Result<Arc<dyn File>> {
        match self.kind {
            FileType::Regular | FileType::Directory => Ok(Arc::new(OpenFile::new(self, flags))),
            FileType::Fifo => {
                let budget = &self.shared.options.budget;
                let fifo = Arc::clone(self.fifo.get_or_init(|| Fifo::new(Arc::clone(budget))));
                fifo.open(self, flags)
            }
            FileType::Symlink => Err(Errno::ELOOP),
            FileType::CharacterDevice | FileType::BlockDevice | FileType::Socket => {
                Err(Errno::ENXIO)
            }
        }
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<()> {
        let is_only_size = *change
            == AttributeChange {
                size: change.size,
                ..AttributeChange::default()
            };
        if let Some(size) = change.size {
            let now = self.shared.driver_now();
            self.shared
                .system
                .set_size(self.number, size, now)
                .map_err(errno)?;
        }
        if change.size.is_none() || !is_only_size {
            self.change_mode_and_times(change)?;
        }
        self.expect_access();
        self.shared.changed(Change::Metadata)
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let node = self.find(name)?;
        Ok(node)
    }

    fn pass(&self, path: &[u8], may_enter: &dyn Fn(&dyn Inode) -> bool) -> Option<Passed> {
        self.pass_known(path, may_enter)
    }

    fn create(
        &self,
        name: &[u8],
        new: &NewInode<'_>,
        ownership: Ownership,
    ) -> Result<Arc<dyn Inode>> {
        let node = self.make(name, new, ownership)?;
        Ok(node)
    }

    fn create_nameless(&self, ownership: Ownership, use_of: Nameless) -> Result<Arc<dyn Inode>> {
        let node = self.make_nameless(ownership)?;
        node.is_linkable
            .store(use_of == Nameless::Linkable, Ordering::SeqCst);
        Ok(node)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        self.add_link(name, &self.of_inode(target)?)
    }

    fn unlink(&self, name: &[u8]) -> Result<()> {
        self.remove_file(name)
    }

    fn remove_directory(&self, name: &[u8]) -> Result<()> {
        self.remove_empty_directory(name)
    }

    fn rename(
        &self,
        name: &[u8],
        new_parent: &Arc<dyn Inode>,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<()> {
        self.move_name(name, &self.of_inode(new_parent)?, new_name, flags)
    }

    fn read_directory(
        &self,
        cookie: u64,
        emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        let listed = self
            .shared
            .system
            .read_directory(self.number, cookie, &mut |entry| {
                emit(DirectoryEntry {
                    inode: entry.inode.0.into(),
                    file_type: convert::file_type(entry.file_type),
                    name: &entry.name,
                    next_cookie: entry.next_cookie,
                })
            });
        listed.map_err(errno)?;
        self.note_access()
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        let target = self.shared.system.read_link(self.number).map_err(errno)?;
        self.note_access()?;
        Ok(target)
    }

    fn extended_attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        let value = self.shared.system.extended_attribute(self.number, name);
        value.map_err(errno)
    }

    fn set_extended_attribute(&self, name: &[u8], value: Option<&[u8]>) -> Result<()> {
        let system = &self.shared.system;
        let now = self.shared.driver_now();
        let done = match value {
            Some(value) => {
                system.set_extended_attribute(self.number, name, value, AttributeMode::Any, now)
            }
            None => system.remove_extended_attribute(self.number, name, now),
        };
        done.map_err(errno)?;
        self.expect_access();
        self.shared.changed(Change::Metadata)
    }

    fn extended_attributes(&self) -> Result<Vec<Vec<u8>>> {
        let names = self.shared.system.extended_attributes(self.number);
        names.map_err(errno)
    }

    fn sync(&self) -> Result<()> {
        self.shared.write_back()
    }
}
