//! Words that may not stand in some place: what a layer must not know, and what nobody may write.

use super::Finding;
use super::rust::{line_of, test_lines, word_places};
use super::tree::{SourceFile, Tree};

/// Crates that also run where there is no host to ask.
const PURE: &[&str] = &["abi", "balenafile", "blockstore", "ext4", "kernel"];

/// A path that some crates may not name in code, and why.
struct Banned {
    path: &'static str,
    /// Crates for which this holds; empty for all but `except`.
    only: &'static [&'static str],
    except: &'static [&'static str],
    reason: &'static str,
}

const ASKS_THE_HOST: &str = "asks the host, which comes in through `kernel::platform` only";
const PRINTS: &str = "prints, which only `cli` does";

const fn pure(path: &'static str) -> Banned {
    Banned {
        path,
        only: PURE,
        except: &[],
        reason: ASKS_THE_HOST,
    }
}

const fn prints(path: &'static str) -> Banned {
    Banned {
        path,
        only: &[],
        except: &["cli", "xtask"],
        reason: PRINTS,
    }
}

const BANNED: &[Banned] = &[
    pure("std::fs"),
    pure("std::thread"),
    pure("std::process"),
    pure("std::env"),
    pure("std::os"),
    pure("std::time::Instant"),
    pure("std::time::SystemTime"),
    pure("std::time::UNIX_EPOCH"),
    pure("std::net::TcpStream"),
    pure("std::net::TcpListener"),
    pure("std::net::UdpSocket"),
    pure("std::net::ToSocketAddrs"),
    pure("std::io::stdin"),
    pure("std::io::stdout"),
    pure("std::io::stderr"),
    prints("print!"),
    prints("println!"),
    prints("eprint!"),
    prints("eprintln!"),
    prints("dbg!"),
    Banned {
        path: "std::process::exit",
        only: &[],
        except: &["cli", "xtask"],
        reason: "ends the process, which only `cli` does",
    },
    Banned {
        path: "wasmtime",
        only: &[],
        except: &["sandbox", "xtask"],
        reason: "is the wasm runtime, which only `sandbox` knows",
    },
];

/// Names of modules that have not found their name yet.
const NAMELESS: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];

/// What must not be in any file: places of one machine, and hosts that only a client should know.
const ANYWHERE: &[(&str, &str)] = &[
    ("/work/", "a path of one machine"),
    ("/root/.cargo", "a path of one machine"),
    ("/root/.rustup", "a path of one machine"),
    (
        "registry.npmjs.org",
        "a registry's host: name the package, its client knows the host",
    ),
    (
        "index.crates.io",
        "a registry's host: name the package, its client knows the host",
    ),
    (
        "static.crates.io",
        "a registry's host: name the package, its client knows the host",
    ),
    (
        "pypi.org",
        "a registry's host: name the package, its client knows the host",
    ),
    (
        "files.pythonhosted.org",
        "a registry's host: name the package, its client knows the host",
    ),
    (
        "deb.debian.org",
        "a registry's host: name the package, its client knows the host",
    ),
    (
        "proxy.golang.org",
        "a registry's host: name the package, its client knows the host",
    ),
];

/// The one file that has to name them.
const THIS_FILE: &str = "xtask/src/tidy/words.rs";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.ours() {
        findings.extend(banned_paths(file));
        findings.extend(nameless(file));
        findings.extend(unsafe_code(file));
        findings.extend(other_personalities(file));
        findings.extend(ignored_tests(file));
        findings.extend(module_doc(file));
    }
    findings.extend(tree.files.iter().flat_map(anywhere));
    findings
}

fn finding(file: &SourceFile, line: usize, message: String) -> Finding {
    Finding {
        path: file.path.clone(),
        line,
        message,
    }
}

fn banned_paths(file: &SourceFile) -> Vec<Finding> {
    let Some(name) = file.crate_name().filter(|_| !file.is_test()) else {
        return Vec::new();
    };
    let tests = test_lines(&file.code);
    let mut findings = Vec::new();
    for banned in BANNED.iter().filter(|it| it.holds_for(name)) {
        for line in places(&file.code, banned.path) {
            if !tests.iter().any(|it| it.contains(&line)) {
                findings.push(finding(
                    file,
                    line,
                    format!("`{}` {}", banned.path, banned.reason),
                ));
            }
        }
    }
    findings
}

impl Banned {
    fn holds_for(&self, crate_name: &str) -> bool {
        let named = self.only.is_empty() || self.only.contains(&crate_name);
        named && !self.except.contains(&crate_name)
    }
}

/// Lines that name `path` in full, by its last two parts, or in a `use` with braces.
fn places(code: &str, path: &str) -> Vec<usize> {
    let word = path.trim_end_matches('!');
    let mut found: Vec<usize> = word_places(code, word)
        .filter(|at| !path.ends_with('!') || code[at + word.len()..].starts_with('!'))
        .collect();
    if let Some((parent, name)) = path.rsplit_once("::") {
        let group = format!("{parent}::{{");
        for (at, _) in code.match_indices(&group) {
            let names = code[at + group.len()..]
                .split(';')
                .next()
                .unwrap_or_default();
            found.extend(
                word_places(names, name)
                    .take(1)
                    .map(|it| at + group.len() + it),
            );
        }
        if let Some((_, parent)) = parent.rsplit_once("::") {
            let short = format!("{parent}::{name}");
            found.extend(word_places(code, &short).filter(|at| !code[..*at].ends_with("::")));
        }
    }
    found.into_iter().map(|at| line_of(code, at)).collect()
}

/// Where the guest ABIs live, each a module of its own that knows no other.
const PERSONALITIES_DIRECTORY: &str = "crates/sandbox/src/personality";
const PERSONALITIES: &[&str] = &["wasi", "emscripten"];

fn other_personalities(file: &SourceFile) -> Vec<Finding> {
    let Ok(inside) = file.path.strip_prefix(PERSONALITIES_DIRECTORY) else {
        return Vec::new();
    };
    let own = inside
        .iter()
        .next()
        .and_then(|it| it.to_str())
        .unwrap_or_default()
        .trim_end_matches(".rs");
    if !PERSONALITIES.contains(&own) {
        return Vec::new();
    }
    let others = PERSONALITIES.iter().filter(|it| **it != own);
    others
        .flat_map(|other| places(&file.code, &format!("personality::{other}")))
        .map(|line| {
            finding(
                file,
                line,
                "one personality must not know another".to_string(),
            )
        })
        .collect()
}

fn nameless(file: &SourceFile) -> Vec<Finding> {
    let parts = file
        .path
        .iter()
        .filter_map(|it| it.to_str())
        .map(|it| it.trim_end_matches(".rs"));
    let named = parts.filter(|it| NAMELESS.contains(it));
    named
        .map(|it| {
            finding(
                file,
                0,
                format!("a module called `{it}` has not found its name yet"),
            )
        })
        .collect()
}

/// The lint makes `unsafe` an error where it is not expected; this makes the expectation give its reason
/// in the same file.
fn unsafe_code(file: &SourceFile) -> Option<Finding> {
    let at = word_places(&file.code, "unsafe").next()?;
    let expected = file.code.match_indices("expect(").any(|(at, _)| {
        let attribute = file.code[at..].split(")]").next().unwrap_or_default();
        attribute.contains("unsafe_code") && attribute.contains("reason")
    });
    let message = "`unsafe` in a file that does not `expect` it with a reason".to_string();
    (!expected).then(|| finding(file, line_of(&file.code, at), message))
}

fn ignored_tests(file: &SourceFile) -> Vec<Finding> {
    let marks = file.code.match_indices("#[ignore");
    let message = "an ignored test: assert what happens today, and say so".to_string();
    marks
        .map(|(at, _)| finding(file, line_of(&file.code, at), message.clone()))
        .collect()
}

fn module_doc(file: &SourceFile) -> Option<Finding> {
    let has_doc = file.text.starts_with("//!");
    (!has_doc).then(|| {
        finding(
            file,
            1,
            "a file starts with its module's documentation, `//!`".to_string(),
        )
    })
}

fn anywhere(file: &SourceFile) -> Vec<Finding> {
    if file.path.to_str() == Some(THIS_FILE) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (text, what) in ANYWHERE {
        for (at, _) in file.text.match_indices(text) {
            findings.push(finding(
                file,
                line_of(&file.text, at),
                format!("`{text}` is {what}"),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<String> {
        let text = format!("//! Test.\n{text}");
        let tree = Tree {
            files: vec![SourceFile::new(path.into(), text)],
        };
        super::check(&tree)
            .into_iter()
            .map(|it| it.to_string())
            .collect()
    }

    #[test]
    fn the_kernel_must_not_name_the_hosts_clock_in_any_way() {
        for text in [
            "use std::time::Instant;",
            "use std::time::{Duration, Instant};",
            "use std::time;\nlet x = time::SystemTime::now();",
            "let x = std::time::Instant::now();",
        ] {
            assert_eq!(check("crates/kernel/src/clock.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn the_kernel_may_have_an_instant_of_its_own() {
        let text =
            "use std::time::Duration;\nuse crate::platform::Instant;\nfn now() -> Instant {}";
        assert!(check("crates/kernel/src/clock.rs", text).is_empty());
    }

    #[test]
    fn words_in_comments_strings_and_tests_are_no_code() {
        let text =
            "// std::fs\nconst X: &str = \"std::fs\";\n#[cfg(test)]\nmod tests {\n use std::fs;\n}";
        assert!(check("crates/kernel/src/a.rs", text).is_empty());
    }

    #[test]
    fn only_the_command_line_prints() {
        let text = "fn f() { println!(); }";
        assert_eq!(check("crates/engine/src/a.rs", text).len(), 1);
        assert!(check("crates/cli/src/a.rs", text).is_empty());
        assert!(check("crates/engine/src/a.rs", "fn f() { println(); }").is_empty());
    }

    #[test]
    fn only_the_sandbox_names_the_runtime() {
        assert_eq!(
            check("crates/engine/src/a.rs", "use wasmtime::Engine;").len(),
            1
        );
        assert!(check("crates/sandbox/src/a.rs", "use wasmtime::Engine;").is_empty());
    }

    #[test]
    fn one_personality_must_not_know_another() {
        let text = "use crate::personality::{emscripten, wasi};";
        assert_eq!(
            check("crates/sandbox/src/personality/wasi/files.rs", text).len(),
            1
        );
        assert_eq!(
            check("crates/sandbox/src/personality/emscripten.rs", text).len(),
            1
        );
        assert!(check("crates/sandbox/src/personality/mod.rs", text).is_empty());
    }

    #[test]
    fn unsafe_needs_an_expectation_with_its_reason() {
        let with =
            "#![expect(\n  unsafe_code,\n  reason = \"maps files\"\n)]\nfn f() { unsafe {} }";
        assert!(check("crates/sandbox/src/a.rs", with).is_empty());
        let without = "#![expect(unsafe_code)]\nfn f() { unsafe {} }";
        assert_eq!(check("crates/sandbox/src/a.rs", without).len(), 1);
    }

    #[test]
    fn nameless_modules_and_files_without_documentation_are_found() {
        assert_eq!(check("crates/engine/src/util.rs", "").len(), 1);
        let tree = Tree {
            files: vec![SourceFile::new(
                "crates/a/src/b.rs".into(),
                "fn a() {}".into(),
            )],
        };
        assert_eq!(super::check(&tree).len(), 1);
    }

    #[test]
    fn machine_paths_and_ignored_tests_are_found() {
        assert_eq!(check("docs/a.md", concat!("see /wor", "k/x")).len(), 1);
        assert_eq!(
            check("crates/engine/src/a.rs", "#[ignore]\nfn f() {}").len(),
            1
        );
    }
}
