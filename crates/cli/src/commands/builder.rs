//! `minke builder`: what is kept for builds to come.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use minke_engine::Engine;
use minke_engine::build_caches::BuildCache;
use minke_engine::image::PrunedSteps;
use minke_engine::syntax::parse_time;

use crate::commands::confirm::confirm;
use crate::commands::engine;
use crate::output::{print, size};
use crate::report::Report;

/// Manage the build cache
///
/// Results of steps that no image has, and caches of `RUN --mount=type=cache`, are bounded to 10 GiB each: what was not used for
/// longest goes after a build. `MINKE_BUILD_CACHE_SIZE` sets another size, such as `20g`.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  minke builder prune\n  MINKE_BUILD_CACHE_SIZE=2g minke build -t app:1 ."
)]
pub(crate) struct Builder {
    #[command(subcommand)]
    command: BuilderCommand,
}

#[derive(Debug, Subcommand)]
enum BuilderCommand {
    Prune(Prune),
}

/// Remove results of build steps that no image has, and caches of `RUN --mount=type=cache` that no build uses
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke builder prune\n  minke builder prune -a -f --filter until=24h"
)]
struct Prune {
    /// Remove all results, so that the next build makes every step anew
    #[arg(short, long)]
    all: bool,

    /// Do not ask
    #[arg(short, long)]
    force: bool,

    /// Remove some only: `until=TIME`, those that were not used since
    #[arg(long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<String>,
}

impl Builder {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        match &self.command {
            BuilderCommand::Prune(command) => command.run(),
        }
    }
}

impl Prune {
    fn run(&self) -> Result<u8, Report> {
        let (which, what) = match self.all {
            true => (PrunedSteps::All, "all build cache"),
            false => (PrunedSteps::Unshared, "all dangling build cache"),
        };
        until(&self.filters)?;
        confirm(
            &format!("WARNING! This will remove {what}."),
            self.force,
            "build cache prune",
        )?;
        let pruned = prune(&engine()?, which, &self.filters)?;
        print(&format!("{}Total:\t{}\n", pruned.0, size(pruned.1)))?;
        Ok(0)
    }
}

/// Drops build steps, and caches that no build has; returns their ids as people read them, and what was freed.
pub(super) fn prune(
    engine: &Engine,
    which: PrunedSteps,
    filters: &[String],
) -> Result<(String, u64), Report> {
    let until_s = until(filters)?.map(Timestamp::as_second);
    let (steps, mut freed_bytes) = engine.prune_build_cache(which, until_s)?;
    let caches = engine.prune_build_caches(until_s);
    freed_bytes += caches.iter().map(|cache| cache.size_bytes).sum::<u64>();
    let steps = steps.iter().map(|step| step.key.short());
    let names = steps.chain(caches.iter().map(BuildCache::short));
    let lines: String = names.map(|name| format!("{name}\n")).collect();
    match lines.is_empty() {
        true => Ok((lines, freed_bytes)),
        false => Ok((
            format!("Deleted build cache objects:\n{lines}\n"),
            freed_bytes,
        )),
    }
}

/// Reads the one filter there is.
fn until(filters: &[String]) -> Result<Option<Timestamp>, Report> {
    let mut until = None;
    for filter in filters {
        match filter.split_once('=') {
            Some(("until", time)) => until = Some(parse_time(time)?),
            _ => {
                return Err(Report::usage(
                    format!("invalid filter `{filter}`"),
                    "use `until=TIME`, such as `until=24h`",
                ));
            }
        }
    }
    Ok(until)
}
