//! Listing a directory, with cookies that stay right whatever is added and removed meanwhile.
//!
//! Where there may be a hash tree, names are listed in the order of their hashes, because its blocks are split; a cookie is the hash of the last name. Elsewhere
//! entries never move, and a cookie is a place in the directory.

use super::directory::Directory;
use super::tree::TreePath;
use crate::device::Device;
use crate::file_system::FileSystem;
use crate::layout::checksum::crc32c;
use crate::layout::directory::entries;
use crate::layout::{Compatible, FileType, Incompatible, InodeNumber, NameHash, NameHasher};
use crate::{Error, Place};

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedEntry {
    pub inode: InodeNumber,
    pub file_type: FileType,
    pub name: Vec<u8>,
    /// Where listing goes on behind this entry: below 2⁶³, not 0.
    pub next_cookie: u64,
}

/// Some entries, and where to go on if they are not the last.
struct Batch {
    entries: Vec<Raw>,
    next: Option<u64>,
}

struct Raw {
    inode: InodeNumber,
    code: u8,
    name: Vec<u8>,
    cookie: u64,
}

impl<D: Device> FileSystem<D> {
    /// Lists a directory from a cookie on (0: from the start, without the dots) until `emit` says `false` or there are no more.
    /// What is there from the first call to the last is listed once, whatever else is added or removed. No lock is held while `emit` runs.
    ///
    /// # Errors
    /// [`Error::NotDirectory`], and those of broken images.
    pub fn read_directory(
        &self,
        directory: InodeNumber,
        cookie: u64,
        emit: &mut dyn FnMut(&ListedEntry) -> bool,
    ) -> Result<(), Error> {
        let node = self.node(directory)?;
        let mut cookie = cookie;
        loop {
            let state = self.read_directory_state(&node)?;
            let view = Directory {
                system: self,
                number: directory,
                state: &state,
            };
            let batch = view.batch(cookie)?;
            drop(state);
            for raw in batch.entries {
                let entry = ListedEntry {
                    file_type: self.listed_type(&raw)?,
                    inode: raw.inode,
                    name: raw.name,
                    next_cookie: raw.cookie,
                };
                if !emit(&entry) {
                    return Ok(());
                }
            }
            match batch.next {
                Some(next) if next > cookie => cookie = next,
                _ => return Ok(()),
            }
        }
    }

    /// Returns what an entry says that its inode is, or else what the inode says.
    fn listed_type(&self, raw: &Raw) -> Result<FileType, Error> {
        let features = self.geometry.superblock.incompatible();
        let said =
            FileType::from_code(raw.code).filter(|_| features.contains(Incompatible::FILETYPE));
        match said {
            Some(kind) => Ok(kind),
            None => self.node(raw.inode)?.read().file_type(raw.inode),
        }
    }
}

impl<D: Device> Directory<'_, D> {
    fn batch(&self, cookie: u64) -> Result<Batch, Error> {
        let geometry = &self.system.geometry;
        let is_indexed = geometry
            .superblock
            .compatible()
            .contains(Compatible::DIR_INDEX);
        if self.has_tree() {
            let (root, hasher) = self.tree_root()?;
            let path = TreePath::descend(self, &root, cookie_hash(cookie))?;
            return self.tree_batch(path, &hasher, cookie);
        }
        let hasher = geometry.hasher(geometry.superblock.default_hash_version);
        match hasher {
            Some(hasher) if is_indexed && self.blocks_count() <= 1 => {
                let mut found = Vec::new();
                if self.blocks_count() > 0 {
                    self.collect_hashed(0, &hasher, cookie, &mut found)?;
                }
                Ok(Batch {
                    entries: sorted(found),
                    next: None,
                })
            }
            _ => self.linear_batch(cookie),
        }
    }

    /// Takes the names of a block, and of those that go on with its last hash.
    fn tree_batch(
        &self,
        mut path: TreePath,
        hasher: &NameHasher,
        cookie: u64,
    ) -> Result<Batch, Error> {
        let mut found = Vec::new();
        loop {
            self.collect_hashed(path.leaf, hasher, cookie, &mut found)?;
            let next = path.next_hash();
            if next.is_none_or(|hash| hash & 1 == 0) {
                // Cookies of a hash are above this.
                let next = next.map(|hash| u64::from(hash) >> 1 << 32);
                return Ok(Batch {
                    entries: sorted(found),
                    next,
                });
            }
            path.advance(self)?;
        }
    }

    fn collect_hashed(
        &self,
        logical: u32,
        hasher: &NameHasher,
        cookie: u64,
        found: &mut Vec<Raw>,
    ) -> Result<(), Error> {
        self.for_each_entry(logical, |_, raw| {
            let cookie_of = hash_cookie(hasher.hash(&raw.name), &raw.name);
            if cookie_of > cookie {
                found.push(Raw {
                    cookie: cookie_of,
                    ..raw
                });
            }
        })
    }

    /// Takes the names of the block that `cookie` is in.
    fn linear_batch(&self, cookie: u64) -> Result<Batch, Error> {
        let size = self.system.geometry.block_size as u64;
        let logical = cookie / size;
        let count = u64::from(self.blocks_count());
        if logical >= count {
            return Ok(Batch {
                entries: Vec::new(),
                next: None,
            });
        }
        let mut found = Vec::new();
        self.for_each_entry(logical as u32, |at, raw| {
            let begin = logical * size + at as u64;
            // A cookie is one byte into an entry, so that none is 0.
            if begin >= cookie {
                found.push(Raw {
                    cookie: begin + 1,
                    ..raw
                });
            }
        })?;
        let next = (logical + 1) * size;
        Ok(Batch {
            entries: found,
            next: (logical + 1 < count).then_some(next),
        })
    }

    fn for_each_entry(&self, logical: u32, mut take: impl FnMut(usize, Raw)) -> Result<(), Error> {
        let (block, bytes) = self.block(logical)?;
        for entry in entries(&bytes) {
            let entry = entry.map_err(Error::layout(Place::Block(block)))?;
            if entry.is_used() && entry.name != b"." && entry.name != b".." {
                let raw = Raw {
                    inode: entry.inode,
                    code: entry.file_type,
                    name: entry.name.to_vec(),
                    cookie: 0,
                };
                take(entry.at, raw);
            }
        }
        Ok(())
    }
}

fn sorted(mut entries: Vec<Raw>) -> Vec<Raw> {
    entries.sort_by_key(|entry| entry.cookie);
    entries
}

/// Cookies are sorted as hashes are; names of one hash by another sum.
fn hash_cookie(hash: NameHash, name: &[u8]) -> u64 {
    u64::from(hash.major) >> 1 << 32 | u64::from(crc32c(hash.minor, name)).max(1)
}

/// Returns the hash in a cookie.
fn cookie_hash(cookie: u64) -> u32 {
    ((cookie >> 32) as u32) << 1
}
