//! Terminals: flags, control characters and requests. Linux: include/uapi/asm-generic/termbits.h, ioctls.h; `ioctl_tty(2)`.

use bitflags::bitflags;

bitflags! {
    /// What happens to typed characters: `c_iflag`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct InputFlags: u32 {
        const ISTRIP = 0o40;
        const INLCR = 0o100;
        const IGNCR = 0o200;
        const ICRNL = 0o400;
        const IUCLC = 0o1000;
        const IXON = 0o2000;
        const IXANY = 0o4000;
        const IMAXBEL = 0o20000;
        const IUTF8 = 0o40000;
        const _ = !0;
    }

    /// What happens to what programs print: `c_oflag`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct OutputFlags: u32 {
        const OPOST = 0o1;
        const OLCUC = 0o2;
        const ONLCR = 0o4;
        const OCRNL = 0o10;
        const ONOCR = 0o20;
        const ONLRET = 0o40;
        /// All of what `TABDLY` says.
        const XTABS = 0o14000;
        const _ = !0;
    }

    /// Editing, echo and signals: `c_lflag`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct LocalFlags: u32 {
        const ISIG = 0o1;
        const ICANON = 0o2;
        const ECHO = 0o10;
        const ECHOE = 0o20;
        const ECHOK = 0o40;
        const ECHONL = 0o100;
        const NOFLSH = 0o200;
        const TOSTOP = 0o400;
        const ECHOCTL = 0o1000;
        const ECHOPRT = 0o2000;
        const ECHOKE = 0o4000;
        const IEXTEN = 0o100000;
        const EXTPROC = 0o200000;
        const _ = !0;
    }

    /// What the master of a pair in packet mode is told. Linux: include/uapi/asm-generic/ioctls.h, `TIOCPKT_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct PacketStatus: u8 {
        const FLUSHREAD = 1;
        const FLUSHWRITE = 2;
        const STOP = 4;
        const START = 8;
        const NOSTOP = 16;
        const DOSTOP = 32;
    }
}

/// Places in `c_cc`.
pub mod character {
    pub const INTR: usize = 0;
    pub const QUIT: usize = 1;
    pub const ERASE: usize = 2;
    pub const KILL: usize = 3;
    pub const EOF: usize = 4;
    /// Tenths of a second that a read waits; no character.
    pub const TIME: usize = 5;
    /// Bytes that a read waits for; no character.
    pub const MIN: usize = 6;
    pub const START: usize = 8;
    pub const STOP: usize = 9;
    pub const SUSP: usize = 10;
    pub const EOL: usize = 11;
    pub const REPRINT: usize = 12;
    pub const WERASE: usize = 14;
    pub const LNEXT: usize = 15;
    pub const EOL2: usize = 16;
    /// Characters of the kernel's `struct termios`.
    pub const COUNT: usize = 19;
}

/// `CSIZE` of `c_cflag`.
pub const CSIZE: u32 = 0o60;
/// Eight bits a character, `CS8`.
pub const CS8: u32 = 0o60;
/// `CREAD`.
pub const CREAD: u32 = 0o200;
/// `PARENB`.
pub const PARENB: u32 = 0o400;

/// The second argument of `ioctl(2)`.
pub mod request {
    pub const TCGETS: u32 = 0x5401;
    pub const TCSETS: u32 = 0x5402;
    pub const TCSETSW: u32 = 0x5403;
    pub const TCSETSF: u32 = 0x5404;
    pub const TCSBRK: u32 = 0x5409;
    pub const TCXONC: u32 = 0x540a;
    pub const TCFLSH: u32 = 0x540b;
    pub const TIOCEXCL: u32 = 0x540c;
    pub const TIOCNXCL: u32 = 0x540d;
    pub const TIOCSCTTY: u32 = 0x540e;
    pub const TIOCGPGRP: u32 = 0x540f;
    pub const TIOCSPGRP: u32 = 0x5410;
    pub const TIOCOUTQ: u32 = 0x5411;
    pub const TIOCSTI: u32 = 0x5412;
    pub const TIOCGWINSZ: u32 = 0x5413;
    pub const TIOCSWINSZ: u32 = 0x5414;
    pub const TIOCPKT: u32 = 0x5420;
    pub const TIOCNOTTY: u32 = 0x5422;
    pub const TCSBRKP: u32 = 0x5425;
    pub const TIOCGSID: u32 = 0x5429;
    pub const TIOCGPTN: u32 = 0x8004_5430;
    pub const TIOCSPTLCK: u32 = 0x4004_5431;
    pub const TIOCGPKT: u32 = 0x8004_5438;
    pub const TIOCGPTLCK: u32 = 0x8004_5439;
    pub const TIOCGEXCL: u32 = 0x8004_5440;
    pub const TIOCGPTPEER: u32 = 0x5441;
}
