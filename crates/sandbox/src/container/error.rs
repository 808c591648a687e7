//! Why a container did not start.

use std::error::Error;
use std::fmt::Write;
use std::io;

use serde::{Deserialize, Serialize};

use crate::platform::PublishError;
use crate::runtime::LoadError;

/// Why a container did not start. Plain texts, for it may cross from the sandbox's process to the command's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    pub kind: StartErrorKind,
    /// With its causes.
    pub message: String,
    /// An action.
    pub hint: Option<String>,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartErrorKind {
    /// minke's, the host's, or that of what was asked for.
    Failed,
    /// The program is there and cannot be run.
    NotExecutable,
    /// The program is not there.
    NotFound,
}

impl StartErrorKind {
    /// Returns the exit code. Docker: `docs/reference/run.md`, "Exit status".
    pub fn exit_code(self) -> u8 {
        match self {
            StartErrorKind::Failed => 125,
            StartErrorKind::NotExecutable => 126,
            StartErrorKind::NotFound => 127,
        }
    }
}

impl StartErrorKind {
    /// Returns the kind of an exit code of [`StartErrorKind::exit_code`].
    pub fn of_exit_code(code: u8) -> StartErrorKind {
        match code {
            126 => StartErrorKind::NotExecutable,
            127 => StartErrorKind::NotFound,
            _ => StartErrorKind::Failed,
        }
    }
}

impl StartError {
    /// Makes an error of kind [`StartErrorKind::Failed`] out of another and its causes.
    pub fn failed(what: &str, error: &(dyn Error + 'static)) -> StartError {
        let mut message = what.to_owned();
        let mut cause = Some(error);
        while let Some(error) = cause {
            // A string takes everything.
            let _ = write!(message, ": {error}");
            cause = error.source();
        }
        StartError {
            kind: StartErrorKind::Failed,
            message,
            hint: error.downcast_ref().and_then(io_hint),
        }
    }

    pub(super) fn new(
        kind: StartErrorKind,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> StartError {
        StartError {
            kind,
            message: message.into(),
            hint: Some(hint.into()),
        }
    }
}

/// What the sandbox writes outside of mounts lies in the container's directories.
fn io_hint(error: &io::Error) -> Option<String> {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded).then(|| {
        "free space on the file system of `MINKE_HOME`, or set it to a directory on another"
            .to_owned()
    })
}

impl From<PublishError> for StartError {
    fn from(error: PublishError) -> StartError {
        StartError::new(StartErrorKind::Failed, error.to_string(), error.hint())
    }
}

impl From<LoadError> for StartError {
    fn from(error: LoadError) -> StartError {
        let kind = match &error {
            LoadError::Read { .. }
            | LoadError::Engine(_)
            | LoadError::Compile { .. }
            | LoadError::TooManyPrograms { .. } => StartErrorKind::Failed,
            _ => StartErrorKind::NotExecutable,
        };
        let hint = error.hint().map(str::to_owned);
        let message = match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        StartError {
            kind,
            message,
            hint,
        }
    }
}
