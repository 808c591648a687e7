//! Nodes: the inodes of a file system in memory.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
};

use minke_abi::linux::{FileType, OpenFlags};
use minke_abi::{Errno, Result};

use super::attributes::Attributes;
use super::directory::{Directory, Known};
use super::pages::Pages;
use super::{PAGE_BYTES, Shared};
use crate::file::{Allocation, File};
use crate::pipe::Fifo;
use crate::vfs::tree::ByteRange;
use crate::vfs::{
    AttributeChange, DirectoryEntry, Inode, Metadata, Name, Nameless, NewInode, Ownership,
    Permissions, RenameFlags, SealCell, Seals,
};

/// An inode, and the open file of one: it has no state that only an open file would have.
pub(super) struct Node {
    pub(super) shared: Arc<Shared>,
    pub(super) number: u64,
    pub(super) kind: FileType,
    this: Weak<Node>,
    content: Content,
    attributes: Mutex<Attributes>,
    /// Charged to the container: everything that is not an unchanged part of the lower tree.
    is_charged: AtomicBool,
    /// Has a place in the table of lower nodes.
    is_from_lower: bool,
    seals: SealCell,
    /// It was made without a name and may get one.
    is_linkable: AtomicBool,
}

/// What a node holds.
pub(super) enum Content {
    Regular(RwLock<Pages>),
    Directory {
        entries: RwLock<Directory>,
        /// Where the directory itself is; a leaf lock.
        place: Mutex<DirectoryPlace>,
    },
    Symlink(Box<[u8]>),
    Device(u64),
    /// The pipe of all who open the fifo.
    Fifo(Arc<Fifo>),
    Socket,
}

/// A directory's own name. The top directory has no parent.
#[derive(Default)]
pub(super) struct DirectoryPlace {
    pub(super) parent: Option<Arc<Node>>,
    pub(super) name: Name,
    pub(super) is_removed: bool,
}

impl Content {
    pub(super) fn directory() -> Content {
        Content::directory_over(None)
    }

    fn directory_over(lower: Option<Arc<dyn Inode>>) -> Content {
        Content::Directory {
            entries: RwLock::new(Directory::new(lower)),
            place: Mutex::default(),
        }
    }

    fn of_new(new: &NewInode<'_>, shared: &Shared) -> (Content, FileType) {
        match new {
            NewInode::Regular => (Content::Regular(RwLock::default()), FileType::Regular),
            NewInode::Directory => (Content::directory(), FileType::Directory),
            NewInode::Symlink(target) => (Content::Symlink((*target).into()), FileType::Symlink),
            NewInode::Fifo => (Content::fifo(shared), FileType::Fifo),
            NewInode::Socket => (Content::Socket, FileType::Socket),
            NewInode::CharacterDevice(id) => (Content::Device(*id), FileType::CharacterDevice),
            NewInode::BlockDevice(id) => (Content::Device(*id), FileType::BlockDevice),
        }
    }

    fn fifo(shared: &Shared) -> Content {
        Content::Fifo(Fifo::new(Arc::clone(&shared.budget)))
    }

    fn of_lower(lower: &Arc<dyn Inode>, shared: &Shared) -> Result<Content> {
        Ok(match lower.file_type() {
            FileType::Regular => {
                let length = lower.metadata()?.size;
                let file = Arc::clone(lower).open(OpenFlags::RDONLY)?;
                Content::Regular(RwLock::new(Pages::from_lower(file, length)))
            }
            FileType::Directory => Content::directory_over(Some(Arc::clone(lower))),
            FileType::Symlink => Content::Symlink(lower.read_link()?.into()),
            FileType::CharacterDevice | FileType::BlockDevice => {
                Content::Device(lower.metadata()?.device_id)
            }
            FileType::Fifo => Content::fifo(shared),
            FileType::Socket => Content::Socket,
        })
    }
}

impl Node {
    /// Makes a new node, charged to the container.
    pub(super) fn create(
        shared: &Arc<Shared>,
        content: Content,
        kind: FileType,
        attributes: Attributes,
    ) -> Result<Arc<Node>> {
        shared.charge_inode()?;
        let number = shared.next_number.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new_cyclic(|this| Node {
            shared: Arc::clone(shared),
            number,
            kind,
            this: Weak::clone(this),
            content,
            attributes: Mutex::new(attributes),
            is_charged: AtomicBool::new(true),
            is_from_lower: false,
            seals: SealCell::new(Seals::SEAL),
            is_linkable: AtomicBool::new(false),
        }))
    }

    /// Makes the node of a lower inode, found under a name of a directory (or the top of the tree).
    pub(super) fn from_lower(
        shared: &Arc<Shared>,
        lower: &Arc<dyn Inode>,
        found: Option<(&Arc<Node>, &[u8])>,
    ) -> Result<Arc<Node>> {
        let content = Content::of_lower(lower, shared)?;
        let attributes = Attributes::from_lower(&**lower)?;
        let node = Arc::new_cyclic(|this| Node {
            shared: Arc::clone(shared),
            number: lower.number(),
            kind: lower.file_type(),
            this: Weak::clone(this),
            content,
            attributes: Mutex::new(attributes),
            is_charged: AtomicBool::new(false),
            is_from_lower: true,
            seals: SealCell::new(Seals::SEAL),
            is_linkable: AtomicBool::new(false),
        });
        if let Some((parent, name)) = found {
            node.set_place(parent, name);
        }
        Ok(node)
    }

    /// Returns the node behind an inode of the same file system, else `EXDEV`.
    pub(super) fn of_inode(&self, inode: &Arc<dyn Inode>) -> Result<Arc<Node>> {
        let any: Arc<dyn Any + Send + Sync> = Arc::clone(inode) as _;
        let node = any.downcast::<Node>().map_err(|_| Errno::EXDEV)?;
        if Arc::ptr_eq(&node.shared, &self.shared) {
            Ok(node)
        } else {
            Err(Errno::EXDEV)
        }
    }

    pub(super) fn this(&self) -> Arc<Node> {
        self.this
            .upgrade()
            .expect("a node is only called through its Arc")
    }

    pub(super) fn attributes(&self) -> MutexGuard<'_, Attributes> {
        self.attributes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the entries of a directory for a look, else `ENOTDIR`.
    pub(super) fn entries(&self) -> Result<RwLockReadGuard<'_, Directory>> {
        match &self.content {
            Content::Directory { entries, .. } => {
                Ok(entries.read().unwrap_or_else(PoisonError::into_inner))
            }
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Locks the entries of a directory for a change, else `ENOTDIR`.
    pub(super) fn entries_mut(&self) -> Result<RwLockWriteGuard<'_, Directory>> {
        match &self.content {
            Content::Directory { entries, .. } => {
                Ok(entries.write().unwrap_or_else(PoisonError::into_inner))
            }
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Locks a directory's own place, else `ENOTDIR`.
    pub(super) fn place(&self) -> Result<MutexGuard<'_, DirectoryPlace>> {
        match &self.content {
            Content::Directory { place, .. } => {
                Ok(place.lock().unwrap_or_else(PoisonError::into_inner))
            }
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Notes where a directory is; nothing for other nodes, which may have many names.
    pub(super) fn set_place(&self, parent: &Arc<Node>, name: &[u8]) {
        let previous = self.place().ok().map(|mut place| {
            std::mem::replace(
                &mut *place,
                DirectoryPlace {
                    parent: Some(Arc::clone(parent)),
                    name: Name::from_slice(name),
                    is_removed: false,
                },
            )
        });
        // Dropping a parent may drop its node: not under the lock.
        drop(previous);
    }

    fn pages(&self) -> Result<&RwLock<Pages>> {
        match &self.content {
            Content::Regular(pages) => Ok(pages),
            Content::Directory { .. } => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    fn pages_read(&self) -> Result<RwLockReadGuard<'_, Pages>> {
        self.pages()
            .map(|pages| pages.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn pages_write(&self) -> Result<RwLockWriteGuard<'_, Pages>> {
        self.pages()
            .map(|pages| pages.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps the node: it is about to differ from the lower tree. Linux: `ovl_copy_up()`.
    pub(super) fn pin(&self) -> Result<()> {
        if self.is_charged.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.shared.charge_inode()?;
        self.pin_charged();
        Ok(())
    }

    /// Pins even when memory has run out, so that names can always be removed.
    pub(super) fn pin_uncharged(&self) {
        if self.pin().is_err() {
            self.shared.lower.pin(self.number);
        }
    }

    fn pin_charged(&self) {
        if self.is_charged.swap(true, Ordering::Relaxed) {
            self.shared.release_inode();
        }
        self.shared.lower.pin(self.number);
    }

    /// Finds a name with the directory's entries locked by the caller.
    pub(super) fn find(&self, entries: &Directory, name: &[u8]) -> Result<Arc<Node>> {
        let lower = match entries.get(name) {
            Known::Node(node) => return Ok(node),
            Known::Removed => return Err(Errno::ENOENT),
            Known::Lower(lower) => lower.lookup(name)?,
        };
        self.shared.lower.get_or_make(lower.number(), || {
            Node::from_lower(&self.shared, &lower, Some((&self.this(), name)))
        })
    }

    /// Counts another name; `ENOENT` when the last one has gone already.
    fn gain_link(&self) -> Result<()> {
        let mut attributes = self.attributes();
        if attributes.links == 0 && !self.is_linkable.swap(false, Ordering::SeqCst) {
            return Err(Errno::ENOENT);
        }
        attributes.links = attributes.links.checked_add(1).ok_or(Errno::EMLINK)?;
        attributes.changed = self.shared.now();
        Ok(())
    }

    /// Takes a name away from a node that is not a directory any more, or is being removed.
    pub(super) fn lose_link(&self) {
        let links = {
            let mut attributes = self.attributes();
            attributes.changed = self.shared.now();
            attributes.links = match self.kind {
                FileType::Directory => 0,
                _ => attributes.links.saturating_sub(1),
            };
            attributes.links
        };
        if !self.is_from_lower {
            return;
        }
        if links == 0 {
            self.shared.lower.forget(self.number);
        } else {
            self.pin_uncharged();
        }
    }

    /// Frees what a node holds and hands its children on, for the end of the file system.
    pub(super) fn take_apart(&self, children: &mut Vec<Arc<Node>>) {
        if let Ok(mut entries) = self.entries_mut() {
            children.extend(entries.take_nodes(&self.shared));
        }
        if let Ok(mut place) = self.place() {
            children.extend(place.parent.take());
        }
    }

    fn take_parent(&mut self) -> Option<Arc<Node>> {
        match &mut self.content {
            Content::Directory { place, .. } => place
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner)
                .parent
                .take(),
            _ => None,
        }
    }

    fn size_and_blocks(&self) -> (u64, u64) {
        match &self.content {
            Content::Regular(pages) => {
                let pages = pages.read().unwrap_or_else(PoisonError::into_inner);
                (pages.size(), pages.blocks())
            }
            Content::Directory { .. } => (PAGE_BYTES as u64, 0),
            Content::Symlink(target) => (target.len() as u64, 0),
            Content::Device(_) | Content::Fifo(_) | Content::Socket => (0, 0),
        }
    }

    fn stat(&self) -> Metadata {
        let (size, blocks) = self.size_and_blocks();
        let attributes = self.attributes();
        Metadata {
            device: self.shared.device,
            inode: self.number,
            file_type: self.kind,
            mode: attributes.mode,
            links: attributes.links,
            uid: attributes.uid,
            gid: attributes.gid,
            device_id: match self.content {
                Content::Device(id) => id,
                _ => 0,
            },
            size,
            block_size: PAGE_BYTES as u32,
            blocks,
            accessed: attributes.accessed,
            modified: attributes.modified,
            changed: attributes.changed,
        }
    }

    fn note_write(&self) {
        let now = self.shared.now();
        self.attributes().note_write(now);
    }
}

impl Shared {
    /// Makes a regular file without a name.
    pub(super) fn make_nameless(
        self: &Arc<Shared>,
        ownership: Ownership,
        seals: Seals,
    ) -> Result<Arc<Node>> {
        let Ownership { uid, gid, mode } = ownership;
        let kind = FileType::Regular;
        let mut attributes = Attributes::new(self.now(), uid, gid, mode, kind);
        attributes.links = 0;
        let content = Content::Regular(RwLock::default());
        let node = Node::create(self, content, kind, attributes)?;
        node.seals.begin(seals);
        Ok(node)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.shared);
        if let Content::Regular(pages) = &mut self.content {
            let pages = pages.get_mut().unwrap_or_else(PoisonError::into_inner);
            pages.release(&shared);
        }
        self.attributes().release(&shared);
        if *self.is_charged.get_mut() {
            shared.release_inode();
        }
        if self.is_from_lower {
            shared.lower.clean(self.number);
        }
        // A chain of removed directories is dropped in a loop: a guest may have made it long.
        let mut next = self.take_parent();
        while let Some(parent) = next {
            next = Arc::into_inner(parent).and_then(|mut node| node.take_parent());
        }
    }
}

impl Inode for Node {
    fn metadata(&self) -> Result<Metadata> {
        Ok(self.stat())
    }

    fn file_type(&self) -> FileType {
        self.kind
    }

    fn number(&self) -> u64 {
        self.number
    }

    fn permissions(&self) -> Result<Permissions> {
        Ok(self.attributes().permissions())
    }

    fn parent(&self) -> Result<Arc<dyn Inode>> {
        let parent = self.place()?.parent.clone();
        Ok(parent.unwrap_or_else(|| self.this()))
    }

    fn name(&self) -> Result<Name> {
        let place = self.place()?;
        if place.is_removed {
            return Err(Errno::ENOENT);
        }
        Ok(place.name.clone())
    }

    fn open(self: Arc<Self>, flags: OpenFlags) -> Result<Arc<dyn File>> {
        match &self.content {
            Content::Regular(_) | Content::Directory { .. } => Ok(self),
            Content::Fifo(fifo) => Arc::clone(fifo).open(self, flags),
            Content::Symlink(_) => Err(Errno::ELOOP),
            Content::Device(_) | Content::Socket => Err(Errno::ENXIO),
        }
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<()> {
        self.pin()?;
        if let Some(size) = change.size {
            let mut pages = self.pages_write()?;
            self.seals.check_size(pages.size(), size)?;
            pages.resize(size, &self.shared)?;
        }
        let now = self.shared.now();
        self.attributes().apply(change, now);
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let entries = self.entries()?;
        let node = self.find(&entries, name)?;
        Ok(node)
    }

    fn create(
        &self,
        name: &[u8],
        new: &NewInode<'_>,
        ownership: Ownership,
    ) -> Result<Arc<dyn Inode>> {
        let mut entries = self.entries_mut()?;
        if entries.contains(name) {
            return Err(Errno::EEXIST);
        }
        self.pin()?;
        let (content, kind) = Content::of_new(new, &self.shared);
        let now = self.shared.now();
        let Ownership { uid, gid, mode } = ownership;
        let attributes = Attributes::new(now, uid, gid, mode, kind);
        let node = Node::create(&self.shared, content, kind, attributes)?;
        entries.charge(name, &self.shared)?;
        entries.put(name, Arc::clone(&node));
        node.set_place(&self.this(), name);
        let mut attributes = self.attributes();
        attributes.note_entries(now);
        attributes.links += u32::from(kind == FileType::Directory);
        Ok(node)
    }

    fn create_nameless(&self, ownership: Ownership, use_of: Nameless) -> Result<Arc<dyn Inode>> {
        if self.entries()?.is_removed {
            return Err(Errno::ENOENT);
        }
        let node = self.shared.make_nameless(ownership, Seals::SEAL)?;
        node.is_linkable
            .store(use_of == Nameless::Linkable, Ordering::SeqCst);
        Ok(node)
    }

    fn seals(&self) -> Option<&SealCell> {
        matches!(self.content, Content::Regular(_)).then_some(&self.seals)
    }

    fn add_seals(&self, seals: Seals) -> Result<()> {
        // Who writes sees them, or had written before.
        let _content = self.pages_write()?;
        self.seals.add(seals)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let target = self.of_inode(target)?;
        if target.kind == FileType::Directory {
            return Err(Errno::EPERM);
        }
        let mut entries = self.entries_mut()?;
        if entries.contains(name) {
            return Err(Errno::EEXIST);
        }
        self.pin()?;
        target.pin()?;
        entries.charge(name, &self.shared)?;
        target
            .gain_link()
            .inspect_err(|_| Directory::refund(name, &self.shared))?;
        entries.put(name, target);
        self.attributes().note_entries(self.shared.now());
        Ok(())
    }

    fn unlink(&self, name: &[u8]) -> Result<()> {
        let mut entries = self.entries_mut()?;
        let victim = self.find(&entries, name)?;
        if victim.kind == FileType::Directory {
            return Err(Errno::EISDIR);
        }
        self.pin_uncharged();
        entries.remove(name, &self.shared);
        victim.lose_link();
        self.attributes().note_entries(self.shared.now());
        Ok(())
    }

    fn remove_directory(&self, name: &[u8]) -> Result<()> {
        self.remove_empty_directory(name)
    }

    fn rename(
        &self,
        name: &[u8],
        new_parent: &Arc<dyn Inode>,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<()> {
        self.move_name(name, &self.of_inode(new_parent)?, new_name, flags)
    }

    fn read_directory(
        &self,
        cookie: u64,
        emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        self.entries()?.list(cookie, emit)
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        match &self.content {
            Content::Symlink(target) => Ok(target.to_vec()),
            _ => Err(Errno::EINVAL),
        }
    }

    fn extended_attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.attributes().extended_value(name)
    }

    fn set_extended_attribute(&self, name: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.pin()?;
        let now = self.shared.now();
        let mut attributes = self.attributes();
        attributes.set_extended(name, value, &self.shared)?;
        attributes.changed = now;
        Ok(())
    }

    fn extended_attributes(&self) -> Result<Vec<Vec<u8>>> {
        Ok(self.attributes().extended_names())
    }
}

impl File for Node {
    fn is_seekable(&self) -> bool {
        true
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.pages_read()?.read(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.pin()?;
        let mut pages = self.pages_write()?;
        let end = offset.saturating_add(bytes.len() as u64);
        self.seals.check_write(pages.size(), end)?;
        let count = pages.write(bytes, offset, &self.shared)?;
        drop(pages);
        self.note_write();
        Ok(count)
    }

    fn fixed_content(&self) -> Option<ByteRange> {
        self.pages_read().ok()?.fixed_content()
    }

    fn append(&self, bytes: &[u8]) -> Result<(usize, u64)> {
        self.pin()?;
        let mut pages = self.pages_write()?;
        let offset = pages.size();
        let end = offset.saturating_add(bytes.len() as u64);
        self.seals.check_write(offset, end)?;
        let count = pages.write(bytes, offset, &self.shared)?;
        drop(pages);
        if count > 0 {
            self.note_write();
        }
        Ok((count, offset + count as u64))
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(self.stat())
    }

    fn readable_bytes(&self) -> Result<usize> {
        let size = self.pages_read()?.size();
        Ok(usize::try_from(size).unwrap_or(usize::MAX))
    }

    fn allocate(&self, offset: u64, length: u64, allocation: Allocation) -> Result<()> {
        self.pin()?;
        let mut pages = self.pages_write()?;
        let end = offset.saturating_add(length);
        match allocation {
            Allocation::Hole => {
                self.seals.check_write(0, 0)?;
                pages.punch(offset, length, &self.shared)?;
            }
            _ if end > pages.size() && self.seals.get().contains(Seals::GROW) => {
                return Err(Errno::EPERM);
            }
            _ => pages.allocate(offset, length, allocation, &self.shared)?,
        }
        drop(pages);
        self.note_write();
        Ok(())
    }

    fn seek_data(&self, offset: u64) -> Result<u64> {
        self.pages_read()?.seek_data(offset)
    }

    fn seek_hole(&self, offset: u64) -> Result<u64> {
        self.pages_read()?.seek_hole(offset)
    }
}
