//! From the host into a disk.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use minke_disk::tree::{
    Change, Content, ContentSource, ImportOptions, Importer, Member, MemberKind, Modified,
    ReadError, Segment, Whiteouts,
};
use minke_ext4::{Error, FileType, InodeNumber};
use rustix::fs::{SeekFrom, major, minor, seek};
use rustix::io::Errno;

use super::{CopyOptions, Depth, Owners, directory_refused, is_content};
use crate::commands::disk::edit::{EditedSystem, edit, now};
use crate::commands::disk::open::{LastLink, failed, resolve, resolve_parent};
use crate::report::Report;

/// Pieces of data of a file beyond which its holes are copied as zeros.
const SEGMENTS_MAX: usize = 1 << 16;

/// Copies a file or tree of the host to a path in a disk: all of it or, after an error, nothing.
pub(super) fn copy(
    source: &Path,
    disk: &Path,
    path: &str,
    options: CopyOptions,
) -> Result<(), Report> {
    // What is named is meant, not a link to it, unless its content is.
    let text = source.to_string_lossy();
    let metadata = match is_content(&text) || text.ends_with('/') {
        true => source.metadata(),
        false => source.symlink_metadata(),
    };
    let metadata = metadata.map_err(|error| cannot_read(source, &error))?;
    if metadata.is_dir() && options.depth == Depth::Files {
        return Err(directory_refused(&text));
    }
    edit(disk, |system| {
        let (directory, name) = target_of(system, source, path)?;
        let import = ImportOptions {
            directory,
            whiteouts: Whiteouts::Keep,
            time: now(),
        };
        let mut copy = Copy {
            system,
            directory,
            importer: Importer::new(system, &import),
            options,
            links: HashMap::new(),
        };
        copy.tree(source.to_owned(), name, metadata)?;
        copy.importer.finish().map_err(|error| told(&error))
    })
}

/// Returns the directory in the disk and the name in it that the copy gets; no name if it is the directory's own content.
fn target_of(
    system: &EditedSystem,
    source: &Path,
    path: &str,
) -> Result<(InodeNumber, Vec<u8>), Report> {
    let on = |error| failed(path, &error);
    if let Ok(found) = resolve(system, path, LastLink::Follow)
        && system.metadata(found).map_err(on)?.file_type == FileType::Directory
    {
        if is_content(&source.to_string_lossy()) {
            return Ok((found, Vec::new()));
        }
        let canonical;
        let name = match source.file_name() {
            Some(name) => Some(name),
            None => {
                canonical = source
                    .canonicalize()
                    .map_err(|error| cannot_read(source, &error))?;
                canonical.file_name()
            }
        };
        return Ok((found, name.unwrap_or_default().as_bytes().to_vec()));
    }
    if path.ends_with('/') && !source.is_dir() {
        return Err(on(Error::NotDirectory));
    }
    resolve_parent(system, path)
}

/// A copy on its way.
struct Copy<'s> {
    system: &'s EditedSystem,
    directory: InodeNumber,
    importer: Importer<'s, std::sync::Arc<minke_disk::Volume>>,
    options: CopyOptions,
    /// Files with several names: device and inode, and the path of the first in the disk.
    links: HashMap<(u64, u64), Vec<u8>>,
}

impl Copy<'_> {
    /// Copies a file, or a directory with all that is in it, in the order of names.
    fn tree(&mut self, source: PathBuf, name: Vec<u8>, metadata: Metadata) -> Result<(), Report> {
        let mut pending = vec![(source, name, metadata)];
        while let Some((source, path, metadata)) = pending.pop() {
            self.entry(&source, &path, &metadata)?;
            if !metadata.is_dir() {
                continue;
            }
            let mut names = names_of(&source).map_err(|error| cannot_read(&source, &error))?;
            names.sort_unstable_by(|one, other| other.cmp(one));
            for name in names {
                let below = source.join(&name);
                let metadata = below.symlink_metadata();
                let metadata = metadata.map_err(|error| cannot_read(&below, &error))?;
                let path = match path.is_empty() {
                    true => name.into_vec(),
                    false => [&path, &b"/"[..], name.as_bytes()].concat(),
                };
                pending.push((below, path, metadata));
            }
        }
        Ok(())
    }

    fn entry(&mut self, source: &Path, path: &[u8], metadata: &Metadata) -> Result<(), Report> {
        let mut data = HostContent::none();
        let Some(kind) = self.kind(source, path, metadata, &mut data)? else {
            // A socket means nothing without who listens.
            return Ok(());
        };
        if kind != MemberKind::Directory {
            self.check_replaceable(path)?;
        }
        let (uid, gid) = match self.options.owners {
            Owners::Keep => (metadata.uid(), metadata.gid()),
            Owners::Replace => (0, 0),
        };
        let member = Member {
            path: path.to_vec(),
            kind,
            uid,
            gid,
            mode: metadata.mode() & 0o7777,
            modified: Modified {
                seconds: metadata.mtime(),
                nanoseconds: metadata.mtime_nsec() as u32,
            },
            extended: Vec::new(),
        };
        let applied = self.importer.apply(&Change::Add(member), &mut data);
        applied.map_err(|error| told(&error))
    }

    fn kind(
        &mut self,
        source: &Path,
        path: &[u8],
        metadata: &Metadata,
        data: &mut HostContent,
    ) -> Result<Option<MemberKind<Content>>, Report> {
        let on = |error| cannot_read(source, &error);
        let id = (metadata.dev(), metadata.ino());
        if metadata.nlink() > 1 && !metadata.is_dir() {
            if let Some(first) = self.links.get(&id) {
                return Ok(Some(MemberKind::HardLink(first.clone())));
            }
            self.links.insert(id, path.to_vec());
        }
        let kind = metadata.file_type();
        let device = metadata.rdev();
        Ok(Some(if kind.is_dir() {
            MemberKind::Directory
        } else if kind.is_file() {
            *data = HostContent::open(source).map_err(on)?;
            MemberKind::Regular(data.content.clone())
        } else if kind.is_symlink() {
            let target = fs::read_link(source).map_err(on)?;
            MemberKind::Symlink(target.into_os_string().into_vec())
        } else if kind.is_char_device() {
            let (major, minor) = (major(device), minor(device));
            MemberKind::CharacterDevice { major, minor }
        } else if kind.is_block_device() {
            let (major, minor) = (major(device), minor(device));
            MemberKind::BlockDevice { major, minor }
        } else if kind.is_fifo() {
            MemberKind::Fifo
        } else {
            return Ok(None);
        }))
    }

    /// Refuses to put a file in the place of a directory.
    fn check_replaceable(&self, path: &[u8]) -> Result<(), Report> {
        let mut at = self.directory;
        for name in path.split(|byte| *byte == b'/') {
            match self.system.lookup(at, name) {
                Ok(found) => at = found,
                Err(_) => return Ok(()),
            }
        }
        match self.system.metadata(at) {
            Ok(found) if found.file_type == FileType::Directory => Err(Report::new(
                format!(
                    "`{}` is a directory in the disk",
                    String::from_utf8_lossy(path)
                ),
                "`minke disk rm -r` removes it",
            )),
            _ => Ok(()),
        }
    }
}

fn names_of(directory: &Path) -> io::Result<Vec<OsString>> {
    fs::read_dir(directory)?
        .map(|entry| Ok(entry?.file_name()))
        .collect()
}

/// The content of a file of the host, without its holes.
struct HostContent {
    file: Option<File>,
    content: Content,
    /// What was not read yet, the next one at the end.
    segments: Vec<Segment>,
}

impl HostContent {
    fn none() -> HostContent {
        HostContent {
            file: None,
            content: Content::whole(0),
            segments: Vec::new(),
        }
    }

    fn open(path: &Path) -> io::Result<HostContent> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut segments = data_segments(&file, size)?;
        let content = Content {
            size,
            segments: Some(segments.clone()),
        };
        segments.reverse();
        Ok(HostContent {
            file: Some(file),
            content,
            segments,
        })
    }
}

/// Returns where a file has data: everywhere, if its file system does not say.
fn data_segments(file: &File, size: u64) -> io::Result<Vec<Segment>> {
    let whole = vec![Segment {
        offset: 0,
        length: size,
    }];
    let mut segments = Vec::new();
    let mut at = 0;
    while at < size && segments.len() < SEGMENTS_MAX {
        let begin = match seek(file, SeekFrom::Data(at)) {
            Ok(begin) => begin,
            Err(Errno::NXIO) => return Ok(segments),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(whole),
            Err(errno) => return Err(errno.into()),
        };
        at = seek(file, SeekFrom::Hole(begin))?.min(size);
        if begin >= at {
            return Ok(segments);
        }
        segments.push(Segment {
            offset: begin,
            length: at - begin,
        });
    }
    match at < size {
        true => Ok(whole),
        false => Ok(segments),
    }
}

impl ContentSource for HostContent {
    fn read_content(&mut self, buffer: &mut [u8]) -> Result<(u64, usize), ReadError> {
        let (Some(file), Some(segment)) = (&self.file, self.segments.last_mut()) else {
            return Ok((0, 0));
        };
        let offset = segment.offset;
        let count = segment.length.min(buffer.len() as u64) as usize;
        let read = file.read_exact_at(&mut buffer[..count], offset);
        read.map_err(ReadError::Io)?;
        segment.offset += count as u64;
        segment.length -= count as u64;
        if segment.length == 0 {
            self.segments.pop();
        }
        Ok((offset, count))
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> Report {
    Report::new(
        format!("cannot read `{}`: {error}", path.display()),
        "name what you may read",
    )
}

fn told(error: &minke_disk::tree::ImportError) -> Report {
    Report::new(
        format!("cannot copy: {error}"),
        "`minke disk df` shows how much room there is",
    )
}
