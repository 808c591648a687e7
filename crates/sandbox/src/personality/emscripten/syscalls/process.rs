//! Calls on the process itself: numbers, users, limits, the system's name.

use minke_abi::{Errno, Result};
use minke_kernel::calls::identity::{IdChange, Kind};

use crate::personality::emscripten::context::{Arguments, Context};
use crate::personality::emscripten::table::{Function, WORDS};
use crate::personality::musl::identity::{
    HELD_LIMITS, getgroups, getrlimit, prlimit, setrlimit, uname, write_three,
};

/// Why calls about other processes fail.
const NO_PROCESSES: &str = "`ENOSYS`: a program does not start others yet";

pub(in crate::personality::emscripten) static FUNCTIONS: &[Function] = &[
    Function::syscall("__syscall_getpid", WORDS[0], |c, _| {
        Ok(i64::from(c.task().process.pid.0))
    }),
    Function::syscall("__syscall_gettid", WORDS[0], |c, _| {
        Ok(i64::from(c.task().tid))
    }),
    Function::syscall("__syscall_getppid", WORDS[0], |c, _| {
        Ok(i64::from(c.task().process.parent().0))
    }),
    Function::syscall("__syscall_getuid32", WORDS[0], |c, _| {
        Ok(i64::from(c.task().process.credentials().uid))
    }),
    Function::syscall("__syscall_geteuid32", WORDS[0], |c, _| {
        Ok(i64::from(c.task().process.credentials().euid))
    }),
    Function::syscall("__syscall_getgid32", WORDS[0], |c, _| {
        Ok(i64::from(c.task().process.credentials().gid))
    }),
    Function::syscall("__syscall_getegid32", WORDS[0], |c, _| {
        Ok(i64::from(c.task().process.credentials().egid))
    }),
    Function::syscall("__syscall_getresuid32", WORDS[3], |c, a| {
        let who = c.task().process.credentials();
        write_three(c, a, [who.uid, who.euid, who.suid])
    }),
    Function::syscall("__syscall_getresgid32", WORDS[3], |c, a| {
        let who = c.task().process.credentials();
        write_three(c, a, [who.gid, who.egid, who.sgid])
    }),
    Function::syscall("__syscall_getgroups32", WORDS[2], getgroups),
    Function::syscall("__syscall_setuid32", WORDS[1], |c, a| {
        let change = IdChange::Set(a.word(0));
        c.task().change_ids(Kind::Users, change).map(|()| 0)
    }),
    Function::syscall("__syscall_setgid32", WORDS[1], |c, a| {
        let change = IdChange::Set(a.word(0));
        c.task().change_ids(Kind::Groups, change).map(|()| 0)
    }),
    Function::syscall("__syscall_uname", WORDS[1], uname),
    Function::syscall("__syscall_ugetrlimit", WORDS[2], getrlimit),
    Function::syscall("__syscall_setrlimit", WORDS[2], setrlimit).partial(HELD_LIMITS),
    Function::syscall("__syscall_prlimit64", WORDS[4], prlimit).partial(HELD_LIMITS),
    Function::syscall("__syscall_getrusage", WORDS[2], getrusage)
        .partial("CPU time of the whole container; everything else is 0"),
    Function::syscall("__syscall_wait4", WORDS[4], |_, _| Err(Errno::ENOSYS)).refused(NO_PROCESSES),
    Function::syscall("__syscall_execve", WORDS[3], |_, _| Err(Errno::ENOSYS))
        .refused(NO_PROCESSES),
    Function::syscall("__syscall_fork", WORDS[0], |_, _| Err(Errno::ENOSYS)).refused(NO_PROCESSES),
];

/// Writes `struct rusage`, whose first field is the user's CPU time.
fn getrusage(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    /// Bytes after the two times, all of them numbers that we do not count.
    const REST_BYTES: usize = 120;
    let nanoseconds = context.task().process.kernel.clock.cpu_time();
    let (seconds, fraction) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    let layout = context.layout();
    let mut bytes = layout.encode_timespec(seconds as i64, (fraction / 1000) as u32);
    bytes.extend(layout.encode_timespec(0, 0));
    bytes.resize(bytes.len() + REST_BYTES, 0);
    context.memory.write(arguments.address(1), &bytes)?;
    Ok(0)
}
