//! `minke history`: the instructions that made an image, newest first.

use clap::Args;
use jiff::Timestamp;
use minke_engine::image::{HistoryEntry, Image};
use serde::Serialize;

use crate::commands::engine;
use crate::format::{Format, List};
use crate::output::{ago, print, size};
use crate::report::Report;

/// Longest instruction that the table shows. Docker: `cli/command/formatter/history.go`.
const CREATED_BY_CHARS_MAX: usize = 45;

/// Show the instructions that made an image
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke history app:1\n  minke history --no-trunc --format '{{.CreatedBy}}' app:1"
)]
pub(crate) struct History {
    /// Show whole ids and instructions
    #[arg(long)]
    no_trunc: bool,

    /// Show ids only
    #[arg(short, long)]
    quiet: bool,

    /// `false` for bytes and times instead of rounded ones
    #[arg(short = 'H', long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    human: bool,

    /// `table`, `json` (one object per line), or a template such as `{{.CreatedBy}}`
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,

    /// Name, id or beginning of an id
    #[arg(value_name = "IMAGE")]
    image: String,
}

/// Docker: `cli/command/formatter/history.go`.
const LIST: List = List {
    fields: &[
        ("Comment", "COMMENT"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("CreatedSince", "CREATED"),
        ("ID", "IMAGE"),
        ("Size", "SIZE"),
    ],
    columns: &["ID", "CreatedSince", "CreatedBy", "Size", "Comment"],
};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    comment: String,
    created_at: String,
    created_by: String,
    created_since: String,
    #[serde(rename = "ID")]
    id: String,
    size: String,
}

/// What stands for an image that is only part of this one.
const MISSING: &str = "<missing>";

impl History {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let image = engine.store()?.image(&self.image);
        let rows = self.rows(&image.map_err(minke_engine::EngineError::from)?);
        let text = match self.quiet {
            true => rows.iter().map(|row| format!("{}\n", row.id)).collect(),
            false => LIST.text(&self.format, &rows)?,
        };
        print(&text)?;
        Ok(0)
    }

    /// One row for each instruction; a foreign image without a history has one for each layer.
    fn rows(&self, image: &Image) -> Vec<Row> {
        let nameless = || HistoryEntry {
            created_by: String::new(),
            created_s: image.created_s,
            has_layer: true,
            ..HistoryEntry::default()
        };
        let history: Vec<HistoryEntry> = match image.history.is_empty() {
            true => image.layers.iter().map(|_| nameless()).collect(),
            false => image.history.clone(),
        };
        let mut sizes = image.layers.iter().map(|layer| layer.size_bytes);
        let mut rows: Vec<Row> = history
            .iter()
            .map(|entry| {
                let size_bytes = entry.has_layer.then(|| sizes.next()).flatten();
                self.row(entry, size_bytes.unwrap_or(0))
            })
            .collect();
        rows.reverse();
        if let Some(newest) = rows.first_mut() {
            newest.id = match self.no_trunc {
                true => image.id.to_string(),
                false => image.id.short(),
            };
        }
        rows
    }

    fn row(&self, entry: &HistoryEntry, size_bytes: u64) -> Row {
        let created = entry.created_s.and_then(|s| Timestamp::from_second(s).ok());
        let created_at = created.map_or_else(|| "N/A".to_owned(), |time| time.to_string());
        let created_since = created.map_or_else(
            || "N/A".to_owned(),
            |time| {
                format!(
                    "{} ago",
                    ago(Timestamp::now().as_second() - time.as_second())
                )
            },
        );
        Row {
            comment: entry.comment.clone(),
            created_since: if self.human {
                created_since
            } else {
                created_at.clone()
            },
            created_at,
            created_by: self.created_by(&entry.created_by),
            id: MISSING.to_owned(),
            size: match self.human {
                true => size(size_bytes),
                false => size_bytes.to_string(),
            },
        }
    }

    fn created_by(&self, instruction: &str) -> String {
        let line = instruction.replace(['\t', '\n'], " ");
        if self.no_trunc || line.chars().count() <= CREATED_BY_CHARS_MAX {
            return line;
        }
        let start: String = line.chars().take(CREATED_BY_CHARS_MAX - 1).collect();
        format!("{start}…")
    }
}
