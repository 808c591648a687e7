//! The members of a foreign archive: where the content of each name is.
//!
//! A plain archive in a file is only looked through, and what is wanted is read where it lies. Anything else (a pipe, a
//! packed archive) is taken apart into temporary files, which go with the lease.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::walk::{Entry, Kind, Section, Source, Stream, Walker};
use super::{ArchiveError, Item, Progress};
use crate::digest::Hashing;
use crate::packing::{Packing, peek};
use crate::store::at;
use crate::{BLOB_BYTES_MAX, Digest, LAYER_BYTES_MAX, Lease};

/// Bounds links that lead to links. Docker's own archives have chains of one.
const LINKS_MAX: usize = 8;

/// What an archive may hold, whatever it was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries of the archive.
    pub members_max: u64,
    /// Bytes of all members of an archive that has to be taken apart, and so what a small packed one can swell to.
    pub unpacked_bytes_max: u64,
    /// Bytes of one layer's tar.
    pub layer_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            members_max: 200_000,
            unpacked_bytes_max: 256 << 30,
            layer_bytes_max: LAYER_BYTES_MAX,
        }
    }
}

enum Member {
    Section {
        offset_bytes: u64,
        size_bytes: u64,
    },
    Spooled {
        file: NamedTempFile,
        size_bytes: u64,
        digest: Digest,
    },
    Link {
        target: String,
    },
    Special(&'static str),
}

/// An archive's names.
pub(super) struct Members {
    archive: File,
    members: BTreeMap<String, Member>,
}

/// A member that is a file.
pub(super) struct FileMember<'members> {
    pub(super) name: &'members str,
    pub(super) size_bytes: u64,
    content: Content<'members>,
}

enum Content<'members> {
    Section(Section<'members>),
    Spooled(&'members NamedTempFile, Digest),
}

impl Members {
    /// Reads the names of an archive, and its contents where it cannot be read twice.
    pub(super) fn read(
        archive: File,
        lease: &Lease<'_>,
        limits: &Limits,
        progress: &dyn Progress,
    ) -> Result<Self, ArchiveError> {
        let read = |source| ArchiveError::Read { source };
        let metadata = archive.metadata().map_err(read)?;
        if metadata.is_dir() {
            return Err(read(io::ErrorKind::IsADirectory.into()));
        }
        // Only at its beginning are the tar's offsets those of the file.
        let is_seekable =
            metadata.is_file() && (&archive).stream_position().is_ok_and(|at| at == 0);
        let mut start = BufReader::new(&archive);
        let packing = peek(&mut start).map_err(read)?;
        let packing = Packing::of_start(&packing);
        let members = if is_seekable && packing == Packing::None {
            look_through(&archive, metadata.len(), limits)?
        } else {
            let tar = packing.unpack(start).map_err(read)?;
            Spool {
                lease,
                limits,
                progress,
                bytes: 0,
            }
            .take_apart(Stream(tar))?
        };
        Ok(Self { archive, members })
    }

    /// Returns whether there is such a name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Returns the file of a name that `document` mentions, links followed.
    pub(super) fn file(&self, name: &str, document: &str) -> Result<FileMember<'_>, ArchiveError> {
        let missing = || ArchiveError::Missing {
            member: name.to_owned(),
            document: document.to_owned(),
        };
        let mut wanted = normal(name)?;
        for _ in 0..LINKS_MAX {
            let (found, member) = self.members.get_key_value(&wanted).ok_or_else(missing)?;
            let (content, size_bytes) = match member {
                Member::Link { target } => {
                    wanted.clone_from(target);
                    continue;
                }
                Member::Special(found) => {
                    return Err(ArchiveError::NotFile {
                        member: wanted,
                        found,
                    });
                }
                Member::Section {
                    offset_bytes,
                    size_bytes,
                } => {
                    let section = Section {
                        file: &self.archive,
                        offset: *offset_bytes,
                        end: offset_bytes + size_bytes,
                    };
                    (Content::Section(section), *size_bytes)
                }
                Member::Spooled {
                    file,
                    size_bytes,
                    digest,
                } => (Content::Spooled(file, *digest), *size_bytes),
            };
            return Ok(FileMember {
                name: found,
                size_bytes,
                content,
            });
        }
        Err(ArchiveError::NotFile {
            member: name.to_owned(),
            found: "a link without end",
        })
    }
}

impl<'members> FileMember<'members> {
    /// Returns a reader of the content from its beginning.
    pub(super) fn reader(&self) -> io::Result<Box<dyn Read + Send + 'members>> {
        Ok(match &self.content {
            Content::Section(section) => Box::new(*section),
            Content::Spooled(file, _) => Box::new(file.reopen()?),
        })
    }

    /// Returns the digest if it is known without reading.
    pub(super) fn digest(&self) -> Option<Digest> {
        match &self.content {
            Content::Section(_) => None,
            Content::Spooled(_, digest) => Some(*digest),
        }
    }

    /// Returns the file that holds this content and nothing else, if there is one; it may be linked to, not changed.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.content {
            Content::Section(_) => None,
            Content::Spooled(file, _) => Some(file.path()),
        }
    }

    /// Returns the content of a document.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, ArchiveError> {
        if self.size_bytes > BLOB_BYTES_MAX {
            return Err(ArchiveError::Malformed {
                document: self.name.to_owned(),
                reason: format!("it has more than {BLOB_BYTES_MAX} bytes"),
            });
        }
        let mut bytes = Vec::new();
        self.reader()
            .and_then(|mut reader| reader.read_to_end(&mut bytes))
            .map_err(|source| ArchiveError::Read { source })?;
        Ok(bytes)
    }
}

/// Notes where in the file each member is.
fn look_through(
    archive: &File,
    size_bytes: u64,
    limits: &Limits,
) -> Result<BTreeMap<String, Member>, ArchiveError> {
    let section = Section {
        file: archive,
        offset: 0,
        end: size_bytes,
    };
    collect(Walker::new(section), limits, |_, entry| {
        if entry.offset_bytes.saturating_add(entry.size_bytes) > size_bytes {
            return Err(ArchiveError::Truncated {
                member: entry.name.clone(),
            });
        }
        Ok(Member::Section {
            offset_bytes: entry.offset_bytes,
            size_bytes: entry.size_bytes,
        })
    })
}

/// Goes through a tar; `place` says where the content of a file is.
fn collect<S: Source>(
    mut walker: Walker<S>,
    limits: &Limits,
    mut place: impl FnMut(&mut Walker<S>, &Entry) -> Result<Member, ArchiveError>,
) -> Result<BTreeMap<String, Member>, ArchiveError> {
    let mut members = BTreeMap::new();
    let mut count = 0;
    while let Some(entry) = walker.next()? {
        count += 1;
        if count > limits.members_max {
            return Err(ArchiveError::TooLarge {
                max: limits.members_max,
                unit: "members",
            });
        }
        let name = normal(&entry.name)?;
        let member = match &entry.kind {
            Kind::Directory => continue,
            Kind::File => place(&mut walker, &entry)?,
            Kind::Symlink { target } => link(&name, parent(&name), target)?,
            Kind::HardLink { target } => link(&name, "", target)?,
            Kind::Special(found) => Member::Special(found),
        };
        if members.insert(name.clone(), member).is_some() {
            return Err(ArchiveError::Duplicate { member: name });
        }
    }
    Ok(members)
}

/// Takes a tar apart into temporary files.
struct Spool<'run, 'store> {
    lease: &'run Lease<'store>,
    limits: &'run Limits,
    progress: &'run dyn Progress,
    /// What was written so far.
    bytes: u64,
}

impl Spool<'_, '_> {
    fn take_apart<R: Read>(
        mut self,
        tar: Stream<R>,
    ) -> Result<BTreeMap<String, Member>, ArchiveError> {
        collect(Walker::new(tar), self.limits, |walker, entry| {
            self.bytes = self.bytes.saturating_add(entry.size_bytes);
            if self.bytes > self.limits.unpacked_bytes_max {
                return Err(ArchiveError::TooLarge {
                    max: self.limits.unpacked_bytes_max,
                    unit: "bytes",
                });
            }
            self.write(walker.content(entry), entry)
        })
    }

    fn write(&self, content: impl Read, entry: &Entry) -> Result<Member, ArchiveError> {
        let item = blob_of(entry);
        if let Some(item) = &item {
            self.progress.started(item);
        }
        let file = self.lease.temporary()?;
        let path = file.path().to_owned();
        let mut hashing = Hashing::new(file);
        copy(content, &mut hashing, &path, |bytes| {
            if let Some(item) = &item {
                self.progress.advanced(item, bytes);
            }
        })?;
        if hashing.count_bytes < entry.size_bytes {
            return Err(ArchiveError::Truncated {
                member: entry.name.clone(),
            });
        }
        if let Some(item) = &item {
            self.progress.finished(item);
        }
        Ok(Member::Spooled {
            size_bytes: hashing.count_bytes,
            digest: hashing.hasher.finish(),
            file: hashing.inner,
        })
    }
}

/// Returns the blob that an entry holds by its name.
fn blob_of(entry: &Entry) -> Option<Item> {
    let (_, hex) = entry.name.rsplit_once("blobs/sha256/")?;
    Some(Item {
        digest: Digest::from_hex(hex)?,
        size_bytes: entry.size_bytes,
    })
}

/// Copies everything, and tells failures of the archive from those of the store's file at `path`.
pub(super) fn copy(
    mut from: impl Read,
    to: &mut impl Write,
    path: &Path,
    mut advanced: impl FnMut(u64),
) -> Result<(), ArchiveError> {
    const CHUNK_BYTES: usize = 256 << 10;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(ArchiveError::Read { source }),
        };
        to.write_all(&chunk[..count]).map_err(at("write", path))?;
        advanced(count as u64);
    }
}

/// Returns a member's name without `.` and empty parts. A name that leads out of the archive has no place in it.
fn normal(name: &str) -> Result<String, ArchiveError> {
    if name.starts_with('/') || name.split('/').any(|part| part == "..") {
        return Err(outside(name));
    }
    inside("", name).ok_or_else(|| outside(name))
}

/// Returns what `path` is from `directory`, none if that is above the root. Links are not followed.
fn inside(directory: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn link(name: &str, directory: &str, target: &str) -> Result<Member, ArchiveError> {
    if target.starts_with('/') {
        return Err(outside(name));
    }
    let target = inside(directory, target).ok_or_else(|| outside(name))?;
    Ok(Member::Link { target })
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn outside(member: &str) -> ArchiveError {
    ArchiveError::Outside {
        member: member.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        assert_eq!(
            normal("./blobs//sha256/x").ok().as_deref(),
            Some("blobs/sha256/x")
        );
        for name in ["/etc/passwd", "../x", "a/../x"] {
            assert!(
                matches!(normal(name), Err(ArchiveError::Outside { .. })),
                "{name}"
            );
        }
        assert_eq!(inside("a", "../b.tar").as_deref(), Some("b.tar"));
        assert_eq!(inside("a", "../../b"), None);
    }
}
