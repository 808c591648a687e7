//! Devices: what the nodes of `/dev` stand for, and a file system that holds them.
//!
//! A device node is only a number; what opening it gives is decided here, so a node that a
//! guest made with `mknod`, or that an image brought, reaches these devices and no others.
//!
//! Linux: `drivers/char/mem.c`, `Documentation/admin-guide/devices.txt`.

use std::sync::Arc;

use minke_abi::linux::OpenFlags;
use minke_abi::{Errno, Result};

use crate::descriptor::Fd;
use crate::file::File;
use crate::platform::Entropy;
use crate::task::Task;
use crate::tty;
use crate::vfs::memory::{MemoryFileSystem, MemoryOptions};
use crate::vfs::reopened::reopen;
use crate::vfs::{FileSystem, Inode, Metadata, NewInode, Ownership};

/// What a character device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Device {
    Null,
    Zero,
    Full,
    Random,
    /// The process's own terminal.
    Terminal,
    /// The terminal of the container's first process.
    Console,
    /// A new terminal's master.
    Master,
}

/// Major number, minor number, name in `/dev`, behaviour.
const DEVICES: &[(u32, u32, &str, Device)] = &[
    (1, 3, "null", Device::Null),
    (1, 5, "zero", Device::Zero),
    (1, 7, "full", Device::Full),
    (1, 8, "random", Device::Random),
    (1, 9, "urandom", Device::Random),
    (5, 0, "tty", Device::Terminal),
    (5, 1, "console", Device::Console),
    (5, 2, "ptmx", Device::Master),
];

/// Links of `/dev`. Spec: OCI runtime-spec 1.2 config-linux.md, "Dev symbolic links".
const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Permission bits of `/dev/shm`.
const SHARED_MEMORY_MODE: u32 = 0o1777;

/// Returns the `dev_t` of a device. Linux: `new_encode_dev()`.
pub fn device_number(major: u32, minor: u32) -> u64 {
    let number = (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12);
    u64::from(number)
}

/// Returns the major and minor number of a `dev_t`. Linux: `new_decode_dev()`.
pub fn device_parts(number: u64) -> (u32, u32) {
    let number = number as u32;
    (
        (number >> 8) & 0xfff,
        (number & 0xff) | ((number >> 12) & !0xff),
    )
}

/// Makes the file system of `/dev`, with an empty `shm` to mount a tmpfs on, and an empty `pts`.
pub fn device_file_system(options: MemoryOptions) -> Result<Arc<dyn FileSystem>> {
    let file_system = MemoryFileSystem::tmpfs(options)?;
    let root = file_system.root();
    let owned = |mode| Ownership {
        uid: 0,
        gid: 0,
        mode,
    };
    for (major, minor, name, _) in DEVICES {
        let new = NewInode::CharacterDevice(device_number(*major, *minor));
        root.create(name.as_bytes(), &new, owned(0o666))?;
    }
    for (name, target) in LINKS {
        let new = NewInode::Symlink(target.as_bytes());
        root.create(name.as_bytes(), &new, owned(0o777))?;
    }
    root.create(b"shm", &NewInode::Directory, owned(SHARED_MEMORY_MODE))?;
    root.create(b"pts", &NewInode::Directory, owned(0o755))?;
    Ok(file_system)
}

/// Opens what a character device node stands for; `ENXIO` when it is none of ours.
pub(crate) fn open(task: &Task, inode: &Arc<dyn Inode>, flags: OpenFlags) -> Result<Arc<dyn File>> {
    if let Some(slave) = tty::open_slave(task, inode, flags) {
        return slave;
    }
    let number = inode.metadata()?.device_id;
    let known = DEVICES
        .iter()
        .find(|(major, minor, _, _)| device_number(*major, *minor) == number);
    let (_, _, _, device) = known.ok_or(Errno::ENXIO)?;
    match device {
        Device::Terminal => return open_terminal(task, inode, flags),
        Device::Console => return open_console(task, inode, flags),
        Device::Master => return tty::open_master(task, inode),
        _ => {}
    }
    Ok(Arc::new(DeviceFile {
        device: *device,
        inode: Arc::clone(inode),
        entropy: Arc::clone(&task.process.kernel.entropy),
    }))
}

/// Opens the controlling terminal, or the host's that is one of the standard streams; `ENXIO` without one.
fn open_terminal(task: &Task, inode: &Arc<dyn Inode>, flags: OpenFlags) -> Result<Arc<dyn File>> {
    if let Some(pair) = task.process.terminal() {
        return pair.open_slave_for(task, inode, flags | OpenFlags::NOCTTY);
    }
    let standard = (0..3).filter_map(|fd| task.process.fds.get(Fd(fd)).ok());
    let mut terminals = standard.filter(|description| {
        description.file.is_terminal() && description.file.terminal().is_none()
    });
    terminals
        .next()
        .map(|description| reopen(&description))
        .ok_or(Errno::ENXIO)
}

/// Opens the first process's terminal, which controls nobody by that; `ENXIO` without one.
fn open_console(task: &Task, inode: &Arc<dyn Inode>, flags: OpenFlags) -> Result<Arc<dyn File>> {
    let console = task.process.kernel.terminals.console();
    let console = console.ok_or(Errno::ENXIO)?;
    console.open_slave_for(task, inode, flags | OpenFlags::NOCTTY)
}

/// An open device.
struct DeviceFile {
    device: Device,
    inode: Arc<dyn Inode>,
    entropy: Arc<dyn Entropy>,
}

impl File for DeviceFile {
    fn is_seekable(&self) -> bool {
        true
    }

    fn read_at(&self, buffer: &mut [u8], _offset: u64) -> Result<usize> {
        match self.device {
            Device::Null | Device::Terminal | Device::Console | Device::Master => return Ok(0),
            Device::Zero | Device::Full => buffer.fill(0),
            Device::Random => self.entropy.fill(buffer),
        }
        Ok(buffer.len())
    }

    fn write_at(&self, bytes: &[u8], _offset: u64) -> Result<usize> {
        match self.device {
            Device::Full if !bytes.is_empty() => Err(Errno::ENOSPC),
            _ => Ok(bytes.len()),
        }
    }

    fn append(&self, bytes: &[u8]) -> Result<(usize, u64)> {
        self.write_at(bytes, 0).map(|count| (count, 0))
    }

    fn metadata(&self) -> Result<Metadata> {
        self.inode.metadata()
    }
}
