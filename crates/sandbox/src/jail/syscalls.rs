//! System calls, by seccomp: a list of what the sandbox makes itself; all others say `ENOSYS`.
//!
//! A refused call looks like one of a newer kernel, so that a C library falls back to an older
//! one (`clone3` to `clone`, whose flags can be checked).

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::prologue;

/// Calls that are made whatever the container does: memory, threads, time, waiting.
const PROCESS_CALLS: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_getuid,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_memfd_create,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getattr,
    libc::SYS_sched_setattr,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_setpriority,
    libc::SYS_sigaltstack,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];

/// Calls on descriptors, and on files that Landlock lets through.
const FILE_CALLS: &[i64] = &[
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_copy_file_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_fgetxattr,
    libc::SYS_flistxattr,
    libc::SYS_flock,
    libc::SYS_fremovexattr,
    libc::SYS_fsetxattr,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_linkat,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_lremovexattr,
    libc::SYS_lseek,
    libc::SYS_lsetxattr,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_removexattr,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_setxattr,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_symlinkat,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Calls of a process that only computes, beside [`PROCESS_CALLS`]: on descriptors that it has, and to look for
/// the files in `/proc` and `/sys` that tell how many CPUs there are.
const COMPUTING_CALLS: &[i64] = &[
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_statx,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Older forms of calls above that x86-64 still has and libraries still use.
#[cfg(target_arch = "x86_64")]
const LEGACY_CALLS: &[i64] = &[
    libc::SYS_access,
    libc::SYS_epoll_wait,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_select,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY_CALLS: &[i64] = &[];

/// Calls on sockets, whichever family made them.
const SOCKET_CALLS: &[i64] = &[
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_listen,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_socketpair,
];

/// Terminal and socket queries, and the scan for pages that an instance has dirtied
/// (`PAGEMAP_SCAN`, `_IOWR('f', 16, 96 bytes)`).
const IOCTLS: &[u64] = &[
    libc::TCGETS,
    libc::TIOCGWINSZ,
    libc::FIONREAD,
    libc::FIONBIO,
    0xc060_6610,
];

/// Limits the calling thread and all others of the process.
pub(super) fn limit(has_network: bool) -> Result<(), seccompiler::Error> {
    let mut rules = process_rules()?;
    rules.extend(always(&[FILE_CALLS, LEGACY_CALLS, SOCKET_CALLS]));
    rules.extend(socket_rules(has_network)?);
    rules.insert(libc::SYS_ioctl, one_of(1, IOCTLS.iter().copied())?);
    seccompiler::apply_filter_all_threads(&filter(rules)?)
}

/// Limits the calling thread and all others of the process to computing: no sockets, no changes of files.
pub(super) fn limit_to_computing() -> Result<(), seccompiler::Error> {
    let mut rules = process_rules()?;
    rules.extend(always(&[COMPUTING_CALLS]));
    seccompiler::apply_filter_all_threads(&filter(rules)?)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn always(lists: &[&[i64]]) -> Rules {
    let calls = lists.concat().into_iter();
    calls.map(|call| (call, Vec::new())).collect()
}

fn filter(rules: Rules) -> Result<BpfProgram, seccompiler::Error> {
    let is_unconditional = |(_, conditions): &(i64, Vec<SeccompRule>)| conditions.is_empty();
    let (always, conditional): (Vec<_>, Vec<_>) = rules.into_iter().partition(is_unconditional);
    let refused = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let rest = SeccompFilter::new(
        conditional.into_iter().collect(),
        refused,
        SeccompAction::Allow,
        target_arch(),
    )?;
    let calls = always.into_iter().map(|(call, _)| call);
    Ok(prologue::prepend(calls, target_arch(), rest.try_into()?))
}

/// Calls on sockets that are let through for some arguments only.
fn socket_rules(has_network: bool) -> Result<Rules, seccompiler::Error> {
    let families: &[i32] = if has_network {
        &[
            libc::AF_UNIX,
            libc::AF_INET,
            libc::AF_INET6,
            libc::AF_NETLINK,
        ]
    } else {
        &[libc::AF_UNIX]
    };
    let families = families
        .iter()
        .map(|family| u64::from(family.cast_unsigned()));
    Ok(Rules::from([(libc::SYS_socket, one_of(0, families)?)]))
}

/// Calls of every process; some are let through for some arguments only.
fn process_rules() -> Result<Rules, seccompiler::Error> {
    let threads = u64::try_from(libc::CLONE_THREAD | libc::CLONE_VM).expect("both are positive");
    let own_pid = u64::from(std::process::id());
    let names = u64::try_from(libc::PR_SET_NAME).expect("it is positive");
    // Rust's and glibc's threads name themselves and their mappings.
    let mappings = u64::try_from(libc::PR_SET_VMA).expect("it is positive");
    let mut rules = always(&[PROCESS_CALLS]);
    rules.extend([
        (
            libc::SYS_clone,
            vec![rule(
                0,
                SeccompCmpArgLen::Qword,
                SeccompCmpOp::MaskedEq(threads),
                threads,
            )?],
        ),
        (libc::SYS_tgkill, one_of(0, [own_pid])?),
        (libc::SYS_prctl, one_of(0, [names, mappings])?),
        // Reading limits, not setting them.
        (
            libc::SYS_prlimit64,
            vec![rule(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?],
        ),
    ]);
    Ok(rules)
}

/// Allows a call when an argument (its low 32 bits) is one of the values.
fn one_of(
    argument: u8,
    values: impl IntoIterator<Item = u64>,
) -> Result<Vec<SeccompRule>, seccompiler::Error> {
    values
        .into_iter()
        .map(|value| rule(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value))
        .collect()
}

fn rule(
    argument: u8,
    length: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::Error> {
    let condition = SeccompCondition::new(argument, length, operator, value)?;
    Ok(SeccompRule::new(vec![condition])?)
}

fn target_arch() -> TargetArch {
    if cfg!(target_arch = "aarch64") {
        TargetArch::aarch64
    } else {
        TargetArch::x86_64
    }
}
