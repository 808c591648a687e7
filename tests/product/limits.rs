//! Limits hold, and what is used is told.

use std::time::Instant;

use serde_json::Value;

use crate::home::{Home, guest};

/// What `stats` says of the one container.
fn stats(home: &Home) -> Value {
    let text = home.ok(&["stats", "--no-stream", "--format", "json"]);
    serde_json::from_str(&text).expect("one object")
}

/// CPU time of a container's sandbox, in seconds.
fn cpu_seconds(home: &Home, name: &str) -> f64 {
    let pid = &home.inspect(name)["State"]["Pid"];
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let after_name = stat.rsplit(')').next().expect("a name in parentheses");
    let ticks: Vec<f64> = after_name
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    // Linux: `proc_pid_stat(5)`, fields 14 and 15, in hundredths; the state, field 3, is no number.
    (ticks[10] + ticks[11]) / 100.0
}

#[test]
fn cpu_time_stays_below_its_quota_and_the_container_answers() {
    let home = Home::new();
    home.start("web", &["--cpus", "0.1"], &["spin", "arithmetic"]);
    let start = (Instant::now(), cpu_seconds(&home, "web"));
    // Two looks of `stats` take a second each.
    for _ in 0..2 {
        assert_eq!(stats(&home)["PIDs"], "1");
    }
    let used = cpu_seconds(&home, "web") - start.1;
    let elapsed = start.0.elapsed().as_secs_f64();
    assert!(used > 0.0, "it runs");
    // More than the quota is used where the monitor waits for a CPU itself; that is paid off later.
    assert!(used < elapsed * 0.3, "{used} s in {elapsed} s");
    home.ok(&["stop", "-t", "30", "web"]);
    assert_eq!(home.state("web")["ExitCode"], 143);
}

#[test]
fn a_guest_with_a_tiny_quota_is_killed_at_once() {
    let home = Home::new();
    home.start("web", &["--cpus", "0.01"], &["spin", "memory"]);
    home.ok(&["kill", "web"]);
    home.ok(&["wait", "web"]);
    assert_eq!(home.state("web")["ExitCode"], 137);
    let host = &home.inspect("web")["HostConfig"];
    assert_eq!(host["NanoCpus"], 10_000_000);
}

#[test]
fn a_quota_of_cpu_time_is_changed_while_the_container_computes() {
    let home = Home::new();
    home.start("web", &[], &["spin", "arithmetic"]);
    // It has computed for so long by then that nobody watches it any more.
    stats(&home);
    home.ok(&["update", "--cpus", "0.1", "web"]);
    let start = (Instant::now(), cpu_seconds(&home, "web"));
    for _ in 0..2 {
        stats(&home);
    }
    let used = cpu_seconds(&home, "web") - start.1;
    let elapsed = start.0.elapsed().as_secs_f64();
    assert!(used < elapsed * 0.3, "{used} s in {elapsed} s");
    let quota = || home.inspect("web")["HostConfig"]["NanoCpus"].clone();
    assert_eq!(quota(), 100_000_000);
    home.ok(&["update", "--cpus", "0", "web"]);
    assert_eq!(quota(), 0);
    let start = cpu_seconds(&home, "web");
    // It ends when the guest has computed for longer than it could with the quota.
    while cpu_seconds(&home, "web") < start + 1.0 {
        std::thread::yield_now();
    }
    home.run(&["update", "--cpus", "0.001", "web"])
        .assert_fails(125, &["range of CPUs is from 0.01"]);
}

#[test]
fn memory_without_end_ends_the_container_as_killed() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    let ended = home.run(&["run", "--name", "web", "-m", "64m", &probe, "alloc"]);
    ended.assert_fails(
        137,
        &["out of memory: the container may have 67108864 bytes"],
    );
    let state = &home.state("web");
    assert_eq!(
        (&state["OOMKilled"], &state["ExitCode"]),
        (&true.into(), &137.into())
    );
    assert_eq!(
        state["Reason"],
        "out of memory: the container may have 67108864 bytes"
    );
    let oom = home.events("event=oom");
    assert!(
        oom.contains(" container oom ") && oom.contains("name=web") && oom.lines().count() == 1,
        "{oom}"
    );
    // One that can do without goes on, as where `malloc` fails on Linux.
    let ended = home.run(&["run", "--name", "two", "-m", "64m", &probe, "alloc-try"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(home.state("two")["OOMKilled"], false);
}

#[test]
fn a_full_root_is_no_space_left() {
    let home = Home::new();
    let ended = home.run(&[
        "run",
        "--rm",
        "--root-size",
        "3m",
        &guest("probe.wasm"),
        "fill",
        "/file",
        "8",
    ]);
    ended.assert_fails(1, &["error ENOSPC"]);
    assert!(ended.stdout.contains("full after "), "{ended:?}");
}

#[test]
fn limits_of_a_process_hold_and_are_shown() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    home.write("text", "text");
    let files = home.files();
    let volume = format!("{}:/data", files.display());
    let run = |limit: &str, arguments: &[&str]| {
        let command = ["run", "--rm", "-v", &volume, "--ulimit", limit, &probe];
        home.run(&[&command, arguments].concat())
    };
    let ended = run("nofile=10", &["open-many", "/data/text"]);
    assert_eq!(ended.stdout, "refused after 6 with EMFILE\n", "{ended:?}");
    let ended = run("fsize=1048576", &["fill", "/data/new", "2"]);
    ended.assert_fails(1, &["error EFBIG"]);
    let size = std::fs::metadata(files.join("new"))
        .expect("it is there")
        .len();
    assert_eq!(size, 1 << 20);
    let limits = run("nofile=64:128", &["cat", "/proc/self/limits"]).stdout;
    let words = |start: &str| {
        let line = limits.lines().find(|line| line.starts_with(start));
        let line = line.unwrap_or_default().trim_start_matches(start);
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(words("Max open files"), ["64", "128", "files"]);
    assert_eq!(words("Max core file size"), ["0", "0", "bytes"]);
    assert_eq!(words("Max stack size"), ["unlimited", "unlimited", "bytes"]);
}

#[test]
fn wrong_limits_are_refused_with_what_to_write() {
    let home = Home::new();
    for (flags, message) in [
        (
            ["--memory", "1k"],
            "error: minimum memory limit allowed is 6MB: `1k`\nhint: ",
        ),
        (["--cpus", "0.001"], "error: range of CPUs is from 0.01 to "),
        (
            ["--cpus", "x"],
            "error: invalid number of CPUs `x`\nhint: write a number such as `0.5` or `2`",
        ),
        (
            ["--ulimit", "nofiles=1"],
            "error: invalid ulimit type: `nofiles`\nhint: did you mean `nofile`?",
        ),
        (["--root-size", "much"], "error: invalid size `much`"),
    ] {
        let ended = home.run(&["run", "--rm", flags[0], flags[1], "./x.wasm"]);
        ended.assert_fails(125, &[message]);
    }
}

#[test]
fn no_memory_asks_for_no_limit_of_its_own() {
    let home = Home::new();
    home.start("plain", &[], &["wait"]);
    home.start("zero", &["-m", "0"], &["wait"]);
    home.start("some", &["--memory", "64m"], &["wait"]);
    let limit = |name: &str| home.ok(&["inspect", "-f", "{{.HostConfig.Memory}}", name]);
    assert_eq!(limit("zero"), limit("plain"));
    assert_eq!(limit("some"), (64 << 20).to_string());
    home.ok(&["update", "--memory", "0b", "some"]);
    assert_eq!(limit("some"), limit("plain"));
}

#[test]
fn stats_tell_what_is_used() {
    let home = Home::new();
    home.start("web", &["-m", "64m"], &["wait"]);
    let row = stats(&home);
    assert_eq!((&row["Name"], &row["PIDs"]), (&"web".into(), &"1".into()));
    let memory = row["MemUsage"].as_str().expect("a text");
    assert!(
        memory.ends_with(" / 64MiB") && !memory.starts_with("0B"),
        "{memory}"
    );
    for field in ["MemLinear", "MemKernel", "MemCache"] {
        assert!(
            row[field].as_str().is_some_and(|it| it.ends_with('B')),
            "{row}"
        );
    }
    assert_ne!(row["MemLinear"], "0B", "{row}");
    for field in ["BlockIO", "NetIO"] {
        assert!(
            row[field].as_str().is_some_and(|it| it.contains("B / ")),
            "{row}"
        );
    }
    assert!(
        row["CPUPerc"]
            .as_str()
            .is_some_and(|cpu| cpu.ends_with('%')),
        "{row}"
    );
    let heading = home.ok(&["stats", "--no-stream"]);
    assert!(heading.starts_with("CONTAINER ID"), "{heading}");
    home.ok(&["stop", "web"]);
    assert_eq!(
        home.ok(&["stats", "--no-stream", "--format", "{{.Name}}"]),
        ""
    );
    let all = home.ok(&[
        "stats",
        "-a",
        "--no-stream",
        "--format",
        "{{.Name}} {{.MemUsage}}",
    ]);
    assert_eq!(all, "web 0B / 0B");
    home.fails(
        &["stats", "--no-stream", "wab"],
        1,
        "error: no such container: `wab`\nhint: did you mean `web`?",
    );
}
