//! Changes: what a program of a build made, from the tar that its sandbox writes to a layer.
//!
//! The sandbox is jailed with a guest that may have broken out of its module, so its tar is read like any stranger's: names
//! are checked, and each entry is written anew.

use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use minke_image::{
    CachedStep, EntryMetadata, HeaderBytes, LayerWriter, Lease, SpecialFile, StoreError,
    attributes_of,
};
use tar::{Archive, Entry, EntryType};

use crate::archive::{ArchiveError, clean};
use crate::build::BuildError;

/// Bounds the entries that a program may make: more than a sandbox has inodes.
const ENTRIES_MAX: usize = 4 << 20;

/// What becomes of the times that a program gave its files.
///
/// No time of day goes into an image: what a program wrote while it ran is as old as what it was made from. Times that it
/// set itself, as by unpacking an archive, stay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// When the program began.
    pub(crate) began_s: u64,
    /// The time of what the builder makes itself.
    pub(crate) own_s: u64,
    /// One time for everything.
    pub(crate) epoch_s: Option<u64>,
}

impl Times {
    fn of(&self, mtime_s: u64) -> u64 {
        let own = match mtime_s >= self.began_s {
            true => self.own_s,
            false => mtime_s,
        };
        self.epoch_s.unwrap_or(own)
    }
}

/// Writes a layer of what a tar says. No entries make no layer.
pub(crate) fn write(
    lease: &Lease<'_>,
    tar: impl Read,
    times: &Times,
) -> Result<CachedStep, BuildError> {
    let newest_mtime_s = i64::try_from(times.own_s).unwrap_or(i64::MAX);
    let headers = HeaderBytes::new();
    let mut archive = Archive::new(headers.bound(tar));
    let mut writer = lease.layer_writer()?;
    let mut count = 0;
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        count += 1;
        if count > ENTRIES_MAX {
            return Err(taken(ArchiveError::TooMany));
        }
        add(&mut writer, &mut entry, times, &headers)?;
        headers.begin_headers();
    }
    let layer = match count {
        0 => None,
        _ => Some(writer.finish()?),
    };
    Ok(CachedStep {
        layer,
        newest_mtime_s,
    })
}

fn add<R: Read>(
    writer: &mut LayerWriter<'_, '_>,
    entry: &mut Entry<'_, R>,
    times: &Times,
    headers: &HeaderBytes,
) -> Result<(), BuildError> {
    let path = clean(&entry.path_bytes()).map_err(taken)?;
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    if let Some(attributes) = attributes_of(entry).map_err(broken)? {
        writer.attributes(&attributes);
    }
    let header = entry.header();
    let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let metadata = EntryMetadata {
        mode: header.mode().map_err(broken)? & 0o7777,
        uid: number(header.uid().map_err(broken)?),
        gid: number(header.gid().map_err(broken)?),
        mtime_s: times.of(header.mtime().map_err(broken)?),
    };
    let written = match header.entry_type() {
        EntryType::Directory => writer.directory(&path, metadata),
        EntryType::Symlink => writer.symlink(&path, &link_of(entry), metadata),
        EntryType::Link => {
            let target = clean(link_of(entry).as_os_str().as_bytes()).map_err(taken)?;
            writer.hard_link(&path, &target, metadata)
        }
        EntryType::Regular => {
            let size_bytes = entry.size();
            headers.begin_content();
            writer.file(&path, metadata, size_bytes, entry)
        }
        EntryType::Fifo => writer.special(&path, SpecialFile::Fifo, metadata),
        kind @ (EntryType::Char | EntryType::Block) => {
            writer.special(&path, device(entry, kind)?, metadata)
        }
        _ => return Err(broken(io::Error::other("an entry of an unknown type"))),
    };
    written.map_err(|error| told_where(error, &path))
}

/// A tar that ends early is told as what it is, not as a full disk.
fn told_where(error: StoreError, path: &Path) -> BuildError {
    match error {
        StoreError::Io { source, .. } if source.kind() == io::ErrorKind::UnexpectedEof => {
            broken(io::Error::other(format!("`/{}` is cut", path.display())))
        }
        error => error.into(),
    }
}

fn device<R: Read>(entry: &Entry<'_, R>, kind: EntryType) -> Result<SpecialFile, BuildError> {
    let header = entry.header();
    let major = header.device_major().map_err(broken)?.unwrap_or_default();
    let minor = header.device_minor().map_err(broken)?.unwrap_or_default();
    Ok(match kind {
        EntryType::Char => SpecialFile::CharacterDevice { major, minor },
        _ => SpecialFile::BlockDevice { major, minor },
    })
}

fn link_of<R: Read>(entry: &Entry<'_, R>) -> PathBuf {
    let bytes = entry.link_name_bytes().unwrap_or_default();
    PathBuf::from(std::ffi::OsStr::from_bytes(&bytes))
}

fn broken(error: io::Error) -> BuildError {
    taken(ArchiveError::Damaged(error))
}

fn taken(error: ArchiveError) -> BuildError {
    match error {
        ArchiveError::Store(error) => error.into(),
        error => BuildError::Changes(error.to_string()),
    }
}
