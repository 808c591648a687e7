//! Inodes as members of a tar.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use minke_abi::Errno;
use minke_abi::linux::{FileType, OpenFlags};
use minke_archive::{Content, Extended, Member, MemberKind, Modified, Writer};
use minke_kernel::vfs::device::device_parts;
use minke_kernel::vfs::{Inode, Metadata};

use super::{FilesError, PIECE_BYTES, at};

/// Bounds the names that are remembered of files with several; a further file is written once for each name.
const LINKED_FILES_MAX: usize = 1 << 20;

/// A tar of inodes being written.
pub(crate) struct TreeWriter<W: Write> {
    archive: Writer<BufWriter<W>>,
    /// The first path of each file that has several, by file system and inode.
    links: BTreeMap<(u64, u64), Vec<u8>>,
    piece: Vec<u8>,
}

impl<W: Write> TreeWriter<W> {
    pub(crate) fn new(sink: W) -> TreeWriter<W> {
        TreeWriter {
            archive: Writer::new(BufWriter::new(sink)),
            links: BTreeMap::new(),
            piece: vec![0; PIECE_BYTES],
        }
    }

    /// Adds an inode under a path; of a directory nothing that is in it.
    pub(crate) fn object(
        &mut self,
        path: &[u8],
        inode: &Arc<dyn Inode>,
        metadata: &Metadata,
    ) -> Result<(), FilesError> {
        let Some(kind) = self.kind(path, inode, metadata)? else {
            return Ok(());
        };
        let extended = match kind {
            MemberKind::HardLink(_) => Extended::new(),
            _ => extended(&**inode).map_err(at(path))?,
        };
        let is_file = matches!(kind, MemberKind::Regular(_));
        self.archive.append(&Member {
            path: path.to_vec(),
            kind,
            uid: metadata.uid,
            gid: metadata.gid,
            mode: metadata.mode & 0o7777,
            // Whole seconds, as Docker's.
            modified: Modified {
                seconds: metadata.modified.seconds,
                nanoseconds: 0,
            },
            extended,
        })?;
        match is_file {
            true => self.content(path, inode, metadata.size),
            false => Ok(()),
        }
    }

    /// Adds an empty file that nobody has, such as a whiteout.
    pub(crate) fn empty(&mut self, path: &[u8]) -> Result<(), FilesError> {
        self.archive.append(&Member {
            path: path.to_vec(),
            kind: MemberKind::Regular(Content::whole(0)),
            uid: 0,
            gid: 0,
            mode: 0o600,
            modified: Modified::default(),
            extended: Extended::new(),
        })?;
        Ok(())
    }

    /// Ends the tar.
    pub(crate) fn finish(self) -> Result<(), FilesError> {
        let mut sink = self.archive.finish()?;
        Ok(sink.flush()?)
    }

    /// Returns what a tar calls an inode; `None` for what it has no word for.
    fn kind(
        &mut self,
        path: &[u8],
        inode: &Arc<dyn Inode>,
        metadata: &Metadata,
    ) -> Result<Option<MemberKind<Content>>, FilesError> {
        if metadata.links > 1 && metadata.file_type != FileType::Directory {
            let file = (metadata.device, metadata.inode);
            if let Some(first) = self.links.get(&file) {
                return Ok(Some(MemberKind::HardLink(first.clone())));
            }
            if self.links.len() < LINKED_FILES_MAX {
                self.links.insert(file, path.to_vec());
            }
        }
        let (major, minor) = device_parts(metadata.device_id);
        Ok(Some(match metadata.file_type {
            FileType::Regular => MemberKind::Regular(Content::whole(metadata.size)),
            FileType::Directory => MemberKind::Directory,
            FileType::Symlink => MemberKind::Symlink(inode.read_link().map_err(at(path))?),
            FileType::Fifo => MemberKind::Fifo,
            FileType::CharacterDevice => MemberKind::CharacterDevice { major, minor },
            FileType::BlockDevice => MemberKind::BlockDevice { major, minor },
            // A socket is nothing without its process. GNU tar leaves it out too.
            FileType::Socket => return Ok(None),
        }))
    }

    /// Writes a file's content as long as it was announced: a file may shrink or grow meanwhile. GNU tar: "File shrank; padding with zeros".
    fn content(
        &mut self,
        path: &[u8],
        inode: &Arc<dyn Inode>,
        size_bytes: u64,
    ) -> Result<(), FilesError> {
        let file = Arc::clone(inode)
            .open(OpenFlags::RDONLY)
            .map_err(at(path))?;
        let mut offset = 0;
        while offset < size_bytes {
            let wanted = self.piece.len().min(clamped(size_bytes - offset));
            let piece = &mut self.piece[..wanted];
            let count = file.read_at(piece, offset).map_err(at(path))?;
            piece[count..].fill(0);
            self.archive.content(piece)?;
            offset += wanted as u64;
        }
        Ok(())
    }
}

/// Returns a number of bytes, or as many as can be in memory.
fn clamped(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn extended(inode: &dyn Inode) -> Result<Extended, Errno> {
    let mut found = Extended::new();
    for name in inode.extended_attributes()? {
        // The key of a pax record ends with the first `=`.
        if !name.contains(&b'=') {
            let value = inode.extended_attribute(&name)?;
            found.push((name, value));
        }
    }
    Ok(found)
}
