//! What names led to when the database was asked last, so that starting a container of the same name need not open it.
//!
//! To open a database takes longer than to start a container: the index of its log is made anew by each process that has it alone.
//! An answer counts while the database and its log are the files that they were. Both were settled when it was remembered, so any
//! write since has given one of them another time. Git keeps its index by the same rule ("racy git").

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::database::now_ns;
use crate::store::DATABASE;
use crate::{Digest, Reference, WholeFile};

/// The file beside the database.
const FILE: &str = "remembered.json";

/// Bounds the names that are remembered; one more, and all are forgotten.
const NAMES_MAX: usize = 64;

/// Bounds the file that is read.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// A file that was changed less than this before it was looked at may change again without a new time: clocks of file systems tick.
const SETTLED_NS: i64 = 100_000_000;

/// The same where times are whole seconds, or even ones.
const SETTLED_BY_SECONDS_NS: i64 = 3_000_000_000;

/// What a name led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) manifest: Digest,
    /// All names of that image.
    pub(crate) tags: Vec<Reference>,
}

/// The database and its log, as the kernel tells of them without reading.
///
/// Not by their change time: SQLite sets the owner of its log each time that root opens it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    database: Stamp,
    log: Option<Stamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    device: u64,
    inode: u64,
    size_bytes: u64,
    /// Nanoseconds since 1970.
    modified_ns: i64,
}

/// What is known of a database, which was one that this minke reads.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Remembered {
    version: Version,
    answers: BTreeMap<String, Answer>,
}

impl Version {
    /// Returns what the database of a store is now; `None` while it may change without showing it.
    pub(crate) fn settled(store: &Path) -> Option<Version> {
        let version = Version::of(store)?;
        let now_ns = now_ns();
        let is_log_settled = (version.log.as_ref()).is_none_or(|log| log.is_settled(now_ns));
        let is_settled = version.database.is_settled(now_ns) && is_log_settled;
        is_settled.then_some(version)
    }

    fn of(store: &Path) -> Option<Version> {
        let log = match Stamp::of(&store.join(format!("{DATABASE}-wal"))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            log => Some(log.ok()?),
        };
        Some(Version {
            database: Stamp::of(&store.join(DATABASE)).ok()?,
            log,
        })
    }
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Stamp> {
        let found = fs::metadata(path)?;
        Ok(Stamp {
            device: found.dev(),
            inode: found.ino(),
            size_bytes: found.len(),
            modified_ns: (found.mtime().saturating_mul(1_000_000_000))
                .saturating_add(found.mtime_nsec()),
        })
    }

    fn is_settled(&self, now_ns: i64) -> bool {
        let pause_ns = match self.modified_ns % 1_000_000_000 {
            0 => SETTLED_BY_SECONDS_NS,
            _ => SETTLED_NS,
        };
        self.modified_ns < now_ns.saturating_sub(pause_ns)
    }
}

impl Remembered {
    /// Returns what is known of the database as it is.
    pub(crate) fn read(store: &Path) -> Option<Remembered> {
        let remembered = read(store)?;
        (remembered.version == Version::of(store)?).then_some(remembered)
    }

    /// Returns what the database would say of a name now, if that is known.
    pub(crate) fn answer(&self, store: &Path, name: &str) -> Option<Answer> {
        let answer = self.answers.get(name)?;
        (self.version == Version::of(store)?).then(|| answer.clone())
    }
}

/// Remembers what the database said, which was `version` before it was asked. That it could not be kept is no harm.
pub(crate) fn keep(store: &Path, version: Version, name: &str, answer: Answer) {
    let known = Remembered::read(store).filter(|known| known.version == version);
    let mut answers = known.map_or_else(BTreeMap::new, |known| known.answers);
    if answers.len() >= NAMES_MAX {
        answers.clear();
    }
    answers.insert(name.to_owned(), answer);
    // Nobody may have written since it was asked.
    if Version::of(store).as_ref() == Some(&version) {
        let _ = write(store, &Remembered { version, answers });
    }
}

fn read(store: &Path) -> Option<Remembered> {
    let file = fs::File::open(store.join(FILE)).ok()?;
    let mut bytes = Vec::with_capacity(4096);
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn write(store: &Path, remembered: &Remembered) -> io::Result<()> {
    let bytes = serde_json::to_vec(remembered)?;
    let file = WholeFile::create(&store.join(FILE))?;
    file.file().write_all(&bytes)?;
    file.publish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Answer {
        Answer {
            manifest: Digest::of(text.as_bytes()),
            tags: Vec::new(),
        }
    }

    fn find(store: &Path, name: &str) -> Option<Answer> {
        Remembered::read(store)?.answer(store, name)
    }

    fn store() -> tempfile::TempDir {
        let store = tempfile::tempdir().expect("a directory is made");
        fs::write(store.path().join(DATABASE), "1").expect("it is written");
        age(&store.path().join(DATABASE), 10);
        store
    }

    fn age(path: &Path, seconds: u64) {
        let then = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
        let file = fs::File::options().write(true).open(path);
        let set = file.and_then(|file| file.set_modified(then));
        set.expect("its time is set");
    }

    #[test]
    fn an_answer_counts_until_the_database_changes() {
        let store = store();
        let version = Version::settled(store.path()).expect("it is settled");
        keep(store.path(), version.clone(), "a", answer("a"));
        keep(store.path(), version, "b", answer("b"));
        assert_eq!(find(store.path(), "a"), Some(answer("a")));
        assert_eq!(find(store.path(), "b"), Some(answer("b")));
        assert_eq!(find(store.path(), "c"), None);
        let remembered = Remembered::read(store.path()).expect("it is there");
        fs::write(store.path().join(format!("{DATABASE}-wal")), "more").expect("it is written");
        assert_eq!(find(store.path(), "a"), None);
        assert_eq!(remembered.answer(store.path(), "a"), None);
    }

    #[test]
    fn nothing_is_remembered_of_a_database_that_changed_just_now_or_meanwhile() {
        let store = store();
        let before = Version::settled(store.path()).expect("it is settled");
        fs::write(store.path().join(DATABASE), "2").expect("it is written");
        assert_eq!(Version::settled(store.path()), None);
        keep(store.path(), before, "a", answer("a"));
        assert!(!store.path().join(FILE).exists());
    }

    #[test]
    fn names_are_bounded() {
        let store = store();
        for number in 0..NAMES_MAX + 1 {
            let version = Version::settled(store.path()).expect("it is settled");
            keep(store.path(), version, &number.to_string(), answer("a"));
        }
        assert_eq!(find(store.path(), "0"), None);
        assert!(find(store.path(), &NAMES_MAX.to_string()).is_some());
    }

    #[test]
    fn a_damaged_file_is_no_answer() {
        let store = store();
        fs::write(store.path().join(FILE), "{\"version\"").expect("it is written");
        assert_eq!(find(store.path(), "a"), None);
    }
}
