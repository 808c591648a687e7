//! Inodes of the host.

use std::any::Any;
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use minke_abi::linux::{FileType, NAME_MAX, OpenFlags};
use minke_abi::{Errno, Result};
use minke_kernel::File;
use minke_kernel::vfs::{
    AttributeChange, DirectoryEntry, Inode, Metadata, Name, NewInode, Ownership, RenameFlags,
    Timestamp,
};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType as HostFileType, Gid, Mode, OFlags, RawDir, SeekFrom, Stat, Timespec,
    Timestamps, Uid,
};

use super::file::{HostFile, OpenDirectory};
use super::{Descriptor, Owners, Shared, errno, number_of};

/// Bytes of directory entries that are asked of the host at a time.
const ENTRIES_BUFFER_BYTES: usize = 8192;
/// Permission bits that a bind shows and sets on what is not a directory: all but set-id.
const FILE_MODE_MASK: u32 = 0o1777;
/// Permission bits of a directory, where set-gid hands a group down.
const DIRECTORY_MODE_MASK: u32 = 0o3777;
/// Mode of what is made until owner and mode are set.
const MODE_AT_FIRST: Mode = Mode::RUSR.union(Mode::WUSR);

/// An inode of the host.
pub(super) struct Node {
    shared: Arc<Shared>,
    /// Opened with `O_PATH`.
    descriptor: Descriptor,
    kind: FileType,
    /// The host's device and inode number.
    identity: (u64, u64),
    this: Weak<Node>,
    /// The bind begins here.
    is_top: bool,
    place: Mutex<Place>,
    /// The descriptor that made a file: its maker may write to it, whatever its mode says.
    made_with: Mutex<Option<OwnedFd>>,
}

/// Where a directory was found last; the top has no parent.
#[derive(Default)]
struct Place {
    parent: Option<Arc<Node>>,
    name: Name,
}

impl Node {
    /// Makes the node of the bind's own directory or file.
    pub(super) fn top(shared: &Arc<Shared>, descriptor: OwnedFd) -> Result<Arc<Node>> {
        Node::make_or_find(shared, descriptor, true)
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.owned.as_fd()
    }

    /// Makes the node of an `O_PATH` descriptor, or finds the live one of a directory.
    fn of_descriptor(shared: &Arc<Shared>, descriptor: OwnedFd) -> Result<Arc<Node>> {
        Node::make_or_find(shared, descriptor, false)
    }

    fn make_or_find(shared: &Arc<Shared>, descriptor: OwnedFd, is_top: bool) -> Result<Arc<Node>> {
        let status = rustix::fs::fstat(&descriptor).map_err(errno)?;
        let identity = (status.st_dev, status.st_ino);
        let kind = FileType::from_mode(status.st_mode).ok_or(Errno::EIO)?;
        let descriptor = Descriptor::new(shared, descriptor)?;
        let make = |this: &Weak<Node>| Node {
            shared: Arc::clone(shared),
            descriptor,
            kind,
            identity,
            this: Weak::clone(this),
            is_top,
            place: Mutex::default(),
            made_with: Mutex::new(None),
        };
        if kind != FileType::Directory {
            return Ok(Arc::new_cyclic(make));
        }
        let mut directories = shared.lock_directories();
        if let Some(live) = directories.get(&identity).and_then(Weak::upgrade) {
            return Ok(live);
        }
        let node = Arc::new_cyclic(make);
        directories.insert(identity, Arc::downgrade(&node));
        Ok(node)
    }

    fn this(&self) -> Arc<Node> {
        self.this
            .upgrade()
            .expect("a node is only called through its Arc")
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn made_with(&self) -> MutexGuard<'_, Option<OwnedFd>> {
        self.made_with
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds a name, never following it.
    fn child(&self, name: &[u8]) -> Result<Arc<Node>> {
        self.check_directory()?;
        check_name(name)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor =
            rustix::fs::openat(self.descriptor(), name, flags, Mode::empty()).map_err(errno)?;
        let node = Node::of_descriptor(&self.shared, descriptor)?;
        self.adopt(&node, name);
        Ok(node)
    }

    /// Notes that a directory was found in this one, unless the host has mounted one inside itself.
    fn adopt(&self, child: &Arc<Node>, name: &[u8]) {
        if child.kind != FileType::Directory {
            return;
        }
        let place = Place {
            parent: Some(self.this()),
            name: Name::from_slice(name),
        };
        let mut passed = Vec::new();
        let directories = self.shared.lock_directories();
        let unused = if child.may_move_below(self, name, &mut passed) {
            std::mem::replace(&mut *child.place(), place)
        } else {
            place
        };
        drop(directories);
        // The last reference to a directory is dropped without the lock, which its drop takes.
        drop((unused, passed));
    }

    /// Whether this directory's place is to become a name of another one.
    fn may_move_below(&self, parent: &Node, name: &[u8], passed: &mut Vec<Arc<Node>>) -> bool {
        let known = {
            let place = self.place();
            place
                .parent
                .as_ref()
                .map(|above| above.identity == parent.identity && place.name[..] == *name)
        };
        match known {
            // Nothing can be below a directory that was not seen before, but for the top.
            None => !self.is_top,
            Some(is_there) => !is_there && !self.is_above(parent, passed),
        }
    }

    /// Whether this directory is another one or holds it; keeps the nodes that it has passed.
    fn is_above(&self, other: &Node, passed: &mut Vec<Arc<Node>>) -> bool {
        let mut current = Some(other.this());
        while let Some(node) = current {
            if node.identity == self.identity {
                passed.push(node);
                return true;
            }
            current = node.place().parent.clone();
            passed.push(node);
        }
        false
    }

    fn check_directory(&self) -> Result<()> {
        if self.kind == FileType::Directory {
            Ok(())
        } else {
            Err(Errno::ENOTDIR)
        }
    }

    /// Returns the node behind an inode of the same bind, else `EXDEV`.
    fn of_inode(&self, inode: &Arc<dyn Inode>) -> Result<Arc<Node>> {
        let any: Arc<dyn Any + Send + Sync> = Arc::clone(inode) as _;
        let node = any.downcast::<Node>().map_err(|_| Errno::EXDEV)?;
        if Arc::ptr_eq(&node.shared, &self.shared) {
            Ok(node)
        } else {
            Err(Errno::EXDEV)
        }
    }

    fn stat(&self) -> Result<Stat> {
        rustix::fs::fstat(self.descriptor()).map_err(errno)
    }

    fn mode_mask(&self) -> u32 {
        match self.kind {
            FileType::Directory => DIRECTORY_MODE_MASK,
            _ => FILE_MODE_MASK,
        }
    }

    /// Sets owner and mode of what was just made; the host's umask and default owner do not count.
    fn set_ownership(&self, ownership: Ownership) -> Result<()> {
        if self.shared.owners == Owners::Same {
            self.change_owner(Some(ownership.uid), Some(ownership.gid))?;
        }
        if self.kind == FileType::Symlink {
            return Ok(());
        }
        self.change_mode(ownership.mode)
    }

    fn change_mode(&self, mode: u32) -> Result<()> {
        let mode = Mode::from_bits_truncate(mode & self.mode_mask());
        let name = number_of(self.descriptor());
        // By the link of `/proc/self/fd`: `fchmod` does not take `O_PATH`.
        rustix::fs::chmodat(&self.shared.own_descriptors, name, mode, AtFlags::empty())
            .map_err(errno)
    }

    /// Changes owners where minke may; a user's root can only be given what it has.
    fn change_owner(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        if let Owners::UserIsRoot { .. } = self.shared.owners {
            let status = self.stat()?;
            let shown = self.shared.owners.shown(status.st_uid, status.st_gid);
            let keeps =
                uid.is_none_or(|uid| uid == shown.0) && gid.is_none_or(|gid| gid == shown.1);
            return if keeps { Ok(()) } else { Err(Errno::EPERM) };
        }
        // An id of all ones means "keep" to the host.
        let is_bad = |id: Option<u32>| id == Some(u32::MAX);
        if is_bad(uid) || is_bad(gid) {
            return Err(Errno::EINVAL);
        }
        rustix::fs::chownat(
            self.descriptor(),
            "",
            uid.map(Uid::from_raw),
            gid.map(Gid::from_raw),
            AtFlags::EMPTY_PATH,
        )
        .map_err(errno)
    }

    fn change_times(&self, accessed: Option<Timestamp>, modified: Option<Timestamp>) -> Result<()> {
        const OMIT: i64 = 0x3fff_fffe;
        let time_of = |time: Option<Timestamp>| match time {
            None => Timespec {
                tv_sec: 0,
                tv_nsec: OMIT,
            },
            Some(time) => Timespec {
                tv_sec: time.seconds,
                tv_nsec: i64::from(time.nanoseconds),
            },
        };
        let times = Timestamps {
            last_access: time_of(accessed),
            last_modification: time_of(modified),
        };
        rustix::fs::utimensat(self.descriptor(), "", &times, AtFlags::EMPTY_PATH).map_err(errno)
    }

    fn change_size(&self, size: u64) -> Result<()> {
        if self.kind != FileType::Regular {
            return Err(Errno::EINVAL);
        }
        let file = match self.made_with().take() {
            Some(made) => made,
            None => self.shared.reopen(self.descriptor(), OFlags::WRONLY)?,
        };
        rustix::fs::ftruncate(&file, size).map_err(errno)
    }

    fn make_regular(&self, name: &[u8]) -> Result<Arc<Node>> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW;
        let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let made =
            rustix::fs::openat(self.descriptor(), name, flags, MODE_AT_FIRST).map_err(errno)?;
        let descriptor = self.shared.reopen(&made, OFlags::PATH)?;
        let node = Node::of_descriptor(&self.shared, descriptor)?;
        *node.made_with() = Some(made);
        Ok(node)
    }

    fn make(&self, name: &[u8], new: &NewInode<'_>) -> Result<Arc<Node>> {
        let directory = self.descriptor();
        match new {
            NewInode::Regular => return self.make_regular(name),
            NewInode::Directory => {
                let mode = MODE_AT_FIRST | Mode::XUSR;
                rustix::fs::mkdirat(directory, name, mode).map_err(errno)?;
            }
            NewInode::Symlink(target) => {
                rustix::fs::symlinkat(*target, directory, name).map_err(errno)?;
            }
            NewInode::Fifo
            | NewInode::Socket
            | NewInode::CharacterDevice(_)
            | NewInode::BlockDevice(_) => return Err(Errno::EPERM),
        }
        let node = self.child(name)?;
        let is_expected = match new {
            NewInode::Directory => node.kind == FileType::Directory,
            _ => node.kind == FileType::Symlink,
        };
        // Somebody on the host has put something else there already.
        if is_expected {
            Ok(node)
        } else {
            Err(Errno::ESTALE)
        }
    }

    fn remove(&self, name: &[u8], flags: AtFlags) -> Result<()> {
        self.check_directory()?;
        check_name(name)?;
        rustix::fs::unlinkat(self.descriptor(), name, flags).map_err(errno)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.kind != FileType::Directory {
            return;
        }
        let mut directories = self.shared.lock_directories();
        let is_gone = |weak: &Weak<Node>| weak.strong_count() == 0;
        if directories.get(&self.identity).is_some_and(is_gone) {
            directories.remove(&self.identity);
        }
        drop(directories);
        // The directories above are dropped in a loop: a guest may have gone deep.
        let mut next = self.take_parent();
        while let Some(parent) = next {
            next = Arc::into_inner(parent).and_then(|mut node| node.take_parent());
        }
    }
}

impl Node {
    fn take_parent(&mut self) -> Option<Arc<Node>> {
        let place = self.place.get_mut();
        let place = place.unwrap_or_else(PoisonError::into_inner);
        place.parent.take()
    }
}

/// Checks that a name is one component: the kernel gives no other, and nothing else may reach the host.
fn check_name(name: &[u8]) -> Result<()> {
    if name.len() > NAME_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    let is_component = !name.is_empty() && name != b"." && name != b"..";
    if is_component && !name.contains(&b'/') && !name.contains(&0) {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

fn timestamp(seconds: i64, nanoseconds: u64) -> Timestamp {
    Timestamp {
        seconds,
        nanoseconds: nanoseconds as u32,
    }
}

impl Inode for Node {
    fn metadata(&self) -> Result<Metadata> {
        let status = self.stat()?;
        let (uid, gid) = self.shared.owners.shown(status.st_uid, status.st_gid);
        // Other file systems that the host has mounted below are told apart in the upper half.
        let other = status.st_dev ^ self.shared.host_device;
        Ok(Metadata {
            device: self.shared.device | (other << 32),
            inode: self.number(),
            file_type: self.kind,
            mode: status.st_mode & self.mode_mask(),
            links: u32::try_from(status.st_nlink).unwrap_or(u32::MAX),
            uid,
            gid,
            device_id: status.st_rdev,
            size: u64::try_from(status.st_size).unwrap_or(0),
            block_size: u32::try_from(status.st_blksize).unwrap_or(4096),
            blocks: u64::try_from(status.st_blocks).unwrap_or(0),
            accessed: timestamp(status.st_atime, status.st_atime_nsec),
            modified: timestamp(status.st_mtime, status.st_mtime_nsec),
            changed: timestamp(status.st_ctime, status.st_ctime_nsec),
        })
    }

    fn file_type(&self) -> FileType {
        self.kind
    }

    fn number(&self) -> u64 {
        let (device, inode) = self.identity;
        inode ^ (device ^ self.shared.host_device).rotate_left(40)
    }

    fn parent(&self) -> Result<Arc<dyn Inode>> {
        self.check_directory()?;
        let parent = self.place().parent.clone();
        Ok(parent.unwrap_or_else(|| self.this()))
    }

    fn name(&self) -> Result<Name> {
        self.check_directory()?;
        if self.stat()?.st_nlink == 0 {
            return Err(Errno::ENOENT);
        }
        Ok(self.place().name.clone())
    }

    fn open(self: Arc<Self>, flags: OpenFlags) -> Result<Arc<dyn File>> {
        match self.kind {
            FileType::Regular => {}
            FileType::Directory => return Ok(Arc::new(OpenDirectory(self))),
            _ => return Err(Errno::ENXIO),
        }
        let mut host_flags = match (flags.is_readable(), flags.is_writable()) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            _ => OFlags::RDONLY,
        };
        host_flags.set(OFlags::DSYNC, flags.contains(OpenFlags::DSYNC));
        host_flags.set(OFlags::SYNC, flags.contains(OpenFlags::SYNC));
        let made = self.made_with().take();
        let owned = match made {
            Some(made) => made,
            None => self.shared.reopen(self.descriptor(), host_flags)?,
        };
        let descriptor = Descriptor::new(&self.shared, owned)?;
        Ok(Arc::new(HostFile {
            node: self,
            descriptor,
        }))
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<()> {
        if matches!(self.kind, FileType::CharacterDevice | FileType::BlockDevice) {
            return Err(Errno::EPERM);
        }
        if let Some(size) = change.size {
            self.change_size(size)?;
        }
        if change.uid.is_some() || change.gid.is_some() {
            self.change_owner(change.uid, change.gid)?;
        }
        if let Some(mode) = change.mode {
            self.change_mode(mode)?;
        }
        if change.accessed.is_some() || change.modified.is_some() {
            self.change_times(change.accessed, change.modified)?;
        }
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let node = self.child(name)?;
        Ok(node)
    }

    fn create(
        &self,
        name: &[u8],
        new: &NewInode<'_>,
        ownership: Ownership,
    ) -> Result<Arc<dyn Inode>> {
        self.check_directory()?;
        check_name(name)?;
        let node = self.make(name, new)?;
        if let Err(error) = node.set_ownership(ownership) {
            let flags = match new {
                NewInode::Directory => AtFlags::REMOVEDIR,
                _ => AtFlags::empty(),
            };
            // Nothing is left behind; that the removal fails too is no more to tell.
            let _ = self.remove(name, flags);
            return Err(error);
        }
        Ok(node)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        self.check_directory()?;
        check_name(name)?;
        let target = self.of_inode(target)?;
        if target.kind == FileType::Directory {
            return Err(Errno::EPERM);
        }
        rustix::fs::linkat(
            &self.shared.own_descriptors,
            number_of(target.descriptor()),
            self.descriptor(),
            name,
            AtFlags::SYMLINK_FOLLOW,
        )
        .map_err(errno)
    }

    fn unlink(&self, name: &[u8]) -> Result<()> {
        self.remove(name, AtFlags::empty())
    }

    fn remove_directory(&self, name: &[u8]) -> Result<()> {
        self.remove(name, AtFlags::REMOVEDIR)
    }

    fn rename(
        &self,
        name: &[u8],
        new_parent: &Arc<dyn Inode>,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<()> {
        self.check_directory()?;
        check_name(name)?;
        check_name(new_name)?;
        let new_parent = self.of_inode(new_parent)?;
        let host_flags = rustix::fs::RenameFlags::from_bits_truncate(flags.bits());
        rustix::fs::renameat_with(
            self.descriptor(),
            name,
            new_parent.descriptor(),
            new_name,
            host_flags,
        )
        .map_err(errno)?;
        // A look at the new names tells live directories where they are now.
        let _ = new_parent.child(new_name);
        if flags.contains(RenameFlags::EXCHANGE) {
            let _ = self.child(name);
        }
        Ok(())
    }

    fn read_directory(
        &self,
        cookie: u64,
        emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        self.check_directory()?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory =
            rustix::fs::openat(self.descriptor(), ".", flags, Mode::empty()).map_err(errno)?;
        rustix::fs::seek(&directory, SeekFrom::Start(cookie)).map_err(errno)?;
        let mut buffer = [MaybeUninit::<u8>::uninit(); ENTRIES_BUFFER_BYTES];
        let mut entries = RawDir::new(&directory, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(errno)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let wants_more = emit(DirectoryEntry {
                inode: entry.ino(),
                file_type: self.kind_of_entry(entry.file_type(), name),
                name,
                next_cookie: entry.next_entry_cookie(),
            });
            if !wants_more {
                break;
            }
        }
        Ok(())
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        if self.kind != FileType::Symlink {
            return Err(Errno::EINVAL);
        }
        let target = rustix::fs::readlinkat(self.descriptor(), "", Vec::new()).map_err(errno)?;
        Ok(target.into_bytes())
    }

    fn sync(&self) -> Result<()> {
        match self.kind {
            FileType::Regular | FileType::Directory => {
                let file = self.shared.reopen(self.descriptor(), OFlags::RDONLY)?;
                rustix::fs::fsync(&file).map_err(errno)
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Node {
    /// Returns an entry's kind; some file systems of the host do not tell it with the name.
    fn kind_of_entry(&self, kind: HostFileType, name: &[u8]) -> FileType {
        match kind {
            HostFileType::RegularFile => FileType::Regular,
            HostFileType::Directory => FileType::Directory,
            HostFileType::Symlink => FileType::Symlink,
            HostFileType::Fifo => FileType::Fifo,
            HostFileType::Socket => FileType::Socket,
            HostFileType::CharacterDevice => FileType::CharacterDevice,
            HostFileType::BlockDevice => FileType::BlockDevice,
            HostFileType::Unknown => {
                let status = rustix::fs::statat(self.descriptor(), name, AtFlags::SYMLINK_NOFOLLOW);
                status
                    .ok()
                    .and_then(|status| FileType::from_mode(status.st_mode))
                    .unwrap_or(FileType::Regular)
            }
        }
    }
}
