//! Selecting: which files of the context a source of `COPY` means, and what is in them.
//!
//! Spec: Dockerfile reference, "COPY"; BuildKit's file copies (`tonistiigi/fsutil` copy) for wildcards and links: a link
//! that a source names is followed, a link inside a copied directory is copied as a link.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use minke_balenafile::Glob;
use minke_image::{Digest, FileStamp, LAYER_BYTES_MAX, Store, StoreError};

use crate::context::{CONTEXT_FILES_MAX, Context, ContextError, DIRECTORY_DEPTH_MAX, Kind, Status};

/// What one source means.
#[derive(Debug)]
pub(crate) enum Selection {
    /// One file under the name that the source gives it.
    File { name: OsString, entry: Entry },
    /// What is in a directory, at any depth, sorted; each directory before what is in it.
    Directory { entries: Vec<Entry> },
}

/// A file, directory or symbolic link to copy.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Path below the source; empty for the source itself.
    pub(crate) relative: PathBuf,
    /// Path in the context, without symbolic links.
    pub(crate) source: PathBuf,
    pub(crate) content: Content,
    pub(crate) mode: u32,
    pub(crate) mtime_s: u64,
}

/// What an entry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Directory,
    File { size_bytes: u64, digest: Digest },
    Symlink { target: PathBuf },
}

/// Why a source means nothing.
#[derive(Debug)]
pub(crate) enum SelectError {
    NotFound { nearest: Option<String> },
    Outside,
    Ignored,
    Special,
    Pattern(&'static str),
    Context { path: PathBuf, error: ContextError },
}

/// Selects the files of sources, within the bounds of one instruction.
pub(crate) struct Selector<'context> {
    context: &'context Context,
    /// Knows the digests of files that were read before.
    store: &'context Store,
    read: Vec<(FileStamp, Digest)>,
    entries_count: usize,
    /// Sockets, pipes and devices that were left out.
    skipped: Vec<PathBuf>,
}

impl<'context> Selector<'context> {
    pub(crate) fn new(context: &'context Context, store: &'context Store) -> Self {
        Self {
            context,
            store,
            read: Vec::new(),
            entries_count: 0,
            skipped: Vec::new(),
        }
    }

    /// Returns what a source means; nothing only for a pattern that nothing matches.
    pub(crate) fn select(&mut self, source: &str) -> Result<Vec<Selection>, SelectError> {
        let parts = clean(source)?;
        let is_pattern = parts.iter().any(|part| Glob::is_pattern(part));
        let mut selections = Vec::new();
        for path in self.expand(&parts)? {
            match self.select_path(&path) {
                // What a pattern matches by accident is left out; what is named is missed.
                Err(SelectError::Ignored | SelectError::Special) if is_pattern => {}
                result => selections.push(result?),
            }
        }
        Ok(selections)
    }

    /// Replaces the parts that are patterns by the names that match them.
    fn expand(&self, parts: &[&str]) -> Result<Vec<PathBuf>, SelectError> {
        let mut paths = vec![PathBuf::new()];
        let mut is_expanded = false;
        for part in parts {
            if !Glob::is_pattern(part) {
                paths.iter_mut().for_each(|path| path.push(part));
                if is_expanded {
                    paths.retain(|path| self.context.follow(path).is_ok());
                }
                continue;
            }
            is_expanded = true;
            let glob = Glob::for_copy(part).map_err(SelectError::Pattern)?;
            let mut matches = Vec::new();
            for path in &paths {
                matches.extend(self.matching(path, &glob)?);
            }
            paths = matches;
        }
        Ok(paths)
    }

    fn matching(&self, path: &Path, glob: &Glob) -> Result<Vec<PathBuf>, SelectError> {
        let at = |error| SelectError::Context {
            path: path.to_owned(),
            error,
        };
        let real = match self.context.follow(path) {
            Ok((real, status)) if status.kind == Kind::Directory => real,
            Ok(_) | Err(ContextError::NotFound | ContextError::NotDirectory) => {
                return Ok(Vec::new());
            }
            Err(ContextError::Outside) => return Err(SelectError::Outside),
            Err(error) => return Err(at(error)),
        };
        let names = self.context.list(&real).map_err(at)?;
        let hits = names
            .into_iter()
            .filter(|(name, _)| name.to_str().is_some_and(|name| glob.matches(name)));
        Ok(hits.map(|(name, _)| path.join(name)).collect())
    }

    fn select_path(&mut self, path: &Path) -> Result<Selection, SelectError> {
        let (real, status) = match self.context.follow(path) {
            Ok(found) => found,
            Err(ContextError::NotFound | ContextError::NotDirectory) => {
                return Err(SelectError::NotFound {
                    nearest: self.nearest(path),
                });
            }
            Err(ContextError::Outside) => return Err(SelectError::Outside),
            Err(error) => {
                return Err(SelectError::Context {
                    path: path.to_owned(),
                    error,
                });
            }
        };
        let is_ignored = self.context.is_ignored(&real);
        match status.kind {
            Kind::Directory if is_ignored && !self.context.has_exceptions() => {
                Err(SelectError::Ignored)
            }
            Kind::Directory => {
                let entries = self.walk(&real)?;
                if is_ignored && entries.is_empty() {
                    Err(SelectError::Ignored)
                } else {
                    Ok(Selection::Directory { entries })
                }
            }
            Kind::File if is_ignored => Err(SelectError::Ignored),
            Kind::File => {
                let name = path.file_name().map(OsString::from).unwrap_or_default();
                Ok(Selection::File {
                    name,
                    entry: self.entry(PathBuf::new(), real, status)?,
                })
            }
            Kind::Symlink | Kind::Special => Err(SelectError::Special),
        }
    }

    /// Returns everything below a directory that is not ignored.
    fn walk(&mut self, base: &Path) -> Result<Vec<Entry>, SelectError> {
        let mut entries = Vec::new();
        let mut pending = vec![PathBuf::new()];
        while let Some(directory) = pending.pop() {
            let path = base.join(&directory);
            let at = |error| SelectError::Context {
                path: path.clone(),
                error,
            };
            if directory.components().count() > DIRECTORY_DEPTH_MAX {
                return Err(at(ContextError::TooDeep));
            }
            for (name, status) in self.context.list(&path).map_err(at)? {
                let (relative, source) = (directory.join(&name), path.join(&name));
                if self.context.is_ignored(&source)
                    && (status.kind != Kind::Directory || !self.context.has_exceptions())
                {
                    continue;
                }
                match status.kind {
                    Kind::Special => self.skipped.push(source),
                    kind => {
                        if kind == Kind::Directory {
                            pending.push(relative.clone());
                        }
                        entries.push(self.entry(relative, source, status)?);
                    }
                }
            }
        }
        entries.sort_by(|left, right| left.relative.cmp(&right.relative));
        self.drop_ignored_directories(&mut entries);
        Ok(entries)
    }

    /// An ignored directory is there only for the exceptions in it. Sorted last to first, what is in it comes before it.
    fn drop_ignored_directories(&self, entries: &mut Vec<Entry>) {
        if !self.context.has_exceptions() {
            return;
        }
        let mut kept: Vec<Entry> = Vec::new();
        for entry in entries.drain(..).rev() {
            let is_used = || {
                kept.last()
                    .is_some_and(|next| next.relative.starts_with(&entry.relative))
            };
            if entry.content != Content::Directory
                || !self.context.is_ignored(&entry.source)
                || is_used()
            {
                kept.push(entry);
            }
        }
        kept.reverse();
        *entries = kept;
    }

    fn entry(
        &mut self,
        relative: PathBuf,
        source: PathBuf,
        status: Status,
    ) -> Result<Entry, SelectError> {
        self.entries_count += 1;
        if self.entries_count > CONTEXT_FILES_MAX {
            return Err(SelectError::Context {
                path: source,
                error: ContextError::TooManyFiles,
            });
        }
        let content = match status.kind {
            Kind::Directory => Ok(Content::Directory),
            Kind::Symlink => self
                .context
                .read_link(&source)
                .map(|target| Content::Symlink { target }),
            Kind::File | Kind::Special => self.digest(&source, &status),
        };
        match content {
            Ok(content) => Ok(Entry {
                relative,
                source,
                content,
                mode: status.mode,
                mtime_s: status.mtime_s,
            }),
            Err(error) => Err(SelectError::Context {
                path: source,
                error,
            }),
        }
    }

    /// Returns a file's digest, from its content unless it looks as it did when that was last read.
    fn digest(&mut self, source: &Path, seen: &Status) -> Result<Content, ContextError> {
        if let Some(digest) = self.known(&seen.stamp) {
            let size_bytes = seen.stamp.size_bytes;
            return Ok(Content::File { size_bytes, digest });
        }
        let (file, status) = self.context.open_file(source)?;
        let (digest, size_bytes) =
            Digest::of_reader(file.take(LAYER_BYTES_MAX + 1)).map_err(ContextError::Io)?;
        if size_bytes > LAYER_BYTES_MAX {
            return Err(ContextError::Io(io::ErrorKind::FileTooLarge.into()));
        }
        if size_bytes == status.stamp.size_bytes {
            self.read.push((status.stamp, digest));
        }
        Ok(Content::File { size_bytes, digest })
    }

    /// A cache that cannot be read is as good as an empty one.
    fn known(&self, stamp: &FileStamp) -> Option<Digest> {
        self.store.file_digest(stamp).ok().flatten()
    }

    /// Remembers the digests of what was read since `now_ns`, and returns what was left out.
    pub(crate) fn finish(self, now_ns: i64) -> Result<Vec<PathBuf>, StoreError> {
        self.store.remember_file_digests(&self.read, now_ns)?;
        Ok(self.skipped)
    }

    /// Returns the existing path most like one that is not there.
    fn nearest(&self, path: &Path) -> Option<String> {
        /// More typing mistakes than this make another name.
        const MISTAKES_MAX: usize = 3;
        let missing = path
            .ancestors()
            .take_while(|path| self.context.follow(path).is_err())
            .last()?;
        let wanted = missing.file_name()?.to_str()?;
        let parent = missing.parent().unwrap_or(Path::new(""));
        let (real, _) = self.context.follow(parent).ok()?;
        let names = self.context.list(&real).ok()?;
        let names = names
            .iter()
            .filter(|(name, _)| !self.context.is_ignored(&real.join(name)));
        let scored = names.filter_map(|(name, _)| {
            Some((strsim::damerau_levenshtein(wanted, name.to_str()?), name))
        });
        let (mistakes, name) = scored.min_by_key(|(mistakes, _)| *mistakes)?;
        let is_near = mistakes <= MISTAKES_MAX.min(wanted.len() / 2);
        is_near.then(|| parent.join(name).to_string_lossy().into_owned())
    }
}

/// Returns the parts of a source path, relative to the context whether or not it begins with a slash.
fn clean(source: &str) -> Result<Vec<&str>, SelectError> {
    let mut parts = Vec::new();
    for part in source.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop().ok_or(SelectError::Outside)?),
            part => parts.push(part),
        }
    }
    Ok(parts)
}
