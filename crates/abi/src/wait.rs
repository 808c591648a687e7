//! What `wait(2)` takes and gives. Linux: include/uapi/linux/wait.h, musl `include/sys/wait.h`.

use bitflags::bitflags;

use crate::linux::Signal;

bitflags! {
    /// Options of `wait4` and `waitid`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct WaitOptions: u32 {
        /// Answers at once.
        const NOHANG = 0x1;
        /// Children that have stopped count too.
        const UNTRACED = 0x2;
        /// Children that have ended count (`waitid` only).
        const EXITED = 0x4;
        /// Children that go on count too.
        const CONTINUED = 0x8;
        /// What is told may be told again.
        const NOWAIT = 0x0100_0000;
    }
}

/// `wstatus` of a process that has exited.
pub const fn exited(code: u8) -> u32 {
    (code as u32) << 8
}

/// `wstatus` of a process that a signal has ended.
pub const fn signaled(signal: Signal) -> u32 {
    signal.raw() as u32
}

/// `wstatus` of a process that a signal has stopped.
pub const fn stopped(signal: Signal) -> u32 {
    (signal.raw() as u32) << 8 | 0x7f
}

/// `wstatus` of a process that goes on.
pub const CONTINUED: u32 = 0xffff;
