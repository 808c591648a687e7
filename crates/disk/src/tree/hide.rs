//! Removing trees: what makes room for something else, and what whiteouts hide.

use minke_archive::Whiteouts;
use minke_ext4::{Device, Error, FileSystem, FileType, InodeNumber, ListedEntry, Timestamp};

use super::import::{ImportError, ImportOptions, Importer};

/// What of a tree is left when it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    /// What this layer has brought, with the directories above it.
    Own,
}

/// A directory that is being emptied.
struct Frame {
    directory: InodeNumber,
    name: Vec<u8>,
    inode: InodeNumber,
    /// What was not looked at yet.
    entries: Vec<ListedEntry>,
}

/// Removes a name of a directory with all below it.
///
/// # Errors
/// [`ImportError::Disk`]; what was removed before stays so.
pub fn remove_tree<D: Device>(
    system: &FileSystem<D>,
    place: (InodeNumber, &[u8]),
    time: Timestamp,
) -> Result<(), ImportError> {
    let options = ImportOptions {
        directory: place.0,
        whiteouts: Whiteouts::Keep,
        time,
    };
    // Not finished: the directory gets a new time.
    Importer::new(system, &options).remove(place, Left::Nothing, place.1)
}

impl<D: Device> Importer<'_, D> {
    /// Removes what lower layers have in a directory.
    pub(super) fn hide_content(
        &mut self,
        directory: InodeNumber,
        path: &[u8],
    ) -> Result<(), ImportError> {
        for entry in self.entries(directory, path)? {
            self.remove((directory, &entry.name), Left::Own, path)?;
        }
        Ok(())
    }

    /// Removes a name with all below it, but for what is to be left. One that is not there is no error.
    pub(super) fn remove(
        &mut self,
        (directory, name): (InodeNumber, &[u8]),
        left: Left,
        path: &[u8],
    ) -> Result<(), ImportError> {
        let Some((inode, kind)) = self.find(directory, name, path)? else {
            return Ok(());
        };
        if kind != FileType::Directory {
            return self.remove_file((directory, name), left, path);
        }
        self.way.clear();
        let frame = self.frame(directory, name.to_vec(), inode, path)?;
        let mut frames = vec![frame];
        while let Some(frame) = frames.last_mut() {
            let Some(entry) = frame.entries.pop() else {
                let Some(frame) = frames.pop() else { break };
                self.remove_directory(&frame, left, path)?;
                continue;
            };
            let parent = frame.inode;
            match entry.file_type {
                FileType::Directory => {
                    let frame = self.frame(parent, entry.name, entry.inode, path)?;
                    frames.push(frame);
                }
                _ => self.remove_file((parent, &entry.name), left, path)?,
            }
        }
        Ok(())
    }

    fn frame(
        &mut self,
        directory: InodeNumber,
        name: Vec<u8>,
        inode: InodeNumber,
        path: &[u8],
    ) -> Result<Frame, ImportError> {
        Ok(Frame {
            entries: self.entries(inode, path)?,
            directory,
            name,
            inode,
        })
    }

    fn entries(
        &mut self,
        directory: InodeNumber,
        path: &[u8],
    ) -> Result<Vec<ListedEntry>, ImportError> {
        let mut entries = Vec::new();
        let listed = self.system.read_directory(directory, 0, &mut |entry| {
            entries.push(entry.clone());
            true
        });
        self.on(path, listed)?;
        self.charge(entries.len() + 1)?;
        Ok(entries)
    }

    fn remove_file(
        &mut self,
        (directory, name): (InodeNumber, &[u8]),
        left: Left,
        path: &[u8],
    ) -> Result<(), ImportError> {
        if left == Left::Own && !self.is_lower(directory, name) {
            return Ok(());
        }
        self.touch(directory, path)?;
        self.on(path, self.system.unlink(directory, name, self.time))
    }

    fn remove_directory(
        &mut self,
        frame: &Frame,
        left: Left,
        path: &[u8],
    ) -> Result<(), ImportError> {
        let Frame {
            directory, name, ..
        } = frame;
        if left == Left::Own && !self.is_lower(*directory, name) {
            return Ok(());
        }
        self.touch(*directory, path)?;
        match self.system.remove_directory(*directory, name, self.time) {
            // It has something of this layer.
            Err(Error::NotEmpty) if left == Left::Own => Ok(()),
            removed => {
                self.forget(frame.inode);
                self.on(path, removed)
            }
        }
    }
}
