//! Caches of `RUN --mount=type=cache`: what `system df` says of them, who removes them, and when they go by themselves.

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::home::{Home, PATIENCE, guest};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn home() -> Home {
    let home = Home::new();
    fs::copy(guest("probe.wasm"), home.files().join("probe.wasm")).expect("copied");
    home
}

/// Writes a file whose step writes `text` to a cache of this id.
fn write(home: &Home, id: &str, text: &str) {
    step(home, id, &format!("\"write\", \"/cache/kept\", \"{text}\""));
}

fn step(home: &Home, id: &str, action: &str) {
    let run = format!("RUN --mount=type=cache,id={id},target=/cache [\"probe\", {action}]\n");
    let base = "FROM scratch\nCOPY probe.wasm /bin/\n";
    home.write("Balenafile", format!("{base}{run}"));
}

/// Builds with a cache of this id.
#[track_caller]
fn fill(home: &Home, id: &str, text: &str) {
    write(home, id, text);
    home.ok(&["build", "-q", "-t", "made", "."]);
}

/// The directories of all caches.
fn caches(home: &Home) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.path().join("build"))
        .into_iter()
        .flatten();
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.is_dir()).collect()
}

fn lock(cache: &std::path::Path) -> File {
    let path = format!("{}.lock", cache.display());
    File::options().write(true).open(path).expect("its lock")
}

fn size(home: &Home) -> String {
    let format = "{{.Type}} {{.Size}} {{.Reclaimable}}";
    let rows = home.ok(&["system", "df", "--format", format]);
    let mut rows = rows.lines().filter(|row| row.starts_with("Build Cache"));
    rows.next().expect("a row").to_owned()
}

/// A build whose program has a cache and does not end.
struct Running(Child);

impl Running {
    fn start(home: &Home, id: &str) -> Running {
        step(home, id, "\"wait\"");
        let mut command = home.command(&["build", "."]);
        let child = command.stderr(Stdio::null()).spawn().expect("it starts");
        let running = Running(child);
        let started = Instant::now();
        while !caches(home).iter().any(|cache| is_held(cache)) {
            assert!(started.elapsed() < PATIENCE, "no program started");
            std::thread::sleep(Duration::from_millis(10));
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_held(cache: &std::path::Path) -> bool {
    matches!(lock(cache).try_lock(), Err(TryLockError::WouldBlock))
}

#[test]
fn caches_are_shown_and_pruned() {
    let home = home();
    fill(&home, "one", &"x".repeat(3000));
    let verbose = home.ok(&["system", "df", "-v"]);
    assert!(verbose.contains("3kB"), "{verbose}");
    let young = ["builder", "prune", "-f", "--filter", "until=1h"];
    assert!(!home.ok(&young).contains("3kB"));
    assert_eq!(caches(&home).len(), 1);
    let name = caches(&home).remove(0);
    let name = name.file_name().expect("a name").to_string_lossy()[..12].to_owned();
    let pruned = home.ok(&["builder", "prune", "-f"]);
    assert!(
        pruned.contains(&name) && pruned.ends_with("Total:\t3kB"),
        "{pruned}"
    );
    assert_eq!(
        fs::read_dir(home.path().join("build"))
            .expect("it is there")
            .count(),
        0
    );
    fill(&home, "two", "y");
    home.ok(&["system", "prune", "-f"]);
    assert_eq!(caches(&home).len(), 0);
    fill(&home, "two", "z");
}

#[test]
fn a_cache_that_a_running_build_has_is_not_touched() {
    let home = home();
    fill(&home, "held", "precious");
    let kept = caches(&home).remove(0).join("kept");
    let running = Running::start(&home, "held");
    assert!(size(&home).contains("8B 0B"), "{}", size(&home));
    home.ok(&["builder", "prune", "-a", "-f"]);
    home.ok(&["system", "prune", "-a", "-f"]);
    assert_eq!(fs::read_to_string(&kept).expect("it is there"), "precious");
    drop(running);
    let started = Instant::now();
    while kept.exists() {
        assert!(started.elapsed() < PATIENCE, "it is held for ever");
        home.ok(&["builder", "prune", "-f"]);
    }
}

#[test]
fn a_build_that_had_a_cache_removes_those_that_nobody_used_for_long() {
    let home = home();
    fill(&home, "old", "x");
    fill(&home, "young", "y");
    for cache in &caches(&home) {
        let used = SystemTime::now() - DAY * 31;
        lock(cache).set_modified(used).expect("its time is set");
    }
    // A step that is done already takes no cache, and the build removes none.
    home.ok(&["build", "-q", "."]);
    assert_eq!(caches(&home).len(), 2);
    fill(&home, "young", "z");
    let [young] = &caches(&home)[..] else {
        panic!("{:?}", caches(&home));
    };
    assert_eq!(
        fs::read_to_string(young.join("kept")).expect("it is there"),
        "z"
    );
}

#[test]
fn a_cache_that_one_program_mounts_twice_is_one_and_waits_for_nobody() {
    for sharing in ["shared", "private", "locked"] {
        let home = home();
        let cache =
            |target: &str| format!("--mount=type=cache,id=x,sharing={sharing},target={target}");
        home.write(
            "Balenafile",
            format!(
                "FROM scratch\nCOPY probe.wasm /bin/\n\
                 RUN {one} {other} [\"probe\", \"write\", \"/one/kept\", \"{sharing}\"]\n\
                 RUN {one} {other} [\"probe\", \"cat\", \"/other/kept\"]\n",
                one = cache("/one"),
                other = cache("/other"),
            ),
        );
        let ended = home.run(&["build", "--progress", "plain", "."]);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.stderr.contains(&format!(" {sharing}\n")), "{ended:?}");
        assert_eq!(caches(&home).len(), 1, "{sharing}");
    }
}

/// Stages of a build whose programs want the same caches at once.
const STAGES: usize = 8;

#[test]
fn programs_that_want_the_same_caches_in_opposite_order_all_get_them() {
    let home = home();
    let mount = |id: &str| format!("--mount=type=cache,id={id},sharing=locked,target=/{id}");
    let mut balenafile = "FROM scratch AS base\nCOPY probe.wasm /bin/\n".to_owned();
    let mut last = "FROM base\n".to_owned();
    for number in 0..STAGES {
        let (one, other) = if number % 2 == 0 {
            ("x", "y")
        } else {
            ("y", "x")
        };
        let (one, other) = (mount(one), mount(other));
        let write = format!("[\"probe\", \"write\", \"/made{number}\", \"z\"]");
        balenafile += &format!("FROM base AS s{number}\nRUN {one} {other} {write}\n");
        last += &format!("COPY --from=s{number} /made{number} /\n");
    }
    home.write("Balenafile", balenafile + &last);
    home.ok(&["build", "-q", "."]);
    assert_eq!(caches(&home).len(), 2);
}

#[test]
fn a_step_that_is_done_already_waits_for_no_cache() {
    let home = home();
    let run =
        "RUN --mount=type=cache,id=x,sharing=locked,target=/cache [\"probe\", \"print\", \"x\"]\n";
    home.write(
        "Balenafile",
        format!("FROM scratch\nCOPY probe.wasm /bin/\n{run}"),
    );
    home.ok(&["build", "-q", "."]);
    let held = lock(&caches(&home)[0]);
    held.lock().expect("nobody has it");
    home.ok(&["build", "-q", "."]);
}

/// The size that the bounded builds below may keep: two results of steps, or two caches, of a megabyte.
const BOUND: &str = "2500k";

/// Builds with the cache bounded to [`BOUND`]; returns what was said.
#[track_caller]
fn build_bounded(home: &Home, more: &[&str]) -> String {
    let arguments = [&["build", "--progress", "plain", "-t", "made"], more].concat();
    let mut command = home.command(&[&arguments[..], &["."]].concat());
    let output = command
        .env("MINKE_BUILD_CACHE_SIZE", BOUND)
        .output()
        .expect("minke starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// Waits until the clock shows another second: what was used in one is as old as each other.
fn next_second() {
    let second = || {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.expect("it is later").as_secs()
    };
    let now = second();
    while second() == now {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A megabyte that cannot be packed. Source: Marsaglia, "Xorshift RNGs".
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(step).take(1 << 20).collect()
}

#[test]
fn what_steps_made_is_bounded_and_what_was_not_used_for_longest_goes_first() {
    let home = home();
    // An image has what it is made of, which is no cache however large it is.
    home.write("noise", noise(99));
    home.write(
        "kept",
        "FROM scratch\nCOPY noise /\nCOPY noise /other\nCOPY noise /third\n",
    );
    home.ok(&["build", "-q", "-t", "kept", "-f", "kept", "."]);
    let file =
        "FROM scratch AS one\nCOPY noise /\nCOPY small /\nFROM scratch\nCOPY --from=one /small /\n";
    home.write("small", "small");
    home.write("Balenafile", file);
    let build = |seed: u64| {
        home.write("noise", noise(seed));
        next_second();
        let said = build_bounded(&home, &[]);
        said.contains("COPY noise /\n") && said.contains("#2 CACHED")
    };
    assert!(![1, 2].map(build).contains(&true));
    // What is used again is young again: with the third, the second one is the oldest.
    assert_eq!([build(1), build(3)], [true, false]);
    assert_eq!([build(1), build(3), build(2)], [true, true, false]);
    let checked = home.run(&["system", "check"]);
    assert_eq!((checked.code, &*checked.stdout), (0, ""), "{checked:?}");
    let save = home.run(&["save", "-o", "kept.tar", "kept"]);
    assert_eq!(save.code, 0, "{save:?}");
}

#[test]
fn caches_are_bounded_and_one_that_a_build_has_stays() {
    let home = home();
    let fill = |id: &str| {
        step(&home, id, "\"copy\", \"/noise\", \"/cache/kept\"");
        let file = fs::read_to_string(home.files().join("Balenafile")).expect("written");
        let file = file.replace(
            "COPY probe.wasm /bin/",
            "COPY probe.wasm /bin/\nCOPY noise /",
        );
        home.write("Balenafile", file);
        build_bounded(&home, &["--no-cache"]);
    };
    home.write("noise", noise(1));
    fill("held");
    let running = Running::start(&home, "held");
    let [held] = &caches(&home)[..] else {
        panic!("{:?}", caches(&home))
    };
    fill("first");
    let has = |id: &PathBuf| caches(&home).contains(id);
    let first = caches(&home)
        .into_iter()
        .find(|it| it != held)
        .expect("a second one");
    fill("second");
    // Three are too many. The oldest is in use, so the next one goes.
    assert!(has(held) && !has(&first), "{:?}", caches(&home));
    assert_eq!(caches(&home).len(), 2);
    drop(running);
}

#[test]
fn a_size_of_the_cache_that_is_none_is_told() {
    let home = home();
    let mut command = home.command(&["build", "."]);
    let output = command.env("MINKE_BUILD_CACHE_SIZE", "much").output();
    let output = output.expect("minke starts");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error: `MINKE_BUILD_CACHE_SIZE` is `much`\nhint: set it to a size, such as `20g`, or unset it\n"
    );
}
