//! `cargo xtask test`: everything that must pass, from a clean clone.
//!
//! Sections run in an order that fails early on what is quick. A failed one does not keep the next
//! from running, so one run tells all; only without set-up and guests is there nothing to go on with.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::layout::{guests_dir, root};
use crate::process::{cargo, find, run};
use crate::setup::{self, Purpose};
use crate::{flaky, guests, tidy};

struct Section {
    name: &'static str,
    run: fn() -> Result<()>,
    /// Without it, the following sections cannot say anything.
    is_basis: bool,
}

const fn section(name: &'static str, run: fn() -> Result<()>) -> Section {
    Section {
        name,
        run,
        is_basis: false,
    }
}

const fn basis(name: &'static str, run: fn() -> Result<()>) -> Section {
    Section {
        name,
        run,
        is_basis: true,
    }
}

/// The tests come last, so that their summary is what one sees at the end.
const SECTIONS: &[Section] = &[
    basis("setup", || setup::ensure(Purpose::Test).map(drop)),
    basis("guests", || guests::ensure(&[]).map(drop)),
    section("tidy", || tidy::command(&[])),
    section("format", format),
    section("clippy", clippy),
    section("wasm32", wasm32),
    section("doc tests", doc_tests),
    section("tests", run_tests),
];

/// Manifests beside the workspace's own: guest programs and examples.
const OTHER_MANIFESTS: &[&str] = &[
    "guests/rust/Cargo.toml",
    "examples/hello-rust/Cargo.toml",
    "examples/file-server/Cargo.toml",
];

/// `test`.
pub fn command(args: &[String]) -> Result<()> {
    if let Some(other) = args.first() {
        bail!(
            "unknown argument `{other}`\nhint: `cargo nextest run -p CRATE NAME` runs some of the tests"
        );
    }
    let mut failed = Vec::new();
    let mut times = Vec::new();
    for section in SECTIONS {
        println!("== {}", section.name);
        let start = Instant::now();
        let result = (section.run)();
        times.push(format!("{} {}", section.name, shown(start.elapsed())));
        if let Err(error) = result {
            eprintln!("{} failed: {error:#}", section.name);
            failed.push(section.name);
            if section.is_basis {
                break;
            }
        }
    }
    println!("== {}", times.join(", "));
    match failed.first() {
        None => Ok(()),
        Some(first) => bail!("`{first}` failed{}", and_others(&failed[1..])),
    }
}

fn and_others(names: &[&str]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!(", and then: {}", names.join(", "))
    }
}

fn shown(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f32())
    } else {
        format!("{}:{:02} min", seconds / 60, seconds % 60)
    }
}

fn cargo_at_root(args: &[&str]) -> Command {
    let mut command = cargo();
    command.args(args).current_dir(root());
    command
}

fn format() -> Result<()> {
    run(&mut cargo_at_root(&["fmt", "--all", "--check"]))?;
    for manifest in OTHER_MANIFESTS {
        run(&mut cargo_at_root(&[
            "fmt",
            "--all",
            "--check",
            "--manifest-path",
            manifest,
        ]))?;
    }
    Ok(())
}

fn clippy() -> Result<()> {
    run(&mut cargo_at_root(&[
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))?;
    for manifest in OTHER_MANIFESTS {
        let mut command = cargo_at_root(&[
            "clippy",
            "--quiet",
            "--locked",
            "--target",
            "wasm32-wasip1",
            "--profile",
            "release",
        ]);
        command
            .args(["--manifest-path", manifest, "--target-dir"])
            .arg(guests_dir().join(".cargo"));
        run(command.args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

/// The crates that ask no host build for a target that has none.
fn wasm32() -> Result<()> {
    let mut command = cargo_at_root(&[
        "check",
        "--quiet",
        "--locked",
        "--target",
        "wasm32-unknown-unknown",
    ]);
    run(command.args([
        "-p",
        "minke-abi",
        "-p",
        "minke-archive",
        "-p",
        "minke-ext4",
        "-p",
        "minke-glue",
        "-p",
        "minke-kernel",
        "-p",
        "minke-balenafile",
        "-p",
        "minke-blockstore",
    ]))
}

fn doc_tests() -> Result<()> {
    run(&mut cargo_at_root(&[
        "test",
        "--quiet",
        "--workspace",
        "--doc",
        "--locked",
    ]))
}

/// What some tests need of the host: a command that tries it, and what is skipped without.
const NEEDS: &[(&str, &str)] = &[
    (
        "unshare --user --map-root-user --mount true",
        "no user namespaces here: tests with full disks are skipped",
    ),
    (
        "[ $(id -u) = 0 ] || unshare --user --map-root-user --map-auto true",
        "neither root nor several users in a namespace (Debian: `uidmap`) here: files are not compared with Linux's",
    ),
];

/// Says which tests this host cannot run: they pass without testing anything.
fn tell_skipped() {
    for (probe, skipped) in NEEDS {
        let tried = Command::new("sh").args(["-c", probe]).output();
        if !tried.is_ok_and(|output| output.status.success()) {
            println!("note: {skipped}");
        }
    }
}

/// Unit and integration tests: by `cargo nextest` where it is there.
fn run_tests() -> Result<()> {
    tell_skipped();
    if find("cargo-nextest").is_some() {
        flaky::forget()?;
        let tested = run(&mut cargo_at_root(&[
            "nextest",
            "run",
            "--workspace",
            "--locked",
            "--no-fail-fast",
        ]));
        flaky::tell()?;
        return tested;
    }
    run(&mut cargo_at_root(&[
        "test",
        "--workspace",
        "--lib",
        "--bins",
        "--tests",
        "--locked",
        "--no-fail-fast",
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_seconds_up_to_a_minute() {
        assert_eq!(shown(Duration::from_millis(1540)), "1.5 s");
        assert_eq!(shown(Duration::from_secs(125)), "2:05 min");
    }

    #[test]
    fn the_first_failure_is_told_apart_from_the_others() {
        assert_eq!(and_others(&[]), "");
        assert_eq!(
            and_others(&["clippy", "tests"]),
            ", and then: clippy, tests"
        );
    }

    #[test]
    fn every_manifest_beside_the_workspace_is_there() {
        for manifest in OTHER_MANIFESTS {
            assert!(root().join(manifest).is_file(), "{manifest}");
        }
    }
}
