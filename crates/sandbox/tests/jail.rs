//! The jail, tried from inside: each test runs itself again as the process that gets jailed.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use minke_sandbox::jail::{FilesConfined, JailPolicy, enter, enter_for_computing};

/// Set for the inner process: the directory that it may write.
const INNER: &str = "MINKE_TEST_JAILED_DIRECTORY";

/// Runs the named test of this file again, with `INNER` set; it must end well.
fn run_jailed(test: &str) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let inner = Command::new(std::env::current_exe().expect("the test's own path"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INNER, directory.path())
        .stdin(Stdio::null())
        .output()
        .expect("the inner process starts");
    assert!(
        inner.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&inner.stdout),
        String::from_utf8_lossy(&inner.stderr)
    );
}

fn inner_directory() -> Option<std::path::PathBuf> {
    std::env::var_os(INNER).map(Into::into)
}

#[test]
fn files_outside_the_policy_are_out_of_reach() {
    let Some(directory) = inner_directory() else {
        return run_jailed("files_outside_the_policy_are_out_of_reach");
    };
    let policy = JailPolicy {
        writable: vec![directory.clone()],
        ..JailPolicy::default()
    };
    let report = enter(&policy).expect("the jail closes");
    fs::write(directory.join("mine"), b"x").expect("the policy's tree stays writable");
    if report.files == FilesConfined::No {
        return;
    }
    assert!(
        fs::read("/etc/passwd").is_err(),
        "a file outside the policy was read"
    );
    assert!(
        fs::write(directory.with_extension("outside"), b"x").is_err(),
        "a file outside was written"
    );
}

#[test]
fn a_readable_tree_is_not_writable() {
    let Some(directory) = inner_directory() else {
        return run_jailed("a_readable_tree_is_not_writable");
    };
    fs::write(directory.join("data"), b"x").expect("written before the jail");
    let policy = JailPolicy {
        readable: vec![directory.clone()],
        ..JailPolicy::default()
    };
    let report = enter(&policy).expect("the jail closes");
    assert_eq!(
        fs::read(directory.join("data")).expect("it stays readable"),
        b"x"
    );
    if report.files != FilesConfined::No {
        assert!(
            fs::write(directory.join("data"), b"y").is_err(),
            "a read-only tree was written"
        );
    }
}

#[test]
fn programs_cannot_be_started() {
    if inner_directory().is_none() {
        return run_jailed("programs_cannot_be_started");
    }
    enter(&JailPolicy {
        readable: vec!["/".into()],
        ..JailPolicy::default()
    })
    .expect("the jail closes");
    assert!(
        Command::new("/bin/true").status().is_err(),
        "a program was started"
    );
}

#[test]
fn threads_can_still_be_started() {
    if inner_directory().is_none() {
        return run_jailed("threads_can_still_be_started");
    }
    enter(&JailPolicy::default()).expect("the jail closes");
    let sum = std::thread::spawn(|| 1 + 1)
        .join()
        .expect("the thread ends well");
    assert_eq!(sum, 2);
}

#[test]
fn sockets_need_a_network() {
    if inner_directory().is_none() {
        return run_jailed("sockets_need_a_network");
    }
    enter(&JailPolicy::default()).expect("the jail closes");
    assert!(
        TcpListener::bind("127.0.0.1:0").is_err(),
        "a socket was made without a network"
    );
}

#[test]
fn sockets_work_with_a_network() {
    if inner_directory().is_none() {
        return run_jailed("sockets_work_with_a_network");
    }
    enter(&JailPolicy {
        has_network: true,
        ..JailPolicy::default()
    })
    .expect("the jail closes");
    TcpListener::bind("127.0.0.1:0").expect("a socket");
}

#[test]
fn what_only_computes_has_no_files_sockets_or_programs() {
    if inner_directory().is_none() {
        return run_jailed("what_only_computes_has_no_files_sockets_or_programs");
    }
    let report = enter_for_computing().expect("the jail closes");
    let sum = std::thread::spawn(|| (1..=10).sum::<u32>()).join();
    assert_eq!(sum.expect("threads can be made"), 55);
    assert!(
        std::os::unix::net::UnixStream::pair().is_err(),
        "a socket was made"
    );
    assert!(
        TcpListener::bind("127.0.0.1:0").is_err(),
        "a port was bound"
    );
    assert!(fs::rename("/tmp", "/tmp/x").is_err() && fs::create_dir("/tmp/minke-jailed").is_err());
    assert!(
        Command::new("/bin/true").status().is_err(),
        "a program was started"
    );
    if report.files != FilesConfined::No {
        assert!(fs::read("/etc/passwd").is_err(), "a file was read");
    }
}
