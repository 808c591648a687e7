//! Users, groups and limits.

use minke_abi::{Errno, Result};
use minke_kernel::Credentials;

use crate::personality::linux::context::{Arguments, Context};
use crate::personality::linux::table::Syscall;
use crate::personality::musl::identity::{
    check_limit, getgroups, prlimit, write_limit, write_three,
};

/// What `-1` says in place of an id.
const KEEP: u32 = u32::MAX;

const NO_SAVED_IDS: &str = "there are no saved ids: they are the effective ones";

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::now("getuid", 102, |c, _| {
        Ok(i64::from(c.task().process.credentials().uid))
    }),
    Syscall::now("geteuid", 107, |c, _| {
        Ok(i64::from(c.task().process.credentials().euid))
    }),
    Syscall::now("getgid", 104, |c, _| {
        Ok(i64::from(c.task().process.credentials().gid))
    }),
    Syscall::now("getegid", 108, |c, _| {
        Ok(i64::from(c.task().process.credentials().egid))
    }),
    Syscall::now("getresuid", 118, |c, a| {
        let who = c.task().process.credentials();
        write_three(c, a, [who.uid, who.euid, who.euid])
    })
    .partial(NO_SAVED_IDS),
    Syscall::now("getresgid", 120, |c, a| {
        let who = c.task().process.credentials();
        write_three(c, a, [who.gid, who.egid, who.egid])
    })
    .partial(NO_SAVED_IDS),
    Syscall::now("getgroups", 115, getgroups),
    Syscall::now("setgroups", 116, setgroups),
    Syscall::now("setuid", 105, |c, a| {
        let real = if c.task().process.credentials().is_privileged() {
            a.word(0)
        } else {
            KEEP
        };
        set_users(c, real, a.word(0))
    })
    .partial(NO_SAVED_IDS),
    Syscall::now("setgid", 106, |c, a| {
        let real = if c.task().process.credentials().is_privileged() {
            a.word(0)
        } else {
            KEEP
        };
        set_groups(c, real, a.word(0))
    })
    .partial(NO_SAVED_IDS),
    Syscall::now("setreuid", 113, |c, a| set_users(c, a.word(0), a.word(1))).partial(NO_SAVED_IDS),
    Syscall::now("setregid", 114, |c, a| set_groups(c, a.word(0), a.word(1))).partial(NO_SAVED_IDS),
    Syscall::now("setresuid", 117, |c, a| set_users(c, a.word(0), a.word(1))).partial(NO_SAVED_IDS),
    Syscall::now("setresgid", 119, |c, a| set_groups(c, a.word(0), a.word(1)))
        .partial(NO_SAVED_IDS),
    Syscall::now("getrlimit", 97, |c, a| {
        write_limit(c, a.word(0), a.address(1))
    }),
    Syscall::now("setrlimit", 160, |c, a| {
        check_limit(c, a.word(0), a.address(1))
    })
    .partial("the limit is checked and not kept: a container's limits are set from outside"),
    Syscall::now("prlimit64", 302, prlimit)
        .partial("its own process only; a new limit is checked and not kept"),
];

fn setgroups(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    /// Linux: `NGROUPS_MAX`.
    const GROUPS_MAX: u32 = 65_536;
    let mut who = Credentials::clone(&context.task().process.credentials());
    if !who.is_privileged() {
        return Err(Errno::EPERM);
    }
    if arguments.word(0) > GROUPS_MAX {
        return Err(Errno::EINVAL);
    }
    let list = arguments.address(1);
    let groups = (0..u64::from(arguments.word(0)))
        .map(|index| context.memory.read_u32(list.offset(index * 4)))
        .collect::<Result<_>>()?;
    who.groups = groups;
    context.task().process.set_credentials(who);
    Ok(0)
}

/// Sets the real and the effective user. Linux: kernel/sys.c __sys_setreuid().
fn set_users(context: &Context<'_>, real: u32, effective: u32) -> Result<i64> {
    let process = &context.task().process;
    let mut who = Credentials::clone(&process.credentials());
    let own = [who.uid, who.euid, KEEP];
    let gains_nothing = own.contains(&real) && own.contains(&effective);
    if !who.is_privileged() && !gains_nothing {
        return Err(Errno::EPERM);
    }
    replace(&mut who.uid, real);
    replace(&mut who.euid, effective);
    process.set_credentials(who);
    Ok(0)
}

/// As [`set_users`], for groups.
fn set_groups(context: &Context<'_>, real: u32, effective: u32) -> Result<i64> {
    let process = &context.task().process;
    let mut who = Credentials::clone(&process.credentials());
    let own = [who.gid, who.egid, KEEP];
    let gains_nothing = own.contains(&real) && own.contains(&effective);
    if !who.is_privileged() && !gains_nothing {
        return Err(Errno::EPERM);
    }
    replace(&mut who.gid, real);
    replace(&mut who.egid, effective);
    process.set_credentials(who);
    Ok(0)
}

fn replace(id: &mut u32, new: u32) {
    if new != KEEP {
        *id = new;
    }
}
