//! A view of the control groups in which `crun` starts on hosts that mount both versions.
//!
//! On such a *hybrid* host `crun` refuses to run. In a mount namespace of its own, where version 2 alone is mounted, it
//! runs. So the whole benchmark runs there: both sides of each measure pay the same.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Where Linux's tools look for control groups.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Is set for the benchmark that runs in the namespace.
const ENTERED_VARIABLE: &str = "MINKE_BENCH_CGROUPS";

/// Replaces the mounts, then runs the benchmark; in words of `sh`, whose arguments are the benchmark's command line.
const ENTER: &str =
    "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup; exec \"$0\" \"$@\"";

/// Starts this program again in such a namespace, on hybrid hosts where that is allowed; returns otherwise.
pub fn enter_version_2() {
    let is_hybrid = Path::new(CGROUPS).join("unified").is_dir();
    if !is_hybrid || std::env::var_os(ENTERED_VARIABLE).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let is_allowed = Command::new("unshare").args(["--mount", "true"]).output();
    if !is_allowed.is_ok_and(|output| output.status.success()) {
        return;
    }
    let error = Command::new("unshare")
        .args(["--mount", "sh", "-c", ENTER])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(ENTERED_VARIABLE, "1")
        .exec();
    eprintln!("bench: cannot run in a mount namespace: {error}");
}
