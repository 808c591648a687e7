//! What tells the content of a file from any other.

use std::io;

use minke_blockstore::{Identity, Storage};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::host_file::failed;
use super::{DiskFileError, HostFile};

/// Bytes of a piece, each of which has a digest.
const PIECE_BYTES: u64 = 1 << 20;

/// Reads a file and returns its size and the digest of its content: the BLAKE3 of the BLAKE3s of its pieces of 1 MiB.
///
/// Equal contents have equal identities, whatever is holes in them and what zeros; holes are not read.
pub fn content_identity(file: &HostFile) -> Result<Identity, DiskFileError> {
    digest(file).map_err(failed("read", file.path()))
}

fn digest(file: &HostFile) -> io::Result<Identity> {
    let size_bytes = file.length()?;
    let mut piece = vec![0; PIECE_BYTES as usize];
    let of_zeros = blake3::hash(&piece);
    let mut hasher = blake3::Hasher::new();
    let mut data_start = 0;
    let mut at = 0;
    while at < size_bytes {
        let length = PIECE_BYTES.min(size_bytes - at);
        if data_start < at {
            data_start = next_data(file, at)?.unwrap_or(u64::MAX);
        }
        let is_hole = data_start >= at + length;
        let digest = if is_hole && length == PIECE_BYTES {
            of_zeros
        } else {
            let piece = &mut piece[..length as usize];
            file.read_at(at, piece)?;
            blake3::hash(piece)
        };
        hasher.update(digest.as_bytes());
        at += length;
    }
    Ok(Identity {
        size_bytes,
        digest: hasher.finalize().into(),
    })
}

/// Returns where data begins from `offset` on, `offset` itself where the host does not know; `None` if all the rest is a hole.
fn next_data(file: &HostFile, offset: u64) -> io::Result<Option<u64>> {
    match seek(file.file(), SeekFrom::Data(offset)) {
        Ok(start) => Ok(Some(start)),
        Err(Errno::NXIO) => Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some(offset)),
        Err(other) => Err(other.into()),
    }
}
