//! Clocks and random bytes.

use minke_abi::wasi::{ClockId, Errno};

use super::process::unless_fatal;
use super::{Answer, Call};
use crate::runtime::GuestAddr;

/// Resolution of every clock. Linux: `hrtimer_resolution` on any machine of today.
const RESOLUTION_NS: u64 = 1;

/// Random bytes made between two looks at whether the process is to end.
const RANDOM_CHUNK_BYTES: u32 = 1 << 18;

/// Tells a clock's resolution in nanoseconds.
pub(super) fn clock_res_get(call: &mut Call<'_>, clock: u32, result: u32) -> Answer<()> {
    ClockId::from_raw(clock).ok_or(Errno::INVAL)?;
    Ok(call.memory.write_u64(result.into(), RESOLUTION_NS)?)
}

/// Tells a clock's time in nanoseconds. The CPU clocks are those of the container's process.
pub(super) fn clock_time_get(
    call: &mut Call<'_>,
    clock: u32,
    _precision: u64,
    result: u32,
) -> Answer<()> {
    let id = ClockId::from_raw(clock).ok_or(Errno::INVAL)?;
    let clock = &call.guest.task.process.kernel.clock;
    let time = match id {
        ClockId::Realtime => clock.realtime(),
        ClockId::Monotonic => clock.monotonic(),
        ClockId::ProcessCpuTime | ClockId::ThreadCpuTime => clock.cpu_time(),
    };
    Ok(call.memory.write_u64(result.into(), time)?)
}

/// Fills a buffer with bytes fit for keys.
pub(super) fn random_get(call: &mut Call<'_>, buffer: u32, length: u32) -> Answer<()> {
    let buffer = GuestAddr::from(buffer);
    call.memory.check(buffer, u64::from(length))?;
    let mut done = 0;
    while done < length {
        let chunk = (length - done).min(RANDOM_CHUNK_BYTES);
        let entropy = &call.guest.task.process.kernel.entropy;
        let target = buffer.offset(u64::from(done));
        call.memory.receive(
            target,
            u64::from(chunk),
            |bytes| {
                entropy.fill(bytes);
                Ok(bytes.len())
            },
            |count| *count,
        )?;
        done += chunk;
        unless_fatal(call.guest)?;
    }
    Ok(())
}
