//! `minke stop`: the stop signal, and `SIGKILL` when the time is up.

use clap::Args;
use minke_engine::Engine;

use super::stopped::Stopped;
use crate::report::Report;

/// Stop running containers
///
/// Sends the container's stop signal (`TERM` unless it or its image says another), and `KILL` when it still runs after the timeout.
/// A container that is stopped is not restarted, whatever its restart policy.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke stop web\n  minke stop -t 2 web worker")]
pub(crate) struct Stop {
    #[command(flatten)]
    stopped: Stopped,
}

impl Stop {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        self.stopped.for_each(Engine::stop)
    }
}
