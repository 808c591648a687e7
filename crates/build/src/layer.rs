//! Layers: the key of an instruction that changes files, and the layer that it makes.

use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;

use minke_image::{CachedStep, Digest, Hasher, Lease, StoreError};

use crate::build::BuildError;
use crate::context::Context;
use crate::placement::{Placement, Target};
use crate::select::{Content, Entry, Selection};

/// Changes whenever equal inputs would no longer make equal layers.
const FORMAT: &[u8] = b"minke layer 1";

/// Returns the key of an instruction that makes a layer: what it does, and on what.
pub(crate) fn key(
    instruction: &str,
    parent: &Digest,
    target: &Target,
    selections: &[Selection],
) -> Digest {
    let mut hasher = Hasher::new();
    hasher.field(FORMAT);
    hasher.field(instruction.as_bytes());
    hasher.field(parent.to_string().as_bytes());
    hasher.field(target.destination.as_os_str().as_bytes());
    let numbers = format!(
        "{:?}",
        (
            target.is_directory,
            target.owner,
            target.mode,
            target.mtime_s
        )
    );
    hasher.field(numbers.as_bytes());
    for selection in selections {
        match selection {
            Selection::File { name, entry } => {
                hasher.field(b"file");
                hasher.field(name.as_bytes());
                hash_entry(&mut hasher, entry);
            }
            Selection::Directory { entries } => {
                hasher.field(b"directory");
                entries
                    .iter()
                    .for_each(|entry| hash_entry(&mut hasher, entry));
            }
        }
    }
    hasher.finish()
}

fn hash_entry(hasher: &mut Hasher, entry: &Entry) {
    hasher.field(entry.relative.as_os_str().as_bytes());
    hasher.field(&entry.mode.to_le_bytes());
    match &entry.content {
        Content::Directory => hasher.field(b"d"),
        Content::File { digest, .. } => hasher.field(digest.to_string().as_bytes()),
        Content::Symlink { target } => hasher.field(target.as_os_str().as_bytes()),
    }
}

/// Returns the newest time of what was selected.
pub(crate) fn newest_mtime_s(selections: &[Selection]) -> u64 {
    let of = |selection: &Selection| match selection {
        Selection::File { entry, .. } => entry.mtime_s,
        Selection::Directory { entries } => {
            entries.iter().map(|entry| entry.mtime_s).max().unwrap_or(0)
        }
    };
    selections.iter().map(of).max().unwrap_or(0)
}

/// Writes a layer. Nothing placed makes no layer.
pub(crate) fn write(
    lease: &Lease<'_>,
    context: &Context,
    placement: &Placement,
    newest_mtime_s: i64,
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
            Content::File { size_bytes, digest } => {
                let changed = || BuildError::Changed(placed.source.clone());
                let (mut file, _) = context.open_file(&placed.source).map_err(|_| changed())?;
                let found = writer
                    .file(path, placed.metadata, *size_bytes, &mut file)
                    .map_err(|error| match error {
                        StoreError::Io { source, .. } if is_cut(&source) => changed(),
                        error => error.into(),
                    })?;
                // The key was made from what the file held before; the layer must hold the same.
                if found != *digest || file.read(&mut [0]).is_ok_and(|count| count > 0) {
                    lease.store().forget_file_digests()?;
                    return Err(changed());
                }
            }
        }
    }
    Ok(CachedStep {
        layer: Some(writer.finish()?),
        newest_mtime_s,
    })
}

/// Returns whether a file ended before the size that it had.
fn is_cut(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}
