//! `minke images`: what the content store has, as a table, ids or as `--format` says.

use clap::Args;
use jiff::Timestamp;
use minke_engine::image::ImageSummary;
use serde::Serialize;

use crate::commands::{engine, image_filter};
use crate::format::{Format, List};
use crate::output::{ago, listed_time, print, size};
use crate::report::Report;

/// List images
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke images 'app*'\n  minke images -f dangling=true -q\n  minke images --format '{{.Repository}}:{{.Tag}} {{.Size}}'"
)]
pub(crate) struct Images {
    /// Show all images; there are none between those that are listed anyway
    #[arg(short, long)]
    all: bool,

    /// Show some images only: `before=IMAGE`, `dangling=true`, `label=NAME[=VALUE]`, `reference=PATTERN`, `since=IMAGE` or `until=TIME`
    #[arg(short, long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<String>,

    /// Show digests of manifests too
    #[arg(long)]
    digests: bool,

    /// Show ids only
    #[arg(short, long)]
    quiet: bool,

    /// Show whole ids
    #[arg(long)]
    no_trunc: bool,

    /// `table`, `json` (one object per line), or a template such as `{{.Repository}}:{{.Tag}}`
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,

    /// A name, with or without a tag; `*`, `?` and `[a-z]` stand for others
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Docker: `cli/command/formatter/image.go`, `newImageContext()`.
const LIST: List = List {
    fields: &[
        ("CreatedAt", "CREATED AT"),
        ("CreatedSince", "CREATED"),
        ("Digest", "DIGEST"),
        ("ID", "IMAGE ID"),
        ("Repository", "REPOSITORY"),
        ("Size", "SIZE"),
        ("Tag", "TAG"),
    ],
    columns: &["Repository", "Tag", "ID", "CreatedSince", "Size"],
};

/// The table of `--digests`.
const COLUMNS_WITH_DIGESTS: &[&str] =
    &["Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"];

/// Docker's fields of `docker images --format json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    created_at: String,
    created_since: String,
    digest: String,
    #[serde(rename = "ID")]
    id: String,
    repository: String,
    size: String,
    tag: String,
}

/// What stands where there is no name.
const NONE: &str = "<none>";

impl Images {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let filter = image_filter(&self.filters, self.name.as_deref())?;
        let images = filter.apply(engine.store()?, engine.images()?);
        let images = images.map_err(minke_engine::EngineError::from)?;
        let rows: Vec<Row> = images.iter().flat_map(|image| self.rows(image)).collect();
        let text = match self.quiet {
            true => {
                let mut ids: Vec<String> = rows.iter().map(|row| format!("{}\n", row.id)).collect();
                ids.dedup();
                ids.concat()
            }
            false if self.digests => List {
                columns: COLUMNS_WITH_DIGESTS,
                ..LIST
            }
            .text(&self.format, &rows)?,
            false => LIST.text(&self.format, &rows)?,
        };
        print(&text)?;
        Ok(0)
    }

    /// One row for each name.
    fn rows(&self, image: &ImageSummary) -> Vec<Row> {
        let names: Vec<(String, String)> = match image.tags.is_empty() {
            true => vec![(NONE.to_owned(), NONE.to_owned())],
            false => image
                .tags
                .iter()
                .map(|tag| (tag.name(), tag.tag.clone()))
                .collect(),
        };
        let created = image.created_s.unwrap_or(image.stored_s);
        let row = |(repository, tag)| Row {
            created_at: Timestamp::from_second(created).map_or_else(|_| String::new(), listed_time),
            created_since: format!("{} ago", ago(Timestamp::now().as_second() - created)),
            digest: image.manifest_digest.to_string(),
            id: match self.no_trunc {
                true => image.id.to_string(),
                false => image.id.short(),
            },
            repository,
            size: size(image.size_bytes),
            tag,
        };
        names.into_iter().map(row).collect()
    }
}
