//! What a call sees of its guest: arguments, memory, and the kernel's task.

use std::sync::Arc;

use minke_abi::linux::PATH_MAX;
use minke_abi::{Errno, Result};
use minke_kernel::calls::At;
use minke_kernel::task::Deadline;
use minke_kernel::{Fd, Task};
use wasmtime::Caller;

use crate::runtime::guest::view;
use crate::runtime::{Guest, GuestAddr, MemoryView};

/// Most arguments that a call takes, as C counts them.
pub(in crate::personality) const ARGUMENTS_MAX: usize = 8;

/// `AT_FDCWD`.
const AT_FDCWD: i32 = -100;

/// The arguments of a call as C passes them; 64-bit numbers are whole. Missing ones are 0.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::personality) struct Arguments(pub(in crate::personality) [u64; ARGUMENTS_MAX]);

impl Arguments {
    /// Returns an argument as an unsigned 32-bit number.
    pub(in crate::personality) fn word(&self, index: usize) -> u32 {
        self.0[index] as u32
    }

    /// Returns an argument as a signed 32-bit number.
    pub(in crate::personality) fn int(&self, index: usize) -> i32 {
        self.word(index).cast_signed()
    }

    /// Returns an argument as a signed 64-bit number.
    pub(in crate::personality) fn long(&self, index: usize) -> i64 {
        self.0[index].cast_signed()
    }

    /// Returns an argument as a size or an offset, which must not be negative.
    pub(in crate::personality) fn size(&self, index: usize) -> Result<u64> {
        u64::try_from(self.long(index)).map_err(|_| Errno::EINVAL)
    }

    /// Returns an argument as an address.
    pub(in crate::personality) fn address(&self, index: usize) -> GuestAddr {
        GuestAddr::from(self.word(index))
    }

    /// Returns an argument as an address, or nothing for a null pointer.
    pub(in crate::personality) fn pointer(&self, index: usize) -> Option<GuestAddr> {
        (self.word(index) != 0).then(|| self.address(index))
    }

    /// Returns an argument as a descriptor; a negative number names none and will be `EBADF`.
    pub(in crate::personality) fn fd(&self, index: usize) -> Fd {
        Fd(self.word(index))
    }

    /// Returns an argument as the start of a path.
    pub(in crate::personality) fn at(&self, index: usize) -> At {
        match self.int(index) {
            AT_FDCWD => At::Cwd,
            _ => At::Fd(self.fd(index)),
        }
    }
}

/// The guest during one call.
pub(in crate::personality) struct Context<'a> {
    pub(in crate::personality) memory: MemoryView<'a>,
    pub(in crate::personality) guest: &'a mut Guest,
}

impl<'a> Context<'a> {
    /// Looks at the guest that makes a call.
    pub(in crate::personality) fn of(caller: &'a mut Caller<'_, Guest>) -> Context<'a> {
        let (memory, guest) = view(caller);
        Context { memory, guest }
    }

    /// Returns the task that makes the call.
    pub(in crate::personality) fn task(&self) -> &Task {
        &self.guest.task
    }

    /// Reads a path. A null pointer is `EFAULT`, although wasm could read there.
    pub(in crate::personality) fn path(&self, address: GuestAddr) -> Result<Vec<u8>> {
        if address.0 == 0 {
            return Err(Errno::EFAULT);
        }
        self.memory.read_c_string(address, PATH_MAX - 1)
    }

    /// Returns when so many nanoseconds have passed.
    pub(in crate::personality) fn deadline_after(&self, nanoseconds: u64) -> Deadline {
        let now = self.task().process.kernel.clock.monotonic();
        Deadline::At(now.saturating_add(nanoseconds))
    }
}

/// Returns the task that makes a call, to be held while the call waits.
pub(in crate::personality) fn task_of(caller: &Caller<'_, Guest>) -> Arc<Task> {
    Arc::clone(&caller.data().task)
}
