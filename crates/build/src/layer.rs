//! Layers: the key of an instruction that changes files, and the layer that it makes.

use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;

use minke_image::{CachedStep, Digest, Hasher, LayerWriter, Lease, StoreError};

use crate::build::BuildError;
use crate::inputs::Files;
use crate::origin::{Bytes, Content, FrozenFile, RangeReader};
use crate::placement::{Placed, Placement, Target};
use crate::select::{Entry, Selection};

/// Changes whenever equal inputs would no longer make equal layers.
const FORMAT: &[u8] = b"minke layer 2";

/// How files of other stages and images go into a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// By where they lie in which layer, which costs nothing. A layer that was made again of the same files has another key.
    Place,
    /// By their bytes, which have to be read.
    Content,
}

/// Begins a key: what an instruction is, and what it works on.
pub(crate) fn begin(instruction: &str, parent: Option<&Digest>) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.field(FORMAT);
    hasher.field(instruction.as_bytes());
    let parent = parent.map(Digest::to_string).unwrap_or_default();
    hasher.field(parent.as_bytes());
    hasher
}

/// Returns the key of an instruction that copies files.
pub(crate) fn key(
    instruction: &str,
    parent: Option<&Digest>,
    target: &Target,
    selections: &[Selection],
    depth: Depth,
) -> io::Result<Digest> {
    let mut hasher = begin(instruction, parent);
    hasher.field(target.destination.as_os_str().as_bytes());
    let rest = (
        target.is_directory,
        target.owner,
        &target.mode,
        target.mtime_s,
    );
    hasher.field(format!("{rest:?}").as_bytes());
    for selection in selections {
        match selection {
            Selection::File { name, entry } => {
                hasher.field(b"file");
                hasher.field(name.as_bytes());
                hash_entry(&mut hasher, entry, depth)?;
            }
            Selection::Archive { entry } => {
                hasher.field(b"archive");
                hash_entry(&mut hasher, entry, depth)?;
            }
            Selection::Directory { entries } => {
                hasher.field(b"directory");
                entries
                    .iter()
                    .try_for_each(|entry| hash_entry(&mut hasher, entry, depth))?;
            }
        }
    }
    Ok(hasher.finish())
}

fn hash_entry(hasher: &mut Hasher, entry: &Entry, depth: Depth) -> io::Result<()> {
    hasher.field(entry.relative.as_os_str().as_bytes());
    let numbers = [entry.mode, entry.owner.uid, entry.owner.gid];
    numbers
        .iter()
        .for_each(|number| hasher.field(&number.to_le_bytes()));
    match &entry.content {
        Content::Directory => hasher.field(b"d"),
        Content::Symlink { target } => hasher.field(target.as_os_str().as_bytes()),
        Content::File { size_bytes, bytes } => hash_bytes(hasher, *size_bytes, bytes, depth)?,
    }
    Ok(())
}

fn hash_bytes(hasher: &mut Hasher, size_bytes: u64, bytes: &Bytes, depth: Depth) -> io::Result<()> {
    match bytes {
        Bytes::Context { digest, .. } => hasher.field(digest.to_string().as_bytes()),
        Bytes::Memory(bytes) => hasher.field(Digest::of(bytes).to_string().as_bytes()),
        Bytes::Range { file, offset_bytes } if depth == Depth::Place => {
            hasher.field(b"range");
            hasher.field(file.digest.to_string().as_bytes());
            hasher.field(&offset_bytes.to_le_bytes());
        }
        Bytes::Range { file, offset_bytes } => {
            let reader = range(file, *offset_bytes, size_bytes);
            let (digest, _) = Digest::of_reader(reader)?;
            hasher.field(digest.to_string().as_bytes());
        }
    }
    Ok(())
}

/// Returns whether a key by place differs from one by content.
pub(crate) fn has_ranges(selections: &[Selection]) -> bool {
    entries(selections).any(|entry| {
        let is_range = |bytes: &Bytes| matches!(bytes, Bytes::Range { .. });
        matches!(&entry.content, Content::File { bytes, .. } if is_range(bytes))
    })
}

fn entries(selections: &[Selection]) -> impl Iterator<Item = &Entry> {
    selections.iter().flat_map(|selection| match selection {
        Selection::File { entry, .. } | Selection::Archive { entry } => std::slice::from_ref(entry),
        Selection::Directory { entries } => entries,
    })
}

fn range(file: &FrozenFile, offset_bytes: u64, rest_bytes: u64) -> RangeReader<'_> {
    RangeReader {
        file: &file.file,
        offset_bytes,
        rest_bytes,
    }
}

/// Returns the newest time of what was selected.
pub(crate) fn newest_mtime_s(selections: &[&Selection]) -> u64 {
    let entries = selections
        .iter()
        .flat_map(|selection| entries(std::slice::from_ref(*selection)));
    entries.map(|entry| entry.mtime_s).max().unwrap_or(0)
}

/// Writes a layer. Nothing placed makes no layer. `copied` is told of the bytes of each file.
pub(crate) fn write(
    lease: &Lease<'_>,
    files: &Files,
    placement: &Placement,
    newest_mtime_s: i64,
    copied: &mut dyn FnMut(u64),
) -> Result<CachedStep, BuildError> {
    if placement.is_empty() {
        return Ok(CachedStep {
            layer: None,
            newest_mtime_s,
        });
    }
    let mut writer = lease.layer_writer()?;
    for (path, placed) in placement {
        match &placed.content {
            Content::Directory => writer.directory(path, placed.metadata)?,
            Content::Symlink { target } => writer.symlink(path, target, placed.metadata)?,
            Content::File { size_bytes, bytes } => {
                let mut file = Copying {
                    writer: &mut writer,
                    path,
                    placed,
                    size_bytes: *size_bytes,
                };
                file.copy(lease, files, bytes)?;
                copied(*size_bytes);
            }
        }
    }
    Ok(CachedStep {
        layer: Some(writer.finish()?),
        newest_mtime_s,
    })
}

/// One file on its way into a layer.
struct Copying<'a, 'lease, 'store> {
    writer: &'a mut LayerWriter<'lease, 'store>,
    path: &'a std::path::Path,
    placed: &'a Placed,
    size_bytes: u64,
}

impl Copying<'_, '_, '_> {
    fn copy(&mut self, lease: &Lease<'_>, files: &Files, bytes: &Bytes) -> Result<(), BuildError> {
        match bytes {
            Bytes::Memory(bytes) => self.add(&bytes[..]).map(drop),
            Bytes::Range { file, offset_bytes } => {
                let reader = range(file, *offset_bytes, self.size_bytes);
                self.add(reader).map(drop)
            }
            Bytes::Context { path, digest } => {
                let changed = || BuildError::Changed(path.clone());
                let (mut file, _) = files.open_file(path).map_err(|_| changed())?;
                let found = self.add(&mut file).map_err(|error| match error {
                    BuildError::Store(StoreError::Io { source, .. }) if is_cut(&source) => {
                        changed()
                    }
                    error => error,
                })?;
                // The key was made from what the file held before; the layer must hold the same.
                if found != *digest || file.read(&mut [0]).is_ok_and(|count| count > 0) {
                    lease.store().forget_file_digests()?;
                    return Err(changed());
                }
                Ok(())
            }
        }
    }

    fn add(&mut self, reader: impl Read) -> Result<Digest, BuildError> {
        let metadata = self.placed.metadata;
        Ok(self
            .writer
            .file(self.path, metadata, self.size_bytes, reader)?)
    }
}

/// Returns whether a file ended before the size that it had.
fn is_cut(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}
