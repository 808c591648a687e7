//! `minke disk stat`: all that is known of files of a disk.

use std::path::PathBuf;

use clap::Args;
use minke_ext4::{FileType, Metadata, Timestamp};
use serde_json::{Value, json};

use super::open::{LastLink, failed, open, resolve};
use crate::format::Format;
use crate::output::print;
use crate::report::Report;

/// Show all that is known of a file of a disk
///
/// A symbolic link is shown itself.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke disk stat data.img /etc/hosts\n  minke disk stat --format '{{.Size}}' data.img /etc/hosts"
)]
pub(crate) struct Stat {
    /// `json`, or a template such as `{{.Size}}` [default: for people]
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "",
        hide_default_value = true
    )]
    format: Format,

    /// A file with an ext2, ext3 or ext4 file system
    #[arg(value_name = "DISK")]
    disk: PathBuf,

    /// Path in the disk
    #[arg(value_name = "DISK_PATH")]
    path: String,
}

impl Stat {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let system = open(&self.disk)?;
        let number = resolve(&system, &self.path, LastLink::Keep)?;
        let found = system.metadata(number);
        let found = found.map_err(|error| failed(&self.path, &error))?;
        let value = stat_json(&self.path, &found);
        print(&self.format.object(&value, || readable(&value))?)?;
        Ok(0)
    }
}

fn stat_json(path: &str, found: &Metadata) -> Value {
    json!({
        "Name": path,
        "Inode": found.inode.0,
        "Type": kind(found.file_type),
        "Mode": mode_text(found),
        "Links": found.links,
        "UID": found.uid,
        "GID": found.gid,
        "Size": found.size,
        "Sectors": found.sectors,
        "Accessed": time_text(found.accessed),
        "Modified": time_text(found.modified),
        "Changed": time_text(found.changed),
        "Created": time_text(found.created),
    })
}

/// A line for each field.
fn readable(value: &Value) -> String {
    let fields = value.as_object().into_iter().flatten();
    let lines = fields.map(|(name, value)| match value {
        Value::String(text) => format!("{name}: {text}\n"),
        other => format!("{name}: {other}\n"),
    });
    lines.collect()
}

/// Returns the word for a kind of file.
pub(super) fn kind(file_type: FileType) -> &'static str {
    match file_type {
        FileType::Regular => "file",
        FileType::Directory => "directory",
        FileType::CharacterDevice => "character device",
        FileType::BlockDevice => "block device",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::Symlink => "symbolic link",
    }
}

/// Returns kind and permissions as `ls -l` shows them. POSIX: `ls`, "File Mode".
pub(super) fn mode_text(found: &Metadata) -> String {
    let first = match found.file_type {
        FileType::Regular => '-',
        FileType::Directory => 'd',
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
        FileType::Symlink => 'l',
    };
    // Of owner, group and others: where their three bits lie, the bit that changes what `x` is, and to what.
    let classes = [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')];
    let mut text = String::from(first);
    for (shift, special, letter) in classes {
        let bits = found.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, found.mode & special != 0) {
            (true, false) => 'x',
            (false, false) => '-',
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
        });
    }
    text
}

/// Returns a time as RFC 3339, in UTC.
pub(super) fn time_text(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_second(time.seconds);
    time.map_or_else(|_| "unknown".to_owned(), |time| time.to_string())
}
