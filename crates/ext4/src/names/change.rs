//! Operations on names: create, link, unlink and rename, each whole or not at all.
//!
//! All hold the writer's lock, so names stay as they were found until the operation ends. Permission is the caller's business, and so is
//! which names may be given to what; that a directory is not moved below itself is checked here.

use std::sync::Arc;

use super::directory::{Directory, FoundEntry};
use crate::Error;
use crate::allocator::{Funds, Writer};
use crate::blocks::Seal;
use crate::device::Device;
use crate::file_system::FileSystem;
use crate::files::TARGET_BYTES_MAX;
use crate::files::extents::empty_root;
use crate::files::map::{FileMap, Nodes as MapNodes};
use crate::layout::directory::{NAME_BYTES_MAX, tail_at, write_entry};
use crate::layout::features::ReadOnlyCompatible;
use crate::layout::inode::{EXTRA_SIZE_WHOLE, MAP_SIZE_BYTES, encode_device};
use crate::layout::{FileType, Incompatible, Inode, InodeFlags, InodeNumber, Timestamp};
use crate::nodes::{Node, NodeState};

/// Links that an inode may have. Linux: `EXT4_LINK_MAX`; ext2 and ext3 allow 32,000.
const LINKS_MAX: u16 = 65_000;
const LINKS_MAX_OLD: u16 = 32_000;

/// What to make in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewInode<'a> {
    Regular,
    Directory,
    Symlink(&'a [u8]),
    Fifo,
    Socket,
    /// Major and minor number.
    CharacterDevice(u32, u32),
    /// Major and minor number.
    BlockDevice(u32, u32),
}

impl NewInode<'_> {
    fn file_type(&self) -> FileType {
        match self {
            NewInode::Regular => FileType::Regular,
            NewInode::Directory => FileType::Directory,
            NewInode::Symlink(_) => FileType::Symlink,
            NewInode::Fifo => FileType::Fifo,
            NewInode::Socket => FileType::Socket,
            NewInode::CharacterDevice(..) => FileType::CharacterDevice,
            NewInode::BlockDevice(..) => FileType::BlockDevice,
        }
    }
}

/// Owner and mode of what is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    pub uid: u32,
    pub gid: u32,
    /// The low twelve bits of `st_mode`.
    pub mode: u16,
}

/// What a rename does about a name that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameMode {
    /// It is replaced, if it is of the same kind and no directory with names.
    Replace,
    /// The rename fails. Linux: `RENAME_NOREPLACE`.
    KeepExisting,
    /// The two names are swapped. Linux: `RENAME_EXCHANGE`.
    Exchange,
}

/// A name that was found, and what it leads to.
pub(super) struct Child {
    entry: FoundEntry,
    node: Arc<Node>,
    kind: FileType,
}

impl<D: Device> FileSystem<D> {
    /// Makes an inode under a name that does not exist yet.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NotDirectory`], [`Error::NotFound`] if the directory was removed, [`Error::NameTooLong`],
    /// [`Error::NoSpace`], [`Error::TooManyLinks`], [`Error::ReadOnly`], and those of broken images.
    pub fn create(
        &self,
        directory: InodeNumber,
        name: &[u8],
        new: &NewInode<'_>,
        ownership: Ownership,
        now: Timestamp,
    ) -> Result<InodeNumber, Error> {
        let mut writer = self.writer()?;
        let parent = self.directory(directory, name)?;
        if self.child(&parent, name)?.is_some() {
            return Err(Error::Exists);
        }
        let kind = new.file_type();
        if kind == FileType::Directory {
            self.check_link(&parent.read(), FileType::Directory)?;
        }
        let node = self.make_inode(&mut writer, directory, new, ownership, now)?;
        let result = self.add_name(&mut writer, &parent, (name, node.number, kind), now);
        if let Err(error) = result {
            self.free_node(&mut writer, &node, now)?;
            return Err(error);
        }
        if kind == FileType::Directory {
            let mut state = parent.write();
            self.change_links(&mut writer, &mut state, 1);
        }
        Ok(node.number)
    }

    /// Takes an inode and fills it; it has no name yet.
    pub(super) fn make_inode(
        &self,
        writer: &mut Writer,
        directory: InodeNumber,
        new: &NewInode<'_>,
        ownership: Ownership,
        now: Timestamp,
    ) -> Result<Arc<Node>, Error> {
        let kind = new.file_type();
        let number = {
            let mut space = self.lock_space();
            let what = (directory, kind == FileType::Directory);
            writer.allocate_inode(&self.geometry, &self.blocks, &mut space, what)?
        };
        writer.generation = writer
            .generation
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        let mut inode = self.empty_inode(kind, ownership, writer.generation, now);
        inode.version = directory.0.into();
        let node = Arc::new(Node::new(number, inode));
        self.nodes.insert(&node);
        let mut state = node.write();
        let nodes = match state.inode.flags.contains(InodeFlags::EXTENTS) {
            true => MapNodes::Extents(Vec::new()),
            false => MapNodes::Indirect,
        };
        state.map = Some(FileMap::new(Vec::new(), nodes));
        let result = match new {
            NewInode::Directory => self.fill_directory(writer, number, &mut state, directory),
            NewInode::Symlink(target) => self.fill_symlink(writer, number, &mut state, target),
            NewInode::CharacterDevice(major, minor) | NewInode::BlockDevice(major, minor) => {
                state.inode.map = encode_device(*major, *minor);
                Ok(())
            }
            _ => Ok(()),
        };
        self.nodes.mark_changed(&node, &mut state);
        drop(state);
        match result {
            Ok(()) => Ok(node),
            Err(error) => {
                self.free_node(writer, &node, now)?;
                Err(error)
            }
        }
    }

    fn empty_inode(
        &self,
        kind: FileType,
        ownership: Ownership,
        generation: u32,
        now: Timestamp,
    ) -> Inode {
        let superblock = &self.geometry.superblock;
        let extra = match superblock.want_extra_isize {
            0 => EXTRA_SIZE_WHOLE,
            wanted => wanted.max(superblock.min_extra_isize).min(EXTRA_SIZE_WHOLE) & !3,
        };
        let mut inode = Inode::empty(superblock.inode_size, extra);
        inode.mode = kind.mode_bits() | ownership.mode & 0xfff;
        (inode.uid, inode.gid) = (ownership.uid, ownership.gid);
        (inode.accessed, inode.changed, inode.modified, inode.created) = (now, now, now, now);
        inode.links_count = if kind == FileType::Directory { 2 } else { 1 };
        inode.generation = generation;
        let is_mapped = matches!(
            kind,
            FileType::Regular | FileType::Directory | FileType::Symlink
        );
        if is_mapped && superblock.incompatible().contains(Incompatible::EXTENT) {
            inode.flags |= InodeFlags::EXTENTS;
            empty_root(&mut inode.map);
        }
        inode
    }

    pub(crate) fn fill_directory(
        &self,
        writer: &mut Writer,
        number: InodeNumber,
        state: &mut NodeState,
        parent: InodeNumber,
    ) -> Result<(), Error> {
        let mut bytes = self.empty_block();
        let end = tail_at(&bytes)
            .filter(|_| self.geometry.has_checksums)
            .unwrap_or(bytes.len());
        let kind = self.type_of(FileType::Directory);
        write_entry(&mut bytes, 0, 12, number, kind, b".");
        write_entry(&mut bytes, 12, end - 12, parent, kind, b"..");
        let seed = state.inode.seed(self.geometry.metadata_seed, number);
        self.append_block(writer, number, state, Seal::Directory(seed), bytes)?;
        Ok(())
    }

    fn fill_symlink(
        &self,
        writer: &mut Writer,
        number: InodeNumber,
        state: &mut NodeState,
        target: &[u8],
    ) -> Result<(), Error> {
        let block_size = self.geometry.block_size;
        if target.is_empty() {
            return Err(Error::InvalidArgument);
        }
        if target.len() as u64 >= TARGET_BYTES_MAX.min(block_size as u64) {
            return Err(Error::NameTooLong);
        }
        state.inode.size = target.len() as u64;
        if target.len() < MAP_SIZE_BYTES {
            state.inode.flags.remove(InodeFlags::EXTENTS);
            state.inode.map = [0; MAP_SIZE_BYTES];
            state.inode.map[..target.len()].copy_from_slice(target);
            return Ok(());
        }
        let run = self.map_new_blocks(writer, number, state, (0, 1, Funds::Free), false)?;
        let mut bytes = vec![0; block_size];
        bytes[..target.len()].copy_from_slice(target);
        self.blocks.write(run.physical, &bytes)
    }

    /// Returns a directory in which `name` may be made or removed.
    pub(super) fn directory(&self, number: InodeNumber, name: &[u8]) -> Result<Arc<Node>, Error> {
        if name.len() > NAME_BYTES_MAX {
            return Err(Error::NameTooLong);
        }
        let is_name = !name.is_empty()
            && name != b"."
            && name != b".."
            && !name.contains(&b'/')
            && !name.contains(&0);
        if !is_name {
            return Err(Error::InvalidArgument);
        }
        let node = self.node(number)?;
        let state = node.read();
        if state.file_type(number)? != FileType::Directory {
            return Err(Error::NotDirectory);
        }
        if state.is_freed || state.inode.links_count == 0 {
            return Err(Error::NotFound);
        }
        drop(state);
        Ok(node)
    }

    /// Finds a name, and what it leads to.
    pub(super) fn child(&self, directory: &Node, name: &[u8]) -> Result<Option<Child>, Error> {
        let state = self.read_mapped_state(directory)?;
        let view = Directory {
            system: self,
            number: directory.number,
            state: &state,
        };
        let Some(entry) = view.find(name)? else {
            return Ok(None);
        };
        drop(state);
        if entry.inode == directory.number {
            return Err(Error::corrupt(
                crate::Place::Inode(directory.number),
                "a directory in itself",
            ));
        }
        let node = self.node(entry.inode)?;
        let kind = node.read().file_type(entry.inode)?;
        Ok(Some(Child { entry, node, kind }))
    }

    /// Adds an entry to a directory, with its times.
    pub(crate) fn add_name(
        &self,
        writer: &mut Writer,
        directory: &Arc<Node>,
        entry: (&[u8], InodeNumber, FileType),
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut state = self.write_mapped_state(directory)?;
        let result = self.insert_entry(writer, directory, &mut state, entry);
        // Even if it failed, the directory may have grown.
        self.touch(directory, &mut state, now);
        result
    }

    fn touch(&self, node: &Arc<Node>, state: &mut NodeState, now: Timestamp) {
        state.inode.modified = now;
        state.inode.changed = now;
        self.nodes.mark_changed(node, state);
    }

    fn remove_name(
        &self,
        directory: &Arc<Node>,
        entry: &FoundEntry,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut state = self.write_mapped_state(directory)?;
        let seed = state
            .inode
            .seed(self.geometry.metadata_seed, directory.number);
        self.remove_entry(seed, entry)?;
        self.touch(directory, &mut state, now);
        Ok(())
    }

    /// Whether one more link can be counted.
    fn check_link(&self, state: &NodeState, kind: FileType) -> Result<(), Error> {
        let features = self.geometry.superblock.read_only_compatible();
        let is_uncounted =
            kind == FileType::Directory && features.contains(ReadOnlyCompatible::DIR_NLINK);
        let has_extents = self
            .geometry
            .superblock
            .incompatible()
            .contains(Incompatible::EXTENT);
        let links_max = if has_extents {
            LINKS_MAX
        } else {
            LINKS_MAX_OLD
        };
        match is_uncounted || state.inode.links_count < links_max {
            true => Ok(()),
            false => Err(Error::TooManyLinks),
        }
    }

    /// Counts a link more or less of a directory. With `dir_nlink`, 1 says that there are too many to be counted.
    fn change_links(&self, writer: &mut Writer, state: &mut NodeState, change: i16) {
        let links = state.inode.links_count;
        let changed = links.saturating_add_signed(change);
        state.inode.links_count = match change > 0 {
            _ if links == 1 => 1,
            true if changed >= LINKS_MAX => {
                writer.superblock.feature_ro_compat |= ReadOnlyCompatible::DIR_NLINK.bits();
                1
            }
            false => changed.max(2),
            true => changed,
        };
    }

    /// Gives an inode another name.
    ///
    /// # Errors
    /// As [`FileSystem::create`]; [`Error::IsDirectory`] for directories.
    pub fn link(
        &self,
        directory: InodeNumber,
        name: &[u8],
        target: InodeNumber,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut writer = self.writer()?;
        let parent = self.directory(directory, name)?;
        let node = self.node(target)?;
        let kind = node.read().file_type(target)?;
        if kind == FileType::Directory {
            return Err(Error::IsDirectory);
        }
        if node.read().inode.links_count == 0 {
            return Err(Error::NotFound);
        }
        self.check_link(&node.read(), kind)?;
        if self.child(&parent, name)?.is_some() {
            return Err(Error::Exists);
        }
        self.add_name(&mut writer, &parent, (name, target, kind), now)?;
        let mut state = node.write();
        state.inode.links_count += 1;
        state.inode.changed = now;
        self.nodes.mark_changed(&node, &mut state);
        Ok(())
    }

    /// Removes a name that is not a directory's. The inode stays while it has other names or is open.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`], and as [`FileSystem::create`].
    pub fn unlink(&self, directory: InodeNumber, name: &[u8], now: Timestamp) -> Result<(), Error> {
        let mut writer = self.writer()?;
        let parent = self.directory(directory, name)?;
        let child = self.child(&parent, name)?.ok_or(Error::NotFound)?;
        if child.kind == FileType::Directory {
            return Err(Error::IsDirectory);
        }
        self.remove_name(&parent, &child.entry, now)?;
        self.drop_link(&mut writer, &child.node, now)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDirectory`], [`Error::NotEmpty`], and as [`FileSystem::create`].
    pub fn remove_directory(
        &self,
        directory: InodeNumber,
        name: &[u8],
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut writer = self.writer()?;
        let parent = self.directory(directory, name)?;
        let child = self.child(&parent, name)?.ok_or(Error::NotFound)?;
        self.check_empty(&child)?;
        self.remove_name(&parent, &child.entry, now)?;
        self.drop_directory(&mut writer, &parent, &child.node, now)
    }

    fn check_empty(&self, child: &Child) -> Result<(), Error> {
        if child.kind != FileType::Directory {
            return Err(Error::NotDirectory);
        }
        let state = self.read_mapped_state(&child.node)?;
        let view = Directory {
            system: self,
            number: child.node.number,
            state: &state,
        };
        match view.is_empty()? {
            true => Ok(()),
            false => Err(Error::NotEmpty),
        }
    }

    /// Takes away the link of a name that was removed, and what it leads to if that was the last.
    pub(super) fn drop_link(
        &self,
        writer: &mut Writer,
        node: &Arc<Node>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut state = node.write();
        state.inode.links_count = state.inode.links_count.saturating_sub(1);
        state.inode.changed = now;
        self.nodes.mark_changed(node, &mut state);
        let links = state.inode.links_count;
        drop(state);
        match links {
            0 => self.drop_inode(writer, node, now),
            _ => Ok(()),
        }
    }

    /// Takes away a directory whose name was removed.
    fn drop_directory(
        &self,
        writer: &mut Writer,
        parent: &Arc<Node>,
        node: &Arc<Node>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut state = parent.write();
        self.change_links(writer, &mut state, -1);
        self.nodes.mark_changed(parent, &mut state);
        drop(state);
        let mut state = node.write();
        state.inode.links_count = 0;
        state.inode.changed = now;
        self.nodes.mark_changed(node, &mut state);
        drop(state);
        self.drop_inode(writer, node, now)
    }

    /// Moves a name to a directory, maybe the same.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Exists`] with [`RenameMode::KeepExisting`], [`Error::InvalidArgument`] for a directory that would be
    /// below itself, [`Error::IsDirectory`], [`Error::NotDirectory`] and [`Error::NotEmpty`] for a target that cannot be replaced, and as [`FileSystem::create`].
    pub fn rename(
        &self,
        (old_directory, old_name): (InodeNumber, &[u8]),
        (new_directory, new_name): (InodeNumber, &[u8]),
        mode: RenameMode,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut writer = self.writer()?;
        let old_parent = self.directory(old_directory, old_name)?;
        let new_parent = self.directory(new_directory, new_name)?;
        let source = self.child(&old_parent, old_name)?.ok_or(Error::NotFound)?;
        let target = self.child(&new_parent, new_name)?;
        self.check_not_below(&source, new_directory)?;
        match (mode, target) {
            (RenameMode::Exchange, None) => Err(Error::NotFound),
            (RenameMode::KeepExisting, Some(_)) => Err(Error::Exists),
            (RenameMode::Exchange, Some(target)) => {
                self.check_not_below(&target, old_directory)?;
                self.exchange(
                    &mut writer,
                    (&old_parent, &source),
                    (&new_parent, &target),
                    now,
                )
            }
            // Two names of one inode stay. POSIX: `rename()`.
            (_, Some(target)) if target.entry.inode == source.entry.inode => Ok(()),
            (_, Some(target)) => self.replace(
                &mut writer,
                (&old_parent, &source),
                (&new_parent, &target),
                now,
            ),
            (_, None) => {
                let is_directory = source.kind == FileType::Directory;
                let moves = is_directory && old_directory != new_directory;
                if moves {
                    self.check_link(&new_parent.read(), FileType::Directory)?;
                }
                let entry = (new_name, source.entry.inode, source.kind);
                self.add_name(&mut writer, &new_parent, entry, now)?;
                self.remove_moved(&old_parent, old_name, source.entry.inode, now)?;
                if moves {
                    self.change_links(&mut writer, &mut new_parent.write(), 1);
                    self.change_links(&mut writer, &mut old_parent.write(), -1);
                    self.set_parent(&source.node, new_directory)?;
                }
                self.touch_changed(&source.node, now);
                Ok(())
            }
        }
    }

    /// Removes a name after another was added, maybe to the same directory, where entries may have moved.
    pub(super) fn remove_moved(
        &self,
        directory: &Arc<Node>,
        name: &[u8],
        inode: InodeNumber,
        now: Timestamp,
    ) -> Result<(), Error> {
        let state = self.read_mapped_state(directory)?;
        let view = Directory {
            system: self,
            number: directory.number,
            state: &state,
        };
        let found = view.find(name)?.filter(|entry| entry.inode == inode);
        let found = found.ok_or(view.corrupt("a name is lost"))?;
        drop(state);
        self.remove_name(directory, &found, now)
    }

    fn touch_changed(&self, node: &Arc<Node>, now: Timestamp) {
        let mut state = node.write();
        state.inode.changed = now;
        self.nodes.mark_changed(node, &mut state);
    }

    /// Refuses to move a directory below itself.
    fn check_not_below(&self, moved: &Child, directory: InodeNumber) -> Result<(), Error> {
        if moved.kind != FileType::Directory {
            return Ok(());
        }
        let mut ancestor = directory;
        // A chain of parents is at most as long as there are inodes.
        for _ in 0..self.geometry.superblock.inodes_count {
            if ancestor == moved.node.number {
                return Err(Error::InvalidArgument);
            }
            if ancestor == InodeNumber::ROOT {
                return Ok(());
            }
            ancestor = self.parent(ancestor)?;
        }
        Err(Error::corrupt(
            crate::Place::Inode(directory),
            "a circle of directories",
        ))
    }

    fn replace(
        &self,
        writer: &mut Writer,
        (old_parent, source): (&Arc<Node>, &Child),
        (new_parent, target): (&Arc<Node>, &Child),
        now: Timestamp,
    ) -> Result<(), Error> {
        let is_directory = source.kind == FileType::Directory;
        match (is_directory, target.kind == FileType::Directory) {
            (true, _) => self.check_empty(target)?,
            (false, true) => return Err(Error::IsDirectory),
            (false, false) => {}
        }
        self.point(new_parent, &target.entry, source, now)?;
        // Found again: in one directory, both may lie in one block, but nothing has moved.
        self.remove_name(old_parent, &source.entry, now)?;
        if is_directory {
            if old_parent.number != new_parent.number {
                self.change_links(writer, &mut new_parent.write(), 1);
                self.change_links(writer, &mut old_parent.write(), -1);
                self.set_parent(&source.node, new_parent.number)?;
            }
            self.drop_directory(writer, new_parent, &target.node, now)?;
        } else {
            self.drop_link(writer, &target.node, now)?;
        }
        self.touch_changed(&source.node, now);
        Ok(())
    }

    fn exchange(
        &self,
        writer: &mut Writer,
        (old_parent, source): (&Arc<Node>, &Child),
        (new_parent, target): (&Arc<Node>, &Child),
        now: Timestamp,
    ) -> Result<(), Error> {
        self.point(new_parent, &target.entry, source, now)?;
        self.point(old_parent, &source.entry, target, now)?;
        if old_parent.number != new_parent.number {
            let ways = [
                (source, old_parent, new_parent),
                (target, new_parent, old_parent),
            ];
            for (child, from, to) in ways {
                if child.kind == FileType::Directory {
                    self.set_parent(&child.node, to.number)?;
                    self.change_links(writer, &mut to.write(), 1);
                    self.change_links(writer, &mut from.write(), -1);
                }
            }
        }
        self.touch_changed(&source.node, now);
        self.touch_changed(&target.node, now);
        Ok(())
    }

    /// Lets an entry lead to `child`.
    fn point(
        &self,
        directory: &Arc<Node>,
        entry: &FoundEntry,
        child: &Child,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut state = self.write_mapped_state(directory)?;
        let view = Directory {
            system: self,
            number: directory.number,
            state: &state,
        };
        self.replace_entry(&view, entry, child.node.number, child.kind)?;
        self.touch(directory, &mut state, now);
        Ok(())
    }

    /// Lets `..` of a directory lead to `parent`.
    pub(crate) fn set_parent(&self, node: &Arc<Node>, parent: InodeNumber) -> Result<(), Error> {
        let state = self.write_mapped_state(node)?;
        let view = Directory {
            system: self,
            number: node.number,
            state: &state,
        };
        let dots = view.find(b"..")?.ok_or(view.corrupt("no `..`"))?;
        self.replace_entry(&view, &dots, parent, FileType::Directory)
    }
}
