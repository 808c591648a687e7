//! What `/proc/<pid>` says of a process.

use std::fmt::Write;
use std::sync::Arc;

use minke_abi::linux::Signal;
use minke_abi::resource::{RESOURCES, SIGPENDING, UNLIMITED};
use minke_abi::signal::SignalSet;
use minke_abi::{Errno, Result};

use crate::platform::Nanoseconds;
use crate::process::{Pid, Process};
use crate::resource::ResourceLimit;
use crate::signal::Disposition;
use crate::vfs::{Location, MagicLink, Mount};

/// A row: a name in `/proc/<pid>`, its mode, and what is there.
pub(super) struct ProcessEntry {
    pub(super) name: &'static str,
    pub(super) mode: u32,
    pub(super) kind: ProcessKind,
}

pub(super) enum ProcessKind {
    File(fn(&Process) -> Vec<u8>),
    Link(fn(&Process) -> Result<MagicLink>),
    /// The directory of descriptors.
    Descriptors,
}

use ProcessKind::{Descriptors, File, Link};

/// Everything in the directory of a process.
pub(super) const ENTRIES: &[ProcessEntry] = &[
    entry("cgroup", 0o444, File(|_| b"0::/\n".to_vec())),
    entry("cmdline", 0o444, File(cmdline)),
    entry("comm", 0o444, File(comm_line)),
    entry("cwd", 0o777, Link(cwd)),
    entry("environ", 0o400, File(environ)),
    entry("exe", 0o777, Link(exe)),
    entry("fd", 0o500, Descriptors),
    entry("limits", 0o444, File(limits)),
    entry("mountinfo", 0o444, File(mountinfo)),
    entry("mounts", 0o444, File(mounts)),
    entry("root", 0o777, Link(root)),
    entry("stat", 0o444, File(stat)),
    entry("statm", 0o444, File(statm)),
    entry("status", 0o444, File(status)),
];

const fn entry(name: &'static str, mode: u32, kind: ProcessKind) -> ProcessEntry {
    ProcessEntry { name, mode, kind }
}

/// Longest name of a command, without its terminating zero. Linux: `TASK_COMM_LEN`.
const COMM_BYTES_MAX: usize = 15;
/// Bytes of a page in `statm` and `stat`.
const PAGE_BYTES: u64 = 4096;

/// Joins strings, each with a zero after it.
fn with_zeros(strings: &[Vec<u8>]) -> Vec<u8> {
    let mut all = Vec::new();
    for string in strings {
        all.extend_from_slice(string);
        all.push(0);
    }
    all
}

/// Of a process that has ended there is no memory to read it from. Linux: fs/proc/base.c `get_mm_cmdline()`.
fn cmdline(process: &Process) -> Vec<u8> {
    match process.has_ended() {
        true => Vec::new(),
        false => with_zeros(&process.image().args),
    }
}

fn environ(process: &Process) -> Vec<u8> {
    match process.has_ended() {
        true => Vec::new(),
        false => with_zeros(&process.image().env),
    }
}

/// Linux: fs/exec.c `begin_new_exec()`: the last part of the path that was asked for. A bare module has no path.
pub(crate) fn comm(process: &Process) -> Vec<u8> {
    if let Some(name) = process.settings.name() {
        return name;
    }
    let image = process.image();
    let paths = [&image.asked_for, &image.path].into_iter();
    let path = paths.chain(image.args.first()).find(|it| !it.is_empty());
    let path = path.map(Vec::as_slice).unwrap_or_default();
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    name[..name.len().min(COMM_BYTES_MAX)].to_vec()
}

fn comm_line(process: &Process) -> Vec<u8> {
    let mut line = comm(process);
    line.push(b'\n');
    line
}

fn cwd(process: &Process) -> Result<MagicLink> {
    Ok(MagicLink::Location(Arc::clone(
        &process.standpoint().fs.cwd,
    )))
}

fn root(process: &Process) -> Result<MagicLink> {
    Ok(MagicLink::Location(Arc::clone(
        &process.standpoint().fs.root,
    )))
}

fn exe(process: &Process) -> Result<MagicLink> {
    let path = process.image().path.clone();
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    Ok(MagicLink::Text(path))
}

fn state(process: &Process) -> (char, &'static str) {
    match process.state_letter() {
        'Z' => ('Z', "zombie"),
        'T' => ('T', "stopped"),
        letter => (letter, "sleeping"),
    }
}

fn status(process: &Process) -> Vec<u8> {
    let (letter, word) = state(process);
    let credentials = process.credentials();
    let (uid, euid) = (credentials.uid, credentials.euid);
    let (gid, egid) = (credentials.gid, credentials.egid);
    let (suid, sgid) = (credentials.suid, credentials.sgid);
    let groups: String = credentials
        .groups
        .iter()
        .fold(String::new(), |mut all, gid| {
            let _ = write!(all, "{gid} ");
            all
        });
    let pid = process.pid.0;
    let memory_kib = process.kernel.memory.used() / 1024;
    let capabilities: u64 = if euid == 0 { 0xa80425fb } else { 0 };
    let mut text = b"Name:\t".to_vec();
    text.extend_from_slice(&comm(process));
    let rest = format!(
        "\nUmask:\t{:04o}\nState:\t{letter} ({word})\nTgid:\t{pid}\nNgid:\t0\nPid:\t{pid}\nPPid:\t{}\n\
         TracerPid:\t0\nUid:\t{uid}\t{euid}\t{suid}\t{euid}\nGid:\t{gid}\t{egid}\t{sgid}\t{egid}\n\
         FDSize:\t{}\nGroups:\t{groups}\nVmPeak:\t{memory_kib:8} kB\nVmSize:\t{memory_kib:8} kB\n\
         VmHWM:\t{memory_kib:8} kB\nVmRSS:\t{memory_kib:8} kB\nThreads:\t{}\n\
         SigQ:\t0/{}\nSigPnd:\t{:016x}\nShdPnd:\t{:016x}\nSigBlk:\t{:016x}\nSigIgn:\t{:016x}\nSigCgt:\t{:016x}\n\
         CapInh:\t0000000000000000\nCapPrm:\t{capabilities:016x}\nCapEff:\t{capabilities:016x}\n\
         NoNewPrivs:\t1\nSeccomp:\t0\nCpus_allowed_list:\t0-{}\n",
        process.standpoint().fs.umask,
        process.parent().0,
        process.fds.fds_max(),
        process.threads_count(),
        process.settings.limits().soft(SIGPENDING),
        0,
        process.signals.of_main().pending().0,
        process.signals.of_main().mask().0,
        signals_that(process, |it| it == Disposition::Ignore).0,
        signals_that(process, |it| matches!(it, Disposition::Handler(_))).0,
        process.kernel.config.cpus.saturating_sub(1),
    );
    text.extend_from_slice(rest.as_bytes());
    text
}

/// Returns the signals whose action is such.
fn signals_that(process: &Process, is_such: impl Fn(Disposition) -> bool) -> SignalSet {
    let mut set = SignalSet::default();
    let numbers = 1..=i32::from(Signal::MAX);
    for signal in numbers.filter_map(Signal::from_raw) {
        if is_such(process.signals.action(signal).disposition) {
            set.insert(signal);
        }
    }
    set
}

/// Linux: fs/proc/base.c `proc_pid_limits()`.
fn limits(process: &Process) -> Vec<u8> {
    let shown = |limit: u64| match limit {
        UNLIMITED => "unlimited".to_owned(),
        limit => limit.to_string(),
    };
    let limits = process.settings.limits().clone();
    let mut text = format!(
        "{:<25} {:<20} {:<20} {:<10}\n",
        "Limit", "Soft Limit", "Hard Limit", "Units"
    );
    for (number, resource) in RESOURCES.iter().enumerate() {
        let limit = limits.get(number).unwrap_or(ResourceLimit::both(UNLIMITED));
        // A string takes everything.
        let _ = writeln!(
            text,
            "{:<25} {:<20} {:<20} {:<10}",
            resource.title,
            shown(limit.soft),
            shown(limit.hard),
            resource.unit
        );
    }
    text.into_bytes()
}

/// The 52 fields of `proc_pid_stat(5)`; what minke does not count is 0.
fn stat(process: &Process) -> Vec<u8> {
    let pid = process.pid.0;
    let mut text = format!("{pid} (").into_bytes();
    text.extend_from_slice(&comm(process));
    let (letter, _) = state(process);
    let (Pid(group), Pid(session)) = process.group_and_session();
    let terminal = process.terminal();
    let device = terminal.as_ref().map_or(0, |pair| pair.device_id());
    let foreground = terminal.and_then(|pair| pair.foreground());
    let foreground = foreground.map_or(-1, |Pid(group)| i64::from(group));
    let memory = process.kernel.memory.used();
    let pages = memory / PAGE_BYTES;
    let used = ticks(process.cpu_time());
    let waited = ticks(process.children_cpu_time());
    let started = ticks(process.started_at.saturating_sub(process.kernel.started_at));
    let fields = format!(
        ") {letter} {} {group} {session} {device} {foreground} 0 0 0 0 0 {used} 0 {waited} 0 20 0 {} 0 {started} {memory} {pages} {}",
        process.parent().0,
        process.threads_count(),
        u64::MAX,
    );
    text.extend_from_slice(fields.as_bytes());
    const FIELDS_SO_FAR: usize = 25;
    const FIELDS: usize = 52;
    for _ in FIELDS_SO_FAR..FIELDS {
        text.extend_from_slice(b" 0");
    }
    text.push(b'\n');
    text
}

/// Linux: `USER_HZ`.
fn ticks(nanoseconds: Nanoseconds) -> u64 {
    nanoseconds / 10_000_000
}

fn statm(process: &Process) -> Vec<u8> {
    let pages = process.kernel.memory.used() / PAGE_BYTES;
    format!("{pages} {pages} 0 0 0 {pages} 0\n").into_bytes()
}

/// Options of a mount as `/proc/mounts` shows them.
fn options(mount: &Mount) -> &'static str {
    if mount.options.is_read_only {
        "ro,relatime"
    } else {
        "rw,relatime"
    }
}

fn source(mount: &Mount) -> &str {
    match mount.options.source.as_str() {
        "" => mount.file_system.kind(),
        source => source,
    }
}

/// Lists the mounts below the process's root, each with its path.
fn visible_mounts(process: &Process) -> Vec<(Arc<Mount>, Vec<u8>)> {
    let root = Arc::clone(&process.standpoint().fs.root);
    let mounts = process.kernel.mounts.mounts();
    let paths = mounts.into_iter().filter_map(|mount| {
        let top = Location::of_inode(Arc::clone(&mount), Arc::clone(&mount.root));
        let path = top.path_below(&root).ok()?;
        Some((mount, path))
    });
    paths.collect()
}

/// Writes a field with blanks, backslashes and line ends as octal numbers. Linux: `mangle()`.
fn push_field(line: &mut Vec<u8>, field: &[u8]) {
    for byte in field {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => {
                line.extend_from_slice(format!("\\{byte:03o}").as_bytes());
            }
            _ => line.push(*byte),
        }
    }
    line.push(b' ');
}

fn mounts(process: &Process) -> Vec<u8> {
    let mut text = Vec::new();
    for (mount, path) in visible_mounts(process) {
        push_field(&mut text, source(&mount).as_bytes());
        push_field(&mut text, &path);
        push_field(&mut text, mount.file_system.kind().as_bytes());
        text.extend_from_slice(format!("{} 0 0\n", options(&mount)).as_bytes());
    }
    text
}

fn mountinfo(process: &Process) -> Vec<u8> {
    let mut text = Vec::new();
    for (mount, path) in visible_mounts(process) {
        let parent = mount.mount_point.as_ref().map_or(0, |point| point.mount.id);
        let device = mount.root.metadata().map_or(0, |metadata| metadata.device);
        let start = format!("{} {parent} 0:{device} / ", mount.id);
        text.extend_from_slice(start.as_bytes());
        push_field(&mut text, &path);
        text.extend_from_slice(format!("{} - ", options(&mount)).as_bytes());
        push_field(&mut text, mount.file_system.kind().as_bytes());
        push_field(&mut text, source(&mount).as_bytes());
        text.extend_from_slice(format!("{}\n", options(&mount)).as_bytes());
    }
    text
}
