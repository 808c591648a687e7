//! Tests that act as several users: here as root, else as root of a user namespace.

use std::io::Write;
use std::process::Command;

/// A namespace in which the caller is root and has other users beside it (`/etc/subuid`).
const NAMESPACE: [&str; 3] = ["--user", "--map-root-user", "--map-auto"];

/// Returns whether the test of this name may act as root here. Where not, it has been run in a user
/// namespace, or it says that it was skipped.
pub(crate) fn is_root(test: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(NAMESPACE);
        command
    };
    let probe = unshare().arg("true").output();
    if !probe.is_ok_and(|output| output.status.success()) {
        skipped(test, "neither root nor a user namespace with several users");
        return false;
    }
    let output = unshare()
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// Says on standard error itself that a test was skipped: what a passing test prints is not shown.
fn skipped(test: &str, missing: &str) {
    // A test run without a standard error has nobody to tell.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {missing}");
}
