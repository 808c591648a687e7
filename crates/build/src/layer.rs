//! Layers: the key of an instruction that changes files, and the layer that it makes.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use minke_image::{CachedStep, Digest, FileDigest, Hasher, Layer, Lease};

use crate::ahead::{self, PIECES_MAX, Piece, Pieces};
use crate::build::BuildError;
use crate::context::Link;
use crate::inputs::Files;
use crate::origin::{Bytes, Content, RangeReader};
use crate::placement::{Placement, Target};
use crate::select::{Entry, Selection};

/// Changes whenever equal inputs would no longer make equal layers.
const FORMAT: &[u8] = b"minke layer 3";

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
            Selection::Directory { entries } | Selection::Unpacked { entries } => {
                hasher.field(b"directory");
                let mut first = BTreeMap::new();
                for entry in entries {
                    hash_entry(&mut hasher, entry, depth)?;
                    hash_link(&mut hasher, entry, &mut first);
                }
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
    for (name, value) in entry.attributes.iter().flat_map(|all| all.iter()) {
        hasher.field(b"attribute");
        hasher.field(name.as_bytes());
        hasher.field(value);
    }
    match &entry.content {
        Content::Directory => hasher.field(b"d"),
        Content::Symlink { target } | Content::HardLink { target } => {
            hasher.field(target.as_os_str().as_bytes());
        }
        Content::File { size_bytes, bytes } => hash_bytes(hasher, *size_bytes, bytes, depth)?,
    }
    Ok(())
}

/// Adds the name that a file had before among what is copied, to which it becomes a hard link.
fn hash_link<'entry>(
    hasher: &mut Hasher,
    entry: &'entry Entry,
    first: &mut BTreeMap<Link, &'entry Path>,
) {
    let Some(link) = entry.link else { return };
    let known = first.entry(link).or_insert(&entry.relative);
    hasher.field(b"link");
    hasher.field(known.as_os_str().as_bytes());
}

fn hash_bytes(hasher: &mut Hasher, size_bytes: u64, bytes: &Bytes, depth: Depth) -> io::Result<()> {
    match bytes {
        Bytes::Context { digest, .. } => hasher.field(digest.as_bytes()),
        Bytes::Memory(bytes) => hasher.field(FileDigest::of(bytes).as_bytes()),
        Bytes::Range { file, offset_bytes } if depth == Depth::Place => {
            hasher.field(b"range");
            hasher.field(file.digest.to_string().as_bytes());
            hasher.field(&offset_bytes.to_le_bytes());
        }
        Bytes::Range { file, offset_bytes } => {
            let (digest, _) = FileDigest::of_reader(RangeReader {
                file: &file.file,
                offset_bytes: *offset_bytes,
                rest_bytes: size_bytes,
            })?;
            hasher.field(digest.as_bytes());
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
        Selection::Directory { entries } | Selection::Unpacked { entries } => entries,
    })
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
    let layer = std::thread::scope(|scope| {
        let (sender, pieces) = sync_channel(PIECES_MAX);
        scope.spawn(move || ahead::send(placement, files, &sender));
        pack(lease, placement, &pieces, copied)
    });
    // What is remembered of a file that is another now may be wrong of others too.
    if let Err(BuildError::Changed(_)) = &layer {
        lease.store().forget_file_digests()?;
    }
    Ok(CachedStep {
        layer: Some(layer?),
        newest_mtime_s,
    })
}

/// Packs a placement whose files come in pieces.
fn pack(
    lease: &Lease<'_>,
    placement: &Placement,
    pieces: &Receiver<Piece>,
    copied: &mut dyn FnMut(u64),
) -> Result<Layer, BuildError> {
    let mut writer = lease.layer_writer()?;
    for (path, placed) in placement {
        let is_link = matches!(placed.content, Content::HardLink { .. });
        if let Some(attributes) = placed.attributes.as_ref().filter(|_| !is_link) {
            writer.attributes(attributes);
        }
        match &placed.content {
            Content::Directory => writer.directory(path, placed.metadata)?,
            Content::Symlink { target } => writer.symlink(path, target, placed.metadata)?,
            Content::HardLink { target } => writer.hard_link(path, target, placed.metadata)?,
            Content::File { size_bytes, .. } => {
                let mut content = Pieces::new(pieces);
                let written = writer.file(path, placed.metadata, *size_bytes, &mut content);
                content.finish(written)?;
                copied(*size_bytes);
            }
        }
    }
    Ok(writer.finish()?)
}
