//! Emscripten's numbers and byte layouts (wasm32, little endian).
//!
//! Flags and constants (`O_*`, `S_*`, `AF_*`, `POLL*`, ioctl requests) are Linux's generic ones;
//! error numbers are WASI's with Emscripten's own after them. Until 3.1.16 `time_t` had 32 bits,
//! and `struct stat` had holes until 3.1.4x: see [`StatLayout`].
//!
//! Source: Emscripten `system/lib/libc/musl/arch/emscripten/bits`.

use crate::Errno;
use crate::linux::RecordLock;

/// Which `struct stat` and which `time_t` a program was compiled with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatLayout {
    /// Up to 3.1.15: holes after the device numbers, 32-bit times; 88 bytes.
    #[default]
    Time32,
    /// From 3.1.16: the same holes, 64-bit times; 112 bytes.
    Time64Padded,
    /// Newer: no holes, 64-bit times; 96 bytes.
    Time64,
}

impl StatLayout {
    /// Bytes of a `struct timespec` or `struct timeval`.
    pub fn timespec_bytes(self) -> u64 {
        match self {
            StatLayout::Time32 => 8,
            StatLayout::Time64Padded | StatLayout::Time64 => 16,
        }
    }

    /// Bytes of a `time_t`.
    pub fn time_bytes(self) -> usize {
        match self {
            StatLayout::Time32 => 4,
            StatLayout::Time64Padded | StatLayout::Time64 => 8,
        }
    }

    /// Lays out seconds and a fraction as `struct timespec` or `struct timeval`.
    pub fn encode_timespec(self, seconds: i64, fraction: u32) -> Vec<u8> {
        let mut bytes = vec![0; self.timespec_bytes() as usize];
        let split = self.time_bytes();
        bytes[..split].copy_from_slice(&seconds.to_le_bytes()[..split]);
        bytes[split..split + 4].copy_from_slice(&fraction.to_le_bytes());
        bytes
    }

    /// Reads seconds and a fraction from the bytes of a `struct timespec` or `struct timeval`.
    pub fn decode_timespec(self, bytes: &[u8]) -> (i64, i64) {
        let word = |at: usize| {
            let raw = bytes.get(at..at + 4).unwrap_or(&[0; 4]);
            i64::from(i32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]))
        };
        match self {
            StatLayout::Time32 => (word(0), word(4)),
            StatLayout::Time64Padded | StatLayout::Time64 => {
                let low = word(0) & 0xffff_ffff;
                ((word(4) << 32) | low, word(8))
            }
        }
    }
}

/// The number that a guest knows an error by. Source: `bits/errno.h`, `wasi/api.h`.
pub fn errno_number(errno: Errno) -> i32 {
    NUMBERS
        .iter()
        .find(|(known, _)| *known == errno)
        .map_or(EIO_NUMBER, |(_, number)| *number)
}

/// What an error without a number of its own becomes.
const EIO_NUMBER: i32 = 29;

/// Linux's errors and Emscripten's numbers for them.
const NUMBERS: &[(Errno, i32)] = &[
    (Errno::EAGAIN, 6),
    (Errno::ENOENT, 44),
    (Errno::EBADF, 8),
    (Errno::EINVAL, 28),
    (Errno::E2BIG, 1),
    (Errno::EACCES, 2),
    (Errno::EADDRINUSE, 3),
    (Errno::EADDRNOTAVAIL, 4),
    (Errno::EAFNOSUPPORT, 5),
    (Errno::EALREADY, 7),
    (Errno::EBADMSG, 9),
    (Errno::EBUSY, 10),
    (Errno::ECANCELED, 11),
    (Errno::ECHILD, 12),
    (Errno::ECONNABORTED, 13),
    (Errno::ECONNREFUSED, 14),
    (Errno::ECONNRESET, 15),
    (Errno::EDEADLK, 16),
    (Errno::EDESTADDRREQ, 17),
    (Errno::EDOM, 18),
    (Errno::EDQUOT, 19),
    (Errno::EEXIST, 20),
    (Errno::EFAULT, 21),
    (Errno::EFBIG, 22),
    (Errno::EHOSTUNREACH, 23),
    (Errno::EIDRM, 24),
    (Errno::EILSEQ, 25),
    (Errno::EINPROGRESS, 26),
    (Errno::EINTR, 27),
    (Errno::EIO, EIO_NUMBER),
    (Errno::EISCONN, 30),
    (Errno::EISDIR, 31),
    (Errno::ELOOP, 32),
    (Errno::EMFILE, 33),
    (Errno::EMLINK, 34),
    (Errno::EMSGSIZE, 35),
    (Errno::EMULTIHOP, 36),
    (Errno::ENAMETOOLONG, 37),
    (Errno::ENETDOWN, 38),
    (Errno::ENETRESET, 39),
    (Errno::ENETUNREACH, 40),
    (Errno::ENFILE, 41),
    (Errno::ENOBUFS, 42),
    (Errno::ENODEV, 43),
    (Errno::ENOEXEC, 45),
    (Errno::ENOLCK, 46),
    (Errno::ENOLINK, 47),
    (Errno::ENOMEM, 48),
    (Errno::ENOMSG, 49),
    (Errno::ENOPROTOOPT, 50),
    (Errno::ENOSPC, 51),
    (Errno::ENOSYS, 52),
    (Errno::ENOTCONN, 53),
    (Errno::ENOTDIR, 54),
    (Errno::ENOTEMPTY, 55),
    (Errno::ENOTRECOVERABLE, 56),
    (Errno::ENOTSOCK, 57),
    (Errno::ENOTTY, 59),
    (Errno::ENXIO, 60),
    (Errno::EOVERFLOW, 61),
    (Errno::EOWNERDEAD, 62),
    (Errno::EPERM, 63),
    (Errno::EPIPE, 64),
    (Errno::EPROTO, 65),
    (Errno::EPROTONOSUPPORT, 66),
    (Errno::EPROTOTYPE, 67),
    (Errno::ERANGE, 68),
    (Errno::EROFS, 69),
    (Errno::ESPIPE, 70),
    (Errno::ESRCH, 71),
    (Errno::ESTALE, 72),
    (Errno::ETIMEDOUT, 73),
    (Errno::ETXTBSY, 74),
    (Errno::EXDEV, 75),
    (Errno::ENOTBLK, 105),
    (Errno::ENODATA, 116),
    (Errno::ETIME, 117),
    (Errno::ESOCKTNOSUPPORT, 137),
    // `ENOTSUP` is the same number, as on Linux.
    (Errno::EOPNOTSUPP, 138),
    (Errno::EPFNOSUPPORT, 139),
    (Errno::ETOOMANYREFS, 141),
    (Errno::EHOSTDOWN, 142),
];

/// A moment as a file's attributes tell it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileTime {
    pub seconds: i64,
    pub nanoseconds: u32,
}

/// What `struct stat` holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    pub device: u32,
    pub mode: u32,
    pub links: u32,
    pub uid: u32,
    pub gid: u32,
    pub device_id: u32,
    pub size: u64,
    pub block_size: u32,
    pub blocks: u32,
    pub accessed: FileTime,
    pub modified: FileTime,
    pub changed: FileTime,
    pub inode: u64,
}

impl Stat {
    /// Lays the fields out. Source: `bits/stat.h`.
    pub fn encode(&self, layout: StatLayout) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(112);
        let is_padded = layout != StatLayout::Time64;
        put(&mut bytes, self.device);
        if is_padded {
            put(&mut bytes, 0);
            put(&mut bytes, self.inode as u32);
        }
        for word in [self.mode, self.links, self.uid, self.gid, self.device_id] {
            put(&mut bytes, word);
        }
        if is_padded {
            put(&mut bytes, 0);
            // `off_t` is aligned to eight bytes.
            put(&mut bytes, 0);
        }
        bytes.extend_from_slice(&self.size.to_le_bytes());
        put(&mut bytes, self.block_size);
        put(&mut bytes, self.blocks);
        for time in [self.accessed, self.modified, self.changed] {
            bytes.extend(layout.encode_timespec(time.seconds, time.nanoseconds));
        }
        bytes.extend_from_slice(&self.inode.to_le_bytes());
        bytes
    }
}

/// What `struct statfs` holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatFs {
    pub magic: u32,
    pub block_size: u32,
    pub blocks: u64,
    pub blocks_free: u64,
    pub inodes: u64,
    pub inodes_free: u64,
    pub name_bytes_max: u32,
}

/// Bytes of `struct statfs` with 32-bit counts (3.1.6).
const STATFS32_BYTES: usize = 64;
/// Bytes of `struct statfs` with 64-bit counts.
const STATFS64_BYTES: usize = 88;

impl StatFs {
    /// Lays the fields out for the version whose `struct statfs` has `size` bytes; `None` for an unknown one.
    ///
    /// Source: `musl/arch/generic/bits/statfs.h`. Counts that do not fit 32 bits become the largest that do.
    pub fn encode(&self, size: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(size);
        put(&mut bytes, self.magic);
        put(&mut bytes, self.block_size);
        for count in [
            self.blocks,
            self.blocks_free,
            self.blocks_free,
            self.inodes,
            self.inodes_free,
        ] {
            match size {
                STATFS32_BYTES => put(&mut bytes, u32::try_from(count).unwrap_or(u32::MAX)),
                STATFS64_BYTES => bytes.extend_from_slice(&count.to_le_bytes()),
                _ => return None,
            }
        }
        for word in [0, 0, self.name_bytes_max, self.block_size] {
            put(&mut bytes, word);
        }
        bytes.resize(size, 0);
        Some(bytes)
    }
}

/// Offset of the name in `struct dirent`.
pub const DIRENT_NAME: usize = 19;

/// Bytes of a `struct flock`.
pub const RECORD_LOCK_BYTES: usize = 32;

/// Reads a `struct flock`: kind and base, a hole, start, length, owner, a hole.
pub fn decode_record_lock(bytes: &[u8; RECORD_LOCK_BYTES]) -> RecordLock {
    let short = |at: usize| i16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let (words, _) = bytes.as_chunks::<8>();
    RecordLock {
        kind: short(0),
        whence: short(2),
        start: i64::from_le_bytes(words[1]),
        length: i64::from_le_bytes(words[2]),
        pid: i64::from_le_bytes(words[3]) as i32,
    }
}

/// Lays out a `struct flock`.
pub fn encode_record_lock(lock: &RecordLock) -> [u8; RECORD_LOCK_BYTES] {
    let mut bytes = [0; RECORD_LOCK_BYTES];
    bytes[..2].copy_from_slice(&lock.kind.to_le_bytes());
    bytes[2..4].copy_from_slice(&lock.whence.to_le_bytes());
    bytes[8..16].copy_from_slice(&lock.start.to_le_bytes());
    bytes[16..24].copy_from_slice(&lock.length.to_le_bytes());
    bytes[24..28].copy_from_slice(&lock.pid.to_le_bytes());
    bytes
}

/// Lays out one entry of `getdents64`; `None` when it is longer than `bytes_max`.
pub fn encode_dirent(
    inode: u64,
    next: u64,
    kind: u8,
    name: &[u8],
    bytes_max: usize,
) -> Option<Vec<u8>> {
    let length = (DIRENT_NAME + name.len() + 1).next_multiple_of(8);
    if length > bytes_max {
        return None;
    }
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&inode.to_le_bytes());
    bytes.extend_from_slice(&next.to_le_bytes());
    bytes.extend_from_slice(&(length as u16).to_le_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(name);
    bytes.resize(length, 0);
    Some(bytes)
}

fn put(bytes: &mut Vec<u8>, word: u32) {
    bytes.extend_from_slice(&word.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_one_number() {
        for errno in Errno::ALL {
            let rows = NUMBERS.iter().filter(|(known, _)| known == errno).count();
            assert_eq!(rows, 1, "{errno:?}");
        }
        for (index, (_, number)) in NUMBERS.iter().enumerate() {
            assert!(NUMBERS[..index].iter().all(|(_, other)| other != number));
        }
    }

    #[test]
    fn stat_has_the_offsets_of_each_layout() {
        let stat = Stat {
            mode: 0o100_644,
            size: 0x1122_3344_5566_7788,
            inode: 77,
            changed: FileTime {
                seconds: 5,
                nanoseconds: 6,
            },
            ..Stat::default()
        };
        for (layout, length, mode, size, changed, inode) in [
            (StatLayout::Time32, 88, 12, 40, 72, 80),
            (StatLayout::Time64Padded, 112, 12, 40, 88, 104),
            (StatLayout::Time64, 96, 4, 24, 72, 88),
        ] {
            let bytes = stat.encode(layout);
            assert_eq!(bytes.len(), length);
            assert_eq!(bytes[mode..mode + 4], 0o100_644_u32.to_le_bytes());
            assert_eq!(bytes[size..size + 8], stat.size.to_le_bytes());
            assert_eq!(layout.decode_timespec(&bytes[changed..]), (5, 6));
            assert_eq!(bytes[inode], 77);
        }
    }

    #[test]
    fn times_survive_the_way_there_and_back() {
        for layout in [StatLayout::Time32, StatLayout::Time64] {
            let bytes = layout.encode_timespec(-3, 999_999_999);
            assert_eq!(layout.decode_timespec(&bytes), (-3, 999_999_999));
        }
        assert_eq!(StatLayout::Time64.decode_timespec(&[]), (0, 0));
    }

    #[test]
    fn directory_entries_are_padded_to_eight_bytes() {
        let entry = encode_dirent(9, 10, 4, b"name", 64).expect("fits");
        assert_eq!(entry.len(), 24);
        assert_eq!(&entry[16..24], b"\x18\0\x04name\0");
        assert_eq!(encode_dirent(9, 10, 4, b"name", 23), None);
    }
}
