//! The disks that programs of a build run on.
//!
//! Each program runs on what the one before made. A layer that the build found is one that the next build finds too, so its snapshot is kept in the store (`snapshots`). Whether a
//! program will ever run again on one that the build made itself, nobody knows: such a snapshot ends with the build's lease, and costs no sync, no sum and no random number
//! that must be remembered.
//!
//! Those that are kept get a second name in the lease's directory, so that a prune in another process takes none of them away from a program that is about to start.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::root::LayerFile;
use crate::snapshots::{random_uuid, write_snapshot};
use crate::store::at;
use crate::{Digest, Lease, StoreError};

/// The snapshots that a lease has, by their file names in a store, and the layers that it made.
#[derive(Debug, Default)]
pub(crate) struct StepSnapshots {
    /// Locked while one is made: whoever needs the same waits for it.
    known: Mutex<HashMap<PathBuf, Slot>>,
    made_layers: Mutex<Vec<Digest>>,
}

type Slot = Arc<Mutex<Option<StepSnapshot>>>;

/// One snapshot in the directory of a lease.
#[derive(Clone, Debug)]
struct StepSnapshot {
    path: PathBuf,
    /// It is one of the store's.
    is_kept: bool,
}

impl StepSnapshots {
    /// Notes a layer that was made under the lease.
    pub(crate) fn note_made(&self, diff_id: Digest) {
        self.made_layers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(diff_id);
    }

    fn is_made(&self, layer: &LayerFile) -> bool {
        let made = self.made_layers.lock();
        let made = made.unwrap_or_else(PoisonError::into_inner);
        made.contains(&layer.diff_id)
    }

    fn slot(&self, kept: &Path) -> Slot {
        let known = self.known.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(kept.to_owned()).or_default())
    }
}

impl Lease<'_> {
    /// Returns the snapshots that make these layers' disk, lowest first, for a program of a build. They vanish with the lease, which holds the layers.
    pub fn step_snapshots(&self, layers: &[LayerFile]) -> Result<Vec<PathBuf>, StoreError> {
        let mut chain = Vec::new();
        let mut is_kept = true;
        for (count, kept) in self.store.snapshot_files(layers).iter().enumerate() {
            let slot = self.step_snapshots.slot(kept);
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            let known = slot.clone();
            let found = known.map_or_else(
                // Over one that ends with the lease none is kept: what it lies on would be lost.
                || match is_kept && self.is_to_be_kept(&layers[..count], kept) {
                    true => self.link(&layers[..count], kept),
                    false => self.write_own(layers[..count].last(), &chain),
                },
                Ok,
            )?;
            is_kept = found.is_kept;
            chain.push(found.path.clone());
            *slot = Some(found);
        }
        Ok(chain)
    }

    fn is_to_be_kept(&self, layers: &[LayerFile], kept: &Path) -> bool {
        let is_made = layers
            .last()
            .is_some_and(|layer| self.step_snapshots.is_made(layer));
        !is_made || kept.exists()
    }

    /// Gives the topmost of the store's snapshots of these layers a name of the lease.
    fn link(&self, layers: &[LayerFile], kept: &Path) -> Result<StepSnapshot, StoreError> {
        let path = self.new_path();
        let link = || fs::hard_link(kept, &path);
        match link() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let files = self.store.snapshot_files(layers);
                let link = || link().map_err(at("make a link to", kept));
                self.store.make_snapshots(layers, &files, link)?;
            }
            linked => linked.map_err(at("make a link to", kept))?,
        }
        Ok(StepSnapshot {
            path,
            is_kept: true,
        })
    }

    fn write_own(
        &self,
        layer: Option<&LayerFile>,
        below: &[PathBuf],
    ) -> Result<StepSnapshot, StoreError> {
        let path = self.new_path();
        write_snapshot(&path, layer, below, random_uuid())?;
        Ok(StepSnapshot {
            path,
            is_kept: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::Store;
    use crate::snapshots::tests::layer;

    #[test]
    fn snapshots_over_a_layer_that_was_made_go_with_the_lease() {
        let home = tempfile::tempdir().expect("a directory");
        let store = Store::open(home.path()).expect("a store");
        let layers = [layer(&store, 1), layer(&store, 2), layer(&store, 3)];
        let lease = store.lease().expect("a lease");
        lease.step_snapshots.note_made(layers[1].diff_id);
        let chain = lease.step_snapshots(&layers).expect("made");
        assert_eq!(chain.len(), 4);
        assert_eq!(
            lease.step_snapshots(&layers[..2]).expect("made"),
            chain[..3]
        );
        minke_disk::open_chain(&chain, &minke_disk::Limits::default()).expect("whole");
        drop(lease);
        let kept = store.snapshot_files(&layers);
        let are_there: Vec<bool> = kept.iter().map(|file| file.exists()).collect();
        assert_eq!(are_there, [true, true, false, false]);
        assert!(!chain.iter().any(|file| file.exists()));
    }

    #[test]
    fn a_prune_takes_no_snapshot_away_from_a_build() {
        let home = tempfile::tempdir().expect("a directory");
        let store = Store::open(home.path()).expect("a store");
        let layers = [layer(&store, 1)];
        let lease = store.lease().expect("a lease");
        let chain = lease.step_snapshots(&layers).expect("made");
        store.prune_snapshots(&HashSet::new()).expect("pruned");
        assert!(!store.snapshot_files(&layers)[1].exists());
        minke_disk::open_chain(&chain, &minke_disk::Limits::default()).expect("there");
    }
}
