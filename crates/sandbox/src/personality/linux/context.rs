//! What a call sees of its guest: what both ports of musl have, and times with 64 bits.

use minke_abi::{Errno, Result};
use wasmtime::Val;

use crate::personality::musl::context::ARGUMENTS_MAX;
pub(super) use crate::personality::musl::context::{Arguments, Context, task_of};
use crate::runtime::GuestAddr;

/// Bytes of `struct timespec` and `struct timeval`.
pub(super) const TIME_BYTES: u64 = 16;

pub(super) const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

impl Arguments {
    /// Takes up to [`ARGUMENTS_MAX`] numbers.
    pub(super) fn of_numbers(numbers: &[u64]) -> Arguments {
        let mut values = [0; ARGUMENTS_MAX];
        for (value, number) in values.iter_mut().zip(numbers) {
            *value = *number;
        }
        Arguments(values)
    }

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
}

impl Context<'_> {
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
}
