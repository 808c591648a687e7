//! Modes of the host's terminals: programs change those of the caller's, which has them back afterwards.
//!
//! POSIX: `tcgetattr()`, `tcsetattr()`.
#![expect(
    unsafe_code,
    reason = "modes are read and changed by functions of the C library that take pointers"
)]

use std::io::IsTerminal;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use minke_abi::{Errno, Result};
use minke_kernel::{ModesChange, TerminalModes};

/// Returns a terminal's modes.
pub(super) fn of(fd: BorrowedFd<'_>) -> Result<TerminalModes> {
    let modes = get(fd)?;
    let mut characters = [0; 19];
    characters.copy_from_slice(&modes.c_cc[..19]);
    Ok(TerminalModes {
        flags: [modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag],
        discipline: modes.c_line,
        characters,
    })
}

/// Changes a terminal's modes; its speed stays.
pub(super) fn set(fd: BorrowedFd<'_>, modes: &TerminalModes, when: ModesChange) -> Result<()> {
    let mut changed = get(fd)?;
    let [input, output, line, local] = modes.flags;
    changed.c_iflag = input;
    changed.c_oflag = output;
    changed.c_cflag = line & !libc::CBAUD | changed.c_cflag & libc::CBAUD;
    changed.c_lflag = local;
    changed.c_cc[..19].copy_from_slice(&modes.characters);
    let action = match when {
        ModesChange::Now => libc::TCSANOW,
        ModesChange::Drained => libc::TCSADRAIN,
        ModesChange::Flushed => libc::TCSAFLUSH,
    };
    put(fd, action, &changed)
}

/// A terminal of the caller, which gets the modes that it has now when this is dropped.
pub struct SavedModes {
    fd: OwnedFd,
    modes: libc::termios,
}

impl SavedModes {
    /// Remembers the modes of what is a terminal.
    pub fn of(fd: OwnedFd) -> Option<SavedModes> {
        use std::os::fd::AsFd;
        let modes = fd.is_terminal().then(|| get(fd.as_fd()).ok())??;
        Some(SavedModes { fd, modes })
    }
}

impl Drop for SavedModes {
    fn drop(&mut self) {
        use std::os::fd::AsFd;
        let fd = self.fd.as_fd();
        if get(fd).is_ok_and(|now| is_same(&now, &self.modes)) {
            return;
        }
        // A process in the background would be stopped for it, just before it ends.
        ignore_stop_for_output();
        let _ = put(fd, libc::TCSADRAIN, &self.modes);
    }
}

fn is_same(a: &libc::termios, b: &libc::termios) -> bool {
    let flags =
        |modes: &libc::termios| [modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag];
    flags(a) == flags(b) && a.c_cc == b.c_cc
}

fn get(fd: BorrowedFd<'_>) -> Result<libc::termios> {
    // SAFETY: an all-zero `termios` is a valid value: numbers and arrays of numbers.
    let mut modes: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, and `modes` is written to only during the call.
    match unsafe { libc::tcgetattr(fd.as_raw_fd(), &raw mut modes) } {
        0 => Ok(modes),
        _ => Err(last_error()),
    }
}

fn put(fd: BorrowedFd<'_>, action: libc::c_int, modes: &libc::termios) -> Result<()> {
    // SAFETY: the descriptor is open, and `modes` is initialised and read only during the call.
    match unsafe { libc::tcsetattr(fd.as_raw_fd(), action, modes) } {
        0 => Ok(()),
        _ => Err(last_error()),
    }
}

fn last_error() -> Errno {
    let raw = std::io::Error::last_os_error().raw_os_error();
    raw.map_or(Errno::EIO, |raw| {
        super::errno(rustix::io::Errno::from_raw_os_error(raw))
    })
}

fn ignore_stop_for_output() {
    // SAFETY: to ignore a signal installs no code; nothing else of ours handles this one.
    unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
}
