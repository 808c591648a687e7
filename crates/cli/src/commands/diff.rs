//! `minke diff`: which of its image's files a container has changed.

use clap::Args;
use serde::Serialize;

use crate::commands::engine;
use crate::format::{Format, List};
use crate::output::print;
use crate::report::Report;

/// Show which files a container has changed
///
/// `A` is added, `C` is changed, `D` is deleted. What lies in mounts belongs to no container and is not shown.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke diff web\n  minke diff --format json web")]
pub(crate) struct Diff {
    /// `table`, `json` (one object per line), or a template such as `{{.Type}} {{.Path}}`
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,

    /// Name, id or beginning of an id
    #[arg(value_name = "CONTAINER")]
    container: String,
}

/// Docker: `cli/command/formatter/diff.go`.
const LIST: List = List {
    fields: &[("Type", "CHANGE TYPE"), ("Path", "PATH")],
    columns: &["Type", "Path"],
};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    path: String,
    r#type: String,
}

impl Diff {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let container = engine.container(&self.container)?;
        let changes = engine.changes(&container)?;
        let rows = changes.iter().map(|change| Row {
            path: String::from_utf8_lossy(&change.path).into_owned(),
            r#type: char::from(change.kind.letter()).to_string(),
        });
        // Docker: lines without a heading and without columns.
        let text = match self.format {
            Format::Table => rows
                .map(|row| format!("{} {}\n", row.r#type, row.path))
                .collect(),
            _ => LIST.text(&self.format, &rows.collect::<Vec<_>>())?,
        };
        print(&text)?;
        Ok(0)
    }
}
