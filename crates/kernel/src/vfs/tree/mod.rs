//! A read-only tree whose files are ranges of bytes that something else holds, such as a mapped layer.
//!
//! [`TreeBuilder`] merges layers into one [`Tree`]; reading one of its files is a copy from the
//! bytes, without a system call.

use std::any::Any;
use std::sync::Arc;

use minke_abi::linux::{FileType, OpenFlags};
use minke_abi::{Errno, Result};

use crate::file::File;
use crate::vfs::{
    AttributeChange, DirectoryEntry, FileSystem, FileSystemStatistics, Inode, Metadata, Name,
    Permissions, Timestamp,
};

mod builder;
mod layer;

pub use builder::{TreeBuilder, TreeEntry, TreeError, TreeKind, TreeOwner};
pub use layer::LayerError;
pub use minke_archive::ArchiveError;

/// Block size that `stat` shows.
const BLOCK_BYTES: u32 = 4096;
/// What `statfs` shows: no number of Linux's is for this. ASCII `mink`.
const TREE_MAGIC: u64 = 0x6d69_6e6b;

/// Bytes that stay where and what they are.
pub trait Bytes: Any + Send + Sync {
    /// Returns all bytes; always the same.
    fn as_slice(&self) -> &[u8];
}

impl Bytes for Vec<u8> {
    fn as_slice(&self) -> &[u8] {
        self
    }
}

/// A part of some bytes.
#[derive(Clone)]
pub struct ByteRange {
    source: Arc<dyn Bytes>,
    start: usize,
    length: usize,
}

impl ByteRange {
    /// Makes a range; `None` when it is not inside the bytes.
    pub fn new(source: Arc<dyn Bytes>, start: usize, length: usize) -> Option<ByteRange> {
        let end = start.checked_add(length)?;
        (end <= source.as_slice().len()).then_some(ByteRange {
            source,
            start,
            length,
        })
    }

    /// Returns what it is a part of.
    pub fn source(&self) -> &Arc<dyn Bytes> {
        &self.source
    }

    /// Returns where in its source it begins.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.source.as_slice()[self.start..self.start + self.length]
    }
}

/// A read-only tree.
pub struct Tree {
    data: Arc<Data>,
}

struct Data {
    device: u64,
    /// The first node is the top directory.
    nodes: Vec<Node>,
}

struct Node {
    content: Content,
    mode: u16,
    uid: u32,
    gid: u32,
    links: u32,
    modified: Timestamp,
    extended: Extended,
}

/// Extended attributes; most inodes have none.
type Extended = Option<Box<[(Vec<u8>, Vec<u8>)]>>;

enum Content {
    Regular(ByteRange),
    Directory {
        parent: u32,
        /// Sorted by name; a cookie is an index plus one.
        children: Box<[(Name, u32)]>,
    },
    Symlink(Box<[u8]>),
    CharacterDevice(u64),
    BlockDevice(u64),
    Fifo,
}

impl FileSystem for Tree {
    fn kind(&self) -> &'static str {
        "tree"
    }

    fn root(&self) -> Arc<dyn Inode> {
        inode(&self.data, 0)
    }

    fn statistics(&self) -> Result<FileSystemStatistics> {
        Ok(FileSystemStatistics {
            magic: TREE_MAGIC,
            block_size: u64::from(BLOCK_BYTES),
            inodes: self.data.nodes.len() as u64,
            ..FileSystemStatistics::default()
        })
    }
}

fn inode(data: &Arc<Data>, index: u32) -> Arc<dyn Inode> {
    Arc::new(TreeInode {
        data: Arc::clone(data),
        index,
    })
}

/// A node of a tree, and the open file of one.
struct TreeInode {
    data: Arc<Data>,
    index: u32,
}

impl TreeInode {
    fn node(&self) -> &Node {
        &self.data.nodes[self.index as usize]
    }

    fn children(&self) -> Result<&[(Name, u32)]> {
        match &self.node().content {
            Content::Directory { children, .. } => Ok(children),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn parent_index(&self) -> Result<u32> {
        match self.node().content {
            Content::Directory { parent, .. } => Ok(parent),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn stat(&self) -> Metadata {
        let node = self.node();
        let (size, device_id) = match &node.content {
            Content::Regular(range) => (range.length as u64, 0),
            Content::Directory { .. } => (u64::from(BLOCK_BYTES), 0),
            Content::Symlink(target) => (target.len() as u64, 0),
            Content::CharacterDevice(id) | Content::BlockDevice(id) => (0, *id),
            Content::Fifo => (0, 0),
        };
        Metadata {
            device: self.data.device,
            inode: self.number(),
            file_type: self.file_type(),
            mode: u32::from(node.mode),
            links: node.links,
            uid: node.uid,
            gid: node.gid,
            device_id,
            size,
            block_size: BLOCK_BYTES,
            blocks: size.div_ceil(512),
            accessed: node.modified,
            modified: node.modified,
            changed: node.modified,
        }
    }
}

impl Inode for TreeInode {
    fn metadata(&self) -> Result<Metadata> {
        Ok(self.stat())
    }

    fn file_type(&self) -> FileType {
        match self.node().content {
            Content::Regular(_) => FileType::Regular,
            Content::Directory { .. } => FileType::Directory,
            Content::Symlink(_) => FileType::Symlink,
            Content::CharacterDevice(_) => FileType::CharacterDevice,
            Content::BlockDevice(_) => FileType::BlockDevice,
            Content::Fifo => FileType::Fifo,
        }
    }

    fn number(&self) -> u64 {
        u64::from(self.index) + 1
    }

    fn permissions(&self) -> Result<Permissions> {
        let node = self.node();
        Ok(Permissions {
            mode: u32::from(node.mode),
            uid: node.uid,
            gid: node.gid,
        })
    }

    fn parent(&self) -> Result<Arc<dyn Inode>> {
        Ok(inode(&self.data, self.parent_index()?))
    }

    fn name(&self) -> Result<Name> {
        let parent = TreeInode {
            data: Arc::clone(&self.data),
            index: self.parent_index()?,
        };
        let mut siblings = parent.children()?.iter();
        let own = siblings.find(|(_, index)| *index == self.index);
        own.map(|(name, _)| name.clone()).ok_or(Errno::ENOENT)
    }

    fn open(self: Arc<Self>, _flags: OpenFlags) -> Result<Arc<dyn File>> {
        match self.node().content {
            Content::Regular(_) | Content::Directory { .. } => Ok(self),
            _ => Err(Errno::ENXIO),
        }
    }

    fn set_attributes(&self, _change: &AttributeChange) -> Result<()> {
        Err(Errno::EROFS)
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let children = self.children()?;
        let found = children.binary_search_by(|(child, _)| child[..].cmp(name));
        let (_, index) = &children[found.map_err(|_| Errno::ENOENT)?];
        Ok(inode(&self.data, *index))
    }

    fn read_directory(
        &self,
        cookie: u64,
        emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        let children = self.children()?;
        let start = usize::try_from(cookie).unwrap_or(usize::MAX);
        for (position, (name, index)) in children.iter().enumerate().skip(start) {
            let child = TreeInode {
                data: Arc::clone(&self.data),
                index: *index,
            };
            let entry = DirectoryEntry {
                inode: child.number(),
                file_type: child.file_type(),
                name,
                next_cookie: position as u64 + 1,
            };
            if !emit(entry) {
                break;
            }
        }
        Ok(())
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        match &self.node().content {
            Content::Symlink(target) => Ok(target.to_vec()),
            _ => Err(Errno::EINVAL),
        }
    }

    fn extended_attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        let mut all = self.node().extended.iter().flatten();
        let found = all.find(|(own, _)| own == name);
        found.map(|(_, value)| value.clone()).ok_or(Errno::ENODATA)
    }

    fn set_extended_attribute(&self, _name: &[u8], _value: Option<&[u8]>) -> Result<()> {
        Err(Errno::EROFS)
    }

    fn extended_attributes(&self) -> Result<Vec<Vec<u8>>> {
        let all = self.node().extended.iter().flatten();
        Ok(all.map(|(name, _)| name.clone()).collect())
    }
}

impl File for TreeInode {
    fn is_seekable(&self) -> bool {
        true
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let Content::Regular(range) = &self.node().content else {
            return Err(Errno::EISDIR);
        };
        let bytes = range.bytes();
        let start = usize::try_from(offset).map_or(bytes.len(), |start| start.min(bytes.len()));
        let count = buffer.len().min(bytes.len() - start);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> Result<usize> {
        Err(Errno::EROFS)
    }

    fn fixed_content(&self) -> Option<ByteRange> {
        match &self.node().content {
            Content::Regular(range) => Some(range.clone()),
            _ => None,
        }
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(self.stat())
    }
}
