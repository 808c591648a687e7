//! Disks of named volumes: made empty, and filled with what an image has in a directory.
//!
//! A disk that is filled is made anew beside the empty one and takes its place when it is whole: who is killed meanwhile leaves it empty.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::thread;

use minke_archive::Whiteouts;
use minke_blockstore::Limits;
use minke_ext4::make::{Identity, Journal, MakeError, MakeOptions, make};
use minke_ext4::{Access, Device, Error, FileSystem, InodeNumber, Timestamp};
use rustix::rand::{GetRandomFlags, getrandom};

use super::host_file::{NEW_FILE_MODE, failed};
use super::tree::{ExportError, Holes, ImportError, ImportOptions, export, import};
use super::{DiskFileError, FileDevice, HostFile, ReadOnly, Volume, changes_path, open_chain};

/// Bytes that wait between who reads an image and who writes a disk.
const BUFFER_BYTES: usize = 256 << 10;

/// The directory for files without names, which Linux makes anew when it needs it; programs expect an empty volume.
const LOST_AND_FOUND: &[u8] = b"lost+found";

/// Why a disk was not made or filled.
#[derive(Debug, thiserror::Error)]
pub enum NewDiskError {
    #[error(transparent)]
    File(#[from] DiskFileError),
    #[error("cannot make the disk")]
    Make(#[from] MakeError),
    #[error("cannot use the disk")]
    Disk(#[from] Error),
    #[error("cannot read what the image has")]
    Export(#[from] ExportError),
    #[error("cannot write what the image has")]
    Import(#[from] ImportError),
}

/// Makes an empty disk in a new file.
///
/// # Errors
/// Then there may be a file that is worth nothing.
pub fn make_disk(path: &Path, size_bytes: u64, now_seconds: i64) -> Result<(), NewDiskError> {
    let now = at(now_seconds);
    make_system(path, size_bytes, now)?.sync(now)?;
    Ok(())
}

/// Gives a disk without files what an image has in a directory: `image` are the snapshots that make the image's disk, `directory` is a path without
/// links. One that has files, or is in use, stays as it is; so does one for which the image has no such directory.
pub fn fill_disk(
    path: &Path,
    image: &[PathBuf],
    directory: &Path,
    now_seconds: i64,
) -> Result<(), NewDiskError> {
    match fill_unused(path, image, directory, at(now_seconds)) {
        Err(NewDiskError::File(DiskFileError::InUse { .. })) => Ok(()),
        filled => filled,
    }
}

fn fill_unused(
    path: &Path,
    image: &[PathBuf],
    directory: &Path,
    now: Timestamp,
) -> Result<(), NewDiskError> {
    let changes = changes_path(path);
    if changes.exists() {
        Volume::open(path, &changes, Limits::default())?.merge()?;
    }
    // Held until another file has its place.
    let file = Arc::new(HostFile::open(path, super::Access::Write)?);
    let device = ReadOnly(Arc::clone(&file));
    let size_bytes = device.size();
    let is_empty = is_empty(&FileSystem::open(device, Access::ReadOnly, now)?)?;
    let image = open_chain(image, &Limits::default())?;
    let image = FileSystem::open(ReadOnly(image), Access::ReadOnly, now)?;
    let top = find(&image, directory)?;
    let Some(top) = top.filter(|_| is_empty) else {
        return Ok(());
    };
    let filling = path.with_extension("filling");
    remove(&filling)?;
    let filled = copy_tree(&image, top, &filling, size_bytes, now);
    if filled.is_err() {
        drop(fs::remove_file(&filling));
    }
    filled?;
    let renamed = fs::rename(&filling, path);
    Ok(renamed.map_err(failed("replace", path))?)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp {
        seconds,
        nanoseconds: 0,
    }
}

fn is_empty<D: Device>(system: &FileSystem<D>) -> Result<bool, Error> {
    let mut is_empty = true;
    system.read_directory(InodeNumber::ROOT, 0, &mut |entry| {
        is_empty &= [&b"."[..], b"..", LOST_AND_FOUND].contains(&&entry.name[..]);
        is_empty
    })?;
    Ok(is_empty)
}

/// Finds a directory.
fn find<D: Device>(system: &FileSystem<D>, path: &Path) -> Result<Option<InodeNumber>, Error> {
    let mut found = InodeNumber::ROOT;
    for component in path.components() {
        let Component::Normal(name) = component else {
            continue;
        };
        found = match system.lookup(found, name.as_encoded_bytes()) {
            Err(Error::NotFound | Error::NotDirectory) => return Ok(None),
            found => found?,
        };
    }
    Ok(Some(found))
}

/// Makes a disk of a directory of another one, as a tar that goes from one to the other.
fn copy_tree<D: Device + Sync>(
    image: &FileSystem<D>,
    top: InodeNumber,
    path: &Path,
    size_bytes: u64,
    now: Timestamp,
) -> Result<(), NewDiskError> {
    let system = make_system(path, size_bytes, now)?;
    let (reader, writer) = io::pipe().map_err(failed("fill", path))?;
    thread::scope(|scope| {
        let exporting = scope.spawn(move || {
            let writer = BufWriter::with_capacity(BUFFER_BYTES, writer);
            export(image, top, Holes::Keep, writer)?.flush()?;
            Ok::<(), ExportError>(())
        });
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, reader);
        let options = ImportOptions {
            directory: InodeNumber::ROOT,
            whiteouts: Whiteouts::Keep,
            time: now,
        };
        let imported = import(&system, reader.by_ref(), &options).map(drop);
        // Whoever writes is not cut off: that would be its failure.
        let _ = io::copy(&mut reader, &mut io::sink());
        exporting.join().expect("exporting does not panic")?;
        imported.map_err(NewDiskError::from)
    })?;
    Ok(system.sync(now)?)
}

/// Makes a new file with an empty file system.
fn make_system(
    path: &Path,
    size_bytes: u64,
    now: Timestamp,
) -> Result<FileSystem<FileDevice>, NewDiskError> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    let file = options.mode(NEW_FILE_MODE).open(path);
    let device = file
        .and_then(|file| file.set_len(size_bytes).map(|()| file))
        .and_then(FileDevice::new);
    let device = device.map_err(failed("make", path))?;
    let mut seed = [0; 32];
    getrandom(&mut seed, GetRandomFlags::empty())
        .map_err(io::Error::from)
        .map_err(failed("name", path))?;
    make(
        &device,
        &MakeOptions {
            identity: Identity::from_seed(seed),
            time_seconds: now.seconds,
            block_size_bytes: Some(4096),
            label: String::new(),
            journal: Journal::Usual,
        },
    )?;
    let system = FileSystem::open(device, Access::ReadWrite, now)?;
    system.remove_directory(InodeNumber::ROOT, LOST_AND_FOUND, now)?;
    Ok(system)
}

fn remove(path: &Path) -> Result<(), DiskFileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(failed("remove", path)),
    }
}
