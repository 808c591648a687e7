//! Inputs: the file that a build reads, and the files that it may copy.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use minke_balenafile::{BALENAFILE_BYTES_MAX, Balenafile, IgnoreFile, Source};
use minke_image::tree::Tree;
use minke_image::{Lease, Store};

use crate::archive::{self, ArchiveError};
use crate::build::BuildError;
use crate::context::{Context, ContextError, Status};
use crate::lint;
use crate::options::{BuildOptions, ContextSource, Input};
use crate::origin::{ContextOrigin, Origin, TreeOrigin};

/// The names under which a build's file is looked for in the context, best first.
pub const BALENAFILE_NAMES: [&str; 2] = ["Balenafile", "Dockerfile"];

/// The ignore file of a context.
const IGNORE_NAME: &str = ".dockerignore";

/// What a build begins with.
pub(crate) struct Inputs {
    /// What messages call the file.
    name: String,
    bytes: Vec<u8>,
    pub(crate) files: Files,
}

/// The context.
pub(crate) enum Files {
    Directory(Context),
    Archive(TreeOrigin),
}

impl Files {
    /// Opens a file of the context. See [`Context::open_file`].
    pub(crate) fn open_file(&self, path: &Path) -> Result<(File, Status), ContextError> {
        match self {
            Self::Directory(context) => context.open_file(path),
            // Contents of an archive are ranges of it, which nobody opens by path.
            Self::Archive(_) => Err(ContextError::NotFound),
        }
    }

    pub(crate) fn ignore(&self) -> &IgnoreFile {
        match self {
            Self::Directory(context) => context.ignore(),
            Self::Archive(tree) => &tree.ignore,
        }
    }

    /// Lets `select` choose among the files, and remembers what it had to read of them since `now_ns`.
    pub(crate) fn select<T, E: From<minke_image::StoreError>>(
        &self,
        store: &Store,
        now_ns: i64,
        select: impl FnOnce(&dyn Origin) -> Result<T, E>,
    ) -> Result<T, E> {
        match self {
            Self::Archive(tree) => select(tree),
            Self::Directory(context) => {
                let origin = ContextOrigin::new(context, store);
                let selected = select(&origin)?;
                store.remember_file_digests(&origin.into_read(), now_ns)?;
                Ok(selected)
            }
        }
    }
}

impl Inputs {
    /// Finds and reads the file, and opens the context.
    pub(crate) fn open(options: &BuildOptions, lease: &Lease<'_>) -> Result<Self, BuildError> {
        match &options.context {
            ContextSource::Directory(directory) => Self::of_directory(options, directory),
            ContextSource::Archive(input) => Self::of_archive(options, input, lease),
        }
    }

    /// Parses the file.
    pub(crate) fn parse(&self, options: &BuildOptions) -> Result<Balenafile, BuildError> {
        let lint = lint::options(options)?;
        Ok(Balenafile::parse_with_lint(&self.name, &self.bytes, lint)?)
    }

    fn of_directory(options: &BuildOptions, directory: &Path) -> Result<Self, BuildError> {
        let (name, bytes, own_ignore) = match &options.file {
            Some(Input::Standard) => ("-".to_owned(), read_standard()?, None),
            Some(Input::Path(path)) => (name_of(path), read_file(path)?, Some(ignore_of(path))),
            None => {
                let path = find_file(directory)?;
                (name_of(&path), read_file(&path)?, Some(ignore_of(&path)))
            }
        };
        let common = directory.join(IGNORE_NAME);
        let ignore = read_ignore_file(own_ignore.into_iter().chain([common]))?;
        let context = Context::open(directory).map_err(|error| open_error(error, directory))?;
        Ok(Self {
            name,
            bytes,
            files: Files::Directory(context.with_ignore(ignore)),
        })
    }

    fn of_archive(
        options: &BuildOptions,
        input: &Input,
        lease: &Lease<'_>,
    ) -> Result<Self, BuildError> {
        if *input == Input::Standard && options.file == Some(Input::Standard) {
            return Err(BuildError::TwoStandardInputs);
        }
        let mut reader = BufReader::with_capacity(PEEK_BYTES, open(input)?);
        let start = reader.fill_buf().map_err(unreadable)?;
        if !archive::is_archive(start) {
            return Self::of_text(reader);
        }
        let origin = archive::unpack(reader, lease)
            .and_then(|archive| archive.into_origin())
            .map_err(context_error)?;
        Self::in_tree(options, origin)
    }

    /// Takes standard input as the file itself; there is no context. Docker: `docker build - < Dockerfile`.
    fn of_text(reader: impl Read) -> Result<Self, BuildError> {
        let mut bytes = Vec::new();
        reader
            .take(BALENAFILE_BYTES_MAX as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        let origin = TreeOrigin::new(Tree::default(), Vec::new());
        Ok(Self {
            name: "-".to_owned(),
            bytes,
            files: Files::Archive(origin),
        })
    }

    fn in_tree(options: &BuildOptions, mut origin: TreeOrigin) -> Result<Self, BuildError> {
        let read = |origin: &TreeOrigin, path: &Path| {
            origin
                .read(path, BALENAFILE_BYTES_MAX as u64 + 1)
                .map_err(unreadable)
        };
        let (path, bytes) = match &options.file {
            Some(Input::Standard) => (PathBuf::from("-"), read_standard()?),
            Some(Input::Path(path)) => {
                let found = read(&origin, path)?;
                let missing = || BuildError::NoFileInArchive(path.clone());
                (path.clone(), found.ok_or_else(missing)?)
            }
            None => {
                let mut found = None;
                for name in BALENAFILE_NAMES {
                    found = found.or(read(&origin, Path::new(name))?.map(|bytes| (name, bytes)));
                }
                let none = || BuildError::NoFile("the archive".into());
                found
                    .map(|(name, bytes)| (name.into(), bytes))
                    .ok_or_else(none)?
            }
        };
        for path in [ignore_of(&path), IGNORE_NAME.into()] {
            if let Some(bytes) = read(&origin, &path)? {
                origin.ignore = parse_ignore(&path, &bytes)?;
                break;
            }
        }
        Ok(Self {
            name: name_of(&path),
            bytes,
            files: Files::Archive(origin),
        })
    }
}

/// Enough to tell an archive by: a tar's first block.
const PEEK_BYTES: usize = 64 << 10;

fn open(input: &Input) -> Result<File, BuildError> {
    match input {
        Input::Path(path) => File::open(path).map_err(|source| BuildError::Io {
            action: "read",
            path: path.clone(),
            source,
        }),
        Input::Standard => {
            let own = rustix::stdio::stdin().as_fd().try_clone_to_owned();
            own.map(File::from).map_err(unreadable)
        }
    }
}

fn unreadable(source: io::Error) -> BuildError {
    BuildError::Io {
        action: "read",
        path: "standard input".into(),
        source,
    }
}

fn context_error(error: ArchiveError) -> BuildError {
    match error {
        ArchiveError::Store(error) => error.into(),
        error => BuildError::Context {
            hint: error.hint(),
            reason: error.to_string(),
        },
    }
}

fn open_error(error: ContextError, path: &Path) -> BuildError {
    match error {
        ContextError::NotDirectory => BuildError::ContextNotDirectory(path.to_owned()),
        error => BuildError::Io {
            action: "read the directory",
            path: path.to_owned(),
            source: error.into(),
        },
    }
}

fn find_file(directory: &Path) -> Result<PathBuf, BuildError> {
    if !directory.is_dir() {
        return Err(match fs::metadata(directory) {
            Ok(_) => BuildError::ContextNotDirectory(directory.to_owned()),
            Err(source) => BuildError::Io {
                action: "read the directory",
                path: directory.to_owned(),
                source,
            },
        });
    }
    let found = BALENAFILE_NAMES
        .iter()
        .map(|name| directory.join(name))
        .find(|path| path.exists());
    found.ok_or_else(|| BuildError::NoFile(directory.to_owned()))
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(OsStr::new(""));
    name.to_string_lossy().into_owned()
}

/// Reads a file up to one byte more than a file of instructions may have, which the parser then refuses.
fn read_file(path: &Path) -> Result<Vec<u8>, BuildError> {
    let failed = |source| BuildError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(failed)?.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(BALENAFILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

fn read_standard() -> Result<Vec<u8>, BuildError> {
    let mut bytes = Vec::new();
    open(&Input::Standard)?
        .take(BALENAFILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(bytes)
}

fn ignore_of(path: &Path) -> PathBuf {
    let mut own = path.to_owned().into_os_string();
    own.push(IGNORE_NAME);
    own.into()
}

/// An ignore file that belongs to the build's file goes before the context's. Spec: Dockerfile reference, ".dockerignore files".
fn read_ignore_file(paths: impl Iterator<Item = PathBuf>) -> Result<IgnoreFile, BuildError> {
    for path in paths {
        match read_file(&path) {
            Ok(bytes) => return parse_ignore(&path, &bytes),
            Err(BuildError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(IgnoreFile::default())
}

fn parse_ignore(path: &Path, bytes: &[u8]) -> Result<IgnoreFile, BuildError> {
    Ok(IgnoreFile::parse(&Source::new(name_of(path), bytes)?)?)
}
