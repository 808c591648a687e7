//! Layers' tars, made part of a tree that is being built.

use std::sync::Arc;

use minke_archive::{ArchiveError, Change, Entries, Member, MemberKind};

use super::builder::{TreeBuilder, TreeEntry, TreeError, TreeKind, TreeOwner};
use super::{ByteRange, Bytes};
use crate::vfs::Timestamp;
use crate::vfs::device::device_number;

/// Why a layer could not be added.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl TreeBuilder {
    /// Adds all that a layer's tar has; an error comes with the offset of its header.
    pub fn add_layer(&mut self, bytes: &Arc<dyn Bytes>) -> Result<(), (usize, LayerError)> {
        let mut entries = Entries::new(bytes.as_slice());
        loop {
            let added = match entries.next_change() {
                Ok(Some(change)) => self.make(change, bytes),
                Ok(None) => return Ok(()),
                Err(error) => Err(error.into()),
            };
            added.map_err(|error| (entries.header_start(), error))?;
        }
    }

    fn make(&mut self, change: Change, bytes: &Arc<dyn Bytes>) -> Result<(), LayerError> {
        match change {
            Change::MakeOpaque(directory) => self.make_opaque(&directory)?,
            Change::WhiteOut(path) => self.white_out(&path)?,
            Change::Add(member) => self.add_member(&member, bytes)?,
        }
        Ok(())
    }

    fn add_member(&mut self, member: &Member, bytes: &Arc<dyn Bytes>) -> Result<(), LayerError> {
        let kind = match &member.kind {
            MemberKind::Regular(range) => {
                let content = ByteRange::new(Arc::clone(bytes), range.start, range.len());
                TreeKind::Regular(content.ok_or(ArchiveError::Truncated)?)
            }
            MemberKind::Directory => TreeKind::Directory,
            MemberKind::Symlink(target) => TreeKind::Symlink(target),
            MemberKind::HardLink(target) => TreeKind::HardLink(target),
            MemberKind::CharacterDevice { major, minor } => {
                TreeKind::CharacterDevice(device_number(*major, *minor))
            }
            MemberKind::BlockDevice { major, minor } => {
                TreeKind::BlockDevice(device_number(*major, *minor))
            }
            MemberKind::Fifo => TreeKind::Fifo,
        };
        let owner = TreeOwner {
            uid: member.uid,
            gid: member.gid,
            mode: member.mode,
            modified: Timestamp {
                seconds: member.modified.seconds,
                nanoseconds: member.modified.nanoseconds,
            },
        };
        let extended = member.extended.clone();
        let entry = TreeEntry {
            owner,
            kind,
            extended,
        };
        Ok(self.add(&member.path, entry)?)
    }
}
