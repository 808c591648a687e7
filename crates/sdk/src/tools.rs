//! clang and its kin on this machine.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::SdkError;

/// Name programs that are used in place of those that are found.
pub const CLANG_VARIABLE: &str = "MINKE_CLANG";
pub const REWRITER_VARIABLE: &str = "MINKE_WASM_OPT";

/// The oldest clang that compiles for `wasm32-linux-muslwali` and writes wasm's exceptions in their final form.
const CLANG_VERSION_MIN: Version = Version(22, 0);
/// Names of clang, best first. One without a number says itself which version it is.
const CLANG_NAMES: &[&str] = &["clang-22", "clang-23", "clang"];
const CLANG_HINT: &str =
    "install clang and lld, version 22 or newer: `apt-get install clang-22 lld-22 llvm-22`";

/// The oldest Binaryen that reads what clang writes.
const REWRITER_VERSION_MIN: Version = Version(124, 0);
const REWRITER_HINT: &str = "install Binaryen, version 124 or newer: `npm install -g binaryen`; `--minke-libc=plain` links a program without `fork`";

/// The oldest cargo whose Rust takes a C `long` for 64 bits in all of its library.
const CARGO_VERSION_MIN: Version = Version(1, 97);
const CARGO_HINT: &str = "install Rust, version 1.97 or newer, with the sources of its library: `rustup update stable && rustup component add rust-src`";

/// The first two numbers of a program's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version(first, 0) => write!(formatter, "{first}"),
            Version(first, second) => write!(formatter, "{first}.{second}"),
        }
    }
}

/// Where programs are looked for, and what the environment names.
#[derive(Clone, Debug)]
pub struct Tools {
    path: OsString,
    clang: Option<PathBuf>,
    rewriter: Option<PathBuf>,
}

impl Tools {
    /// Reads the environment, which `variable` looks up.
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Tools {
        let named = |name| {
            variable(name)
                .filter(|it| !it.is_empty())
                .map(PathBuf::from)
        };
        Tools {
            path: variable("PATH").unwrap_or_default(),
            clang: named(CLANG_VARIABLE),
            rewriter: named(REWRITER_VARIABLE),
        }
    }

    /// Finds clang.
    ///
    /// # Errors
    /// [`SdkError::NoTool`] and [`SdkError::OldTool`].
    pub fn clang(&self) -> Result<PathBuf, SdkError> {
        if let Some(named) = &self.clang {
            return Ok(named.clone());
        }
        let mut found = CLANG_NAMES.iter().filter_map(|it| self.find(it));
        let missing = SdkError::NoTool {
            wanted: "clang",
            hint: CLANG_HINT,
        };
        let clang = found.next().ok_or(missing)?;
        if clang.file_name() == Some(OsStr::new("clang")) {
            check(&clang, &["-dumpversion"], CLANG_VERSION_MIN, CLANG_HINT)?;
        }
        Ok(clang)
    }

    /// Finds Binaryen's `wasm-opt`.
    ///
    /// # Errors
    /// [`SdkError::NoTool`] and [`SdkError::OldTool`].
    pub fn rewriter(&self) -> Result<PathBuf, SdkError> {
        let missing = SdkError::NoTool {
            wanted: "wasm-opt",
            hint: REWRITER_HINT,
        };
        let found = self.rewriter.clone().or_else(|| self.find("wasm-opt"));
        let rewriter = found.ok_or(missing)?;
        let question = &["--version"];
        check(&rewriter, question, REWRITER_VERSION_MIN, REWRITER_HINT)?;
        Ok(rewriter)
    }

    /// Finds cargo, which is to be given these arguments: rustup's takes a toolchain's name in front of all others.
    ///
    /// # Errors
    /// [`SdkError::NoTool`] and [`SdkError::OldTool`].
    pub fn cargo(&self, arguments: &[OsString]) -> Result<PathBuf, SdkError> {
        let cargo = self.find("cargo").ok_or(SdkError::NoTool {
            wanted: "cargo",
            hint: CARGO_HINT,
        })?;
        let first = arguments.first().and_then(|it| it.to_str());
        let toolchain = first.filter(|it| it.starts_with('+'));
        let question: Vec<_> = toolchain.into_iter().chain(["--version"]).collect();
        check(&cargo, &question, CARGO_VERSION_MIN, CARGO_HINT)?;
        Ok(cargo)
    }

    /// Finds a program of LLVM's that belongs to a clang, such as `llvm-ar`: with clang's number, or beside it.
    pub fn kin(&self, clang: &Path, name: &str) -> PathBuf {
        let number = clang.file_name().and_then(OsStr::to_str);
        let number = number.and_then(|it| it.strip_prefix("clang"));
        let numbered = format!("{name}{}", number.unwrap_or_default());
        self.find(&numbered)
            .or_else(|| self.find(name))
            .unwrap_or_else(|| numbered.into())
    }

    fn find(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.path)
            .map(|directory| directory.join(name))
            .find(|path| is_executable(path))
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// Asks a program for its version.
fn check(
    path: &Path,
    question: &[&str],
    wanted: Version,
    hint: &'static str,
) -> Result<(), SdkError> {
    let output = Command::new(path)
        .args(question)
        .output()
        .map_err(SdkError::io("run", path))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match version(&text) {
        Some(found) if found >= wanted => Ok(()),
        _ => Err(SdkError::OldTool {
            path: path.display().to_string(),
            found: text.lines().next().unwrap_or_default().to_owned(),
            wanted,
            hint,
        }),
    }
}

/// The first number of a text, and the one behind its point.
fn version(text: &str) -> Option<Version> {
    let start = text.find(|it: char| it.is_ascii_digit())?;
    let is_part = |it: char| it.is_ascii_digit() || it == '.';
    let numbers = text[start..].split(|it| !is_part(it)).next()?;
    let mut numbers = numbers.split('.').map(|it| it.parse().ok());
    let first = numbers.next()??;
    Some(Version(first, numbers.next().flatten().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools_in(directory: &Path) -> Tools {
        Tools::from_environment(|name| (name == "PATH").then(|| directory.into()))
    }

    fn write_program(directory: &Path, name: &str, prints: &str) {
        let path = directory.join(name);
        std::fs::write(&path, format!("#!/bin/sh\necho '{prints}'\n")).expect("a file");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("a mode");
    }

    #[test]
    fn versions_are_read_from_what_programs_say() {
        assert_eq!(version("22.1.8\n"), Some(Version(22, 1)));
        let rewriter = "wasm-opt version 132 (version_132)";
        assert_eq!(version(rewriter), Some(Version(132, 0)));
        let cargo = "cargo 1.99.1 (58cf8f9c3 2026-10-13)";
        assert_eq!(version(cargo), Some(Version(1, 99)));
        assert_eq!(version("no number"), None);
    }

    #[test]
    fn an_old_clang_is_told_from_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let tools = tools_in(directory.path());
        assert!(matches!(tools.clang(), Err(SdkError::NoTool { .. })));
        write_program(directory.path(), "clang", "14.0.6");
        assert!(matches!(tools.clang(), Err(SdkError::OldTool { .. })));
        write_program(directory.path(), "clang", "22.1.0");
        assert!(tools.clang().is_ok());
    }

    #[test]
    fn cargo_is_asked_for_the_version_of_the_toolchain_that_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let script = "cargo $([ \"$1\" = +new ] && echo 1.97.0 || echo 1.96.1)";
        write_program(directory.path(), "cargo", "");
        let path = directory.path().join("cargo");
        std::fs::write(&path, format!("#!/bin/sh\necho {script}\n")).expect("a file");
        let tools = tools_in(directory.path());
        let check = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(OsString::from).collect();
            tools.cargo(&words).map_err(|it| it.to_string())
        };
        assert_eq!(check(&["+new", "build"]), Ok(path.clone()));
        let expected = format!(
            "`{}` is version `cargo 1.96.1`, and version `1.97` is needed",
            path.display()
        );
        assert_eq!(check(&["build"]), Err(expected));
    }

    #[test]
    fn kin_of_a_clang_have_its_number() {
        let directory = tempfile::tempdir().expect("a directory");
        write_program(directory.path(), "llvm-ar-22", "");
        let tools = tools_in(directory.path());
        let found = tools.kin(Path::new("/usr/bin/clang-22"), "llvm-ar");
        assert_eq!(found, directory.path().join("llvm-ar-22"));
    }
}
