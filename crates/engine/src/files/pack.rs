//! Files of the host as a tar.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use minke_archive::{Content, Extended, Member, MemberKind, Modified, Writer};

use super::{FilesError, Links};

/// Bytes of a file that are held at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Writes a file of the host, and what is in it, as `name`.
pub(crate) fn pack(
    path: &Path,
    name: &[u8],
    links: Links,
    sink: &mut dyn Write,
) -> Result<(), FilesError> {
    let mut packer = Packer {
        writer: Writer::new(sink),
        linked: HashMap::new(),
        piece: vec![0; PIECE_BYTES],
    };
    let metadata = match links {
        Links::Followed => fs::metadata(path),
        Links::Kept => fs::symlink_metadata(path),
    };
    let metadata = metadata.map_err(FilesError::local("read", path))?;
    packer.add(path, name, &metadata)?;
    if metadata.is_dir() {
        packer.add_below(path.to_path_buf(), name.to_vec())?;
    }
    let sent = packer.writer.finish();
    sent.map(drop).map_err(FilesError::local("send", path))
}

struct Packer<'a> {
    writer: Writer<&'a mut dyn Write>,
    /// The first name of each file that has several, by device and inode.
    linked: HashMap<(u64, u64), Vec<u8>>,
    piece: Vec<u8>,
}

impl Packer<'_> {
    fn add_below(&mut self, path: PathBuf, name: Vec<u8>) -> Result<(), FilesError> {
        let mut pending = vec![(path, name)];
        while let Some((directory, name)) = pending.pop() {
            for entry in entries(&directory)? {
                let path = directory.join(&entry);
                let name = [&name, &b"/"[..], entry.as_bytes()].concat();
                let metadata = fs::symlink_metadata(&path);
                let metadata = metadata.map_err(FilesError::local("read", &path))?;
                self.add(&path, &name, &metadata)?;
                if metadata.is_dir() {
                    pending.push((path, name));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, name: &[u8], metadata: &Metadata) -> Result<(), FilesError> {
        let Some(kind) = self.kind(path, name, metadata)? else {
            return Ok(());
        };
        // First, so that a file that cannot be read is not announced.
        let file = match kind {
            MemberKind::Regular(_) => {
                Some(File::open(path).map_err(FilesError::local("read", path))?)
            }
            _ => None,
        };
        let member = Member {
            path: name.to_vec(),
            kind,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode: metadata.mode() & 0o7777,
            modified: Modified {
                seconds: metadata.mtime(),
                nanoseconds: 0,
            },
            extended: Extended::new(),
        };
        self.writer
            .append(&member)
            .map_err(FilesError::local("send", path))?;
        match file {
            Some(file) => self.content(file, path, metadata.len()),
            None => Ok(()),
        }
    }

    fn kind(
        &mut self,
        path: &Path,
        name: &[u8],
        metadata: &Metadata,
    ) -> Result<Option<MemberKind<Content>>, FilesError> {
        if metadata.nlink() > 1 && !metadata.is_dir() {
            let file = (metadata.dev(), metadata.ino());
            if let Some(first) = self.linked.get(&file) {
                return Ok(Some(MemberKind::HardLink(first.clone())));
            }
            self.linked.insert(file, name.to_vec());
        }
        let file_type = metadata.file_type();
        let device = metadata.rdev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        Ok(Some(if file_type.is_dir() {
            MemberKind::Directory
        } else if file_type.is_symlink() {
            let target = fs::read_link(path).map_err(FilesError::local("read", path))?;
            MemberKind::Symlink(target.into_os_string().into_vec())
        } else if file_type.is_file() {
            MemberKind::Regular(Content::whole(metadata.len()))
        } else if file_type.is_fifo() {
            MemberKind::Fifo
        } else if file_type.is_char_device() {
            MemberKind::CharacterDevice { major, minor }
        } else if file_type.is_block_device() {
            MemberKind::BlockDevice { major, minor }
        } else {
            // A socket is nothing without its process. GNU tar leaves it out too.
            return Ok(None);
        }))
    }

    /// Sends as many bytes as were announced: zeros for those that a file has lost since.
    fn content(&mut self, file: File, path: &Path, size_bytes: u64) -> Result<(), FilesError> {
        let mut source = file.chain(std::io::repeat(0)).take(size_bytes);
        loop {
            let count = source.read(&mut self.piece);
            let count = count.map_err(FilesError::local("read", path))?;
            if count == 0 {
                return Ok(());
            }
            let sent = self.writer.content(&self.piece[..count]);
            sent.map_err(FilesError::local("send", path))?;
        }
    }
}

/// Returns the names in a directory, sorted.
fn entries(directory: &Path) -> Result<Vec<OsString>, FilesError> {
    let failed = || FilesError::local("read", directory);
    let read = fs::read_dir(directory).map_err(failed())?;
    let names: Result<Vec<OsString>, _> = read
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect();
    let mut names = names.map_err(failed())?;
    names.sort_unstable();
    Ok(names)
}
