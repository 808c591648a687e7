//! What tells a user's image file from what it was.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use minke_blockstore::{Identity, Storage};

use super::host_file::failed;
use super::{DiskFileError, HostFile};

/// How much of a file is read. It holds the superblock and the first descriptors, which every mount that writes changes.
const HEAD_BYTES: u64 = 1 << 20;

/// Separates this use of BLAKE3 from all others.
const CONTEXT: &str = "minke image file 1";

/// Where the superblock has its magic number. Spec: ext4 disk layout, "Super Block".
const MAGIC_OFFSET: u64 = 0x400 + 0x38;

/// `EXT4_SUPER_MAGIC`, of ext2 and ext3 too.
const MAGIC: [u8; 2] = 0xef53_u16.to_le_bytes();

/// Whether a path leads to a regular file that begins as an ext2, ext3 or ext4 file system does.
pub fn is_disk(path: &Path) -> bool {
    // Asked before it is opened: opening a fifo waits, and opening some devices does something.
    let is_file = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let mut magic = [0; MAGIC.len()];
    is_file
        && File::open(path).is_ok_and(|file| {
            file.read_exact_at(&mut magic, MAGIC_OFFSET).is_ok() && magic == MAGIC
        })
}

/// Returns what an image file is known by while its changes lie beside it: its size, the time at which it was last written, and
/// how it begins. It costs the same for a file of any size, and a copy that keeps the time (`cp -p`) is known again.
pub fn image_identity(file: &HostFile) -> Result<Identity, DiskFileError> {
    digest(file).map_err(failed("read", file.path()))
}

fn digest(file: &HostFile) -> io::Result<Identity> {
    let metadata = file.file().metadata()?;
    let size_bytes = metadata.len();
    let mut head = vec![0; HEAD_BYTES.min(size_bytes) as usize];
    file.read_at(0, &mut head)?;
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&size_bytes.to_le_bytes());
    hasher.update(&metadata.mtime().to_le_bytes());
    hasher.update(&metadata.mtime_nsec().to_le_bytes());
    hasher.update(&head);
    Ok(Identity {
        size_bytes,
        digest: hasher.finalize().into(),
    })
}
