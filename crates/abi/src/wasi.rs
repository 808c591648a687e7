//! WASI preview 1 and `wasi_unstable`: numbers, flags and byte layouts.
//!
//! Source: WASI `phases/snapshot/witx/typenames.witx` (preview 1) and `phases/old/snapshot_0`
//! (`wasi_unstable`). All layouts are little-endian and for 32-bit memories; the two versions
//! differ where a type here has two encodings, and in the order of [`Whence`].

use bitflags::bitflags;

use crate::errno::Errno as LinuxErrno;
use crate::linux::{FileType as LinuxFileType, OpenFlags as LinuxOpenFlags, Signal};

/// An error number of WASI; 0 is success.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(u16);

macro_rules! errnos {
    ($($name:ident = $number:literal <- $($linux:ident)|*;)*) => {
        impl Errno {
            $(#[doc = concat!("WASI's `", stringify!($name), "`.")] pub const $name: Errno = Errno($number);)*

            /// Returns the symbolic name of the specification, in upper case.
            pub fn name(self) -> &'static str {
                match self.0 { $($number => stringify!($name),)* _ => "UNKNOWN" }
            }
        }

        impl From<LinuxErrno> for Errno {
            /// Translates Linux's number; one that WASI does not have becomes its nearest relative, or `IO`.
            fn from(errno: LinuxErrno) -> Errno {
                match errno {
                    $($(LinuxErrno::$linux => Errno($number),)*)*
                    _ => Errno::IO,
                }
            }
        }
    };
}

errnos! {
    SUCCESS = 0 <- ;
    TOO_BIG = 1 <- E2BIG;
    ACCES = 2 <- EACCES;
    ADDRINUSE = 3 <- EADDRINUSE;
    ADDRNOTAVAIL = 4 <- EADDRNOTAVAIL;
    AFNOSUPPORT = 5 <- EAFNOSUPPORT | EPFNOSUPPORT;
    AGAIN = 6 <- EAGAIN;
    ALREADY = 7 <- EALREADY;
    BADF = 8 <- EBADF;
    BADMSG = 9 <- EBADMSG;
    BUSY = 10 <- EBUSY;
    CANCELED = 11 <- ECANCELED;
    CHILD = 12 <- ECHILD;
    CONNABORTED = 13 <- ECONNABORTED;
    CONNREFUSED = 14 <- ECONNREFUSED;
    CONNRESET = 15 <- ECONNRESET;
    DEADLK = 16 <- EDEADLK;
    DESTADDRREQ = 17 <- EDESTADDRREQ;
    DOM = 18 <- EDOM;
    DQUOT = 19 <- EDQUOT;
    EXIST = 20 <- EEXIST;
    FAULT = 21 <- EFAULT;
    FBIG = 22 <- EFBIG;
    HOSTUNREACH = 23 <- EHOSTUNREACH | EHOSTDOWN;
    IDRM = 24 <- EIDRM;
    ILSEQ = 25 <- EILSEQ;
    INPROGRESS = 26 <- EINPROGRESS;
    INTR = 27 <- EINTR;
    INVAL = 28 <- EINVAL;
    IO = 29 <- EIO;
    ISCONN = 30 <- EISCONN;
    ISDIR = 31 <- EISDIR;
    LOOP = 32 <- ELOOP;
    MFILE = 33 <- EMFILE;
    MLINK = 34 <- EMLINK;
    MSGSIZE = 35 <- EMSGSIZE;
    MULTIHOP = 36 <- EMULTIHOP;
    NAMETOOLONG = 37 <- ENAMETOOLONG;
    NETDOWN = 38 <- ENETDOWN;
    NETRESET = 39 <- ENETRESET;
    NETUNREACH = 40 <- ENETUNREACH;
    NFILE = 41 <- ENFILE;
    NOBUFS = 42 <- ENOBUFS | ETOOMANYREFS;
    NODEV = 43 <- ENODEV;
    NOENT = 44 <- ENOENT;
    NOEXEC = 45 <- ENOEXEC;
    NOLCK = 46 <- ENOLCK;
    NOLINK = 47 <- ENOLINK;
    NOMEM = 48 <- ENOMEM;
    NOMSG = 49 <- ENOMSG | ENODATA;
    NOPROTOOPT = 50 <- ENOPROTOOPT;
    NOSPC = 51 <- ENOSPC;
    NOSYS = 52 <- ENOSYS;
    NOTCONN = 53 <- ENOTCONN;
    NOTDIR = 54 <- ENOTDIR;
    NOTEMPTY = 55 <- ENOTEMPTY;
    NOTRECOVERABLE = 56 <- ENOTRECOVERABLE;
    NOTSOCK = 57 <- ENOTSOCK;
    NOTSUP = 58 <- EOPNOTSUPP | ENOTBLK;
    NOTTY = 59 <- ENOTTY;
    NXIO = 60 <- ENXIO;
    OVERFLOW = 61 <- EOVERFLOW;
    OWNERDEAD = 62 <- EOWNERDEAD;
    PERM = 63 <- EPERM;
    PIPE = 64 <- EPIPE;
    PROTO = 65 <- EPROTO;
    PROTONOSUPPORT = 66 <- EPROTONOSUPPORT | ESOCKTNOSUPPORT;
    PROTOTYPE = 67 <- EPROTOTYPE;
    RANGE = 68 <- ERANGE;
    ROFS = 69 <- EROFS;
    SPIPE = 70 <- ESPIPE;
    SRCH = 71 <- ESRCH;
    STALE = 72 <- ESTALE;
    TIMEDOUT = 73 <- ETIMEDOUT | ETIME;
    TXTBSY = 74 <- ETXTBSY;
    XDEV = 75 <- EXDEV;
    NOTCAPABLE = 76 <- ;
    // WasmEdge's additions for `sock_getaddrinfo`.
    AIBADFLAG = 79 <- ;
    AIFAMILY = 81 <- ;
    AIMEMORY = 82 <- ;
    AINONAME = 84 <- ;
    AISERVICE = 85 <- ;
    AISOCKTYPE = 86 <- ;
}

impl Errno {
    /// Returns the number.
    pub fn raw(self) -> u16 {
        self.0
    }
}

impl std::fmt::Debug for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

bitflags! {
    /// What a descriptor may be used for. WASI: `rights`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Rights: u64 {
        const FD_DATASYNC = 1 << 0;
        const FD_READ = 1 << 1;
        const FD_SEEK = 1 << 2;
        const FD_FDSTAT_SET_FLAGS = 1 << 3;
        const FD_SYNC = 1 << 4;
        const FD_TELL = 1 << 5;
        const FD_WRITE = 1 << 6;
        const FD_ADVISE = 1 << 7;
        const FD_ALLOCATE = 1 << 8;
        const PATH_CREATE_DIRECTORY = 1 << 9;
        const PATH_CREATE_FILE = 1 << 10;
        const PATH_LINK_SOURCE = 1 << 11;
        const PATH_LINK_TARGET = 1 << 12;
        const PATH_OPEN = 1 << 13;
        const FD_READDIR = 1 << 14;
        const PATH_READLINK = 1 << 15;
        const PATH_RENAME_SOURCE = 1 << 16;
        const PATH_RENAME_TARGET = 1 << 17;
        const PATH_FILESTAT_GET = 1 << 18;
        const PATH_FILESTAT_SET_SIZE = 1 << 19;
        const PATH_FILESTAT_SET_TIMES = 1 << 20;
        const FD_FILESTAT_GET = 1 << 21;
        const FD_FILESTAT_SET_SIZE = 1 << 22;
        const FD_FILESTAT_SET_TIMES = 1 << 23;
        const PATH_SYMLINK = 1 << 24;
        const PATH_REMOVE_DIRECTORY = 1 << 25;
        const PATH_UNLINK_FILE = 1 << 26;
        const POLL_FD_READWRITE = 1 << 27;
        const SOCK_SHUTDOWN = 1 << 28;
        const SOCK_ACCEPT = 1 << 29;
    }
}

impl Rights {
    /// What every descriptor may be asked.
    const ANY: Rights = Rights::FD_FDSTAT_SET_FLAGS
        .union(Rights::FD_FILESTAT_GET)
        .union(Rights::POLL_FD_READWRITE);

    /// What files with positions and contents on a disk have.
    pub const FILE: Rights = Rights::ANY
        .union(Rights::FD_SEEK)
        .union(Rights::FD_TELL)
        .union(Rights::FD_ADVISE)
        .union(Rights::FD_SYNC)
        .union(Rights::FD_DATASYNC)
        .union(Rights::FD_FILESTAT_SET_TIMES);

    /// What a file that is open for writing has besides.
    pub const FILE_WRITE: Rights = Rights::FD_WRITE
        .union(Rights::FD_ALLOCATE)
        .union(Rights::FD_FILESTAT_SET_SIZE);

    /// What a pipe or a terminal has. wasi-libc takes a character device that cannot seek for a terminal.
    pub const STREAM: Rights = Rights::ANY;

    /// What a socket has.
    pub const SOCKET: Rights = Rights::ANY
        .union(Rights::FD_READ)
        .union(Rights::FD_WRITE)
        .union(Rights::SOCK_SHUTDOWN)
        .union(Rights::SOCK_ACCEPT);

    /// What a directory has.
    pub const DIRECTORY: Rights = Rights::ANY
        .union(Rights::FD_SYNC)
        .union(Rights::FD_DATASYNC)
        .union(Rights::FD_READDIR)
        .union(Rights::FD_FILESTAT_SET_TIMES)
        .union(Rights::PATH_CREATE_DIRECTORY)
        .union(Rights::PATH_CREATE_FILE)
        .union(Rights::PATH_LINK_SOURCE)
        .union(Rights::PATH_LINK_TARGET)
        .union(Rights::PATH_OPEN)
        .union(Rights::PATH_READLINK)
        .union(Rights::PATH_RENAME_SOURCE)
        .union(Rights::PATH_RENAME_TARGET)
        .union(Rights::PATH_FILESTAT_GET)
        .union(Rights::PATH_FILESTAT_SET_SIZE)
        .union(Rights::PATH_FILESTAT_SET_TIMES)
        .union(Rights::PATH_SYMLINK)
        .union(Rights::PATH_REMOVE_DIRECTORY)
        .union(Rights::PATH_UNLINK_FILE);
}

bitflags! {
    /// Flags of a descriptor. WASI: `fdflags`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct FdFlags: u32 {
        const APPEND = 1;
        const DSYNC = 2;
        const NONBLOCK = 4;
        const RSYNC = 8;
        const SYNC = 16;
    }
}

impl FdFlags {
    /// Returns Linux's flags; `RSYNC` is `O_SYNC` there.
    pub fn to_linux(self) -> LinuxOpenFlags {
        let mut flags = LinuxOpenFlags::empty();
        flags.set(LinuxOpenFlags::APPEND, self.contains(FdFlags::APPEND));
        flags.set(LinuxOpenFlags::NONBLOCK, self.contains(FdFlags::NONBLOCK));
        flags.set(LinuxOpenFlags::DSYNC, self.contains(FdFlags::DSYNC));
        if self.intersects(FdFlags::SYNC | FdFlags::RSYNC) {
            flags |= LinuxOpenFlags::SYNC;
        }
        flags
    }

    /// Returns what `fd_fdstat_get` shows of Linux's flags.
    pub fn from_linux(flags: LinuxOpenFlags) -> FdFlags {
        let mut shown = FdFlags::empty();
        shown.set(FdFlags::APPEND, flags.contains(LinuxOpenFlags::APPEND));
        shown.set(FdFlags::NONBLOCK, flags.contains(LinuxOpenFlags::NONBLOCK));
        if flags.contains(LinuxOpenFlags::SYNC) {
            shown |= FdFlags::SYNC | FdFlags::RSYNC;
        } else if flags.contains(LinuxOpenFlags::DSYNC) {
            shown |= FdFlags::DSYNC;
        }
        shown
    }
}

bitflags! {
    /// How `path_open` opens. WASI: `oflags`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct OpenFlags: u32 {
        const CREAT = 1;
        const DIRECTORY = 2;
        const EXCL = 4;
        const TRUNC = 8;
    }

    /// How a path's last symbolic link is treated. WASI: `lookupflags`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct LookupFlags: u32 {
        const SYMLINK_FOLLOW = 1;
    }

    /// Which file times to set, and to what. WASI: `fstflags`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct FstFlags: u32 {
        const ATIM = 1;
        const ATIM_NOW = 2;
        const MTIM = 4;
        const MTIM_NOW = 8;
    }

    /// Flags of `sock_recv`. WASI: `riflags`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ReceiveFlags: u32 {
        const PEEK = 1;
        const WAITALL = 2;
    }

    /// Directions of `sock_shutdown`. WASI: `sdflags`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ShutdownFlags: u32 {
        const RD = 1;
        const WR = 2;
    }
}

/// `sock_recv`'s answer that a datagram was cut. WASI: `roflags.recv_data_truncated`.
pub const RECEIVED_TRUNCATED: u16 = 1;

/// The greatest advice of `fd_advise` (`noreuse`).
pub const ADVICE_MAX: u32 = 5;

/// The kind of a file. WASI: `filetype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FileType {
    Unknown = 0,
    BlockDevice = 1,
    CharacterDevice = 2,
    Directory = 3,
    RegularFile = 4,
    SocketDatagram = 5,
    SocketStream = 6,
    SymbolicLink = 7,
}

impl From<LinuxFileType> for FileType {
    /// Pipes have no kind of their own; a socket file is taken for a stream socket.
    fn from(file_type: LinuxFileType) -> FileType {
        match file_type {
            LinuxFileType::Fifo => FileType::Unknown,
            LinuxFileType::CharacterDevice => FileType::CharacterDevice,
            LinuxFileType::Directory => FileType::Directory,
            LinuxFileType::BlockDevice => FileType::BlockDevice,
            LinuxFileType::Regular => FileType::RegularFile,
            LinuxFileType::Symlink => FileType::SymbolicLink,
            LinuxFileType::Socket => FileType::SocketStream,
        }
    }
}

/// From where `fd_seek` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    Set,
    Current,
    End,
}

impl Whence {
    /// Reads preview 1's number.
    pub fn from_preview1(number: u32) -> Option<Whence> {
        [Whence::Set, Whence::Current, Whence::End]
            .get(number as usize)
            .copied()
    }

    /// Reads the number of `wasi_unstable`, which counts in another order.
    pub fn from_unstable(number: u32) -> Option<Whence> {
        [Whence::Current, Whence::End, Whence::Set]
            .get(number as usize)
            .copied()
    }
}

/// Attributes of a file. WASI: `filestat`; times in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStat {
    pub device: u64,
    pub inode: u64,
    pub file_type: FileType,
    pub links: u64,
    pub size: u64,
    pub accessed: u64,
    pub modified: u64,
    pub changed: u64,
}

impl FileStat {
    /// Lays the attributes out as preview 1 does.
    pub fn to_preview1(self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[24..32].copy_from_slice(&self.links.to_le_bytes());
        self.fill(&mut bytes, 32);
        bytes
    }

    /// Lays the attributes out as `wasi_unstable` does: 32 bits for the links, right after the kind.
    pub fn to_unstable(self) -> [u8; 56] {
        let mut bytes = [0; 56];
        let links = u32::try_from(self.links).unwrap_or(u32::MAX);
        bytes[20..24].copy_from_slice(&links.to_le_bytes());
        self.fill(&mut bytes, 24);
        bytes
    }

    fn fill(&self, bytes: &mut [u8], size_offset: usize) {
        bytes[0..8].copy_from_slice(&self.device.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.inode.to_le_bytes());
        bytes[16] = self.file_type as u8;
        let tail = [self.size, self.accessed, self.modified, self.changed];
        for (field, value) in bytes[size_offset..].chunks_exact_mut(8).zip(tail) {
            field.copy_from_slice(&value.to_le_bytes());
        }
    }
}

/// State of a descriptor. WASI: `fdstat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FdStat {
    pub file_type: FileType,
    pub flags: FdFlags,
    pub rights: Rights,
    pub rights_inheriting: Rights,
}

impl FdStat {
    /// Lays the state out.
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[0] = self.file_type as u8;
        bytes[2..4].copy_from_slice(&(self.flags.bits() as u16).to_le_bytes());
        bytes[8..16].copy_from_slice(&self.rights.bits().to_le_bytes());
        bytes[16..24].copy_from_slice(&self.rights_inheriting.bits().to_le_bytes());
        bytes
    }
}

/// Lays out the description of a pre-opened directory whose name has so many bytes. WASI: `prestat`.
pub fn prestat_bytes(name_len: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[4..8].copy_from_slice(&name_len.to_le_bytes());
    bytes
}

/// Bytes of a directory entry before its name. WASI: `dirent`.
pub const DIRENT_BYTES: usize = 24;

/// Lays out a directory entry; its name follows.
pub fn dirent_bytes(
    next_cookie: u64,
    inode: u64,
    name_len: u32,
    file_type: FileType,
) -> [u8; DIRENT_BYTES] {
    let mut bytes = [0; DIRENT_BYTES];
    bytes[0..8].copy_from_slice(&next_cookie.to_le_bytes());
    bytes[8..16].copy_from_slice(&inode.to_le_bytes());
    bytes[16..20].copy_from_slice(&name_len.to_le_bytes());
    bytes[20] = file_type as u8;
    bytes
}

/// A clock. WASI: `clockid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockId {
    Realtime,
    Monotonic,
    ProcessCpuTime,
    ThreadCpuTime,
}

impl ClockId {
    /// Reads a clock's number.
    pub fn from_raw(number: u32) -> Option<ClockId> {
        Some(match number {
            0 => ClockId::Realtime,
            1 => ClockId::Monotonic,
            2 => ClockId::ProcessCpuTime,
            3 => ClockId::ThreadCpuTime,
            _ => return None,
        })
    }
}

/// What `poll_oneoff` waits for. WASI: `subscription_u`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscribed {
    Clock {
        clock: u32,
        timeout: u64,
        is_absolute: bool,
    },
    Read(u32),
    Write(u32),
}

/// A subscription of `poll_oneoff`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub userdata: u64,
    pub to: Subscribed,
}

impl Subscription {
    /// Bytes of a subscription in preview 1.
    pub const PREVIEW1_BYTES: usize = 48;
    /// Bytes of a subscription in `wasi_unstable`, whose clocks carry one more identifier.
    pub const UNSTABLE_BYTES: usize = 56;

    /// Reads preview 1's layout; `None` for an unknown kind.
    pub fn from_preview1(bytes: &[u8; Subscription::PREVIEW1_BYTES]) -> Option<Subscription> {
        Subscription::parse(bytes, 16)
    }

    /// Reads the layout of `wasi_unstable`; `None` for an unknown kind.
    pub fn from_unstable(bytes: &[u8; Subscription::UNSTABLE_BYTES]) -> Option<Subscription> {
        Subscription::parse(bytes, 24)
    }

    fn parse(bytes: &[u8], clock_offset: usize) -> Option<Subscription> {
        let to = match bytes[8] {
            0 => Subscribed::Clock {
                clock: u32_at(bytes, clock_offset),
                timeout: u64_at(bytes, clock_offset + 8),
                is_absolute: bytes[clock_offset + 24] & 1 != 0,
            },
            1 => Subscribed::Read(u32_at(bytes, 16)),
            2 => Subscribed::Write(u32_at(bytes, 16)),
            _ => return None,
        };
        let userdata = u64_at(bytes, 0);
        Some(Subscription { userdata, to })
    }
}

/// What happened to a subscription. WASI: `event`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    pub userdata: u64,
    pub error: Errno,
    pub kind: EventKind,
    /// Bytes that can be read or written.
    pub bytes: u64,
    pub is_hangup: bool,
}

/// The kind of an event. WASI: `eventtype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EventKind {
    Clock = 0,
    Read = 1,
    Write = 2,
}

impl Event {
    /// Bytes of an event, in both versions.
    pub const BYTES: usize = 32;

    /// Lays the event out.
    pub fn to_bytes(self) -> [u8; Event::BYTES] {
        let mut bytes = [0; Event::BYTES];
        bytes[0..8].copy_from_slice(&self.userdata.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.error.raw().to_le_bytes());
        bytes[10] = self.kind as u8;
        bytes[16..24].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[24] = u8::from(self.is_hangup);
        bytes
    }
}

/// WASI's signals in the order of their numbers, from 1. WASI: `signal`.
const SIGNALS: [Signal; 30] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::ILL,
    Signal::TRAP,
    Signal::ABRT,
    Signal::BUS,
    Signal::FPE,
    Signal::KILL,
    Signal::USR1,
    Signal::SEGV,
    Signal::USR2,
    Signal::PIPE,
    Signal::ALRM,
    Signal::TERM,
    Signal::CHLD,
    Signal::CONT,
    Signal::STOP,
    Signal::TSTP,
    Signal::TTIN,
    Signal::TTOU,
    Signal::URG,
    Signal::XCPU,
    Signal::XFSZ,
    Signal::VTALRM,
    Signal::PROF,
    Signal::WINCH,
    Signal::IO,
    Signal::PWR,
    Signal::SYS,
];

/// Returns the signal of WASI's number, which is not Linux's above 15.
pub fn signal_from_raw(number: u32) -> Option<Signal> {
    let index = (number as usize).checked_sub(1)?;
    SIGNALS.get(index).copied()
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(field)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_linux_error_has_a_wasi_number() {
        for errno in LinuxErrno::ALL {
            let wasi = Errno::from(*errno);
            assert_ne!(wasi, Errno::SUCCESS);
            assert!(
                wasi != Errno::IO || *errno == LinuxErrno::EIO,
                "`{errno:?}` becomes `IO`"
            );
        }
    }

    #[test]
    fn numbers_are_those_of_the_specification() {
        assert_eq!(Errno::from(LinuxErrno::EBADF).raw(), 8);
        assert_eq!(Errno::from(LinuxErrno::ENOENT).raw(), 44);
        assert_eq!(Errno::from(LinuxErrno::ENOSYS).raw(), 52);
        assert_eq!(Errno::from(LinuxErrno::EXDEV).raw(), 75);
        assert_eq!(signal_from_raw(9), Some(Signal::KILL));
        assert_eq!(signal_from_raw(16), Some(Signal::CHLD));
        assert_eq!(signal_from_raw(30), Some(Signal::SYS));
        assert_eq!(signal_from_raw(0), None);
        assert_eq!(signal_from_raw(31), None);
    }

    #[test]
    fn the_two_versions_lay_out_attributes_differently() {
        let stat = FileStat {
            device: 1,
            inode: 2,
            file_type: FileType::RegularFile,
            links: 3,
            size: 4,
            accessed: 5,
            modified: 6,
            changed: 7,
        };
        let new = stat.to_preview1();
        assert_eq!((new[16], new[24], new[32], new[56]), (4, 3, 4, 7));
        let old = stat.to_unstable();
        assert_eq!((old[16], old[20], old[24], old[48]), (4, 3, 4, 7));
    }

    #[test]
    fn a_clock_is_read_from_both_layouts() {
        let expected = Subscribed::Clock {
            clock: 1,
            timeout: 77,
            is_absolute: true,
        };
        let mut new = [0; Subscription::PREVIEW1_BYTES];
        (new[16], new[24], new[40]) = (1, 77, 1);
        assert_eq!(
            Subscription::from_preview1(&new).map(|s| s.to),
            Some(expected)
        );
        let mut old = [0; Subscription::UNSTABLE_BYTES];
        (old[24], old[32], old[48]) = (1, 77, 1);
        assert_eq!(
            Subscription::from_unstable(&old).map(|s| s.to),
            Some(expected)
        );
        new[8] = 9;
        assert_eq!(Subscription::from_preview1(&new), None);
    }
}
