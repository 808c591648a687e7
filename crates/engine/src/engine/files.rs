//! Files of containers, whether they run or not: what changed, copies in and out, the whole root.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use minke_sandbox::container::FilesScope;
use minke_sandbox::files::request::{FileKind, FileStatus, FilesRequest};

use super::{Engine, EngineError};
use crate::events::Event;
use crate::files::client::{FilesClient, Source};
use crate::files::place::{Copied, There, asserts_directory, name_of, place};
use crate::files::process::FilesProcess;
use crate::files::{ChangeKind, CopyOptions, FilesError, Links, Owners, PathChange, pack, unpack};
use crate::record::{Container, Lock, Status};

/// Bounds the changes that are listed.
const CHANGES_MAX: usize = 4 << 20;

/// Bounds a change: a letter, a path (Linux: `PATH_MAX`) and a zero byte.
const CHANGE_BYTES_MAX: u64 = 4096 + 2;

impl Engine {
    /// Returns the paths of a container's root that are not as its image has them, sorted, with the directories that they are in.
    pub fn changes(&self, container: &Container) -> Result<Vec<PathChange>, EngineError> {
        let client = self.files_of(container, FilesScope::Root)?;
        let changes = client.download(FilesRequest::Changes, read_changes)?;
        Ok(with_directories(changes))
    }

    /// Writes a container's root as a tar, without what is mounted in it.
    pub fn export(&self, container: &Container, sink: &mut dyn Write) -> Result<(), EngineError> {
        let client = self.files_of(container, FilesScope::Root)?;
        client.download(FilesRequest::Export, |source| {
            copy(source, sink, Path::new("the archive")).map(drop)
        })?;
        self.events()
            .record(&Event::of_container("export", &container.config));
        Ok(())
    }

    /// Has `take` read the changes of a container's root as the tar of a layer.
    ///
    /// What `take` returns counts only if this succeeds. The tar is a stranger's.
    pub fn with_layer<T>(
        &self,
        container: &Container,
        take: impl FnOnce(&mut dyn Read) -> T,
    ) -> Result<T, EngineError> {
        let client = self.files_of(container, FilesScope::Root)?;
        Ok(client.download(FilesRequest::Layer, |source| Ok(take(source)))?)
    }

    /// Writes what a path of a container names as a tar.
    pub fn copy_to_archive(
        &self,
        container: &Container,
        path: &Path,
        links: Links,
        sink: &mut dyn Write,
    ) -> Result<(), EngineError> {
        let client = self.files_of(container, FilesScope::Mounts)?;
        let source = Outside::find(&client, path, links)?;
        let name = name_of(&source.path);
        client.download(source.archive(name), |tar| {
            copy(tar, sink, Path::new("the archive")).map(drop)
        })?;
        self.tell_copy("archive-path", container, path);
        Ok(())
    }

    /// Copies what a path of a container names to a path of the host; returns how many bytes the tar had that carried it.
    pub fn copy_out(
        &self,
        container: &Container,
        path: &Path,
        target: &Path,
        options: CopyOptions,
    ) -> Result<u64, EngineError> {
        let client = self.files_of(container, FilesScope::Mounts)?;
        let source = Outside::find(&client, path, options.links)?;
        let copied = Copied {
            path: &source.path,
            is_directory: source.status.kind == FileKind::Directory,
        };
        let (target, there) = host_target(target);
        let place = place(copied, target.as_os_str().as_bytes(), there)?;
        let directory = PathBuf::from(OsStr::from_bytes(&place.directory));
        if !directory.is_dir() {
            let shown = directory.display().to_string();
            return Err(FilesError::NoSuchDirectory(shown).into());
        }
        let count = client.download(source.archive(&place.name), |tar| {
            let mut tar = Counted { tar, count: 0 };
            unpack::unpack(&mut tar, &directory, options.owners)?;
            Ok(tar.count)
        })?;
        self.tell_copy("archive-path", container, path);
        Ok(count)
    }

    /// Makes the members of a tar below a directory of a container. They belong to whom the tar says.
    pub fn copy_from_archive(
        &self,
        container: &Container,
        source: &mut dyn Read,
        path: &Path,
    ) -> Result<(), EngineError> {
        let client = self.files_of(container, FilesScope::Mounts)?;
        let target = absolute(path);
        let status = client.status(&target, Links::Followed)?;
        let status = status.ok_or_else(|| no_such_file(&client, &target))?;
        if status.kind != FileKind::Directory {
            return Err(FilesError::ArchiveToFile {
                container: client.container,
                path: path.display().to_string(),
            }
            .into());
        }
        let request = FilesRequest::Extract {
            path: target,
            owners: Owners::Kept,
        };
        client.upload(request, |sink| {
            copy(source, sink, Path::new("the archive")).map(drop)
        })?;
        self.tell_copy("extract-to-dir", container, path);
        Ok(())
    }

    /// Copies a path of the host to a path of a container; returns how many bytes the tar had that carried it.
    pub fn copy_in(
        &self,
        container: &Container,
        source: &Path,
        path: &Path,
        options: CopyOptions,
    ) -> Result<u64, EngineError> {
        let typed = source.as_os_str().as_bytes();
        let links = match asserts_directory(typed) {
            true => Links::Followed,
            false => options.links,
        };
        let metadata = match links {
            Links::Followed => fs::metadata(source),
            Links::Kept => fs::symlink_metadata(source),
        };
        let metadata = metadata.map_err(FilesError::local("read", source))?;
        let client = self.files_of(container, FilesScope::Mounts)?;
        let copied = Copied {
            path: typed,
            is_directory: metadata.is_dir(),
        };
        let (target, there) = container_target(&client, path)?;
        let place = place(copied, &target, there)?;
        if client.status(&place.directory, Links::Followed)?.is_none() {
            return Err(no_such_file(&client, &place.directory).into());
        }
        let request = FilesRequest::Extract {
            path: place.directory,
            owners: options.owners,
        };
        let mut count = 0;
        client.upload(request, |sink| {
            let mut sink = CountedSink { sink, count: 0 };
            pack::pack(source, &place.name, links, &mut sink)?;
            count = sink.count;
            Ok(())
        })?;
        self.tell_copy("extract-to-dir", container, path);
        Ok(count)
    }

    /// Returns who answers about a container's files: its sandbox, or a process of our own that keeps it from being started.
    fn files_of(
        &self,
        container: &Container,
        scope: FilesScope,
    ) -> Result<FilesClient, EngineError> {
        let record = self.record(container.id());
        let failed = || EngineError::io("lock the record", &record.directory);
        let edit = self.edit(container)?;
        let now = self.load_edited(container.id(), &edit)?;
        let now = now.ok_or_else(|| self.gone(container))?;
        let name = now.config.name.clone();
        if now.state.status == Status::Dead {
            return Err(EngineError::Damaged { name });
        }
        let source = match now.state.status {
            Status::Running | Status::Paused => Source::Running(self.home.run.join(container.id())),
            // One that is being started, or started again, has let go of its files or not taken them yet.
            _ => {
                let lock = record.try_lock().map_err(failed())?;
                let lock = lock.ok_or_else(|| EngineError::Busy { name: name.clone() })?;
                drop(edit);
                self.stopped_files(now, lock, scope)?
            }
        };
        Ok(FilesClient {
            container: name,
            source,
        })
    }

    fn stopped_files(
        &self,
        container: Container,
        lock: Lock,
        scope: FilesScope,
    ) -> Result<Source, EngineError> {
        let mut config = container.config;
        self.renew_snapshots(&mut config)?;
        let process = FilesProcess::start(&config.spec, scope)?;
        Ok(Source::Stopped(process, lock))
    }

    fn tell_copy(&self, action: &'static str, container: &Container, path: &Path) {
        let event = Event::of_container(action, &container.config);
        self.events()
            .record(&event.with("path", path.display().to_string()));
    }
}

/// What is copied out of a container.
struct Outside {
    path: Vec<u8>,
    links: Links,
    status: FileStatus,
}

impl Outside {
    fn find(client: &FilesClient, path: &Path, links: Links) -> Result<Outside, FilesError> {
        let path = absolute(path);
        let status = client.status(&path, links)?;
        let status = status.ok_or_else(|| no_such_file(client, &path))?;
        Ok(Outside {
            path,
            links,
            status,
        })
    }

    fn archive(&self, name: &[u8]) -> FilesRequest {
        FilesRequest::Archive {
            path: self.path.clone(),
            name: name.to_vec(),
            links: self.links,
        }
    }
}

fn no_such_file(client: &FilesClient, path: &[u8]) -> FilesError {
    FilesError::NoSuchFile {
        path: String::from_utf8_lossy(path).into_owned(),
        container: client.container.clone(),
    }
}

/// Returns a container's path from its top. Docker: "paths are relative to the container's `/`".
fn absolute(path: &Path) -> Vec<u8> {
    let path = path.as_os_str().as_bytes();
    match path.starts_with(b"/") {
        true => path.to_vec(),
        false => [b"/", path].concat(),
    }
}

/// Returns where on the host a copy goes, a link that is there being followed, and what is there.
fn host_target(path: &Path) -> (PathBuf, There) {
    match fs::metadata(path) {
        Err(_) => (path.to_path_buf(), There::Nothing),
        Ok(there) if there.is_dir() => (path.to_path_buf(), There::Directory),
        Ok(_) if path.is_symlink() => {
            let resolved = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
            (resolved, There::File)
        }
        Ok(_) => (path.to_path_buf(), There::File),
    }
}

/// Returns where in a container a copy goes, a link that is there being followed, and what is there.
fn container_target(client: &FilesClient, path: &Path) -> Result<(Vec<u8>, There), FilesError> {
    let path = absolute(path);
    Ok(match client.status(&path, Links::Followed)? {
        None => (path, There::Nothing),
        Some(status) if status.kind == FileKind::Directory => (path, There::Directory),
        Some(status) => (status.path, There::File),
    })
}

fn read_changes(source: &mut dyn Read) -> Result<Vec<PathChange>, FilesError> {
    let failed = || FilesError::local("read", Path::new("the list of changes"));
    let mut source = BufReader::new(source);
    let mut changes = Vec::new();
    loop {
        let mut bytes = Vec::new();
        let read = (&mut source)
            .take(CHANGE_BYTES_MAX)
            .read_until(0, &mut bytes);
        if read.map_err(failed())? == 0 {
            return Ok(changes);
        }
        let [letter, path @ .., 0] = &bytes[..] else {
            return Err(failed()(io::ErrorKind::InvalidData.into()));
        };
        let kind = ChangeKind::ALL
            .into_iter()
            .find(|kind| kind.letter() == *letter);
        let kind = kind.ok_or_else(|| failed()(io::ErrorKind::InvalidData.into()))?;
        if changes.len() >= CHANGES_MAX {
            return Err(FilesError::TooManyChanges { max: CHANGES_MAX });
        }
        changes.push(PathChange {
            kind,
            path: path.to_vec(),
        });
    }
}

/// Adds the directories that changes are in, and sorts them. Docker: "if a file is modified, then its directory is part of the changes".
fn with_directories(mut changes: Vec<PathChange>) -> Vec<PathChange> {
    let mut known: std::collections::HashSet<Vec<u8>> =
        changes.iter().map(|change| change.path.clone()).collect();
    for index in 0..changes.len() {
        let mut path = &changes[index].path.clone()[..];
        while let Some(slash) = path.iter().rposition(|byte| *byte == b'/')
            && slash > 0
        {
            path = &path[..slash];
            if !known.insert(path.to_vec()) {
                break;
            }
            changes.push(PathChange {
                kind: ChangeKind::Changed,
                path: path.to_vec(),
            });
        }
    }
    // A directory before what is in it, whatever bytes are less than a slash.
    changes.sort_by(|a, b| names(&a.path).cmp(names(&b.path)));
    changes
}

fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
}

/// Copies a stream; `path` names it for the error of the side that is not the container's.
fn copy(source: &mut dyn Read, sink: &mut dyn Write, path: &Path) -> Result<u64, FilesError> {
    let copied = io::copy(source, sink).and_then(|count| sink.flush().map(|()| count));
    copied.map_err(FilesError::local("copy", path))
}

/// A tar whose bytes are counted while they are read.
struct Counted<'a> {
    tar: &'a mut dyn Read,
    count: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.tar.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

/// A sink whose bytes are counted while they are written.
struct CountedSink<'a> {
    sink: &'a mut dyn Write,
    count: u64,
}

impl Write for CountedSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.sink.write(bytes)?;
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_changes_are_changed_and_come_before_them() {
        let change = |kind, path: &str| PathChange {
            kind,
            path: path.into(),
        };
        let listed = with_directories(vec![
            change(ChangeKind::Deleted, "/etc-old"),
            change(ChangeKind::Added, "/etc/a/b/c"),
            change(ChangeKind::Added, "/etc/a/b"),
        ]);
        let shown: Vec<String> = listed
            .iter()
            .map(|it| {
                let path = String::from_utf8_lossy(&it.path);
                format!("{} {path}", char::from(it.kind.letter()))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "C /etc",
                "C /etc/a",
                "A /etc/a/b",
                "A /etc/a/b/c",
                "D /etc-old"
            ]
        );
    }

    #[test]
    fn a_list_that_is_no_list_is_refused() {
        for bytes in [&b"A"[..], b"X/a\0", b"\0", b"A/a"] {
            assert!(read_changes(&mut &bytes[..]).is_err(), "{bytes:?}");
        }
        let read = read_changes(&mut &b"A/a\0D/b\0"[..]).expect("a list");
        assert_eq!(read.len(), 2);
    }
}
