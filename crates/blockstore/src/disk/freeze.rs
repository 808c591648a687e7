//! Snapshots of a disk that goes on.

use std::sync::{Arc, OnceLock};

use super::{Disk, Generation, blocks_count, lock, write};
use crate::error::cannot;
use crate::layout::{ChangeFile, Identity, State};
use crate::map::Map;
use crate::view::{Era, View};
use crate::writer::Writer;
use crate::{DiskError, Storage};

impl Disk {
    /// Commits, freezes the change file, and goes on in another, which must be empty; the disk is the same meanwhile.
    ///
    /// `uuid` must be random. Returns the identity of the snapshot, which is now what the disk lies on. After a failure before the file is
    /// frozen the disk goes on in it, and the new file is of no use.
    pub fn snapshot(
        &self,
        storage: Arc<dyn Storage>,
        uuid: [u8; 16],
    ) -> Result<Identity, DiskError> {
        let _staging = lock(&self.staging);
        let mut writer = lock(&self.writer);
        self.commit_with(&mut writer)?;
        self.checkpoint_with(&mut writer)?;
        let identity = writer.superblock.identity();
        let next = Writer::create(
            storage,
            ChangeFile {
                uuid,
                size_bytes: self.size_bytes,
                below: identity,
                state: State::Active,
            },
        )?;
        next.storage
            .sync()
            .map_err(cannot("make the new change file durable"))?;
        let frozen = writer.superblock.clone();
        writer.switch_to(frozen, State::Frozen)?;
        self.go_on_in(&mut writer, next)?;
        Ok(identity)
    }

    /// Commits and freezes the change file, which is a snapshot from now on.
    pub fn freeze(self) -> Result<Identity, DiskError> {
        let mut writer = lock(&self.writer);
        self.commit_with(&mut writer)?;
        self.checkpoint_with(&mut writer)?;
        let frozen = writer.superblock.clone();
        writer.switch_to(frozen, State::Frozen)?;
        Ok(writer.superblock.identity())
    }

    fn go_on_in(&self, writer: &mut Writer, next: Writer) -> Result<(), DiskError> {
        let generation = self.generation();
        let below = generation
            .below
            .with(writer.storage.clone(), &self.limits)
            // The file that was written cannot be written any more, and is not below yet.
            .inspect_err(|_| writer.is_failed = true)?;
        let below = Arc::new(below);
        let mut view = write(&self.view);
        let era = Era {
            top: next.storage.clone(),
            below: below.clone(),
        };
        let count = blocks_count(self.size_bytes);
        *view = View::new(Map::new(count), count, Arc::new(era));
        *writer = next;
        let next = Generation {
            below,
            next: OnceLock::new(),
        };
        // Only the holder of `writer` takes a snapshot.
        let _ = generation.next.set(Box::new(next));
        Ok(())
    }
}
