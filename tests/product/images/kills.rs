//! Loads, removals and prunes that are killed at any moment, at the same time as others, and on a full disk.

use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::build;
use crate::faults::moments::Random;
use crate::home::{Home, guest};

/// Moments that are tried where nobody asks for more, by `MINKE_KILL_MOMENTS`.
const MOMENTS: u64 = 24;

fn moments() -> u64 {
    crate::faults::moments::moments(MOMENTS)
}

/// Kills commands at random moments of the time that they take.
struct Killer {
    seed: u64,
    random: Random,
}

impl Killer {
    fn new() -> Self {
        let seed = RandomState::new().hash_one(0);
        let random = Random(seed);
        Self { seed, random }
    }

    /// Starts a command and kills it; returns what was done, to be told when it did harm.
    fn kill(&mut self, home: &Home, words: &[&str], whole_time: Duration) -> String {
        let latest = u64::try_from(whole_time.as_micros()).expect("a command is short");
        let delay = Duration::from_micros(self.random.below(latest));
        kill_after(home, words, delay);
        format!("{words:?} after {delay:?}, seed {}", self.seed)
    }
}

fn kill_after(home: &Home, words: &[&str], delay: Duration) {
    let mut command = home.command(words);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("minke starts");
    thread::sleep(delay);
    child.kill().expect("it is ours");
    child.wait().expect("it ends");
}

/// Checks that everything that is listed is whole, and nothing else is there.
#[track_caller]
fn whole(home: &Home, what: &str) {
    let listed = home.ok(&["images", "-q"]);
    let checked = home.run(&["system", "check"]);
    assert_eq!(
        (checked.code, checked.stdout.as_str()),
        (0, ""),
        "after {what}: {checked:?}\n{listed}"
    );
    home.assert_nothing_left();
}

/// How long a command takes, so that the moments are spread over it.
fn duration(home: &Home, words: &[&str]) -> Duration {
    let begun = std::time::Instant::now();
    home.ok(words);
    begun.elapsed()
}

#[test]
fn a_load_that_is_killed_at_any_moment_leaves_a_whole_image_or_none() {
    let home = Home::new();
    build(&home, "app:1", "");
    home.ok(&["save", "-o", "x.tar", "app:1"]);
    let archive = home.files().join("x.tar");
    let load = [
        "load",
        "-q",
        "-i",
        archive.to_str().expect("the path is text"),
    ];
    let other = Home::new();
    let whole_time = duration(&other, &load);
    let mut killer = Killer::new();
    for _ in 0..moments() {
        other.ok(&["image", "prune", "-a", "-f"]);
        let what = killer.kill(&other, &load, whole_time);
        whole(&other, &what);
    }
    other.ok(&load);
    assert_eq!(other.ok(&["run", "--rm", "app:1"]), "hello");
}

#[test]
fn a_removal_or_prune_that_is_killed_leaves_a_whole_image_or_none() {
    let home = Home::new();
    build(&home, "app:1", "");
    home.ok(&["save", "-o", "x.tar", "app:1"]);
    let mut killer = Killer::new();
    for words in [
        &["rmi", "app:1"][..],
        &["image", "prune", "-a", "-f"],
        &["system", "prune", "-a", "-f"],
    ] {
        let whole_time = duration(&home, words);
        for _ in 0..moments() / 3 {
            home.ok(&["load", "-q", "-i", "x.tar"]);
            let what = killer.kill(&home, words, whole_time);
            // A killed prune may leave contents without names; the next one takes them.
            home.ok(&["image", "prune", "-f"]);
            whole(&home, &what);
        }
        home.ok(&["load", "-q", "-i", "x.tar"]);
    }
}

#[test]
fn a_save_that_is_killed_leaves_no_archive_or_a_whole_one() {
    let home = Home::new();
    build(&home, "app:1", "");
    let save = ["save", "-o", "x.tar", "app:1"];
    let whole_time = duration(&home, &save);
    let archive = home.files().join("x.tar");
    let mut killer = Killer::new();
    for moment in 0..moments() {
        // Every other one replaces an archive.
        if moment % 2 == 0 {
            let _ = std::fs::remove_file(&archive);
        }
        let what = killer.kill(&home, &save, whole_time);
        whole(&home, &what);
        if archive.exists() {
            home.ok(&["load", "-q", "-i", "x.tar"]);
        }
    }
    home.ok(&save);
    let entries = std::fs::read_dir(home.files()).expect("readable").flatten();
    let names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    let is_beside = |name: &&OsString| name.to_string_lossy().starts_with('.');
    let beside: Vec<_> = names.iter().filter(is_beside).collect();
    assert!(beside.is_empty(), "{beside:?}");
}

#[test]
fn commands_at_the_same_time_do_not_harm_each_other() {
    let home = Home::new();
    build(&home, "app:1", "");
    home.ok(&["save", "-o", "x.tar", "app:1"]);
    thread::scope(|scope| {
        let many = |words: &'static [&'static str]| {
            let home = &home;
            scope.spawn(move || {
                for _ in 0..6 {
                    let ended = home.run(words);
                    // What another has just removed may be missed, nothing else.
                    let is_missed = ended.stderr.contains("no such image")
                        || ended.stderr.contains("is missing from the store")
                        || ended.stderr.contains("is used by");
                    assert!(ended.code == 0 || is_missed, "{words:?}: {ended:?}");
                }
            });
        };
        many(&["load", "-q", "-i", "x.tar"]);
        many(&["load", "-q", "-i", "x.tar"]);
        many(&["build", "-q", "-t", "app:2", "context-app-1"]);
        many(&["image", "prune", "-a", "-f"]);
        many(&["tag", "app:1", "app:3"]);
        many(&["system", "prune", "-f"]);
        many(&["save", "-o", "y.tar", "app:1"]);
    });
    home.ok(&["load", "-q", "-i", "x.tar"]);
    home.ok(&["image", "prune", "-f"]);
    whole(&home, "commands at once");
    assert_eq!(home.ok(&["run", "--rm", "app:1"]), "hello");
}

#[test]
fn a_prune_takes_nothing_from_what_runs() {
    let home = Home::new();
    home.write(
        "Balenafile",
        "FROM scratch\nCOPY probe.wasm /\nCMD [\"/probe.wasm\", \"wait\"]\n",
    );
    std::fs::copy(guest("probe.wasm"), home.files().join("probe.wasm")).expect("copied");
    home.ok(&["build", "-q", "-t", "app:1", "."]);
    home.ok(&["run", "-d", "--name", "web", "app:1"]);
    home.ok(&["system", "prune", "-a", "-f"]);
    assert_eq!(home.ok(&["ps", "--format", "{{.Names}}"]), "web");
    assert_eq!(
        home.ok(&["images", "--format", "{{.Repository}}:{{.Tag}}"]),
        "app:1"
    );
    home.ok(&["rm", "-f", "web"]);
}

#[test]
fn a_load_on_a_full_disk_says_so_and_leaves_nothing() {
    let home = Home::new();
    home.write("context/noise", noise(1 << 20));
    home.write("context/Balenafile", "FROM scratch\nCOPY noise /\n");
    home.ok(&["build", "-q", "-t", "app:1", "context"]);
    home.ok(&["save", "-o", "x.tar", "app:1"]);
    std::fs::create_dir_all(home.files().join("disk")).expect("made");
    for (input, size) in [
        ("-i x.tar", "512k"),
        ("< x.tar", "512k"),
        ("-i x.tar", "64k"),
    ] {
        let script = format!(
            "mount -t tmpfs -o size={size} none disk && MINKE_HOME=$PWD/disk && export MINKE_HOME && \
             {{ $MINKE load {input}; echo $?; ls -A disk/images/blobs/sha256 disk/images/tmp 2>&-; true; }}"
        );
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
        let minke = home.command(&[]).get_program().to_owned();
        let output = command
            .env("MINKE", minke)
            .current_dir(home.files())
            .output()
            .expect("unshare starts");
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("unshare") || said.contains("mount:") {
            // Users may not make namespaces here, so there is no small disk to be had.
            return;
        }
        assert!(said.contains("hint: free space"), "{size}: {said}");
        let printed = String::from_utf8_lossy(&output.stdout);
        let left: Vec<&str> = printed
            .lines()
            .filter(|line| !line.is_empty() && !line.ends_with(':'))
            .collect();
        assert_eq!(left, ["1"], "{size}: {said}");
    }
}

/// Bytes that no packing makes smaller. Source: Marsaglia, "Xorshift RNGs".
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(step).take(count).collect()
}

/// Rounds of a race.
const RACES: usize = 20;

#[test]
fn a_container_that_is_made_while_images_are_pruned_has_its_image() {
    let home = Home::new();
    build(&home, "app:1", "");
    home.ok(&["save", "-o", "x.tar", "app:1"]);
    for _ in 0..RACES {
        home.ok(&["load", "-i", "x.tar"]);
        let [created, pruned, removed] = thread::scope(|scope| {
            let commands: [&[&str]; 3] = [
                &["create", "--name", "job", "app:1"],
                &["image", "prune", "-a", "-f"],
                &["rmi", "app:1"],
            ];
            let home = &home;
            commands
                .map(|words| scope.spawn(move || home.run(words)))
                .map(|command| command.join().expect("it ends"))
        });
        assert_eq!(pruned.code, 0, "{pruned:?}");
        assert!(removed.code <= 1, "{removed:?}");
        if created.code == 0 {
            home.ok(&["start", "-a", "job"]);
            home.ok(&["rm", "job"]);
        } else {
            created.assert_fails(1, &["no such image"]);
        }
    }
    home.ok(&["image", "prune", "-a", "-f"]);
    whole(&home, "races");
}

#[test]
fn a_directory_that_is_run_while_images_are_pruned_keeps_its_image_until_it_has_run() {
    let home = Home::new();
    build(&home, "app:1", "");
    home.ok(&["rmi", "app:1"]);
    let is_over = AtomicBool::new(false);
    let ended = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                home.run(&["image", "prune", "-f"]);
            }
        });
        let run = || home.run(&["run", "--rm", "./context-app-1"]);
        let ended: Vec<_> = std::iter::repeat_with(run).take(RACES).collect();
        is_over.store(true, Ordering::Relaxed);
        ended
    });
    for ended in ended {
        let said = (ended.code, ended.stdout.trim_end());
        assert_eq!(said, (0, "hello"), "{ended:?}");
    }
}
