//! A container's files for commands of the host: what changed, tars of them, and tars into them.
//!
//! A path is walked by the kernel's own walk below the container's root, so no link leads out of it. What is seen is the root and what its
//! user mounted (binds, volumes), as with Docker; `/proc`, `/dev` and tmpfs belong to processes.
//!
//! | module | is |
//! |---|---|
//! | [`request`] | what is asked, and what is answered |
//! | [`frames`] | streams of any length between messages |
//! | [`changes`] | what became of the root: a list, or a layer |
//! | `writer` | inodes as members of a tar |
//! | `archive` | a subtree as a tar |
//! | `extract` | a tar below a directory |
//!
//! A running container is asked through its control socket, on a thread of its own; for another one a jailed process of its own assembles
//! the mounts and serves the same requests ([`container::serve_files`](crate::container::serve_files)).

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use minke_abi::Errno;
use minke_abi::linux::FileType;
use minke_kernel::vfs::{Location, MountTree};

use crate::control::{Response, message};
use crate::disks::Lower;
use crate::spec::{MountSpec, SandboxSpec};

mod archive;
pub(crate) mod changes;
mod extract;
pub mod frames;
pub mod request;
mod writer;

use changes::{Root, RuntimePaths};
use frames::{FrameReader, FrameWriter};
use request::{FileKind, FileStatus, FilesRequest, Links};
pub(crate) use writer::TreeWriter;

/// Bytes of a file that are held at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Why something cannot be done with a container's files.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    #[error("`{path}`: {errno}")]
    File { path: String, errno: Errno },
    #[error("`/{path}` has a name that layers reserve (`.wh.`)")]
    ReservedName { path: String },
    #[error("`{path}` is not a directory")]
    NotDirectory { path: String },
    #[error("`{path}` leads out of the directory that the archive is for")]
    Outside { path: String },
    #[error("cannot overwrite directory `{path}` with non-directory")]
    DirectoryInTheWay { path: String },
    #[error("cannot overwrite non-directory `{path}` with directory")]
    FileInTheWay { path: String },
    #[error("{what} is marked read-only: `{path}`")]
    ReadOnly { what: &'static str, path: String },
    #[error(
        "`{path}` is kept in memory, which ends with the container's sandbox: start the container first"
    )]
    NotKept { path: String },
    #[error("more than {max} entries")]
    TooMany { max: usize },
    #[error(transparent)]
    Tar(#[from] minke_archive::ReadError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("cannot read the root: {0}")]
    Root(#[from] Errno),
}

/// Says which path a call failed at.
fn at(path: &[u8]) -> impl FnOnce(Errno) -> FilesError {
    let path = text(path);
    move |errno| FilesError::File { path, errno }
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// Whether what is written to a container's root is there when the container starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RootWrites {
    Kept,
    Lost,
}

/// The files of one container.
pub(crate) struct Files {
    /// The root, and what the container's user mounted.
    tree: Arc<MountTree>,
    root: Root,
    made: RuntimePaths,
    root_writes: RootWrites,
}

impl Files {
    /// Makes a view of a container's mounts; `lower` is what the root was before anything changed it.
    pub(crate) fn new(
        mounts: &Arc<MountTree>,
        lower: Lower,
        made: RuntimePaths,
        root_writes: RootWrites,
    ) -> Files {
        Files {
            tree: users_tree(mounts),
            root: Root {
                upper: Arc::clone(&mounts.root().mount.file_system),
                lower,
            },
            made,
            root_writes,
        }
    }

    /// Does what is asked and answers it. What fails is told to the client; an error means that it cannot be told.
    pub(crate) fn serve(
        &self,
        request: &FilesRequest,
        input: impl Read,
        output: &mut impl Write,
    ) -> io::Result<()> {
        let done = match request {
            FilesRequest::Status { path, links } => {
                let status = self.status(path, *links);
                let answer = status.map(|status| Response::FileStatus { status });
                return message::send(output, &answer.unwrap_or_else(|error| refused(&error)));
            }
            FilesRequest::Extract { path, owners } => {
                let mut frames = FrameReader::new(input);
                self.extract(path, *owners, &mut frames)
            }
            _ => {
                let mut frames = FrameWriter::new(&mut *output);
                let sent = self.send(request, &mut frames);
                frames.finish()?;
                sent
            }
        };
        let response = done.map_or_else(|error| refused(&error), |()| Response::Done);
        message::send(output, &response)
    }

    fn send(&self, request: &FilesRequest, sink: &mut impl Write) -> Result<(), FilesError> {
        match request {
            FilesRequest::Changes => self.root.list_changes(&self.made, sink),
            FilesRequest::Layer => self.root.write_layer(
                &|path, inode, before| self.made.is_made(path, inode, before),
                sink,
            ),
            FilesRequest::Export => self.export(sink),
            FilesRequest::Archive { path, name, links } => self.archive(path, name, *links, sink),
            FilesRequest::Status { .. } | FilesRequest::Extract { .. } => Ok(()),
        }
    }

    fn find(&self, path: &[u8], links: Links) -> Result<Arc<Location>, Errno> {
        match links {
            Links::Followed => self.tree.find(path),
            Links::Kept => self.tree.find_unfollowed(path),
        }
    }

    /// Returns what a path names; `None` if it names nothing.
    fn status(&self, path: &[u8], links: Links) -> Result<Option<FileStatus>, FilesError> {
        let location = match self.find(path, links) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            found => found.map_err(at(path))?,
        };
        let metadata = location.inode.metadata().map_err(at(path))?;
        Ok(Some(FileStatus {
            kind: match metadata.file_type {
                FileType::Directory => FileKind::Directory,
                FileType::Regular => FileKind::Regular,
                FileType::Symlink => FileKind::Symlink,
                _ => FileKind::Other,
            },
            path: location.path_below(&self.tree.root()).map_err(at(path))?,
            size_bytes: metadata.size,
        }))
    }
}

fn refused(error: &FilesError) -> Response {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    Response::Refused { message }
}

/// Makes a tree of the root and of what the user mounted, without what is there for processes only.
fn users_tree(mounts: &Arc<MountTree>) -> Arc<MountTree> {
    let root = mounts.root();
    let tree = MountTree::new(
        Arc::clone(&root.mount.file_system),
        root.mount.options.clone(),
    );
    for mount in mounts.mounts() {
        let Some(point) = &mount.mount_point else {
            continue;
        };
        if matches!(mount.file_system.kind(), "proc" | "tmpfs") {
            continue;
        }
        // What lies in a tmpfs has no place in this tree.
        let _ = point.path_below(&root).and_then(|path| {
            tree.mount(&path, Arc::clone(&mount.file_system), mount.options.clone())
        });
    }
    tree
}

impl RuntimePaths {
    /// Returns what a sandbox makes in the root before its program runs.
    pub(crate) fn of(spec: &SandboxSpec) -> RuntimePaths {
        let targets = spec.mounts.iter().map(MountSpec::target);
        let hosts = (!spec.network.hosts.is_empty()).then_some("/etc/hosts");
        RuntimePaths::new(["/dev", "/proc"].into_iter().chain(targets).chain(hosts))
    }
}

/// Whether a mount can be made: what it shows may have been removed from the host since the container was made.
pub(crate) fn is_mountable(mount: &MountSpec) -> bool {
    match mount {
        MountSpec::Bind { source, .. }
        | MountSpec::Volume { source, .. }
        | MountSpec::Disk { source, .. } => Path::new(source).exists(),
        _ => false,
    }
}
