//! `minke system df`: how much room everything takes.

use clap::Args;
use jiff::Timestamp;
use minke_engine::usage::{Share, Usage};
use serde::Serialize;

use crate::commands::engine;
use crate::format::{Format, List};
use crate::output::{ago, print, size, table};
use crate::report::Report;

/// Show how much room everything takes
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke system df -v\n  minke system df --format '{{.Type}}: {{.Reclaimable}}'"
)]
pub(crate) struct Df {
    /// Show each image, container, volume, build step, build's cache and image's snapshot
    #[arg(short, long)]
    verbose: bool,

    /// `table`, `json` (one object per line), or a template such as `{{.Type}} {{.Size}}`
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "table",
        conflicts_with = "verbose"
    )]
    format: Format,
}

/// Docker: `cli/command/formatter/disk_usage.go`.
const LIST: List = List {
    fields: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
    columns: &["Type", "TotalCount", "Active", "Size", "Reclaimable"],
};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    r#type: &'static str,
    total_count: String,
    active: String,
    size: String,
    reclaimable: String,
}

impl Df {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let usage = engine()?.disk_usage()?;
        let text = match self.verbose {
            true => verbose(&usage),
            false => {
                let rows = usage.shares().map(|(name, share)| row(name, share));
                LIST.text(&self.format, &rows.collect::<Vec<_>>())?
            }
        };
        print(&text)?;
        Ok(0)
    }
}

fn row(name: &'static str, share: &Share) -> Row {
    let percent = (share.reclaimable_bytes * 100).checked_div(share.size_bytes);
    let reclaimable = size(share.reclaimable_bytes);
    Row {
        r#type: name,
        total_count: share.total_count.to_string(),
        active: share.active_count.to_string(),
        size: size(share.size_bytes),
        // Docker: the share of a size of nothing is left out.
        reclaimable: match percent {
            Some(percent) => format!("{reclaimable} ({percent}%)"),
            None => reclaimable,
        },
    }
}

fn verbose(usage: &Usage) -> String {
    let now_s = Timestamp::now().as_second();
    let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let mut images = vec![texts(&[
        "REPOSITORY",
        "TAG",
        "IMAGE ID",
        "CREATED",
        "SIZE",
        "SHARED SIZE",
        "UNIQUE SIZE",
        "CONTAINERS",
    ])];
    for image in &usage.image_rows {
        let name = image.summary.tags.first();
        images.push(vec![
            name.map_or_else(|| "<none>".to_owned(), |name| name.name()),
            name.map_or_else(|| "<none>".to_owned(), |name| name.tag.clone()),
            image.summary.id.short(),
            format!("{} ago", ago(now_s - image.summary.made_s())),
            size(image.summary.size_bytes),
            size(image.summary.size_bytes.saturating_sub(image.unique_bytes)),
            size(image.unique_bytes),
            image.containers_count.to_string(),
        ]);
    }
    let mut containers = vec![texts(&["CONTAINER ID", "IMAGE", "STATUS", "SIZE", "NAMES"])];
    for container in &usage.container_rows {
        containers.push(vec![
            container.container.short_id().to_owned(),
            container.container.config.image.clone(),
            container.container.state.status.word().to_owned(),
            size(container.size_bytes),
            container.container.config.name.clone(),
        ]);
    }
    let mut steps = vec![texts(&["CACHE ID", "SIZE", "LAST USED", "SHARED"])];
    for step in &usage.steps {
        steps.push(vec![
            step.key.short(),
            size(step.size_bytes),
            format!("{} ago", ago(now_s - step.used_s)),
            step.is_shared.to_string(),
        ]);
    }
    for cache in &usage.caches {
        steps.push(vec![
            cache.short(),
            size(cache.size_bytes),
            format!("{} ago", ago(now_s - cache.used_s())),
            false.to_string(),
        ]);
    }
    format!(
        "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}\nBuild cache usage: {}\n\n{}\nCompiled modules: {} in {}\n\nImage snapshots space usage:\n\n{}",
        table(&images),
        table(&containers),
        table(&volumes(usage)),
        size(usage.build_cache.size_bytes),
        table(&steps),
        usage.modules.total_count,
        size(usage.modules.size_bytes),
        table(&snapshots(usage)),
    )
}

/// Those of the layers of images, by chain id; the disk without files has none.
fn snapshots(usage: &Usage) -> Vec<Vec<String>> {
    let headings = ["CHAIN ID", "SIZE", "CONTAINERS"]
        .map(str::to_owned)
        .to_vec();
    let rows = usage.snapshot_rows.iter().map(|row| {
        let chain_id = row.snapshot.chain_id();
        vec![
            chain_id.map_or_else(|| "<empty>".to_owned(), |id| id.short()),
            size(row.snapshot.size_bytes),
            row.containers_count.to_string(),
        ]
    });
    std::iter::once(headings).chain(rows).collect()
}

/// Docker: `cli/command/formatter/disk_usage.go`, `defaultDiskUsageVolumeTableFormat`.
fn volumes(usage: &Usage) -> Vec<Vec<String>> {
    let headings = ["VOLUME NAME", "LINKS", "SIZE"].map(str::to_owned).to_vec();
    let rows = usage.volume_rows.iter().map(|volume| {
        vec![
            volume.name.clone(),
            volume.containers_count.to_string(),
            size(volume.size_bytes),
        ]
    });
    std::iter::once(headings).chain(rows).collect()
}
