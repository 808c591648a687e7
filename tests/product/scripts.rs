//! Shells and tools of the base image do what the same ones of this machine do: a corpus of scripts under `scripts/`, a case in each
//! paragraph, gives the same output, errors and status.
//!
//! Tools that the scripts call are BusyBox's on both sides, so that only what is compared can differ.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::home::{Ended, Home, guest};

/// Runs the cases of a directory.
const DRIVER: &str = include_str!("scripts/driver.sh");

/// Cases of a theme. Their names are the theme and the number of the paragraph.
type Theme = (&'static str, &'static str);

/// For every shell.
const POSIX: &[Theme] = &[
    ("commands", include_str!("scripts/posix/commands.sh")),
    ("expansion", include_str!("scripts/posix/expansion.sh")),
    ("processes", include_str!("scripts/posix/processes.sh")),
    (
        "redirections",
        include_str!("scripts/posix/redirections.sh"),
    ),
];

const BASH: &[Theme] = &[
    ("arrays", include_str!("scripts/bash/arrays.sh")),
    ("commands", include_str!("scripts/bash/commands.sh")),
    ("expansion", include_str!("scripts/bash/expansion.sh")),
    ("jobs", include_str!("scripts/bash/jobs.sh")),
    ("programs", include_str!("scripts/bash/programs.sh")),
];

const TOOLS: &[Theme] = &[
    ("packers", include_str!("scripts/tools/packers.sh")),
    ("tar", include_str!("scripts/tools/tar.sh")),
];

/// For BusyBox's programs: what each of their options does.
const APPLETS: &[Theme] = &[
    ("data", include_str!("scripts/applets/data.sh")),
    ("files", include_str!("scripts/applets/files.sh")),
    ("finding", include_str!("scripts/applets/finding.sh")),
    ("matching", include_str!("scripts/applets/matching.sh")),
    ("packing", include_str!("scripts/applets/packing.sh")),
    ("text", include_str!("scripts/applets/text.sh")),
];

/// Cases of all themes, fewer than which would say less than is promised.
const CASES_MIN: usize = 500;

/// Programs of this machine that stand beside BusyBox's: the shells, and what is compared.
const NATIVE: &[(&str, &str)] = &[
    ("bash", "/bin/bash"),
    ("gzip", "/bin/gzip"),
    ("sh", "/bin/dash"),
    ("tar", "/bin/tar"),
    ("unxz", "/usr/bin/xz"),
    ("xz", "/usr/bin/xz"),
    ("xzcat", "/usr/bin/xz"),
];

fn cases(themes: &[Theme]) -> BTreeMap<String, &'static str> {
    let numbered = |(theme, text): &Theme| {
        let theme = *theme;
        let paragraphs = text.trim_end().split("\n\n").enumerate();
        paragraphs.map(move |(index, case)| (format!("{theme}-{:03}", index + 1), case))
    };
    themes.iter().flat_map(numbered).collect()
}

/// Writes each case to a file of its own.
fn write(cases: &BTreeMap<String, &str>, home: &Home) {
    home.write("driver.sh", DRIVER);
    for (name, case) in cases {
        home.write(&format!("cases/{name}"), format!("{case}\n"));
    }
}

fn contained(home: &Home, shell: &[&str]) -> Ended {
    let files = format!("{}:/corpus:ro", home.files().display());
    let options = ["run", "--rm", "-w", "/tmp", "-v", &files, "minke/base"];
    let driver = ["sh", "/corpus/driver.sh", "/corpus/cases"];
    home.run(&[&options[..], &driver, shell].concat())
}

fn natively(home: &Home, shell: &[&str]) -> Ended {
    let directory = TempDir::new().expect("a directory");
    let bin = directory.path().join("bin");
    std::fs::create_dir(&bin).expect("a directory for links");
    install(&directory.path().join("busybox"), &bin);
    let driver = home.files().join("driver.sh");
    let cases = home.files().join("cases");
    let output = Command::new("/bin/dash")
        .args([&driver, &cases])
        .args(shell)
        .env_clear()
        .env("PATH", &bin)
        .env("HOME", "/root")
        .current_dir(directory.path())
        .output();
    Ended::of(&output.expect("dash is there"))
}

/// Links BusyBox's programs, compiled for the machine from the sources of ours, and those of [`NATIVE`] in place of its own.
fn install(busybox: &Path, bin: &Path) {
    symlink(guest("native/busybox"), busybox).expect("a link");
    let installed = Command::new(busybox)
        .args(["--install", "-s"])
        .arg(bin)
        .status();
    assert!(installed.expect("BusyBox runs").success());
    let named = bin.join("busybox");
    if !named.exists() {
        symlink(busybox, named).expect("a link");
    }
    for (name, program) in NATIVE {
        let link = bin.join(name);
        let _ = std::fs::remove_file(&link);
        symlink(program, link).expect("a link");
    }
}

/// What was told of each case.
fn told(ended: &Ended) -> BTreeMap<&str, &str> {
    let parts = ended.stdout.split("\n=== ").skip(1);
    parts.filter_map(|part| part.split_once(' ')).collect()
}

/// Checks that a shell does here what it does natively, where it has another path.
#[track_caller]
fn check(themes: &[Theme], shell: &[&str], native: &[&str]) {
    let cases = cases(themes);
    let home = Home::shared();
    write(&cases, &home);
    let (ours, native) = (contained(&home, shell), natively(&home, native));
    assert_eq!(ours.code, 0, "{}", ours.stderr);
    let (ours, native) = (told(&ours), told(&native));
    assert_eq!(native.len(), cases.len(), "a case was not told natively");
    let differing = cases.iter().filter_map(|(name, case)| {
        let pair = (ours.get(name.as_str()), native.get(name.as_str()));
        (pair.0 != pair.1).then(|| format!("{name}: {case}\nours, native: {pair:#?}\n"))
    });
    let differing: Vec<String> = differing.collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn the_corpus_is_as_large_as_it_is_said_to_be() {
    let count: usize = [POSIX, BASH, TOOLS, APPLETS]
        .iter()
        .map(|it| cases(it).len())
        .sum();
    assert!(count >= CASES_MIN, "{count} cases");
}

#[test]
fn bash_runs_its_own_scripts_as_natively() {
    check(BASH, &["bash"], &["/bin/bash"]);
}

#[test]
fn bash_runs_scripts_of_any_shell_as_natively() {
    check(POSIX, &["bash"], &["/bin/bash"]);
}

#[test]
fn dash_runs_scripts_of_any_shell_as_natively() {
    check(POSIX, &["sh"], &["/bin/dash"]);
}

#[test]
fn ash_runs_scripts_of_any_shell_as_natively() {
    check(POSIX, &["busybox", "ash"], &["busybox", "ash"]);
}

/// Checks the programs of a theme of [`APPLETS`].
#[track_caller]
fn check_applets(theme: &str) {
    let chosen: Vec<Theme> = APPLETS.iter().copied().filter(|it| it.0 == theme).collect();
    assert_eq!(chosen.len(), 1, "{theme}");
    check(&chosen, &["sh"], &["/bin/dash"]);
}

#[test]
fn programs_that_sum_calculate_and_tell_do_with_each_option_what_they_do_natively() {
    check_applets("data");
}

#[test]
fn programs_on_files_do_with_each_option_what_they_do_natively() {
    check_applets("files");
}

#[test]
fn find_xargs_diff_and_their_like_do_with_each_option_what_they_do_natively() {
    check_applets("finding");
}

#[test]
fn grep_sed_and_awk_do_with_each_option_what_they_do_natively() {
    check_applets("matching");
}

#[test]
fn programs_that_pack_do_with_each_option_what_they_do_natively() {
    check_applets("packing");
}

#[test]
fn programs_on_text_do_with_each_option_what_they_do_natively() {
    check_applets("text");
}

#[test]
fn tar_gzip_and_xz_make_and_read_what_the_native_ones_do() {
    check(TOOLS, &["sh"], &["/bin/dash"]);
}
