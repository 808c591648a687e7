//! Control groups: limits are held by them too, where one can be made; nothing is missed where none can.

use std::path::Path;
use std::process::{Command, Output};

use crate::home::{Home, guest};

/// Runs a shell's lines where control groups are mounted as version 2 alone; `None` where that is not allowed. `minke` is our
/// binary, `probe` the program.
fn with_version_2(home: &Home, lines: &str) -> Option<Output> {
    let script = format!(
        "umount -R /sys/fs/cgroup 2>/dev/null
         mount -t cgroup2 none /sys/fs/cgroup || exit 99
         {lines}"
    );
    let minke = Path::new(env!("CARGO_BIN_EXE_minke"));
    let directory = minke.parent().expect("it is in a directory").display();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .env("PATH", format!("{directory}:{path}"))
        .env("probe", guest("probe.wasm"))
        .env("MINKE_HOME", home.path())
        .output()
        .ok()?;
    let is_allowed = output.status.success() || output.status.code() == Some(7);
    is_allowed.then_some(output)
}

#[test]
fn limits_are_held_by_a_group_where_one_can_be_made() {
    let home = Home::new();
    let output = with_version_2(
        &home,
        "minke run -d --name web -m 64m --pids-limit 9 $probe wait >/dev/null || exit 1
         group=$(minke inspect -f '{{.ControlGroup}}' web)
         case $group in
         /*) ;;
         *) exit 7 ;;
         esac
         pid=$(minke inspect -f '{{.State.Pid}}' web)
         until grep -q \"^$pid$\" $group/cgroup.procs; do sleep 0.1; done
         cat $group/memory.max
         minke update -m 96m web >/dev/null && cat $group/memory.max
         kill -9 $pid && minke wait web >/dev/null
         minke ps -a >/dev/null
         test ! -e $group && echo removed",
    );
    let Some(output) = output else {
        return skipped("mount namespaces");
    };
    if output.status.code() == Some(7) {
        return skipped("controllers of control groups, version 2");
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mebibytes = |count: u64| (count << 20).to_string();
    let expected = [
        mebibytes(64 + 256),
        mebibytes(96 + 256),
        "removed".to_owned(),
    ];
    assert!(text.lines().eq(expected.iter()), "{output:?}");
}

#[test]
fn without_groups_and_without_limits_there_is_none() {
    let home = Home::new();
    home.start("plain", &[], &["wait"]);
    assert!(home.inspect("plain")["ControlGroup"].is_null());
    let output = with_version_2(
        &home,
        "minke run -d --name other $probe wait >/dev/null && minke inspect -f '{{.ControlGroup}}' other",
    );
    match output {
        Some(output) => assert_eq!(output.stdout, b"<no value>\n", "{output:?}"),
        None => skipped("mount namespaces"),
    }
}

/// Says that a test ends here for want of something that the host has not.
#[expect(
    clippy::print_stderr,
    reason = "who reads the tests' output must know what was not tested"
)]
fn skipped(what: &str) {
    eprintln!("skipped: this host has no {what} for us");
}
