//! A disk that is changed: in a file beside it, which is merged into it when all is done, so that no crash leaves half of it.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use minke_disk::{DiskFileError, Limits, Volume, changes_path};
use minke_ext4::{Access, FileSystem, Timestamp};

use crate::report::Report;

/// A disk that is open for writing, which nobody else may change meanwhile.
pub(super) type EditedSystem = FileSystem<Arc<Volume>>;

/// Opens a disk, lets `change` change it, and merges what it did; after an error nothing of it.
pub(super) fn edit<T>(
    path: &Path,
    change: impl FnOnce(&EditedSystem) -> Result<T, Report>,
) -> Result<T, Report> {
    edit_device(path, |volume| {
        let system = open_system(path, volume)?;
        let changed = change(&system)?;
        let synced = system.sync(now());
        synced.map_err(|error| cannot_write(path, &error))?;
        Ok(changed)
    })
}

/// As [`edit`], of a disk as the device that it is.
pub(super) fn edit_device<T>(
    path: &Path,
    change: impl FnOnce(&Arc<Volume>) -> Result<T, Report>,
) -> Result<T, Report> {
    merge_left(path)?;
    let told = |error: DiskFileError| disk_report(&error);
    // What is beside a link is not what is beside its target.
    let real = path.canonicalize();
    let real = &real.map_err(|error| cannot_open(path, &error))?;
    let volume = Volume::open(real, &changes_path(real), Limits::default()).map_err(told)?;
    let volume = Arc::new(volume);
    match change(&volume) {
        Ok(changed) => {
            volume.merge().map_err(told)?;
            Ok(changed)
        }
        Err(report) => {
            volume.give_up().map_err(told)?;
            Err(report)
        }
    }
}

fn open_system(path: &Path, volume: &Arc<Volume>) -> Result<EditedSystem, Report> {
    let system = FileSystem::open(volume.clone(), Access::ReadWrite, now());
    let sound = system.and_then(|system| system.check_groups().map(|()| system));
    sound.map_err(|error| {
        Report::new(
            format!("cannot change the disk `{}`: {error}", path.display()),
            format!("`minke disk check {}` tells what is wrong", path.display()),
        )
    })
}

/// Merges what a crash left beside a disk, if anything.
pub(super) fn merge_left(path: &Path) -> Result<(), Report> {
    let Ok(path) = path.canonicalize() else {
        // Whoever opens it says so.
        return Ok(());
    };
    let changes = changes_path(&path);
    if !changes.exists() {
        return Ok(());
    }
    match Volume::open(&path, &changes, Limits::default()).and_then(|it| it.merge()) {
        // It is somebody's who changes the disk now.
        Err(DiskFileError::InUse { .. }) => Ok(()),
        merged => merged.map_err(|error| disk_report(&error)),
    }
}

fn disk_report(error: &DiskFileError) -> Report {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    let hint = error.hint();
    Report::new(
        message,
        hint.unwrap_or(
            "name a file that you may read and write, in a directory that you may write",
        ),
    )
}

fn cannot_open(path: &Path, error: &io::Error) -> Report {
    let hint = match error.kind() {
        ErrorKind::NotFound => "`minke disk create` makes one",
        _ => "name a file that you may read and write",
    };
    Report::new(format!("cannot open `{}`: {error}", path.display()), hint)
}

fn cannot_write(path: &Path, error: &minke_ext4::Error) -> Report {
    Report::new(
        format!("cannot change the disk `{}`: {error}", path.display()),
        "`minke disk df` shows how much room there is",
    )
}

/// The time at which something is changed.
pub(super) fn now() -> Timestamp {
    let now = jiff::Timestamp::now();
    // Before 1970 the two have different signs.
    let seconds = now.as_second() - i64::from(now.subsec_nanosecond() < 0);
    let nanoseconds = now.subsec_nanosecond().rem_euclid(1_000_000_000);
    Timestamp {
        seconds,
        nanoseconds: nanoseconds as u32,
    }
}
