//! Files that users name, outside the store: there whole, or not at all.
//!
//! A [`WholeFile`] has no name while it is written (`O_TMPFILE`), so that a writer that is killed leaves nothing. It needs one,
//! beside the path that it is for, where the file system has no such files, and between two system calls where it
//! replaces another. Its writer holds that name's lock; the next writer for the same path removes what nobody locks.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::lease::is_at;

/// Bounds the writers for one path that need a name at once.
const NAMES_MAX: usize = 16;

/// How much of a path's own name is in them: they must be names too. Linux: `NAME_MAX`, 255.
const STEM_BYTES_MAX: usize = 200;

/// Read and written by its owner alone, as `docker save` leaves what it writes.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A file that is being written, and vanishes unless it is published.
#[derive(Debug)]
pub struct WholeFile {
    file: File,
    path: PathBuf,
    /// What it is called until then, where it has a name.
    name: Option<PathBuf>,
}

impl WholeFile {
    /// Returns a new empty file for a path, and removes what killed writers for it left.
    pub fn create(path: &Path) -> io::Result<Self> {
        sweep(path);
        match rustix::fs::open(
            directory_of(path),
            OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC,
            MODE,
        ) {
            Ok(file) => Ok(Self {
                file: file.into(),
                path: path.to_owned(),
                name: None,
            }),
            // Linux: `open(2)`, `O_TMPFILE`. File systems and kernels that do not know it say one or the other.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Self::create_named(path),
            Err(errno) => Err(errno.into()),
        }
    }

    fn create_named(path: &Path) -> io::Result<Self> {
        let (name, file) = first_free(path, |name| {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
            let file = File::from(rustix::fs::open(name, flags, MODE)?);
            file.lock()?;
            match is_at(&file, name) {
                true => Ok(file),
                // Who looked for what killed writers left came in between.
                false => Err(ErrorKind::AlreadyExists.into()),
            }
        })?;
        Ok(Self {
            file,
            path: path.to_owned(),
            name: Some(name),
        })
    }

    /// Returns the file, which is open for reading and writing.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Puts the file on the disk and gives it its path, in place of what has it.
    pub fn publish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        let name = match &self.name {
            Some(name) => name,
            None => match self.link(&self.path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    self.file.lock()?;
                    let (name, ()) = first_free(&self.path, |name| self.link(name))?;
                    self.name.insert(name)
                }
                result => return result,
            },
        };
        fs::rename(name, &self.path)?;
        self.name = None;
        Ok(())
    }

    /// Puts the file on the disk and gives it its path, which nothing may have: [`ErrorKind::AlreadyExists`].
    pub fn publish_new(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        match &self.name {
            None => self.link(&self.path),
            Some(name) => {
                rustix::fs::renameat_with(CWD, name, CWD, &self.path, RenameFlags::NOREPLACE)?;
                self.name = None;
                Ok(())
            }
        }
    }

    /// Gives the file a name that nothing has. Linux: `open(2)`, `O_TMPFILE`, by way of `/proc`.
    fn link(&self, name: &Path) -> io::Result<()> {
        let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let linked = rustix::fs::linkat(CWD, own, CWD, name, AtFlags::SYMLINK_FOLLOW);
        linked.map_err(io::Error::from)
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // What cannot be removed now is swept by the next writer.
            let _ = fs::remove_file(name);
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    let parent = path.parent();
    let parent = parent.filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Returns the names that files for a path may have until they are published.
fn names(path: &Path) -> impl Iterator<Item = PathBuf> + use<'_> {
    (0..NAMES_MAX).map(move |number| {
        let own = path.file_name().unwrap_or_default().as_bytes();
        let mut name = OsString::from(".");
        name.push(OsStr::from_bytes(&own[..own.len().min(STEM_BYTES_MAX)]));
        name.push(format!(".minke-{number}"));
        directory_of(path).join(name)
    })
}

/// Returns the first name that `take` gets, with what it made of it.
fn first_free<T>(path: &Path, take: impl Fn(&Path) -> io::Result<T>) -> io::Result<(PathBuf, T)> {
    for name in names(path) {
        match take(&name) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            result => return Ok((name, result?)),
        }
    }
    Err(ErrorKind::ResourceBusy.into())
}

/// Removes files for a path whose writers were killed. What cannot be looked at is somebody else's.
fn sweep(path: &Path) {
    for name in names(path) {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::open(&name, flags, Mode::empty()).map(File::from) else {
            continue;
        };
        if file.try_lock().is_ok() && is_at(&file, &name) {
            let _ = fs::remove_file(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn entries(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("readable").flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn write(mut file: WholeFile, text: &str) {
        file.file.write_all(text.as_bytes()).expect("writable");
        file.publish().expect("it gets its path");
    }

    /// The two ways to make one: without a name, and with one as on file systems that know no other.
    const WAYS: [fn(&Path) -> io::Result<WholeFile>; 2] =
        [WholeFile::create, WholeFile::create_named];

    #[test]
    fn a_file_gets_its_path_when_it_is_whole_and_replaces_what_has_it() {
        for create in WAYS {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("x".repeat(255));
            for text in ["first", "second"] {
                let file = create(&path).expect("it is made");
                let before = fs::read_to_string(&path).unwrap_or_default();
                assert_ne!(before, text);
                write(file, text);
                assert_eq!(fs::read_to_string(&path).expect("readable"), text);
                assert_eq!(entries(directory.path()), ["x".repeat(255)]);
            }
        }
    }

    #[test]
    fn a_file_that_must_be_new_replaces_nothing() {
        for create in WAYS {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("x");
            let file = create(&path).expect("it is made");
            file.publish_new().expect("nothing has its path");
            let again = create(&path).expect("it is made").publish_new();
            assert_eq!(again.expect_err("taken").kind(), ErrorKind::AlreadyExists);
            assert_eq!(entries(directory.path()), ["x"]);
        }
    }

    #[test]
    fn a_file_that_is_given_up_leaves_nothing() {
        for create in WAYS {
            let directory = tempfile::tempdir().expect("a directory");
            drop(create(&directory.path().join("x.tar")).expect("it is made"));
            assert_eq!(entries(directory.path()), [""; 0]);
        }
    }

    #[test]
    fn a_file_cannot_replace_a_directory_and_leaves_nothing_then() {
        for create in WAYS {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("x");
            fs::create_dir(&path).expect("a directory");
            let file = create(&path).expect("it is made");
            file.publish().expect_err("a directory has its path");
            assert_eq!(entries(directory.path()), ["x"]);
        }
    }

    #[test]
    fn what_a_killed_writer_left_goes_with_the_next_and_what_one_still_writes_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("x.tar");
        let left: Vec<PathBuf> = names(&path).take(2).collect();
        for name in &left {
            fs::write(name, "half").expect("writable");
        }
        let writing = File::open(&left[1]).expect("readable");
        writing.lock().expect("nobody has it");
        drop(WholeFile::create(&path).expect("it is made"));
        assert_eq!(entries(directory.path()), [".x.tar.minke-1"]);
        let other = WholeFile::create_named(&path).expect("it is made");
        write(other, "whole");
        assert_eq!(entries(directory.path()), [".x.tar.minke-1", "x.tar"]);
        drop(writing);
        drop(WholeFile::create(&path).expect("it is made"));
        assert_eq!(entries(directory.path()), ["x.tar"]);
    }

    #[test]
    fn files_for_one_path_at_once_are_each_whole() {
        for create in WAYS {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("x.tar");
            let texts = ["a".repeat(9999), "b".repeat(9999), "c".repeat(9999)];
            std::thread::scope(|scope| {
                for text in &texts {
                    let path = &path;
                    scope.spawn(move || write(create(path).expect("it is made"), text));
                }
            });
            assert!(texts.contains(&fs::read_to_string(&path).expect("readable")));
            assert_eq!(entries(directory.path()), ["x.tar"]);
        }
    }
}
