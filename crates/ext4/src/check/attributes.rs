//! Extended attributes: behind inodes' fields, and in blocks that inodes may share.

use super::fault::{FaultKind, FaultPlace, Mismatch};
use super::{AttributeUse, CheckError, Checker};
use crate::layout::attribute::{
    AttributeHeader, attribute_block_checksum, parse_block_attributes, parse_inode_attributes,
};
use crate::layout::{Inode, InodeNumber};

/// Inodes that may share a block: Linux's `EXT4_XATTR_REFCOUNT_MAX`.
const REFERENCES_MAX: u32 = 1024;

impl Checker<'_> {
    /// Checks an inode's attributes; returns how many blocks they take.
    pub(super) fn check_attributes(
        &mut self,
        number: InodeNumber,
        inode: &Inode,
    ) -> Result<u64, CheckError> {
        if let Err(error) = parse_inode_attributes(&inode.tail) {
            self.fault(FaultPlace::Inode(number), FaultKind::Layout(error));
        }
        let block = inode.attributes_block;
        if block == 0 {
            return Ok(0);
        }
        if let Some(known) = self.attribute_blocks.get_mut(&block) {
            known.found += 1;
            return Ok(1);
        }
        if self.claim(number, "attribute block", block, 1) {
            self.check_attribute_block(number, block)?;
        }
        Ok(1)
    }

    fn check_attribute_block(&mut self, inode: InodeNumber, number: u64) -> Result<(), CheckError> {
        let place = FaultPlace::InodeBlock {
            inode,
            block: number,
        };
        let block = self.volume.block(number)?;
        let mut stored = 1;
        match AttributeHeader::parse(&block) {
            Ok(header) => {
                stored = header.reference_count;
                let sum = attribute_block_checksum(self.volume.seed, number, &block);
                if self.volume.has_checksums && header.checksum != sum {
                    self.inode_block_checksum(inode, number, "attribute block");
                }
                if let Err(error) = parse_block_attributes(&block) {
                    self.fault(place, FaultKind::Layout(error));
                }
            }
            Err(error) => self.fault(place, FaultKind::Layout(error)),
        }
        self.attribute_blocks.insert(
            number,
            AttributeUse {
                found: 1,
                stored,
                inode,
            },
        );
        Ok(())
    }

    /// Compares how many inodes were found to use each block with what it says.
    pub(super) fn check_attribute_counts(&mut self) {
        let blocks = std::mem::take(&mut self.attribute_blocks);
        let mut wrong: Vec<_> = blocks
            .into_iter()
            .filter(|(_, it)| it.found != it.stored || it.stored > REFERENCES_MAX)
            .collect();
        wrong.sort_unstable_by_key(|(block, _)| *block);
        for (
            block,
            AttributeUse {
                found,
                stored,
                inode,
            },
        ) in wrong
        {
            let count = Mismatch {
                stored: stored.into(),
                found: found.into(),
            };
            let what = "number of inodes that share it";
            self.fault(
                FaultPlace::InodeBlock { inode, block },
                FaultKind::WrongCount { what, count },
            );
        }
    }
}
