//! The language and the builder: context in, tree out; text in, configuration out.
//!
//! | module | is |
//! |---|---|
//! | `caching` | what makes a step be done again |
//! | `copying` | `COPY`: destinations, patterns, several sources, symbolic links |
//! | `faults` | builds that others disturb: full disks, builds of one name, prunes, clocks |
//! | `flags` | `--chown`, `--chmod`, `--link`, `--exclude`, `--parents` |
//! | `heredocs` | here-documents of `COPY` and `ADD` |
//! | `adding` | `ADD` of archives |
//! | `hostile` | archives that lie, swell or are damaged |
//! | `inputs` | where the file and the context are from, what is ignored |
//! | `kills` | builds that are killed at random moments |
//! | `options` | options of `minke build` |
//! | `origins` | `--from`: stages and images |
//! | `settings` | instructions that set the configuration |
//! | `text` | directives, lines, variables |

mod adding;
mod caching;
mod copying;
mod faults;
mod flags;
mod heredocs;
mod hostile;
mod inputs;
mod kills;
mod options;
mod origins;
mod settings;
mod text;

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::home::{Ended, Home};

/// What `minke build` is given to write its tree as a tar and nothing else.
const TREE: [&str; 7] = [
    "build",
    "-q",
    "-o",
    "type=tar,dest=-",
    "-f",
    "Balenafile",
    "context",
];

/// A home with a context of these files, which everybody may read.
fn context(files: &[(&str, &str)]) -> Home {
    let home = Home::new();
    fs::create_dir(home.files().join("context")).expect("made");
    for (name, content) in files {
        home.write(&format!("context/{name}"), content);
    }
    readable(&home.files().join("context"));
    home
}

/// Gives everything below a directory the permissions that most files have, whatever the tester's mask is.
fn readable(directory: &Path) {
    set_mode(directory, 0o755);
    for entry in fs::read_dir(directory).expect("readable") {
        let path = entry.expect("readable").path();
        match path.is_dir() {
            true => readable(&path),
            false => set_mode(&path, 0o644),
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

/// Builds instructions on `scratch`, with the context's files.
fn build(home: &Home, instructions: &str) -> Ended {
    home.write("Balenafile", format!("FROM scratch\n{instructions}\n"));
    home.run(&["build", "-t", "made", "-f", "Balenafile", "context"])
}

/// Builds a file's text, and returns its tree: a line for each name, sorted.
///
/// `644 0/0 name: content`, `755 0/0 directory/`, `777 0/0 link -> target`.
#[track_caller]
fn tree_of(home: &Home, balenafile: &str) -> String {
    home.write("Balenafile", balenafile);
    let output = home.command(&TREE).output().expect("minke starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{balenafile}\n{said}");
    let mut lines = Vec::new();
    let mut archive = tar::Archive::new(&output.stdout[..]);
    for entry in archive.entries().expect("a tar") {
        lines.push(line(&mut entry.expect("an entry")));
    }
    lines.sort_by(|left, right| left.0.cmp(&right.0));
    let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
    lines.join("\n")
}

/// Returns an entry's name and what is shown of it.
fn line(entry: &mut tar::Entry<'_, &[u8]>) -> (String, String) {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let mut content = String::new();
    entry.read_to_string(&mut content).expect("a text");
    let header = entry.header();
    let (mode, uid, gid) = (header.mode(), header.uid(), header.gid());
    let (mode, uid, gid) = (mode.expect("a mode"), uid.expect("one"), gid.expect("one"));
    let rest = match header.entry_type() {
        tar::EntryType::Directory => String::new(),
        tar::EntryType::Symlink => {
            let target = entry.link_name_bytes().expect("a target");
            format!(" -> {}", String::from_utf8_lossy(&target))
        }
        _ => format!(": {content}"),
    };
    (name.clone(), format!("{mode:o} {uid}/{gid} {name}{rest}"))
}

/// Checks what instructions on `scratch` make.
#[track_caller]
fn check_tree(home: &Home, instructions: &str, expected: &[&str]) {
    let tree = tree_of(home, &format!("FROM scratch\n{instructions}\n"));
    assert_eq!(tree, expected.join("\n"), "{instructions}");
}

/// Checks the names that instructions on `scratch` make, each file with its content.
#[track_caller]
fn check_names(home: &Home, instructions: &str, expected: &[&str]) {
    let tree = tree_of(home, &format!("FROM scratch\n{instructions}\n"));
    let name = |line: &str| line.splitn(3, ' ').nth(2).unwrap_or_default().to_owned();
    let names: Vec<String> = tree.lines().map(name).collect();
    assert_eq!(names, expected, "{instructions}");
}

/// Checks that instructions on `scratch` are refused with these texts, and leave nothing.
#[track_caller]
fn check_refused(home: &Home, instructions: &str, texts: &[&str]) {
    let ended = build(home, instructions);
    ended.assert_fails(1, texts);
    assert_eq!(ended.stdout, "", "{ended:?}");
    assert_eq!(home.ok(&["images", "-q"]), "");
    home.assert_nothing_left();
}
