//! What an image has at a path, copied to the host: the first content of a volume.
//!
//! Permissions, times, links and hard links are kept, and owners where minke is root; set-id bits, devices, pipes and extended
//! attributes are not. Docker: `container/container_unix.go`, `CopyImagePathContent()`.

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use minke_image::tree::{FileId, Node, NodeKind, Tree};
use minke_image::{EntryMetadata, LayerFile, StoreError};

/// Permission bits that are kept; binds have no set-id bits.
const MODE_KEPT: u32 = 0o1777;

/// What the host's user may do in each directory: else nobody could remove what is in it.
const DIRECTORY_MODE_LEAST: u32 = 0o700;

/// Why content cannot be copied.
pub(super) enum CopyError {
    Image(StoreError),
    Io(io::Error),
}

impl From<StoreError> for CopyError {
    fn from(error: StoreError) -> CopyError {
        CopyError::Image(error)
    }
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> CopyError {
        CopyError::Io(error)
    }
}

/// Copies what the layers have below `path` into an empty directory; nothing if they have no directory there.
pub(super) fn copy(layers: &[LayerFile], path: &Path, into: &Path) -> Result<(), CopyError> {
    let tree = Tree::read(layers)?;
    let top = tree.resolve(path).ok();
    let Some(top) = top.filter(|top| tree.is_directory(top)) else {
        return Ok(());
    };
    let layers = layers.iter().map(|layer| File::open(&layer.path));
    let mut copier = Copier {
        tree: &tree,
        layers: layers.collect::<io::Result<_>>()?,
        first_paths: HashMap::new(),
        is_root: rustix::process::geteuid().is_root(),
    };
    let mut directories = Vec::new();
    directories.extend(tree.get(&top).map(|node| (into.to_path_buf(), node)));
    // A directory comes before what is in it.
    for (path, node) in tree.below(&top) {
        let target = into.join(path.strip_prefix(&top).unwrap_or(path));
        copier.make(node, &target)?;
        if matches!(node.kind, NodeKind::Directory) {
            directories.push((target, node));
        }
    }
    // What is made in a directory changes its time, and may need more permission than it keeps.
    for (path, node) in directories.into_iter().rev() {
        copier.finish_directory(&path, &node.metadata)?;
    }
    Ok(())
}

struct Copier<'a> {
    tree: &'a Tree,
    layers: Vec<File>,
    /// Where files with several paths are already.
    first_paths: HashMap<FileId, PathBuf>,
    is_root: bool,
}

impl Copier<'_> {
    fn make(&mut self, node: &Node, target: &Path) -> io::Result<()> {
        match &node.kind {
            NodeKind::Directory => fs::create_dir(target),
            NodeKind::Symlink { target: to } => {
                symlink(to, target)?;
                self.own(target, &node.metadata)
            }
            NodeKind::Special => Ok(()),
            NodeKind::File {
                layer_index,
                offset_bytes,
                size_bytes,
            } => {
                if let Some(id) = self.tree.linked(node) {
                    if let Some(first) = self.first_paths.get(&id) {
                        return fs::hard_link(first, target);
                    }
                    self.first_paths.insert(id, target.to_path_buf());
                }
                let layer = &self.layers[*layer_index];
                let file = copy_range(layer, *offset_bytes, *size_bytes, target)?;
                self.own(target, &node.metadata)?;
                file.set_permissions(Permissions::from_mode(node.metadata.mode & MODE_KEPT))?;
                file.set_modified(time(&node.metadata))
            }
        }
    }

    fn finish_directory(&self, path: &Path, metadata: &EntryMetadata) -> io::Result<()> {
        self.own(path, metadata)?;
        File::open(path)?.set_modified(time(metadata))?;
        let mode = metadata.mode & MODE_KEPT | DIRECTORY_MODE_LEAST;
        fs::set_permissions(path, Permissions::from_mode(mode))
    }

    fn own(&self, path: &Path, metadata: &EntryMetadata) -> io::Result<()> {
        match self.is_root {
            true => lchown(path, Some(metadata.uid), Some(metadata.gid)),
            false => Ok(()),
        }
    }
}

fn copy_range(
    mut layer: &File,
    offset_bytes: u64,
    size_bytes: u64,
    target: &Path,
) -> io::Result<File> {
    let mut file = File::create_new(target)?;
    layer.seek(SeekFrom::Start(offset_bytes))?;
    match io::copy(&mut layer.take(size_bytes), &mut file)? {
        copied if copied == size_bytes => Ok(file),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn time(metadata: &EntryMetadata) -> SystemTime {
    let since = Duration::from_secs(metadata.mtime_s);
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
