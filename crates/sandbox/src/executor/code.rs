//! Where guests' code lies, and how it is left from outside.
//!
//! A signal's handler finds its thread somewhere in the host's code or in a guest's. In a guest's own function, it may wait
//! ([`naps`](super::naps)), for no lock of ours is held there; and it may make the function end: the thread goes on at an instruction
//! that traps, and wasmtime unwinds the guest from there as from any trap. Where a trampoline between guest and host runs, neither its
//! entry nor its exit is noted yet, so nothing is ended there.
#![expect(
    unsafe_code,
    reason = "a handler reads the table of a guest's functions, and the code that it has interrupted"
)]

use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Most programs whose code is known at the same time; no further one is loaded.
const CODES_MAX: usize = 4096;

/// Where guests' code lies. A handler has nothing but statics.
static CODES: [Code; CODES_MAX] = [const { Code::none() }; CODES_MAX];

/// How many places of [`CODES`] were ever taken: those beyond are not looked at.
static CODES_USED: AtomicUsize = AtomicUsize::new(0);

/// The code of one program.
struct Code {
    /// First address; 0 where there is none.
    start: AtomicUsize,
    /// End; not 0 in a place that is taken.
    end: AtomicUsize,
    /// How it is left; null until somebody wants that.
    exit: AtomicPtr<Exit>,
}

impl Code {
    const fn none() -> Self {
        Self {
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            exit: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Returns whether `address` lies in it.
    fn holds(&self, address: usize) -> bool {
        let start = self.start.load(Ordering::SeqCst);
        start != 0 && address >= start && address < self.end.load(Ordering::SeqCst)
    }
}

/// How a program's code is left from outside.
#[derive(Debug)]
pub(crate) struct Exit {
    /// Addresses of the guest's functions, in ascending order and apart from each other. What lies between are trampolines.
    pub(crate) functions: Vec<Range<usize>>,
    /// Address of an instruction that traps, in one of those functions.
    pub(crate) trap: usize,
}

impl Exit {
    /// Returns whether the guest can be ended at `address`.
    fn is_at(&self, address: usize) -> bool {
        let after = self
            .functions
            .partition_point(|function| function.start <= address);
        let function = self.functions[..after].last();
        function.is_some_and(|function| function.contains(&address) && !is_moving_frame(address))
    }
}

/// Keeps it known that guests' code lies somewhere.
#[derive(Debug)]
pub(crate) struct GuestCode {
    /// Its place in [`CODES`].
    place: usize,
}

impl GuestCode {
    /// Makes known that guests' code lies in `addresses`. It must not be unmapped before this is dropped. `None` when the code of
    /// too many programs is known.
    pub(crate) fn new(addresses: &Range<usize>) -> Option<Self> {
        let take = |place: &usize| {
            let code = &CODES[*place];
            let taken =
                code.end
                    .compare_exchange(0, addresses.end, Ordering::SeqCst, Ordering::SeqCst);
            taken
                .inspect(|_| code.start.store(addresses.start, Ordering::SeqCst))
                .is_ok()
        };
        let place = (0..CODES_MAX).find(take)?;
        CODES_USED.fetch_max(place + 1, Ordering::SeqCst);
        Some(Self { place })
    }

    /// Makes known how the code is left, unless that is known.
    pub(crate) fn set_exit(&self, make: impl FnOnce() -> Exit) {
        let exit = &CODES[self.place].exit;
        if exit.load(Ordering::SeqCst).is_null() {
            let made = Box::into_raw(Box::new(make()));
            let set =
                exit.compare_exchange(ptr::null_mut(), made, Ordering::SeqCst, Ordering::SeqCst);
            if set.is_err() {
                // SAFETY: `made` came from `Box::into_raw` just now, and nobody else was given it.
                drop(unsafe { Box::from_raw(made) });
            }
        }
    }
}

impl Drop for GuestCode {
    fn drop(&mut self) {
        let code = &CODES[self.place];
        code.start.store(0, Ordering::SeqCst);
        let exit = code.exit.swap(ptr::null_mut(), Ordering::SeqCst);
        if !exit.is_null() {
            // SAFETY: it came from `Box::into_raw` in `set_exit`, and the place holds it no more. A handler reads it only on a thread
            // that it found in this code, which runs no more, or its owner would not be gone.
            drop(unsafe { Box::from_raw(exit) });
        }
        code.end.store(0, Ordering::SeqCst);
    }
}

/// Returns whether `address` lies in guests' code. Async-signal-safe.
pub(super) fn is_guest_code(address: usize) -> bool {
    code_at(address).is_some()
}

/// Returns where to go on to end the guest whose code the calling thread was running at `address`; `None` where it cannot be
/// ended, or not now. Async-signal-safe.
pub(super) fn exit_from(address: usize) -> Option<usize> {
    let exit = code_at(address)?.exit.load(Ordering::SeqCst);
    // SAFETY: what is set lives as long as the code is known, which the thread is running.
    let exit = unsafe { exit.as_ref() }?;
    exit.is_at(address).then_some(exit.trap)
}

fn code_at(address: usize) -> Option<&'static Code> {
    let used = CODES_USED.load(Ordering::SeqCst);
    CODES[..used].iter().find(|code| code.holds(address))
}

/// Whether the instruction at `address` moves a frame down to make room for a tail call's arguments: the frame pointer is
/// then ahead of what it points to, and wasmtime could not walk the stack.
///
/// Cranelift: `isa/x64/abi.rs`, `gen_prologue_frame_setup`. On other CPUs the frame is made in its place.
fn is_moving_frame(address: usize) -> bool {
    if !cfg!(target_arch = "x86_64") {
        return false;
    }
    // SAFETY: `address` lies in a function of the guest's code, which is mapped and readable; the last function of all is no
    // shorter than this, and other code follows every other.
    let code = unsafe { *ptr::with_exposed_provenance::<[u8; 5]>(address) };
    matches!(
        code,
        // `mov r11, [rsp+n]`, `mov [rsp], r11`, `mov [rsp+8], r11`
        [0x4c, 0x8b, 0x5c | 0x9c, 0x24, _]
            | [0x4c, 0x89, 0x1c, 0x24, _]
            | [0x4c, 0x89, 0x5c, 0x24, 8]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No address of this machine.
    const NOWHERE: Range<usize> = 0x7fff_0000_0000_0000..0x7fff_0000_0001_0000;

    #[test]
    fn code_is_known_while_somebody_keeps_it_known() {
        let code = GuestCode::new(&NOWHERE).expect("there is room");
        assert!(is_guest_code(NOWHERE.start) && is_guest_code(NOWHERE.end - 1));
        assert!(!is_guest_code(NOWHERE.end) && !is_guest_code(NOWHERE.start - 1));
        drop(code);
        assert!(!is_guest_code(NOWHERE.start));
    }

    #[test]
    fn only_functions_are_left_and_only_when_it_is_known_how() {
        // Code that is there, for it is looked at: sixteen times nothing, a frame that moves, and nothing.
        let mut bytes = [0x90_u8; 64];
        bytes[16..21].copy_from_slice(&[0x4c, 0x8b, 0x5c, 0x24, 0x10]);
        let start = bytes.as_ptr().expose_provenance();
        let code = GuestCode::new(&(start..start + 64)).expect("there is room");
        assert_eq!(exit_from(start), None);
        code.set_exit(|| Exit {
            functions: vec![start..start + 8, start + 16..start + 32],
            trap: start + 30,
        });
        assert_eq!(exit_from(start), Some(start + 30));
        assert_eq!(exit_from(start + 7), Some(start + 30));
        assert_eq!(exit_from(start + 8), None, "a trampoline");
        let moving = if cfg!(target_arch = "x86_64") {
            None
        } else {
            Some(start + 30)
        };
        assert_eq!(exit_from(start + 16), moving);
        assert_eq!(exit_from(start + 21), Some(start + 30));
        assert_eq!(exit_from(start + 32), None);
        drop(code);
        assert_eq!(exit_from(start), None);
    }
}
