//! `/proc`: what programs ask the kernel by reading files.
//!
//! Two tables say what there is: [`system::ENTRIES`] for the container, [`process::ENTRIES`] for each
//! process. A file's text is made when it is opened. The file system is mounted once the kernel
//! exists, and does not keep it alive.
//!
//! Linux: `fs/proc`; `proc(5)`.

use std::sync::{Arc, Weak};

use minke_abi::linux::{FileType, OpenFlags};
use minke_abi::{Errno, Result};

use crate::descriptor::Fd;
use crate::file::File;
use crate::kernel::Kernel;
use crate::process::{Pid, Process};
use crate::task::Task;
use crate::vfs::{
    AttributeChange, DirectoryEntry, FileSystem, FileSystemStatistics, Inode, MagicLink, Metadata,
    Name, Timestamp, new_device,
};

mod network;
mod process;
mod system;

use process::ProcessKind;
pub(crate) use process::comm;
use system::SystemKind;

pub use system::{RELEASE, VERSION};

/// `PROC_SUPER_MAGIC`.
const PROC_MAGIC: u64 = 0x9fa0;
const BLOCK_BYTES: u32 = 4096;

/// The file system of `/proc`.
pub struct ProcFileSystem {
    shared: Arc<Shared>,
}

struct Shared {
    kernel: Weak<Kernel>,
    device: u64,
}

impl ProcFileSystem {
    /// Makes the file system that shows a kernel.
    pub fn new(kernel: &Arc<Kernel>) -> Arc<ProcFileSystem> {
        Arc::new(ProcFileSystem {
            shared: Arc::new(Shared {
                kernel: Arc::downgrade(kernel),
                device: new_device(),
            }),
        })
    }
}

impl FileSystem for ProcFileSystem {
    fn kind(&self) -> &'static str {
        "proc"
    }

    fn root(&self) -> Arc<dyn Inode> {
        inode(&self.shared, Node::Directory(""))
    }

    fn statistics(&self) -> Result<FileSystemStatistics> {
        Ok(FileSystemStatistics {
            magic: PROC_MAGIC,
            block_size: u64::from(BLOCK_BYTES),
            ..FileSystemStatistics::default()
        })
    }
}

/// What an inode of `/proc` shows.
#[derive(Clone, Copy)]
enum Node {
    /// A directory of the system's table, by its path; empty for the top.
    Directory(&'static str),
    /// A row of the system's table.
    System(usize),
    Process(Pid),
    /// A row of the processes' table.
    Entry(Pid, usize),
    /// A name in `/proc/<pid>/fd`.
    Descriptor(Pid, Fd),
}

struct ProcInode {
    shared: Arc<Shared>,
    node: Node,
}

fn inode(shared: &Arc<Shared>, node: Node) -> Arc<dyn Inode> {
    Arc::new(ProcInode {
        shared: Arc::clone(shared),
        node,
    })
}

impl Node {
    fn file_type(self) -> FileType {
        match self {
            Node::Directory(_) | Node::Process(_) => FileType::Directory,
            Node::Descriptor(..) => FileType::Symlink,
            Node::System(row) => match system::ENTRIES[row].kind {
                SystemKind::File(_) => FileType::Regular,
                SystemKind::Link(_) | SystemKind::Own => FileType::Symlink,
            },
            Node::Entry(_, row) => match process::ENTRIES[row].kind {
                ProcessKind::File(_) => FileType::Regular,
                ProcessKind::Link(_) => FileType::Symlink,
                ProcessKind::Descriptors => FileType::Directory,
            },
        }
    }

    /// Numbers that differ: rows below 2¹⁶, processes above 2³², their entries and descriptors in between.
    fn number(self) -> u64 {
        const ROWS: u64 = 1 << 8;
        let of_process = |pid: Pid| u64::from(pid.0) << 32;
        match self {
            Node::Directory(path) => 1 + system::directory_index(path),
            Node::System(row) => ROWS + row as u64,
            Node::Process(pid) => of_process(pid),
            Node::Entry(pid, row) => of_process(pid) + 1 + row as u64,
            Node::Descriptor(pid, fd) => of_process(pid) + ROWS + u64::from(fd.0),
        }
    }

    fn pid(self) -> Option<Pid> {
        match self {
            Node::Directory(_) | Node::System(_) => None,
            Node::Process(pid) | Node::Entry(pid, _) | Node::Descriptor(pid, _) => Some(pid),
        }
    }

    fn mode(self) -> u32 {
        match self {
            Node::Directory(_) | Node::Process(_) => 0o555,
            Node::Descriptor(..) => 0o700,
            Node::System(row) => match system::ENTRIES[row].kind {
                SystemKind::File(_) => 0o444,
                SystemKind::Link(_) | SystemKind::Own => 0o777,
            },
            Node::Entry(_, row) => process::ENTRIES[row].mode,
        }
    }
}

impl ProcInode {
    fn kernel(&self) -> Result<Arc<Kernel>> {
        self.shared.kernel.upgrade().ok_or(Errno::EIO)
    }

    fn process(&self, pid: Pid) -> Result<Arc<Process>> {
        self.kernel()?.process(pid).ok_or(Errno::ENOENT)
    }

    fn with(&self, node: Node) -> Arc<dyn Inode> {
        inode(&self.shared, node)
    }

    fn stat(&self) -> Result<Metadata> {
        let (uid, gid) = match self.node.pid() {
            None => (0, 0),
            Some(pid) => {
                let credentials = self.process(pid)?.credentials();
                (credentials.euid, credentials.egid)
            }
        };
        let now = Timestamp::from_nanoseconds(self.kernel()?.clock.realtime());
        let file_type = self.node.file_type();
        Ok(Metadata {
            device: self.shared.device,
            inode: self.node.number(),
            file_type,
            mode: self.node.mode(),
            links: if file_type == FileType::Directory {
                2
            } else {
                1
            },
            uid,
            gid,
            device_id: 0,
            size: 0,
            block_size: BLOCK_BYTES,
            blocks: 0,
            accessed: now,
            modified: now,
            changed: now,
        })
    }

    fn text(&self) -> Result<Vec<u8>> {
        match self.node {
            Node::System(row) => match system::ENTRIES[row].kind {
                SystemKind::File(make) => Ok(make(&*self.kernel()?).into_bytes()),
                _ => Err(Errno::EINVAL),
            },
            Node::Entry(pid, row) => match process::ENTRIES[row].kind {
                ProcessKind::File(make) => Ok(make(&*self.process(pid)?)),
                _ => Err(Errno::EINVAL),
            },
            _ => Err(Errno::EISDIR),
        }
    }

    fn lookup_at_top(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let text = std::str::from_utf8(name).map_err(|_| Errno::ENOENT)?;
        let is_canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        if is_canonical && let Ok(number) = text.parse() {
            let pid = self.process(Pid(number))?.pid;
            return Ok(self.with(Node::Process(pid)));
        }
        Err(Errno::ENOENT)
    }

    fn lookup_descriptor(&self, pid: Pid, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let text = std::str::from_utf8(name).map_err(|_| Errno::ENOENT)?;
        let number: u32 = text.parse().map_err(|_| Errno::ENOENT)?;
        let process = self.process(pid)?;
        process.fds.get(Fd(number)).map_err(|_| Errno::ENOENT)?;
        if number.to_string() != text {
            return Err(Errno::ENOENT);
        }
        Ok(self.with(Node::Descriptor(pid, Fd(number))))
    }

    /// Returns the entries of a directory, in order.
    fn children(&self) -> Result<Vec<(Vec<u8>, Node)>> {
        match self.node {
            Node::Directory(path) => {
                let mut all = system::children(path);
                if path.is_empty() {
                    let processes = self.kernel()?.processes();
                    all.extend(processes.iter().map(|process| {
                        let pid = process.pid;
                        (pid.0.to_string().into_bytes(), Node::Process(pid))
                    }));
                }
                Ok(all)
            }
            Node::Process(pid) => {
                self.process(pid)?;
                let rows = process::ENTRIES.iter().enumerate();
                Ok(rows
                    .map(|(row, entry)| (entry.name.into(), Node::Entry(pid, row)))
                    .collect())
            }
            Node::Entry(pid, _) if self.node.file_type() == FileType::Directory => {
                let descriptors = self.process(pid)?.fds.list();
                Ok(descriptors
                    .into_iter()
                    .map(|fd| (fd.0.to_string().into_bytes(), Node::Descriptor(pid, fd)))
                    .collect())
            }
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn follow(&self, pid: Pid, task: &Task) -> Result<MagicLink> {
        let process = self.process(pid)?;
        let caller = task.process.credentials();
        // Linux: `ptrace_may_access()`.
        if !caller.is_privileged() && caller.euid != process.credentials().euid {
            return Err(Errno::EACCES);
        }
        match self.node {
            Node::Descriptor(_, fd) => {
                let description = process.fds.get(fd).map_err(|_| Errno::ENOENT)?;
                Ok(match &description.location {
                    Some(location) => MagicLink::Location(Arc::clone(location)),
                    None => MagicLink::Description(description),
                })
            }
            Node::Entry(_, row) => match process::ENTRIES[row].kind {
                ProcessKind::Link(follow) => follow(&process),
                _ => Err(Errno::EINVAL),
            },
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Inode for ProcInode {
    fn metadata(&self) -> Result<Metadata> {
        self.stat()
    }

    fn file_type(&self) -> FileType {
        self.node.file_type()
    }

    fn number(&self) -> u64 {
        self.node.number()
    }

    fn parent(&self) -> Result<Arc<dyn Inode>> {
        Ok(self.with(match self.node {
            Node::Directory(path) => Node::Directory(system::parent(path)),
            Node::Process(_) => Node::Directory(""),
            Node::Entry(pid, _) => Node::Process(pid),
            Node::System(_) | Node::Descriptor(..) => return Err(Errno::ENOTDIR),
        }))
    }

    fn name(&self) -> Result<Name> {
        Ok(match self.node {
            Node::Directory(path) => {
                let last = path.rsplit('/').next().unwrap_or(path);
                Name::from_slice(last.as_bytes())
            }
            Node::Process(pid) => Name::from_slice(pid.0.to_string().as_bytes()),
            Node::Entry(_, row) => Name::from_slice(process::ENTRIES[row].name.as_bytes()),
            Node::System(_) | Node::Descriptor(..) => return Err(Errno::ENOTDIR),
        })
    }

    fn open(self: Arc<Self>, flags: OpenFlags) -> Result<Arc<dyn File>> {
        if flags.is_writable() {
            return Err(Errno::EACCES);
        }
        let content = match self.file_type() {
            FileType::Directory => None,
            _ => Some(self.text()?),
        };
        Ok(Arc::new(ProcFile {
            inode: self,
            content,
        }))
    }

    fn set_attributes(&self, _change: &AttributeChange) -> Result<()> {
        Err(Errno::EPERM)
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        match self.node {
            Node::Directory(path) => match system::child(path, name) {
                Some(node) => Ok(self.with(node)),
                None if path.is_empty() => self.lookup_at_top(name),
                None => Err(Errno::ENOENT),
            },
            Node::Process(pid) => {
                self.process(pid)?;
                let mut rows = process::ENTRIES.iter();
                let row = rows.position(|entry| entry.name.as_bytes() == name);
                Ok(self.with(Node::Entry(pid, row.ok_or(Errno::ENOENT)?)))
            }
            Node::Entry(pid, _) if self.node.file_type() == FileType::Directory => {
                self.lookup_descriptor(pid, name)
            }
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn read_directory(
        &self,
        cookie: u64,
        emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        // The cookie is the last entry's number, so that processes may come and go in between.
        let mut children = self.children()?;
        children.sort_by_key(|(_, node)| node.number());
        for (name, node) in &children {
            let number = node.number();
            let entry = DirectoryEntry {
                inode: number,
                file_type: node.file_type(),
                name,
                next_cookie: number,
            };
            if number > cookie && !emit(entry) {
                break;
            }
        }
        Ok(())
    }

    /// Returns the text of a link that leads to something without a path, or is the same for all.
    fn read_link(&self) -> Result<Vec<u8>> {
        match self.node {
            Node::System(row) => match system::ENTRIES[row].kind {
                SystemKind::Link(target) => Ok(target.into()),
                _ => Err(Errno::EINVAL),
            },
            Node::Descriptor(pid, fd) => {
                let process = self.process(pid)?;
                let metadata = process.fds.get(fd)?.file.metadata()?;
                let kind = match metadata.file_type {
                    FileType::Fifo => "pipe",
                    FileType::Socket => "socket",
                    _ => "stream",
                };
                Ok(format!("{kind}:[{}]", metadata.inode).into_bytes())
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn magic_link(&self, task: &Task) -> Option<Result<MagicLink>> {
        match self.node {
            Node::System(row) => match system::ENTRIES[row].kind {
                SystemKind::Own => {
                    let pid = task.process.pid.0.to_string();
                    Some(Ok(MagicLink::Text(pid.into_bytes())))
                }
                _ => None,
            },
            Node::Entry(pid, _) | Node::Descriptor(pid, _) => {
                (self.file_type() == FileType::Symlink).then(|| self.follow(pid, task))
            }
            Node::Directory(_) | Node::Process(_) => None,
        }
    }
}

/// An open file of `/proc`, with the text that it had when it was opened.
struct ProcFile {
    inode: Arc<ProcInode>,
    /// `None` for directories.
    content: Option<Vec<u8>>,
}

impl File for ProcFile {
    fn is_seekable(&self) -> bool {
        true
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let content = self.content.as_ref().ok_or(Errno::EISDIR)?;
        let start = usize::try_from(offset).map_or(content.len(), |start| start.min(content.len()));
        let count = buffer.len().min(content.len() - start);
        buffer[..count].copy_from_slice(&content[start..start + count]);
        Ok(count)
    }

    fn metadata(&self) -> Result<Metadata> {
        self.inode.stat()
    }
}
