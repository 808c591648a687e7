//! Files in memory that never had a name, and what they may be sealed against. Linux: mm/memfd.c; `memfd_create(2)`, `fcntl(2)`.

use std::sync::{Arc, OnceLock};

use minke_abi::linux::OpenFlags;
use minke_abi::{Errno, Result};

use crate::descriptor::{Fd, FileDescription};
use crate::kernel::Kernel;
use crate::task::Task;
use crate::vfs::memory::{MemoryFileSystem, MemoryOptions};
use crate::vfs::{Location, Mount, Name, Ownership, Seals};

/// What `/proc/<pid>/fd` shows before a file's name.
const NAME_PREFIX: &[u8] = b"memfd:";

/// Longest name. Linux: `MFD_NAME_MAX_LEN`.
const NAME_BYTES_MAX: usize = 249;

/// Where the files of a kernel are, from the first one on.
#[derive(Default)]
pub(crate) struct MemoryFiles(OnceLock<(Arc<MemoryFileSystem>, Arc<Mount>)>);

impl MemoryFiles {
    fn of(kernel: &Kernel) -> Result<&(Arc<MemoryFileSystem>, Arc<Mount>)> {
        let cell = &kernel.memory_files.0;
        if let Some(made) = cell.get() {
            return Ok(made);
        }
        let options = MemoryOptions::new(Arc::clone(&kernel.clock), Arc::clone(&kernel.memory));
        let system = MemoryFileSystem::tmpfs(options)?;
        let mount = Mount::detached(Arc::clone(&system) as _);
        Ok(cell.get_or_init(|| (system, mount)))
    }
}

impl Task {
    /// Makes a file in memory and opens it; `EINVAL` for a name that is too long. Flags: `O_CLOEXEC`. Without `Seals::SEAL` seals can
    /// be added. Linux: `memfd_create(2)`.
    pub fn make_memory_file(&self, name: &[u8], seals: Seals, flags: OpenFlags) -> Result<Fd> {
        if name.len() > NAME_BYTES_MAX {
            return Err(Errno::EINVAL);
        }
        self.process.fds.check_room()?;
        let (system, mount) = MemoryFiles::of(&self.process.kernel)?;
        let credentials = self.process.credentials();
        let ownership = Ownership {
            uid: credentials.euid,
            gid: credentials.egid,
            mode: 0o777,
        };
        let inode = system.make_nameless(ownership, seals)?;
        let shown = [NAME_PREFIX, name].concat();
        let location = Arc::new(Location {
            mount: Arc::clone(mount),
            parent: Some(Arc::clone(&mount.root)),
            name: Name::from_slice(&shown),
            inode: Arc::clone(&inode),
        });
        let opened = OpenFlags::RDWR | OpenFlags::LARGEFILE;
        let size_max = self.file_size_max();
        let file = inode.open(opened)?;
        let description = FileDescription::limited(file, Some(location), opened, size_max, None);
        let is_close_on_exec = flags.contains(OpenFlags::CLOEXEC);
        self.process.fds.insert(description, is_close_on_exec)
    }

    /// Adds seals to an open file, which must be open for writing. Linux: `F_ADD_SEALS`.
    pub fn add_seals(&self, fd: Fd, seals: Seals) -> Result<()> {
        let description = self.process.fds.get(fd)?;
        if !description.flags().is_writable() {
            return Err(Errno::EPERM);
        }
        let inode = description.inode().map_err(|_| Errno::EINVAL)?;
        inode.add_seals(seals)
    }

    /// Returns an open file's seals; `EINVAL` where there are none. Linux: `F_GET_SEALS`.
    pub fn seals(&self, fd: Fd) -> Result<Seals> {
        let description = self.process.fds.get(fd)?;
        let inode = description.inode().map_err(|_| Errno::EINVAL)?;
        let seals = inode.seals().ok_or(Errno::EINVAL)?;
        Ok(seals.get())
    }
}
