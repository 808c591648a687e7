//! Names of containers: one container each, claimed atomically.
//!
//! A name in use is a directory `NAME` that holds one empty file, called as the container's id. It is made
//! elsewhere and renamed into place, which fails when a directory with something in it is there already, so of
//! two claimants one wins. It is a directory, not a file, so that a jailed sandbox may be allowed to
//! give back its own name and nobody else's.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::home::make_private;

/// Bounds a name. Linux: `NAME_MAX`, with room for what we add.
const NAME_BYTES_MAX: usize = 200;

/// Why a name cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    #[error(
        "invalid container name: `{0}`, only `[a-zA-Z0-9][a-zA-Z0-9_.-]` are allowed, from 2 to {NAME_BYTES_MAX} characters"
    )]
    Invalid(String),
    /// Docker: `daemon/names.go`.
    #[error("the container name `{name}` is already in use by container `{id}`")]
    Taken { name: String, id: String },
    #[error("cannot claim the name `{name}`")]
    Io { name: String, source: io::Error },
}

/// Checks a name as typed. Docker: `daemon/names/names.go`, `RestrictedNameChars`.
pub fn check(name: &str) -> Result<(), NameError> {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let bytes = name.as_bytes();
    let is_valid = (2..=NAME_BYTES_MAX).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|b| is_inner(*b));
    if is_valid {
        Ok(())
    } else {
        Err(NameError::Invalid(name.to_owned()))
    }
}

/// Gives a checked name to a container. `is_known` says whether a container of an id exists: a name whose
/// container is gone is free.
pub fn claim(
    names: &Path,
    name: &str,
    id: &str,
    is_known: impl Fn(&str) -> bool,
) -> Result<(), NameError> {
    let io_error = |source| NameError::Io {
        name: name.to_owned(),
        source,
    };
    let staged = names.join(format!(".{id}"));
    make_private(&staged).map_err(io_error)?;
    let result = File::create(staged.join(id))
        .map_err(io_error)
        .and_then(|_| place(names, &staged, name, &is_known));
    if result.is_err() {
        let _ = fs::remove_dir_all(&staged);
    }
    result
}

fn place(
    names: &Path,
    staged: &Path,
    name: &str,
    is_known: &impl Fn(&str) -> bool,
) -> Result<(), NameError> {
    let io_error = |source| NameError::Io {
        name: name.to_owned(),
        source,
    };
    let target = names.join(name);
    loop {
        match fs::rename(staged, &target) {
            Ok(()) => return Ok(()),
            Err(error) if is_occupied(&error) => {}
            Err(error) => return Err(io_error(error)),
        }
        match holder(names, name) {
            Some(id) if is_known(&id) => {
                return Err(NameError::Taken {
                    name: name.to_owned(),
                    id,
                });
            }
            Some(id) => release(names, name, &id).map_err(io_error)?,
            None => {}
        }
    }
}

/// Gives a container another name, at once: it has the old one or the new one. `names` are both, checked.
pub fn rename(
    directory: &Path,
    (old, new): (&str, &str),
    is_known: impl Fn(&str) -> bool,
) -> Result<(), NameError> {
    place(directory, &directory.join(old), new, &is_known)
}

pub(crate) fn is_occupied(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
    )
}

/// Returns the id of the container that has a name.
pub fn holder(names: &Path, name: &str) -> Option<String> {
    check(name).ok()?;
    let mut entries = fs::read_dir(names.join(name)).ok()?;
    entries.next()?.ok()?.file_name().into_string().ok()
}

/// Takes a name from a container; if another has it meanwhile, nothing happens.
pub fn release(names: &Path, name: &str, id: &str) -> io::Result<()> {
    // A damaged record has none; an empty one would mean all of them.
    if check(name).is_err() {
        return Ok(());
    }
    let directory = names.join(name);
    ignore_missing(fs::remove_file(directory.join(id)))?;
    match fs::remove_dir(&directory) {
        Err(error) if is_occupied(&error) => Ok(()),
        result => ignore_missing(result),
    }
}

pub(crate) fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Lists the names in use and, for a claim that was cut short, its directory to be removed.
pub(crate) fn all(names: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(names)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((entry.path(), name));
        }
    }
    Ok(found)
}

/// First halves of the names that we make up.
const QUALITIES: [&str; 48] = [
    "ancient",
    "balmy",
    "barnacled",
    "breaching",
    "briny",
    "brisk",
    "calm",
    "coastal",
    "coral",
    "curious",
    "deep",
    "diving",
    "drifting",
    "drowsy",
    "eastern",
    "ebbing",
    "foaming",
    "free",
    "gentle",
    "gleaming",
    "grey",
    "hazy",
    "humming",
    "icy",
    "leaping",
    "lunar",
    "mellow",
    "merry",
    "misty",
    "northern",
    "patient",
    "pelagic",
    "polar",
    "quiet",
    "rolling",
    "salty",
    "silver",
    "singing",
    "sleepy",
    "southern",
    "spouting",
    "stormy",
    "sunlit",
    "tidal",
    "wandering",
    "western",
    "wild",
    "windy",
];

/// Second halves: whales, and what they meet.
const CREATURES: [&str; 48] = [
    "albatross",
    "anchovy",
    "balaena",
    "beluga",
    "blackfish",
    "blue",
    "bottlenose",
    "bowhead",
    "bryde",
    "cachalot",
    "calf",
    "cormorant",
    "cuttlefish",
    "dolphin",
    "eider",
    "finback",
    "fluke",
    "gannet",
    "grampus",
    "harpoon",
    "herring",
    "humpback",
    "kelp",
    "kittiwake",
    "krill",
    "lantern",
    "lighthouse",
    "manatee",
    "minke",
    "narwhal",
    "nautilus",
    "octopus",
    "orca",
    "pelican",
    "pilot",
    "plankton",
    "porpoise",
    "puffin",
    "rorqual",
    "sailor",
    "sandpiper",
    "seal",
    "sei",
    "shearwater",
    "sperm",
    "squid",
    "vaquita",
    "walrus",
];

/// Makes up a name from random numbers; from the fourth attempt on with a number at its end, as Docker's.
pub fn random(attempt: u32, random: [u8; 4]) -> String {
    let pick = |words: &[&'static str; 48], byte: u8| words[usize::from(byte) % words.len()];
    let name = format!(
        "{}_{}",
        pick(&QUALITIES, random[0]),
        pick(&CREATURES, random[1])
    );
    if attempt < 3 {
        name
    } else {
        format!("{name}{}", u16::from_le_bytes([random[2], random[3]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_as_docker_does() {
        for good in ["web", "web.1", "a-", "0_x"] {
            assert!(check(good).is_ok(), "{good}");
        }
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for bad in ["", "a", ".web", "-web", "we b", "../x", "ä1", long.as_str()] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn of_two_claimants_one_wins_and_the_name_is_free_again_after_release() {
        let names = tempfile::tempdir().expect("a directory");
        let names = names.path();
        claim(names, "web", "1", |_| true).expect("free");
        let error = claim(names, "web", "2", |_| true).expect_err("taken");
        assert!(matches!(error, NameError::Taken { id, .. } if id == "1"));
        assert_eq!(
            all(names).expect("readable").len(),
            1,
            "nothing is left of the second claim"
        );
        release(names, "web", "2").expect("not the holder: nothing happens");
        assert_eq!(holder(names, "web").as_deref(), Some("1"));
        release(names, "web", "1").expect("released");
        claim(names, "web", "2", |_| true).expect("free again");
    }

    #[test]
    fn a_container_takes_a_free_name_and_gives_back_its_own() {
        let names = tempfile::tempdir().expect("a directory");
        let names = names.path();
        claim(names, "old", "1", |_| true).expect("free");
        claim(names, "other", "2", |_| true).expect("free");
        assert!(rename(names, ("old", "other"), |_| true).is_err());
        rename(names, ("old", "new"), |_| true).expect("free");
        assert_eq!(holder(names, "new").as_deref(), Some("1"));
        claim(names, "old", "3", |_| true).expect("free again");
    }

    #[test]
    fn a_name_whose_container_is_gone_is_free() {
        let names = tempfile::tempdir().expect("a directory");
        claim(names.path(), "web", "1", |_| true).expect("free");
        claim(names.path(), "web", "2", |id| id != "1").expect("its container is gone");
        assert_eq!(holder(names.path(), "web").as_deref(), Some("2"));
    }

    #[test]
    fn made_up_names_are_valid() {
        for byte in 0..=255 {
            let name = random(u32::from(byte), [byte, byte ^ 0x5a, byte, 7]);
            assert!(check(&name).is_ok(), "{name}");
        }
    }
}
