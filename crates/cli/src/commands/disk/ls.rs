//! `minke disk ls`: what is in a directory of a disk.

use std::path::PathBuf;

use clap::Args;
use minke_disk::FileDevice;
use minke_ext4::{FileSystem, FileType, InodeNumber};
use serde::Serialize;

use super::open::{LastLink, failed, open, resolve};
use super::stat::{kind, mode_text, time_text};
use crate::format::{Format, List};
use crate::output::print;
use crate::report::Report;

/// List a directory of a disk
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke disk ls data.img\n  minke disk ls --format '{{.Name}}' data.img /etc"
)]
pub(crate) struct Ls {
    /// `table`, `json` (one object per line), or a template such as `{{.Name}}`
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,

    /// A file with an ext2, ext3 or ext4 file system
    #[arg(value_name = "DISK")]
    disk: PathBuf,

    /// Path in the disk
    #[arg(value_name = "DISK_PATH", default_value = "/")]
    path: String,
}

const LIST: List = List {
    fields: &[
        ("GID", "GID"),
        ("Inode", "INODE"),
        ("Links", "LINKS"),
        ("Mode", "MODE"),
        ("Modified", "MODIFIED"),
        ("Name", "NAME"),
        ("Size", "SIZE"),
        ("Target", "TARGET"),
        ("Type", "TYPE"),
        ("UID", "UID"),
    ],
    columns: &["Mode", "Links", "UID", "GID", "Size", "Modified", "Name"],
};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    #[serde(rename = "GID")]
    gid: u32,
    inode: u32,
    links: u32,
    mode: String,
    modified: String,
    name: String,
    size: u64,
    /// Of a symbolic link.
    target: String,
    r#type: &'static str,
    #[serde(rename = "UID")]
    uid: u32,
}

impl Ls {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let system = open(&self.disk)?;
        let number = resolve(&system, &self.path, LastLink::Follow)?;
        let failed = |error| failed(&self.path, &error);
        let mut entries = Vec::new();
        if system.metadata(number).map_err(failed)?.file_type == FileType::Directory {
            let listed = system.read_directory(number, 0, &mut |entry| {
                entries.push((entry.name.clone(), entry.inode));
                true
            });
            listed.map_err(failed)?;
        } else {
            entries.push((self.path.clone().into_bytes(), number));
        }
        entries.sort_unstable();
        let rows = entries
            .into_iter()
            .map(|(name, inode)| row(&system, &name, inode));
        let rows = rows.collect::<Result<Vec<Row>, _>>().map_err(failed)?;
        print(&LIST.text(&self.format, &rows)?)?;
        Ok(0)
    }
}

fn row(
    system: &FileSystem<FileDevice>,
    name: &[u8],
    inode: InodeNumber,
) -> Result<Row, minke_ext4::Error> {
    let found = system.metadata(inode)?;
    let target = match found.file_type {
        FileType::Symlink => system.read_link(inode)?,
        _ => Vec::new(),
    };
    Ok(Row {
        gid: found.gid,
        inode: inode.0,
        links: found.links,
        mode: mode_text(&found),
        modified: time_text(found.modified),
        name: String::from_utf8_lossy(name).into_owned(),
        size: found.size,
        target: String::from_utf8_lossy(&target).into_owned(),
        r#type: kind(found.file_type),
        uid: found.uid,
    })
}
