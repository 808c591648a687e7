//! What a process sets for itself, and how it is scheduled.

use minke_abi::linux::Signal;
use minke_abi::{Errno, Result};
use minke_kernel::settings::NAME_BYTES_MAX;
use minke_kernel::{Pid, Process};

use crate::personality::linux::context::{Arguments, Context};
use crate::personality::linux::table::Syscall;

const NOT_SCHEDULED: &str = "kept and told; nothing is scheduled by it";

const ONE_POLICY: &str = "there is one policy, `SCHED_OTHER`";

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::now("prctl", 157, prctl).partial(
        "`PR_SET_NAME`, `PR_SET_PDEATHSIG`, `PR_SET_CHILD_SUBREAPER`, `PR_SET_DUMPABLE`, \
         `PR_SET_NO_NEW_PRIVS`, and what reads them",
    ),
    Syscall::now("getpriority", 140, |c, a| {
        let lowest = meant(c, a)?.iter().map(|it| it.settings.niceness()).min();
        // The call's result is not negative. Linux: kernel/sys.c getpriority().
        Ok(20 - i64::from(lowest.ok_or(Errno::ESRCH)?))
    }),
    Syscall::now("setpriority", 141, setpriority).partial(NOT_SCHEDULED),
    Syscall::now("sched_getscheduler", 145, |c, a| {
        c.task().process_of(Pid(a.word(0)))?;
        Ok(0)
    })
    .partial(ONE_POLICY),
    Syscall::now("sched_getparam", 143, |c, a| {
        c.task().process_of(Pid(a.word(0)))?;
        c.memory.write_u32(a.address(1), 0).map(|()| 0)
    })
    .partial(ONE_POLICY),
    Syscall::now("sched_get_priority_max", 146, |_, a| {
        priority_bound(a.word(0), 99)
    }),
    Syscall::now("sched_get_priority_min", 147, |_, a| {
        priority_bound(a.word(0), 1)
    }),
    Syscall::now("sched_rr_get_interval", 148, |c, a| {
        c.task().process_of(Pid(a.word(0)))?;
        c.write_time(a.address(1), 0, 0).map(|()| 0)
    })
    .partial(ONE_POLICY),
    Syscall::now("getcpu", 309, |c, a| {
        for pointer in [a.pointer(0), a.pointer(1)].into_iter().flatten() {
            c.memory.write_u32(pointer, 0)?;
        }
        Ok(0)
    })
    .partial("tells the first CPU always"),
    Syscall::now("personality", 135, |_, a| match a.word(0) {
        0 | u32::MAX => Ok(0),
        _ => Err(Errno::EINVAL),
    })
    .partial("`PER_LINUX` only"),
];

/// Operations of `prctl`. Linux: include/uapi/linux/prctl.h.
mod operation {
    pub(super) const SET_PDEATHSIG: u32 = 1;
    pub(super) const GET_PDEATHSIG: u32 = 2;
    pub(super) const GET_DUMPABLE: u32 = 3;
    pub(super) const SET_DUMPABLE: u32 = 4;
    pub(super) const SET_NAME: u32 = 15;
    pub(super) const GET_NAME: u32 = 16;
    pub(super) const SET_CHILD_SUBREAPER: u32 = 36;
    pub(super) const GET_CHILD_SUBREAPER: u32 = 37;
    pub(super) const SET_NO_NEW_PRIVS: u32 = 38;
    pub(super) const GET_NO_NEW_PRIVS: u32 = 39;
}

fn prctl(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let value = arguments.word(1);
    let process = std::sync::Arc::clone(&context.task().process);
    let settings = &process.settings;
    match arguments.word(0) {
        operation::SET_PDEATHSIG => settings.set_death_signal(match arguments.int(1) {
            0 => None,
            number => Some(Signal::from_raw(number).ok_or(Errno::EINVAL)?),
        }),
        operation::GET_PDEATHSIG => {
            let number = settings.death_signal().map_or(0, Signal::raw);
            let target = arguments.address(1);
            context.memory.write_u32(target, u32::from(number))?;
        }
        operation::GET_DUMPABLE => return Ok(i64::from(settings.is_dumpable())),
        operation::SET_DUMPABLE if value > 1 => return Err(Errno::EINVAL),
        operation::SET_DUMPABLE => settings.set_dumpable(value == 1),
        operation::SET_NAME => {
            let name = read_name(context, arguments)?;
            settings.set_name(&name);
        }
        operation::GET_NAME => {
            let mut name = process.name();
            name.resize(NAME_BYTES_MAX + 1, 0);
            context.memory.write(arguments.address(1), &name)?;
        }
        operation::SET_CHILD_SUBREAPER => settings.set_adopts_orphans(value != 0),
        operation::GET_CHILD_SUBREAPER => {
            let adopts = u32::from(settings.adopts_orphans());
            context.memory.write_u32(arguments.address(1), adopts)?;
        }
        operation::SET_NO_NEW_PRIVS if value != 1 => return Err(Errno::EINVAL),
        operation::SET_NO_NEW_PRIVS => settings.give_up_new_privileges(),
        operation::GET_NO_NEW_PRIVS => return Ok(i64::from(settings.has_no_new_privileges())),
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// Reads a name up to its end, or as much of it as counts.
fn read_name(context: &Context<'_>, arguments: &Arguments) -> Result<Vec<u8>> {
    let mut name = Vec::new();
    for index in 0..NAME_BYTES_MAX as u64 {
        let [byte] = context
            .memory
            .read_array(arguments.address(1).offset(index))?;
        if byte == 0 {
            break;
        }
        name.push(byte);
    }
    Ok(name)
}

/// Whom `getpriority` and `setpriority` mean: a process, a group, or all of a user.
fn meant(context: &Context<'_>, arguments: &Arguments) -> Result<Vec<std::sync::Arc<Process>>> {
    const PROCESS: u32 = 0;
    const GROUP: u32 = 1;
    const USER: u32 = 2;
    let task = context.task();
    let who = arguments.word(1);
    let all = task.process.kernel.processes();
    let found: Vec<_> = match arguments.word(0) {
        PROCESS => vec![task.process_of(Pid(who))?],
        GROUP => {
            let group = match who {
                0 => task.process.group_and_session().0,
                who => Pid(who),
            };
            let is_meant = |it: &std::sync::Arc<Process>| it.group_and_session().0 == group;
            all.into_iter().filter(is_meant).collect()
        }
        USER => {
            let user = match who {
                0 => task.process.credentials().uid,
                who => who,
            };
            let is_meant = |it: &std::sync::Arc<Process>| it.credentials().uid == user;
            all.into_iter().filter(is_meant).collect()
        }
        _ => return Err(Errno::EINVAL),
    };
    match found.is_empty() {
        true => Err(Errno::ESRCH),
        false => Ok(found),
    }
}

/// Only root lowers niceness, or changes that of others' processes. Linux: kernel/sys.c `set_one_prio()`.
fn setpriority(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let niceness = arguments.int(2).clamp(-20, 19) as i8;
    let caller = context.task().process.credentials();
    for process in meant(context, arguments)? {
        let target = process.credentials();
        let is_own = [target.uid, target.euid].contains(&caller.euid);
        if !caller.is_privileged() && !is_own {
            return Err(Errno::EPERM);
        }
        if !caller.is_privileged() && niceness < process.settings.niceness() {
            return Err(Errno::EACCES);
        }
        process.settings.set_niceness(niceness);
    }
    Ok(0)
}

/// `SCHED_FIFO` and `SCHED_RR` have priorities, the others only 0.
fn priority_bound(policy: u32, of_real_time: i64) -> Result<i64> {
    match policy {
        1 | 2 => Ok(of_real_time),
        0 | 3 | 5 => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}
