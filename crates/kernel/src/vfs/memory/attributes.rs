//! Attributes of a node: owner, mode, times, links, extended attributes.

use std::collections::BTreeMap;

use minke_abi::linux::FileType;
use minke_abi::{Errno, Result};

use super::Shared;
use crate::kernel::Use;
use crate::vfs::permission::{MODE_MASK, without_set_id};
use crate::vfs::{AttributeChange, Inode, Permissions, Timestamp};

/// Bytes of names and values of one inode's extended attributes. Linux: an ext4 block, or
/// `XATTR_SIZE_MAX` for one value; bounds what they cost.
const EXTENDED_BYTES_MAX: usize = 65_536;

/// Names and values of extended attributes.
pub(super) type Extended = BTreeMap<Vec<u8>, Vec<u8>>;

/// What `stat` shows of a node beside its size.
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) links: u32,
    pub(super) accessed: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) changed: Timestamp,
    extended: Option<Box<Extended>>,
    /// Bytes of `extended` that the container was charged for.
    extended_charged: u64,
}

impl Attributes {
    /// Attributes of something new.
    pub(super) fn new(now: Timestamp, uid: u32, gid: u32, mode: u32, kind: FileType) -> Attributes {
        Attributes {
            mode: mode & MODE_MASK,
            uid,
            gid,
            links: if kind == FileType::Directory { 2 } else { 1 },
            accessed: now,
            modified: now,
            changed: now,
            extended: None,
            extended_charged: 0,
        }
    }

    /// Attributes of a lower inode.
    pub(super) fn from_lower(lower: &dyn Inode) -> Result<Attributes> {
        let metadata = lower.metadata()?;
        let mut extended = Extended::new();
        for name in lower.extended_attributes()? {
            let value = lower.extended_attribute(&name)?;
            extended.insert(name, value);
        }
        Ok(Attributes {
            mode: metadata.mode,
            uid: metadata.uid,
            gid: metadata.gid,
            links: metadata.links,
            accessed: metadata.accessed,
            modified: metadata.modified,
            changed: metadata.changed,
            extended: (!extended.is_empty()).then(|| Box::new(extended)),
            extended_charged: 0,
        })
    }

    pub(super) fn permissions(&self) -> Permissions {
        Permissions {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
        }
    }

    /// Notes that content changed; set-id bits go, whoever wrote.
    pub(super) fn note_write(&mut self, now: Timestamp) {
        self.modified = now;
        self.changed = now;
        self.mode = without_set_id(self.mode);
    }

    /// Notes that a directory's entries changed.
    pub(super) fn note_entries(&mut self, now: Timestamp) {
        self.modified = now;
        self.changed = now;
    }

    pub(super) fn apply(&mut self, change: &AttributeChange, now: Timestamp) {
        self.mode = change.mode.unwrap_or(self.mode) & MODE_MASK;
        self.uid = change.uid.unwrap_or(self.uid);
        self.gid = change.gid.unwrap_or(self.gid);
        self.accessed = change.accessed.unwrap_or(self.accessed);
        self.modified = change.modified.unwrap_or(self.modified);
        self.changed = now;
        if change.size.is_some() && change.modified.is_none() {
            self.modified = now;
        }
    }

    pub(super) fn extended_value(&self, name: &[u8]) -> Result<Vec<u8>> {
        let value = self.extended.as_ref().and_then(|all| all.get(name));
        value.cloned().ok_or(Errno::ENODATA)
    }

    pub(super) fn extended_names(&self) -> Vec<Vec<u8>> {
        let names = self.extended.iter().flat_map(|all| all.keys());
        names.cloned().collect()
    }

    /// Sets or removes an extended attribute; `ENOSPC` over the limit of one inode.
    pub(super) fn set_extended(
        &mut self,
        name: &[u8],
        value: Option<&[u8]>,
        shared: &Shared,
    ) -> Result<()> {
        let mut all = self.extended.as_deref().cloned().unwrap_or_default();
        match value {
            Some(value) => drop(all.insert(name.to_vec(), value.to_vec())),
            None => drop(all.remove(name).ok_or(Errno::ENODATA)?),
        }
        let bytes: usize = all
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if bytes > EXTENDED_BYTES_MAX {
            return Err(Errno::ENOSPC);
        }
        shared.budget.charge_for(Use::Kernel, bytes as u64)?;
        shared
            .budget
            .release_for(Use::Kernel, self.extended_charged);
        self.extended_charged = bytes as u64;
        self.extended = (!all.is_empty()).then(|| Box::new(all));
        Ok(())
    }

    /// Gives the memory of extended attributes back.
    pub(super) fn release(&mut self, shared: &Shared) {
        shared
            .budget
            .release_for(Use::Kernel, std::mem::take(&mut self.extended_charged));
    }
}
