//! `minke volume prune`: volumes that no container has.

use clap::Args;
use minke_engine::{Engine, PrunedVolumes, VolumeFilter};

use crate::commands::confirm::confirm;
use crate::commands::engine;
use crate::output::{print, size};
use crate::report::Report;

/// Remove volumes that nobody named and no container has
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke volume prune\n  minke volume prune -a -f --filter label=tier=test"
)]
pub(crate) struct Prune {
    /// Remove those with names too
    #[arg(short, long)]
    all: bool,

    /// Do not ask
    #[arg(short, long)]
    force: bool,

    /// Remove some only: `label=NAME[=VALUE]` or `label!=NAME[=VALUE]`
    #[arg(long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<String>,
}

impl Prune {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        // What is typed wrong is said before anybody is asked.
        let filter = VolumeFilter::parse(&self.filters, VolumeFilter::PRUNE_KEYS)?;
        let (which, what) = match self.all {
            true => (PrunedVolumes::All, "volumes"),
            false => (PrunedVolumes::Anonymous, "anonymous volumes"),
        };
        let warning =
            format!("WARNING! This will remove all {what} not used by at least one container.");
        confirm(&warning, self.force, "volume prune")?;
        let (text, freed_bytes) = prune(&engine()?, which, &filter)?;
        print(&format!(
            "{text}Total reclaimed space: {}\n",
            size(freed_bytes)
        ))?;
        Ok(0)
    }
}

/// Removes volumes; returns what people read of it, and the bytes that were freed.
pub(in crate::commands) fn prune(
    engine: &Engine,
    which: PrunedVolumes,
    filter: &VolumeFilter,
) -> Result<(String, u64), Report> {
    let (removed, freed_bytes) = engine.prune_volumes(which, filter)?;
    let lines: String = removed.iter().map(|name| format!("{name}\n")).collect();
    let text = match removed.is_empty() {
        true => lines,
        false => format!("Deleted Volumes:\n{lines}\n"),
    };
    Ok((text, freed_bytes))
}
