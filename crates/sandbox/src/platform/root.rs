//! Trees that a tmpfs lies over: a bare module's root, and what a step of a build binds of a stage or an image.
//!
//! Layers are uncompressed tars, mapped into memory; their headers are read once, and a file's content
//! is a range of the mapping. So nothing is unpacked, and all who bind an image share its bytes in the host's page cache.
//!
//! Spec: OCI image-spec 1.1 layer.md.

#![expect(unsafe_code, reason = "mapping a file")]

use std::any::Any;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use minke_kernel::File as ContainerFile;
use minke_kernel::vfs::tree::{
    ByteRange, Bytes, LayerError, Tree, TreeBuilder, TreeEntry, TreeError, TreeKind, TreeOwner,
};

/// Mode of a bare module that becomes the only file of a root.
const PROGRAM_MODE: u32 = 0o755;

/// Why the root's lower tree could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    #[error("cannot read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("layer `{path}`, at byte {offset}")]
    Archive {
        path: PathBuf,
        offset: usize,
        #[source]
        source: LayerError,
    },
    #[error("`{0}` has no file name")]
    NoFileName(PathBuf),
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Makes the lower tree of layers, lowest first, and of a program that runs without an image.
pub fn lower_tree(layers: &[PathBuf], program: Option<&Path>) -> Result<Arc<Tree>, RootError> {
    let mut builder = TreeBuilder::new();
    for path in layers {
        let bytes = map(path)?;
        builder
            .add_layer(&bytes)
            .map_err(|(offset, source)| RootError::Archive {
                path: path.clone(),
                offset,
                source,
            })?;
        builder.next_layer();
    }
    if let Some(path) = program {
        add_program(&mut builder, path)?;
    }
    Ok(Arc::new(builder.finish()))
}

fn add_program(builder: &mut TreeBuilder, path: &Path) -> Result<(), RootError> {
    let name = path
        .file_name()
        .map(OsStr::as_bytes)
        .ok_or_else(|| RootError::NoFileName(path.to_owned()))?;
    let bytes = map(path)?;
    let length = bytes.as_slice().len();
    let range = ByteRange::new(bytes, 0, length).expect("the range is all of the bytes");
    let owner = TreeOwner {
        mode: PROGRAM_MODE,
        ..TreeOwner::default()
    };
    builder.add(
        name,
        TreeEntry {
            owner,
            kind: TreeKind::Regular(range),
            extended: Vec::new(),
        },
    )?;
    Ok(())
}

/// A file of the host, mapped.
struct Mapped {
    map: Mmap,
    file: File,
}

impl Bytes for Mapped {
    fn as_slice(&self) -> &[u8] {
        &self.map
    }
}

/// A part of a file of the host.
pub struct FilePart {
    pub file: File,
    pub offset: u64,
    pub length: u64,
}

/// Finds where on the host the content of a container's file lies, if that is as a layer has it.
pub fn file_part(file: &dyn ContainerFile) -> Option<FilePart> {
    let content = file.fixed_content()?;
    let source: &dyn Any = &**content.source();
    let mapped = source.downcast_ref::<Mapped>()?;
    Some(FilePart {
        file: mapped.file.try_clone().ok()?,
        offset: content.start() as u64,
        length: content.bytes().len() as u64,
    })
}

fn map(path: &Path) -> Result<Arc<dyn Bytes>, RootError> {
    let mapped = File::open(path).and_then(|file| {
        if file.metadata()?.len() == 0 {
            return Ok(Arc::new(Vec::new()) as Arc<dyn Bytes>);
        }
        // SAFETY: the mapping is private and read-only. What lies under it must not change: it is a file of
        // minke's own store, which is replaced by renaming and never written in place, or a
        // program that its owner asked us to run, as `mmap` by a dynamic linker is.
        let map = unsafe { Mmap::map(&file) }?;
        Ok(Arc::new(Mapped { map, file }) as Arc<dyn Bytes>)
    });
    mapped.map_err(|source| RootError::Read {
        path: path.to_owned(),
        source,
    })
}
