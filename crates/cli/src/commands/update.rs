//! `minke update`: limits and restart policies of containers that are there.

use clap::Args;
use minke_engine::plan::{PIDS_MAX_DEFAULT, memory_default};
use minke_engine::syntax::parse_cpus;
use minke_engine::{CpusChange, RestartPolicy, Update as Change};

use super::options::{memory_bytes_max, pids_max};
use crate::commands::{engine, for_each};
use crate::output::print_line;
use crate::report::Report;

/// Change limits and restart policies of containers
///
/// A container that runs has its new limits at once; what it uses already it keeps. A restart policy of one that runs
/// without any holds from its next start on.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke update --memory 32m --cpus 0.5 web\n  minke update --restart no web"
)]
pub(crate) struct Update {
    /// Most memory for the container, such as `64m`; 0 goes back to the default
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,

    /// CPU time per time: `0.5` is half of one CPU, 0 lifts the limit
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    cpus: Option<String>,

    /// Most processes and threads at a time
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pids_limit: Option<i64>,

    /// Start the container again when it has ended: `no`, `on-failure[:N]`, `always` or `unless-stopped`
    #[arg(long, value_name = "POLICY", value_parser = RestartPolicy::parse)]
    restart: Option<RestartPolicy>,

    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Update {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let change = Change {
            // Docker: 0 changes nothing; ours goes back to the default.
            memory_bytes_max: memory_bytes_max(self.memory.as_deref())?
                .map(|asked| asked.unwrap_or_else(memory_default)),
            pids_max: match self.pids_limit {
                // Docker: no limit; ours goes back to the default.
                Some(..=0) => Some(PIDS_MAX_DEFAULT),
                limit => pids_max(limit)?,
            },
            cpus: self.cpus.as_deref().map(parse_cpus).transpose()?.map(cpus),
            restart: self.restart,
        };
        if change == Change::default() {
            return Err(Report::usage(
                "you must provide one or more flags when using this command",
                "give `--memory`, `--cpus`, `--pids-limit` or `--restart`",
            ));
        }
        let engine = engine()?;
        for_each(&engine, &self.containers, |container, name| {
            engine.update(container, &change)?;
            Ok(print_line(name)?)
        })
    }
}

fn cpus(limit: Option<f64>) -> CpusChange {
    match limit {
        Some(cpus) => CpusChange::Limited(cpus),
        None => CpusChange::Unlimited,
    }
}
