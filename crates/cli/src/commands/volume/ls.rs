//! `minke volume ls`: the volumes, as a table, names or as `--format` says.

use clap::Args;
use minke_engine::volumes::size_bytes;
use minke_engine::{Volume, VolumeDriver, VolumeFilter};
use serde::Serialize;

use crate::commands::engine;
use crate::format::{Format, List};
use crate::output::{print, size};
use crate::report::Report;

/// List volumes
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke volume ls\n  minke volume ls -q -f dangling=true\n  minke volume ls --format '{{.Name}}: {{.Mountpoint}}'"
)]
pub(crate) struct Ls {
    /// Show some only: `name=PART`, `label=NAME[=VALUE]`, `label!=NAME[=VALUE]`, or `dangling=true` for those that no container has
    #[arg(short, long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<String>,

    /// Show names only
    #[arg(short, long)]
    quiet: bool,

    /// `table`, `json` (one object per line), or a template such as `{{.Name}}`
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
}

/// Docker: `cli/command/formatter/volume.go`. What nobody measures there either is `N/A`; disks tell what they take on the host.
const LIST: List = List {
    fields: &[
        ("Driver", "DRIVER"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Name", "VOLUME NAME"),
        ("Scope", "SCOPE"),
        ("Size", "SIZE"),
    ],
    columns: &["Driver", "Name"],
};

/// Docker's fields of `docker volume ls --format json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    driver: &'static str,
    labels: String,
    links: String,
    mountpoint: String,
    name: String,
    scope: &'static str,
    size: String,
}

impl Ls {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let filter = VolumeFilter::parse(&self.filters, VolumeFilter::LIST_KEYS)?;
        let engine = engine()?;
        let users = engine.volume_users()?;
        let volumes = engine.volumes()?.into_iter();
        let meant = volumes.filter(|it| filter.matches(it, !users.of(&it.name).is_empty()));
        let rows: Vec<Row> = meant
            .map(|volume| {
                let users_count = users.of(&volume.name).len();
                row(volume, users_count)
            })
            .collect();
        let text = match self.quiet {
            true => rows.iter().map(|row| format!("{}\n", row.name)).collect(),
            false => LIST.text(&self.format, &rows)?,
        };
        print(&text)?;
        Ok(0)
    }
}

fn row(volume: Volume, users_count: usize) -> Row {
    let size = match volume.driver {
        VolumeDriver::Local => "N/A".to_owned(),
        VolumeDriver::Disk => size(size_bytes(&volume)),
    };
    let labels = volume.labels.iter();
    let labels = labels.map(|(key, value)| format!("{key}={value}"));
    Row {
        driver: volume.driver.word(),
        labels: labels.collect::<Vec<_>>().join(","),
        links: match volume.driver {
            VolumeDriver::Local => "N/A".to_owned(),
            VolumeDriver::Disk => users_count.to_string(),
        },
        mountpoint: volume.data.display().to_string(),
        name: volume.name,
        scope: "local",
        size,
    }
}
