//! Processes: who they are, how they end, become other programs and wait for each other.

use minke_abi::linux::Signal;
use minke_abi::wait::WaitOptions;
use minke_abi::wali::{SigInfo, encode_info};
use minke_abi::{Errno, Result};
use minke_kernel::Pid;
use minke_kernel::family::Children;
use wasmtime::Caller;

use super::clocks::{USED, write_usage};
use crate::personality::linux::context::{Arguments, Context, task_of};
use crate::personality::linux::table::Syscall;
use crate::personality::linux::threads;
use crate::runtime::{Guest, GuestAddr, Stop};

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::now("getpid", 39, |c, _| Ok(i64::from(c.task().process.pid.0))),
    Syscall::now("gettid", 186, |c, _| Ok(i64::from(c.task().tid))),
    Syscall::now("set_tid_address", 218, |c, a| {
        c.guest.linux.clear_tid = a.pointer(0);
        Ok(i64::from(c.task().tid))
    }),
    Syscall::now("getppid", 110, |c, _| {
        Ok(i64::from(c.task().process.parent().0))
    }),
    Syscall::now("getpgrp", 111, |c, _| group(c, 0)),
    Syscall::now("getpgid", 121, |c, a| group(c, a.word(0))),
    Syscall::now("setpgid", 109, |c, a| {
        if a.int(0) < 0 || a.int(1) < 0 {
            return Err(Errno::EINVAL);
        }
        c.task()
            .set_group(Pid(a.word(0)), Pid(a.word(1)))
            .map(|()| 0)
    }),
    Syscall::now("getsid", 124, |c, a| {
        let (_, session) = c.task().group_and_session(Pid(a.word(0)))?;
        Ok(i64::from(session.0))
    }),
    Syscall::now("setsid", 112, |c, _| {
        let session = c.task().begin_session()?;
        Ok(i64::from(session.0))
    }),
    Syscall::waiting("exit", 60, |c, a| Box::pin(threads::exit(c, a))),
    Syscall::now("exit_group", 231, exit),
    Syscall::now("execve", 59, execve),
    Syscall::now("fork", 57, |_, _| Err(Errno::ENOSYS))
        .refused("`minke.fork` is the call of programs that can leave their frames"),
    Syscall::now("vfork", 58, |_, _| Err(Errno::ENOSYS))
        .refused("`minke.fork` is the call of programs that can leave their frames"),
    Syscall::now("clone", 56, |_, _| Err(Errno::ENOSYS))
        .refused("`minke.clone` is the call of programs that have threads"),
    Syscall::waiting("wait4", 61, |c, a| Box::pin(wait4(c, a)))
        .restarting()
        .partial(USED),
    Syscall::waiting("waitid", 247, |c, a| Box::pin(waitid(c, a)))
        .restarting()
        .partial(USED),
];

fn group(context: &Context<'_>, pid: u32) -> Result<i64> {
    let (group, _) = context.task().group_and_session(Pid(pid))?;
    Ok(i64::from(group.0))
}

fn exit(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    context.guest.linux.stop = Some(Stop::Exit(arguments.int(0)));
    Ok(0)
}

/// Most bytes of arguments and environment together, with their pointers. Linux: a quarter of the stack, 2 MiB.
const STRINGS_BYTES_MAX: usize = 2 << 20;
/// Longest argument. Linux: `MAX_ARG_STRLEN`.
const STRING_BYTES_MAX: usize = 128 << 10;

/// What a program is to be started with.
pub(in crate::personality::linux) struct StartStrings {
    pub(in crate::personality::linux) args: Vec<Vec<u8>>,
    pub(in crate::personality::linux) env: Vec<Vec<u8>>,
}

/// Reads the arguments and the environment that a program is to be started with; `E2BIG` for too many.
pub(in crate::personality::linux) fn start_arguments(
    context: &Context<'_>,
    argv: GuestAddr,
    envp: GuestAddr,
) -> Result<StartStrings> {
    let mut room = STRINGS_BYTES_MAX;
    let mut args = read_strings(context, argv, &mut room)?;
    let env = read_strings(context, envp, &mut room)?;
    // Linux: fs/exec.c: no program is started without a name.
    if args.is_empty() {
        args.push(Vec::new());
    }
    Ok(StartStrings { args, env })
}

/// Reads strings by an array of pointers that a null pointer ends; a null array is empty.
fn read_strings(context: &Context<'_>, array: GuestAddr, room: &mut usize) -> Result<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    if array.0 == 0 {
        return Ok(strings);
    }
    loop {
        let pointer = array.offset(strings.len() as u64 * 4);
        let address = context.memory.read_u32(pointer)?;
        if address == 0 {
            return Ok(strings);
        }
        let string = context
            .memory
            .read_c_string(address.into(), STRING_BYTES_MAX.min(*room));
        let string = string.map_err(|errno| match errno {
            Errno::ENAMETOOLONG => Errno::E2BIG,
            other => other,
        })?;
        let cost = string.len() + 1 + size_of::<u32>();
        *room = room.checked_sub(cost).ok_or(Errno::E2BIG)?;
        strings.push(string);
    }
}

/// Finds the program first: what fails leaves the process what it is.
fn execve(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let started = context.guest.started.clone().ok_or(Errno::ENOSYS)?;
    let path = context.path(arguments.address(0))?;
    let start = start_arguments(context, arguments.address(1), arguments.address(2))?;
    let next = started
        .launcher
        .open(context.task(), &path, start.args, start.env)?;
    let task = context.task();
    // The first thread goes on, with what this one blocks.
    let mask = task.signals().mask();
    task.process.begin_image(next.image);
    task.process.signals.of_main().set_mask(mask);
    context.guest.next_program = Some(next.program);
    context.guest.linux.stop = Some(Stop::Exec);
    Ok(0)
}

/// Which children `wait4` means by its first argument.
fn children(context: &Context<'_>, pid: i32) -> Result<Children> {
    Ok(match pid {
        0 => Children::OfGroup(context.task().group_and_session(Pid(0))?.0),
        -1 => Children::All,
        1.. => Children::One(Pid(pid.unsigned_abs())),
        _ => Children::OfGroup(Pid(pid.unsigned_abs())),
    })
}

async fn wait4(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let options = WaitOptions::from_bits(arguments.word(2)).ok_or(Errno::EINVAL)?;
    let which = children(&Context::of(caller), arguments.int(0))?;
    let task = task_of(caller);
    let report = task
        .wait_for_child(which, options | WaitOptions::EXITED)
        .await?;
    let Some(report) = report else {
        return Ok(0);
    };
    let used = report.cpu_time;
    let mut context = Context::of(caller);
    if let Some(status) = arguments.pointer(1) {
        context
            .memory
            .write_u32(status, report.news.wait_status())?;
    }
    if let Some(usage) = arguments.pointer(3) {
        write_usage(&mut context, usage, used)?;
    }
    Ok(i64::from(report.pid.0))
}

/// `idtype` of `waitid`.
mod id_type {
    pub(super) const ALL: u32 = 0;
    pub(super) const PID: u32 = 1;
    pub(super) const PGID: u32 = 2;
    pub(super) const PIDFD: u32 = 3;
}

async fn waitid(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let options = WaitOptions::from_bits(arguments.word(3)).ok_or(Errno::EINVAL)?;
    let asked = WaitOptions::EXITED | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
    if !options.intersects(asked) {
        return Err(Errno::EINVAL);
    }
    let mut answers_at_once = false;
    let which = match (arguments.word(0), arguments.word(1)) {
        (id_type::ALL, _) => Children::All,
        (id_type::PID, pid) if pid > 0 => Children::One(Pid(pid)),
        (id_type::PIDFD, _) => {
            let (pid, is_nonblocking) = task_of(caller).process_behind(arguments.fd(1))?;
            answers_at_once = is_nonblocking;
            Children::One(pid)
        }
        (id_type::PGID, 0) => children(&Context::of(caller), 0)?,
        (id_type::PGID, group) => Children::OfGroup(Pid(group)),
        _ => return Err(Errno::EINVAL),
    };
    let mut waited = options;
    waited.set(
        WaitOptions::NOHANG,
        answers_at_once || options.contains(WaitOptions::NOHANG),
    );
    let report = task_of(caller).wait_for_child(which, waited).await?;
    if report.is_none() && waited != options {
        return Err(Errno::EAGAIN);
    }
    let used = report.as_ref().map_or(0, |report| report.cpu_time);
    let mut context = Context::of(caller);
    if let Some(info) = arguments.pointer(2) {
        let bytes = report.map_or([0; minke_abi::wali::SIGINFO_BYTES], |report| {
            let (code, status) = report.news.code_and_status();
            encode_info(&SigInfo {
                signal: u32::from(Signal::CHLD.raw()),
                code,
                pid: report.pid.0,
                uid: report.uid,
                value: u64::from(status),
            })
        });
        context.memory.write(info, &bytes)?;
    }
    if let Some(usage) = arguments.pointer(4) {
        write_usage(&mut context, usage, used)?;
    }
    Ok(0)
}
