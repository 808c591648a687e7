//! One build from its options to its image.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use minke_balenafile::{BALENAFILE_BYTES_MAX, Balenafile, Diagnostic, IgnoreFile, Source};
use minke_image::{Image, Reference, Store, StoreError};

use crate::context::{Context, ContextError};
use crate::progress::{Event, Progress, Warning};
use crate::stage::Builder;

/// The names under which a build's file is looked for in the context, best first.
pub const BALENAFILE_NAMES: [&str; 2] = ["Balenafile", "Dockerfile"];

/// The ignore file of a context.
const IGNORE_NAME: &str = ".dockerignore";

/// What to build.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// The directory whose files `COPY` can reach.
    pub context: PathBuf,
    /// The file to read, from anywhere; none for `Balenafile`, then `Dockerfile`, in the context.
    pub file: Option<PathBuf>,
    /// Names for the image; it may have none.
    pub tags: Vec<Reference>,
    /// `--build-arg`: names and values of `ARG`s.
    pub arguments: Vec<(String, String)>,
    /// One time for everything, in seconds since 1970: the environment's `SOURCE_DATE_EPOCH`. Spec: reproducible-builds.org.
    pub source_date_epoch_s: Option<u64>,
    pub cache: CachePolicy,
}

/// Whether results of earlier builds are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CachePolicy {
    Use,
    /// Every layer is made anew, and remembered for later builds.
    Renew,
}

/// What a build made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    pub image: Image,
    /// Steps whose layer had to be made.
    pub layers_made_count: usize,
    /// Steps whose layer was there already.
    pub layers_cached_count: usize,
}

/// Why a build has no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Something in the file, or about what it names.
    #[error("{0}")]
    File(Box<Diagnostic>),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot {action} `{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("`{}` is not a directory", .0.display())]
    ContextNotDirectory(PathBuf),
    #[error("there is no `Balenafile` and no `Dockerfile` in `{}`", .0.display())]
    NoFile(PathBuf),
    #[error("`{}` was changed while it was copied", .0.display())]
    Changed(PathBuf),
}

impl BuildError {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(diagnostic) => diagnostic.hint.clone(),
            Self::Store(error) => error.hint(),
            Self::ContextNotDirectory(_) => {
                Some("give the directory that holds the files to copy".into())
            }
            Self::NoFile(_) => {
                Some("write a `Balenafile` there, or name another file with `-f FILE`".into())
            }
            Self::Changed(_) => Some("build again when nothing writes to it".into()),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("check the path; a relative one begins where the command is run".into())
            }
            Self::Io { .. } => None,
        }
    }
}

impl From<Diagnostic> for BuildError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::File(Box::new(diagnostic))
    }
}

/// Builds an image, gives it its names, and returns it.
///
/// A failed build leaves no image; layers that it finished stay in the cache until the next collection.
pub fn build(
    store: &Store,
    options: &BuildOptions,
    progress: &mut dyn Progress,
) -> Result<BuiltImage, BuildError> {
    let path = find_file(options)?;
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let file = Balenafile::parse(&name, &read_file(&path)?)?;
    for warning in &file.warnings {
        progress.event(&Event::Warning(&Warning::from(warning)));
    }
    let context = Context::open(&options.context, read_ignore_file(options, &path)?)
        .map_err(|error| open_error(error, &options.context))?;
    let lease = store.lease()?;
    Builder::new(&lease, &file, &context, options, progress)?.run()
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

fn find_file(options: &BuildOptions) -> Result<PathBuf, BuildError> {
    if let Some(file) = &options.file {
        return Ok(file.clone());
    }
    if !options.context.is_dir() {
        return Err(match fs::metadata(&options.context) {
            Ok(_) => BuildError::ContextNotDirectory(options.context.clone()),
            Err(source) => BuildError::Io {
                action: "read the directory",
                path: options.context.clone(),
                source,
            },
        });
    }
    let found = BALENAFILE_NAMES
        .iter()
        .map(|name| options.context.join(name))
        .find(|path| path.exists());
    found.ok_or_else(|| BuildError::NoFile(options.context.clone()))
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

/// An ignore file that belongs to the build's file goes before the context's. Spec: Dockerfile reference, ".dockerignore files".
fn read_ignore_file(options: &BuildOptions, path: &Path) -> Result<IgnoreFile, BuildError> {
    let mut own = path.to_owned().into_os_string();
    own.push(IGNORE_NAME);
    for path in [PathBuf::from(own), options.context.join(IGNORE_NAME)] {
        let bytes = match read_file(&path) {
            Ok(bytes) => bytes,
            Err(BuildError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                continue;
            }
            Err(error) => return Err(error),
        };
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        return Ok(IgnoreFile::parse(&Source::new(name, &bytes)?)?);
    }
    Ok(IgnoreFile::default())
}

/// Returns the time since 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
