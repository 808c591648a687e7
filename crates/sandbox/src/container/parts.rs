//! Mounts of a build's step: a part of what layers make, or a file that is only in memory.

use std::path::PathBuf;
use std::sync::Arc;

use minke_kernel::vfs::tree::{ByteRange, Bytes, TreeBuilder, TreeEntry, TreeKind, TreeOwner};
use minke_kernel::vfs::{FileSystem, FileSystemStatistics, Inode};

use super::error::{StartError, StartErrorKind};
use crate::platform::root::lower_tree;

/// The name that a lone file has in the tree around it, which nobody sees.
const FILE_NAME: &[u8] = b"file";

/// A file system whose top is an inode of another.
struct Part {
    whole: Arc<dyn FileSystem>,
    top: Arc<dyn Inode>,
}

impl FileSystem for Part {
    fn kind(&self) -> &'static str {
        self.whole.kind()
    }

    fn root(&self) -> Arc<dyn Inode> {
        Arc::clone(&self.top)
    }

    fn statistics(&self) -> minke_abi::Result<FileSystemStatistics> {
        self.whole.statistics()
    }
}

/// Returns the part at `subpath` of what layers make. The path has no symbolic link: the builder followed them.
pub(super) fn of_layers(
    layers: &[PathBuf],
    subpath: &str,
) -> Result<Arc<dyn FileSystem>, StartError> {
    let whole: Arc<dyn FileSystem> = lower_tree(layers, None)
        .map_err(|error| StartError::failed("cannot read what is mounted", &error))?;
    let names = subpath.split('/').filter(|name| !name.is_empty());
    let top = names.into_iter().try_fold(whole.root(), |inode, name| {
        inode.lookup(name.as_bytes()).map_err(|errno| {
            StartError::new(
                StartErrorKind::Failed,
                format!("cannot mount `{subpath}`: {errno}"),
                "check the `source` of the `--mount`",
            )
        })
    })?;
    Ok(Arc::new(Part { whole, top }))
}

/// Returns a file system that is one file.
pub(super) fn of_content(content: &[u8], (mode, uid, gid): (u32, u32, u32)) -> Arc<dyn FileSystem> {
    let bytes: Arc<dyn Bytes> = Arc::new(content.to_vec());
    let range = ByteRange::new(bytes, 0, content.len()).expect("the range is all of the bytes");
    let entry = TreeEntry {
        owner: TreeOwner {
            uid,
            gid,
            mode,
            ..TreeOwner::default()
        },
        kind: TreeKind::Regular(range),
        extended: Vec::new(),
    };
    let mut builder = TreeBuilder::new();
    builder
        .add(FILE_NAME, entry)
        .expect("a tree takes one file of a short name");
    let whole: Arc<dyn FileSystem> = Arc::new(builder.finish());
    let top = whole.root().lookup(FILE_NAME).expect("it was just added");
    Arc::new(Part { whole, top })
}
