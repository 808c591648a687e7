//! `minke snapshot ls`: the snapshots of a container, as a table, names or as `--format` says.

use clap::Args;
use minke_engine::{NamedSnapshot, snapshot_bytes};
use serde::Serialize;

use crate::commands::engine;
use crate::format::{Format, List};
use crate::output::{ago, print, seconds_since, size};
use crate::report::Report;

/// List the snapshots of a container, as they were taken
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke snapshot ls web\n  minke snapshot ls -q web\n  minke snapshot ls --format '{{.Name}}: {{.Size}}' web"
)]
pub(crate) struct Ls {
    /// Show names only
    #[arg(short, long)]
    quiet: bool,

    /// `table`, `json` (one object per line), or a template such as `{{.Name}}`
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,

    /// Name, id or beginning of an id
    #[arg(value_name = "CONTAINER")]
    container: String,
}

const LIST: List = List {
    fields: &[
        ("CreatedAt", "CREATED AT"),
        ("CreatedSince", "CREATED"),
        ("Current", "CURRENT"),
        ("Name", "SNAPSHOT"),
        ("Parent", "PARENT"),
        ("Size", "SIZE"),
    ],
    columns: &["Name", "CreatedSince", "Size", "Parent", "Current"],
};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    created_at: String,
    created_since: String,
    /// Whether the root goes on from it.
    current: &'static str,
    name: String,
    parent: String,
    /// What it holds itself, without what it lies on.
    size: String,
}

impl Ls {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let snapshots = engine.snapshots(&engine.container(&self.container)?)?;
        let rows: Vec<Row> = snapshots.into_iter().map(row).collect();
        let text = match self.quiet {
            true => rows.iter().map(|row| format!("{}\n", row.name)).collect(),
            false => LIST.text(&self.format, &rows)?,
        };
        print(&text)?;
        Ok(0)
    }
}

fn row(snapshot: NamedSnapshot) -> Row {
    Row {
        created_since: format!("{} ago", ago(seconds_since(&snapshot.created_at))),
        size: size(snapshot_bytes(&snapshot)),
        current: match snapshot.is_current {
            true => "*",
            false => "",
        },
        name: snapshot.name,
        parent: snapshot.parent.unwrap_or_default(),
        created_at: snapshot.created_at,
    }
}
