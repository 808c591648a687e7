//! Selecting: which files of an origin a source of `COPY` means.
//!
//! Spec: Dockerfile reference, "COPY"; BuildKit's file copies (`tonistiigi/fsutil` copy) for wildcards and links: a link
//! that a source names is followed, a link inside a copied directory is copied as a link.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minke_balenafile::{Glob, IgnoreFile};
use minke_image::Attributes;

use crate::context::{CONTEXT_FILES_MAX, ContextError, DIRECTORY_DEPTH_MAX, Kind, Link, Status};
use crate::origin::{Content, Found, Origin};
use crate::owner::Owner;

/// Files whose contents are looked at together: enough for several threads, and few beside what a selection may have.
const FOUND_TOGETHER_MAX: usize = 4096;

/// What one source means.
#[derive(Debug)]
pub(crate) enum Selection {
    /// One file under the name that the source gives it.
    File { name: OsString, entry: Entry },
    /// What is in a directory, at any depth, sorted; each directory before what is in it.
    Directory { entries: Vec<Entry> },
    /// What is in an archive, which is looked at when its layer is made.
    Archive { entry: Entry },
    /// An archive that was looked at: its entries as those of a directory.
    Unpacked { entries: Vec<Entry> },
}

/// A file, directory or symbolic link to copy.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Path below the source; empty for the source itself.
    pub(crate) relative: PathBuf,
    /// Path in the origin, without symbolic links.
    pub(crate) source: Arc<Path>,
    pub(crate) content: Content,
    /// Of a file that has several names.
    pub(crate) link: Option<Link>,
    pub(crate) attributes: Option<Arc<Attributes>>,
    pub(crate) mode: u32,
    pub(crate) owner: Owner,
    pub(crate) mtime_s: u64,
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

/// How the sources of one instruction are taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// `--exclude`: what is left out, relative to each source.
    pub(crate) excludes: IgnoreFile,
    /// `--parents`
    pub(crate) parents: Parents,
}

/// Whether a source's directories are kept below the destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Parents {
    #[default]
    Drop,
    /// All of them, or those behind `/./`.
    Keep,
}

/// Selects the files of sources, within the bounds of one instruction.
pub(crate) struct Selector<'origin> {
    origin: &'origin dyn Origin,
    rules: &'origin Rules,
    entries_count: usize,
    /// Where the source at hand lies below the destination, which `--exclude` sees: empty without `--parents`.
    kept: PathBuf,
    entries_max: usize,
    /// Sockets, pipes and devices that were left out.
    skipped: Vec<PathBuf>,
}

impl<'origin> Selector<'origin> {
    pub(crate) fn new(origin: &'origin dyn Origin, rules: &'origin Rules) -> Self {
        Self {
            origin,
            rules,
            entries_count: 0,
            kept: PathBuf::new(),
            entries_max: CONTEXT_FILES_MAX,
            skipped: Vec::new(),
        }
    }

    /// Returns the sockets, pipes and devices that were left out.
    pub(crate) fn into_skipped(self) -> Vec<PathBuf> {
        self.skipped
    }

    /// Returns what a source means; nothing only for a pattern that nothing matches.
    pub(crate) fn select(&mut self, source: &str) -> Result<Vec<Selection>, SelectError> {
        let parts = clean(source)?;
        let dropped_count = match source.find("/./") {
            Some(pivot) => clean(&source[..pivot])?.len(),
            None => 0,
        };
        let is_pattern = parts.iter().any(|part| Glob::is_pattern(part));
        let is_deep = parts.iter().any(|part| part.contains("**"));
        let paths = match self.rules.parents {
            Parents::Keep if is_deep => self.expand_deep(&parts)?,
            _ => self.expand(&parts)?,
        };
        let mut selections = Vec::new();
        for path in paths {
            if self.rules.parents == Parents::Keep {
                self.kept = path.components().skip(dropped_count).collect();
            }
            match self.select_path(&path) {
                // What a pattern matches by accident is left out; what is named is missed.
                Err(SelectError::Ignored | SelectError::Special) if is_pattern => {}
                Ok(None) => {}
                Ok(Some(selection)) => {
                    selections.push(self.with_parents(selection, &path, dropped_count)?);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(selections)
    }

    /// Puts what was selected below the directories of its path, where those are kept: with their permissions.
    fn with_parents(
        &mut self,
        selection: Selection,
        path: &Path,
        dropped_count: usize,
    ) -> Result<Selection, SelectError> {
        let (below, is_directory) = match selection {
            selection if self.rules.parents == Parents::Drop => return Ok(selection),
            Selection::File { entry, .. } | Selection::Archive { entry } => (vec![entry], false),
            Selection::Directory { entries } | Selection::Unpacked { entries } => (entries, true),
        };
        let kept = self.kept.clone();
        let dropped: PathBuf = path.components().take(dropped_count).collect();
        let mut above: Vec<&Path> = kept.ancestors().skip(usize::from(!is_directory)).collect();
        above.retain(|path| !path.as_os_str().is_empty());
        let mut entries = Vec::new();
        for relative in above.into_iter().rev() {
            entries.push(self.directory(relative, &dropped.join(relative))?);
        }
        entries.extend(below.into_iter().map(|entry| Entry {
            relative: match entry.relative.as_os_str().is_empty() {
                true => kept.clone(),
                false => kept.join(&entry.relative),
            },
            ..entry
        }));
        Ok(Selection::Directory { entries })
    }

    fn directory(&mut self, relative: &Path, path: &Path) -> Result<Entry, SelectError> {
        let (real, status) = self
            .origin
            .follow(path)
            .map_err(|error| SelectError::Context {
                path: path.to_owned(),
                error,
            })?;
        self.count(&real)?;
        Ok(Entry {
            relative: relative.to_owned(),
            attributes: self.origin.attributes(&real),
            source: real.into(),
            content: Content::Directory,
            link: None,
            mode: status.mode,
            owner: status.owner,
            mtime_s: status.mtime_s,
        })
    }

    /// Replaces the parts that are patterns by the names that match them.
    fn expand(&self, parts: &[&str]) -> Result<Vec<PathBuf>, SelectError> {
        let mut paths = vec![PathBuf::new()];
        let mut is_expanded = false;
        for part in parts {
            if !Glob::is_pattern(part) {
                paths.iter_mut().for_each(|path| path.push(part));
                if is_expanded {
                    paths.retain(|path| self.origin.follow(path).is_ok());
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

    /// Returns what a pattern with `**` matches: that goes through directories. A directory that matches is taken whole.
    fn expand_deep(&self, parts: &[&str]) -> Result<Vec<PathBuf>, SelectError> {
        let glob = Glob::for_ignore(&parts.join("/")).map_err(SelectError::Pattern)?;
        let plain = parts.iter().take_while(|part| !Glob::is_pattern(part));
        let mut pending = vec![plain.collect::<PathBuf>()];
        let (mut matches, mut seen_count) = (Vec::new(), 0);
        while let Some(directory) = pending.pop() {
            let names = self.names(&directory)?;
            seen_count += names.len();
            let is_too_deep = directory.components().count() > DIRECTORY_DEPTH_MAX;
            if is_too_deep || seen_count > self.entries_max {
                let error = match is_too_deep {
                    true => ContextError::TooDeep,
                    false => ContextError::TooManyFiles(self.entries_max),
                };
                return Err(SelectError::Context {
                    path: directory,
                    error,
                });
            }
            for (name, status) in names {
                let path = directory.join(name);
                if path.to_str().is_some_and(|path| glob.matches(path)) {
                    matches.push(path);
                } else if status.kind == Kind::Directory {
                    pending.push(path);
                }
            }
        }
        matches.sort();
        Ok(matches)
    }

    fn matching(&self, path: &Path, glob: &Glob) -> Result<Vec<PathBuf>, SelectError> {
        let names = self.names(path)?.into_iter();
        let hits = names.filter(|(name, _)| name.to_str().is_some_and(|name| glob.matches(name)));
        Ok(hits.map(|(name, _)| path.join(name)).collect())
    }

    /// Returns what is in a directory; nothing for what is none.
    fn names(&self, path: &Path) -> Result<Vec<(OsString, Status)>, SelectError> {
        let at = |error| SelectError::Context {
            path: path.to_owned(),
            error,
        };
        match self.origin.follow(path) {
            Ok((real, status)) if status.kind == Kind::Directory => {
                self.origin.list(&real).map_err(at)
            }
            Ok(_) | Err(ContextError::NotFound | ContextError::NotDirectory) => Ok(Vec::new()),
            Err(ContextError::Outside) => Err(SelectError::Outside),
            Err(error) => Err(at(error)),
        }
    }

    /// Returns what a path means, or nothing if it is excluded.
    fn select_path(&mut self, path: &Path) -> Result<Option<Selection>, SelectError> {
        let (real, status) = match self.origin.follow(path) {
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
        let is_ignored = self.origin.is_ignored(&real);
        match status.kind {
            Kind::Directory if is_ignored && !self.origin.ignore().has_exceptions() => {
                Err(SelectError::Ignored)
            }
            Kind::Directory => {
                let entries = self.walk(&real)?;
                if is_ignored && entries.is_empty() {
                    Err(SelectError::Ignored)
                } else {
                    Ok(Some(Selection::Directory { entries }))
                }
            }
            Kind::File if is_ignored => Err(SelectError::Ignored),
            Kind::File => self.file(path, real, &status),
            Kind::Symlink | Kind::Special => Err(SelectError::Special),
        }
    }

    fn file(
        &mut self,
        path: &Path,
        real: PathBuf,
        status: &Status,
    ) -> Result<Option<Selection>, SelectError> {
        let name = path.file_name().map(OsString::from).unwrap_or_default();
        let named = match self.rules.parents {
            Parents::Keep => self.kept.to_string_lossy(),
            Parents::Drop => name.to_string_lossy(),
        };
        if self.rules.excludes.is_ignored(&named) {
            return Ok(None);
        }
        let mut found = vec![Found {
            relative: PathBuf::new(),
            source: real.into(),
            status: *status,
        }];
        self.count(&found[0].source)?;
        let entry = self.entries(&mut found)?.into_iter().next();
        Ok(entry.map(|entry| Selection::File { name, entry }))
    }

    fn is_left_out(&self, source: &Path, relative: &Path) -> bool {
        let named = self.kept.join(relative);
        self.origin.is_ignored(source) || self.rules.excludes.is_ignored(&named.to_string_lossy())
    }

    /// Whether something below a directory that is left out may be there after all.
    fn has_exceptions(&self) -> bool {
        self.origin.ignore().has_exceptions() || self.rules.excludes.has_exceptions()
    }

    /// Returns everything below a directory that is not ignored.
    fn walk(&mut self, base: &Path) -> Result<Vec<Entry>, SelectError> {
        let (mut entries, mut found) = (Vec::new(), Vec::new());
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
            for (name, status) in self.origin.list(&path).map_err(at)? {
                let (relative, source) = (directory.join(&name), path.join(&name));
                if self.is_left_out(&source, &relative)
                    && (status.kind != Kind::Directory || !self.has_exceptions())
                {
                    continue;
                }
                match status.kind {
                    Kind::Special => self.skipped.push(source),
                    kind => {
                        if kind == Kind::Directory {
                            pending.push(relative.clone());
                        }
                        self.count(&source)?;
                        found.push(Found {
                            relative,
                            source: source.into(),
                            status,
                        });
                    }
                }
            }
            if found.len() >= FOUND_TOGETHER_MAX {
                entries.extend(self.entries(&mut found)?);
            }
        }
        entries.extend(self.entries(&mut found)?);
        entries.sort_by(|left, right| left.relative.cmp(&right.relative));
        self.drop_ignored_directories(&mut entries);
        Ok(entries)
    }

    /// An ignored directory is there only for the exceptions in it. Sorted last to first, what is in it comes before it.
    fn drop_ignored_directories(&self, entries: &mut Vec<Entry>) {
        if !self.has_exceptions() {
            return;
        }
        let mut kept: Vec<Entry> = Vec::new();
        for entry in entries.drain(..).rev() {
            let is_used = || {
                kept.last()
                    .is_some_and(|next| next.relative.starts_with(&entry.relative))
            };
            if !matches!(entry.content, Content::Directory)
                || !self.is_left_out(&entry.source, &entry.relative)
                || is_used()
            {
                kept.push(entry);
            }
        }
        kept.reverse();
        *entries = kept;
    }

    fn count(&mut self, source: &Path) -> Result<(), SelectError> {
        self.entries_count += 1;
        match self.entries_count > self.entries_max {
            true => Err(SelectError::Context {
                path: source.to_owned(),
                error: ContextError::TooManyFiles(self.entries_max),
            }),
            false => Ok(()),
        }
    }

    /// Looks at the contents of what was found, and takes it.
    fn entries(&self, found: &mut Vec<Found>) -> Result<Vec<Entry>, SelectError> {
        let contents = self.origin.contents(found);
        let contents = contents.map_err(|(path, error)| SelectError::Context { path, error })?;
        let entry = |(found, content): (Found, Content)| Entry {
            attributes: self.origin.attributes(&found.source),
            relative: found.relative,
            source: found.source,
            content,
            link: found.status.link,
            mode: found.status.mode,
            owner: found.status.owner,
            mtime_s: found.status.mtime_s,
        };
        Ok(found.drain(..).zip(contents).map(entry).collect())
    }

    /// Returns the existing path most like one that is not there.
    fn nearest(&self, path: &Path) -> Option<String> {
        /// More typing mistakes than this make another name.
        const MISTAKES_MAX: usize = 3;
        let missing = path
            .ancestors()
            .take_while(|path| self.origin.follow(path).is_err())
            .last()?;
        let wanted = missing.file_name()?.to_str()?;
        let parent = missing.parent().unwrap_or(Path::new(""));
        let (real, _) = self.origin.follow(parent).ok()?;
        let names = self.origin.list(&real).ok()?;
        let names = names
            .iter()
            .filter(|(name, _)| !self.origin.is_ignored(&real.join(name)));
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

#[cfg(test)]
mod tests {
    use minke_image::EntryMetadata;
    use minke_image::tree::{Node, NodeKind, Tree};

    use super::*;
    use crate::origin::TreeOrigin;

    #[test]
    fn more_files_than_the_limit_are_refused_with_its_number() {
        let mut tree = Tree::default();
        for name in ["d/a", "d/b", "d/c"] {
            let metadata = EntryMetadata {
                mode: 0o644,
                uid: 0,
                gid: 0,
                mtime_s: 0,
            };
            let target = "target".into();
            let node = Node {
                kind: NodeKind::Symlink { target },
                metadata,
                attributes: None,
            };
            tree.insert(name.into(), node);
        }
        let (origin, rules) = (TreeOrigin::new(tree, Vec::new()), Rules::default());
        let select = |entries_max| {
            let mut selector = Selector::new(&origin, &rules);
            selector.entries_max = entries_max;
            selector.select("d")
        };
        assert!(select(3).is_ok());
        let Err(SelectError::Context { path, error }) = select(2) else {
            panic!("three files are more than two");
        };
        assert_eq!(path, Path::new("d/c"));
        assert_eq!(error.to_string(), "it has more than 2 files");
    }
}
