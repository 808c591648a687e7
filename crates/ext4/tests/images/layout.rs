//! Structures of images that `mke2fs` made: parsed, compared with what the tools show, and written back byte for byte.

use crate::e2fsprogs::{Image, MATRIX};
use minke_ext4::layout::directory::{entries, is_directory_block_intact};
use minke_ext4::layout::extent::ExtentNode;
use minke_ext4::layout::group::{bitmap_checksum, descriptor_checksum};
use minke_ext4::layout::inode::{inode_checksum, stored_inode_checksum};
use minke_ext4::layout::journal::JournalSuperblock;
use minke_ext4::layout::{
    Compatible, GroupDescriptor, GroupFlags, Incompatible, Inode, InodeFlags, InodeNumber,
    NameHasher, Superblock,
};

/// An image with its parsed superblock.
struct Parsed {
    bytes: Vec<u8>,
    superblock: Superblock,
}

impl Parsed {
    fn new(image: &Image) -> Parsed {
        let bytes = image.bytes();
        let superblock = Superblock::parse(&bytes[1024..]).unwrap();
        Parsed { bytes, superblock }
    }

    fn block(&self, number: u64) -> &[u8] {
        let size = self.superblock.block_size_bytes() as usize;
        &self.bytes[number as usize * size..][..size]
    }

    fn descriptor_bytes(&self, group: u32) -> &[u8] {
        let size = usize::from(self.superblock.descriptor_size_bytes());
        let table = (self.superblock.first_data_block + 1) * self.superblock.block_size_bytes();
        &self.bytes[table as usize + group as usize * size..][..size]
    }

    fn inode_bytes(&self, number: InodeNumber) -> &[u8] {
        let group = (number.0 - 1) / self.superblock.inodes_per_group;
        let index = (number.0 - 1) % self.superblock.inodes_per_group;
        let descriptor = GroupDescriptor::parse(self.descriptor_bytes(group));
        let size = usize::from(self.superblock.inode_size);
        let table = descriptor.inode_table as usize * self.superblock.block_size_bytes() as usize;
        &self.bytes[table + index as usize * size..][..size]
    }

    /// The first block of a small file or directory.
    fn first_block(&self, inode: &Inode) -> u64 {
        if !inode.flags.contains(InodeFlags::EXTENTS) {
            return u64::from(u32::from_le_bytes(inode.map[..4].try_into().unwrap()));
        }
        match ExtentNode::parse(&inode.map).unwrap() {
            ExtentNode::Leaf(extents) => extents[0].physical,
            ExtentNode::Inner { .. } => panic!("a small file has no inner node"),
        }
    }
}

fn for_each_kind(check: impl Fn(&str, &Image, &Parsed)) {
    for (name, arguments) in MATRIX {
        let image = Image::make(arguments, "40M");
        check(name, &image, &Parsed::new(&image));
    }
}

#[test]
fn superblocks_are_read_as_dumpe2fs_shows_them_and_written_back_as_they_were() {
    for_each_kind(|name, image, parsed| {
        let superblock = &parsed.superblock;
        let fields = [
            ("Block count", superblock.blocks_count),
            ("Inode count", superblock.inodes_count.into()),
            ("Free blocks", superblock.free_blocks_count),
            ("Free inodes", superblock.free_inodes_count.into()),
            ("Block size", superblock.block_size_bytes().into()),
            ("Inode size", superblock.inode_size.into()),
            ("Reserved block count", superblock.reserved_blocks_count),
            ("Blocks per group", superblock.blocks_per_group.into()),
        ];
        for (field, value) in fields {
            assert_eq!(image.dumped(field), value.to_string(), "{name}: {field}");
        }
        let mut written = parsed.bytes[1024..2048].to_vec();
        written[0x68..0x78].fill(0);
        superblock.write(&mut written);
        assert!(written == parsed.bytes[1024..2048], "{name}: superblock");
        if superblock.incompatible().contains(Incompatible::CSUM_SEED) {
            let shown = format!("0x{:08x}", superblock.metadata_seed());
            assert_eq!(image.dumped("Checksum seed"), shown);
        }
    });
}

#[test]
fn group_descriptors_and_their_sums_are_those_of_mke2fs() {
    for_each_kind(|name, _, parsed| {
        let superblock = &parsed.superblock;
        for group in 0..superblock.groups_count() {
            let bytes = parsed.descriptor_bytes(group);
            let mut descriptor = GroupDescriptor::parse(bytes);
            assert_eq!(
                descriptor.checksum,
                descriptor_checksum(superblock, group, bytes),
                "{name}"
            );
            let mut written = vec![0; bytes.len()];
            descriptor.checksum = 0;
            descriptor.seal(superblock, group, &mut written);
            assert_eq!(written, bytes, "{name}: group {group}");
            if superblock.has_metadata_checksums()
                && !descriptor.flags.contains(GroupFlags::BLOCK_UNINIT)
            {
                let used = superblock.blocks_per_group as usize / 8;
                let sum =
                    bitmap_checksum(superblock, &parsed.block(descriptor.block_bitmap)[..used]);
                assert_eq!(
                    sum, descriptor.block_bitmap_checksum,
                    "{name}: group {group}"
                );
            }
        }
    });
}

#[test]
fn inodes_and_their_sums_are_those_of_mke2fs() {
    for_each_kind(|name, _, parsed| {
        let superblock = &parsed.superblock;
        for number in [2, 7, 8, 11].map(InodeNumber) {
            let bytes = parsed.inode_bytes(number);
            let inode = Inode::parse(bytes).unwrap();
            let is_used = bytes.iter().any(|byte| *byte != 0);
            if superblock.has_metadata_checksums() && is_used {
                let sum = inode_checksum(superblock.metadata_seed(), number, bytes);
                assert_eq!(sum, stored_inode_checksum(bytes), "{name}: inode {number}");
            }
            let mut written = vec![1; bytes.len()];
            match is_used {
                true => inode.seal(superblock, number, &mut written),
                false => inode.write(&mut written),
            }
            assert_eq!(written, bytes, "{name}: inode {number}");
        }
    });
}

#[test]
fn the_top_directory_has_its_three_names_and_a_sum() {
    for_each_kind(|name, _, parsed| {
        let superblock = &parsed.superblock;
        let inode = Inode::parse(parsed.inode_bytes(InodeNumber::ROOT)).unwrap();
        let block = parsed.block(parsed.first_block(&inode));
        let used = entries(block)
            .map(Result::unwrap)
            .filter(|entry| entry.is_used());
        let names: Vec<_> = used
            .map(|entry| (entry.name.to_vec(), entry.inode.0))
            .collect();
        let expected = [(&b"."[..], 2), (b"..", 2), (b"lost+found", 11)];
        assert_eq!(
            names,
            expected.map(|(name, number)| (name.to_vec(), number)),
            "{name}"
        );
        if superblock.has_metadata_checksums() {
            let seed = inode.seed(superblock.metadata_seed(), InodeNumber::ROOT);
            assert!(is_directory_block_intact(seed, block), "{name}");
        }
    });
}

#[test]
fn journals_of_mke2fs_are_parsed() {
    for_each_kind(|name, _, parsed| {
        if !parsed
            .superblock
            .compatible()
            .contains(Compatible::HAS_JOURNAL)
        {
            return;
        }
        let inode = Inode::parse(parsed.inode_bytes(InodeNumber::JOURNAL)).unwrap();
        let block = parsed.block(parsed.first_block(&inode));
        let journal = JournalSuperblock::parse(block).unwrap();
        assert_eq!(
            u64::from(journal.length) * u64::from(journal.block_size),
            inode.size,
            "{name}"
        );
        let mut written = block[..1024].to_vec();
        journal.write(&mut written);
        assert!(written == block[..1024], "{name}");
    });
}

#[test]
fn names_hash_as_in_debugfs() {
    let image = Image::make(MATRIX[0].1, "8M");
    let seed = [0xa9cb_ed0f_u32, 0x2143_6587, 0xa9cb_ed0f, 0x2143_6587];
    let long = "x".repeat(255);
    let names = [
        "a",
        "lost+found",
        "exactly-sixteen!",
        "thirty-two bytes long name, yes!",
        "ümläut",
        &long,
    ];
    // `dx_hash` has no unsigned versions under a name of their own.
    for (version, hash) in [(0, "legacy"), (1, "half_md4"), (2, "tea")] {
        let hasher = NameHasher::new(version, false, seed).unwrap();
        for name in names {
            let command =
                format!("dx_hash -h {hash} -s 0fedcba9-8765-4321-0fed-cba987654321 \"{name}\"");
            let shown = image.debugfs(&[&command]);
            let found = hasher.hash(name.as_bytes());
            let expected = format!("is 0x{:x} (minor 0x{:x})", found.major, found.minor);
            assert!(
                shown.contains(&expected),
                "{hash}: {shown} but we say {expected}"
            );
        }
    }
}
