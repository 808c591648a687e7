//! What a build's step made of its root, as the tar of a layer.

use std::collections::BTreeMap;
use std::io::{self, Write};

use minke_kernel::vfs::Timestamp;
use minke_kernel::vfs::changes::Change;

use crate::files::FilesError;
use crate::files::changes::Root;

/// The changes that were made for mounts before the program ran, by path, with their times.
///
/// Here they are known exactly; the changes of a container that may have run several times are told from those of the runtime by
/// [`RuntimePaths`](crate::files::changes::RuntimePaths).
pub(super) struct Seen(BTreeMap<Vec<u8>, Timestamp>);

impl Seen {
    pub(super) fn of(root: &Root) -> io::Result<Seen> {
        let mut seen = BTreeMap::new();
        if root.lower.is_untouched() {
            return Ok(Seen(seen));
        }
        let visited = root.visit(&mut |change| {
            if let Change::Present { path, metadata, .. } = change {
                seen.insert(path.to_vec(), metadata.changed);
            }
            Ok(())
        });
        visited.map_err(failed)?;
        Ok(Seen(seen))
    }
}

/// Writes everything that changed since `seen` as a layer.
pub(super) fn write_changes(root: &Root, seen: &Seen, sink: &mut dyn Write) -> io::Result<()> {
    let written = root.write_layer(
        &|path, inode, _| match seen.0.get(path) {
            Some(changed) => Ok(inode.metadata()?.changed == *changed),
            None => Ok(false),
        },
        sink,
    );
    written.map_err(failed)
}

fn failed(error: FilesError) -> io::Error {
    match error {
        FilesError::Io(error) => error,
        error => io::Error::other(error),
    }
}
