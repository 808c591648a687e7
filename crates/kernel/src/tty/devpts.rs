//! `/dev/pts`: a node for each terminal whose master is open. Linux: fs/devpts/inode.c.

use std::any::Any;
use std::sync::{Arc, Weak};

use minke_abi::linux::{FileType, OpenFlags};
use minke_abi::{Errno, Result};

use super::pair::Pair;
use super::registry::Terminals;
use crate::file::File;
use crate::kernel::Kernel;
use crate::vfs::device::device_number;
use crate::vfs::{
    AttributeChange, DirectoryEntry, FileSystem, FileSystemStatistics, Inode, Location, Metadata,
    MountOptions, Name, Timestamp, new_device,
};

/// `DEVPTS_SUPER_MAGIC`.
const DEVPTS_MAGIC: u64 = 0x1cd1;
const BLOCK_BYTES: u32 = 1024;

/// Where it is mounted.
const PATH: &[u8] = b"/dev/pts";

/// The group that terminals belong to. Debian: `tty`.
pub(super) const TTY_GROUP: u32 = 5;

/// Major number of slaves. Linux: `UNIX98_PTY_SLAVE_MAJOR`.
const SLAVE_MAJOR: u32 = 136;

const ROOT_INODE: u64 = 1;
const PTMX_INODE: u64 = 2;
/// Number of the inode of `/dev/pts/0`.
const FIRST_INODE: u64 = 3;

/// Major and minor number of `ptmx`.
const PTMX: (u32, u32) = (5, 2);

/// Mounts a container's terminals on `/dev/pts`, if that is there: something else may be mounted on `/dev`.
pub fn mount(kernel: &Arc<Kernel>) -> Result<()> {
    let options = MountOptions {
        is_read_only: false,
        source: "devpts".to_owned(),
    };
    let is_directory = |place: Arc<Location>| place.inode.file_type() == FileType::Directory;
    if !kernel.mounts.find(PATH).is_ok_and(is_directory) {
        return Ok(());
    }
    let file_system = DevptsFileSystem::new(kernel);
    kernel.mounts.mount(PATH, file_system, options)
}

impl Pair {
    /// Returns where the slave is; `None` when something hides `/dev/pts`.
    pub(crate) fn location(&self, kernel: &Kernel) -> Option<Arc<Location>> {
        let path = [PATH, b"/", self.number.to_string().as_bytes()].concat();
        let location = kernel.mounts.find(&path).ok()?;
        let inode: &dyn Any = &*location.inode;
        let node = inode.downcast_ref::<PtsInode>()?;
        let is_own = std::ptr::eq(&raw const *node.pair, self);
        is_own.then_some(location)
    }

    /// Returns the slave's `dev_t`, as `/proc/<pid>/stat` shows it too.
    pub(crate) fn device_id(&self) -> u64 {
        device_number(SLAVE_MAJOR, self.number)
    }
}

/// The file system of `/dev/pts`.
pub struct DevptsFileSystem(Arc<Shared>);

struct Shared {
    kernel: Weak<Kernel>,
    device: u64,
    made: Timestamp,
}

impl DevptsFileSystem {
    /// Makes the file system that shows a kernel's terminals.
    pub fn new(kernel: &Arc<Kernel>) -> Arc<DevptsFileSystem> {
        Arc::new(DevptsFileSystem(Arc::new(Shared {
            kernel: Arc::downgrade(kernel),
            device: new_device(),
            made: Timestamp::from_nanoseconds(kernel.clock.realtime()),
        })))
    }

    /// Returns a slave's node, wherever this is mounted.
    pub(crate) fn node(&self, pair: &Arc<Pair>) -> Arc<dyn Inode> {
        Arc::new(PtsInode {
            pair: Arc::clone(pair),
            shared: Arc::clone(&self.0),
        })
    }
}

impl FileSystem for DevptsFileSystem {
    fn kind(&self) -> &'static str {
        "devpts"
    }

    fn root(&self) -> Arc<dyn Inode> {
        Arc::new(Root(Arc::clone(&self.0)))
    }

    fn statistics(&self) -> Result<FileSystemStatistics> {
        Ok(FileSystemStatistics {
            magic: DEVPTS_MAGIC,
            block_size: u64::from(BLOCK_BYTES),
            ..FileSystemStatistics::default()
        })
    }
}

impl Shared {
    fn with_terminals<T>(&self, action: impl FnOnce(&Terminals) -> T) -> Result<T> {
        let kernel = self.kernel.upgrade().ok_or(Errno::EIO)?;
        Ok(action(&kernel.terminals))
    }

    fn metadata(&self, inode: u64, file_type: FileType, mode: u32) -> Metadata {
        Metadata {
            device: self.device,
            inode,
            file_type,
            mode,
            links: 1,
            uid: 0,
            gid: 0,
            device_id: 0,
            size: 0,
            block_size: BLOCK_BYTES,
            blocks: 0,
            accessed: self.made,
            modified: self.made,
            changed: self.made,
        }
    }
}

/// The directory.
struct Root(Arc<Shared>);

impl Inode for Root {
    fn metadata(&self) -> Result<Metadata> {
        let metadata = self.0.metadata(ROOT_INODE, FileType::Directory, 0o755);
        Ok(Metadata {
            links: 2,
            ..metadata
        })
    }

    fn file_type(&self) -> FileType {
        FileType::Directory
    }

    fn number(&self) -> u64 {
        ROOT_INODE
    }

    fn parent(&self) -> Result<Arc<dyn Inode>> {
        Ok(Arc::new(Root(Arc::clone(&self.0))))
    }

    fn name(&self) -> Result<Name> {
        Ok(Name::new())
    }

    fn open(self: Arc<Self>, flags: OpenFlags) -> Result<Arc<dyn File>> {
        match flags.is_writable() {
            true => Err(Errno::EISDIR),
            false => Ok(Arc::new(Directory(self))),
        }
    }

    fn set_attributes(&self, _change: &AttributeChange) -> Result<()> {
        Err(Errno::EPERM)
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        if name == b"ptmx" {
            return Ok(Arc::new(Ptmx(Arc::clone(&self.0))));
        }
        let text = std::str::from_utf8(name).map_err(|_| Errno::ENOENT)?;
        let number: u32 = text.parse().map_err(|_| Errno::ENOENT)?;
        if number.to_string() != text {
            return Err(Errno::ENOENT);
        }
        let pair = self.0.with_terminals(|terminals| terminals.get(number))?;
        Ok(Arc::new(PtsInode {
            pair: pair.ok_or(Errno::ENOENT)?,
            shared: Arc::clone(&self.0),
        }))
    }

    fn create(
        &self,
        _name: &[u8],
        _new: &crate::vfs::NewInode<'_>,
        _ownership: crate::vfs::Ownership,
    ) -> Result<Arc<dyn Inode>> {
        Err(Errno::EACCES)
    }

    fn unlink(&self, _name: &[u8]) -> Result<()> {
        Err(Errno::EPERM)
    }

    fn read_directory(
        &self,
        cookie: u64,
        emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        let numbers = self.0.with_terminals(Terminals::numbers)?;
        let nodes = numbers
            .into_iter()
            .map(|number| (FIRST_INODE + u64::from(number), number.to_string()));
        // The cookie is the last inode's number, so that terminals may come and go in between.
        for (inode, name) in [(PTMX_INODE, "ptmx".to_owned())].into_iter().chain(nodes) {
            let entry = DirectoryEntry {
                inode,
                file_type: FileType::CharacterDevice,
                name: name.as_bytes(),
                next_cookie: inode,
            };
            if inode > cookie && !emit(entry) {
                break;
            }
        }
        Ok(())
    }
}

/// The directory, opened.
struct Directory(Arc<Root>);

impl File for Directory {
    fn is_seekable(&self) -> bool {
        true
    }

    fn read_at(&self, _buffer: &mut [u8], _offset: u64) -> Result<usize> {
        Err(Errno::EISDIR)
    }

    fn metadata(&self) -> Result<Metadata> {
        self.0.metadata()
    }
}

/// `ptmx`: each open makes a terminal. Docker: mode 0666.
struct Ptmx(Arc<Shared>);

impl Inode for Ptmx {
    fn metadata(&self) -> Result<Metadata> {
        let (major, minor) = PTMX;
        let metadata = self.0.metadata(PTMX_INODE, self.file_type(), 0o666);
        Ok(Metadata {
            device_id: device_number(major, minor),
            ..metadata
        })
    }

    fn file_type(&self) -> FileType {
        FileType::CharacterDevice
    }

    fn number(&self) -> u64 {
        PTMX_INODE
    }

    fn open(self: Arc<Self>, _flags: OpenFlags) -> Result<Arc<dyn File>> {
        Err(Errno::ENXIO)
    }

    fn set_attributes(&self, _change: &AttributeChange) -> Result<()> {
        Err(Errno::EPERM)
    }
}

/// A slave's node.
pub(crate) struct PtsInode {
    pub(super) pair: Arc<Pair>,
    shared: Arc<Shared>,
}

impl Inode for PtsInode {
    fn metadata(&self) -> Result<Metadata> {
        let attributes = self.pair.lock().attributes;
        let permissions = attributes.permissions;
        let metadata = self
            .shared
            .metadata(self.number(), self.file_type(), permissions.mode);
        Ok(Metadata {
            uid: permissions.uid,
            gid: permissions.gid,
            device_id: self.pair.device_id(),
            accessed: attributes.accessed,
            modified: attributes.modified,
            changed: attributes.changed,
            ..metadata
        })
    }

    fn file_type(&self) -> FileType {
        FileType::CharacterDevice
    }

    fn number(&self) -> u64 {
        FIRST_INODE + u64::from(self.pair.number)
    }

    /// Devices are opened by what they stand for: `vfs::device`.
    fn open(self: Arc<Self>, _flags: OpenFlags) -> Result<Arc<dyn File>> {
        Err(Errno::ENXIO)
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<()> {
        let kernel = self.shared.kernel.upgrade().ok_or(Errno::EIO)?;
        let now = Timestamp::from_nanoseconds(kernel.clock.realtime());
        let attributes = &mut self.pair.lock().attributes;
        let permissions = &mut attributes.permissions;
        permissions.mode = change.mode.unwrap_or(permissions.mode);
        permissions.uid = change.uid.unwrap_or(permissions.uid);
        permissions.gid = change.gid.unwrap_or(permissions.gid);
        attributes.accessed = change.accessed.unwrap_or(attributes.accessed);
        attributes.modified = change.modified.unwrap_or(attributes.modified);
        attributes.changed = now;
        Ok(())
    }
}
