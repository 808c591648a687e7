//! Processes behind descriptors: `pidfd_open` and its kin.

use minke_abi::linux::{OpenFlags, Signal};
use minke_abi::wali::decode_info;
use minke_abi::{Errno, Result};
use minke_kernel::Pid;
use minke_kernel::signal::{SignalInfo, code};

use crate::personality::linux::context::{Arguments, Context};
use crate::personality::linux::table::Syscall;
use crate::runtime::GuestAddr;

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::now("pidfd_open", 434, |c, a| {
        let flags = OpenFlags::from_bits_retain(a.word(1));
        if a.int(0) <= 0 || !OpenFlags::NONBLOCK.contains(flags) {
            return Err(Errno::EINVAL);
        }
        let fd = c.task().open_process(Pid(a.word(0)), flags)?;
        Ok(i64::from(fd.0))
    }),
    Syscall::now("pidfd_send_signal", 424, send_signal).attentive(),
    Syscall::now("pidfd_getfd", 438, |c, a| {
        if a.word(2) != 0 {
            return Err(Errno::EINVAL);
        }
        let fd = c.task().take_descriptor(a.fd(0), a.fd(1))?;
        Ok(i64::from(fd.0))
    }),
];

/// Descriptor, signal, what is said of it, flags.
fn send_signal(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    if arguments.word(3) != 0 {
        return Err(Errno::EINVAL);
    }
    // What is no process is told first.
    let (pid, _) = context.task().process_behind(arguments.fd(0))?;
    let signal = match arguments.int(1) {
        0 => None,
        number => Some(Signal::from_raw(number).ok_or(Errno::EINVAL)?),
    };
    let info = match (signal, arguments.pointer(2)) {
        (Some(signal), Some(said)) => Some(said_of(context, pid, signal, said)?),
        (Some(signal), None) => Some(context.task().own_info(signal, code::USER)),
        (None, _) => None,
    };
    context
        .task()
        .signal_process_behind(arguments.fd(0), info)
        .map(|()| 0)
}

/// Reads what is said of a signal. Linux: kernel/signal.c `pidfd_send_signal()`.
fn said_of(
    context: &Context<'_>,
    pid: Pid,
    signal: Signal,
    address: GuestAddr,
) -> Result<SignalInfo> {
    let said = decode_info(&context.memory.read_array(address)?);
    if said.signal != u32::from(signal.raw()) {
        return Err(Errno::EINVAL);
    }
    let is_own = pid == context.task().process.pid;
    if (said.code >= 0 || said.code == code::TKILL) && !is_own {
        return Err(Errno::EPERM);
    }
    Ok(SignalInfo {
        signal,
        code: said.code,
        pid: said.pid,
        uid: said.uid,
        value: said.value,
    })
}
