//! The checks of `minke doctor`: one row each.

use std::net::{Ipv6Addr, TcpListener};

use minke_engine::Home;
use minke_engine::groups::Place;
use rustix::process::Resource;

use super::Finding;
use super::host;
use crate::output::size;

/// What is missed where a check fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// Containers do not run.
    Essential,
    /// Something works less well.
    Useful,
    /// Only examples and tests are not built.
    Building,
}

impl Weight {
    pub(super) fn word(self) -> &'static str {
        match self {
            Weight::Essential => "missing",
            Weight::Useful => "lacks",
            Weight::Building => "without",
        }
    }
}

/// A row of the table.
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) weight: Weight,
    pub(super) look: fn(&Home) -> Finding,
    /// What it costs not to have it.
    pub(super) cost: &'static str,
    /// What to do.
    pub(super) hint: &'static str,
}

/// Free space below which builds are likely to fail.
const FREE_BYTES_MIN: u64 = 1 << 30;
const FREE_INODES_MIN: u64 = 10_000;
/// Linux: the default of `vm.max_map_count`.
const MAPPINGS_MIN: u64 = 65_530;
const DESCRIPTORS_MIN: u64 = 4096;
/// A clock before this (2025) was never set.
const CLOCK_MIN_S: i64 = 1_735_689_600;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "kernel",
        weight: Weight::Essential,
        look: kernel,
        cost: "binds need `openat2`, which came with Linux 5.6",
        hint: "boot a newer kernel",
    },
    Check {
        name: "seccomp",
        weight: Weight::Essential,
        look: seccomp,
        cost: "the jail cannot limit system calls, so no container starts",
        hint: "boot a kernel with `CONFIG_SECCOMP_FILTER`",
    },
    Check {
        name: "landlock",
        weight: Weight::Useful,
        look: landlock,
        cost: "the jail confines files partly or not at all; wasm and minke's own checks hold without it",
        hint: "boot Linux 5.13 or newer with `landlock` in the kernel option `lsm=`; all of it needs 6.12",
    },
    Check {
        name: "scheduler-turns",
        weight: Weight::Useful,
        look: scheduler_turns,
        cost: "with hundreds of busy programs, `stop` and requests wait longer for a CPU",
        hint: "boot Linux 6.12 or newer",
    },
    Check {
        name: "user-namespaces",
        weight: Weight::Useful,
        look: user_namespaces,
        cost: "nothing for minke, which needs none; other rootless container tools do",
        hint: "set `sysctl user.max_user_namespaces=10000` if you use those too",
    },
    Check {
        name: "cgroups",
        weight: Weight::Useful,
        look: cgroups,
        cost: "limits are held by minke's own accounting alone, which does not count the sandbox itself",
        hint: "use a system with cgroup v2, and delegate a group: `systemd-run --user --scope -p Delegate=yes`",
    },
    Check {
        name: "memory-mappings",
        weight: Weight::Useful,
        look: memory_mappings,
        cost: "a container has room for fewer programs at a time",
        hint: "set `sysctl vm.max_map_count=262144`",
    },
    Check {
        name: "overcommit",
        weight: Weight::Essential,
        look: overcommit,
        cost: "the address space of a linear memory cannot be reserved",
        hint: "set `sysctl vm.overcommit_memory=0`",
    },
    Check {
        name: "address-space",
        weight: Weight::Essential,
        look: address_space,
        cost: "the address space of a linear memory cannot be reserved",
        hint: "raise it: `ulimit -v unlimited`",
    },
    Check {
        name: "descriptors",
        weight: Weight::Useful,
        look: descriptors,
        cost: "a container has fewer connections and bound files at a time",
        hint: "raise the hard limit: `ulimit -Hn 65536`, or `LimitNOFILE=` of the service",
    },
    Check {
        name: "home",
        weight: Weight::Essential,
        look: home_directory,
        cost: "nothing can be kept",
        hint: "set `MINKE_HOME` to a directory that you may write",
    },
    Check {
        name: "home-file-system",
        weight: Weight::Useful,
        look: home_file_system,
        cost: "locks and mapped files are slow there, or do not hold between machines",
        hint: "set `MINKE_HOME` to a directory on a local disk",
    },
    Check {
        name: "disk-space",
        weight: Weight::Useful,
        look: disk_space,
        cost: "builds and loads are likely to fail",
        hint: "free space, or set `MINKE_HOME` to a directory on another file system",
    },
    Check {
        name: "clock",
        weight: Weight::Useful,
        look: clock,
        cost: "times of images and logs are wrong, and certificates are refused",
        hint: "set the clock: `timedatectl set-ntp true`",
    },
    Check {
        name: "time-zone",
        weight: Weight::Useful,
        look: time_zone,
        cost: "nothing but that times are shown in UTC",
        hint: "set `TZ`, or link `/etc/localtime`",
    },
    Check {
        name: "ipv6",
        weight: Weight::Useful,
        look: ipv6,
        cost: "ports are published on IPv4 alone",
        hint: "set `sysctl net.ipv6.conf.all.disable_ipv6=0`",
    },
    Check {
        name: "emscripten",
        weight: Weight::Building,
        look: |_| tool("emcc"),
        cost: "C and C++ programs cannot be compiled here",
        hint: "install Emscripten: https://emscripten.org/docs/getting_started/downloads.html",
    },
    Check {
        name: "rust-wasm",
        weight: Weight::Building,
        look: rust_target,
        cost: "Rust programs cannot be compiled for containers here",
        hint: "run `rustup target add wasm32-wasip1`",
    },
];

fn finding(is_good: bool, found: impl Into<String>) -> Finding {
    Finding {
        found: found.into(),
        is_good,
    }
}

fn kernel(_: &Home) -> Finding {
    let (release, version) = host::kernel();
    finding(version >= (5, 6), format!("Linux {release}"))
}

/// Linux: Documentation/userspace-api/seccomp_filter.rst, "Sysctls".
fn seccomp(_: &Home) -> Finding {
    let actions = host::text("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    let has_errno = actions.split_whitespace().any(|action| action == "errno");
    finding(has_errno, if has_errno { "filters" } else { "no filters" })
}

fn landlock(_: &Home) -> Finding {
    match minke_engine::landlock_version() {
        0 => finding(false, "not there, or switched off"),
        version => finding(
            version >= minke_engine::LANDLOCK_VERSION_WANTED,
            format!("version {version}"),
        ),
    }
}

fn scheduler_turns(_: &Home) -> Finding {
    let (_, version) = host::kernel();
    match version >= (6, 12) {
        true => finding(true, "short turns can be asked for"),
        false => finding(false, "all turns are equally long"),
    }
}

fn user_namespaces(_: &Home) -> Finding {
    let namespaces = host::number("/proc/sys/user/max_user_namespaces").unwrap_or(0);
    finding(namespaces > 0, format!("up to {namespaces}"))
}

/// Whether groups can be made below our own. Linux: Documentation/admin-guide/cgroup-v2.rst, "Delegation".
fn cgroups(_: &Home) -> Finding {
    let has_version_2 = host::text("/sys/fs/cgroup/cgroup.controllers").is_some();
    match (Place::find(), has_version_2) {
        (Some(place), _) => finding(
            true,
            format!(
                "v2, {} are held below `{}`",
                place.controllers.join(", "),
                place.directory.display()
            ),
        ),
        (None, true) => finding(false, "v2, no group can be made with limits"),
        (None, false) => finding(false, "no cgroup v2"),
    }
}

fn memory_mappings(_: &Home) -> Finding {
    let count = host::number("/proc/sys/vm/max_map_count").unwrap_or(0);
    finding(
        count >= MAPPINGS_MIN,
        format!("vm.max_map_count is {count}"),
    )
}

fn overcommit(_: &Home) -> Finding {
    /// Linux: `OVERCOMMIT_NEVER`.
    const NEVER: u64 = 2;
    let mode = host::number("/proc/sys/vm/overcommit_memory").unwrap_or(0);
    finding(mode != NEVER, format!("vm.overcommit_memory is {mode}"))
}

fn address_space(_: &Home) -> Finding {
    match rustix::process::getrlimit(Resource::As).current {
        None => finding(true, "unlimited"),
        Some(bytes) => finding(false, format!("limited to {}", size(bytes))),
    }
}

fn descriptors(_: &Home) -> Finding {
    match rustix::process::getrlimit(Resource::Nofile).maximum {
        None => finding(true, "unlimited"),
        Some(count) => finding(count >= DESCRIPTORS_MIN, format!("up to {count}")),
    }
}

fn home_directory(home: &Home) -> Finding {
    let there = host::existing(&home.data);
    let may_write = rustix::fs::access(there, rustix::fs::Access::WRITE_OK).is_ok();
    let is_writable = there.is_dir() && may_write;
    finding(is_writable, format!("`{}`", home.data.display()))
}

fn home_file_system(home: &Home) -> Finding {
    match rustix::fs::statfs(host::existing(&home.data)) {
        Ok(found) => {
            let name = host::file_system(found.f_type.cast_unsigned());
            finding(!matches!(name, "nfs" | "smb" | "fuse"), name)
        }
        Err(error) => finding(false, error.to_string()),
    }
}

fn disk_space(home: &Home) -> Finding {
    match rustix::fs::statvfs(host::existing(&home.data)) {
        Ok(found) => {
            let bytes = found.f_bavail.saturating_mul(found.f_frsize);
            // Some file systems make inodes as they are needed, and count none.
            let has_inodes = found.f_files == 0 || found.f_favail >= FREE_INODES_MIN;
            finding(
                bytes >= FREE_BYTES_MIN && has_inodes,
                format!("{} and {} inodes free", size(bytes), found.f_favail),
            )
        }
        Err(error) => finding(false, error.to_string()),
    }
}

fn clock(_: &Home) -> Finding {
    let now = jiff::Timestamp::now();
    finding(now.as_second() >= CLOCK_MIN_S, format!("{now:.0}"))
}

fn time_zone(_: &Home) -> Finding {
    let zone = std::env::var("TZ").ok().or_else(|| {
        let path = std::fs::canonicalize("/etc/localtime").ok()?;
        let path = path.to_str()?;
        Some(
            path.rsplit_once("/zoneinfo/")
                .map_or(path, |(_, name)| name)
                .to_owned(),
        )
    });
    match zone {
        Some(zone) => finding(true, zone),
        None => finding(false, "not set"),
    }
}

fn ipv6(_: &Home) -> Finding {
    match TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        Ok(_) => finding(true, "`::1` answers"),
        Err(error) => finding(false, error.to_string()),
    }
}

fn tool(name: &str) -> Finding {
    match host::program(name) {
        Some(path) => finding(true, path.display().to_string()),
        None => finding(false, format!("no `{name}` in `PATH`")),
    }
}

fn rust_target(_: &Home) -> Finding {
    const TARGET: &str = "wasm32-wasip1";
    let home = std::env::var_os("RUSTUP_HOME")
        .or_else(|| std::env::home_dir().map(|home| home.join(".rustup").into()));
    let toolchains = home.map(|home| std::path::Path::new(&home).join("toolchains"));
    let found = toolchains
        .and_then(|directory| std::fs::read_dir(directory).ok())
        .into_iter()
        .flatten()
        .flatten()
        .find(|entry| entry.path().join("lib/rustlib").join(TARGET).is_dir());
    match found {
        Some(toolchain) => finding(true, toolchain.file_name().to_string_lossy()),
        None => finding(false, format!("no target `{TARGET}`")),
    }
}
