//! A disk that is open for reading, and paths in it.

use std::path::Path;

use minke_disk::FileDevice;
use minke_ext4::{Access, Device, Error, FileSystem, FileType, InodeNumber, Timestamp};

use super::edit::merge_left;
use super::file::open_file;
use crate::report::Report;

/// Symbolic links on one way. Linux: `MAXSYMLINKS`.
const LINKS_MAX: usize = 40;

/// Opens the file system in a file; nothing of the file is changed, whatever its journal asks for.
///
/// What a crash left beside the file is part of it, and merged first.
pub(super) fn open(path: &Path) -> Result<FileSystem<FileDevice>, Report> {
    merge_left(path)?;
    let file = open_file(path)?;
    FileSystem::open(file, Access::ReadOnly, Timestamp::default()).map_err(|error| {
        Report::new(
            format!("cannot read the disk `{}`: {error}", path.display()),
            format!("`minke disk check {}` tells what is wrong", path.display()),
        )
    })
}

/// Makes a report of what went wrong at a path in a disk.
pub(super) fn failed(path: &str, error: &Error) -> Report {
    Report::new(
        format!("`{path}`: {error}"),
        "`minke disk ls` shows what there is",
    )
}

/// Whether a symbolic link at the end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastLink {
    Follow,
    Keep,
}

/// Finds what a path names, from the top directory on. POSIX: 4.16 Pathname Resolution.
pub(super) fn resolve<D: Device>(
    system: &FileSystem<D>,
    path: &str,
    last: LastLink,
) -> Result<InodeNumber, Report> {
    walk(system, path.as_bytes(), last).map_err(|error| failed(path, &error))
}

/// Finds the directory in which a path's last name is or may be made, and that name.
pub(super) fn resolve_parent<D: Device>(
    system: &FileSystem<D>,
    path: &str,
) -> Result<(InodeNumber, Vec<u8>), Report> {
    let trimmed = path.trim_end_matches('/');
    let (directory, name) = match trimmed.rsplit_once('/') {
        Some((directory, name)) => (directory, name),
        None => ("", trimmed),
    };
    if matches!(name, "" | "." | "..") {
        return Err(failed(path, &Error::InvalidArgument));
    }
    let found = resolve(system, directory, LastLink::Follow)?;
    Ok((found, name.as_bytes().to_vec()))
}

fn walk<D: Device>(
    system: &FileSystem<D>,
    path: &[u8],
    last: LastLink,
) -> Result<InodeNumber, Error> {
    let mut at = InodeNumber::ROOT;
    // The components that are left, the next one at the end.
    let mut rest = components(path);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == b".." {
            at = system.parent(at)?;
            continue;
        }
        let found = system.lookup(at, &name)?;
        let is_link = system.metadata(found)?.file_type == FileType::Symlink;
        if !is_link || rest.is_empty() && last == LastLink::Keep {
            at = found;
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(Error::InvalidArgument);
        }
        let target = system.read_link(found)?;
        if target.starts_with(b"/") {
            at = InodeNumber::ROOT;
        }
        rest.extend(components(&target));
    }
    Ok(at)
}

/// Returns a path's components, the first one at the end.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let names = path.split(|byte| *byte == b'/');
    let names = names.filter(|name| !name.is_empty() && *name != b".");
    names.rev().map(<[u8]>::to_vec).collect()
}
