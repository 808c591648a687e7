//! Users, groups and limits.

use minke_abi::{Errno, Result};
use minke_kernel::Credentials;
use minke_kernel::calls::identity::{IdChange, Kind, NewIds};

use crate::personality::linux::context::{Arguments, Context};
use crate::personality::linux::table::Syscall;
use crate::personality::musl::identity::{
    HELD_LIMITS, getgroups, getrlimit, prlimit, setrlimit, write_three,
};

/// Longest name of a host. Linux: `__NEW_UTS_LEN`.
const NAME_BYTES_MAX: usize = 64;

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
        write_three(c, a, [who.uid, who.euid, who.suid])
    }),
    Syscall::now("getresgid", 120, |c, a| {
        let who = c.task().process.credentials();
        write_three(c, a, [who.gid, who.egid, who.sgid])
    }),
    Syscall::now("getgroups", 115, getgroups),
    Syscall::now("setgroups", 116, setgroups),
    Syscall::now("setuid", 105, |c, a| {
        c.task()
            .change_ids(Kind::Users, IdChange::Set(a.word(0)))
            .map(|()| 0)
    }),
    Syscall::now("setgid", 106, |c, a| {
        c.task()
            .change_ids(Kind::Groups, IdChange::Set(a.word(0)))
            .map(|()| 0)
    }),
    Syscall::now("setreuid", 113, |c, a| exchange(c, a, Kind::Users)),
    Syscall::now("setregid", 114, |c, a| exchange(c, a, Kind::Groups)),
    Syscall::now("setresuid", 117, |c, a| replace(c, a, Kind::Users)),
    Syscall::now("setresgid", 119, |c, a| replace(c, a, Kind::Groups)),
    Syscall::now("getrlimit", 97, getrlimit),
    Syscall::now("setrlimit", 160, setrlimit).partial(HELD_LIMITS),
    Syscall::now("prlimit64", 302, prlimit).partial(HELD_LIMITS),
    Syscall::now("sethostname", 170, |c, a| {
        let name = read_host_name(c, a)?;
        c.task().set_host_name(&name).map(|()| 0)
    }),
    Syscall::now("setdomainname", 171, |c, a| {
        let name = read_host_name(c, a)?;
        c.task().set_domain_name(&name).map(|()| 0)
    }),
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

/// Returns an argument as an id; -1 keeps.
fn id(arguments: &Arguments, index: usize) -> Option<u32> {
    Some(arguments.word(index)).filter(|id| *id != u32::MAX)
}

fn exchange(context: &Context<'_>, arguments: &Arguments, kind: Kind) -> Result<i64> {
    let new = NewIds {
        real: id(arguments, 0),
        effective: id(arguments, 1),
        saved: None,
    };
    context
        .task()
        .change_ids(kind, IdChange::Exchange(new))
        .map(|()| 0)
}

fn replace(context: &Context<'_>, arguments: &Arguments, kind: Kind) -> Result<i64> {
    let new = NewIds {
        real: id(arguments, 0),
        effective: id(arguments, 1),
        saved: id(arguments, 2),
    };
    context
        .task()
        .change_ids(kind, IdChange::Replace(new))
        .map(|()| 0)
}

fn read_host_name(context: &Context<'_>, arguments: &Arguments) -> Result<Vec<u8>> {
    let length = arguments.word(1);
    // One more than there may be: the kernel says what is too long.
    let length = length.min(NAME_BYTES_MAX as u32 + 1);
    let room = NAME_BYTES_MAX + 1;
    context
        .memory
        .read_bytes(arguments.address(0), u64::from(length), room)
}
