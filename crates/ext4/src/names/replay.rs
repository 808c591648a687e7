//! Names that a journal adds and removes: what counts links, and what they lead to, is the journal's business.

use std::sync::Arc;

use super::directory::Directory;
use crate::Error;
use crate::device::Device;
use crate::file_system::FileSystem;
use crate::layout::directory::NAME_BYTES_MAX;
use crate::layout::{FileType, InodeNumber, Timestamp};
use crate::nodes::Node;

impl<D: Device> FileSystem<D> {
    /// Returns what a name leads to.
    pub(crate) fn named(
        &self,
        directory: &Node,
        name: &[u8],
    ) -> Result<Option<InodeNumber>, Error> {
        let state = self.read_directory_state(directory)?;
        let view = Directory {
            system: self,
            number: directory.number,
            state: &state,
        };
        let is_name = !name.is_empty()
            && name.len() <= NAME_BYTES_MAX
            && !matches!(name, b"." | b"..")
            && !name.iter().any(|byte| matches!(byte, b'/' | 0));
        if !is_name {
            return Err(view.corrupt("the journal has an impossible name"));
        }
        Ok(view.find(name)?.map(|entry| entry.inode))
    }

    /// Removes a name if it leads to `inode`, and returns whether it did.
    pub(crate) fn remove_name_of(
        &self,
        directory: &Arc<Node>,
        (name, inode): (&[u8], InodeNumber),
        now: Timestamp,
    ) -> Result<bool, Error> {
        if self.named(directory, name)? != Some(inode) {
            return Ok(false);
        }
        self.remove_moved(directory, name, inode, now)?;
        Ok(true)
    }

    /// Counts the directories in a directory.
    pub(crate) fn directories_in(&self, directory: InodeNumber) -> Result<u64, Error> {
        let mut count = 0;
        self.read_directory(directory, 0, &mut |entry| {
            count += u64::from(entry.file_type == FileType::Directory);
            true
        })?;
        Ok(count)
    }
}
