//! `minke system prune`: everything that nothing needs.

use clap::Args;
use minke_engine::engine::images::Unused;
use minke_engine::image::PrunedSteps;
use minke_engine::usage::PrunedModules;
use minke_engine::{PrunedVolumes, VolumeFilter};

use crate::commands::confirm::confirm;
use crate::commands::{builder, container, engine, image, prune_filter, volume};
use crate::output::{print, size};
use crate::report::Report;

/// Remove everything that nothing needs
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke system prune\n  minke system prune -a -f --filter until=24h"
)]
pub(crate) struct Prune {
    /// Remove all images that no container was made from, not only those without a name, and all compiled modules and images' snapshots without a container
    #[arg(short, long)]
    all: bool,

    /// Remove volumes that nobody named and no container has too
    #[arg(long)]
    volumes: bool,

    /// Do not ask
    #[arg(short, long)]
    force: bool,

    /// Remove some only: `until=TIME`, `label=NAME[=VALUE]` or `label!=NAME[=VALUE]`
    #[arg(long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<String>,
}

impl Prune {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let filter = prune_filter(&self.filters)?;
        let volumes = self.volumes_filter()?;
        confirm(&self.warning(), self.force, "system prune")?;
        let engine = engine()?;
        let (text, mut freed_bytes) = container::prune::prune(&engine, &filter)?;
        let unused = if self.all {
            Unused::All
        } else {
            Unused::Dangling
        };
        let images = image::prune::prune(&engine, unused, &self.filters)?;
        let volumes = match &volumes {
            Some(filter) => volume::prune::prune(&engine, PrunedVolumes::Anonymous, filter)?,
            None => (String::new(), 0),
        };
        let times: Vec<String> = self
            .filters
            .iter()
            .filter(|it| it.starts_with("until="))
            .cloned()
            .collect();
        let which = if self.all {
            PrunedSteps::All
        } else {
            PrunedSteps::Unshared
        };
        let modules = if self.all {
            PrunedModules::All
        } else {
            PrunedModules::Old
        };
        let steps = builder::prune(&engine, which, &times)?;
        // Those of images that are gone went with them.
        if self.all {
            freed_bytes += engine.prune_snapshots()?;
        }
        freed_bytes += volumes.1 + images.freed_bytes + steps.1 + engine.prune_modules(modules);
        print(&format!(
            "{text}{}{}{}Total reclaimed space: {}\n",
            volumes.0,
            images.text,
            steps.0,
            size(freed_bytes)
        ))?;
        Ok(0)
    }

    /// Which volumes are pruned; `None` where none are. Docker refuses times for them too.
    fn volumes_filter(&self) -> Result<Option<VolumeFilter>, Report> {
        if !self.volumes {
            return Ok(None);
        }
        if self.filters.iter().any(|it| it.starts_with("until=")) {
            return Err(Report::usage(
                "the filter `until` is not supported with `--volumes`",
                "leave out one of them",
            ));
        }
        let filter = VolumeFilter::parse(&self.filters, VolumeFilter::PRUNE_KEYS)?;
        Ok(Some(filter))
    }

    /// Docker: `cli/command/system/prune.go`.
    fn warning(&self) -> String {
        let mut lines = vec!["WARNING! This will remove:", "  - all stopped containers"];
        if self.volumes {
            lines.push("  - all anonymous volumes not used by at least one container");
        }
        lines.push(match self.all {
            true => "  - all images without at least one container associated to them",
            false => "  - all dangling images",
        });
        lines.push(match self.all {
            true => "  - all build cache",
            false => "  - unused build cache",
        });
        lines.push(match self.all {
            true => "  - all compiled modules",
            false => "  - compiled modules that were not used for 30 days",
        });
        if self.all {
            lines.push("  - all snapshots of images without a container over them");
        }
        let mut warning = lines.join("\n") + "\n";
        if !self.filters.is_empty() {
            warning.push_str("\n  Items to be pruned will be filtered with:\n");
            let filters = self.filters.iter().map(|filter| format!("  - {filter}\n"));
            warning.extend(filters);
        }
        warning
    }
}
