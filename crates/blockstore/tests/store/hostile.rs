//! Change files that somebody else made: what may be done with any bytes, and checksums that are right over contents that are not.
//!
//! The fuzz target uses this too. Where things lie is taken from `docs/design/0001-disks.md`, not from the code.

use std::io;
use std::sync::{Arc, Mutex};

use minke_blockstore::{
    BLOCK_BYTES, ChangeFile, Disk, DiskError, Identity, Limits, Snapshot, State, Storage, merge,
};

/// No hostile file may need more memory than this for its map.
const LIMITS: Limits = Limits {
    buffered_blocks_max: 4,
    map_bytes_max: 1 << 20,
    log_segments_max: 5,
    unreleased_slots_max: 10,
};

/// The host's file system is full at this length.
const LENGTH_MAX: u64 = 32 << 20;

/// Headers, and pages of the directory, that are given right checksums.
const SEALED_MAX: usize = 100;

/// A file in memory.
pub(crate) struct Memory(Mutex<Vec<u8>>);

impl Memory {
    pub(crate) fn new(content: Vec<u8>) -> Arc<Memory> {
        Arc::new(Memory(Mutex::new(content)))
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Storage for Memory {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let content = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = content.get(start..start.saturating_add(bytes.len()));
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset + bytes.len() as u64;
        if end > LENGTH_MAX {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut content = self.0.lock().unwrap();
        let length = content.len().max(end as usize);
        content.resize(length, 0);
        content[offset as usize..end as usize].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.lock().unwrap().resize(length as usize, 0);
        Ok(())
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        let mut content = self.0.lock().unwrap();
        let size = content.len() as u64;
        let (start, end) = (offset.min(size), (offset + length).min(size));
        content[start as usize..end as usize].fill(0);
        Ok(())
    }
}

/// A base of any size that holds nothing and takes everything.
struct Void(u64);

impl Storage for Void {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0)
    }

    fn read_at(&self, _: u64, bytes: &mut [u8]) -> io::Result<()> {
        bytes.fill(0);
        Ok(())
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn punch(&self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }
}

/// Does with a file whatever its state allows. All may fail; nothing may panic, hang, or take much memory.
pub(crate) fn exercise(content: Vec<u8>) -> Result<(), DiskError> {
    let file = Memory::new(content);
    let inspected = ChangeFile::inspect(&*file)?;
    let below = Arc::new(below(inspected.below)?);
    match inspected.state {
        State::Active => {
            use_disk(&file, &below, inspected.size_bytes)?;
            merge(file, &Void(below.size()), below.identity(), &LIMITS)
        }
        State::Frozen => {
            let snapshot = below.with(file, &LIMITS)?;
            read_some(inspected.size_bytes, |offset, bytes| {
                snapshot.mapped(offset, bytes.len());
                snapshot.read_at(offset, bytes)
            })
        }
        State::Merging | State::Merged => {
            let base = Void(inspected.below.size_bytes);
            merge(file, &base, Identity::NOTHING, &LIMITS)
        }
    }
}

fn below(identity: Identity) -> Result<Snapshot, DiskError> {
    match identity {
        Identity::NOTHING => Ok(Snapshot::nothing()),
        other => Snapshot::of_base(Arc::new(Void(other.size_bytes)), other),
    }
}

fn use_disk(file: &Arc<Memory>, below: &Arc<Snapshot>, size: u64) -> Result<(), DiskError> {
    let disk = Disk::open(file.clone(), below.clone(), LIMITS)?;
    read_some(size, |offset, bytes| disk.read_at(offset, bytes))?;
    let length = size.min(50_000);
    for (round, offset) in [0, size - length, (size - length) / 2]
        .into_iter()
        .enumerate()
    {
        let bytes = vec![round as u8 + 1; length as usize];
        disk.write_at(offset, &bytes)?;
        disk.discard(offset / 2, length)?;
        disk.write_at(offset, &bytes)?;
        disk.commit()?;
        let reopened = Disk::open(Memory::new(file.content()), below.clone(), LIMITS)
            .expect("what was committed can be opened");
        let mut found = vec![0; bytes.len()];
        reopened.read_at(offset, &mut found)?;
        assert!(found == bytes, "what was committed is there");
    }
    disk.checkpoint()?;
    Disk::open(Memory::new(file.content()), below.clone(), LIMITS)
        .expect("what a checkpoint wrote can be opened");
    Ok(())
}

/// Reads at both ends of the disk and at some places between.
fn read_some(
    size: u64,
    read: impl Fn(u64, &mut [u8]) -> Result<(), DiskError>,
) -> Result<(), DiskError> {
    let length = size.min(20_000);
    for part in 0..=8 {
        let offset = (size - length) / 8 * part;
        read(offset, &mut vec![0; length as usize])?;
    }
    Ok(())
}

/// Makes all checksums right that can be found from the superblock on, or no change would get past them.
pub(crate) fn seal(content: &mut [u8]) -> Option<()> {
    let number = |content: &[u8], copy: usize| u64_at(content, copy * BLOCK_BYTES + 88);
    let copy = usize::from(number(content, 0)? < number(content, 1).unwrap_or(0)) * BLOCK_BYTES;
    let uuid: [u8; 16] = content.get(copy + 16..copy + 32)?.try_into().ok()?;
    let key = blake3::derive_key("minke change file 1", &uuid);
    let digest = |bytes: &[u8]| -> [u8; 32] { blake3::keyed_hash(&key, bytes).into() };
    if let Some(directory) = seal_directory(content, u32_at(content, copy + 108)?, &digest) {
        put(content, copy + 112, &directory)?;
    }
    for copy in [0, BLOCK_BYTES] {
        let bytes = content.get(copy..copy + 480)?;
        let checksum = blake3::hash(bytes);
        put(content, copy + 480, checksum.as_bytes())?;
    }
    let mut chain = content.get(copy + 480..copy + 512)?.to_vec();
    let mut slot = u32_at(content, copy + 104)?;
    for _ in 0..SEALED_MAX {
        (slot, chain) = seal_segment(content, slot, &chain, &digest)?;
    }
    Some(())
}

type Keyed<'a> = &'a dyn Fn(&[u8]) -> [u8; 32];

/// Returns the digest of the first page.
fn seal_directory(content: &mut [u8], first: u32, digest: Keyed<'_>) -> Option<[u8; 16]> {
    let mut pages = Vec::new();
    let mut next = first;
    while next != 0 && pages.len() < SEALED_MAX {
        let page = start(next);
        pages.push(page);
        let count = u32_at(content, page + 12)? as usize;
        for entry in (0..count.min(127)).map(|index| page + 32 + index * 32) {
            let leaf = u32_at(content, entry + 8)?;
            let leaf = content.get(start(leaf)..start(leaf) + BLOCK_BYTES);
            // In slot 0 there is no leaf: zeros.
            let has_leaf = u32_at(content, entry + 8)? != 0;
            if let Some(leaf) = leaf.filter(|_| has_leaf).map(digest) {
                put(content, entry + 16, &leaf[..16])?;
            }
        }
        next = u32_at(content, page + 8)?;
    }
    let mut sealed: Option<[u8; 16]> = None;
    for page in pages.into_iter().rev() {
        if let Some(next) = sealed {
            put(content, page + 16, &next)?;
        }
        let page = content.get(page..page + BLOCK_BYTES).map(digest)?;
        sealed = Some(<[u8; 16]>::try_from(&page[..16]).ok()?);
    }
    sealed
}

/// Returns the next header's slot, and this one's checksum.
fn seal_segment(
    content: &mut [u8],
    slot: u32,
    chain: &[u8],
    digest: Keyed<'_>,
) -> Option<(u32, Vec<u8>)> {
    let header = start(slot);
    if content.get(header..header + 8)? != b"minkeSEG" {
        return None;
    }
    content
        .get_mut(header + 32..header + 64)?
        .copy_from_slice(chain);
    let count = u32_at(content, header + 20)? as usize;
    for entry in (0..count.min(248)).map(|index| header + 128 + index * 16) {
        let data = start(u32_at(content, entry + 4)?);
        let is_data = data > BLOCK_BYTES;
        let sum = content.get(data..data + BLOCK_BYTES).map(digest);
        if let Some(sum) = sum.filter(|_| is_data) {
            put(content, entry + 8, &sum[..8])?;
        }
    }
    put(content, header + 64, &[0; 32])?;
    let checksum = content.get(header..header + BLOCK_BYTES).map(digest)?;
    put(content, header + 64, &checksum)?;
    Some((u32_at(content, header + 16)?, checksum.to_vec()))
}

fn start(slot: u32) -> usize {
    slot as usize * BLOCK_BYTES
}

fn u32_at(content: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        content.get(at..at + 4)?.try_into().ok()?,
    ))
}

fn u64_at(content: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(
        content.get(at..at + 8)?.try_into().ok()?,
    ))
}

fn put(content: &mut [u8], at: usize, bytes: &[u8]) -> Option<()> {
    content
        .get_mut(at..at + bytes.len())?
        .copy_from_slice(bytes);
    Some(())
}
