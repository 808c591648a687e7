//! Byte layouts of Linux programs compiled to wasm: x86-64's, with pointers and `size_t` of four bytes.
//!
//! Source: Linux `arch/x86/include/uapi/asm/{stat,statfs}.h`, `include/uapi/asm-generic/{fcntl,termbits,siginfo}.h`; musl
//! `arch/x86_64/bits`.

use crate::linux::RecordLock;

/// `struct stat`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stat {
    pub device: u64,
    pub inode: u64,
    pub links: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub device_id: u64,
    pub size: u64,
    pub block_size: u64,
    /// Of 512 bytes.
    pub blocks: u64,
    /// Seconds and nanoseconds of the last access, modification and change.
    pub times: [(i64, u32); 3],
}

/// Bytes of `struct stat`.
pub const STAT_BYTES: usize = 144;

impl Stat {
    /// Lays it out.
    pub fn encode(&self) -> [u8; STAT_BYTES] {
        let mut layout = Layout([0; STAT_BYTES]);
        layout.long(0, self.device);
        layout.long(8, self.inode);
        layout.long(16, self.links);
        layout.word(24, self.mode);
        layout.word(28, self.uid);
        layout.word(32, self.gid);
        layout.long(40, self.device_id);
        layout.long(48, self.size);
        layout.long(56, self.block_size);
        layout.long(64, self.blocks);
        for (index, (seconds, nanoseconds)) in self.times.into_iter().enumerate() {
            layout.long(72 + index * 16, seconds.cast_unsigned());
            layout.long(80 + index * 16, u64::from(nanoseconds));
        }
        layout.0
    }
}

/// Bytes of `struct statx`.
pub const STATX_BYTES: usize = 256;

impl Stat {
    /// Lays it out as `struct statx`: all basic fields, and no time of birth. Linux: include/uapi/linux/stat.h.
    pub fn encode_extended(&self) -> [u8; STATX_BYTES] {
        /// `STATX_BASIC_STATS`.
        const BASIC: u32 = 0x7ff;
        let mut layout = Layout([0; STATX_BYTES]);
        layout.word(0, BASIC);
        layout.word(4, self.block_size as u32);
        layout.word(16, self.links as u32);
        layout.word(20, self.uid);
        layout.word(24, self.gid);
        layout.word(28, self.mode);
        layout.long(32, self.inode);
        layout.long(40, self.size);
        layout.long(48, self.blocks);
        let [accessed, modified, changed] = self.times;
        for (at, (seconds, nanoseconds)) in [(64, accessed), (96, changed), (112, modified)] {
            layout.long(at, seconds.cast_unsigned());
            layout.word(at + 8, nanoseconds);
        }
        for (at, device) in [(128, self.device_id), (136, self.device)] {
            let (major, minor) = device_numbers(device);
            layout.word(at, major);
            layout.word(at + 4, minor);
        }
        layout.0
    }
}

/// Splits a device's number. Linux: `new_decode_dev()`.
fn device_numbers(device: u64) -> (u32, u32) {
    let major = (device >> 8) & 0xfff | (device >> 32) & !0xfff;
    let minor = device & 0xff | (device >> 12) & !0xff;
    (major as u32, minor as u32)
}

/// `struct statfs`.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatFs {
    pub magic: u64,
    pub block_size: u64,
    pub blocks: u64,
    pub blocks_free: u64,
    pub inodes: u64,
    pub inodes_free: u64,
    pub name_bytes_max: u64,
}

/// Bytes of `struct statfs`.
pub const STATFS_BYTES: usize = 120;

impl StatFs {
    /// Lays it out.
    pub fn encode(&self) -> [u8; STATFS_BYTES] {
        let mut layout = Layout([0; STATFS_BYTES]);
        layout.long(0, self.magic);
        layout.long(8, self.block_size);
        layout.long(16, self.blocks);
        layout.long(24, self.blocks_free);
        layout.long(32, self.blocks_free);
        layout.long(40, self.inodes);
        layout.long(48, self.inodes_free);
        layout.long(64, self.name_bytes_max);
        layout.long(72, self.block_size);
        layout.0
    }
}

/// `struct sysinfo`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SysInfo {
    pub uptime_seconds: u64,
    pub memory_bytes: u64,
    pub memory_free_bytes: u64,
    pub processes: u16,
}

/// Bytes of `struct sysinfo`.
pub const SYSINFO_BYTES: usize = 112;

impl SysInfo {
    /// Lays it out; what is not there is 0.
    pub fn encode(&self) -> [u8; SYSINFO_BYTES] {
        let mut layout = Layout([0; SYSINFO_BYTES]);
        layout.long(0, self.uptime_seconds);
        layout.long(32, self.memory_bytes);
        layout.long(40, self.memory_free_bytes);
        layout.0[80..82].copy_from_slice(&self.processes.to_le_bytes());
        // `mem_unit`.
        layout.word(104, 1);
        layout.0
    }
}

/// Bytes of `struct flock`.
pub const FLOCK_BYTES: usize = 32;

/// Reads `struct flock`.
pub fn decode_record_lock(bytes: &[u8; FLOCK_BYTES]) -> RecordLock {
    let long = |at: usize| i64::from_le_bytes(part(bytes, at));
    RecordLock {
        kind: i16::from_le_bytes(part(bytes, 0)),
        whence: i16::from_le_bytes(part(bytes, 2)),
        start: long(8),
        length: long(16),
        pid: i32::from_le_bytes(part(bytes, 24)),
    }
}

/// Lays out `struct flock`.
pub fn encode_record_lock(lock: &RecordLock) -> [u8; FLOCK_BYTES] {
    let mut layout = Layout([0; FLOCK_BYTES]);
    layout.0[..2].copy_from_slice(&lock.kind.to_le_bytes());
    layout.0[2..4].copy_from_slice(&lock.whence.to_le_bytes());
    layout.long(8, lock.start.cast_unsigned());
    layout.long(16, lock.length.cast_unsigned());
    layout.word(24, lock.pid.cast_unsigned());
    layout.0
}

/// Bytes of `struct sigaction` as the kernel takes it.
pub const SIGACTION_BYTES: usize = 32;

/// `struct sigaction` as the kernel takes it; the restorer means nothing here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigAction {
    pub handler: u32,
    pub flags: u32,
    pub mask: u64,
}

impl SigAction {
    /// Reads it.
    pub fn decode(bytes: &[u8; SIGACTION_BYTES]) -> SigAction {
        SigAction {
            handler: u32::from_le_bytes(part(bytes, 0)),
            flags: u32::from_le_bytes(part(bytes, 8)),
            mask: u64::from_le_bytes(part(bytes, 20)),
        }
    }

    /// Lays it out.
    pub fn encode(&self) -> [u8; SIGACTION_BYTES] {
        let mut layout = Layout([0; SIGACTION_BYTES]);
        layout.word(0, self.handler);
        layout.long(8, u64::from(self.flags));
        layout.long(20, self.mask);
        layout.0
    }
}

/// Bytes of `siginfo_t`.
pub const SIGINFO_BYTES: usize = 128;

/// `siginfo_t`, as far as signals here say something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigInfo {
    pub signal: u32,
    pub code: i32,
    pub pid: u32,
    pub uid: u32,
    /// A child's status, or what the sender gave along.
    pub value: u64,
}

/// Lays it out. The value of a child and that of a sender lie in the same place, and have 4 and 8 bytes.
pub fn encode_info(info: &SigInfo) -> [u8; SIGINFO_BYTES] {
    let mut layout = Layout([0; SIGINFO_BYTES]);
    let code = info.code.cast_unsigned();
    for (at, word) in [(0, info.signal), (8, code), (16, info.pid), (20, info.uid)] {
        layout.word(at, word);
    }
    layout.long(24, info.value);
    layout.0
}

/// Reads what a sender says of a signal.
pub fn decode_info(bytes: &[u8; SIGINFO_BYTES]) -> SigInfo {
    let word = |at: usize| u32::from_le_bytes(part(bytes, at));
    SigInfo {
        signal: word(0),
        code: word(8).cast_signed(),
        pid: word(16),
        uid: word(20),
        value: u64::from_le_bytes(part(bytes, 24)),
    }
}

/// A struct that is filled by offsets.
struct Layout<const N: usize>([u8; N]);

impl<const N: usize> Layout<N> {
    fn word(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn long(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_and_locks_are_read_as_they_were_written() {
        let action = SigAction {
            handler: 7,
            flags: 0x1000_0004,
            mask: 0x1_0000_0002,
        };
        assert_eq!(SigAction::decode(&action.encode()), action);
        let lock = RecordLock {
            kind: RecordLock::WRITE,
            whence: 1,
            start: -5,
            length: 1 << 40,
            pid: 9,
        };
        assert_eq!(decode_record_lock(&encode_record_lock(&lock)), lock);
    }

    #[test]
    fn an_extended_stat_has_its_times_and_devices_where_linux_has_them() {
        let stat = Stat {
            size: 5,
            device_id: 0x0103,
            times: [(1, 2), (3, 4), (5, 6)],
            ..Stat::default()
        };
        let bytes = stat.encode_extended();
        assert_eq!((bytes[40], bytes[64], bytes[72]), (5, 1, 2));
        assert_eq!((bytes[96], bytes[112], bytes[120]), (5, 3, 4));
        assert_eq!((bytes[128], bytes[132]), (1, 3));
    }

    #[test]
    fn what_is_said_of_a_signal_is_read_as_it_was_written() {
        let info = SigInfo {
            signal: 34,
            code: -1,
            pid: 5,
            uid: 6,
            value: 1 << 40,
        };
        assert_eq!(decode_info(&encode_info(&info)), info);
    }

    #[test]
    fn a_stat_is_laid_out_as_on_x86_64() {
        let stat = Stat {
            inode: 2,
            mode: 0o100_644,
            size: 5,
            times: [(1, 2), (3, 4), (5, 6)],
            ..Stat::default()
        };
        let bytes = stat.encode();
        assert_eq!(bytes[8], 2);
        assert_eq!(bytes[24..28], 0o100_644_u32.to_le_bytes());
        assert_eq!((bytes[48], bytes[72], bytes[80], bytes[112]), (5, 1, 2, 6));
    }
}
