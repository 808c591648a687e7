//! What is in the base image: a tree as a tar.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use minke_archive::{Content, Extended, Member, MemberKind, Modified, Writer};

use super::archive::CREATED_S;
use super::{FILES, PROGRAMS};
use crate::layout::root;

/// Directories and their permissions; those of files and programs need no row unless theirs are special.
const DIRECTORIES: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("etc", 0o755),
    ("etc/profile.d", 0o755),
    ("home", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/lib", 0o755),
    ("usr/local", 0o755),
    ("usr/local/bin", 0o755),
    ("usr/local/sbin", 0o755),
    ("usr/sbin", 0o755),
    ("usr/share", 0o755),
    ("var", 0o755),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/mail", 0o755),
    ("var/tmp", 0o1777),
    ("var/www", 0o755),
];
/// The home of the user 1000.
const USER_HOME: (&str, u32, u32) = ("home/user", 0o755, 1000);
/// Links in place of BusyBox's program of the same name, or beside them.
const LINKS: &[(&str, &str)] = &[
    ("bin", "usr/bin"),
    ("lib", "usr/lib"),
    ("sbin", "usr/sbin"),
    ("usr/bin/sh", "dash"),
    ("usr/bin/unxz", "xz"),
    ("usr/bin/xzcat", "xz"),
    ("var/run", "../run"),
];

enum Entry {
    Directory { mode: u32, owner: u32 },
    File { bytes: Vec<u8>, mode: u32 },
    Link { target: String },
}

/// Makes the tar of a tree of these programs.
pub fn tar(programs: &Path) -> Result<Vec<u8>> {
    let mut tar = Writer::new(Vec::new());
    for (path, entry) in entries(programs)? {
        let (member, bytes) = member(&path, entry);
        tar.append(&member)?;
        if !bytes.is_empty() {
            tar.content(&bytes)?;
        }
    }
    Ok(tar.finish()?)
}

/// Everything in it, by its path, parents first.
fn entries(programs: &Path) -> Result<BTreeMap<String, Entry>> {
    let mut entries = BTreeMap::new();
    for path in applets(programs)? {
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_of_system = path.contains("sbin/");
        let (place, target) = match is_of_system {
            true => (format!("usr/sbin/{name}"), "../bin/busybox"),
            false => (format!("usr/bin/{name}"), "busybox"),
        };
        let target = target.to_string();
        entries.insert(place, Entry::Link { target });
    }
    for (path, target) in LINKS {
        let target = (*target).to_string();
        entries.insert((*path).to_string(), Entry::Link { target });
    }
    for name in PROGRAMS {
        let bytes = read(&programs.join(format!("{name}.wasm")))?;
        let mode = 0o755;
        entries.insert(format!("usr/bin/{name}"), Entry::File { bytes, mode });
    }
    add_files(&root().join(FILES), "", &mut entries)?;
    for (path, mode) in DIRECTORIES {
        let (mode, owner) = (*mode, 0);
        entries.insert((*path).to_string(), Entry::Directory { mode, owner });
    }
    let (path, mode, owner) = USER_HOME;
    entries.insert(path.to_string(), Entry::Directory { mode, owner });
    Ok(entries)
}

/// The paths of BusyBox's programs.
fn applets(programs: &Path) -> Result<Vec<String>> {
    let list = read(&programs.join("busybox.links"))?;
    let list = String::from_utf8(list).context("BusyBox has a program whose name is no text")?;
    Ok(list.lines().map(str::to_string).collect())
}

fn add_files(directory: &Path, inside: &str, entries: &mut BTreeMap<String, Entry>) -> Result<()> {
    let listed = fs::read_dir(directory);
    for file in listed.with_context(|| format!("cannot read {}", directory.display()))? {
        let file = file?;
        let path = format!("{inside}{}", file.file_name().to_string_lossy());
        if file.file_type()?.is_dir() {
            add_files(&file.path(), &format!("{path}/"), entries)?;
        } else {
            let (bytes, mode) = (read(&file.path())?, 0o644);
            entries.insert(path, Entry::File { bytes, mode });
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn member(path: &str, entry: Entry) -> (Member<Content>, Vec<u8>) {
    let (kind, mode, owner, bytes) = match entry {
        Entry::Directory { mode, owner } => (MemberKind::Directory, mode, owner, Vec::new()),
        Entry::Link { target } => {
            let kind = MemberKind::Symlink(target.into_bytes());
            (kind, 0o777, 0, Vec::new())
        }
        Entry::File { bytes, mode } => {
            let content = Content::whole(bytes.len() as u64);
            (MemberKind::Regular(content), mode, 0, bytes)
        }
    };
    let member = Member {
        path: path.as_bytes().to_vec(),
        kind,
        uid: owner,
        gid: owner,
        mode,
        modified: Modified {
            seconds: CREATED_S,
            nanoseconds: 0,
        },
        extended: Extended::default(),
    };
    (member, bytes)
}
