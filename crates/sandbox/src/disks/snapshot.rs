//! Snapshots of the root of a container that runs.
//!
//! What waits in memory is written back, and the commit that ends this is the snapshot: the change file is frozen and the disk goes on in
//! another, while guests run on. The list of snapshots lies in the container's directory, which the jail leaves to the sandbox.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use minke_disk::{Durability, History, HistoryError, WritableDisk};
use minke_kernel::vfs::ext4::Ext4FileSystem;

use super::settle::with_causes;
use crate::logs;

/// The root's disk, for as long as it is mounted.
pub(crate) struct RootDisk {
    mounted: Weak<Ext4FileSystem>,
    disk: Weak<WritableDisk>,
    changes: PathBuf,
    durability: Durability,
}

impl RootDisk {
    pub(super) fn new(
        mounted: &Arc<Ext4FileSystem>,
        disk: &Arc<WritableDisk>,
        changes: PathBuf,
        durability: Durability,
    ) -> RootDisk {
        RootDisk {
            mounted: Arc::downgrade(mounted),
            disk: Arc::downgrade(disk),
            changes,
            durability,
        }
    }

    /// Takes a snapshot; what goes wrong is a message for whoever asked.
    pub(crate) fn snapshot(&self, name: &str) -> Result<(), String> {
        let (Some(mounted), Some(disk)) = (self.mounted.upgrade(), self.disk.upgrade()) else {
            return Err("the container has ended".to_owned());
        };
        let take = || -> Result<(), HistoryError> {
            let mut edit = History::edit(&self.changes, self.durability)?;
            edit.create(name, &logs::now(), |next| {
                disk.snapshot(next, || {
                    if let Err(errno) = mounted.commit() {
                        tracing::warn!(%errno, "the root cannot be written back for a snapshot");
                    }
                })
            })
        };
        take().map_err(|error| with_causes(&error))
    }
}
