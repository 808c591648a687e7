//! A tree of a file system as a tar: equal trees make equal tars.

use std::io::{self, Write};

use minke_archive::{Content, MemberKind, Segment, Writer};
use minke_ext4::{Device, Error, FileSystem, InodeNumber};

use super::walk::{Walk, WalkError, Walked};
use super::{PIECE_BYTES, shown};

/// What becomes of holes. They are never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holes {
    /// They are left out, in GNU's sparse format.
    Keep,
    /// They become zeros, as in layers of images and for readers that know nothing else.
    Fill,
}

/// What can go wrong with an export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Walk(#[from] WalkError),
    #[error("`{path}`: {source}")]
    Disk { path: String, source: Error },
    #[error("`{path}` was changed while it was read")]
    Changed { path: String },
    #[error("cannot write the tar")]
    Write(#[from] io::Error),
}

/// Writes a tar of a directory, the directory itself first, and returns its target.
///
/// # Errors
/// [`ExportError`].
pub fn export<D: Device, W: Write>(
    system: &FileSystem<D>,
    directory: InodeNumber,
    holes: Holes,
    target: W,
) -> Result<W, ExportError> {
    let mut writer = Writer::new(target);
    let mut walk = Walk::new(system, directory);
    let mut piece = vec![0; PIECE_BYTES];
    while let Some(mut walked) = walk.next_entry()? {
        if let (Holes::Fill, MemberKind::Regular(content)) = (holes, &mut walked.member.kind) {
            content.segments = None;
        }
        writer.append(&walked.member)?;
        if let MemberKind::Regular(content) = &walked.member.kind {
            write_content(system, &walked, content, &mut writer, &mut piece)?;
        }
    }
    Ok(writer.finish()?)
}

fn write_content<D: Device, W: Write>(
    system: &FileSystem<D>,
    walked: &Walked,
    content: &Content,
    writer: &mut Writer<W>,
    piece: &mut [u8],
) -> Result<(), ExportError> {
    let path = || shown(&walked.member.path);
    let whole = [Segment {
        offset: 0,
        length: content.size,
    }];
    for segment in content.segments.as_deref().unwrap_or(&whole) {
        let (mut at, end) = (segment.offset, segment.offset + segment.length);
        while at < end {
            let count = (end - at).min(piece.len() as u64) as usize;
            let read = system.read(walked.inode, at, &mut piece[..count]);
            let read = read.map_err(|source| ExportError::Disk {
                path: path(),
                source,
            })?;
            if read < count {
                return Err(ExportError::Changed { path: path() });
            }
            writer.content(&piece[..count])?;
            at += count as u64;
        }
    }
    Ok(())
}
