//! Making and opening change files.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::{Disk, blocks_count};
use crate::allocator::Allocator;
use crate::checkpoint::write_copies;
use crate::error::cannot;
use crate::layout::{ChangeFile, Key, Slot, State, Superblock};
use crate::map::Map;
use crate::recovery::{FoundSuperblock, Reader, Recovered, read_superblock, recover};
use crate::snapshot::check_size;
use crate::writer::{Batch, Tail, Writer};
use crate::{BLOCK_BYTES, DiskError, Limits, Snapshot, Storage};

impl ChangeFile {
    /// Reads what a change file says of itself, so that what it lies on can be found.
    pub fn inspect(storage: &dyn Storage) -> Result<ChangeFile, DiskError> {
        Ok(read_superblock(storage)?.superblock.file)
    }
}

impl Disk {
    /// Makes a disk of `size_bytes` over another one, which may be smaller, in an empty file.
    ///
    /// `uuid` must be random: no guest may know it. The file is durable with the first commit.
    pub fn create(
        storage: Arc<dyn Storage>,
        below: Arc<Snapshot>,
        uuid: [u8; 16],
        size_bytes: u64,
        limits: Limits,
    ) -> Result<Disk, DiskError> {
        check_size(size_bytes)?;
        if size_bytes < below.size() {
            return Err(DiskError::Unsupported {
                feature: "a disk that is smaller than what it lies on",
            });
        }
        let writer = Writer::create(
            storage,
            ChangeFile {
                uuid,
                size_bytes,
                below: below.identity(),
                state: State::Active,
            },
        )?;
        let map = Map::new(blocks_count(size_bytes));
        Ok(Disk::new(writer, map, below, limits))
    }

    /// Opens a disk as of its last commit, to be read and written.
    ///
    /// `below` must be what the disk was made over, else it is [`DiskError::WrongBase`]. A snapshot, and a file that is being merged, is
    /// [`DiskError::ReadOnly`]. The caller sees to it that nobody else has the file open.
    pub fn open(
        storage: Arc<dyn Storage>,
        below: Arc<Snapshot>,
        limits: Limits,
    ) -> Result<Disk, DiskError> {
        let found = read_superblock(&*storage)?;
        let file = found.superblock.file;
        if file.state != State::Active {
            return Err(DiskError::ReadOnly { state: file.state });
        }
        if file.below != below.identity() {
            return Err(DiskError::WrongBase {
                expected: file.below,
                found: below.identity(),
            });
        }
        let (writer, map) = Writer::open(storage, found, &limits)?;
        Ok(Disk::new(writer, map, below, limits))
    }
}

impl Writer {
    /// Begins a change file that says nothing.
    pub(super) fn create(storage: Arc<dyn Storage>, file: ChangeFile) -> Result<Writer, DiskError> {
        let length = storage.length();
        if length.map_err(cannot("read the size of the change file"))? != 0 {
            return Err(DiskError::Unsupported {
                feature: "a new change file must be empty, and this is not",
            });
        }
        let superblock = Superblock {
            file,
            number: 1,
            sequence: 1,
            log: Slot::FIRST,
            directory: None,
        };
        let bytes = superblock.encode();
        for copy in [Slot(0), Slot(1)] {
            storage
                .write_at(copy.offset(), &bytes)
                .map_err(cannot("write the change file's superblock"))?;
        }
        let tail = Tail {
            slot: superblock.log,
            sequence: superblock.sequence,
            chain: superblock.chain(),
        };
        let recovered = Recovered {
            map: Map::new(0),
            stored: BTreeMap::new(),
            directory: Vec::new(),
            log: Vec::new(),
            unreleased: Vec::new(),
            tail,
            used: vec![tail.slot],
        };
        Ok(Writer::new(storage, superblock, recovered).0)
    }

    /// Reads a change file, and makes good what a crash left undone.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        found: FoundSuperblock,
        limits: &Limits,
    ) -> Result<(Writer, Map), DiskError> {
        let FoundSuperblock {
            superblock,
            needs_repair,
        } = found;
        let key = Key::new(&superblock.file.uuid);
        let reader = Reader {
            storage: &*storage,
            key: &key,
            blocks_count: blocks_count(superblock.file.size_bytes),
        };
        let recovered = recover(&reader, &superblock, limits)?;
        if needs_repair {
            write_copies(&*storage, &superblock)?;
        }
        settle(&*storage, &recovered)?;
        Ok(Writer::new(storage, superblock, recovered))
    }

    fn new(
        storage: Arc<dyn Storage>,
        superblock: Superblock,
        recovered: Recovered,
    ) -> (Writer, Map) {
        let mut map = recovered.map;
        let writer = Writer {
            key: Key::new(&superblock.file.uuid),
            storage,
            superblock,
            allocator: Allocator::new(&recovered.used),
            tail: recovered.tail,
            log: recovered.log,
            unreleased: recovered.unreleased,
            stored: recovered.stored,
            directory: recovered.directory,
            changed: map.take_changed(),
            quarantine: VecDeque::new(),
            has_unfinished: false,
            is_failed: false,
        };
        (writer, map)
    }
}

/// Makes what was found final, before anybody relies on it.
///
/// What a crash left behind the last commit is wiped out: a part of it that arrives late must not complete it. And the last commit may be in the
/// host's memory only, if it was the process that crashed.
fn settle(storage: &dyn Storage, recovered: &Recovered) -> Result<(), DiskError> {
    let tail = recovered.tail.slot;
    let mut header = [0; BLOCK_BYTES];
    let is_clean = match storage.read_at(tail.offset(), &mut header) {
        Ok(()) => header == [0; BLOCK_BYTES],
        // The file may end within the slot.
        Err(_) => storage.length().is_ok_and(|length| length <= tail.offset()),
    };
    if !is_clean {
        let mut batch = Batch::default();
        batch.put(tail, &[0; BLOCK_BYTES]);
        batch.write(storage)?;
    }
    if !is_clean || !recovered.log.is_empty() {
        storage
            .sync()
            .map_err(cannot("make the disk's last commit durable"))?;
    }
    Ok(())
}
