//! Feature flags of the superblock, in three sets by what an unknown one forbids.
//!
//! Spec: ext4 disk layout, "Super Block"; `ext4(5)` for the names.

use bitflags::bitflags;

bitflags! {
    /// Features that may be ignored by whoever does not know them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Compatible: u32 {
        const DIR_PREALLOC = 0x1;
        const IMAGIC_INODES = 0x2;
        const HAS_JOURNAL = 0x4;
        const EXT_ATTR = 0x8;
        const RESIZE_INODE = 0x10;
        const DIR_INDEX = 0x20;
        const SPARSE_SUPER2 = 0x200;
        const FAST_COMMIT = 0x400;
        const STABLE_INODES = 0x800;
        const ORPHAN_FILE = 0x1000;
        const _ = !0;
    }
}

bitflags! {
    /// Features without which nothing can be read.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Incompatible: u32 {
        const COMPRESSION = 0x1;
        const FILETYPE = 0x2;
        const RECOVER = 0x4;
        const JOURNAL_DEV = 0x8;
        const META_BG = 0x10;
        const EXTENT = 0x40;
        const BIT64 = 0x80;
        const MMP = 0x100;
        const FLEX_BG = 0x200;
        const EA_INODE = 0x400;
        const DIRDATA = 0x1000;
        const CSUM_SEED = 0x2000;
        const LARGE_DIR = 0x4000;
        const INLINE_DATA = 0x8000;
        const ENCRYPT = 0x1_0000;
        const CASEFOLD = 0x2_0000;
        const _ = !0;
    }
}

bitflags! {
    /// Features without which nothing must be written.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ReadOnlyCompatible: u32 {
        const SPARSE_SUPER = 0x1;
        const LARGE_FILE = 0x2;
        const BTREE_DIR = 0x4;
        const HUGE_FILE = 0x8;
        const GDT_CSUM = 0x10;
        const DIR_NLINK = 0x20;
        const EXTRA_ISIZE = 0x40;
        const SNAPSHOT = 0x80;
        const QUOTA = 0x100;
        const BIGALLOC = 0x200;
        const METADATA_CSUM = 0x400;
        const REPLICA = 0x800;
        const READONLY = 0x1000;
        const PROJECT = 0x2000;
        const SHARED_BLOCKS = 0x4000;
        const VERITY = 0x8000;
        const ORPHAN_PRESENT = 0x1_0000;
        const _ = !0;
    }
}

/// Returns the names of features as messages show them: `inline_data, encrypt`, and numbers for unknown ones.
pub fn names<F: bitflags::Flags<Bits = u32> + Copy>(features: F) -> String {
    let mut names = Vec::new();
    let mut rest = features.bits();
    for flag in F::FLAGS.iter().filter(|flag| !flag.name().is_empty()) {
        if rest & flag.value().bits() != 0 {
            rest &= !flag.value().bits();
            names.push(flag.name().to_lowercase());
        }
    }
    if rest != 0 {
        names.push(format!("{rest:#x}"));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_features_are_shown_as_a_number() {
        let features = Incompatible::INLINE_DATA | Incompatible::from_bits_retain(0x4000_0000);
        assert_eq!(names(features), "inline_data, 0x40000000");
    }
}
