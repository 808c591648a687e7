//! What a build's step made of its root, as the tar of a layer.
//!
//! Spec: OCI image-spec 1.1 layer.md, "Representing Changes", "Whiteouts"; POSIX: pax, "ustar Interchange Format".

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read, Write};
use std::sync::Arc;

use minke_abi::Errno;
use minke_abi::linux::{FileType, OpenFlags};
use minke_kernel::File;
use minke_kernel::vfs::changes::{Change, visit_changes};
use minke_kernel::vfs::device::device_parts;
use minke_kernel::vfs::{FileSystem, Inode, Metadata, Timestamp};
use tar::{Builder, EntryType, Header};

/// A file of this name hides the one below whose name follows.
const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// A file of this name hides everything that lower layers have in its directory.
const WHITEOUT_OPAQUE: &[u8] = b".wh..wh..opq";
/// Key prefix of extended attributes in pax headers.
const XATTR_PREFIX: &str = "SCHILY.xattr.";

/// A container's root: what it began as, and what it is.
pub(super) struct Root {
    pub(super) upper: Arc<dyn FileSystem>,
    pub(super) lower: Arc<dyn FileSystem>,
}

/// The changes that were made for mounts before the program ran, by path, with their times.
pub(super) struct Seen(BTreeMap<Vec<u8>, Timestamp>);

/// A failure of this process, or of what the program made.
struct Failure(io::Error);

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        Failure(io::Error::other(errno))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure(error)
    }
}

impl Seen {
    pub(super) fn of(root: &Root) -> io::Result<Seen> {
        let mut seen = BTreeMap::new();
        root.visit(&mut |change| {
            if let Change::Present { path, metadata, .. } = change {
                seen.insert(path.to_vec(), metadata.changed);
            }
            Ok(())
        })?;
        Ok(Seen(seen))
    }

    /// Whether a path is as it was when the program began.
    fn has(&self, path: &[u8], metadata: &Metadata) -> bool {
        self.0.get(path) == Some(&metadata.changed)
    }
}

impl Root {
    fn visit(&self, visit: &mut dyn FnMut(&Change<'_>) -> Result<(), Failure>) -> io::Result<()> {
        visit_changes(&*self.upper, &*self.lower, visit).map_err(|failure| failure.0)
    }

    /// Writes everything that changed since `seen` as a layer.
    pub(super) fn write_changes(&self, seen: &Seen, sink: &mut dyn Write) -> io::Result<()> {
        let mut writer = Writer {
            builder: Builder::new(BufWriter::new(sink)),
            links: BTreeMap::new(),
        };
        self.visit(&mut |change| match change {
            Change::Present { path, metadata, .. } if seen.has(path, metadata) => Ok(()),
            change => writer.add(change),
        })?;
        writer.builder.into_inner()?.flush()
    }
}

struct Writer<'sink> {
    builder: Builder<BufWriter<&'sink mut dyn Write>>,
    /// The first path of each file that has several, by inode number.
    links: BTreeMap<u64, Vec<u8>>,
}

impl Writer<'_> {
    fn add(&mut self, change: &Change<'_>) -> Result<(), Failure> {
        match change {
            Change::Absent { path } => self.whiteout(path),
            Change::Present {
                path,
                inode,
                metadata,
                is_opaque,
            } => {
                self.object(path, inode, metadata)?;
                match is_opaque {
                    true => self.empty(&[path, &b"/"[..], WHITEOUT_OPAQUE].concat()),
                    false => Ok(()),
                }
            }
        }
    }

    fn whiteout(&mut self, path: &[u8]) -> Result<(), Failure> {
        let (directory, name) = split(path);
        self.empty(&[directory, WHITEOUT_PREFIX, name].concat())
    }

    fn empty(&mut self, path: &[u8]) -> Result<(), Failure> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(0);
        self.entry(header, path, None, &[], io::empty())
    }

    fn object(
        &mut self,
        path: &[u8],
        inode: &Arc<dyn Inode>,
        metadata: &Metadata,
    ) -> Result<(), Failure> {
        if split(path).1.starts_with(WHITEOUT_PREFIX) {
            let shown = String::from_utf8_lossy(path);
            let message = format!("`/{shown}` has a name that layers reserve (`.wh.`)");
            return Err(io::Error::other(message).into());
        }
        let mut header = header(metadata);
        if metadata.links > 1 && metadata.file_type != FileType::Directory {
            if let Some(first) = self.links.get(&metadata.inode).cloned() {
                header.set_entry_type(EntryType::Link);
                return self.entry(header, path, Some(&first), &[], io::empty());
            }
            self.links.insert(metadata.inode, path.to_vec());
        }
        let extended = extended(&**inode)?;
        header.set_entry_type(match metadata.file_type {
            FileType::Regular => return self.file(header, path, inode, metadata.size, &extended),
            FileType::Symlink => {
                header.set_entry_type(EntryType::Symlink);
                let target = inode.read_link()?;
                return self.entry(header, path, Some(&target), &extended, io::empty());
            }
            FileType::Directory => EntryType::Directory,
            FileType::Fifo => EntryType::Fifo,
            FileType::CharacterDevice => EntryType::Char,
            FileType::BlockDevice => EntryType::Block,
            // A socket is nothing without its process. GNU tar leaves it out too.
            FileType::Socket => return Ok(()),
        });
        if matches!(
            metadata.file_type,
            FileType::CharacterDevice | FileType::BlockDevice
        ) {
            let (major, minor) = device_parts(metadata.device_id);
            header.set_device_major(major)?;
            header.set_device_minor(minor)?;
        }
        self.entry(header, path, None, &extended, io::empty())
    }

    fn file(
        &mut self,
        mut header: Header,
        path: &[u8],
        inode: &Arc<dyn Inode>,
        size_bytes: u64,
        extended: &[(String, Vec<u8>)],
    ) -> Result<(), Failure> {
        header.set_entry_type(EntryType::Regular);
        header.set_size(size_bytes);
        let content = Content {
            file: Arc::clone(inode).open(OpenFlags::RDONLY)?,
            offset: 0,
        };
        self.entry(header, path, None, extended, content.take(size_bytes))
    }

    fn entry(
        &mut self,
        mut header: Header,
        path: &[u8],
        link: Option<&[u8]>,
        extended: &[(String, Vec<u8>)],
        content: impl Read,
    ) -> Result<(), Failure> {
        let mut records: Vec<(&str, &[u8])> = Vec::new();
        if set_name(&mut header, path).is_none() {
            records.push(("path", path));
        }
        if let Some(link) = link
            && header.set_link_name_literal(link).is_err()
        {
            records.push(("linkpath", link));
        }
        let extended = extended
            .iter()
            .map(|(key, value)| (key.as_str(), &value[..]));
        records.extend(extended);
        header.set_cksum();
        self.builder.append_pax_extensions(records)?;
        Ok(self.builder.append(&header, content)?)
    }
}

/// Puts a path into the header as it is; none if it has no room.
fn set_name(header: &mut Header, path: &[u8]) -> Option<()> {
    let field = header.as_old_mut().name.get_mut(..path.len())?;
    field.copy_from_slice(path);
    Some(())
}

fn header(metadata: &Metadata) -> Header {
    let mut header = Header::new_ustar();
    header.set_mode(metadata.mode & 0o7777);
    header.set_uid(metadata.uid.into());
    header.set_gid(metadata.gid.into());
    // A tar's header has whole seconds from 1970 on.
    header.set_mtime(u64::try_from(metadata.modified.seconds).unwrap_or(0));
    header.set_size(0);
    header
}

fn extended(inode: &dyn Inode) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut found = Vec::new();
    for name in inode.extended_attributes()? {
        // Pax keys are texts; an attribute with another name cannot be written.
        let Ok(text) = std::str::from_utf8(&name) else {
            continue;
        };
        if !text.contains('=') {
            let key = format!("{XATTR_PREFIX}{text}");
            found.push((key, inode.extended_attribute(&name)?));
        }
    }
    Ok(found)
}

/// Returns the directory of a path, with its slash, and the name in it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = path.iter().rposition(|byte| *byte == b'/');
    path.split_at(slash.map_or(0, |slash| slash + 1))
}

/// Reads a file of the root from its beginning.
struct Content {
    file: Arc<dyn File>,
    offset: u64,
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset);
        let count = read.map_err(io::Error::other)?;
        self.offset += count as u64;
        Ok(count)
    }
}
