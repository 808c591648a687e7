//! Commands on containers that are killed at random moments.
//!
//! Whenever that is, what `ps` says is true afterwards: who runs has a process, no process runs for nobody, every name leads to
//! its container, and everything can be removed; disks and images are whole. `MINKE_KILL_MOMENTS` sets the number of moments.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::disks::tool;
use crate::home::{Home, PATIENCE, guest};

/// Moments that are tried where nobody asks for more.
const MOMENTS: u64 = 40;

/// The latest moment; most commands have ended by then.
const LATEST: Duration = Duration::from_millis(150);

/// What is killed, a line each. The names meet by chance: some commands find nothing to do. `PROGRAM` is a bare module or an
/// image.
const COMMANDS: [&str; 16] = [
    "run -d --name one PROGRAM wait",
    "run -d --rm --name two PROGRAM wait",
    "run -d --restart always --name three PROGRAM wait",
    "run --name one PROGRAM sleep 50",
    "run --rm -v ./data.img:/data PROGRAM append /data/note x",
    "run -d --name two -v ./data.img:/data PROGRAM durable-ticks /data/ticks 1000000",
    "create --name two PROGRAM wait",
    "start one two three",
    "restart -t 0 one three",
    "rename one two",
    "cp note one:/note",
    "cp two:/note copied",
    "commit one made",
    "export -o exported.tar one",
    "stop -t 0 one two three",
    "rm -f one two three",
];

/// Numbers that are as good as random. Steele, Lea, Flood: "Fast splittable pseudorandom number generators".
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// How many moments a test of kills tries: its own number, or what `MINKE_KILL_MOMENTS` says.
pub(crate) fn moments(own: u64) -> u64 {
    let asked = std::env::var("MINKE_KILL_MOMENTS").ok();
    asked.map_or(own, |text| text.parse().expect("a number"))
}

/// Sandboxes and supervisors of a home that live, by the ids of their containers.
fn processes(home: &Home) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("Linux").flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter_map(|line| {
            let text = String::from_utf8_lossy(&line).into_owned();
            let words: Vec<&str> = text.split('\0').collect();
            let is_ours = words
                .get(2)
                .is_some_and(|it| PathBuf::from(it) == home.path());
            is_ours.then(|| words.get(4).map(|id| (*id).to_owned()))?
        })
        .collect()
}

/// What is not as `ps` says, if anything.
fn contradiction(home: &Home) -> Option<String> {
    let listed = home.ok(&[
        "ps",
        "-a",
        "--no-trunc",
        "--format",
        "{{.ID}} {{.State}} {{.Names}}",
    ]);
    let processes = processes(home);
    for line in listed.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let is_up = matches!(words[1], "running" | "restarting");
        if is_up != processes.iter().any(|id| id == words[0]) {
            return Some(format!("{line}, with the processes {processes:?}"));
        }
        let named = home.run(&["inspect", "-f", "{{.Id}}", words[2]]);
        if named.stdout.trim() != words[0] {
            return Some(format!("{line}, but by name: {named:?}"));
        }
    }
    let orphan = processes.iter().find(|id| !listed.contains(id.as_str()));
    orphan.map(|id| format!("{id} runs and is not listed: {listed}"))
}

fn assert_settles(home: &Home, what: &str) {
    // What was going on when the command was killed settles by itself.
    let until = Instant::now() + PATIENCE;
    while let Some(found) = contradiction(home) {
        assert!(Instant::now() < until, "after {what}: {found}");
        std::thread::yield_now();
    }
}

/// A home with the probe as the image `app`, and a disk for volumes.
fn home() -> Home {
    let home = Home::new();
    std::fs::copy(guest("probe.wasm"), home.files().join("probe.wasm")).expect("copied");
    home.write("note", "of the host");
    home.write(
        "Balenafile",
        "FROM scratch\nCOPY probe.wasm note /\nENTRYPOINT [\"/probe.wasm\"]\n",
    );
    home.ok(&["build", "-q", "-t", "app", "."]);
    home.ok(&["disk", "create", "--size", "16M", "data.img"]);
    // The first run compiles the probe: that would make every later moment an early one.
    let run = ["run", "--rm", "-v", "./data.img:/data", "app"];
    home.ok(&[&run[..], &["write", "/data/note", "x"]].concat());
    home
}

/// Starts a command and kills it then.
fn kill_after(home: &Home, words: &[&str], delay: Duration) {
    let mut child = home
        .command(words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("minke starts");
    std::thread::sleep(delay);
    child.kill().expect("it is ours");
    child.wait().expect("it ends");
}

/// Checks that no image, disk or process shows that commands were killed, when all containers have been removed.
fn assert_whole_when_all_are_removed(home: &Home, what: &str) {
    for id in home.ok(&["ps", "-a", "-q"]).lines() {
        home.ok(&["rm", "-f", id]);
    }
    // A process that has let go of everything is still shown by Linux until it has ended.
    let until = Instant::now() + PATIENCE;
    while let Some(id) = processes(home).first() {
        assert!(Instant::now() < until, "{id} still runs, {what}");
        std::thread::yield_now();
    }
    // Who opens the store takes away what a killed `commit` wrote.
    let checked = home.run(&["system", "check"]);
    assert_eq!(
        (checked.code, checked.stdout.as_str()),
        (0, ""),
        "{what}: {checked:?}"
    );
    home.assert_nothing_left();
    let run = ["run", "--rm", "-v", "./data.img:/data", "app"];
    home.ok(&[&run[..], &["append", "/data/note", "y"]].concat());
    let note = home.ok(&["disk", "cat", "data.img", "/note"]);
    assert!(note.ends_with('y'), "{what}: {note}");
    assert!(tool("e2fsck", &["-fn"], &home.files().join("data.img")));
}

#[test]
fn whenever_a_command_is_killed_ps_tells_the_truth_and_nothing_is_orphaned() {
    let home = home();
    let probe = guest("probe.wasm");
    let seed = RandomState::new().hash_one(0);
    let mut random = Random(seed);
    for moment in 0..moments(MOMENTS) {
        let line = COMMANDS[random.below(COMMANDS.len() as u64) as usize];
        let program = [&*probe, "app"][random.below(2) as usize];
        let words: Vec<&str> = line
            .split(' ')
            .map(|word| if word == "PROGRAM" { program } else { word })
            .collect();
        let delay = Duration::from_micros(random.below(LATEST.as_micros() as u64));
        kill_after(&home, &words, delay);
        assert_settles(
            &home,
            &format!("moment {moment} of seed {seed}: {words:?} after {delay:?}"),
        );
    }
    assert_whole_when_all_are_removed(&home, &format!("seed {seed}"));
}
