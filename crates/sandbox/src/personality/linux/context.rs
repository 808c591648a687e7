//! What a call sees of its guest: arguments, memory, and the kernel's task.

use std::sync::Arc;

use minke_abi::linux::PATH_MAX;
use minke_abi::{Errno, Result};
use minke_kernel::calls::At;
use minke_kernel::task::Deadline;
use minke_kernel::{Fd, Task};
use wasmtime::{Caller, Val};

use crate::runtime::guest::view;
use crate::runtime::{Guest, GuestAddr, MemoryView};

/// Most arguments that a call takes.
const ARGUMENTS_MAX: usize = 6;

/// `AT_FDCWD`.
const AT_FDCWD: i32 = -100;

/// Bytes of `struct timespec` and `struct timeval`.
pub(super) const TIME_BYTES: u64 = 16;

pub(super) const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// The arguments of a call. Missing ones are 0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arguments([u64; ARGUMENTS_MAX]);

impl Arguments {
    /// Takes the parameters of an import: numbers of 32 bits are widened without a sign.
    pub(super) fn of(params: &[Val]) -> Arguments {
        let mut values = [0; ARGUMENTS_MAX];
        for (value, param) in values.iter_mut().zip(params) {
            *value = match param {
                Val::I32(word) => u64::from(word.cast_unsigned()),
                Val::I64(long) => long.cast_unsigned(),
                _ => 0,
            };
        }
        Arguments(values)
    }

    /// Returns an argument as an unsigned 32-bit number.
    pub(super) fn word(&self, index: usize) -> u32 {
        self.0[index] as u32
    }

    /// Returns an argument as a signed 32-bit number.
    pub(super) fn int(&self, index: usize) -> i32 {
        self.word(index).cast_signed()
    }

    /// Returns an argument as a signed 64-bit number.
    pub(super) fn long(&self, index: usize) -> i64 {
        self.0[index].cast_signed()
    }

    /// Returns an argument as a size or an offset, which must not be negative.
    pub(super) fn size(&self, index: usize) -> Result<u64> {
        u64::try_from(self.long(index)).map_err(|_| Errno::EINVAL)
    }

    /// Returns an argument as an address.
    pub(super) fn address(&self, index: usize) -> GuestAddr {
        GuestAddr::from(self.word(index))
    }

    /// Returns an argument as an address, or nothing for a null pointer.
    pub(super) fn pointer(&self, index: usize) -> Option<GuestAddr> {
        (self.word(index) != 0).then(|| self.address(index))
    }

    /// Returns an argument as a descriptor; a negative number names none and will be `EBADF`.
    pub(super) fn fd(&self, index: usize) -> Fd {
        Fd(self.word(index))
    }

    /// Returns an argument as the start of a path.
    pub(super) fn at(&self, index: usize) -> At {
        match self.int(index) {
            AT_FDCWD => At::Cwd,
            _ => At::Fd(self.fd(index)),
        }
    }
}

/// The guest during one call.
pub(super) struct Context<'a> {
    pub(super) memory: MemoryView<'a>,
    pub(super) guest: &'a mut Guest,
}

impl<'a> Context<'a> {
    /// Looks at the guest that makes a call.
    pub(super) fn of(caller: &'a mut Caller<'_, Guest>) -> Context<'a> {
        let (memory, guest) = view(caller);
        Context { memory, guest }
    }

    /// Returns the task that makes the call.
    pub(super) fn task(&self) -> &Task {
        &self.guest.task
    }

    /// Reads a path. A null pointer is `EFAULT`, although wasm could read there.
    pub(super) fn path(&self, address: GuestAddr) -> Result<Vec<u8>> {
        if address.0 == 0 {
            return Err(Errno::EFAULT);
        }
        self.memory.read_c_string(address, PATH_MAX - 1)
    }

    /// Reads `struct timespec` or `struct timeval`: seconds and a fraction.
    pub(super) fn time(&self, address: GuestAddr) -> Result<(i64, i64)> {
        let seconds = self.memory.read_u64(address)?.cast_signed();
        let fraction = self.memory.read_u64(address.offset(8))?.cast_signed();
        Ok((seconds, fraction))
    }

    /// Writes `struct timespec` or `struct timeval`.
    pub(super) fn write_time(
        &mut self,
        address: GuestAddr,
        seconds: u64,
        fraction: u64,
    ) -> Result<()> {
        self.memory.write_u64(address, seconds)?;
        self.memory.write_u64(address.offset(8), fraction)
    }

    /// Reads a duration in nanoseconds; `unit` is the fraction's. A negative one is refused.
    pub(super) fn duration(&self, address: GuestAddr, unit: u64) -> Result<u64> {
        let (seconds, fraction) = self.time(address)?;
        let seconds = u64::try_from(seconds).map_err(|_| Errno::EINVAL)?;
        let fraction = u64::try_from(fraction).map_err(|_| Errno::EINVAL)?;
        if fraction.saturating_mul(unit) >= NANOSECONDS_PER_SECOND {
            return Err(Errno::EINVAL);
        }
        Ok(seconds
            .saturating_mul(NANOSECONDS_PER_SECOND)
            .saturating_add(fraction * unit))
    }

    /// Returns when so many nanoseconds have passed.
    pub(super) fn deadline_after(&self, nanoseconds: u64) -> Deadline {
        let now = self.task().process.kernel.clock.monotonic();
        Deadline::At(now.saturating_add(nanoseconds))
    }
}

/// Returns the task that makes a call, to be held while the call waits.
pub(super) fn task_of(caller: &Caller<'_, Guest>) -> Arc<Task> {
    Arc::clone(&caller.data().task)
}
