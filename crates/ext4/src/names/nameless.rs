//! Files that are made without a name, and may get one later. Linux: fs/ext4/namei.c `ext4_tmpfile()`.

use super::change::{NewInode, Ownership};
use crate::Error;
use crate::device::Device;
use crate::file_system::FileSystem;
use crate::layout::{FileType, InodeNumber, Timestamp};

impl<D: Device> FileSystem<D> {
    /// Makes a regular file without a name, near a directory. It is open, once: [`FileSystem::close_inode`] frees it, and so does the
    /// next mount, unless it has got a name until then.
    ///
    /// # Errors
    /// As [`FileSystem::create`].
    pub fn create_nameless(
        &self,
        directory: InodeNumber,
        ownership: Ownership,
        now: Timestamp,
    ) -> Result<InodeNumber, Error> {
        let mut writer = self.writer()?;
        let node = self.make_inode(&mut writer, directory, &NewInode::Regular, ownership, now)?;
        let number = node.number;
        self.open_inode(number)?;
        self.drop_link(&mut writer, &node, now)?;
        Ok(number)
    }

    /// Gives a file that was made without a name, and has none yet, its first one.
    ///
    /// # Errors
    /// As [`FileSystem::link`].
    pub fn link_nameless(
        &self,
        directory: InodeNumber,
        name: &[u8],
        target: InodeNumber,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut writer = self.writer()?;
        let parent = self.directory(directory, name)?;
        let node = self.node(target)?;
        if node.read().is_freed {
            return Err(Error::NotFound);
        }
        if self.child(&parent, name)?.is_some() {
            return Err(Error::Exists);
        }
        self.add_name(&mut writer, &parent, (name, target, FileType::Regular), now)?;
        writer.orphans.retain(|orphan| *orphan != target);
        writer.are_orphans_changed = true;
        let mut state = node.write();
        state.inode.links_count += 1;
        state.inode.changed = now;
        self.nodes.mark_changed(&node, &mut state);
        Ok(())
    }
}
