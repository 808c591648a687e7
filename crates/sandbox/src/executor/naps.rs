//! Naps: a worker waits on a futex wherever its guest is, sent there by a signal.
//!
//! So running code pays nothing for being held up. There are two reasons: the container's CPU time is used up
//! ([`quota`](super::quota)), then a worker naps at whatever it is about; or others have their turn ([`rota`](super::rota)), then it naps
//! only in a guest's own code, where it holds no lock of ours. The same signal ends a guest that computes: found in its code, it
//! goes on at an instruction that traps ([`code`](super::code)).
#![expect(
    unsafe_code,
    reason = "signal handlers are set through `sigaction(2)`, signals sent to one thread, and a handler looks where its \
              thread was"
)]

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::thread::futex;

use super::{code, quota};

/// Sends workers to their naps, and guests to their ends. Nothing else of ours uses it; its name says what has happened.
const SIGNAL: c_int = libc::SIGXCPU;

/// Has nothing to wait for.
const AWAKE: u32 = 0;
/// Is to wait as soon as a signal finds it in a guest's code.
const TIRED: u32 = 1;
/// Waits.
const ASLEEP: u32 = 2;
/// Does not wait until its guest has ended, which it is to as soon as a signal finds it in its code.
const DOOMED: u32 = 3;

/// Whether one worker naps while others have their turn.
#[derive(Debug, Default)]
pub(crate) struct Nap {
    state: AtomicU32,
}

thread_local! {
    /// The calling thread's. A handler reads it, so it has no destructor and is there from the start.
    static OWN: Cell<*const Nap> = const { Cell::new(ptr::null()) };
}

/// Makes a nap the calling thread's until it is dropped.
pub(super) struct OwnNap {
    nap: Arc<Nap>,
    before: *const Nap,
}

impl OwnNap {
    pub(super) fn new(nap: &Arc<Nap>) -> Self {
        Self {
            nap: Arc::clone(nap),
            before: OWN.replace(Arc::as_ptr(nap)),
        }
    }
}

impl Drop for OwnNap {
    fn drop(&mut self) {
        OWN.set(self.before);
        self.nap.begin();
    }
}

impl Nap {
    /// Begins a poll: what was said about the last one is over.
    pub(super) fn begin(&self) {
        // Nothing else is written while the worker is between two polls, but by those who mean the last one.
        if self.state.load(Ordering::Relaxed) != AWAKE {
            self.state.store(AWAKE, Ordering::SeqCst);
        }
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.state.load(Ordering::SeqCst) == ASLEEP
    }

    pub(super) fn is_doomed(&self) -> bool {
        self.state.load(Ordering::SeqCst) == DOOMED
    }

    /// Sends the worker that runs as `thread` to its nap, if it is in a guest's code now; one that has not begun naps before
    /// its first poll.
    pub(super) fn send(&self, thread: Option<i32>) {
        let _ = self
            .state
            .compare_exchange(AWAKE, TIRED, Ordering::SeqCst, Ordering::SeqCst);
        if let Some(thread) = thread
            && self.state.load(Ordering::SeqCst) == TIRED
        {
            signal(thread);
        }
    }

    /// Ends the nap.
    pub(super) fn end(&self) {
        let ended = |state| (state == TIRED || state == ASLEEP).then_some(AWAKE);
        let ended = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, ended);
        if ended == Ok(ASLEEP) {
            self.wake();
        }
    }

    /// Ends the nap, and the guest as soon as a signal finds it in its code.
    pub(super) fn doom(&self) {
        if self.state.swap(DOOMED, Ordering::SeqCst) == ASLEEP {
            self.wake();
        }
    }

    /// Forgets that the guest is to end: another may follow on the same worker.
    pub(crate) fn pardon(&self) {
        let _ = self
            .state
            .compare_exchange(DOOMED, AWAKE, Ordering::SeqCst, Ordering::SeqCst);
    }

    fn wake(&self) {
        // Fails only for a bad address.
        let _ = futex::wake(&self.state, futex::Flags::PRIVATE, 1);
    }

    /// Waits until the nap is ended, if the worker is to nap. Async-signal-safe.
    pub(super) fn sleep(&self) {
        let fell_asleep =
            self.state
                .compare_exchange(TIRED, ASLEEP, Ordering::SeqCst, Ordering::SeqCst);
        while fell_asleep.is_ok() && self.is_asleep() {
            // Whatever ends the wait, the state is looked at again.
            let _ = futex::wait(&self.state, futex::Flags::PRIVATE, ASLEEP, None);
        }
    }
}

/// Sends a signal to a thread of this process, whose handler lets it nap.
pub(super) fn signal(thread: i32) {
    let process = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: the call takes three numbers; a handler for the signal is set, and does nothing but wait.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, SIGNAL) };
}

/// Makes naps possible, and ends of guests.
///
/// # Errors
/// When the first attempt of this process has failed; the kernel refuses no known signal.
pub(super) fn set_handler() -> io::Result<()> {
    static SET: OnceLock<Option<i32>> = OnceLock::new();
    match SET.get_or_init(|| {
        try_set_handler()
            .err()
            .map(|error| error.raw_os_error().unwrap_or(0))
    }) {
        None => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(*code)),
    }
}

fn try_set_handler() -> io::Result<()> {
    // SAFETY: an all-zero `sigaction` is a valid value: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_signal as *const () as libc::sighandler_t;
    // On the thread's own signal stack: a guest may be at the end of its fiber's.
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK | libc::SA_SIGINFO;
    // SAFETY: `action` is initialised, the old action is not asked for, and the handler has the type that goes with
    // `SA_SIGINFO`.
    match unsafe { libc::sigaction(SIGNAL, &raw const action, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

extern "C" fn on_signal(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    quota::nap();
    let own = OWN.get();
    // SAFETY: with `SA_SIGINFO`, a handler's third argument points to a `ucontext_t` that lives until it returns.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let at = program_counter(context);
    if own.is_null() || !code::is_guest_code(*at) {
        return;
    }
    // SAFETY: the thread holds its nap's `Arc` while the pointer is set, and this handler runs on the thread itself.
    let own = unsafe { &*own };
    own.sleep();
    if own.is_doomed()
        && let Some(exit) = code::exit_from(*at)
    {
        *at = exit;
    }
}

/// Where the thread was when the signal came, and where it goes on.
fn program_counter(context: &mut libc::ucontext_t) -> &mut usize {
    let machine = &mut context.uc_mcontext;
    #[cfg(target_arch = "x86_64")]
    let counter = &raw mut machine.gregs[libc::REG_RIP as usize];
    #[cfg(target_arch = "aarch64")]
    let counter = &raw mut machine.pc;
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    compile_error!("where a thread was is not known for this CPU: guests could not be ended");
    // SAFETY: a register is as wide as an address, any value is valid for both types, and `context` stays borrowed.
    unsafe { &mut *counter.cast::<usize>() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_outside_of_guests_code_does_not_nap() {
        set_handler().expect("a handler can be set");
        let nap = Arc::new(Nap::default());
        let own = Arc::clone(&nap);
        let sent = std::thread::spawn(move || {
            let _own = OwnNap::new(&own);
            own.send(Some(rustix::thread::gettid().as_raw_nonzero().get()));
            own.state.load(Ordering::SeqCst)
        });
        assert_eq!(sent.join().expect("no panic"), TIRED);
        assert_eq!(nap.state.load(Ordering::SeqCst), AWAKE, "nobody's nap");
    }

    #[test]
    fn who_is_to_end_is_not_sent_to_nap() {
        let nap = Nap::default();
        nap.doom();
        nap.send(None);
        nap.end();
        assert!(nap.is_doomed());
        nap.pardon();
        assert!(!nap.is_doomed());
        nap.send(None);
        nap.pardon();
        assert_eq!(nap.state.load(Ordering::SeqCst), TIRED);
    }
}
