//! Merging: a change file's blocks are written into its base, which then needs no change file.
//!
//! The change file is marked before the first block is written and stays as it is until all of them are durable. So a merge that was
//! cut short is done again from the beginning, and nothing else may be done with the two files meanwhile.

use std::sync::{Arc, RwLock};

use crate::error::cannot;
use crate::layout::{BlockNumber, Identity, Slot, State};
use crate::map::{Map, Place};
use crate::recovery::{FoundSuperblock, read_exact, read_superblock};
use crate::snapshot::check_range;
use crate::view::{Era, View};
use crate::writer::Writer;
use crate::{BLOCK_BYTES, DiskError, Limits, Snapshot, Storage};

/// Bytes that are copied at once.
const COPY_BYTES_MAX: u64 = 1 << 20;

/// Writes what `file` has changed, as of its last commit, into its base, or goes on with a merge that was cut short.
///
/// `identity` is the base's as of now; it is compared if the merge has not begun, since after that the base is neither the old nor the
/// new one. A base that is smaller than the disk grows to its size. When it returns, the base is durable and the file is
/// [`State::Merged`]: delete it. A file that is merged already is left alone; one that lies on a snapshot is [`DiskError::WrongBase`].
/// After a failure, merge again: until then the base is not whole.
pub fn merge(
    file: Arc<dyn Storage>,
    base: &dyn Storage,
    identity: Identity,
    limits: &Limits,
) -> Result<(), DiskError> {
    let found = read_superblock(&*file)?;
    match found.superblock.file.state {
        State::Merged => return Ok(()),
        State::Frozen => {
            return Err(DiskError::ReadOnly {
                state: State::Frozen,
            });
        }
        State::Active => check_base(found.superblock.file.below, identity)?,
        State::Merging => check_size(&found, base)?,
    }
    let mut merge = Merge::open(file, found, limits)?;
    merge.begin()?;
    merge.copy_to(base)?;
    merge.end()
}

fn check_base(expected: Identity, found: Identity) -> Result<(), DiskError> {
    match expected == found {
        true => Ok(()),
        false => Err(DiskError::WrongBase { expected, found }),
    }
}

/// Refuses a base that the half-done merge cannot have left.
fn check_size(found: &FoundSuperblock, base: &dyn Storage) -> Result<(), DiskError> {
    let file = &found.superblock.file;
    let size_bytes = base_length(base)?;
    // Its growing may have been lost in part.
    match (file.below.size_bytes..=file.size_bytes).contains(&size_bytes) {
        true => Ok(()),
        false => Err(DiskError::WrongBase {
            expected: file.below,
            found: Identity {
                size_bytes,
                ..file.below
            },
        }),
    }
}

fn base_length(base: &dyn Storage) -> Result<u64, DiskError> {
    base.length()
        .map_err(cannot("read the size of the disk's base"))
}

struct Merge {
    writer: Writer,
    view: RwLock<View>,
    size_bytes: u64,
}

impl Merge {
    fn open(
        file: Arc<dyn Storage>,
        found: FoundSuperblock,
        limits: &Limits,
    ) -> Result<Merge, DiskError> {
        let size_bytes = found.superblock.file.size_bytes;
        let (writer, map) = Writer::open(file.clone(), found, limits)?;
        let era = Era {
            top: file,
            below: Arc::new(Snapshot::nothing()),
        };
        Ok(Merge {
            writer,
            view: RwLock::new(View::new(map, 0, Arc::new(era))),
            size_bytes,
        })
    }

    /// Marks the file, before anything of the base is changed.
    fn begin(&mut self) -> Result<(), DiskError> {
        match self.writer.superblock.file.state {
            // The log is empty from now on: what is merged is what the map says.
            State::Active => self.writer.checkpoint(&self.view, State::Merging),
            _ => Ok(()),
        }
    }

    fn copy_to(&self, base: &dyn Storage) -> Result<(), DiskError> {
        let failed = || cannot("write the disk's base");
        if base_length(base)? < self.size_bytes {
            base.truncate(self.size_bytes).map_err(failed())?;
        }
        let map = &crate::disk::read(&self.view).map;
        let mut buffer = Vec::new();
        let mut at = 0;
        while let Some((first, count, place)) = next_change(map, at) {
            let copy = Copy {
                base,
                offset: u64::from(first.0) * BLOCK_BYTES as u64,
                length: count * BLOCK_BYTES as u64,
                size_bytes: self.size_bytes,
            };
            match place {
                Place::Slot(slot) => copy.blocks(&*self.writer.storage, slot, &mut buffer)?,
                _ => copy.zeros()?,
            }
            at = u64::from(first.0) + count;
        }
        base.sync().map_err(failed())
    }

    /// Marks the file when the base is durable.
    fn end(&mut self) -> Result<(), DiskError> {
        let superblock = self.writer.superblock.clone();
        self.writer.switch_to(superblock, State::Merged)
    }
}

/// Returns the first run from block `at` on that the file has changed.
fn next_change(map: &Map, at: u64) -> Option<(BlockNumber, u64, Place)> {
    let mut run = map.next_run(at)?;
    while run.2 == Place::Below {
        run = map.next_run(u64::from(run.0.0) + run.1)?;
    }
    Some(run)
}

/// One run of blocks that goes to the base.
struct Copy<'a> {
    base: &'a dyn Storage,
    offset: u64,
    length: u64,
    /// Of the disk, whose last block may go beyond it.
    size_bytes: u64,
}

impl Copy<'_> {
    /// Calls `each` with the offset from the run's beginning and the length of each part.
    fn for_each_part(
        &self,
        mut each: impl FnMut(u64, usize) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        let length = self.length.min(self.size_bytes - self.offset);
        let mut done = 0;
        while done < length {
            let part = (length - done).min(COPY_BYTES_MAX);
            each(done, part as usize)?;
            done += part;
        }
        Ok(())
    }

    fn blocks(
        &self,
        file: &dyn Storage,
        first: Slot,
        buffer: &mut Vec<u8>,
    ) -> Result<(), DiskError> {
        self.for_each_part(|done, length| {
            buffer.resize(length, 0);
            read_exact(file, first.offset() + done, buffer, "a block")?;
            self.write(done, buffer)
        })
    }

    /// Gives the room back, or writes zeros where the host cannot.
    fn zeros(&self) -> Result<(), DiskError> {
        let length = self.length.min(self.size_bytes - self.offset);
        if self.base.punch(self.offset, length).is_ok() {
            return Ok(());
        }
        let zeros = vec![0; COPY_BYTES_MAX as usize];
        self.for_each_part(|done, length| self.write(done, &zeros[..length]))
    }

    fn write(&self, done: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let offset = self.offset + done;
        check_range(offset, bytes.len() as u64, self.size_bytes)?;
        self.base
            .write_at(offset, bytes)
            .map_err(cannot("write the disk's base"))
    }
}
