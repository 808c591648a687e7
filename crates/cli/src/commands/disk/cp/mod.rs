//! `minke disk cp`: files and trees, from the host to a disk or back.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::report::Report;

mod into_disk;
mod out_of_disk;

/// Copy files between the host and a disk
///
/// One of the two is a path in a disk: `DISK:/PATH`. If the target is a directory that is there, the copy gets the source's name in it; the
/// content of a directory alone is `SOURCE/.`. Permissions and times are kept. What is copied into a disk belongs to root there, and what is copied out to
/// you.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke disk cp hosts data.img:/etc/hosts\n  minke disk cp -r ./site/. data.img:/srv/www\n  minke disk cp -r data.img:/var/log logs"
)]
pub(crate) struct Cp {
    /// Copy directories too, with all that is in them
    #[arg(short, long)]
    recursive: bool,

    /// Keep owners, by their numbers
    #[arg(short, long)]
    archive: bool,

    /// A file or directory of the host, or `DISK:/PATH`
    #[arg(value_name = "SOURCE")]
    source: String,

    /// A file or directory of the host, or `DISK:/PATH`
    #[arg(value_name = "TARGET")]
    target: String,
}

/// What becomes of owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owners {
    Keep,
    Replace,
}

/// Whether directories are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    Files,
    Trees,
}

#[derive(Clone, Copy, Debug)]
struct CopyOptions {
    owners: Owners,
    depth: Depth,
}

/// A path, of the host or of a disk.
enum Address<'a> {
    Host(&'a Path),
    Disk { disk: PathBuf, path: &'a str },
}

impl Address<'_> {
    /// Takes a text with `:/` as a path in a disk, unless it is the whole name of something on the host.
    fn parse(text: &str) -> Address<'_> {
        match text.find(":/") {
            Some(colon) if colon > 0 && !Path::new(text).exists() => Address::Disk {
                disk: PathBuf::from(&text[..colon]),
                path: &text[colon + 1..],
            },
            _ => Address::Host(Path::new(text)),
        }
    }
}

impl Cp {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let options = CopyOptions {
            owners: match self.archive {
                true => Owners::Keep,
                false => Owners::Replace,
            },
            depth: match self.recursive || self.archive {
                true => Depth::Trees,
                false => Depth::Files,
            },
        };
        match (Address::parse(&self.source), Address::parse(&self.target)) {
            (Address::Host(source), Address::Disk { disk, path }) => {
                into_disk::copy(source, &disk, path, options)?;
            }
            (Address::Disk { disk, path }, Address::Host(target)) => {
                out_of_disk::copy(&disk, path, target, options)?;
            }
            (Address::Host(_), Address::Host(_)) => {
                return Err(Report::usage(
                    "neither path is in a disk",
                    "write `DISK:/PATH` for the one that is",
                ));
            }
            (Address::Disk { .. }, Address::Disk { .. }) => {
                return Err(Report::usage(
                    "both paths are in disks",
                    "write `minke disk export-tar DISK DIR | minke disk import-tar DISK DIR`",
                ));
            }
        }
        Ok(0)
    }
}

/// Whether only the content of a directory is meant. POSIX: `cp -R source/. target`.
fn is_content(path: &str) -> bool {
    path == "." || path.ends_with("/.") || path.ends_with("/./")
}

/// Refuses to copy a directory.
fn directory_refused(path: &str) -> Report {
    Report::new(
        format!("`{path}` is a directory"),
        "`-r` copies it with all that is in it",
    )
}
