//! `minke disk check`: what is wrong with a disk.

use std::path::PathBuf;

use clap::Args;
use minke_ext4::check::{CheckReport, check};
use serde::Serialize;

use super::file::open_file;
use crate::format::{Format, List};
use crate::output::print;
use crate::report::{Kind, Report};

/// Check a disk: read everything, and name each fault
///
/// Nothing is changed. The exit code is 1 if something is wrong.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke disk check data.img\n  minke disk check --format json data.img"
)]
pub(crate) struct Check {
    /// `table`, `json` (one object per line), or a template such as `{{.Fault}}`
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,

    /// A file with an ext2, ext3 or ext4 file system
    #[arg(value_name = "DISK")]
    disk: PathBuf,
}

const LIST: List = List {
    fields: &[("Fault", "FAULT"), ("Place", "PLACE")],
    columns: &["Place", "Fault"],
};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    fault: String,
    place: String,
}

impl Check {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let file = open_file(&self.disk)?;
        let report = check(&file).map_err(|error| {
            Report::new(
                format!("cannot check `{}`: {error}", self.disk.display()),
                "`e2fsck` may find a copy of what is lost",
            )
        })?;
        let text = match (&self.format, report.is_clean()) {
            (Format::Table, true) => summary(&report),
            (Format::Table, false) => self.faults(&report)? + &summary(&report),
            _ => self.faults(&report)?,
        };
        print(&text)?;
        Ok(match report.is_clean() {
            true => 0,
            false => Kind::Command.exit_code(),
        })
    }

    fn faults(&self, report: &CheckReport) -> Result<String, Report> {
        let rows = report.faults.iter().map(|fault| Row {
            fault: fault.kind.to_string(),
            place: fault.place.to_string(),
        });
        LIST.text(&self.format, &rows.collect::<Vec<_>>())
    }
}

fn summary(report: &CheckReport) -> String {
    let faults = match report.faults.len() as u64 + report.omitted_count {
        0 => "no faults".to_owned(),
        1 => "1 fault".to_owned(),
        count => format!("{count} faults"),
    };
    let recovery = match report.needs_recovery {
        true => "; its journal is not replayed yet",
        false => "",
    };
    format!(
        "{faults}: {} inodes, {} directories, {} of {} blocks used{recovery}\n",
        report.inodes_count,
        report.directories_count,
        report.used_blocks_count,
        report.blocks_count
    )
}
