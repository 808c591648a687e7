//! What `/proc` says of the container as a whole.

use std::fmt::Write;

use super::{Node, network};
use crate::family::PID_MAX;
use crate::kernel::Kernel;

/// A row: a path below `/proc`, and what is there.
pub(super) struct SystemEntry {
    pub(super) path: &'static str,
    pub(super) kind: SystemKind,
}

pub(super) enum SystemKind {
    File(fn(&Kernel) -> String),
    Link(&'static str),
    /// The directory of the process that asks.
    Own,
}

use SystemKind::{File, Link, Own};

/// Everything in `/proc` that is not a process. Directories follow from the paths.
pub(super) const ENTRIES: &[SystemEntry] = &[
    entry("cpuinfo", File(cpuinfo)),
    entry("filesystems", File(filesystems)),
    entry("loadavg", File(loadavg)),
    entry("meminfo", File(meminfo)),
    entry("mounts", Link("self/mounts")),
    entry("net/dev", File(network::dev)),
    entry("net/route", File(network::route)),
    entry("net/tcp", File(network::tcp)),
    entry("net/tcp6", File(network::tcp6)),
    entry("net/udp", File(network::udp)),
    entry("net/udp6", File(network::udp6)),
    entry("net/unix", File(network::unix)),
    entry("self", Own),
    entry("stat", File(stat)),
    entry("sys/fs/file-max", File(|_| "1048576\n".to_owned())),
    entry("sys/fs/protected_fifos", File(|_| "1\n".to_owned())),
    entry("sys/fs/protected_hardlinks", File(|_| "1\n".to_owned())),
    entry("sys/fs/protected_regular", File(|_| "2\n".to_owned())),
    entry("sys/fs/protected_symlinks", File(|_| "1\n".to_owned())),
    entry("sys/kernel/hostname", File(hostname)),
    entry("sys/kernel/osrelease", File(|_| format!("{RELEASE}\n"))),
    entry("sys/kernel/ostype", File(|_| "Linux\n".to_owned())),
    entry("sys/kernel/pid_max", File(|_| format!("{PID_MAX}\n"))),
    entry("sys/kernel/random/boot_id", File(random_uuid)),
    entry("sys/kernel/random/uuid", File(random_uuid)),
    entry("sys/kernel/version", File(|_| format!("{VERSION}\n"))),
    entry("sys/net/core/somaxconn", File(|_| "4096\n".to_owned())),
    entry("sys/vm/overcommit_memory", File(|_| "0\n".to_owned())),
    entry("uptime", File(uptime)),
    entry("version", File(version)),
];

const fn entry(path: &'static str, kind: SystemKind) -> SystemEntry {
    SystemEntry { path, kind }
}

/// The release of Linux whose calls and files guests may expect (`uname -r`).
pub const RELEASE: &str = "6.1.0-minke";
/// `uname -v`.
pub const VERSION: &str = "#1 SMP";
/// Ticks of a second in `/proc`. Linux: `USER_HZ`.
const TICKS: u64 = 100;
const NANOSECONDS: u64 = 1_000_000_000;

/// Returns a directory's place among all directories, the top first.
pub(super) fn directory_index(path: &str) -> u64 {
    if path.is_empty() {
        return 0;
    }
    let is_inside = |entry: &SystemEntry| entry.path.starts_with(path);
    let row = ENTRIES.iter().position(is_inside).unwrap_or(0);
    let depth = path.split('/').count();
    // No more than four levels of directories begin at one row.
    1 + (row * 4 + depth) as u64
}

/// Returns the directory above.
pub(super) fn parent(path: &'static str) -> &'static str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Lists a directory.
pub(super) fn children(path: &'static str) -> Vec<(Vec<u8>, Node)> {
    let mut all: Vec<(Vec<u8>, Node)> = Vec::new();
    for (row, entry) in ENTRIES.iter().enumerate() {
        let Some((name, node)) = below(path, row, entry) else {
            continue;
        };
        if all.last().is_none_or(|(last, _)| last != name.as_bytes()) {
            all.push((name.into(), node));
        }
    }
    all
}

/// Finds a name in a directory.
pub(super) fn child(path: &'static str, wanted: &[u8]) -> Option<Node> {
    let mut rows = ENTRIES.iter().enumerate();
    rows.find_map(|(row, entry)| {
        let (name, node) = below(path, row, entry)?;
        (name.as_bytes() == wanted).then_some(node)
    })
}

/// Returns what a row adds to a directory: itself, or a directory on the way to it.
fn below(path: &str, row: usize, entry: &SystemEntry) -> Option<(&'static str, Node)> {
    let start = match path {
        "" => 0,
        _ if entry.path.strip_prefix(path)?.starts_with('/') => path.len() + 1,
        _ => return None,
    };
    let rest = &entry.path[start..];
    match rest.split_once('/') {
        None => Some((rest, Node::System(row))),
        Some((name, _)) => {
            let directory = &entry.path[..start + name.len()];
            Some((name, Node::Directory(directory)))
        }
    }
}

fn cpuinfo(kernel: &Kernel) -> String {
    let mut text = String::new();
    let cpus = kernel.config.cpus;
    for cpu in 0..cpus {
        let _ = write!(
            text,
            "processor\t: {cpu}\nvendor_id\t: minke\nmodel name\t: WebAssembly\ncpu MHz\t\t: 1000.000\n\
             physical id\t: 0\nsiblings\t: {cpus}\ncore id\t\t: {cpu}\ncpu cores\t: {cpus}\n\
             bogomips\t: 2000.00\n\n"
        );
    }
    text
}

fn filesystems(_: &Kernel) -> String {
    "nodev\tproc\nnodev\ttmpfs\nnodev\toverlay\n\text4\n".to_owned()
}

fn loadavg(kernel: &Kernel) -> String {
    let processes = kernel.processes();
    let last = processes.last().map_or(0, |process| process.pid.0);
    format!("0.00 0.00 0.00 1/{} {last}\n", kernel.tasks_count())
}

fn meminfo(kernel: &Kernel) -> String {
    let total = kernel.memory.bytes_max() / 1024;
    let used = (kernel.memory.used() / 1024).min(total);
    let free = total - used;
    let rows = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", 0),
        ("SwapCached", 0),
        ("Active", used),
        ("Inactive", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Shmem", 0),
        ("CommitLimit", total),
        ("Committed_AS", used),
    ];
    rows.iter().fold(String::new(), |mut text, (name, kib)| {
        let label = format!("{name}:");
        let _ = writeln!(text, "{label:<16}{kib:>8} kB");
        text
    })
}

fn hostname(kernel: &Kernel) -> String {
    format!("{}\n", String::from_utf8_lossy(&kernel.names().host))
}

/// Makes a random UUID. RFC 9562: version 4.
fn random_uuid(kernel: &Kernel) -> String {
    let mut bytes = [0; 16];
    kernel.entropy.fill(&mut bytes);
    let number = u128::from_be_bytes(bytes);
    let version = (number & !(0xf << 76)) | (4 << 76);
    let variant = (version & !(0b11 << 62)) | (0b10 << 62);
    let hex = format!("{variant:032x}");
    format!(
        "{}-{}-{}-{}-{}\n",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// Counts the container's time since it was started.
fn age(kernel: &Kernel) -> u64 {
    kernel.clock.monotonic().saturating_sub(kernel.started_at)
}

fn stat(kernel: &Kernel) -> String {
    let cpus = kernel.config.cpus;
    let ticks = |nanoseconds: u64| nanoseconds / (NANOSECONDS / TICKS);
    let user = ticks(kernel.clock.cpu_time());
    let idle = ticks(age(kernel))
        .saturating_mul(u64::from(cpus))
        .saturating_sub(user);
    let mut text = format!("cpu  {user} 0 0 {idle} 0 0 0 0 0 0\n");
    let share = |ticks: u64| ticks / u64::from(cpus.max(1));
    for cpu in 0..cpus {
        let _ = writeln!(
            text,
            "cpu{cpu} {} 0 0 {} 0 0 0 0 0 0",
            share(user),
            share(idle)
        );
    }
    let started = kernel.clock.realtime().saturating_sub(age(kernel)) / NANOSECONDS;
    let processes = kernel.processes().len();
    let _ = write!(
        text,
        "intr 0\nctxt 0\nbtime {started}\nprocesses {processes}\nprocs_running 1\nprocs_blocked 0\n"
    );
    text
}

fn uptime(kernel: &Kernel) -> String {
    let hundredths = age(kernel) / (NANOSECONDS / 100);
    let seconds = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    format!("{seconds} {seconds}\n")
}

fn version(_: &Kernel) -> String {
    format!("Linux version {RELEASE} (minke) {VERSION}\n")
}
