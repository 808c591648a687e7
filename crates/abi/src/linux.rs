//! Linux's flags, modes and constants (x86-64 and generic numbering).
//!
//! Source: Linux `include/uapi`. Types here are the kernel crate's vocabulary; a personality
//! whose guests use other numbers converts at its border.

use bitflags::bitflags;

bitflags! {
    /// Flags of `open(2)`. Access mode is the low two bits: see [`OpenFlags::is_readable`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct OpenFlags: u32 {
        const WRONLY = 0o1;
        const RDWR = 0o2;
        const CREAT = 0o100;
        const EXCL = 0o200;
        const NOCTTY = 0o400;
        const TRUNC = 0o1000;
        const APPEND = 0o2000;
        const NONBLOCK = 0o4000;
        const DSYNC = 0o10000;
        const DIRECT = 0o40000;
        const LARGEFILE = 0o100000;
        const DIRECTORY = 0o200000;
        const NOFOLLOW = 0o400000;
        const NOATIME = 0o1000000;
        const CLOEXEC = 0o2000000;
        const SYNC = 0o4010000;
        const PATH = 0o10000000;
    }
}

impl OpenFlags {
    /// Opens for reading only: no bit is set.
    pub const RDONLY: OpenFlags = OpenFlags::empty();

    /// Whether the access mode allows reading.
    pub fn is_readable(self) -> bool {
        !self.contains(OpenFlags::WRONLY)
    }

    /// Whether the access mode allows writing.
    pub fn is_writable(self) -> bool {
        self.intersects(OpenFlags::WRONLY | OpenFlags::RDWR)
    }
}

bitflags! {
    /// Events of `poll(2)`, as asked for and as reported.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct PollEvents: u16 {
        const IN = 0x1;
        const PRI = 0x2;
        const OUT = 0x4;
        const ERR = 0x8;
        const HUP = 0x10;
        const NVAL = 0x20;
        const RDHUP = 0x2000;
    }
}

/// The kind of an inode: the top four bits of `st_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileType {
    Fifo,
    CharacterDevice,
    Directory,
    BlockDevice,
    Regular,
    Symlink,
    Socket,
}

impl FileType {
    /// Returns the `S_IF*` bits.
    pub fn mode_bits(self) -> u32 {
        match self {
            FileType::Fifo => 0o010000,
            FileType::CharacterDevice => 0o020000,
            FileType::Directory => 0o040000,
            FileType::BlockDevice => 0o060000,
            FileType::Regular => 0o100000,
            FileType::Symlink => 0o120000,
            FileType::Socket => 0o140000,
        }
    }

    /// Returns the kind that `st_mode` names, if it names one.
    pub fn from_mode(mode: u32) -> Option<FileType> {
        Some(match mode & 0o170000 {
            0o010000 => FileType::Fifo,
            0o020000 => FileType::CharacterDevice,
            0o040000 => FileType::Directory,
            0o060000 => FileType::BlockDevice,
            0o100000 => FileType::Regular,
            0o120000 => FileType::Symlink,
            0o140000 => FileType::Socket,
            _ => return None,
        })
    }

    /// Returns the `DT_*` number of a directory entry.
    pub fn dirent_type(self) -> u8 {
        (self.mode_bits() >> 12) as u8
    }
}

/// A signal number, 1 to 64. Source: `signal(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(u8);

macro_rules! signals {
    ($($name:ident = $number:literal;)*) => {
        impl Signal {
            $(#[doc = concat!("`SIG", stringify!($name), "`.")] pub const $name: Signal = Signal($number);)*

            /// Every signal that has a name, in ascending order.
            pub const NAMED: &'static [(Signal, &'static str)] = &[$((Signal::$name, stringify!($name))),*];
        }
    };
}

signals! {
    HUP = 1; INT = 2; QUIT = 3; ILL = 4; TRAP = 5; ABRT = 6; BUS = 7; FPE = 8; KILL = 9; USR1 = 10;
    SEGV = 11; USR2 = 12; PIPE = 13; ALRM = 14; TERM = 15; STKFLT = 16; CHLD = 17; CONT = 18;
    STOP = 19; TSTP = 20; TTIN = 21; TTOU = 22; URG = 23; XCPU = 24; XFSZ = 25; VTALRM = 26;
    PROF = 27; WINCH = 28; IO = 29; PWR = 30; SYS = 31;
}

impl Signal {
    /// The highest number: `SIGRTMAX`.
    pub const MAX: u8 = 64;

    /// Returns the signal of a number from 1 to 64.
    pub fn from_raw(number: i32) -> Option<Signal> {
        u8::try_from(number)
            .ok()
            .filter(|n| (1..=Signal::MAX).contains(n))
            .map(Signal)
    }

    /// Parses `TERM`, `SIGTERM`, `sigterm` or `15`, as `docker kill --signal` does.
    pub fn parse(text: &str) -> Option<Signal> {
        if let Ok(number) = text.parse() {
            return Signal::from_raw(number);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        Signal::NAMED
            .iter()
            .find(|(_, n)| *n == name)
            .map(|(signal, _)| *signal)
    }

    /// Returns the number.
    pub const fn raw(self) -> u8 {
        self.0
    }

    /// Returns the name without `SIG`; `None` for real-time signals.
    pub fn name(self) -> Option<&'static str> {
        Signal::NAMED
            .iter()
            .find(|(signal, _)| *signal == self)
            .map(|(_, name)| *name)
    }

    /// What happens when no handler is set. Source: `signal(7)`, "Standard signals".
    pub fn default_action(self) -> DefaultAction {
        match self {
            Signal::CHLD | Signal::URG | Signal::WINCH => DefaultAction::Ignore,
            Signal::CONT => DefaultAction::Continue,
            Signal::STOP | Signal::TSTP | Signal::TTIN | Signal::TTOU => DefaultAction::Stop,
            _ => DefaultAction::Terminate,
        }
    }
}

/// The default disposition of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    Terminate,
    Ignore,
    Stop,
    Continue,
}

/// `AF_UNSPEC`.
pub const AF_UNSPEC: u16 = 0;
/// `AF_UNIX`.
pub const AF_UNIX: u16 = 1;
/// `AF_INET`.
pub const AF_INET: u16 = 2;
/// `AF_INET6`.
pub const AF_INET6: u16 = 10;

/// `SOCK_STREAM`.
pub const SOCK_STREAM: u32 = 1;
/// `SOCK_DGRAM`.
pub const SOCK_DGRAM: u32 = 2;
/// `SOCK_SEQPACKET`.
pub const SOCK_SEQPACKET: u32 = 5;

/// Longest file name in a directory, in bytes.
pub const NAME_MAX: usize = 255;
/// Longest path that a system call takes, in bytes, with its terminating zero.
pub const PATH_MAX: usize = 4096;
/// Symbolic links followed in one look-up. Linux: `MAXSYMLINKS`.
pub const SYMLINKS_MAX: usize = 40;

/// A lock on a range of a file, as `fcntl(2)` takes and gives it. Linux: `struct flock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLock {
    /// [`RecordLock::READ`], [`RecordLock::WRITE`] or [`RecordLock::UNLOCK`].
    pub kind: i16,
    /// What `start` counts from: the file's start (0), the position (1) or the end (2).
    pub whence: i16,
    pub start: i64,
    /// Bytes; 0: whatever comes; below 0: those before `start`.
    pub length: i64,
    /// The process that holds it; -1 for one of an open file description.
    pub pid: i32,
}

impl RecordLock {
    /// `F_RDLCK`.
    pub const READ: i16 = 0;
    /// `F_WRLCK`.
    pub const WRITE: i16 = 1;
    /// `F_UNLCK`.
    pub const UNLOCK: i16 = 2;
}
