//! A file of the host as a disk's storage.

#![expect(unsafe_code, reason = "mapping a file")]

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use memmap2::Mmap;
use minke_blockstore::Storage;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::rand::{GetRandomFlags, getrandom};

use super::DiskFileError;

/// Mode of new files: what is in a disk is nobody else's business.
pub(super) const NEW_FILE_MODE: u32 = 0o600;

/// How a file is opened, and who else may have it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To be read; others may read it too.
    Read,
    /// To be read, whatever others do with it: what is read may be of different moments.
    Look,
    /// To be read and written, by nobody else.
    Write,
    /// As [`Write`](Self::Write); the file must not exist, and is made.
    Create,
}

/// An open file with its lock.
#[derive(Debug)]
pub struct HostFile {
    path: PathBuf,
    file: File,
    map: Option<Mmap>,
    /// The directory of a new file, in which its name may not be yet after a power cut. Opened at once: a process that is jailed
    /// meanwhile could not.
    new_in: Mutex<Option<File>>,
    durability: Durability,
}

/// Whether what is in a file is worth waiting for the host's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It outlives a power cut once it was synced.
    Durable,
    /// It ends with who uses it: syncing does nothing.
    Temporary,
}

impl HostFile {
    /// Opens a file and locks it; [`DiskFileError::InUse`] if somebody else's lock is in the way.
    pub fn open(path: &Path, access: Access) -> Result<HostFile, DiskFileError> {
        let at = |action| failed(action, path);
        let mut options = OpenOptions::new();
        options.read(true).mode(NEW_FILE_MODE);
        options.write(matches!(access, Access::Write | Access::Create));
        options.create_new(access == Access::Create);
        let file = options.open(path).map_err(at("open"))?;
        let new_in = match access {
            Access::Create => Some(directory_of(path).map_err(at("open the directory of"))?),
            Access::Read | Access::Look | Access::Write => None,
        };
        let locked = match access {
            Access::Look => Ok(()),
            Access::Read => file.try_lock_shared(),
            Access::Write | Access::Create => file.try_lock(),
        };
        match locked {
            Ok(()) => Ok(HostFile {
                path: path.to_owned(),
                file,
                map: None,
                new_in: Mutex::new(new_in),
                durability: Durability::Durable,
            }),
            Err(TryLockError::WouldBlock) => Err(DiskFileError::InUse {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(at("lock")(source)),
        }
    }

    /// Says whether syncing is worth its time.
    pub fn with_durability(self, durability: Durability) -> HostFile {
        let new_in = match durability {
            Durability::Durable => self.new_in,
            // Nobody asks for its name after a power cut.
            Durability::Temporary => Mutex::new(None),
        };
        HostFile {
            durability,
            new_in,
            ..self
        }
    }

    /// Opens a file of minke's own store, which nobody writes once it is there, and maps it: what is read is not copied.
    ///
    /// Not for files of users: one that is cut off while it is mapped would end the process.
    pub fn open_mapped(path: &Path) -> Result<HostFile, DiskFileError> {
        let mut opened = Self::open(path, Access::Read)?;
        let length = opened.length().map_err(failed("read the size of", path))?;
        if length > 0 {
            // SAFETY: the mapping is private and read-only. What lies under it does not change: it is a base or a frozen change
            // file of minke's own store, which is finished before it gets its name and is only ever deleted.
            let map = unsafe { Mmap::map(&opened.file) };
            opened.map = Some(map.map_err(failed("map", path))?);
        }
        Ok(opened)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets others lock the file. It must not be used any more.
    pub(super) fn unlock(&self) -> Result<(), DiskFileError> {
        self.file.unlock().map_err(failed("unlock", &self.path))
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

impl Storage for HostFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if self.durability == Durability::Temporary {
            return Ok(());
        }
        self.file.sync_data()?;
        // Once is enough, and a failure is tried again.
        let mut new_in = self.new_in.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = &*new_in {
            directory.sync_all()?;
            *new_in = None;
        }
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(fallocate(&self.file, flags, offset, length)?)
    }

    fn mapped(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        self.map.as_ref()?.get(start..start.checked_add(length)?)
    }
}

fn directory_of(path: &Path) -> io::Result<File> {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))
}

/// Names the failed action on a file.
pub(super) fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> DiskFileError + Copy + 'a {
    move |source| DiskFileError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Returns an identifier for a new change file, which no guest can guess.
pub(super) fn random_uuid() -> io::Result<[u8; 16]> {
    let mut uuid = [0; 16];
    // Linux: getrandom(2) gives up to 256 bytes whole.
    getrandom(&mut uuid, GetRandomFlags::empty())?;
    Ok(uuid)
}
