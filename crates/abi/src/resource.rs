//! Resources of a process that can be limited. Linux: include/uapi/asm-generic/resource.h, fs/proc/base.c `lnames`.

/// A resource, in the row of its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    /// As `ulimit`'s and Docker's users type it.
    pub name: &'static str,
    /// As `/proc/<pid>/limits` shows it.
    pub title: &'static str,
    pub unit: &'static str,
}

/// `RLIM_INFINITY`.
pub const UNLIMITED: u64 = u64::MAX;

/// `RLIMIT_CPU`.
pub const CPU: usize = 0;
/// `RLIMIT_FSIZE`.
pub const FSIZE: usize = 1;
/// `RLIMIT_CORE`.
pub const CORE: usize = 4;
/// `RLIMIT_NPROC`.
pub const NPROC: usize = 6;
/// `RLIMIT_NOFILE`.
pub const NOFILE: usize = 7;
/// `RLIMIT_SIGPENDING`.
pub const SIGPENDING: usize = 11;

const fn resource(name: &'static str, title: &'static str, unit: &'static str) -> Resource {
    Resource { name, title, unit }
}

/// All resources, by number.
pub const RESOURCES: [Resource; 16] = [
    resource("cpu", "Max cpu time", "seconds"),
    resource("fsize", "Max file size", "bytes"),
    resource("data", "Max data size", "bytes"),
    resource("stack", "Max stack size", "bytes"),
    resource("core", "Max core file size", "bytes"),
    resource("rss", "Max resident set", "bytes"),
    resource("nproc", "Max processes", "processes"),
    resource("nofile", "Max open files", "files"),
    resource("memlock", "Max locked memory", "bytes"),
    resource("as", "Max address space", "bytes"),
    resource("locks", "Max file locks", "locks"),
    resource("sigpending", "Max pending signals", "signals"),
    resource("msgqueue", "Max msgqueue size", "bytes"),
    resource("nice", "Max nice priority", ""),
    resource("rtprio", "Max realtime priority", ""),
    resource("rttime", "Max realtime timeout", "us"),
];

/// Returns the number of the resource of a name.
pub fn number_of(name: &str) -> Option<usize> {
    RESOURCES.iter().position(|resource| resource.name == name)
}
