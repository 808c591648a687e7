//! `cargo xtask setup` on machines that lack something, played by small scripts in `PATH`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A machine: the programs in its `PATH`, and a log of what was run to change it.
struct Machine {
    directory: TempDir,
}

impl Machine {
    /// One where everything is there, for a user of this number.
    fn complete(user: u32) -> Machine {
        let machine = Machine {
            directory: TempDir::new().expect("a temporary directory"),
        };
        fs::create_dir(machine.bin()).expect("a new directory");
        for part in [
            "wasm32-wasip1",
            "wasm32-wasip1-threads",
            "wasm32-unknown-unknown",
        ] {
            fs::create_dir_all(
                machine
                    .toolchain()
                    .join("lib/rustlib")
                    .join(part)
                    .join("lib"),
            )
            .expect("a new directory");
        }
        let sources = machine
            .linux_toolchain()
            .join("lib/rustlib/src/rust/library");
        fs::create_dir_all(&sources).expect("a new directory");
        fs::write(sources.join("Cargo.lock"), "").expect("a new file");
        fs::create_dir(machine.toolchain().join("bin")).expect("a new directory");
        for program in ["cargo-fmt", "cargo-clippy"] {
            fs::write(machine.toolchain().join("bin").join(program), "").expect("a new file");
        }
        for tool in [
            "cc",
            "c++",
            "emcc",
            "clang-22",
            "wasm-ld-22",
            "llvm-ar-22",
            "npm",
            "pip3",
            "unzip",
            "tar",
            "gzip",
            "bzip2",
            "xz",
            "zstd",
            "busybox",
            "skopeo",
            "umoci",
            "chattr",
            "cmake",
        ] {
            machine.install(tool, "exit 0");
        }
        for program in ["env", "mkdir", "cat", "touch"] {
            symlink(
                Path::new("/usr/bin").join(program),
                machine.bin().join(program),
            )
            .expect("a new link");
        }
        machine.install("rustc", &format!("echo {}", machine.toolchain().display()));
        machine.install("id", &format!("echo {user}"));
        machine.install("sudo", "exit 1");
        machine.install(
            "rustup",
            &format!("echo rustup $@ >> {}", machine.log_file().display()),
        );
        machine.install(
            "apt-get",
            &format!("echo apt-get $@ >> {}", machine.log_file().display()),
        );
        machine
    }

    fn bin(&self) -> PathBuf {
        self.directory.path().join("bin")
    }

    fn toolchain(&self) -> PathBuf {
        self.directory.path().join("toolchains/ours")
    }

    /// What programs for the container's Linux are built with.
    fn linux_toolchain(&self) -> PathBuf {
        self.toolchain().with_file_name("1.99.1-machine")
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn install(&self, program: &str, script: &str) {
        let path = self.bin().join(program);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a new file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own file");
    }

    fn without(self, program: &str) -> Machine {
        fs::remove_file(self.bin().join(program)).expect("it was there");
        self
    }

    fn setup(&self) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("setup").env("PATH", self.bin());
        command.output().expect("xtask runs")
    }

    fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.log_file()).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_complete_machine_is_left_alone() {
    let machine = Machine::complete(1000);
    let output = machine.setup();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "setup: everything is there\n");
    assert!(machine.log().is_empty());
}

#[test]
fn root_installs_what_is_missing_and_says_so() {
    let machine = Machine::complete(0).without("emcc").without("npm");
    let output = machine.setup();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let line = "apt-get install -y --no-install-recommends emscripten npm";
    assert_eq!(text(&output.stdout), format!("setup: {line}\n"));
    assert_eq!(machine.log(), [line]);
}

#[test]
fn package_lists_are_refreshed_only_when_they_do_not_know_a_package() {
    let machine = Machine::complete(0).without("emcc");
    let log = machine.log_file();
    let fresh = machine.directory.path().join("fresh");
    let (log, fresh) = (log.display(), fresh.display());
    // Fails until it was updated, as on a machine whose lists are empty.
    machine.install(
        "apt-get",
        &format!("echo apt-get $@ >> {log}\n[ $1 = update ] && touch {fresh}\n[ -e {fresh} ]"),
    );
    let output = machine.setup();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let install = "apt-get install -y --no-install-recommends emscripten";
    assert_eq!(machine.log(), [install, "apt-get update", install]);
}

#[test]
fn without_root_and_sudo_the_command_to_type_is_told() {
    let machine = Machine::complete(1000).without("emcc");
    let output = machine.setup();
    assert!(!output.status.success());
    let expected = "xtask setup: missing: emscripten\n\
                    hint: `sudo apt-get install -y --no-install-recommends emscripten`\n";
    assert_eq!(text(&output.stderr), expected);
    assert!(machine.log().is_empty());
}

#[test]
fn sudo_without_a_password_is_used() {
    let machine = Machine::complete(1000).without("emcc");
    machine.install("sudo", "[ \"$1\" = -n ] && shift && exec \"$@\"");
    machine.install("true", "exit 0");
    let output = machine.setup();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(
        machine.log(),
        ["apt-get install -y --no-install-recommends emscripten"]
    );
}

#[test]
fn missing_parts_of_the_toolchain_are_added_by_rustup() {
    let machine = Machine::complete(1000);
    fs::remove_dir_all(machine.toolchain().join("lib/rustlib/wasm32-wasip1"))
        .expect("it was there");
    fs::remove_file(machine.toolchain().join("bin/cargo-fmt")).expect("it was there");
    let output = machine.setup();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(
        machine.log(),
        [
            "rustup target add wasm32-wasip1",
            "rustup component add rustfmt"
        ]
    );
    assert_eq!(
        text(&output.stdout),
        "setup: rustup target add wasm32-wasip1\nsetup: rustup component add rustfmt\n"
    );
}

#[test]
fn the_toolchain_of_linux_programs_is_installed_beside_ours() {
    let machine = Machine::complete(1000);
    fs::remove_dir_all(machine.linux_toolchain().join("lib/rustlib/src")).expect("it was there");
    let output = machine.setup();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(
        machine.log(),
        ["rustup toolchain install 1.99.1 --profile minimal --component rust-src"]
    );
}

#[test]
fn without_rust_the_way_to_get_it_is_told() {
    let machine = Machine::complete(1000).without("rustc");
    let output = machine.setup();
    assert!(!output.status.success());
    assert!(
        text(&output.stderr).contains("hint: install Rust with rustup"),
        "{}",
        text(&output.stderr)
    );
}
