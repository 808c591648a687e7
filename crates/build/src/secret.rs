//! Secrets: what a step may see and no image keeps. Looked at before anything is built, read by the step that mounts them.
//!
//! Spec: Docker's reference of `docker buildx build`, "--secret"; BuildKit `session/secrets/secretsprovider`.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

/// Bounds a secret. BuildKit: `MaxSecretSize`, 500 KiB.
const SECRET_BYTES_MAX: u64 = 500 << 10;

/// Something that a step may see and no image keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    pub id: String,
    pub source: SecretSource,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    File(PathBuf),
    /// A variable of this process's environment.
    Variable(String),
}

/// Why a secret cannot be given to a step.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("cannot read the secret `{id}` from `{}`", path.display())]
    Read {
        id: String,
        path: PathBuf,
        source: io::Error,
    },
    #[error("the secret `{id}` has more than {SECRET_BYTES_MAX} bytes")]
    TooLarge { id: String },
}

impl SecretError {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Read { id, source, .. } if source.kind() == ErrorKind::NotFound => {
                format!(
                    "name a file that is there: `--secret id={id},src=FILE`, from where the command is run"
                )
            }
            Self::Read { .. } => "check `--secret` and the file's permissions".into(),
            Self::TooLarge { .. } => "give files of that size by a bind mount".into(),
        }
    }
}

impl Secret {
    /// Fails where the secret's file cannot be read. It is not opened: a pipe gives what it has only once.
    ///
    /// A variable that is not set is an error only for a step that requires it, as in BuildKit.
    pub(crate) fn check(&self) -> Result<(), SecretError> {
        let SecretSource::File(path) = &self.source else {
            return Ok(());
        };
        let looked = fs::metadata(path).and_then(|metadata| {
            rustix::fs::access(path, Access::READ_OK)?;
            match metadata.is_dir() {
                true => Err(ErrorKind::IsADirectory.into()),
                false => Ok(metadata.len()),
            }
        });
        match looked {
            Ok(size_bytes) => self.bound(size_bytes),
            Err(error) => Err(self.unreadable(path, error)),
        }
    }

    /// Returns what the secret is; none for a variable that is not set.
    pub(crate) fn read(&self) -> Result<Option<Vec<u8>>, SecretError> {
        let bytes = match &self.source {
            SecretSource::Variable(name) => std::env::var_os(name).map(OsStringExt::into_vec),
            SecretSource::File(path) => {
                Some(read_file(path).map_err(|error| self.unreadable(path, error))?)
            }
        };
        let size_bytes = bytes.as_ref().map_or(0, Vec::len);
        self.bound(size_bytes as u64).map(|()| bytes)
    }

    fn bound(&self, size_bytes: u64) -> Result<(), SecretError> {
        match size_bytes > SECRET_BYTES_MAX {
            true => Err(SecretError::TooLarge {
                id: self.id.clone(),
            }),
            false => Ok(()),
        }
    }

    fn unreadable(&self, path: &Path, source: io::Error) -> SecretError {
        SecretError::Read {
            id: self.id.clone(),
            path: path.to_owned(),
            source,
        }
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
