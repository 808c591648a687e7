//! Extended attributes: entries at one end, values at the other, behind an inode's fields or in a block of their own.
//!
//! Spec: ext4 disk layout, "Extended Attributes".

use super::checksum::crc32c;
use super::fields::{Field, get, put};
use super::{LayoutError, corrupt};

/// `h_magic` of both places.
const ATTRIBUTES_MAGIC: u32 = 0xea02_0000;
/// Size of an attribute block's header.
pub const ATTRIBUTE_HEADER_BYTES: usize = 32;
/// Size of the header behind an inode's fields.
const INODE_HEADER_BYTES: usize = 4;
/// Size of an entry before its name.
const ENTRY_BYTES: usize = 16;
/// Where an attribute block's checksum lies.
const CHECKSUM_AT: usize = 0x10;
/// Values and entries begin at multiples of this.
const ALIGNMENT: usize = 4;

/// Prefixes of names by their `e_name_index`. Names that are wholly their prefix come before those that begin with it.
pub const NAME_PREFIXES: [(u8, &[u8]); 7] = [
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (8, b"system.richacl"),
    (1, b"user."),
    (4, b"trusted."),
    (6, b"security."),
    (7, b"system."),
];

/// An attribute as it is kept: its name's prefix is a number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attribute {
    /// See [`NAME_PREFIXES`]; 0: no prefix.
    pub name_index: u8,
    /// The name without its prefix.
    pub name: Vec<u8>,
    pub value: Vec<u8>,
}

impl Attribute {
    /// Bytes that the entry and the value take.
    pub fn size_bytes(&self) -> usize {
        entry_size(self.name.len()) + self.value.len().next_multiple_of(ALIGNMENT)
    }

    /// Returns `e_hash`. Linux: `ext4_xattr_hash_entry()` as the specification of the field describes it.
    fn hash(&self) -> u32 {
        let name = self
            .name
            .iter()
            .fold(0_u32, |sum, byte| sum.rotate_left(5) ^ u32::from(*byte));
        self.value.chunks(ALIGNMENT).fold(name, |sum, piece| {
            let mut word = [0; ALIGNMENT];
            word[..piece.len()].copy_from_slice(piece);
            sum.rotate_left(16) ^ u32::from_le_bytes(word)
        })
    }

    /// The order of a block's entries.
    fn order(&self) -> (u8, usize, &[u8]) {
        (self.name_index, self.name.len(), &self.name)
    }
}

fn entry_size(name_length: usize) -> usize {
    (ENTRY_BYTES + name_length).next_multiple_of(ALIGNMENT)
}

/// The header of an attribute block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributeHeader {
    /// How many inodes share the block.
    pub reference_count: u32,
    pub checksum: u32,
}

impl AttributeHeader {
    /// Parses the header of an attribute block.
    ///
    /// # Errors
    /// [`LayoutError`] for another magic number, or attributes of several blocks.
    pub fn parse(block: &[u8]) -> Result<AttributeHeader, LayoutError> {
        if get::<u32>(block, 0) != ATTRIBUTES_MAGIC || get::<u32>(block, 8) != 1 {
            return Err(corrupt("attribute block", "unknown header"));
        }
        Ok(AttributeHeader {
            reference_count: get(block, 4),
            checksum: get(block, CHECKSUM_AT),
        })
    }
}

/// Changes only how many inodes share an attribute block.
pub fn set_reference_count(block: &mut [u8], count: u32) {
    put(block, 4, count);
}

/// Parses the attributes of a block.
///
/// # Errors
/// [`LayoutError`] for a header or an entry that is not one, or values beyond the end.
pub fn parse_block_attributes(block: &[u8]) -> Result<Vec<Attribute>, LayoutError> {
    AttributeHeader::parse(block)?;
    parse_entries(block, ATTRIBUTE_HEADER_BYTES, 0)
}

/// Parses the attributes behind an inode's fields; there are none if no header is there.
///
/// # Errors
/// [`LayoutError`] for an entry that is not one, or values beyond the end.
pub fn parse_inode_attributes(tail: &[u8]) -> Result<Vec<Attribute>, LayoutError> {
    if tail.len() < INODE_HEADER_BYTES + 4 || get::<u32>(tail, 0) != ATTRIBUTES_MAGIC {
        return Ok(Vec::new());
    }
    parse_entries(tail, INODE_HEADER_BYTES, INODE_HEADER_BYTES)
}

/// Parses entries from `at` on; values' offsets count from `base`.
fn parse_entries(bytes: &[u8], mut at: usize, base: usize) -> Result<Vec<Attribute>, LayoutError> {
    let mut attributes = Vec::new();
    let mut value_bytes = 0;
    loop {
        if at + 4 > bytes.len() {
            return Err(corrupt("attributes", "entries without an end"));
        }
        if get::<u32>(bytes, at) == 0 {
            return Ok(attributes);
        }
        let (attribute, length) = parse_entry(bytes, at, base)?;
        // Values may be shared, but not so much that little becomes a lot.
        value_bytes += attribute.value.len();
        if value_bytes > bytes.len() {
            return Err(corrupt("attributes", "values overlap"));
        }
        attributes.push(attribute);
        at += length;
    }
}

fn parse_entry(bytes: &[u8], at: usize, base: usize) -> Result<(Attribute, usize), LayoutError> {
    let name_length = usize::from(bytes[at]);
    let length = entry_size(name_length);
    if at + length > bytes.len() {
        return Err(corrupt("attributes", "an entry beyond the end"));
    }
    if get::<u32>(bytes, at + 4) != 0 {
        return Err(LayoutError::Unsupported {
            what: "attribute value in an inode of its own".to_string(),
        });
    }
    let value_at = base + usize::from(get::<u16>(bytes, at + 2));
    let value_size = get::<u32>(bytes, at + 8) as usize;
    let value_end = value_at.checked_add(value_size);
    let value = value_end.and_then(|end| bytes.get(value_at..end));
    let value = match value_size {
        0 => &[],
        _ => value.ok_or(corrupt("attributes", "a value beyond the end"))?,
    };
    let name_at = at + ENTRY_BYTES;
    let attribute = Attribute {
        name_index: bytes[at + 1],
        name: bytes[name_at..name_at + name_length].to_vec(),
        value: value.to_vec(),
    };
    Ok((attribute, length))
}

/// Returns how many bytes of attributes fit into a block.
pub fn block_room(block_size: usize) -> usize {
    block_size - ATTRIBUTE_HEADER_BYTES - 4
}

/// Returns how many bytes of attributes fit behind an inode's fields.
pub fn inode_room(tail_size: usize) -> usize {
    tail_size.saturating_sub(INODE_HEADER_BYTES + 4)
}

/// Writes an attribute block with a reference count of 1, without its checksum.
///
/// # Panics
/// If they take more than [`block_room`].
pub fn write_block_attributes(block: &mut [u8], attributes: &mut [Attribute]) {
    attributes.sort_by(|a, b| a.order().cmp(&b.order()));
    block.fill(0);
    put(block, 0, ATTRIBUTES_MAGIC);
    put(block, 4, 1_u32);
    put(block, 8, 1_u32);
    write_entries(
        block,
        ATTRIBUTE_HEADER_BYTES,
        0,
        attributes,
        Attribute::hash,
    );
    let hash = attributes
        .iter()
        .fold(0_u32, |sum, it| sum.rotate_left(16) ^ it.hash());
    let is_hashed = attributes.iter().all(|it| it.hash() != 0);
    put(block, 0xc, if is_hashed { hash } else { 0 });
}

/// Writes attributes behind an inode's fields.
///
/// # Panics
/// If they take more than [`inode_room`].
pub fn write_inode_attributes(tail: &mut [u8], attributes: &[Attribute]) {
    tail.fill(0);
    if !attributes.is_empty() {
        put(tail, 0, ATTRIBUTES_MAGIC);
        write_entries(
            tail,
            INODE_HEADER_BYTES,
            INODE_HEADER_BYTES,
            attributes,
            |_| 0,
        );
    }
}

fn write_entries(
    bytes: &mut [u8],
    mut at: usize,
    base: usize,
    attributes: &[Attribute],
    hash: fn(&Attribute) -> u32,
) {
    let mut values_at = bytes.len();
    for attribute in attributes {
        values_at -= attribute.value.len().next_multiple_of(ALIGNMENT);
        let has_value = !attribute.value.is_empty();
        bytes[at] = attribute.name.len() as u8;
        bytes[at + 1] = attribute.name_index;
        put(
            bytes,
            at + 2,
            if has_value {
                (values_at - base) as u16
            } else {
                0
            },
        );
        put(bytes, at + 8, attribute.value.len() as u32);
        put(bytes, at + 12, hash(attribute));
        bytes[at + ENTRY_BYTES..][..attribute.name.len()].copy_from_slice(&attribute.name);
        bytes[values_at..][..attribute.value.len()].copy_from_slice(&attribute.value);
        at += entry_size(attribute.name.len());
        assert!(at + 4 <= values_at, "the caller has compared with the room");
    }
}

/// Returns the checksum of attribute block number `number`, whatever its field for it holds.
pub fn attribute_block_checksum(metadata_seed: u32, number: u64, block: &[u8]) -> u32 {
    let sum = crc32c(metadata_seed, &number.to_le_bytes());
    let sum = crc32c(crc32c(sum, &block[..CHECKSUM_AT]), &[0; 4]);
    crc32c(sum, &block[CHECKSUM_AT + 4..])
}

/// Writes the checksum of attribute block number `number`.
pub fn seal_attribute_block(metadata_seed: u32, number: u64, block: &mut [u8]) {
    attribute_block_checksum(metadata_seed, number, block).put_little(block, CHECKSUM_AT);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(name_index: u8, name: &[u8], value: &[u8]) -> Attribute {
        Attribute {
            name_index,
            name: name.to_vec(),
            value: value.to_vec(),
        }
    }

    #[test]
    fn attributes_are_read_back_as_they_were_written() {
        let mut attributes = vec![
            attribute(6, b"capability", &[1; 20]),
            attribute(1, b"long", &[2; 33]),
            attribute(1, b"b", b""),
        ];
        let mut tail = [0; 128];
        assert!(
            attributes.iter().map(Attribute::size_bytes).sum::<usize>()
                <= inode_room(tail.len()) + 32
        );
        write_inode_attributes(&mut tail, &attributes[..2]);
        assert_eq!(parse_inode_attributes(&tail).unwrap(), attributes[..2]);
        let mut block = [0; 1024];
        write_block_attributes(&mut block, &mut attributes);
        assert_eq!(parse_block_attributes(&block).unwrap(), attributes);
        assert_eq!(attributes[0].name, b"b");
    }

    #[test]
    fn attributes_that_just_fit_are_written() {
        let mut block = [0; 1024];
        let size = block_room(block.len()) - entry_size(4);
        write_block_attributes(&mut block, &mut [attribute(1, b"name", &vec![3; size])]);
        assert_eq!(parse_block_attributes(&block).unwrap()[0].value.len(), size);
    }

    #[test]
    fn values_beyond_the_end_are_refused() {
        let mut tail = [0; 64];
        write_inode_attributes(&mut tail, &[attribute(1, b"a", b"value")]);
        put(&mut tail, 4 + 8, u32::MAX);
        assert!(parse_inode_attributes(&tail).is_err());
    }
}
