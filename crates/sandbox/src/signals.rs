//! Signals of the host that are meant for the guest: `minke run` in the foreground passes them on.
//!
//! A handler writes the signal's number to a pipe that the control thread reads. A handler, not a blocked
//! mask with a `signalfd`: it works whichever thread the host chooses, and until it is set a signal simply
//! ends a start that takes long (a first compilation).
#![expect(unsafe_code, reason = "signal handlers are set through `sigaction(2)`")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use minke_abi::linux::Signal;
use rustix::pipe::PipeFlags;

/// Signals that are passed on. Docker passes all that can be caught; these are the ones that people send.
const FORWARDED: [Signal; 6] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
];

/// The pipe's writing end; -1 until there is one. It is never closed, for a handler may run at any time.
static PIPE: AtomicI32 = AtomicI32::new(-1);

/// Passes signals on from now; returns the reading end, one byte per signal. May be called once per process.
pub fn forward() -> io::Result<OwnedFd> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    PIPE.store(writer.as_raw_fd(), Ordering::SeqCst);
    // The descriptor lives as long as the process.
    std::mem::forget(writer);
    for signal in FORWARDED {
        set_handler(signal)?;
    }
    Ok(reader)
}

/// Tells of changes of the terminal's window too (`SIGWINCH`), after [`forward`].
pub fn forward_window_changes() -> io::Result<()> {
    set_handler(Signal::WINCH)
}

fn set_handler(signal: Signal) -> io::Result<()> {
    // SAFETY: an all-zero `sigaction` is a valid value: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_signal as *const () as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: `action` is initialised, the old action is not asked for, and the handler has the type that
    // goes without `SA_SIGINFO`: it takes the number alone.
    match unsafe {
        libc::sigaction(
            i32::from(signal.raw()),
            &raw const action,
            std::ptr::null_mut(),
        )
    } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Runs on any thread at any moment: does nothing but one `write(2)`, which is async-signal-safe, and keeps `errno`.
extern "C" fn on_signal(number: libc::c_int) {
    let pipe = PIPE.load(Ordering::SeqCst);
    if pipe < 0 {
        return;
    }
    // SAFETY: `errno` of this thread is always readable and writable.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: the pipe's writing end was forgotten on purpose, so it is open for as long as the process lives.
    let pipe = unsafe { BorrowedFd::borrow_raw(pipe) };
    // A full pipe means that the guest has plenty of signals to take already.
    let _ = rustix::io::write(pipe, &[number as u8]);
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}
