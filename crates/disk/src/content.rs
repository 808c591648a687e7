//! What tells files of an image's disk from all others without reading them.
//!
//! A file that the layers above do not touch keeps its blocks, and those lie in the snapshot that wrote them, which never changes. So where they lie tells what they
//! hold, whatever else the disk has: a program is read and hashed once, and not once more on each disk that is made over the one with it.

use std::sync::Arc;

use minke_blockstore::Snapshot;
use minke_ext4::{ContentRun, FileSystem, InodeNumber};

use super::ReadOnly;

/// Separates this use of BLAKE3 from all others.
const CONTEXT: &str = "minke content of a snapshot 1";

/// Returns what two files of snapshots have in common only if they have the same bytes; `None` of what is no file, or cannot be read.
pub fn content_identity(
    system: &FileSystem<ReadOnly<Arc<Snapshot>>>,
    number: InodeNumber,
) -> Option<[u8; 32]> {
    let ReadOnly(snapshot) = system.device();
    let size_bytes = system.metadata(number).ok()?.size;
    let runs = system.content_runs(number).ok()?;
    let places = runs.iter().map(|run| run.place..run.place + run.length);
    let origin = snapshot.origin_of(places).ok()?;
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&origin.digest);
    hasher.update(&size_bytes.to_le_bytes());
    for ContentRun {
        offset,
        place,
        length,
    } in runs
    {
        for number in [offset, place, length] {
            hasher.update(&number.to_le_bytes());
        }
    }
    Some(hasher.finalize().into())
}
