//! The container's file systems: the root, `/dev`, `/proc`, binds and tmpfs.

use std::fmt::Display;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use minke_abi::linux::{FileType, OpenFlags};
use minke_abi::{Errno, Result};
use minke_kernel::kernel::MemoryBudget;
use minke_kernel::platform::Clock;
use minke_kernel::vfs::device::device_file_system;
use minke_kernel::vfs::ext4::AccessTimes;
use minke_kernel::vfs::memory::{MemoryFileSystem, MemoryOptions};
use minke_kernel::vfs::proc::ProcFileSystem;
use minke_kernel::vfs::{FileSystem, Location, MountOptions, MountTree};
use minke_kernel::{Kernel, tty};

use super::error::{StartError, StartErrorKind};
use super::parts;
use crate::disks::settle::with_causes;
use crate::disks::{Container, DiskMountError, DiskOptions, Disks, Lower};
use crate::platform::directory::HostDirectory;
use crate::platform::root::lower_tree;
use crate::spec::{MountSpec, RootDiskSpec, SandboxSpec};

/// Size of `/dev/shm`. Docker: `--shm-size`.
const SHARED_MEMORY_BYTES_MAX: u64 = 64 << 20;

/// Bounds what is looked through of a root's `/etc/hosts`.
const HOSTS_BYTES_MAX: usize = 1 << 20;

/// Permission bits of a tmpfs's top directory. Docker: `--tmpfs` mounts with 1777.
const TMPFS_MODE: u32 = 0o1777;

/// The mounts of a container.
pub(super) struct Assembled {
    pub(super) mounts: Arc<MountTree>,
    /// What the root was before anything changed it.
    pub(super) lower: Lower,
    pub(super) disks: Disks,
}

/// Makes all file systems but `/proc`, which shows a kernel that comes later, and mounts them.
pub(super) fn assemble(
    spec: &SandboxSpec,
    clock: &Arc<dyn Clock>,
    memory: &Arc<MemoryBudget>,
) -> std::result::Result<Assembled, StartError> {
    let mut maker = Maker {
        clock,
        memory,
        disks: Disks::default(),
    };
    let (mounts, lower) = match &spec.root.disk {
        Some(disk) => maker.disk_root(spec, disk)?,
        None => {
            let lower = lower_tree(&[], spec.root.program.as_deref())
                .map_err(|error| StartError::failed("cannot read the root", &error))?;
            let lower: Arc<dyn FileSystem> = lower;
            (maker.root(spec, &lower)?, Lower::Tree(lower))
        }
    };
    maker
        .mount_own(&mounts)
        .map_err(|errno| StartError::failed("cannot mount `/dev`", &errno))?;
    add_hosts(&mounts, &spec.network.hosts)
        .map_err(|errno| StartError::failed("cannot write `/etc/hosts`", &errno))?;
    for mount in &spec.mounts {
        maker.mount(&mounts, mount)?;
    }
    Ok(Assembled {
        mounts,
        lower,
        disks: maker.disks,
    })
}

/// Adds the names that were asked for to `/etc/hosts`, which programs read and the kernel asks. Docker: `--add-host`.
fn add_hosts(tree: &Arc<MountTree>, hosts: &[(String, IpAddr)]) -> Result<()> {
    if hosts.is_empty() {
        return Ok(());
    }
    const HOSTS: &[u8] = b"/etc/hosts";
    tree.make_mount_point(HOSTS, FileType::Regular)?;
    let inode = Arc::clone(&tree.find(HOSTS)?.inode);
    if inode.file_type() != FileType::Regular {
        return Err(Errno::EINVAL);
    }
    let lines = hosts
        .iter()
        .map(|(name, address)| format!("{address}\t{name}\n"));
    // A last line of the image's without a newline stays one of its own.
    let text = format!("\n{}", lines.collect::<String>());
    // A root that is kept has them from the first start.
    let there = read_file(tree, "/etc/hosts", HOSTS_BYTES_MAX)?;
    if there
        .windows(text.len())
        .any(|part| part == text.as_bytes())
    {
        return Ok(());
    }
    inode
        .open(OpenFlags::WRONLY)?
        .append(text.as_bytes())
        .map(drop)
}

/// Mounts `/proc`.
pub(super) fn mount_proc(kernel: &Arc<Kernel>) -> std::result::Result<(), StartError> {
    let options = MountOptions {
        is_read_only: false,
        source: "proc".to_owned(),
    };
    kernel
        .mounts
        .make_mount_point(b"/proc", FileType::Directory)
        .and_then(|()| {
            kernel
                .mounts
                .mount(b"/proc", ProcFileSystem::new(kernel), options)
        })
        .map_err(|errno| StartError::failed("cannot mount `/proc`", &errno))
}

/// Mounts `/dev/pts`.
pub(super) fn mount_terminals(kernel: &Arc<Kernel>) -> std::result::Result<(), StartError> {
    tty::mount(kernel).map_err(|errno| StartError::failed("cannot mount `/dev/pts`", &errno))
}

struct Maker<'a> {
    clock: &'a Arc<dyn Clock>,
    memory: &'a Arc<MemoryBudget>,
    disks: Disks,
}

impl<'a> Maker<'a> {
    fn container(&self) -> Container<'a> {
        Container {
            clock: self.clock,
            memory: self.memory,
        }
    }

    fn options(&self) -> MemoryOptions {
        MemoryOptions::new(Arc::clone(self.clock), Arc::clone(self.memory))
    }

    /// Makes the root of a bare module: the module below, changes in memory above.
    fn root(
        &self,
        spec: &SandboxSpec,
        lower: &Arc<dyn FileSystem>,
    ) -> std::result::Result<Arc<MountTree>, StartError> {
        let options = MemoryOptions {
            bytes_max: spec.limits.root_bytes_max,
            ..self.options()
        };
        let overlay = MemoryFileSystem::overlay(lower, options)
            .map_err(|errno| StartError::failed("cannot make the root", &errno))?;
        let options = MountOptions {
            is_read_only: spec.root.is_read_only,
            source: "overlay".to_owned(),
        };
        Ok(MountTree::new(overlay, options))
    }

    /// Makes a root that is a disk.
    fn disk_root(
        &mut self,
        spec: &SandboxSpec,
        root: &RootDiskSpec,
    ) -> std::result::Result<(Arc<MountTree>, Lower), StartError> {
        let options = DiskOptions {
            bytes_max: spec.limits.root_bytes_max,
            ..DiskOptions::default()
        };
        let container = self.container();
        let opened = self.disks.open_root(root, options, container);
        let opened = opened.map_err(|error| disk_error(&error))?;
        let options = MountOptions {
            is_read_only: spec.root.is_read_only,
            source: "/dev/root".to_owned(),
        };
        Ok((MountTree::new(opened.mounted, options), opened.lower))
    }

    /// Mounts what every container has.
    fn mount_own(&self, tree: &Arc<MountTree>) -> Result<()> {
        let options = |source: &str| MountOptions {
            is_read_only: false,
            source: source.to_owned(),
        };
        tree.make_mount_point(b"/dev", FileType::Directory)?;
        tree.mount(
            b"/dev",
            device_file_system(self.options())?,
            options("tmpfs"),
        )?;
        let shared_memory = MemoryFileSystem::tmpfs(MemoryOptions {
            bytes_max: Some(SHARED_MEMORY_BYTES_MAX),
            root_mode: TMPFS_MODE,
            ..self.options()
        })?;
        tree.mount(b"/dev/shm", shared_memory, options("shm"))
    }

    fn tmpfs(&self, bytes_max: Option<u64>) -> Result<Arc<dyn FileSystem>> {
        let tmpfs = MemoryFileSystem::tmpfs(MemoryOptions {
            bytes_max,
            root_mode: TMPFS_MODE,
            ..self.options()
        })?;
        Ok(tmpfs)
    }

    fn mount(
        &mut self,
        tree: &Arc<MountTree>,
        mount: &MountSpec,
    ) -> std::result::Result<(), StartError> {
        let (file_system, options) = self.file_system(mount)?;
        let target = mount.target();
        let kind = file_system.root().file_type();
        tree.make_mount_point(target.as_bytes(), kind)
            .and_then(|()| tree.mount(target.as_bytes(), file_system, options))
            .map_err(|errno| target_error(target, errno))
    }

    /// Makes what is to be mounted.
    fn file_system(
        &mut self,
        mount: &MountSpec,
    ) -> std::result::Result<(Arc<dyn FileSystem>, MountOptions), StartError> {
        let at_target = |errno| target_error(mount.target(), errno);
        Ok(match mount {
            MountSpec::Bind {
                source,
                is_read_only,
                ..
            }
            | MountSpec::Volume {
                source,
                is_disk: false,
                is_read_only,
                ..
            } => {
                let bind = HostDirectory::open(source);
                let bind = bind.map_err(|errno| bind_error(source, errno))?;
                (bind, options(*is_read_only, source.display()))
            }
            MountSpec::Disk {
                source,
                is_read_only,
                ..
            }
            | MountSpec::Volume {
                source,
                is_read_only,
                ..
            } => {
                let container = self.container();
                let disk = self
                    .disks
                    .open_image(source, disk_options(mount), container);
                let disk = disk.map_err(|error| disk_error(&error))?;
                (disk, options(*is_read_only, source.display()))
            }
            MountSpec::Tmpfs { size_bytes, .. } => {
                let tmpfs = self.tmpfs(*size_bytes).map_err(at_target)?;
                (tmpfs, options(false, "tmpfs"))
            }
            MountSpec::Layers {
                layers,
                subpath,
                is_read_only,
                ..
            } => {
                let part = parts::of_layers(layers, subpath)?;
                let overlay = MemoryFileSystem::overlay(&part, self.options());
                let overlay = overlay.map_err(at_target)?;
                (overlay, options(*is_read_only, "overlay"))
            }
            MountSpec::File {
                content,
                mode,
                uid,
                gid,
                ..
            } => {
                let file = parts::of_content(content, (*mode, *uid, *gid));
                (file, options(true, "tmpfs"))
            }
        })
    }
}

fn options(is_read_only: bool, source: impl Display) -> MountOptions {
    MountOptions {
        is_read_only,
        source: source.to_string(),
    }
}

/// Returns how a mount of a disk is asked for.
fn disk_options(mount: &MountSpec) -> DiskOptions {
    match mount {
        MountSpec::Disk {
            is_read_only,
            is_synchronous,
            keeps_access_times,
            ..
        } => DiskOptions {
            is_read_only: *is_read_only,
            is_synchronous: *is_synchronous,
            access_times: match keeps_access_times {
                true => AccessTimes::Never,
                false => AccessTimes::Relative,
            },
            bytes_max: None,
        },
        MountSpec::Volume { is_read_only, .. } => DiskOptions {
            is_read_only: *is_read_only,
            ..DiskOptions::default()
        },
        _ => DiskOptions::default(),
    }
}

fn disk_error(error: &DiskMountError) -> StartError {
    StartError::new(StartErrorKind::Failed, with_causes(error), error.hint())
}

fn bind_error(source: &Path, errno: Errno) -> StartError {
    let source = source.display();
    let hint = match errno {
        // Docker makes a missing directory; a typing mistake should not.
        Errno::ENOENT => format!("make it first: `mkdir -p {source}`"),
        _ => "check the path and its permissions".to_owned(),
    };
    let message = format!("cannot mount `{source}`: {errno}");
    StartError::new(StartErrorKind::Failed, message, hint)
}

fn target_error(target: &str, errno: Errno) -> StartError {
    let message = format!("cannot mount on `{target}`: {errno}");
    let hint = match errno {
        Errno::ENOTDIR => "a directory is mounted on a directory, a file on a file",
        _ => "choose another path in the container",
    };
    StartError::new(StartErrorKind::Failed, message, hint)
}

/// Returns the first process's working directory, making it if it is missing, as Docker does.
pub(super) fn working_directory(
    tree: &Arc<MountTree>,
    path: &str,
) -> std::result::Result<Arc<Location>, StartError> {
    tree.make_mount_point(path.as_bytes(), FileType::Directory)
        .map_err(|errno| no_working_directory(path, errno))?;
    existing_directory(tree, path)
}

/// Returns the working directory of a process in a container that runs: nothing is made for it.
pub(super) fn existing_directory(
    tree: &Arc<MountTree>,
    path: &str,
) -> std::result::Result<Arc<Location>, StartError> {
    let location = tree.find(path.as_bytes());
    let directory = location.and_then(|location| match location.inode.file_type() {
        FileType::Directory => Ok(location),
        _ => Err(Errno::ENOTDIR),
    });
    directory.map_err(|errno| no_working_directory(path, errno))
}

fn no_working_directory(path: &str, errno: Errno) -> StartError {
    StartError::new(
        StartErrorKind::Failed,
        format!("cannot change to the working directory `{path}`: {errno}"),
        "choose another with `-w`, or `WORKDIR` in the Balenafile",
    )
}

/// Reads a whole file of the container; `EFBIG` when it has more than `bytes_max`.
pub(super) fn read_file(tree: &Arc<MountTree>, path: &str, bytes_max: usize) -> Result<Vec<u8>> {
    let location = tree.find(path.as_bytes())?;
    if location.inode.file_type() != FileType::Regular {
        return Err(Errno::EINVAL);
    }
    let size = usize::try_from(location.inode.metadata()?.size).map_err(|_| Errno::EFBIG)?;
    if size > bytes_max {
        return Err(Errno::EFBIG);
    }
    let file = Arc::clone(&location.inode).open(OpenFlags::RDONLY)?;
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while filled < size {
        match file.read_at(&mut bytes[filled..], filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
