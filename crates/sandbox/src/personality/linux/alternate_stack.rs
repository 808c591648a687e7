//! The stack that handlers with `SA_ONSTACK` run on. Linux: kernel/signal.c `do_sigaltstack()`; `sigaltstack(2)`.
//!
//! The kernel keeps where it is and whether a handler is on it, and says by `SA_ONSTACK` in the flags of a delivery that the handler is
//! to begin there. To go there is the C library's work: only it can set the stack pointer.

use minke_abi::signal::ActionFlags;
use minke_abi::{Errno, Result};

use super::State;

/// Least bytes of a stack. Linux: `MINSIGSTKSZ`.
const BYTES_MIN: u32 = 2048;

/// Bytes of `stack_t`: address, flags, size.
pub(super) const STACK_BYTES: usize = 12;

/// Flags of `stack_t`. Linux: include/uapi/linux/signal.h.
mod flag {
    pub(super) const ONSTACK: u32 = 1;
    pub(super) const DISABLE: u32 = 2;
    /// It is forgotten while a handler runs on it.
    pub(super) const AUTODISARM: u32 = 1 << 31;
}

/// The alternate stack of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AlternateStack {
    address: u32,
    /// 0: there is none.
    bytes: u32,
    disarms: bool,
    /// A handler runs on it.
    is_in_use: bool,
}

impl AlternateStack {
    /// Reads `stack_t`: `EINVAL` for flags that there are not, `ENOMEM` for a stack that is too small.
    pub(super) fn decode(bytes: [u8; STACK_BYTES]) -> Result<AlternateStack> {
        let [address, flags, size] = [0, 4, 8].map(|at| word(&bytes, at));
        match flags & !flag::AUTODISARM {
            flag::DISABLE => return Ok(AlternateStack::default()),
            0 | flag::ONSTACK if size < BYTES_MIN => return Err(Errno::ENOMEM),
            0 | flag::ONSTACK => {}
            _ => return Err(Errno::EINVAL),
        }
        Ok(AlternateStack {
            address,
            bytes: size,
            disarms: flags & flag::AUTODISARM != 0,
            is_in_use: false,
        })
    }

    /// Lays out `stack_t`.
    pub(super) fn encode(&self) -> [u8; STACK_BYTES] {
        let state = match (self.bytes, self.is_in_use) {
            (0, _) => flag::DISABLE,
            (_, true) => flag::ONSTACK,
            (_, false) => 0,
        };
        let disarms = u32::from(self.disarms) * flag::AUTODISARM;
        let mut bytes = [0; STACK_BYTES];
        for (place, word) in
            bytes
                .chunks_exact_mut(4)
                .zip([self.address, state | disarms, self.bytes])
        {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Replaces it; `EPERM` while a handler runs on it.
    pub(super) fn replace(&mut self, new: AlternateStack) -> Result<()> {
        if self.is_in_use {
            return Err(Errno::EPERM);
        }
        *self = new;
        Ok(())
    }
}

fn word(bytes: &[u8; STACK_BYTES], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

impl State {
    /// Notes that a handler begins; returns the flags that its delivery is told, and what is to be kept for [`State::leave_handler`].
    pub(super) fn enter_handler(&mut self, flags: ActionFlags) -> (ActionFlags, AlternateStack) {
        let before = self.alternate_stack;
        let goes_there =
            flags.contains(ActionFlags::ONSTACK) && before.bytes != 0 && !before.is_in_use;
        if !goes_there {
            return (flags - ActionFlags::ONSTACK, before);
        }
        self.alternate_stack.is_in_use = true;
        (flags, before)
    }

    /// Puts the stack back as it was before a handler. Linux: `restore_altstack()`.
    pub(super) fn leave_handler(&mut self, before: AlternateStack) {
        self.alternate_stack = before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(address: u32, flags: u32, bytes: u32) -> Result<AlternateStack> {
        let mut raw = [0; STACK_BYTES];
        for (place, word) in raw.chunks_exact_mut(4).zip([address, flags, bytes]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        AlternateStack::decode(raw)
    }

    #[test]
    fn what_is_no_stack_is_refused() {
        assert_eq!(stack(0x1000, 0, 100), Err(Errno::ENOMEM));
        assert_eq!(stack(0x1000, 8, 8192), Err(Errno::EINVAL));
        assert_eq!(
            stack(0x1000, flag::DISABLE, 0),
            Ok(AlternateStack::default())
        );
    }

    #[test]
    fn the_first_handler_goes_there_and_those_inside_it_stay() {
        let mut state = State {
            alternate_stack: stack(0x1000, 0, 8192).unwrap(),
            ..State::default()
        };
        let (told, before) = state.enter_handler(ActionFlags::ONSTACK);
        assert!(told.contains(ActionFlags::ONSTACK));
        let (inner, own) = state.enter_handler(ActionFlags::ONSTACK);
        assert!(!inner.contains(ActionFlags::ONSTACK));
        state.leave_handler(own);
        assert_eq!(state.alternate_stack.replace(before), Err(Errno::EPERM));
        state.leave_handler(before);
        assert_eq!(state.alternate_stack.encode()[4], 0);
    }
}
