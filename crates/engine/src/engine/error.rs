//! What an operation can fail with, and what a person can do about it.

use std::io;
use std::path::{Path, PathBuf};

use minke_disk::NewDiskError;
use minke_image::StoreError;
use minke_image::archive::ArchiveError;
use minke_sandbox::container::StartError;

use crate::files::FilesError;
use crate::names::NameError;
use crate::plan::PlanError;
use crate::volumes::VolumeError;

use super::SnapshotError;

/// What an operation can fail with.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("cannot {action} `{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Image(#[from] StoreError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("no such container: `{wanted}`")]
    NoSuchContainer {
        wanted: String,
        nearest: Option<String>,
    },
    #[error("`{wanted}` is the beginning of {count} container ids")]
    Ambiguous { wanted: String, count: usize },
    #[error("cannot {action} container `{name}`: it is not running")]
    NotRunning { action: &'static str, name: String },
    #[error("container `{name}` is paused, unpause the container before exec")]
    PausedForExec { name: String },
    #[error("cannot start paused container `{name}`, try unpause instead")]
    PausedForStart { name: String },
    #[error("you cannot attach to paused container `{name}`, unpause it first")]
    PausedForAttach { name: String },
    #[error("you cannot attach to stopped container `{name}`, start it first")]
    StoppedForAttach { name: String },
    #[error("container `{name}` is already paused")]
    PausedAlready { name: String },
    #[error("container `{name}` is not paused")]
    NotPaused { name: String },
    #[error("container `{name}` is restarting, wait until the container is running")]
    Restarting { name: String },
    #[error("cannot read the files of container `{name}`: it is being started, or copied from")]
    Busy { name: String },
    #[error("cannot remove container `{name}`: it is {state}")]
    Running { name: String, state: &'static str },
    #[error("cannot start container `{name}`: its record is damaged")]
    Damaged { name: String },
    #[error("container `{name}` does not answer")]
    Unreachable { name: String, source: io::Error },
    #[error("container `{name}` refused: {message}")]
    Refused { name: String, message: String },
    #[error("`{0}` is not a signal")]
    NoSuchSignal(String),
    #[error("image `{image}` is used by container `{container}`")]
    ImageInUse { image: String, container: String },
    #[error("the container is called `{name}` already")]
    SameName { name: String },
    #[error("a container that is removed when it ends cannot be restarted")]
    RestartOfRemoved,
}

impl EngineError {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            EngineError::Io { source, .. } => io_hint(source),
            EngineError::Image(error) => error.hint(),
            EngineError::Archive(error) => error.hint(),
            EngineError::Name(error) => name_hint(error),
            EngineError::Volume(error) => volume_hint(error),
            EngineError::Snapshot(error) => error.hint(),
            EngineError::Plan(error) => Some(error.hint().to_owned()),
            EngineError::Start(error) => error.hint.clone(),
            EngineError::Files(error) => error.hint(),
            EngineError::NoSuchContainer { nearest, .. } => Some(match nearest {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => "`minke ps -a` lists the containers".to_owned(),
            }),
            EngineError::Ambiguous { .. } => Some("give more digits of the id".to_owned()),
            EngineError::NotRunning { .. } => Some("`minke ps` lists what runs".to_owned()),
            EngineError::PausedForExec { name }
            | EngineError::PausedForStart { name }
            | EngineError::PausedForAttach { name }
            | EngineError::PausedAlready { name } => {
                Some(format!("let it go on with `minke unpause {name}`"))
            }
            EngineError::StoppedForAttach { name } => {
                Some(format!("start it with `minke start -a {name}`"))
            }
            EngineError::NotPaused { .. } => {
                Some("`minke ps --filter status=paused` lists what is".to_owned())
            }
            EngineError::Restarting { .. } => Some("`minke ps` tells when it runs".to_owned()),
            EngineError::Busy { .. } => Some("try again in a moment".to_owned()),
            EngineError::Running { name, .. } => Some(format!(
                "stop it with `minke stop {name}`, or remove it with `minke rm -f {name}`"
            )),
            EngineError::Damaged { name } => Some(format!(
                "remove it with `minke rm {name}`, and make it anew"
            )),
            EngineError::Unreachable { name, .. } | EngineError::Refused { name, .. } => {
                Some(format!("end it with `minke rm -f {name}`"))
            }
            EngineError::NoSuchSignal(_) => {
                Some("use a name or a number, such as `TERM`, `SIGKILL` or `9`".to_owned())
            }
            EngineError::ImageInUse { container, .. } => Some(format!(
                "remove the container with `minke rm {container}`, or the image with `minke rmi -f`"
            )),
            EngineError::SameName { .. } => Some("give another name".to_owned()),
            EngineError::RestartOfRemoved => Some("leave out `--restart` or `--rm`".to_owned()),
        }
    }

    pub(crate) fn io(
        action: &'static str,
        path: &Path,
    ) -> impl Fn(io::Error) -> EngineError + use<> {
        let path = path.to_path_buf();
        move |source| EngineError::Io {
            action,
            path: path.clone(),
            source,
        }
    }
}

fn name_hint(error: &NameError) -> Option<String> {
    match error {
        NameError::Taken { name, .. } => Some(format!(
            "remove that container with `minke rm -f {name}`, or choose another name"
        )),
        NameError::Io { source, .. } => io_hint(source),
        NameError::Invalid(_) => {
            Some("use letters, digits, `_`, `.` and `-`, such as `web-1`".to_owned())
        }
    }
}

fn volume_hint(error: &VolumeError) -> Option<String> {
    match error {
        VolumeError::Invalid(_) => {
            Some("for a directory of the host write a path, such as `./data`".to_owned())
        }
        VolumeError::Missing { nearest, .. } => Some(match nearest {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "`minke volume ls` lists the volumes".to_owned(),
        }),
        VolumeError::InUse { container, .. } => Some(format!(
            "remove the container first, with `minke rm {container}`"
        )),
        VolumeError::Writing { container, .. } => Some(format!(
            "stop that container first, with `minke stop {container}`, or use a volume of the driver `local`, which several share"
        )),
        VolumeError::Reading { container, .. } => Some(format!(
            "stop that container first, with `minke stop {container}`, or read it too: `:ro`"
        )),
        VolumeError::Disk { source, .. } => match &**source {
            NewDiskError::File(error) => error.hint().map(str::to_owned),
            NewDiskError::Make(_) => Some("choose another size: `--opt size=1G`".to_owned()),
            _ => None,
        },
        VolumeError::Io { source, .. } => io_hint(source),
        VolumeError::Content { source, .. } => source.hint(),
    }
}

fn io_hint(error: &io::Error) -> Option<String> {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => {
            Some("free space on that file system, or set `MINKE_HOME` to another".to_owned())
        }
        PermissionDenied | ReadOnlyFilesystem => {
            Some("set `MINKE_HOME` to a directory that you may write".to_owned())
        }
        _ => None,
    }
}
