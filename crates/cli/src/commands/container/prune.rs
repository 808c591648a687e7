//! `minke container prune`: containers that do not run.

use clap::Args;
use minke_engine::Engine;
use minke_engine::image::ImageFilter;

use crate::commands::confirm::confirm;
use crate::commands::{engine, prune_filter};
use crate::output::{print, size};
use crate::report::Report;

/// Remove all containers that do not run
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke container prune\n  minke container prune -f --filter until=24h --filter label=tier=test"
)]
pub(crate) struct Prune {
    /// Do not ask
    #[arg(short, long)]
    force: bool,

    /// Remove some only: `until=TIME`, `label=NAME[=VALUE]` or `label!=NAME[=VALUE]`
    #[arg(long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<String>,
}

impl Prune {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        // What is typed wrong is said before anybody is asked.
        let filter = prune_filter(&self.filters)?;
        let warning = "WARNING! This will remove all stopped containers.";
        confirm(warning, self.force, "container prune")?;
        let (text, freed_bytes) = prune(&engine()?, &filter)?;
        print(&format!(
            "{text}Total reclaimed space: {}\n",
            size(freed_bytes)
        ))?;
        Ok(0)
    }
}

/// Removes containers; returns what people read of it, and the bytes that were freed.
pub(in crate::commands) fn prune(
    engine: &Engine,
    filter: &ImageFilter,
) -> Result<(String, u64), Report> {
    let (removed, freed_bytes) = engine.prune_containers(filter)?;
    let lines: String = removed.iter().map(|id| format!("{id}\n")).collect();
    let text = match removed.is_empty() {
        true => lines,
        false => format!("Deleted Containers:\n{lines}\n"),
    };
    Ok((text, freed_bytes))
}
