//! Extended attributes, and the attributes that every inode has.
//!
//! Spec: ext4 disk layout, "Extended Attributes"; `xattr(7)`; POSIX.1e, draft 17, 23 for the meaning of access control lists.

use std::sync::Arc;

use crate::allocator::{Funds, Writer};
use crate::blocks::Seal;
use crate::device::Device;
use crate::file_system::FileSystem;
use crate::layout::attribute::{
    Attribute, AttributeHeader, NAME_PREFIXES, attribute_block_checksum, block_room, inode_room,
    parse_block_attributes, parse_inode_attributes, set_reference_count, write_block_attributes,
    write_inode_attributes,
};
use crate::layout::features::Compatible;
use crate::layout::{InodeNumber, Timestamp};
use crate::nodes::{Node, NodeState};
use crate::{Error, Place};

/// Indexes of names that are access control lists, which are kept in a shorter form.
const ACCESS_LISTS: [u8; 2] = [2, 3];

/// What to change of an inode's attributes; `None` keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributeChange {
    /// The low twelve bits of `st_mode`.
    pub mode: Option<u16>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub accessed: Option<Timestamp>,
    pub modified: Option<Timestamp>,
}

/// What must be so of an attribute that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeMode {
    /// Either is right.
    Any,
    /// It must not exist. Linux: `XATTR_CREATE`.
    Create,
    /// It must exist. Linux: `XATTR_REPLACE`.
    Replace,
}

impl<D: Device> FileSystem<D> {
    /// Changes attributes of an inode. The change time becomes `now`.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], and those of broken images.
    pub fn set_attributes(
        &self,
        number: InodeNumber,
        change: &AttributeChange,
        now: Timestamp,
    ) -> Result<(), Error> {
        if !self.is_writable() {
            return Err(Error::ReadOnly);
        }
        let node = self.node(number)?;
        let mut state = node.write();
        if state.is_freed {
            return Err(Error::NotFound);
        }
        let inode = &mut state.inode;
        if let Some(mode) = change.mode {
            inode.mode = inode.mode & 0xf000 | mode & 0xfff;
        }
        inode.uid = change.uid.unwrap_or(inode.uid);
        inode.gid = change.gid.unwrap_or(inode.gid);
        inode.accessed = change.accessed.unwrap_or(inode.accessed);
        inode.modified = change.modified.unwrap_or(inode.modified);
        inode.changed = now;
        self.nodes.mark_changed(&node, &mut state);
        Ok(())
    }

    /// Notes when an inode was last read, and changes nothing else of it.
    ///
    /// # Errors
    /// As [`FileSystem::set_attributes`].
    pub fn set_accessed(&self, number: InodeNumber, accessed: Timestamp) -> Result<(), Error> {
        if !self.is_writable() {
            return Err(Error::ReadOnly);
        }
        let node = self.node(number)?;
        let mut state = node.write();
        if state.is_freed {
            return Err(Error::NotFound);
        }
        state.inode.accessed = accessed;
        self.nodes.mark_changed(&node, &mut state);
        Ok(())
    }

    /// Returns the names of the extended attributes, such as `user.mime_type`.
    ///
    /// # Errors
    /// Those of broken images.
    pub fn extended_attributes(&self, number: InodeNumber) -> Result<Vec<Vec<u8>>, Error> {
        let node = self.node(number)?;
        let state = node.read();
        let all = self.all_attributes(number, &state)?;
        Ok(all.iter().map(full_name).collect())
    }

    /// Returns the value of an extended attribute.
    ///
    /// # Errors
    /// [`Error::NoAttribute`], and those of broken images.
    pub fn extended_attribute(&self, number: InodeNumber, name: &[u8]) -> Result<Vec<u8>, Error> {
        let (index, rest) = split_name(name);
        let node = self.node(number)?;
        let state = node.read();
        let all = self.all_attributes(number, &state)?;
        let found = all
            .into_iter()
            .find(|it| it.name_index == index && it.name == rest);
        let found = found.ok_or(Error::NoAttribute)?;
        match ACCESS_LISTS.contains(&index) {
            true => unpack_access_list(&found.value).ok_or(Error::corrupt(
                Place::Inode(number),
                "a broken access control list",
            )),
            false => Ok(found.value),
        }
    }

    /// Returns the attributes behind the inode's fields, then those of its block.
    fn all_attributes(
        &self,
        number: InodeNumber,
        state: &NodeState,
    ) -> Result<Vec<Attribute>, Error> {
        let (mut all, block) = self.attributes_by_place(number, state)?;
        all.extend(block);
        Ok(all)
    }

    fn attributes_by_place(
        &self,
        number: InodeNumber,
        state: &NodeState,
    ) -> Result<(Vec<Attribute>, Vec<Attribute>), Error> {
        let inside = parse_inode_attributes(&state.inode.tail)
            .map_err(Error::layout(Place::Inode(number)))?;
        let block = match state.inode.attributes_block {
            0 => Vec::new(),
            block => {
                let bytes = self.attribute_block(block)?;
                parse_block_attributes(&bytes).map_err(Error::layout(Place::Block(block)))?
            }
        };
        Ok((inside, block))
    }

    fn attribute_block(&self, block: u64) -> Result<Arc<[u8]>, Error> {
        if !self.geometry.is_block(block) {
            return Err(Error::corrupt(Place::Block(block), "attributes outside"));
        }
        self.blocks.get(block, |bytes| {
            let header =
                AttributeHeader::parse(bytes).map_err(Error::layout(Place::Block(block)))?;
            let sum = attribute_block_checksum(self.geometry.metadata_seed, block, bytes);
            match !self.geometry.has_checksums || header.checksum == sum {
                true => Ok(()),
                false => Err(Error::corrupt(
                    Place::Block(block),
                    "wrong checksum of attributes",
                )),
            }
        })
    }

    /// Sets an extended attribute.
    ///
    /// # Errors
    /// [`Error::Exists`] and [`Error::NoAttribute`] as `mode` asks for, [`Error::NameTooLong`], [`Error::AttributesTooLarge`],
    /// [`Error::InvalidArgument`] for an access control list that is none, [`Error::NoSpace`], [`Error::ReadOnly`], and those of broken images.
    pub fn set_extended_attribute(
        &self,
        number: InodeNumber,
        name: &[u8],
        value: &[u8],
        mode: AttributeMode,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (name_index, rest) = split_name(name);
        if rest.len() > 255 {
            return Err(Error::NameTooLong);
        }
        let value = match ACCESS_LISTS.contains(&name_index) {
            true => pack_access_list(value).ok_or(Error::InvalidArgument)?,
            false => value.to_vec(),
        };
        let new = Attribute {
            name_index,
            name: rest.to_vec(),
            value,
        };
        self.change_attributes(number, &new, now, |inside, block| {
            let is_same = |it: &Attribute| it.name_index == new.name_index && it.name == new.name;
            let exists = inside.iter().chain(block.iter()).any(is_same);
            match mode {
                AttributeMode::Create if exists => return Err(Error::Exists),
                AttributeMode::Replace if !exists => return Err(Error::NoAttribute),
                _ => {}
            }
            inside.retain(|it| !is_same(it));
            block.retain(|it| !is_same(it));
            Ok(true)
        })
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// [`Error::NoAttribute`], and as [`FileSystem::set_extended_attribute`].
    pub fn remove_extended_attribute(
        &self,
        number: InodeNumber,
        name: &[u8],
        now: Timestamp,
    ) -> Result<(), Error> {
        let (name_index, rest) = split_name(name);
        let old = Attribute {
            name_index,
            name: rest.to_vec(),
            value: Vec::new(),
        };
        self.change_attributes(number, &old, now, |inside, block| {
            let before = inside.len() + block.len();
            let is_other = |it: &Attribute| it.name_index != old.name_index || it.name != old.name;
            inside.retain(is_other);
            block.retain(is_other);
            match before == inside.len() + block.len() {
                true => Err(Error::NoAttribute),
                false => Ok(false),
            }
        })
    }

    /// Lets `edit` change the attributes of both places, and adds `new` where it fits if `edit` says `true`.
    fn change_attributes(
        &self,
        number: InodeNumber,
        new: &Attribute,
        now: Timestamp,
        edit: impl FnOnce(&mut Vec<Attribute>, &mut Vec<Attribute>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let mut writer = self.writer()?;
        let node = self.node(number)?;
        let mut state = node.write();
        if state.is_freed {
            return Err(Error::NotFound);
        }
        let (mut inside, mut block) = self.attributes_by_place(number, &state)?;
        let block_before = block.clone();
        if edit(&mut inside, &mut block)? {
            let size = |all: &[Attribute]| all.iter().map(Attribute::size_bytes).sum::<usize>();
            if size(&inside) + new.size_bytes() <= inode_room(state.inode.tail.len()) {
                inside.push(new.clone());
            } else if size(&block) + new.size_bytes() <= block_room(self.geometry.block_size) {
                block.push(new.clone());
            } else {
                return Err(Error::AttributesTooLarge);
            }
        }
        if block != block_before {
            self.store_attribute_block(&mut writer, &node, &mut state, block)?;
        }
        write_inode_attributes(&mut state.inode.tail, &inside);
        state.inode.changed = now;
        self.nodes.mark_changed(&node, &mut state);
        Ok(())
    }

    /// Writes an inode's attribute block: a new one if others share the old one, none if it would be empty.
    fn store_attribute_block(
        &self,
        writer: &mut Writer,
        node: &Node,
        state: &mut NodeState,
        mut attributes: Vec<Attribute>,
    ) -> Result<(), Error> {
        if attributes.is_empty() {
            return self.drop_attribute_block(writer, state);
        }
        let old = state.inode.attributes_block;
        let is_shared = match old {
            0 => true,
            block => {
                let bytes = self.attribute_block(block)?;
                let header =
                    AttributeHeader::parse(&bytes).map_err(Error::layout(Place::Block(block)))?;
                header.reference_count > 1
            }
        };
        let mut place = old;
        if is_shared {
            let group = (node.number.0 - 1) / self.geometry.superblock.inodes_per_group;
            (place, _) = self.allocate(writer, self.geometry.group_start(group), 1, Funds::Free)?;
            self.drop_attribute_block(writer, state)?;
            self.add_blocks(state, 1);
        }
        let mut bytes = vec![0; self.geometry.block_size];
        write_block_attributes(&mut bytes, &mut attributes);
        self.blocks
            .put(place, Seal::Attributes(self.geometry.metadata_seed), bytes);
        state.inode.attributes_block = place;
        let features = Compatible::EXT_ATTR.bits();
        if writer.superblock.feature_compat & features == 0 {
            writer.superblock.feature_compat |= features;
            writer.is_changed = true;
        }
        Ok(())
    }

    /// Takes an inode's attribute block from it, and frees it if nobody shares it.
    pub(crate) fn drop_attribute_block(
        &self,
        writer: &mut Writer,
        state: &mut NodeState,
    ) -> Result<(), Error> {
        let block = state.inode.attributes_block;
        if block == 0 {
            return Ok(());
        }
        let bytes = self.attribute_block(block)?;
        let header = AttributeHeader::parse(&bytes).map_err(Error::layout(Place::Block(block)))?;
        drop(bytes);
        state.inode.attributes_block = 0;
        self.add_blocks(state, -1);
        if header.reference_count > 1 {
            let seal = Seal::Attributes(self.geometry.metadata_seed);
            return self.blocks.change(block, seal, |bytes| {
                set_reference_count(bytes, header.reference_count - 1);
            });
        }
        self.free(writer, block, 1)
    }
}

/// Splits a name into its prefix's number and the rest.
fn split_name(name: &[u8]) -> (u8, &[u8]) {
    for (index, prefix) in NAME_PREFIXES {
        let is_whole = !prefix.ends_with(b".");
        if let Some(rest) = name.strip_prefix(prefix)
            && rest.is_empty() == is_whole
        {
            return (index, rest);
        }
    }
    (0, name)
}

fn full_name(attribute: &Attribute) -> Vec<u8> {
    let prefix = NAME_PREFIXES
        .iter()
        .find(|(index, _)| *index == attribute.name_index);
    let mut name = prefix.map_or(Vec::new(), |(_, prefix)| prefix.to_vec());
    name.extend_from_slice(&attribute.name);
    name
}

/// Tags of entries that name somebody. Linux: `ACL_USER`, `ACL_GROUP`.
const NAMED_TAGS: [u16; 2] = [2, 8];
/// `ACL_UNDEFINED_ID`.
const NOBODY: u32 = u32::MAX;

/// Turns an access control list into the form of `getxattr(2)`: version 2, entries of 8 bytes.
fn unpack_access_list(mut packed: &[u8]) -> Option<Vec<u8>> {
    packed = packed.strip_prefix(&1_u32.to_le_bytes())?;
    let mut list = 2_u32.to_le_bytes().to_vec();
    while let Some((head, rest)) = packed.split_first_chunk::<4>() {
        list.extend_from_slice(head);
        let is_named = NAMED_TAGS.contains(&u16::from_le_bytes([head[0], head[1]]));
        let (id, rest) = if is_named {
            rest.split_first_chunk::<4>()?
        } else {
            (&NOBODY.to_le_bytes(), rest)
        };
        list.extend_from_slice(id);
        packed = rest;
    }
    packed.is_empty().then_some(list)
}

/// Turns an access control list from the form of `setxattr(2)` into the device's: version 1, identifiers only where they mean something.
fn pack_access_list(list: &[u8]) -> Option<Vec<u8>> {
    let entries = list.strip_prefix(&2_u32.to_le_bytes())?;
    let (entries, rest) = entries.as_chunks::<8>();
    let mut packed = 1_u32.to_le_bytes().to_vec();
    for entry in entries {
        let is_named = NAMED_TAGS.contains(&u16::from_le_bytes([entry[0], entry[1]]));
        packed.extend_from_slice(if is_named { entry } else { &entry[..4] });
    }
    rest.is_empty().then_some(packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_control_lists_survive_their_shorter_form() {
        let mut list = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in [
            (1_u16, 6_u16, NOBODY),
            (2, 4, 1000),
            (4, 4, NOBODY),
            (0x20, 0, NOBODY),
        ] {
            list.extend_from_slice(&tag.to_le_bytes());
            list.extend_from_slice(&permissions.to_le_bytes());
            list.extend_from_slice(&id.to_le_bytes());
        }
        let packed = pack_access_list(&list).unwrap();
        assert_eq!(packed.len(), 4 + 3 * 4 + 8);
        assert_eq!(unpack_access_list(&packed).unwrap(), list);
        assert_eq!(pack_access_list(&list[..9]), None);
    }

    #[test]
    fn names_are_split_at_their_prefix_and_joined_again() {
        for name in [
            "user.a",
            "system.posix_acl_access",
            "security.capability",
            "odd",
            "system.x",
            "user.",
        ] {
            let (name_index, rest) = split_name(name.as_bytes());
            let attribute = Attribute {
                name_index,
                name: rest.to_vec(),
                value: Vec::new(),
            };
            assert_eq!(full_name(&attribute), name.as_bytes());
        }
    }
}
