//! `minke disk mkdir`: directories of a disk, made.

use std::path::PathBuf;

use clap::Args;
use minke_ext4::{Error, FileType, InodeNumber, NewInode, Ownership};

use super::edit::{EditedSystem, edit, now};
use super::open::{LastLink, failed, resolve, resolve_parent};
use crate::report::Report;

/// Permission bits of a directory.
const MODE: u16 = 0o755;

/// Make directories in a disk
///
/// They belong to root. Either all of them are made or, if one cannot be, none.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke disk mkdir data.img /srv\n  minke disk mkdir -p -m 1777 data.img /var/tmp"
)]
pub(crate) struct Mkdir {
    /// Make the directories on the way too, and pass what is there
    #[arg(short, long)]
    parents: bool,

    /// Permissions, in octal digits
    #[arg(short, long, value_name = "MODE", value_parser = parse_mode)]
    mode: Option<u16>,

    /// A file with an ext2, ext3 or ext4 file system
    #[arg(value_name = "DISK")]
    disk: PathBuf,

    /// Paths in the disk
    #[arg(required = true, value_name = "DISK_PATH")]
    paths: Vec<String>,
}

fn parse_mode(text: &str) -> Result<u16, String> {
    let mode = u16::from_str_radix(text, 8).ok();
    mode.filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| "expected octal digits up to 7777".to_owned())
}

impl Mkdir {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        edit(&self.disk, |system| {
            self.paths.iter().try_for_each(|path| match self.parents {
                true => self.make_all(system, path),
                false => self.make(system, path, self.mode.unwrap_or(MODE)).map(drop),
            })
        })?;
        Ok(0)
    }

    fn make(&self, system: &EditedSystem, path: &str, mode: u16) -> Result<InodeNumber, Report> {
        let (directory, name) = resolve_parent(system, path)?;
        let ownership = Ownership {
            uid: 0,
            gid: 0,
            mode,
        };
        let made = system.create(directory, &name, &NewInode::Directory, ownership, now());
        made.map_err(|error| failed(path, &error))
    }

    /// Makes a directory and those on the way. POSIX: `mkdir -p`.
    fn make_all(&self, system: &EditedSystem, path: &str) -> Result<(), Report> {
        let on = |error| failed(path, &error);
        let ends = path.match_indices('/').map(|(at, _)| at);
        let ends: Vec<usize> = ends.filter(|at| *at > 0).chain([path.len()]).collect();
        for end in ends {
            let part = &path[..end];
            match resolve(system, part, LastLink::Follow) {
                Ok(found) => {
                    if system.metadata(found).map_err(on)?.file_type != FileType::Directory {
                        return Err(on(Error::NotDirectory));
                    }
                }
                Err(_) => {
                    let is_last = end == path.trim_end_matches('/').len();
                    let mode = self.mode.filter(|_| is_last).unwrap_or(MODE);
                    self.make(system, part, mode)?;
                }
            }
        }
        Ok(())
    }
}
