//! Checkpoints: the map goes to the file, and the log begins anew.
//!
//! Three syncs: for the pages, for the first copy of the superblock and for the second. Only when both copies name the new map are
//! the slots free that the old one needs, so that a copy that is lost at any time leaves one that holds.

use std::collections::BTreeMap;
use std::sync::RwLock;

use crate::disk::{read, write};
use crate::error::cannot;
use crate::layout::{
    DIRECTORY_ENTRIES_MAX, DirectoryEntry, DirectoryPage, PageRef, Region, SUPERBLOCK_BYTES, Slot,
    State, Superblock, encode_leaf,
};
use crate::limits::BATCH_BLOCKS_MAX;
use crate::view::{Era, View};
use crate::writer::{Batch, Tail, Writer};
use crate::{DiskError, Storage};

/// Pages that are not named by a superblock yet.
struct Draft {
    taken: Vec<Slot>,
    stored: BTreeMap<u32, PageRef>,
    directory: Vec<Slot>,
    first: Option<PageRef>,
}

impl Writer {
    /// Writes the map as of the last commit, of which all segments are written, and begins an empty log.
    ///
    /// After a failure the log goes on as it was, unless a superblock may have been written.
    pub(crate) fn checkpoint(
        &mut self,
        view: &RwLock<View>,
        state: State,
    ) -> Result<(), DiskError> {
        self.check()?;
        debug_assert!(!self.has_unfinished, "a commit has ended");
        self.release_quarantined();
        self.changed.append(&mut write(view).map.take_changed());
        let mut draft = Draft {
            taken: Vec::new(),
            stored: BTreeMap::new(),
            directory: Vec::new(),
            first: None,
        };
        if let Err(error) = self.write_pages(view, &mut draft) {
            self.give_back(&draft.taken);
            return Err(error);
        }
        let mut superblock = self.superblock.clone();
        superblock.sequence = self.tail.sequence;
        superblock.log = self.tail.slot;
        superblock.directory = draft.first;
        self.switch_to(superblock, state)?;
        self.begin_log(view, draft);
        Ok(())
    }

    /// Writes both copies of the superblock, with the next number; the log is empty.
    pub(crate) fn switch_to(
        &mut self,
        mut superblock: Superblock,
        state: State,
    ) -> Result<(), DiskError> {
        superblock.number += 1;
        superblock.file.state = state;
        let result = write_copies(&*self.storage, &superblock);
        // A copy may be there or not: what is appended could follow on a log that is not read.
        self.is_failed |= result.is_err();
        result?;
        self.tail = Tail {
            chain: superblock.chain(),
            ..self.tail
        };
        self.superblock = superblock;
        Ok(())
    }

    /// Writes the leaves that have changed, and all of the directory, to fresh slots.
    fn write_pages(&mut self, view: &RwLock<View>, draft: &mut Draft) -> Result<(), DiskError> {
        let mut regions = Vec::new();
        read(view).map.for_each_region(|leaf, count, codes| {
            regions.push((leaf, count, codes.is_some()));
        });
        let mut entries: Vec<DirectoryEntry> = Vec::new();
        let mut batch = Batch::default();
        for (index, (leaf, count, has_codes)) in regions.into_iter().enumerate() {
            if has_codes {
                let page = self.store_leaf(view, leaf, draft, &mut batch)?;
                draft.stored.insert(leaf, page);
                let region = Region::Page(page);
                entries.push(DirectoryEntry { leaf, region });
            } else {
                add_zeros(&mut entries, leaf, count);
            }
            if index % BATCH_BLOCKS_MAX == BATCH_BLOCKS_MAX - 1 {
                batch.write(&*self.storage)?;
            }
        }
        self.store_directory(&entries, draft, &mut batch)?;
        batch.write(&*self.storage)?;
        self.sync()
    }

    /// Returns where the leaf is, which is where it was if it has not changed.
    fn store_leaf(
        &mut self,
        view: &RwLock<View>,
        leaf: u32,
        draft: &mut Draft,
        batch: &mut Batch,
    ) -> Result<PageRef, DiskError> {
        if let Some(page) = self.stored.get(&leaf)
            && !self.changed.contains(&leaf)
        {
            return Ok(*page);
        }
        let bytes = read(view).map.leaf(leaf).map(encode_leaf);
        let bytes = bytes.expect("only commits change the map, and none is under way");
        let slot = self.take(&mut draft.taken)?;
        batch.put(slot, &bytes);
        let digest = self.key.page_digest(&bytes);
        Ok(PageRef { slot, digest })
    }

    /// Puts the directory's pages, each of which names the next, in sequence.
    fn store_directory(
        &mut self,
        entries: &[DirectoryEntry],
        draft: &mut Draft,
        batch: &mut Batch,
    ) -> Result<(), DiskError> {
        let parts = entries.chunks(DIRECTORY_ENTRIES_MAX);
        for _ in parts.clone() {
            let slot = self.take(&mut draft.taken)?;
            draft.directory.push(slot);
        }
        let mut pages = Vec::new();
        for (part, slot) in parts.zip(&draft.directory).rev() {
            let page = DirectoryPage {
                next: draft.first,
                entries: part.to_vec(),
            };
            let bytes = page.encode();
            draft.first = Some(PageRef {
                slot: *slot,
                digest: self.key.page_digest(&bytes),
            });
            pages.push((*slot, bytes));
        }
        for (slot, bytes) in pages.iter().rev() {
            batch.put(*slot, bytes);
        }
        Ok(())
    }

    /// Takes over what was written. What only the old map and log needed is free when its readers are gone.
    fn begin_log(&mut self, view: &RwLock<View>, draft: Draft) {
        let mut freed = std::mem::take(&mut self.unreleased);
        freed.append(&mut self.log);
        freed.append(&mut self.directory);
        let gone = self.stored.iter();
        let gone = gone.filter(|(leaf, page)| draft.stored.get(leaf) != Some(page));
        freed.extend(gone.map(|(_, page)| page.slot));
        self.stored = draft.stored;
        self.directory = draft.directory;
        self.changed.clear();
        let mut view = write(view);
        let next = Era {
            top: view.era.top.clone(),
            below: view.era.below.clone(),
        };
        let era = std::mem::replace(&mut view.era, next.into());
        self.quarantine.push_back((era, freed));
        drop(view);
        self.release_quarantined();
    }
}

/// Writes both copies, each durable before the next is begun.
pub(crate) fn write_copies(
    storage: &dyn Storage,
    superblock: &Superblock,
) -> Result<(), DiskError> {
    let bytes: [u8; SUPERBLOCK_BYTES] = superblock.encode();
    for copy in [Slot(0), Slot(1)] {
        storage
            .write_at(copy.offset(), &bytes)
            .and_then(|()| storage.sync())
            .map_err(cannot("write the change file's superblock"))?;
    }
    Ok(())
}

/// Adds leaves of zeros, to those before them if they touch.
fn add_zeros(entries: &mut Vec<DirectoryEntry>, leaf: u32, count: u32) {
    if let Some(last) = entries.last_mut()
        && let Region::Zeros(before) = &mut last.region
        && last.leaf + *before == leaf
    {
        *before += count;
        return;
    }
    let region = Region::Zeros(count);
    entries.push(DirectoryEntry { leaf, region });
}
