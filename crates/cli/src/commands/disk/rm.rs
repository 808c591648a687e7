//! `minke disk rm`: files of a disk, removed.

use std::path::PathBuf;

use clap::Args;
use minke_disk::tree::remove_tree;
use minke_ext4::{Error, FileType};

use super::edit::{EditedSystem, edit, now};
use super::open::{failed, resolve_parent};
use crate::report::Report;

/// Remove files of a disk
///
/// Either all of them go or, if one cannot be removed, none.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke disk rm data.img /etc/hosts\n  minke disk rm -r data.img /var/cache"
)]
pub(crate) struct Rm {
    /// Remove directories too, with all that is in them
    #[arg(short, long)]
    recursive: bool,

    /// Pass what is not there
    #[arg(short, long)]
    force: bool,

    /// A file with an ext2, ext3 or ext4 file system
    #[arg(value_name = "DISK")]
    disk: PathBuf,

    /// Paths in the disk
    #[arg(required = true, value_name = "DISK_PATH")]
    paths: Vec<String>,
}

impl Rm {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        edit(&self.disk, |system| {
            self.paths
                .iter()
                .try_for_each(|path| self.remove(system, path))
        })?;
        Ok(0)
    }

    fn remove(&self, system: &EditedSystem, path: &str) -> Result<(), Report> {
        let (directory, name) = resolve_parent(system, path)?;
        let on = |error| failed(path, &error);
        let found = match system.lookup(directory, &name) {
            Err(Error::NotFound) if self.force => return Ok(()),
            found => found.map_err(on)?,
        };
        if system.metadata(found).map_err(on)?.file_type != FileType::Directory {
            return system.unlink(directory, &name, now()).map_err(on);
        }
        if !self.recursive {
            return Err(Report::new(
                format!("`{path}` is a directory"),
                "`-r` removes it with all that is in it",
            ));
        }
        remove_tree(system, (directory, &name), now()).map_err(|error| {
            Report::new(error.to_string(), "`minke disk check` tells what is wrong")
        })
    }
}
