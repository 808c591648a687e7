//! Inodes: attributes of a file, and where its content and extended attributes lie.
//!
//! Spec: ext4 disk layout, "Index Nodes". Only what Linux writes is known, not Hurd's and Masix's fields.

use bitflags::bitflags;

use super::checksum::crc32c;
use super::fields::{get, join, put};
use super::superblock::{INODE_SIZE_OLD, Superblock};
use super::{InodeNumber, LayoutError, corrupt};

/// Size of `i_block`.
pub const MAP_SIZE_BYTES: usize = 60;
/// Where fields begin whose presence depends on `i_extra_isize`.
const EXTRA_AT: usize = INODE_SIZE_OLD as usize;
/// Where the lower half of the checksum lies.
const CHECKSUM_LOW_AT: usize = 0x7c;
/// Where the upper half of the checksum lies.
const CHECKSUM_HIGH_AT: usize = 0x82;
/// `i_extra_isize` with all fields that are known here.
pub const EXTRA_SIZE_WHOLE: u16 = 32;

bitflags! {
    /// `i_flags`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct InodeFlags: u32 {
        const SYNC = 0x8;
        const IMMUTABLE = 0x10;
        const APPEND = 0x20;
        const NODUMP = 0x40;
        const NOATIME = 0x80;
        const ENCRYPT = 0x800;
        /// A directory with a hash tree.
        const INDEX = 0x1000;
        const JOURNAL_DATA = 0x4000;
        const DIRSYNC = 0x1_0000;
        const TOPDIR = 0x2_0000;
        /// `blocks` counts file system blocks.
        const HUGE_FILE = 0x4_0000;
        /// The map is a tree of extents.
        const EXTENTS = 0x8_0000;
        const VERITY = 0x10_0000;
        /// Holds an extended attribute's value.
        const EA_INODE = 0x20_0000;
        const INLINE_DATA = 0x1000_0000;
        const PROJECT_INHERIT = 0x2000_0000;
        const CASEFOLD = 0x4000_0000;
        const _ = !0;
    }
}

/// What an inode is: the highest four bits of `i_mode`, and how directory entries tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileType {
    Regular,
    Directory,
    CharacterDevice,
    BlockDevice,
    Fifo,
    Socket,
    Symlink,
}

/// Kinds with their bits of `i_mode` and their code in directory entries.
const FILE_TYPES: [(FileType, u16, u8); 7] = [
    (FileType::Regular, 0x8000, 1),
    (FileType::Directory, 0x4000, 2),
    (FileType::CharacterDevice, 0x2000, 3),
    (FileType::BlockDevice, 0x6000, 4),
    (FileType::Fifo, 0x1000, 5),
    (FileType::Socket, 0xc000, 6),
    (FileType::Symlink, 0xa000, 7),
];

impl FileType {
    /// Returns the kind that a mode's highest bits say.
    pub fn from_mode(mode: u16) -> Option<FileType> {
        let row = FILE_TYPES
            .iter()
            .find(|(_, bits, _)| mode & 0xf000 == *bits);
        row.map(|(kind, ..)| *kind)
    }

    /// Returns the kind that a directory entry's code says.
    pub fn from_code(code: u8) -> Option<FileType> {
        let row = FILE_TYPES.iter().find(|(.., known)| *known == code);
        row.map(|(kind, ..)| *kind)
    }

    fn row(self) -> (u16, u8) {
        let row = FILE_TYPES.iter().find(|(kind, ..)| *kind == self);
        let (_, bits, code) = row.expect("the table has each kind");
        (*bits, *code)
    }

    /// Returns the kind as the highest bits of a mode.
    pub fn mode_bits(self) -> u16 {
        self.row().0
    }

    /// Returns the kind's code in directory entries.
    pub fn code(self) -> u8 {
        self.row().1
    }
}

/// A point in time: seconds since 1970 and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    pub seconds: i64,
    pub nanoseconds: u32,
}

impl Timestamp {
    /// Decodes the two fields of a time. Spec: "Inode Timestamps".
    fn decode(seconds: u32, extra: u32) -> Timestamp {
        Timestamp {
            seconds: i64::from(seconds as i32) + (i64::from(extra & 3) << 32),
            nanoseconds: (extra >> 2).min(999_999_999),
        }
    }

    /// Encodes into the two fields; what lies outside 1901..2446 becomes the nearest that does not.
    fn encode(self) -> (u32, u32) {
        let seconds = self
            .seconds
            .clamp(i64::from(i32::MIN), (3 << 32) + i64::from(i32::MAX));
        let epoch = (seconds - i64::from(seconds as i32)) >> 32;
        (seconds as u32, self.nanoseconds << 2 | (epoch & 3) as u32)
    }

    /// Encodes into the one field of a small inode.
    fn encode_short(self) -> u32 {
        self.seconds.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as u32
    }
}

/// An inode, named as in the specification without `i_`; of several parts one number is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// Kind and permission bits.
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub accessed: Timestamp,
    pub changed: Timestamp,
    pub modified: Timestamp,
    /// Absent in small inodes.
    pub created: Timestamp,
    /// `i_dtime`: when it was deleted, or the next orphan.
    pub deletion_time: u32,
    pub links_count: u16,
    /// `i_blocks`: sectors of 512 bytes, or blocks with [`InodeFlags::HUGE_FILE`].
    pub blocks: u64,
    pub flags: InodeFlags,
    /// `i_version`: a number that Linux raises with each change from whatever it begins with. Here it begins as the number of the directory in
    /// which the inode was made, and stays so: where its name is looked for first.
    pub version: u64,
    /// `i_block`: the map, a short symbolic link's target, or a device's number.
    pub map: [u8; MAP_SIZE_BYTES],
    pub generation: u32,
    /// Block of the extended attributes; 0: none.
    pub attributes_block: u64,
    /// Bytes beyond the first 128 that hold fields.
    pub extra_size: u16,
    pub project: u32,
    /// What follows the fields: extended attributes; empty in small inodes.
    pub tail: Vec<u8>,
}

impl Inode {
    /// An inode of a file system whose inodes have `inode_size` bytes; all fields zero but `extra_size`.
    pub fn empty(inode_size: u16, extra_size: u16) -> Inode {
        let room = inode_size - INODE_SIZE_OLD;
        let extra_size = extra_size.min(room);
        Inode {
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            accessed: Timestamp::default(),
            changed: Timestamp::default(),
            modified: Timestamp::default(),
            created: Timestamp::default(),
            deletion_time: 0,
            links_count: 0,
            blocks: 0,
            flags: InodeFlags::empty(),
            version: 0,
            map: [0; MAP_SIZE_BYTES],
            generation: 0,
            attributes_block: 0,
            extra_size,
            project: 0,
            tail: vec![0; usize::from(room - extra_size)],
        }
    }

    /// Parses an inode of `bytes.len()` bytes, which is the file system's size of inodes. The checksum is not checked: see
    /// [`inode_checksum`] and [`stored_inode_checksum`].
    ///
    /// # Errors
    /// [`LayoutError`] for too few bytes, or fields that would lie beyond the end.
    pub fn parse(bytes: &[u8]) -> Result<Inode, LayoutError> {
        let Some(room) = bytes.len().checked_sub(EXTRA_AT) else {
            return Err(LayoutError::Truncated { structure: "inode" });
        };
        let extra_size: u16 = if room >= 2 { get(bytes, EXTRA_AT) } else { 0 };
        if usize::from(extra_size) > room || !extra_size.is_multiple_of(4) {
            return Err(corrupt("inode", "impossible extra size"));
        }
        let fields_end = EXTRA_AT + usize::from(extra_size);
        let extra = |at: usize| {
            if at + 4 <= fields_end {
                get::<u32>(bytes, at)
            } else {
                0
            }
        };
        let time = |at, extra_at| Timestamp::decode(get(bytes, at), extra(extra_at));
        let half = |at| u32::from(get::<u16>(bytes, at));
        Ok(Inode {
            mode: get(bytes, 0),
            uid: half(0x2) | half(0x78) << 16,
            gid: half(0x18) | half(0x7a) << 16,
            size: join(get(bytes, 0x4), get(bytes, 0x6c)),
            accessed: time(0x8, 0x8c),
            changed: time(0xc, 0x84),
            modified: time(0x10, 0x88),
            created: Timestamp::decode(extra(0x90), extra(0x94)),
            deletion_time: get(bytes, 0x14),
            links_count: get(bytes, 0x1a),
            blocks: join(get(bytes, 0x1c), half(0x74)),
            flags: InodeFlags::from_bits_retain(get(bytes, 0x20)),
            version: join(get(bytes, 0x24), extra(0x98)),
            map: get(bytes, 0x28),
            generation: get(bytes, 0x64),
            attributes_block: join(get(bytes, 0x68), half(0x76)),
            extra_size,
            project: extra(0x9c),
            tail: if extra_size == 0 {
                Vec::new()
            } else {
                bytes[fields_end..].to_vec()
            },
        })
    }

    /// Writes into the inode's bytes, and zeros what belongs to no field; the checksum as 0, see [`Inode::seal`].
    pub fn write(&self, bytes: &mut [u8]) {
        bytes.fill(0);
        put(bytes, 0x0, self.mode);
        put(bytes, 0x2, self.uid as u16);
        put(bytes, 0x4, self.size as u32);
        put(bytes, 0x14, self.deletion_time);
        put(bytes, 0x18, self.gid as u16);
        put(bytes, 0x1a, self.links_count);
        put(bytes, 0x1c, self.blocks as u32);
        put(bytes, 0x20, self.flags.bits());
        put(bytes, 0x24, self.version as u32);
        put(bytes, 0x28, self.map);
        put(bytes, 0x64, self.generation);
        put(bytes, 0x68, self.attributes_block as u32);
        put(bytes, 0x6c, (self.size >> 32) as u32);
        put(bytes, 0x74, (self.blocks >> 32) as u16);
        put(bytes, 0x76, (self.attributes_block >> 32) as u16);
        put(bytes, 0x78, (self.uid >> 16) as u16);
        put(bytes, 0x7a, (self.gid >> 16) as u16);
        self.write_extra(bytes);
    }

    /// Writes times, and what lies beyond the first 128 bytes.
    fn write_extra(&self, bytes: &mut [u8]) {
        let fields_end = EXTRA_AT + usize::from(self.extra_size);
        let times = [
            (0x8, 0x8c, self.accessed),
            (0xc, 0x84, self.changed),
            (0x10, 0x88, self.modified),
        ];
        for (at, extra_at, time) in times {
            let (seconds, extra) = time.encode();
            let is_whole = extra_at + 4 <= fields_end;
            put(
                bytes,
                at,
                if is_whole {
                    seconds
                } else {
                    time.encode_short()
                },
            );
            if is_whole {
                put(bytes, extra_at, extra);
            }
        }
        if self.extra_size == 0 {
            return;
        }
        put(bytes, EXTRA_AT, self.extra_size);
        let (created, created_extra) = self.created.encode();
        let fields = [
            (0x90, created),
            (0x94, created_extra),
            (0x98, (self.version >> 32) as u32),
            (0x9c, self.project),
        ];
        for (at, value) in fields.into_iter().filter(|(at, _)| at + 4 <= fields_end) {
            put(bytes, at, value);
        }
        let tail = &mut bytes[fields_end..];
        let length = tail.len().min(self.tail.len());
        tail[..length].copy_from_slice(&self.tail[..length]);
    }

    /// Writes the inode with its checksum, if the file system has any.
    pub fn seal(&self, superblock: &Superblock, number: InodeNumber, bytes: &mut [u8]) {
        self.write(bytes);
        if !superblock.has_metadata_checksums() {
            return;
        }
        let sum = inode_checksum(superblock.metadata_seed(), number, bytes);
        put(bytes, CHECKSUM_LOW_AT, sum as u16);
        if has_high_checksum(bytes) {
            put(bytes, CHECKSUM_HIGH_AT, (sum >> 16) as u16);
        }
    }

    /// Returns what the mode says that it is.
    pub fn file_type(&self) -> Option<FileType> {
        FileType::from_mode(self.mode)
    }

    /// Returns where sums of this inode's own blocks begin: directory blocks, extent nodes.
    pub fn seed(&self, metadata_seed: u32, number: InodeNumber) -> u32 {
        let sum = crc32c(metadata_seed, &number.0.to_le_bytes());
        crc32c(sum, &self.generation.to_le_bytes())
    }
}

fn has_high_checksum(bytes: &[u8]) -> bool {
    bytes.len() > EXTRA_AT + 4 && get::<u16>(bytes, EXTRA_AT) >= 4
}

/// Returns the checksum of an inode's bytes, whatever its fields for it hold; 16 bits of it if there is room for no more.
pub fn inode_checksum(metadata_seed: u32, number: InodeNumber, bytes: &[u8]) -> u32 {
    let sum = crc32c(metadata_seed, &number.0.to_le_bytes());
    let sum = crc32c(sum, &bytes[0x64..0x68]);
    let sum = crc32c(sum, &bytes[..CHECKSUM_LOW_AT]);
    let sum = crc32c(sum, &[0, 0]);
    let sum = crc32c(sum, &bytes[CHECKSUM_LOW_AT + 2..EXTRA_AT]);
    if !has_high_checksum(bytes) {
        return crc32c(sum, &bytes[EXTRA_AT..]) & 0xffff;
    }
    let sum = crc32c(sum, &bytes[EXTRA_AT..CHECKSUM_HIGH_AT]);
    let sum = crc32c(sum, &[0, 0]);
    crc32c(sum, &bytes[CHECKSUM_HIGH_AT + 2..])
}

/// Returns the checksum that an inode's bytes hold.
pub fn stored_inode_checksum(bytes: &[u8]) -> u32 {
    let low = u32::from(get::<u16>(bytes, CHECKSUM_LOW_AT));
    match has_high_checksum(bytes) {
        true => low | u32::from(get::<u16>(bytes, CHECKSUM_HIGH_AT)) << 16,
        false => low,
    }
}

/// Encodes a device's number for `map`: the old form where it fits, else the new one. Linux: `old_encode_dev()`, `new_encode_dev()`.
pub fn encode_device(major: u32, minor: u32) -> [u8; MAP_SIZE_BYTES] {
    let mut map = [0; MAP_SIZE_BYTES];
    if major < 256 && minor < 256 {
        put(&mut map, 0, major << 8 | minor);
    } else {
        put(
            &mut map,
            4,
            (minor & 0xff) | (major & 0xfff) << 8 | (minor & !0xff) << 12,
        );
    }
    map
}

/// Decodes `map` of a device into major and minor number.
pub fn decode_device(map: &[u8; MAP_SIZE_BYTES]) -> (u32, u32) {
    let (old, new): (u32, u32) = (get(map, 0), get(map, 4));
    match old {
        0 => ((new >> 8) & 0xfff, (new & 0xff) | (new >> 12 & 0xf_ff00)),
        _ => ((old >> 8) & 0xff, old & 0xff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_from_1901_to_2446_survive() {
        for seconds in [
            -1,
            0,
            1,
            i64::from(i32::MIN),
            i64::from(i32::MAX),
            1 << 31,
            1 << 32,
            15_032_385_535,
        ] {
            let time = Timestamp {
                seconds,
                nanoseconds: 999_999_999,
            };
            let (low, extra) = time.encode();
            assert_eq!(Timestamp::decode(low, extra), time, "{seconds}");
        }
        let late = Timestamp {
            seconds: i64::MAX,
            nanoseconds: 0,
        };
        let (low, extra) = late.encode();
        assert_eq!(Timestamp::decode(low, extra).seconds, 15_032_385_535);
    }

    #[test]
    fn devices_survive() {
        for (major, minor) in [
            (0, 1),
            (1, 3),
            (255, 255),
            (256, 0),
            (8, 256),
            (4095, 0xf_ffff),
        ] {
            assert_eq!(decode_device(&encode_device(major, minor)), (major, minor));
        }
    }

    #[test]
    fn an_inode_is_read_back_as_it_was_written() {
        let mut inode = Inode::empty(256, EXTRA_SIZE_WHOLE);
        inode.mode = 0x81a4;
        inode.uid = 0x1_0002;
        inode.gid = 0x3_0004;
        inode.size = 0x5_0000_0006;
        inode.blocks = 0x7_0000_0008;
        inode.attributes_block = 0x9_0000_000a;
        inode.version = 0xb_0000_000c;
        inode.project = 13;
        inode.created = Timestamp {
            seconds: 1 << 33,
            nanoseconds: 14,
        };
        inode.tail[5] = 15;
        let mut bytes = [1; 256];
        inode.write(&mut bytes);
        assert_eq!(Inode::parse(&bytes).unwrap(), inode);
    }

    #[test]
    fn fields_beyond_the_end_are_refused() {
        let mut bytes = [0; 256];
        put(&mut bytes, EXTRA_AT, 132_u16);
        assert!(Inode::parse(&bytes).is_err());
        assert!(Inode::parse(&bytes[..100]).is_err());
    }
}
