//! `cargo xtask setup`: finds or installs what building and testing need.
//!
//! Everything is looked for before anything is installed, so a second run only looks, and takes
//! milliseconds. Packages are installed as root or through a `sudo` that asks no password; without
//! either, the command to type is the error.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::guests::LINUX_TOOLCHAIN;
use crate::process::{find, read, run};

/// What the set-up is for; each includes the ones before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Purpose {
    /// One example in Rust, and minke itself.
    Demo,
    /// All guest programs and tests.
    Test,
    /// The measurements, and what they compare with.
    Bench,
}

/// A target or component of the Rust toolchain, and the path below its root that shows it is there.
struct RustPart {
    rustup: [&'static str; 3],
    shows: &'static str,
    needed_for: Purpose,
}

const RUST_PARTS: &[RustPart] = &[
    RustPart {
        rustup: ["target", "add", "wasm32-wasip1"],
        shows: "lib/rustlib/wasm32-wasip1/lib",
        needed_for: Purpose::Demo,
    },
    RustPart {
        rustup: ["target", "add", "wasm32-wasip1-threads"],
        shows: "lib/rustlib/wasm32-wasip1-threads/lib",
        needed_for: Purpose::Test,
    },
    RustPart {
        rustup: ["target", "add", "wasm32-unknown-unknown"],
        shows: "lib/rustlib/wasm32-unknown-unknown/lib",
        needed_for: Purpose::Test,
    },
    RustPart {
        rustup: ["component", "add", "rustfmt"],
        shows: "bin/cargo-fmt",
        needed_for: Purpose::Test,
    },
    RustPart {
        rustup: ["component", "add", "clippy"],
        shows: "bin/cargo-clippy",
        needed_for: Purpose::Test,
    },
];

/// What shows that the sources of Rust's library are there, below the root of a toolchain.
const RUST_SOURCES: &str = "lib/rustlib/src/rust/library/Cargo.lock";

/// A program that we run, and the Debian package that has it.
struct Tool {
    /// Its name, or the path of a file that is no program.
    program: &'static str,
    package: &'static str,
    needed_for: Purpose,
}

const TOOLS: &[Tool] = &[
    Tool {
        program: "cc",
        package: "build-essential",
        needed_for: Purpose::Demo,
    },
    Tool {
        program: "c++",
        package: "build-essential",
        needed_for: Purpose::Test,
    },
    Tool {
        program: "emcc",
        package: "emscripten",
        needed_for: Purpose::Test,
    },
    Tool {
        program: "clang-22",
        package: "clang-22",
        needed_for: Purpose::Test,
    },
    Tool {
        program: "wasm-ld-22",
        package: "lld-22",
        needed_for: Purpose::Test,
    },
    Tool {
        program: "llvm-ar-22",
        package: "llvm-22",
        needed_for: Purpose::Test,
    },
    Tool {
        program: "/usr/lib/llvm-22/lib/clang/22/lib/wasi/libclang_rt.builtins-wasm32.a",
        package: "libclang-rt-22-dev-wasm32",
        needed_for: Purpose::Test,
    },
    Tool {
        program: "cmake",
        package: "cmake",
        needed_for: Purpose::Test,
    },
    Tool {
        program: "npm",
        package: "npm",
        needed_for: Purpose::Test,
    },
    Tool {
        program: "pip3",
        package: "python3-pip",
        needed_for: Purpose::Test,
    },
    Tool {
        program: "unzip",
        package: "unzip",
        needed_for: Purpose::Test,
    },
    Tool {
        program: "tar",
        package: "tar",
        needed_for: Purpose::Test,
    },
    Tool {
        program: "gzip",
        package: "gzip",
        needed_for: Purpose::Test,
    },
    Tool {
        program: "bzip2",
        package: "bzip2",
        needed_for: Purpose::Test,
    },
    Tool {
        program: "xz",
        package: "xz-utils",
        needed_for: Purpose::Test,
    },
    Tool {
        program: "zstd",
        package: "zstd",
        needed_for: Purpose::Test,
    },
    Tool {
        // What ours is compared with.
        program: "busybox",
        package: "busybox-static",
        needed_for: Purpose::Test,
    },
    Tool {
        program: "skopeo",
        package: "skopeo",
        needed_for: Purpose::Test,
    },
    Tool {
        program: "umoci",
        package: "umoci",
        needed_for: Purpose::Test,
    },
    Tool {
        // `mke2fs` and the rest of the package are where only root's path leads.
        program: "chattr",
        package: "e2fsprogs",
        needed_for: Purpose::Test,
    },
    Tool {
        program: "wrk",
        package: "wrk",
        needed_for: Purpose::Bench,
    },
    Tool {
        program: "crun",
        package: "crun",
        needed_for: Purpose::Bench,
    },
    Tool {
        program: "runc",
        package: "runc",
        needed_for: Purpose::Bench,
    },
    Tool {
        program: "buildah",
        package: "buildah",
        needed_for: Purpose::Bench,
    },
    Tool {
        program: "zstd",
        package: "zstd",
        needed_for: Purpose::Bench,
    },
];

/// `setup [--bench]`.
pub fn command(args: &[String]) -> Result<()> {
    let purpose = match args {
        [] => Purpose::Test,
        [flag] if flag == "--bench" => Purpose::Bench,
        [other, ..] => bail!("unknown argument `{other}`, expected `--bench`"),
    };
    let done = ensure(purpose)?;
    if done.is_empty() {
        println!("setup: everything is there");
    }
    Ok(())
}

/// Installs what is missing for `purpose`, says each step, and returns them.
pub fn ensure(purpose: Purpose) -> Result<Vec<String>> {
    let mut done = ensure_rust_parts(purpose)?;
    let packages = missing_packages(TOOLS, purpose, is_there);
    if !packages.is_empty() {
        done.push(install(&packages)?);
    }
    Ok(done)
}

fn is_there(program: &str) -> bool {
    if program.starts_with('/') {
        return Path::new(program).exists();
    }
    find(program).is_some()
}

fn ensure_rust_parts(purpose: Purpose) -> Result<Vec<String>> {
    let toolchain = read(Command::new("rustc").args(["--print", "sysroot"]))
        .context("no Rust compiler\nhint: install Rust with rustup, then run this again")?;
    let mut done = Vec::new();
    for part in RUST_PARTS.iter().filter(|it| it.needed_for <= purpose) {
        if Path::new(&toolchain).join(part.shows).exists() {
            continue;
        }
        let line = format!("rustup {}", part.rustup.join(" "));
        println!("setup: {line}");
        run(Command::new("rustup").args(part.rustup))
            .with_context(|| format!("cannot add a part of the Rust toolchain\nhint: `{line}`"))?;
        done.push(line);
    }
    if purpose >= Purpose::Test {
        done.extend(ensure_linux_toolchain(Path::new(&toolchain))?);
    }
    Ok(done)
}

/// Installs the toolchain with which programs for the container's Linux are built, beside ours, unless it is there.
fn ensure_linux_toolchain(ours: &Path) -> Result<Option<String>> {
    let is_it = |directory: &Path| {
        let name = directory.file_name().and_then(|it| it.to_str());
        let number = name.and_then(|it| it.split('-').next());
        number == Some(LINUX_TOOLCHAIN) && directory.join(RUST_SOURCES).exists()
    };
    let toolchains = ours.parent().map(fs::read_dir);
    let mut entries = toolchains.into_iter().flatten().flatten().flatten();
    if entries.any(|it| is_it(&it.path())) {
        return Ok(None);
    }
    let line = format!(
        "rustup toolchain install {LINUX_TOOLCHAIN} --profile minimal --component rust-src"
    );
    println!("setup: {line}");
    run(Command::new("rustup").args(line.split(' ').skip(1)))
        .with_context(|| format!("cannot add a Rust toolchain\nhint: `{line}`"))?;
    Ok(Some(line))
}

/// The packages of the tools that are not there, each once.
fn missing_packages(
    tools: &[Tool],
    purpose: Purpose,
    is_there: impl Fn(&str) -> bool,
) -> Vec<&'static str> {
    let missing = tools
        .iter()
        .filter(|it| it.needed_for <= purpose && !is_there(it.program));
    let mut packages: Vec<_> = missing.map(|it| it.package).collect();
    packages.dedup();
    packages
}

/// Installs Debian packages, and refreshes the package lists only if they do not know one.
fn install(packages: &[&str]) -> Result<String> {
    let line = format!(
        "apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    );
    if find("apt-get").is_none() {
        bail!(
            "missing: {}\nhint: install these with your system's package manager",
            packages.join(", ")
        );
    }
    let Some(root) = root_prefix() else {
        bail!("missing: {}\nhint: `sudo {line}`", packages.join(", "));
    };
    println!("setup: {line}");
    if apt_get(root, &line).is_err() {
        println!("setup: apt-get update");
        apt_get(root, "apt-get update")?;
        apt_get(root, &line).with_context(|| format!("cannot install {}", packages.join(", ")))?;
    }
    Ok(line)
}

/// How to become root: not at all, or with `sudo`; `None` if neither works without a password.
fn root_prefix() -> Option<&'static [&'static str]> {
    if read(Command::new("id").arg("-u")).is_ok_and(|it| it == "0") {
        return Some(&[]);
    }
    let sudo = Command::new("sudo")
        .args(["-n", "true"])
        .stderr(Stdio::null())
        .status();
    sudo.is_ok_and(|it| it.success()).then_some(&["sudo", "-n"])
}

fn apt_get(root: &[&str], line: &str) -> Result<()> {
    let mut words = root
        .iter()
        .copied()
        .chain(["env", "DEBIAN_FRONTEND=noninteractive"])
        .chain(line.split(' '));
    let program = words.next().expect("`env` at least");
    run(Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_is_there_needs_no_package() {
        assert!(missing_packages(TOOLS, Purpose::Bench, |_| true).is_empty());
    }

    #[test]
    fn two_missing_tools_of_one_package_name_it_once() {
        let packages = missing_packages(TOOLS, Purpose::Test, |it| it != "cc" && it != "c++");
        assert_eq!(packages, ["build-essential"]);
    }

    #[test]
    fn a_demo_needs_neither_emscripten_nor_npm() {
        assert_eq!(
            missing_packages(TOOLS, Purpose::Demo, |_| false),
            ["build-essential"]
        );
    }

    #[test]
    fn only_the_measurements_need_the_peers() {
        let packages = missing_packages(TOOLS, Purpose::Test, |_| false);
        assert!(!packages.contains(&"wrk"), "{packages:?}");
    }
}
