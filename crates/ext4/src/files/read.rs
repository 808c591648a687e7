//! Reading content: from blocks in memory, the device, or in place.

use crate::device::Device;
use crate::file_system::{FileSystem, is_fast_symlink};
use crate::layout::extent::Extent;
use crate::layout::{FileType, InodeNumber};
use crate::nodes::{InodeHandle, NodeState};
use crate::{Error, Place};

/// Longest target of a symbolic link. Linux: `PATH_MAX`.
pub(crate) const TARGET_BYTES_MAX: u64 = 4096;

/// What is at some place of a file.
enum Piece<'a> {
    /// In memory, from a byte of the block on.
    Page(&'a [u8]),
    /// On the device, from a byte of the run's first block on.
    Blocks(Extent, usize),
    /// Nothing: zeros.
    Hole,
}

impl<D: Device> FileSystem<D> {
    /// Reads from byte `offset` of a regular file on, and returns how many bytes there were: fewer than asked for only at the end.
    ///
    /// # Errors
    /// [`Error::IsDirectory`], [`Error::InvalidArgument`] for what has no content, and those of broken images.
    pub fn read(
        &self,
        number: InodeNumber,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Error> {
        self.read_from(&self.inode(number)?, offset, buffer)
    }

    /// Reads from byte `offset` of a regular file on, as [`FileSystem::read`].
    ///
    /// # Errors
    /// As [`FileSystem::read`].
    pub fn read_from(
        &self,
        InodeHandle(node): &InodeHandle,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Error> {
        let state = self.read_mapped_state(node)?;
        match state.file_type(node.number)? {
            FileType::Regular => {}
            FileType::Directory => return Err(Error::IsDirectory),
            _ => return Err(Error::InvalidArgument),
        }
        let length = state
            .inode
            .size
            .saturating_sub(offset)
            .min(buffer.len() as u64) as usize;
        let target = &mut buffer[..length];
        match self.piece(&state, offset, length) {
            (Piece::Page(bytes), count) if count == length => {
                target.copy_from_slice(&bytes[..length]);
                return Ok(length);
            }
            (Piece::Blocks(run, at), count) if count == length => {
                let done = self.blocks.read_kept(run.physical, at, target);
                if done == length {
                    return Ok(length);
                }
                let mapped = self.blocks.mapped(run.physical, at, length);
                if let Some(bytes) = mapped.filter(|bytes| bytes.len() == length) {
                    // They stay as they are: no writer has to wait while they are copied, and maybe fetched from the host's disk.
                    drop(state);
                    target.copy_from_slice(bytes);
                    return Ok(length);
                }
            }
            _ => {}
        }
        self.read_content(&state, offset, target)
    }

    fn read_content(
        &self,
        state: &NodeState,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Error> {
        let length = state
            .inode
            .size
            .saturating_sub(offset)
            .min(buffer.len() as u64) as usize;
        let mut done = 0;
        while done < length {
            let target = &mut buffer[done..length];
            let (piece, count) = self.piece(state, offset + done as u64, target.len());
            let target = &mut target[..count];
            match piece {
                Piece::Page(bytes) => target.copy_from_slice(&bytes[..count]),
                Piece::Hole => target.fill(0),
                Piece::Blocks(run, at) => self.blocks.read_content(run.physical, at, target)?,
            }
            done += count;
        }
        Ok(length)
    }

    /// Returns what is at `offset`, and for how many bytes, at most `length`.
    fn piece<'a>(&self, state: &'a NodeState, offset: u64, length: usize) -> (Piece<'a>, usize) {
        let size = self.geometry.block_size;
        let (logical, at) = ((offset / size as u64), (offset % size as u64) as usize);
        let in_blocks = |count: u32| (count as usize).saturating_mul(size) - at;
        // Nothing is mapped so far behind.
        let Ok(logical) = u32::try_from(logical) else {
            return (Piece::Hole, length);
        };
        if let Some(page) = state.pages.get(&logical) {
            return (Piece::Page(&page[at..]), length.min(size - at));
        }
        let until_page = match state.pages.range(logical..).next() {
            Some((next, _)) => in_blocks(next - logical),
            None => length,
        };
        let (piece, until_end) = match state.map().find(logical) {
            Some(run) if run.is_unwritten => (Piece::Hole, in_blocks(run.count)),
            Some(run) => (Piece::Blocks(run, at), in_blocks(run.count)),
            None => {
                let hole = state.map().hole_length(logical, u32::MAX - logical);
                (Piece::Hole, in_blocks(hole.max(1)))
            }
        };
        (piece, length.min(until_page).min(until_end))
    }

    /// Returns content from byte `offset` on in place, without copying: as many bytes, at most `length`, as lie in one piece on a
    /// device that maps them, and were not changed. They stay as they are, whatever is written later. `None`: use [`FileSystem::read`].
    ///
    /// # Errors
    /// As [`FileSystem::read`].
    pub fn read_mapped(
        &self,
        number: InodeNumber,
        offset: u64,
        length: usize,
    ) -> Result<Option<&[u8]>, Error> {
        let node = self.node(number)?;
        let state = self.read_mapped_state(&node)?;
        if state.file_type(number)? != FileType::Regular {
            return Err(Error::InvalidArgument);
        }
        let length = state.inode.size.saturating_sub(offset).min(length as u64) as usize;
        if length == 0 {
            return Ok(None);
        }
        match self.piece(&state, offset, length) {
            (Piece::Blocks(run, at), count) => Ok(self.blocks.mapped(run.physical, at, count)),
            _ => Ok(None),
        }
    }

    /// Returns the target of a symbolic link.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for anything else, and those of broken images.
    pub fn read_link(&self, number: InodeNumber) -> Result<Vec<u8>, Error> {
        let node = self.node(number)?;
        let state = node.read();
        if state.file_type(number)? != FileType::Symlink {
            return Err(Error::InvalidArgument);
        }
        let size = state.inode.size;
        if is_fast_symlink(&state.inode, &self.geometry) {
            return Ok(state.inode.map[..size as usize].to_vec());
        }
        if size > TARGET_BYTES_MAX {
            return Err(Error::corrupt(
                Place::Inode(number),
                "a symbolic link that is too long",
            ));
        }
        drop(state);
        let state = self.read_mapped_state(&node)?;
        let mut target = vec![0; size as usize];
        let length = self.read_content(&state, 0, &mut target)?;
        target.truncate(length);
        Ok(target)
    }
}
