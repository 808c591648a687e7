//! Builds that are killed at random moments.
//!
//! Whenever that is, a name means the image before or the one after, and either is whole; nothing half-written is listed or stays;
//! no program of a step outlives its build; the next build works. `MINKE_KILL_MOMENTS` sets the number of moments.

use std::hash::{BuildHasher, RandomState};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::context;
use crate::faults::moments::{Random, moments};
use crate::home::{Home, PATIENCE, guest};

/// Moments that are tried where nobody asks for more.
const MOMENTS: u64 = 24;

/// After so many moments what was built is pruned, so that checking it all does not take ever longer.
const MOMENTS_BETWEEN_PRUNES: u64 = 16;

const FILE: &str = r#"
FROM base AS one
COPY files /one/
RUN ["probe", "copy", "/one/0", "/one/copied"]
FROM base AS two
COPY files /two/
RUN ["probe", "write", "/two/made", "x"]
FROM base
COPY --from=one /one /one
COPY --from=two /two /two
COPY version /
RUN ["probe", "sleep", "20"]
RUN ["probe", "copy", "/version", "/copied"]
CMD ["probe", "cat", "/version", "/copied", "/two/made"]
"#;

/// What is killed: a build with everything to do after its context has changed.
const COMMANDS: [&[&str]; 7] = [
    &["build", "-t", "app:1", "-f", "Balenafile", "context"],
    &[
        "build",
        "-t",
        "app:1",
        "--no-cache",
        "-f",
        "Balenafile",
        "context",
    ],
    &[
        "build",
        "-q",
        "-t",
        "app:1",
        "-t",
        "app:2",
        "-f",
        "Balenafile",
        "context",
    ],
    &[
        "build",
        "-o",
        "type=oci,dest=out.tar",
        "-f",
        "Balenafile",
        "context",
    ],
    &[
        "build",
        "-o",
        "type=docker,dest=out.tar",
        "-f",
        "Balenafile",
        "context",
    ],
    &[
        "build",
        "-o",
        "type=tar,dest=files.tar",
        "-f",
        "Balenafile",
        "context",
    ],
    &[
        "build",
        "-o",
        "out",
        "-t",
        "app:1",
        "-f",
        "Balenafile",
        "context",
    ],
];

fn home() -> Home {
    let home = context(&[("version", "0")]);
    let probe = home.files().join("context/probe.wasm");
    std::fs::copy(guest("probe.wasm"), probe).expect("copied");
    for number in 0..40 {
        home.write(&format!("context/files/{number}"), vec![number; 4096]);
    }
    home.write("base", "FROM scratch\nCOPY probe.wasm /bin/\n");
    home.ok(&["build", "-q", "-t", "base", "-f", "base", "context"]);
    home.write("Balenafile", FILE);
    home
}

/// Writes what makes the next build another one.
fn change(home: &Home, version: u64) {
    home.write("context/version", version.to_string());
    home.write("context/files/0", version.to_string());
}

/// Processes of a home that live.
fn processes(home: &Home) -> Vec<String> {
    let variable = format!("MINKE_HOME={}\0", home.path().display());
    let entries = std::fs::read_dir("/proc").expect("Linux").flatten();
    let ours = entries.filter(|entry| {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&variable)
    });
    ours.map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// The test's files and what builds may put beside them.
const FILES: [&str; 6] = [
    "Balenafile",
    "base",
    "context",
    "files.tar",
    "out",
    "out.tar",
];

/// What is beside the test's files and should not be.
fn litter(home: &Home) -> Vec<String> {
    let entries = std::fs::read_dir(home.files()).expect("readable").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| !FILES.contains(&name.as_str()))
        .collect()
}

/// Checks that what a killed build left is what a build that never was, or one that was done, leaves.
#[track_caller]
fn assert_whole(home: &Home, what: &str, before: &str, after: &str) -> String {
    // What ends with its build needs a moment for it.
    let until = Instant::now() + PATIENCE;
    while !processes(home).is_empty() {
        assert!(
            Instant::now() < until,
            "after {what}: {:?} live",
            processes(home)
        );
        std::thread::yield_now();
    }
    let listed = home.ok(&["images", "-q"]);
    let checked = home.run(&["system", "check"]);
    let found = (checked.code, checked.stdout.as_str());
    assert_eq!(found, (0, ""), "after {what}: {checked:?}\n{listed}");
    home.assert_nothing_left();
    let said = home.ok(&["run", "--rm", "app:1"]);
    let is_one = [before, after]
        .iter()
        .any(|version| said == format!("{version}{version}x"));
    assert!(
        is_one,
        "after {what}: `{said}` is neither {before} nor {after}"
    );
    if home.files().join("out.tar").exists() {
        home.ok(&["load", "-q", "-i", "out.tar"]);
    }
    if let Ok(tar) = std::fs::read(home.files().join("files.tar")) {
        assert!(
            tar.ends_with(&[0; 1024]),
            "after {what}: `files.tar` is cut"
        );
    }
    match said == format!("{after}{after}x") {
        true => after.to_owned(),
        false => before.to_owned(),
    }
}

#[test]
fn whenever_a_build_is_killed_its_image_is_whole_or_the_one_before() {
    let home = home();
    // The first build compiles the probe, as no later one does.
    change(&home, u64::MAX);
    home.ok(COMMANDS[0]);
    change(&home, 0);
    let begun = Instant::now();
    home.ok(COMMANDS[0]);
    let latest = begun.elapsed();
    let seed = RandomState::new().hash_one(0);
    let mut random = Random(seed);
    let mut version = "0".to_owned();
    for moment in 1..=moments(MOMENTS) {
        change(&home, moment);
        let command = COMMANDS[random.below(COMMANDS.len() as u64) as usize];
        let delay = Duration::from_micros(random.below(latest.as_micros() as u64));
        let mut child = home
            .command(command)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("minke starts");
        std::thread::sleep(delay);
        child.kill().expect("it is ours");
        child.wait().expect("it ends");
        let what = format!("moment {moment} of seed {seed}: {command:?} after {delay:?}");
        version = assert_whole(&home, &what, &version, &moment.to_string());
        if moment % MOMENTS_BETWEEN_PRUNES == 0 {
            home.ok(&["image", "prune", "-f"]);
            home.ok(&["builder", "prune", "-a", "-f"]);
        }
    }
    change(&home, 0);
    // The next ones of each kind take away what a killed one may have left for an instant.
    for command in COMMANDS {
        home.ok(command);
    }
    assert_eq!(litter(&home), [""; 0], "seed {seed}");
    assert_eq!(home.ok(&["run", "--rm", "app:1"]), "00x");
    home.assert_nothing_left();
}
