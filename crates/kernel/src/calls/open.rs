//! Opening files. Linux: `path_openat()`, `do_open()`, `lookup_open()` in `fs/namei.c`.

use std::sync::Arc;

use minke_abi::linux::{FileType, OpenFlags, PollEvents};
use minke_abi::resource::FSIZE;
use minke_abi::{Errno, Result};

use crate::calls::paths::{Access, At, Follow, check_writable, is_special};
use crate::descriptor::{Fd, FileDescription};
use crate::events::notify::Happening;
use crate::file::File;
use crate::process::Credentials;
use crate::task::{Deadline, Task};
use crate::vfs::permission::{
    MODE_MASK, check, check_create, check_open_or_create, inherited, is_owner, without_set_id,
};
use crate::vfs::walk::{Found, Last, LastKind, Walk};
use crate::vfs::{
    AttributeChange, Inode, Location, Metadata, Name, Nameless, NewInode, Ownership, Resolve,
    device,
};

/// The bit of `O_TMPFILE` that is its own.
const TMPFILE: u32 = 0o20_000_000;

/// How a path is opened. Linux: `struct open_how`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenHow {
    pub flags: OpenFlags,
    /// Of what is made.
    pub mode: u32,
    pub resolve: Resolve,
}

/// What opening a path has found or made.
struct Opened {
    location: Arc<Location>,
    /// It was made by this call, so that its mode does not matter.
    is_new: bool,
}

impl Task {
    /// Opens a path and gives it a descriptor. Linux: `openat(2)`. Opening a fifo does not wait for the other end.
    pub fn open(&self, at: At, path: &[u8], flags: OpenFlags, mode: u32) -> Result<Fd> {
        let description = self.open_description(at, path, flags, mode)?;
        self.process
            .fds
            .insert(description, flags.contains(OpenFlags::CLOEXEC))
    }

    /// Opens as [`Task::open`] does, but waits until somebody has opened a fifo's other end. Linux: fs/pipe.c `fifo_open()`.
    pub async fn open_waiting(
        &self,
        at: At,
        path: &[u8],
        flags: OpenFlags,
        mode: u32,
    ) -> Result<Fd> {
        let resolve = Resolve::empty();
        let how = OpenHow {
            flags,
            mode,
            resolve,
        };
        self.open_within(at, path, how).await
    }

    /// As [`Task::open_waiting`], along a path that is bounded. Linux: `openat2(2)`.
    pub async fn open_within(&self, at: At, path: &[u8], how: OpenHow) -> Result<Fd> {
        self.process.fds.check_room()?;
        let description = self.open_description_within(at, path, how)?;
        if description.file.awaits_peer() {
            self.wait_for_peer(&*description.file).await?;
        }
        self.process
            .fds
            .insert(description, how.flags.contains(OpenFlags::CLOEXEC))
    }

    async fn wait_for_peer(&self, file: &dyn File) -> Result<()> {
        let met = self.wait_for(Deadline::Never, |cx| {
            file.register(PollEvents::IN | PollEvents::OUT, cx.waker());
            (!file.awaits_peer()).then_some(Ok(()))
        });
        met.await.unwrap_or(Err(Errno::EINTR))
    }

    /// Opens a path without giving it a descriptor.
    pub fn open_description(
        &self,
        at: At,
        path: &[u8],
        flags: OpenFlags,
        mode: u32,
    ) -> Result<Arc<FileDescription>> {
        let resolve = Resolve::empty();
        let how = OpenHow {
            flags,
            mode,
            resolve,
        };
        self.open_description_within(at, path, how)
    }

    fn open_description_within(
        &self,
        at: At,
        path: &[u8],
        how: OpenHow,
    ) -> Result<Arc<FileDescription>> {
        let OpenHow { flags, mode, .. } = how;
        let start = self.start_within(at, path, how.resolve)?;
        if flags.contains(OpenFlags::PATH) {
            return self.open_path_only(start.walk_within(path, how.resolve)?, flags);
        }
        if flags.bits() & TMPFILE != 0 {
            let walk = start.walk_within(path, how.resolve)?;
            return self.open_nameless(walk, how, start.credentials());
        }
        if flags.contains(OpenFlags::CREAT | OpenFlags::DIRECTORY) {
            return Err(Errno::EINVAL);
        }
        let mut walk = start.walk_within(path, how.resolve)?;
        let credentials = start.credentials();
        let opened = self.find_or_make(&mut walk, flags, mode, credentials)?;
        let location = opened.location;
        check_kind(&*location.inode, flags)?;
        if !opened.is_new {
            check_permission(&location, flags, credentials)?;
        }
        if flags.contains(OpenFlags::TRUNC) && !opened.is_new {
            cut(&*location.inode, credentials)?;
        }
        let file = self.open_inode(&location.inode, flags)?;
        let notifier = Arc::clone(&self.process.kernel.notifier);
        if opened.is_new
            && let Some(parent) = &location.parent
        {
            notifier.tell_directory(&**parent, &location.name, Happening::CREATE, 0);
        }
        if flags.contains(OpenFlags::TRUNC) && !opened.is_new {
            notifier.tell(&location, Happening::MODIFY);
        }
        notifier.tell(&location, Happening::OPEN);
        Ok(self.describe(file, location, flags))
    }

    fn describe(
        &self,
        file: Arc<dyn File>,
        location: Arc<Location>,
        flags: OpenFlags,
    ) -> Arc<FileDescription> {
        let size_max = match location.inode.file_type() {
            FileType::Regular => self.file_size_max(),
            _ => u64::MAX,
        };
        let notifier = Arc::clone(&self.process.kernel.notifier);
        FileDescription::limited(file, Some(location), flags, size_max, Some(notifier))
    }

    /// Makes a file without a name in a directory and opens it. Linux: fs/namei.c `do_tmpfile()`.
    fn open_nameless(
        &self,
        mut walk: Walk<'_>,
        how: OpenHow,
        credentials: &Credentials,
    ) -> Result<Arc<FileDescription>> {
        let OpenHow { flags, mode, .. } = how;
        if !flags.contains(OpenFlags::DIRECTORY) || !flags.is_writable() {
            return Err(Errno::EINVAL);
        }
        let directory = walk.find_location(follow_of(flags))?;
        if !is_directory(&*directory.inode) {
            return Err(Errno::ENOTDIR);
        }
        check_writable(&directory.mount)?;
        check_create(&*directory.inode, credentials)?;
        let ownership = self.ownership_in(&*directory.inode, credentials, mode)?;
        let use_of = match flags.contains(OpenFlags::EXCL) {
            true => Nameless::ForGood,
            false => Nameless::Linkable,
        };
        let inode = directory.inode.create_nameless(ownership, use_of)?;
        let name = format!("#{}", inode.number());
        let location = Arc::new(Location {
            mount: Arc::clone(&directory.mount),
            parent: Some(Arc::clone(&directory.inode)),
            name: Name::from_slice(name.as_bytes()),
            inode: Arc::clone(&inode),
        });
        let file = inode.open(flags - OpenFlags::DIRECTORY)?;
        Ok(self.describe(file, location, flags))
    }

    /// Says who will own a regular file that is made in a directory, and its mode.
    fn ownership_in(
        &self,
        directory: &dyn Inode,
        credentials: &Credentials,
        mode: u32,
    ) -> Result<Ownership> {
        let mode = mode & MODE_MASK & !self.process.standpoint().fs.umask;
        let (gid, mode) = inherited(&directory.permissions()?, credentials, mode, false);
        Ok(Ownership {
            uid: credentials.euid,
            gid,
            mode,
        })
    }

    /// Returns the size up to which the process may make files.
    pub(super) fn file_size_max(&self) -> u64 {
        self.process.settings.limits().soft(FSIZE)
    }

    fn open_path_only(&self, mut walk: Walk<'_>, flags: OpenFlags) -> Result<Arc<FileDescription>> {
        let kept = flags & (OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW);
        let location = walk.find_location(follow_of(kept))?;
        if kept.contains(OpenFlags::DIRECTORY) && !is_directory(&*location.inode) {
            return Err(Errno::ENOTDIR);
        }
        let file = Arc::new(PathOnly(Arc::clone(&location.inode)));
        Ok(FileDescription::new(file, Some(location), kept))
    }

    fn find_or_make(
        &self,
        walk: &mut Walk<'_>,
        flags: OpenFlags,
        mode: u32,
        credentials: &Credentials,
    ) -> Result<Opened> {
        if flags.contains(OpenFlags::CREAT) {
            return self.find_or_create(walk, flags, mode, credentials);
        }
        Ok(Opened {
            location: walk.find_location(follow_of(flags))?,
            is_new: false,
        })
    }

    fn find_or_create(
        &self,
        walk: &mut Walk<'_>,
        flags: OpenFlags,
        mode: u32,
        credentials: &Credentials,
    ) -> Result<Opened> {
        loop {
            let last = walk.walk_to_last()?;
            if last.kind == LastKind::Normal && last.has_trailing_slash {
                return Err(Errno::EISDIR);
            }
            if last.kind == LastKind::Normal && walk.look_up_last(&last)?.is_none() {
                match self.create_regular(walk, &last, mode, credentials) {
                    // Another task made it meanwhile.
                    Err(Errno::EEXIST) if !flags.contains(OpenFlags::EXCL) => {}
                    made => return made,
                }
            } else if flags.contains(OpenFlags::EXCL) {
                return Err(Errno::EEXIST);
            }
            if let Some(found) = walk.finish(&last, follow_of(flags))? {
                check_open_or_create(&**walk.place.inode, &*found.inode, credentials)?;
                return Ok(Opened {
                    location: walk.location_of(found, &last),
                    is_new: false,
                });
            }
        }
    }

    fn create_regular(
        &self,
        walk: &Walk<'_>,
        last: &Last,
        mode: u32,
        credentials: &Credentials,
    ) -> Result<Opened> {
        check_writable(&walk.place.mount)?;
        check_create(&**walk.place.inode, credentials)?;
        let ownership = self.ownership_in(&**walk.place.inode, credentials, mode)?;
        let name = walk.name(last);
        let inode = walk
            .place
            .inode
            .create(name, &NewInode::Regular, ownership)?;
        let found = Found { inode, mount: None };
        Ok(Opened {
            location: walk.location_of(found, last),
            is_new: true,
        })
    }

    /// Opens an inode; device nodes give the kernel's devices.
    fn open_inode(&self, inode: &Arc<dyn Inode>, flags: OpenFlags) -> Result<Arc<dyn File>> {
        match inode.file_type() {
            FileType::CharacterDevice => device::open(self, inode, flags),
            FileType::BlockDevice | FileType::Socket => Err(Errno::ENXIO),
            _ => Arc::clone(inode).open(flags),
        }
    }
}

fn follow_of(flags: OpenFlags) -> Follow {
    if flags.contains(OpenFlags::NOFOLLOW) {
        Follow::No
    } else {
        Follow::Yes
    }
}

fn is_directory(inode: &dyn Inode) -> bool {
    inode.file_type() == FileType::Directory
}

/// Whether opening asks for the right to write. `O_TRUNC` does, even with `O_RDONLY`.
fn wants_write(flags: OpenFlags) -> bool {
    flags.is_writable() || flags.contains(OpenFlags::TRUNC)
}

fn check_kind(inode: &dyn Inode, flags: OpenFlags) -> Result<()> {
    if flags.contains(OpenFlags::CREAT) && is_directory(inode) {
        return Err(Errno::EISDIR);
    }
    if flags.contains(OpenFlags::DIRECTORY) && !is_directory(inode) {
        return Err(Errno::ENOTDIR);
    }
    match inode.file_type() {
        FileType::Symlink => Err(Errno::ELOOP),
        FileType::Directory if wants_write(flags) => Err(Errno::EISDIR),
        _ => Ok(()),
    }
}

/// Checks mode bits, then the mount. Linux: `may_open()`, then `mnt_want_write()`.
fn check_permission(
    location: &Location,
    flags: OpenFlags,
    credentials: &Credentials,
) -> Result<()> {
    let mut wanted = Access::empty();
    wanted.set(Access::READ, flags.is_readable());
    wanted.set(Access::WRITE, wants_write(flags));
    let inode = &*location.inode;
    check(inode, credentials, wanted)?;
    if flags.contains(OpenFlags::NOATIME) && !is_owner(&inode.permissions()?, credentials) {
        return Err(Errno::EPERM);
    }
    if wanted.contains(Access::WRITE) && !is_special(inode.file_type()) {
        check_writable(&location.mount)?;
    }
    Ok(())
}

/// Empties a regular file for `O_TRUNC`.
fn cut(inode: &dyn Inode, credentials: &Credentials) -> Result<()> {
    if inode.file_type() != FileType::Regular {
        return Ok(());
    }
    inode.set_attributes(&size_change(inode, 0, credentials)?)
}

/// Returns the change that sets a size, with what it takes from the mode. Linux: `do_truncate()`.
pub(super) fn size_change(
    inode: &dyn Inode,
    size: u64,
    credentials: &Credentials,
) -> Result<AttributeChange> {
    let mode = inode.permissions()?.mode;
    let cleared = without_set_id(mode);
    let must_clear = cleared != mode && !credentials.is_privileged();
    Ok(AttributeChange {
        size: Some(size),
        mode: must_clear.then_some(cleared),
        ..AttributeChange::default()
    })
}

/// What `O_PATH` opens: a place, and nothing to read or write.
struct PathOnly(Arc<dyn Inode>);

impl File for PathOnly {
    fn metadata(&self) -> Result<Metadata> {
        self.0.metadata()
    }
}
