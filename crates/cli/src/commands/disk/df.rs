//! `minke disk df`: how much of a disk is used.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::open::open;
use crate::format::{Format, List};
use crate::output::{print, size};
use crate::report::Report;

/// Show how much of disks is used
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke disk df data.img\n  minke disk df --format json data.img"
)]
pub(crate) struct Df {
    /// `table`, `json` (one object per line), or a template such as `{{.Available}}`
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,

    /// Files with an ext2, ext3 or ext4 file system
    #[arg(required = true, value_name = "DISK")]
    disks: Vec<PathBuf>,
}

const LIST: List = List {
    fields: &[
        ("Available", "AVAILABLE"),
        ("Disk", "DISK"),
        ("Inodes", "INODES"),
        ("InodesUsed", "INODES USED"),
        ("Size", "SIZE"),
        ("Used", "USED"),
    ],
    columns: &["Disk", "Size", "Used", "Available", "Inodes", "InodesUsed"],
};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    /// Without what is kept for root.
    available: String,
    disk: String,
    inodes: u32,
    inodes_used: u32,
    /// Without metadata of fixed place.
    size: String,
    used: String,
}

impl Df {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let mut rows = Vec::new();
        for disk in &self.disks {
            let found = open(disk)?.statistics();
            let bytes = |blocks: u64| size(blocks * u64::from(found.block_size));
            rows.push(Row {
                available: bytes(found.blocks_available),
                disk: disk.display().to_string(),
                inodes: found.inodes,
                inodes_used: found.inodes - found.inodes_free,
                size: bytes(found.blocks),
                used: bytes(found.blocks.saturating_sub(found.blocks_free)),
            });
        }
        print(&LIST.text(&self.format, &rows)?)?;
        Ok(0)
    }
}
