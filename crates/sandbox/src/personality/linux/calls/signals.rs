//! Signals: sending them, blocking them, and what is done about them.

use minke_abi::linux::Signal;
use minke_abi::signal::{ActionFlags, MaskChange, SignalSet};
use minke_abi::wali::{SigAction, SigInfo, decode_info, encode_info};
use minke_abi::{Errno, Result};
use minke_kernel::Pid;
use minke_kernel::calls::signals::Target;
use minke_kernel::signal::{Action, Disposition, SignalInfo, code};
use minke_kernel::task::Deadline;
use wasmtime::Caller;

use super::events::descriptor_flags;
use crate::personality::linux::alternate_stack::AlternateStack;
use crate::personality::linux::context::{Arguments, Context, task_of};
use crate::personality::linux::table::Syscall;
use crate::runtime::{Guest, GuestAddr};

/// Bytes of a set of signals.
const SET_BYTES: u32 = 8;

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::now("kill", 62, |c, a| {
        let target = Target::from_raw(a.int(0));
        c.task()
            .send_signal(target, signal_or_none(a.int(1))?)
            .map(|()| 0)
    })
    .attentive(),
    Syscall::now("tkill", 200, |c, a| {
        to_thread(c, None, positive(a.int(0))?, a.int(1))
    })
    .attentive(),
    Syscall::now("tgkill", 234, |c, a| {
        let process = Pid(positive(a.int(0))?);
        to_thread(c, Some(process), positive(a.int(1))?, a.int(2))
    })
    .attentive(),
    Syscall::now("rt_sigaction", 13, sigaction),
    Syscall::now("rt_sigprocmask", 14, sigprocmask).attentive(),
    Syscall::now("rt_sigpending", 127, |c, a| {
        let pending = c.task().signals().pending();
        c.memory.write_u64(a.address(0), pending.0).map(|()| 0)
    }),
    Syscall::waiting("rt_sigsuspend", 130, |c, a| Box::pin(suspend(c, a))),
    Syscall::waiting("rt_sigtimedwait", 128, |c, a| Box::pin(wait(c, a))),
    Syscall::now("rt_sigqueueinfo", 129, |c, a| {
        let pid = u32::try_from(a.int(0)).map_err(|_| Errno::ESRCH)?;
        let info = queued(c, Pid(pid), a.int(1), a.address(2))?;
        let target = Target::Process(Pid(pid));
        c.task().send_signal_with(target, info).map(|()| 0)
    })
    .attentive(),
    Syscall::now("rt_tgsigqueueinfo", 297, |c, a| {
        let process = Pid(positive(a.int(0))?);
        let tid = positive(a.int(1))?;
        let info = queued(c, process, a.int(2), a.address(3))?;
        c.task().signal_thread(Some(process), tid, info).map(|()| 0)
    })
    .attentive(),
    Syscall::now("signalfd", 282, |c, a| signal_file(c, a, 0)),
    Syscall::now("signalfd4", 289, |c, a| signal_file(c, a, a.word(3))),
    Syscall::waiting("pause", 34, |c, _| {
        let task = task_of(c);
        Box::pin(async move {
            let waited = task.wait_for(Deadline::Never, |_| None).await;
            waited.unwrap_or(Err(Errno::EINTR))
        })
    }),
    Syscall::now("sigaltstack", 131, alternate_stack),
];

/// Returns the signal of a number; 0 asks only whether one could be sent.
fn signal_or_none(number: i32) -> Result<Option<Signal>> {
    match number {
        0 => Ok(None),
        _ => Signal::from_raw(number).map(Some).ok_or(Errno::EINVAL),
    }
}

/// Returns the number of a process or thread that is named by it.
fn positive(number: i32) -> Result<u32> {
    match u32::try_from(number) {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(Errno::EINVAL),
    }
}

fn to_thread(context: &Context<'_>, process: Option<Pid>, tid: u32, signal: i32) -> Result<i64> {
    let signal = signal_or_none(signal)?;
    let task = context.task();
    let info = signal.map(|signal| task.own_info(signal, code::TKILL));
    task.signal_thread(process, tid, info)?;
    Ok(0)
}

/// Reads what is said of a signal for a process. A code of the kernel's or of `tgkill` may be told to nobody but oneself.
/// Linux: kernel/signal.c `do_rt_sigqueueinfo()`.
fn queued(
    context: &Context<'_>,
    pid: Pid,
    signal: i32,
    info: GuestAddr,
) -> Result<Option<SignalInfo>> {
    let said = decode_info(&context.memory.read_array(info)?);
    let is_own = pid == context.task().process.pid;
    if (said.code >= 0 || said.code == code::TKILL) && !is_own {
        return Err(Errno::EPERM);
    }
    Ok(signal_or_none(signal)?.map(|signal| SignalInfo {
        signal,
        code: said.code,
        pid: said.pid,
        uid: said.uid,
        value: said.value,
    }))
}

/// `signalfd`: a descriptor that is changed, or -1; a set and its size.
fn signal_file(context: &mut Context<'_>, arguments: &Arguments, raw: u32) -> Result<i64> {
    let flags = descriptor_flags(raw)?;
    if arguments.word(2) != SET_BYTES {
        return Err(Errno::EINVAL);
    }
    let set = SignalSet(context.memory.read_u64(arguments.address(1))?);
    let task = context.task();
    match arguments.int(0) {
        -1 => Ok(i64::from(task.make_signal_file(set, flags)?.0)),
        fd => {
            task.set_file_signals(arguments.fd(0), set)?;
            Ok(i64::from(fd))
        }
    }
}

fn sigaction(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let signal = Signal::from_raw(arguments.int(0)).ok_or(Errno::EINVAL)?;
    if arguments.word(3) != SET_BYTES {
        return Err(Errno::EINVAL);
    }
    let new = match arguments.pointer(1) {
        Some(_) if SignalSet::UNBLOCKABLE.contains(signal) => return Err(Errno::EINVAL),
        Some(address) => Some(decode(SigAction::decode(
            &context.memory.read_array(address)?,
        ))),
        None => None,
    };
    let signals = &context.guest.task.process.signals;
    let before = match new {
        Some(action) => signals.set_action(signal, action),
        None => signals.action(signal),
    };
    if let Some(address) = arguments.pointer(2) {
        context.memory.write(address, &encode(&before).encode())?;
    }
    Ok(0)
}

/// `SIG_DFL` and `SIG_IGN`.
const DEFAULT: u32 = 0;
const IGNORE: u32 = 1;

fn decode(action: SigAction) -> Action {
    Action {
        disposition: match action.handler {
            DEFAULT => Disposition::Default,
            IGNORE => Disposition::Ignore,
            handler => Disposition::Handler(u64::from(handler)),
        },
        flags: ActionFlags::from_bits_truncate(action.flags),
        mask: SignalSet(action.mask),
    }
}

fn encode(action: &Action) -> SigAction {
    SigAction {
        handler: match action.disposition {
            Disposition::Default => DEFAULT,
            Disposition::Ignore => IGNORE,
            Disposition::Handler(handler) => handler as u32,
        },
        flags: action.flags.bits(),
        mask: action.mask.0,
    }
}

fn sigprocmask(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    if arguments.word(3) != SET_BYTES {
        return Err(Errno::EINVAL);
    }
    let new = match arguments.pointer(1) {
        Some(address) => {
            let change = MaskChange::from_raw(arguments.word(0)).ok_or(Errno::EINVAL)?;
            Some((change, SignalSet(context.memory.read_u64(address)?)))
        }
        None => None,
    };
    let signals = context.guest.task.signals();
    let before = match new {
        Some((change, set)) => signals.change_mask(change, set),
        None => signals.mask(),
    };
    if let Some(address) = arguments.pointer(2) {
        context.memory.write_u64(address, before.0)?;
    }
    Ok(0)
}

fn alternate_stack(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let before = context.guest.linux.alternate_stack;
    if let Some(new) = arguments.pointer(0) {
        let new = AlternateStack::decode(context.memory.read_array(new)?)?;
        context.guest.linux.alternate_stack.replace(new)?;
    }
    if let Some(old) = arguments.pointer(1) {
        context.memory.write(old, &before.encode())?;
    }
    Ok(0)
}

async fn suspend(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let mask = SignalSet(Context::of(caller).memory.read_u64(arguments.address(0))?);
    let before = task_of(caller).suspend(mask).await;
    caller.data_mut().linux.mask_after = Some(before);
    Err(Errno::EINTR)
}

async fn wait(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    if arguments.word(3) != SET_BYTES {
        return Err(Errno::EINVAL);
    }
    let context = Context::of(caller);
    let set = SignalSet(context.memory.read_u64(arguments.address(0))?);
    let deadline = match arguments.pointer(2) {
        Some(timeout) => context.deadline_after(context.duration(timeout, 1)?),
        None => Deadline::Never,
    };
    let set = set.without(SignalSet::UNBLOCKABLE);
    let info = task_of(caller).wait_for_signal(set, deadline).await?;
    let number = info.signal.raw();
    if let Some(address) = arguments.pointer(1) {
        let bytes = encode_info(&SigInfo {
            signal: u32::from(number),
            code: info.code,
            pid: info.pid,
            uid: info.uid,
            value: info.value,
        });
        Context::of(caller).memory.write(address, &bytes)?;
    }
    Ok(i64::from(number))
}
