//! `minke image prune`: images that nothing needs.

use clap::Args;
use minke_engine::Engine;
use minke_engine::engine::images::Unused;

use crate::commands::confirm::confirm;
use crate::commands::{engine, image_filter};
use crate::output::{print, size};
use crate::report::Report;

/// Remove images that nothing needs
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke image prune\n  minke image prune -a -f --filter until=24h"
)]
pub(crate) struct Prune {
    /// Remove all images that no container was made from, not only those without a name
    #[arg(short, long)]
    all: bool,

    /// Do not ask
    #[arg(short, long)]
    force: bool,

    /// Remove some images only: `label=NAME[=VALUE]`, `label!=NAME[=VALUE]` or `until=TIME`
    #[arg(long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<String>,
}

impl Prune {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let (unused, what) = match self.all {
            true => (
                Unused::All,
                "images without at least one container associated to them",
            ),
            false => (Unused::Dangling, "dangling images"),
        };
        // What is typed wrong is said before anybody is asked.
        image_filter(&self.filters, None)?;
        let warning = format!("WARNING! This will remove all {what}.");
        confirm(&warning, self.force, "image prune")?;
        let pruned = prune(&engine()?, unused, &self.filters)?;
        print(&format!(
            "{}Total reclaimed space: {}\n",
            pruned.text,
            size(pruned.freed_bytes)
        ))?;
        Ok(0)
    }
}

/// What a prune did, as people read it.
pub(in crate::commands) struct Pruned {
    pub(in crate::commands) text: String,
    pub(in crate::commands) freed_bytes: u64,
}

/// Removes images; the text names each.
pub(in crate::commands) fn prune(
    engine: &Engine,
    unused: Unused,
    filters: &[String],
) -> Result<Pruned, Report> {
    let removed = engine.prune_images(unused, &image_filter(filters, None)?)?;
    let mut text = String::new();
    for image in &removed {
        let untagged = image
            .untagged
            .iter()
            .map(|name| format!("untagged: {name}\n"));
        text.extend(untagged);
        text.extend(image.deleted.map(|id| format!("deleted: {id}\n")));
    }
    if !text.is_empty() {
        text = format!("Deleted Images:\n{text}\n");
    }
    let freed_bytes = removed.iter().map(|image| image.freed_bytes).sum();
    Ok(Pruned { text, freed_bytes })
}
